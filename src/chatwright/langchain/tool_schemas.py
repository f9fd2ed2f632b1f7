"""Whole schemas of tools' arguments: what LangChain's converter loses of them is put back."""

import inspect
from collections.abc import Mapping
from typing import Any

from langchain_core.tools import BaseTool, create_schema_from_function
from langchain_core.utils.function_calling import convert_to_openai_function
from typing_extensions import is_typeddict

from chatwright.langchain.schemas import rooted
from chatwright.langchain.validation import VALUES, resolved

__all__ = ["whole_parameters"]

Json = Mapping[str, Any]

_APART = frozenset({"description", "title"})
"""What the root of a schema says of the tool, which goes beside it."""
_DEFINITIONS = frozenset({"$defs", "definitions"})
_NAMED = frozenset({"patternProperties", "properties"})
"""Keywords whose keys are names."""


def whole_parameters(converted: Json | None, tool: Any, *, strict: bool | None) -> Json:
    """Return the parameters of a tool, with all that its own schema says.

    Core's converter writes a schema without references. What refers to itself is cut by that, and
    references that it does not know lead nowhere; then the tool's own schema is taken, which has
    its definitions. Servers want an object with `properties`, even where there are no arguments.

    Args:
        converted: What the converter has made; None for nothing.
        tool: What it has made it of.
        strict: Whether OpenAI's strict form is asked for.
    """
    parameters = converted or {}
    own = _own(tool)
    if own is not None and not _says(parameters, own):
        parameters = {key: each for key, each in own.items() if key not in _APART}
        if strict:
            function = {"name": "whole", "parameters": parameters}
            parameters = convert_to_openai_function(function, strict=True)["parameters"]
    if "type" in parameters and "properties" in parameters:
        return parameters
    bare = parameters.get("type", "object") == "object"
    return {"type": "object", **({"properties": {}} if bare else {}), **parameters}


def _own(tool: Any) -> Json | None:
    """Return the schema of a tool's arguments as the tool has it; None where it has none."""
    if isinstance(tool, BaseTool):
        if not tool.args_schema:
            return None
        own: Any = tool.tool_call_schema
        return rooted(own) if isinstance(own, Mapping) else _own(own)
    if isinstance(tool, dict):
        specified = (tool.get("toolSpec") or {}).get("inputSchema") or {}
        below = [tool.get("input_schema"), tool.get("parameters"), specified.get("json")]
        return next((rooted(each) for each in below if isinstance(each, Mapping)), None)
    if is_typeddict(tool):
        return None  # what core lets its annotations say, pydantic does not know
    if not isinstance(tool, type):
        if not inspect.isroutine(tool):
            return None
        tool = create_schema_from_function(
            tool.__name__, tool, filter_args=(), parse_docstring=True, include_injected=False
        )
    make = getattr(tool, "model_json_schema", None) or getattr(tool, "schema", None)  # v1's
    return rooted(make()) if make else None


def _says(made: Any, own: Any) -> bool:
    """Tell whether a schema without references says all that a tool's own one says."""
    root = {key: each for key, each in own.items() if key not in _APART | _DEFINITIONS}
    return bool(made == own) or _holds(made, root, own, frozenset())


def _holds(made: Any, own: Any, root: Json, inside: frozenset[str]) -> bool:
    """Tell whether a part says what a part of a tool's own schema says, once that is resolved."""
    if isinstance(own, list):
        same = isinstance(made, list) and len(made) == len(own)
        return same and all(_holds(a, b, root, inside) for a, b in zip(made, own, strict=True))
    if not isinstance(own, Mapping):
        # A reference in a place that is none of a schema's leads nowhere without the definitions.
        return bool(made == own) and not (isinstance(own, str) and own.startswith("#/"))
    if isinstance(reference := own.get("$ref"), str):
        target = resolved(reference, root)
        if reference in inside or not isinstance(target, Mapping):
            return False
        beside = {key: each for key, each in own.items() if key != "$ref"}
        return _holds(made, {**target, **beside}, root, inside | {reference})
    if not isinstance(made, Mapping):
        return False
    return all(_keeps(key, made, own, root, inside) for key in own)


def _keeps(key: str, made: Json, own: Json, root: Json, inside: frozenset[str]) -> bool:
    """Tell whether a part has what a tool's own schema has under a keyword."""
    told, wanted = made.get(key), own[key]
    if key == "title" and isinstance(wanted, str):
        return True  # it says no more than the name
    if key in VALUES:
        return key in made and bool(told == wanted)
    if key in _NAMED and isinstance(wanted, Mapping):
        return isinstance(told, Mapping) and all(
            name in told and _holds(told[name], each, root, inside) for name, each in wanted.items()
        )
    if key == "additionalProperties":
        return told is False or _holds(told, wanted, root, inside)
    return key in made and _holds(told, wanted, root, inside)
