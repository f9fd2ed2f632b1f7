"""A model that does what it is asked, for clients that judge a whole API by one model."""

import itertools
import json
import re

from chatwright import Capabilities, ChatModel, Finish, Reasoning, ToolCallDelta, Usage
from chatwright.langchain.request import schema_of

SHELLS = ("bash", "exec_command", "shell")
KNOWN = {
    "location": "Zürich",
    "city": "Zürich",
    "cmd": "echo forty-two",
    "command": "echo forty-two",
    "description": "Says a number",
}


class Obliging(ChatModel):
    """Calls a tool that it is given, once; looks at pictures; says what it is told to say."""

    max_tokens: int | None = None
    reasoning_effort: str | None = "medium"
    seen: list = []

    async def reply(self, request):
        self.seen.append(request)
        calls = called(request)
        spent, limit = itertools.count(1), self.max_tokens or 10**9
        for piece in (*self.thoughts(request), *said(request, calls)):
            if next(spent) > limit:
                yield Usage(7, limit)
                yield Finish("length")
                return
            yield piece
        for n, (name, arguments) in enumerate(calls):
            yield ToolCallDelta(n, f"call_{n + 1}", name, arguments[:5])
            yield ToolCallDelta(n, args=arguments[5:])
        yield Usage(7, 5)
        yield Finish("stop")

    def thoughts(self, request):
        if self.reasoning_effort in {None, "none"} or request.response_format:
            return []
        if "at length" in request.messages[-1].text:
            return [Reasoning("Hm. ")] * 100
        return [Reasoning("A tool will know. " if called(request) else "Hm. ")]

    def capabilities(self):
        return Capabilities(
            tools=True, tool_choice=True, response_format=True, inputs=frozenset({"image"})
        )


def called(request):
    """Return the names and arguments of the calls that a request wants: mostly one."""
    last = request.messages[-1]
    choice = request.tool_choice
    if not request.tools or last.type == "tool" or request.response_format or choice == "none":
        return []
    functions = [each["function"] for each in request.tools]
    if isinstance(choice, dict):
        wanted = [each for each in functions if each["name"] == choice["function"]["name"]]
    elif "Call both" in last.text and request.parameters.get("parallel_tool_calls") is not False:
        wanted = functions
    else:
        wanted = [each for each in functions if each["name"].lower() in SHELLS] or functions[:1]
    return [
        (each["name"], json.dumps(example(each["parameters"]), ensure_ascii=False))
        for each in wanted
    ]


def example(schema, name=""):
    """Return a value of a JSON schema."""
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    match schema.get("type"):
        case "object":
            parts = schema.get("properties") or {}
            return {each: example(parts.get(each, {}), each) for each in schema.get("required", ())}
        case "array":
            return [example(schema.get("items", {}), name)]
        case "integer" | "number":
            return 4
        case "boolean":
            return True
    return KNOWN.get(name, "words")


def said(request, calls):
    """Return the pieces of the text."""
    if calls:
        return ["Let me look. "]
    if request.response_format:
        schema = schema_of(request.response_format)
        value = example(schema) if schema else {"city": "Zürich"}
        return [json.dumps(value, ensure_ascii=False)]
    return re.split("(?<= )", _text(request.messages))


def _text(messages):
    last = messages[-1]
    if last.type == "ai":
        return "is the capital."  # whatever was begun goes on
    if last.type == "tool":
        return f"The tool says: {last.text}"
    if any(isinstance(each, dict) and each["type"] == "image" for each in last.content):
        return "A red heart on white."
    everything = "\n".join(each.text for each in messages)
    if "What is my name" in last.text and (name := re.search(r"My name is (\w+)", everything)):
        return name[1]
    if told := re.search(r"reply with exactly the word \"(\w+)\"", everything):
        return told[1]
    wanted = re.search(r"(?:Reply with exactly|Say exactly|exactly, nothing else): (.*)", last.text)
    return wanted[1] if wanted else f"You said: {last.text}"


def obliging(**fields):
    """Return the model; `seen` holds the requests that it has got."""
    return Obliging(model_name="obliging", seen=[], **fields)
