"""A `response_format` as a grammar that llama.cpp follows."""

import json
from collections.abc import Mapping
from typing import Any

from chatwright.errors import ParameterError
from chatwright.langchain.request import schema_of
from chatwright.langchain.validation import VALUES

__all__ = ["grammar_of"]

_LAYOUT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def grammar_of(response_format: Mapping[str, Any]) -> str:
    """Return the grammar of the answers that conform to a `response_format` of OpenAI's form.

    It is one of llguidance's, which xllamacpp has built in: unlike llama.cpp's own conversion it
    keeps to the ranges of numbers, and what it does not know it leaves out instead of failing
    (https://github.com/guidance-ai/llguidance, docs/json_schema.md). Blank space is fixed, since
    a small LLM can lose itself in it.

    Raises:
        ParameterError: It is neither `json_schema` with a schema nor `json_object`.
    """
    schema = schema_of(response_format)
    if schema is None and response_format.get("type") != "json_object":
        raise ParameterError(
            f"response_format={response_format!r} is not understood; it can be "
            "{'type': 'json_schema', 'json_schema': {'schema': …}} or {'type': 'json_object'}"
        )
    wanted = {"type": "object"} if schema is None else _closed(schema)
    wanted["x-guidance"] = {**_LAYOUT, "lenient": True}
    return f"%llguidance {{}}\nstart: %json {json.dumps(wanted, ensure_ascii=False)}"


def _closed(schema: Any) -> Any:
    """Return the schema with no room for properties that it does not name, unless it says so."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    closed = {key: value if key in VALUES else _closed(value) for key, value in schema.items()}
    if isinstance(closed.get("properties"), Mapping) and _describes_object(closed):
        closed.setdefault("additionalProperties", False)
    return closed


def _describes_object(schema: Mapping[str, Any]) -> bool:
    """Tell a schema with properties from an object's property that is called `properties`."""
    return schema.get("type", "object") == "object" and "allOf" not in schema
