"""What Open Responses' own OpenAPI document has to say of a body or an event."""

import json
from functools import cache
from pathlib import Path

from jsonschema import Draft202012Validator

HERE = Path(__file__).parent / "openresponses"
DOCUMENT = json.loads((HERE / "openapi-2026-04-24.json").read_text())
SCHEMAS = DOCUMENT["components"]["schemas"]
# The document has null alone for the schema that was asked for, which clients look for.
SCHEMAS["JsonSchemaResponseFormat"]["properties"]["schema"] = {"type": "object"}
KINDS = {
    definition["properties"]["type"]["enum"][0]: name
    for name, definition in SCHEMAS.items()
    if name.endswith("StreamingEvent")
}


@cache
def validator(name):
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    return Draft202012Validator(schema)


def valid(value, name):
    """Return a value that conforms to a schema of the document by its name.

    Raises:
        AssertionError: It does not.
    """
    faults = [f"{each.json_path}: {each.message}" for each in validator(name).iter_errors(value)]
    assert faults == [], (name, faults, value)
    return value


def valid_event(event):
    """Return an event that conforms to the document."""
    return valid(event, KINDS[event["type"]])
