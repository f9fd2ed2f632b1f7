"""How tools are spoken of in plain text, for LLMs that have no other way."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["HERMES", "LLAMA3", "MISTRAL", "PROTOCOLS", "REACT", "WRAPPED", "ToolProtocol"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolProtocol:
    """A text protocol for tool calls: what is taught, and how calls and results look.

    A call is JSON, `{"name": …, "arguments": {…}}`, behind `open`; or, where `arguments_marker` is
    given, the name as it is, that marker, and the arguments as a JSON object.

    Args:
        instructions: Goes into the system prompt; `{tools}` becomes the tools, a JSON object each.
        open: What begins a call.
        close: What ends it; empty, if nothing does.
        call: A call as it stands in the history. `{call}` becomes its JSON, `{name}` and
            `{arguments}` its parts.
        result: A tool's result, as it is told. `{name}`, `{id}` and `{content}` become the call's
            name, its id, and the result; `{json}` becomes the result as a JSON string.
        separator: What stands between the calls of one answer.
        halts: What ends the answer: the beginning of a result that the LLM makes up itself.
        bare: Whether an answer that begins with a call's JSON is a call without `open`, too.
        arguments_key: What the JSON calls the arguments.
        arguments_marker: What stands between the name and the arguments, where the call is no JSON.
    """

    instructions: str
    open: str
    close: str = ""
    call: str
    result: str
    separator: str = "\n"
    halts: tuple[str, ...] = ()
    bare: bool = False
    arguments_key: str = "arguments"
    arguments_marker: str = ""

    def __post_init__(self) -> None:
        """Refuse what could never work."""
        if not self.open:
            raise ValueError("open is '', so that no call could be told from text")
        if "" in self.halts:
            raise ValueError("halts holds '', so that every answer would end at once")
        if "{tools}" not in self.instructions:
            raise ValueError("instructions lack '{tools}', so that no tool would be taught")

    def teach(self, tools: Sequence[Mapping[str, Any]]) -> str:
        """Return what the system prompt says of tools, which are in OpenAI's form."""
        described = "\n".join(_json(tool.get("function", tool)) for tool in tools)
        return self.instructions.replace("{tools}", described)

    def write_calls(self, calls: Sequence[tuple[str, str]]) -> str:
        """Return calls, pairs of a name and its arguments in JSON, as the LLM would write them."""
        return self.separator.join(self._write_call(name, args) for name, args in calls)

    def _write_call(self, name: str, args: str) -> str:
        call = f'{{"name": {_json(name)}, "{self.arguments_key}": {args}}}'
        return _filled(self.call, call=call, name=name, arguments=args)

    def write_result(self, name: str, call_id: str, content: str) -> str:
        """Return a tool's result as the LLM is told it."""
        return _filled(self.result, name=name, id=call_id, content=content, json=_json(content))


_OTHERWISE = "If no tool is needed, answer without calling one."

HERMES = ToolProtocol(
    instructions=(
        "You can call tools. These are described as JSON between <tools> tags:\n"
        "<tools>\n{tools}\n</tools>\n"
        "To call a tool, write a JSON object with its name and its arguments between <tool_call> "
        "tags:\n"
        '<tool_call>\n{"name": "the tool", "arguments": {"its argument": "a value"}}\n'
        "</tool_call>\n"
        "You can write several calls, each between tags of its own. Then stop: the results come "
        f"between <tool_response> tags. {_OTHERWISE}"
    ),
    open="<tool_call>",
    close="</tool_call>",
    call="<tool_call>\n{call}\n</tool_call>",
    result='<tool_response>\n{"name": "{name}", "content": {json}}\n</tool_response>',
    halts=("<tool_response>",),
)
"""The form of Nous Research's Hermes, which Qwen and many others were trained on."""

LLAMA3 = ToolProtocol(
    instructions=(
        "You can call these functions, described as JSON:\n{tools}\n"
        "To call a function, answer with nothing but a JSON object of this form:\n"
        '{"name": "the function", "parameters": {"its parameter": "a value"}}\n'
        "Write several calls one behind the other, separated by a semicolon. Then stop: the "
        f"results come in the next message. {_OTHERWISE.replace('tool', 'function')}"
    ),
    open="<|python_tag|>",
    call="{call}",
    result='{"output": {json}}',
    separator="; ",
    bare=True,
    arguments_key="parameters",
)
"""The JSON form of Meta's Llama 3.1 and later."""

MISTRAL = ToolProtocol(
    instructions=(
        "[AVAILABLE_TOOLS] [{tools}] [/AVAILABLE_TOOLS]\n"
        "To call tools, write [TOOL_CALLS] and a JSON list of calls:\n"
        '[TOOL_CALLS] [{"name": "the tool", "arguments": {"its argument": "a value"}}]\n'
        f"Then stop: the results come behind [TOOL_RESULTS]. {_OTHERWISE}"
    ),
    open="[TOOL_CALLS]",
    call="[TOOL_CALLS] [{call}]",
    result='[TOOL_RESULTS] {"content": {json}, "call_id": "{id}"} [/TOOL_RESULTS]',
    halts=("[TOOL_RESULTS]",),
)
"""The form of Mistral's v3 tokenizer."""

REACT = ToolProtocol(
    instructions=(
        "You can call these tools, described as JSON:\n{tools}\n"
        "To call a tool, write:\n"
        "Thought: why you call it\n"
        "Action: the tool's name\n"
        'Action Input: its arguments, a JSON object such as {"argument": "a value"}\n'
        "Then stop: the result comes behind 'Observation:'. When you know the answer, write it "
        "without an action."
    ),
    open="Action:",
    call="Action: {name}\nAction Input: {arguments}",
    result="Observation: {content}",
    halts=("Observation:",),
    arguments_marker="Action Input:",
)
"""The form of the ReAct paper (arXiv 2210.03629), with arguments in JSON."""

WRAPPED = ToolProtocol(
    instructions=(
        "You can call these tools, described as JSON:\n{tools}\n"
        "To call a tool, answer with nothing but a JSON object of this form:\n"
        '{"tool_call": {"name": "the tool", "arguments": {"its argument": "a value"}}}\n'
        f"Then stop: the result comes in the next message. {_OTHERWISE}"
    ),
    open='{"tool_call":',
    call='{"tool_call": {call}}',
    result='{"tool": "{name}", "result": {json}}',
)
"""One call that can be told from other JSON, for a grammar that admits both."""

PROTOCOLS: Mapping[str, ToolProtocol] = {
    "hermes": HERMES,
    "llama3": LLAMA3,
    "mistral": MISTRAL,
    "react": REACT,
}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _filled(template: str, **values: str) -> str:
    """Put values in at once, so that braces inside of a value mean nothing."""
    parts = template.split("{")
    filled = [parts[0]]
    for part in parts[1:]:
        name, brace, rest = part.partition("}")
        filled.append(values[name] + rest if brace and name in values else "{" + part)
    return "".join(filled)
