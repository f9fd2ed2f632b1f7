"""What Open Responses' and OpenAI's own OpenAPI documents have to say of a body or an event."""

import json
from functools import cache
from pathlib import Path

from jsonschema import Draft202012Validator

HERE = Path(__file__).parent
SCHEMAS = json.loads((HERE / "openresponses" / "openapi-2026-04-24.json").read_text())[
    "components"
]["schemas"]
# The document has null alone for the schema that was asked for, which clients look for.
SCHEMAS["JsonSchemaResponseFormat"]["properties"]["schema"] = {"type": "object"}


def of_today(value):
    """Return schemas of OpenAPI 3.0's as those of 3.1: OpenAI's document has both."""
    if isinstance(value, list):
        return [of_today(each) for each in value]
    if not isinstance(value, dict):
        return value
    rest = {name: of_today(each) for name, each in value.items() if name != "nullable"}
    return {"anyOf": [rest, {"type": "null"}]} if value.get("nullable") is True else rest


def or_null(schema, *path):
    """Let a field be null where OpenAI's own server has it so, and its document does not."""
    *above, name = path
    for each in above:
        schema = schema[each]
    schema[name] = {"anyOf": [schema[name], {"type": "null"}]}


OPENAI = of_today(json.loads((HERE / "openai" / "schemas.json").read_text()))
OF_CHOICE = ("properties", "choices", "items", "properties")
or_null(OPENAI["CreateCompletionResponse"], *OF_CHOICE, "finish_reason")  # in pieces of a stream
or_null(OPENAI["TextResponseFormatJsonSchema"], "properties", "description")
for part in OPENAI["Response"]["allOf"]:  # before the last event
    if "usage" in part.get("properties", {}):
        or_null(part, "properties", "usage")
DOCUMENTS = {"Open Responses": SCHEMAS, "OpenAI": OPENAI}
KINDS = {
    definition["properties"]["type"]["enum"][0]: name
    for name, definition in SCHEMAS.items()
    if name.endswith("StreamingEvent")
}


@cache
def validator(name, document):
    components = {"schemas": DOCUMENTS[document]}
    schema = {"$ref": f"#/components/schemas/{name}", "components": components}
    return Draft202012Validator(schema)


def valid(value, name, document="Open Responses"):
    """Return a value that conforms to a schema of a document by its name.

    Raises:
        AssertionError: It does not.
    """
    found = validator(name, document).iter_errors(json.loads(json.dumps(value)))
    faults = [f"{each.json_path}: {each.message[:2000]}" for each in found]
    assert faults == [], (name, faults, value)
    return value


def valid_event(event):
    """Return an event that conforms to Open Responses' document."""
    return valid(event, KINDS[event["type"]])
