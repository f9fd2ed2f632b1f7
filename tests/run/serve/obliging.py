"""A model that does what it is asked, for clients that judge a whole API by one model."""

import json
import re

from chatwright import Capabilities, ChatModel, Finish, Reasoning, ToolCallDelta, Usage


class Obliging(ChatModel):
    """Calls a tool that it is given, once; looks at pictures; says what it is told to say."""

    seen: list = []

    async def reply(self, request):
        self.seen.append(request)
        last = request.messages[-1]
        if request.response_format:
            yield '{"city": "Zürich"}'
        elif request.tools and last.type != "tool":
            name, arguments = wanted(request.tools)
            yield Reasoning("A tool will know. ")
            yield "Let me look. "
            yield ToolCallDelta(0, "call_1", name, arguments[:5])
            yield ToolCallDelta(0, args=arguments[5:])
        else:
            yield Reasoning("Hm. ")
            for word in re.split("(?<= )", said(request.messages)):
                yield word
        yield Usage(7, 5)
        yield Finish("stop")

    def capabilities(self):
        return Capabilities(
            tools=True, tool_choice=True, response_format=True, inputs=frozenset({"image"})
        )


def said(messages):
    last = messages[-1]
    if last.type == "tool":
        return f"The tool says: {last.text}"
    if any(isinstance(each, dict) and each["type"] == "image" for each in last.content):
        return "A red heart on white."
    wanted = re.search(r"Reply with exactly: (.*)", last.text)
    return wanted[1] if wanted else f"You said: {last.text}"


def wanted(tools):
    """Return the name of the tool to call, a shell's where there is one, and its arguments."""
    functions = [each["function"] for each in tools]
    chosen = next((each for each in functions if "exec" in each["name"]), functions[0])
    known = {"location": "Zürich", "city": "Zürich", "cmd": "echo forty-two"}
    given = chosen["parameters"].get("required") or ()
    return chosen["name"], json.dumps({name: known[name] for name in given}, ensure_ascii=False)


def obliging():
    """Return the model; `seen` holds the requests that it has got."""
    return Obliging(model_name="obliging", seen=[])
