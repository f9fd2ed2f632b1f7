"""What a little LLM makes of its prompt. The standard library only: programs use it alone."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["answered", "example"]

_TAUGHT = re.compile(r"<tools>\n(.*)\n</tools>", re.DOTALL)
_NAMED = re.compile(r"must call the tool (\w+) now")


def answered(system: str, question: str) -> str | None:
    """Return what the LLM writes where its system prompt teaches something; else None."""
    if wanted := next(_schemas(system), None):
        return json.dumps(example(wanted, question))
    if "Answer with one JSON object" in system:
        return json.dumps(dict.fromkeys(re.findall(r"'(\w+)'", question), "something"))
    if not (taught := _TAUGHT.search(system)) or "<tool_response>" in question:
        return None
    tools = [json.loads(line) for line in taught[1].splitlines()]
    return _written(_chosen(tools, _NAMED.search(system)), question)


def _schemas(text: str) -> Iterator[Mapping[str, Any]]:
    """Yield the JSON schemas of objects that a text holds, whatever its words around them."""
    decoder, at = json.JSONDecoder(), text.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except ValueError:
            end = at + 1
        else:
            if isinstance(value.get("properties"), dict):
                yield value
        at = text.find("{", end)


def _chosen(tools: Sequence[Mapping[str, Any]], named: Any) -> Mapping[str, Any]:
    return next((each for each in tools if named and each["name"] == named[1]), tools[0])


def _written(tool: Mapping[str, Any], question: str) -> str:
    arguments = example(tool.get("parameters", {}), question)
    written = json.dumps({"name": tool["name"], "arguments": arguments}, ensure_ascii=False)
    return f"<tool_call>\n{written}\n</tool_call>"


def example(schema: Mapping[str, Any], question: str) -> Any:
    """Return a value that conforms to a JSON schema, with what the question gives."""
    if "anyOf" in schema:
        return example(schema["anyOf"][0], question)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "integer" | "number":
            number = re.search(r"\d+", question)
            return int(number[0]) if number else 1
        case "array":
            return [example(schema.get("items", {}), question)]
        case "boolean":
            return True
        case "string":
            quoted = re.search(r"'(.+?)'", question)
            return quoted[1] if quoted else "something"
    properties = schema.get("properties", {})
    return {name: example(each, question) for name, each in properties.items()}
