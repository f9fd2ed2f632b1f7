"""Tools and tool choices in OpenAI's form, whatever form they were bound in."""

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from chatwright.errors import ParameterError
from chatwright.langchain.schemas import recursive, rooted
from chatwright.langchain.tool_schemas import whole_parameters

__all__ = ["ToolLike", "as_choice", "as_tools", "chosen_name", "is_forced", "tool_name"]

ToolLike: TypeAlias = dict[str, Any] | type | Callable[..., Any] | BaseTool
Tool: TypeAlias = dict[str, Any]


def as_tools(tools: Sequence[ToolLike], *, strict: bool | None = None) -> list[Tool]:
    """Return tools in OpenAI's form; agents bind the same ones every turn, so this is cached.

    Args:
        tools: LangChain tools, functions, pydantic classes, TypedDicts, JSON schemas; a provider's
            built-in tools, such as `{"type": "web_search"}`, pass as they are.
        strict: Goes into the tools' definitions, if given.

    Raises:
        ParameterError: What can't be a tool.
    """
    return [_as_tool(tool, strict) for tool in tools]


def _as_tool(tool: ToolLike, strict: bool | None) -> Tool:
    if isinstance(tool, dict):
        return _from_dict(tool, strict)
    key = id(tool), strict
    if (cached := _converted.get(key)) is not None and cached[0]() is tool:
        stamp = cached[1]
        if stamp is None or stamp == _stamp(tool):
            return cached[2]
    # A LangChain tool can be changed; a class, or a function, is what it is.
    stamp = _stamp(tool) if isinstance(tool, BaseTool) else None
    converted = _convert(tool, strict)
    try:
        forget = weakref.ref(tool, lambda _: _converted.pop(key, None))
    except TypeError:  # a bound method is another object each time anyway
        return converted
    _converted[key] = forget, stamp, converted
    return converted


def _stamp(tool: Any) -> tuple[Any, ...]:
    return tool.name, tool.description, tool.args_schema


_converted: dict[tuple[int, bool | None], tuple[weakref.ref[Any], Any, Tool]] = {}


def _from_dict(tool: Tool, strict: bool | None) -> Tool:
    if tool.get("type") == "function" and "function" in tool:
        function = tool["function"]
        if isinstance(function, Mapping):
            whole = whole_parameters(function.get("parameters"), function, strict=None)
            function = {**function, "parameters": whole}
            function |= {} if strict is None else {"strict": strict}
        return tool if function == tool["function"] else {**tool, "function": function}
    if tool.get("type") == "function" and "name" in tool:  # the form of OpenAI's Responses
        tool = {key: value for key, value in tool.items() if key != "type"}
    if _BELOW & tool.keys():
        return _convert(tool, strict)
    tool = rooted(tool)  # pydantic's schema of a recursive class has its name below a reference
    described = _SCHEMA & tool.keys() or ("title" in tool and tool.get("type") == "object")
    if described or tool.keys() == {"name", "description"}:
        return _convert(_as_function(tool), strict)
    return tool


_BELOW = frozenset({"input_schema", "parameters", "toolSpec"})
_SCHEMA = frozenset({"allOf", "anyOf", "oneOf", "properties"})
"""Keys of dicts that describe arguments: what has none of them is a provider's own tool."""


def _as_function(schema: Tool) -> Tool:
    """Return a JSON schema that says of itself what tool it is as a function that has it."""
    name = schema.get("name") or schema.get("title")
    beside = {key: schema[key] for key in ("description", "strict", _MARK) if key in schema}
    apart = {"name", "title", *beside}
    parameters = {key: each for key, each in schema.items() if key not in apart}
    return {"name": name, **beside, "parameters": parameters} if name else schema


def _convert(tool: ToolLike, strict: bool | None) -> Tool:
    if (own := recursive(tool)) is not None:  # core knows no end of it
        tool = _as_function(own)
    try:
        return _completed(convert_to_openai_tool(tool, strict=strict), tool, strict)
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        raise ParameterError(
            f"{tool!r} can't be a tool; a tool is a LangChain tool, a function with a docstring "
            f"and typed arguments, a pydantic class, a TypedDict or a JSON schema: {error}"
        ) from error


def _completed(converted: Tool, tool: Any, strict: bool | None) -> Tool:
    """Return a tool as core converted it, with what core loses on the way.

    That is parts of its schema (`whole_parameters`), and its marks for a server's cache.
    """
    function = dict(converted["function"])
    function["parameters"] = whole_parameters(function.get("parameters"), tool, strict=strict)
    extras = tool if isinstance(tool, dict) else getattr(tool, "extras", None) or {}
    marks = {_MARK: extras[_MARK]} if isinstance(extras, Mapping) and _MARK in extras else {}
    return {**converted, "function": function, **marks}


_MARK = "cache_control"


def tool_name(tool: Mapping[str, Any]) -> str | None:
    """Return the name of a function tool; None for a provider's built-in one."""
    name = tool["function"].get("name") if "function" in tool else None
    return str(name) if name else None


def as_choice(choice: Any, tools: Sequence[Mapping[str, Any]]) -> Any:
    """Return a tool choice in OpenAI's form.

    Args:
        choice: None, `auto`, `none`, `required` or `any`, a tool's name, or a dict that names a
            tool in OpenAI's or Anthropic's form. True is the tool's name where there is one tool,
            else `required`, as in langchain-openai.
        tools: The bound tools, in OpenAI's form.

    Returns:
        None, `auto`, `none`, `required`, or `{"type": "function", "function": {"name": …}}`; a dict
        that names no tool as it is.

    Raises:
        ParameterError: A choice that is none of these, or of a tool that is not bound.
    """
    if choice is None or choice is False:
        return None
    if choice is True and len(tools) == 1 and (only := tool_name(tools[0])):
        return as_choice(only, tools)
    if choice is True or choice in ("any", "required"):
        return "required" if tools else _refuse(choice, tools)
    if choice in ("auto", "none"):
        return choice
    if isinstance(choice, Mapping):
        function = choice.get("function", choice)
        name = function.get("name") if isinstance(function, Mapping) else function
        if name is None:  # Anthropic's form, or another provider's own
            kind = choice.get("type")
            return as_choice(kind, tools) if kind in {"any", "auto", "none"} else dict(choice)
    else:
        name = choice
    if name not in map(tool_name, tools):
        _refuse(choice, tools)
    return {"type": "function", "function": {"name": name}}


def _refuse(choice: Any, tools: Sequence[Mapping[str, Any]]) -> None:
    names = ", ".join(filter(None, map(tool_name, tools))) or "none"
    raise ParameterError(
        f"tool_choice={choice!r} is no choice; it can be auto, none, required, or the name of a "
        f"bound tool ({names})"
    )


def is_forced(choice: Any) -> bool:
    """Tell whether a choice in OpenAI's form wants a call."""
    return choice == "required" or chosen_name(choice) is not None


def chosen_name(choice: Any) -> str | None:
    """Return the name of the tool that a choice in OpenAI's form names."""
    if isinstance(choice, Mapping):
        name = choice.get("function", {}).get("name")
        return str(name) if name else None
    return None
