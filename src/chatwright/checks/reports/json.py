"""The report as JSON, and the JSON Schema that it keeps to."""

import json
from typing import Any

from chatwright.checks.finding import SCHEMA_VERSION, Fault, Report, Severity, Verdict

__all__ = ["SCHEMA", "as_json"]


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object that has all of these; later versions may add more."""
    return {"type": "object", "properties": properties, "required": [*properties]}


_TEXT = {"type": "string"}
_AMOUNT = {"type": "number", "minimum": 0}
_EXCHANGE = _object(
    {
        "way": {**_TEXT, "description": "How the model was called, such as `astream`."},
        "request": {"description": "What arrived at the upstream; null where there is none."},
        "timeline": {
            "type": "array",
            "description": "What came back: milliseconds since the call, and what came then.",
            "items": {
                "type": "array",
                "prefixItems": [{"type": "number"}, _TEXT],
                "items": False,
                "minItems": 2,
            },
        },
        "error": {"type": ["string", "null"], "description": "What it raised, if it did."},
    }
)
_FINDING = _object(
    {
        "rule": {**_TEXT, "description": "The rule's id, such as `P3`."},
        "title": {**_TEXT, "description": "What the rule says."},
        "section": {**_TEXT, "description": "The section of the contract."},
        "verdict": {"enum": [each.value for each in Verdict]},
        "severity": {"enum": [each.value for each in Severity]},
        "fault": {
            "enum": [*(each.value for each in Fault), None],
            "description": "Whose fault it is; null where nothing is wrong.",
        },
        "layer": {**_TEXT, "description": "`scripted`, `live` or `langchain-tests`."},
        "sent": _TEXT,
        "got": {**_TEXT, "description": "Of a SKIP: why it could not be tested."},
        "expected": _TEXT,
        "fix": _TEXT,
        "link": _TEXT,
        "seconds": _AMOUNT,
        "exchanges": {"type": "array", "items": _EXCHANGE},
        "cause": {
            **_TEXT,
            "description": "What raised, and where; findings of one cause have one.",
        },
        "known": {"type": "boolean", "description": "Whether a baseline has it already."},
    }
)
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "What `chatwright check` found",
    **_object(
        {
            "schema_version": {"const": SCHEMA_VERSION},
            "model": {**_TEXT, "description": "The model's name."},
            "versions": {"type": "object", "additionalProperties": _TEXT},
            "calls": {"type": "integer", "minimum": 0},
            "seconds": _AMOUNT,
            "findings": {"type": "array", "items": _FINDING},
        }
    ),
}
"""The JSON Schema of a report, as of `SCHEMA_VERSION`."""


def as_json(report: Report) -> str:
    """Return a report as JSON that keeps to `SCHEMA`."""
    return json.dumps(report.as_dict(), ensure_ascii=False, allow_nan=False, indent=2) + "\n"
