"""Which tools a request lets a model call: `tool_choice`, as chat completions and Responses do."""

from collections.abc import Mapping, Sequence
from typing import Any

from chatwright.wires.prompt import refuse

__all__ = ["chosen"]

_MODES = frozenset({"auto", "none", "required"})
Tools = list[dict[str, Any]]


def chosen(choice: Any, tools: Tools) -> tuple[Any, Tools]:
    """Return a choice as chat completions have it, and the tools that may be called.

    A model can't be kept from tools that it knows, so that it is shown those alone that a choice
    allows.

    Args:
        choice: What was sent; None for nothing.
        tools: The function tools that were sent, in OpenAI's form.

    Returns:
        None, a mode or a function's name in OpenAI's form; and the tools.

    Raises:
        InvalidRequestError: It is no choice, or names a tool that there is not.
    """
    if isinstance(choice, Mapping) and choice.get("type") == "allowed_tools":
        inner = choice.get("allowed_tools", choice)  # Responses has no inner object
        if not isinstance(inner, Mapping) or not isinstance(inner.get("tools"), list):
            raise refuse("tool_choice.tools", "Field required")
        place = "tool_choice.tools"
        tools = _only(tools, [_named(each, place) for each in inner["tools"]], place)
        choice = inner.get("mode") or "auto"
    if choice is None or (not tools and choice in ("auto", "none")):
        return None, tools
    if isinstance(choice, str):
        if choice not in _MODES:
            raise refuse("tool_choice", "it is auto, none, required, or names a function")
    else:
        name = _named(choice, "tool_choice")
        _only(tools, [name], "tool_choice")
        choice = {"type": "function", "function": {"name": name}}
    if not tools:
        raise refuse("tool_choice", "there are no function tools to choose from")
    return choice, tools


def _named(tool: Any, place: str) -> str:
    match tool:
        case {"type": "function", "function": {"name": str(name)}}:
            return name
        case {"type": "function", "name": str(name)}:
            return name
    raise refuse(place, "it has to be a mode (auto, none, required) or a function tool's name")


def _only(tools: Tools, allowed: Sequence[str], place: str) -> Tools:
    known = {each["function"]["name"]: each for each in tools}
    if missing := [name for name in allowed if name not in known]:
        raise refuse(place, f"there is no tool {missing[0]!r}")
    return [each for name, each in known.items() if name in allowed]
