"""A little LLM: it reads its prompt as text and does what that says, always in the same way."""

import json
import re

SCHEMA = re.compile(r"conform to this JSON schema:\n(.+)")
TAUGHT = re.compile(r"<tools>\n(.*)\n</tools>", re.DOTALL)
NAMED = re.compile(r"must call the tool (\w+) now")


def answer(messages):
    """Return what the LLM writes; None where its prompt teaches nothing."""
    system = messages[0].text if messages[0].type == "system" else ""
    question = messages[-1].text
    if wanted := SCHEMA.search(system):
        return json.dumps(example(json.loads(wanted[1]), question))
    if "Answer with one JSON object" in system:
        keys = re.findall(r"'(\w+)'", question)
        return json.dumps(dict.fromkeys(keys, "something"))
    if not (taught := TAUGHT.search(system)) or "<tool_response>" in question:
        return None
    tools = [json.loads(line) for line in taught[1].splitlines()]
    return call(choice(tools, NAMED.search(system)), question)


def choice(tools, named):
    return next((each for each in tools if named and each["name"] == named[1]), tools[0])


def call(tool, question):
    arguments = example(tool.get("parameters", {}), question)
    written = json.dumps({"name": tool["name"], "arguments": arguments}, ensure_ascii=False)
    return f"<tool_call>\n{written}\n</tool_call>"


def example(schema, question):
    """Return a value that conforms to the schema, with what the question gives."""
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
