"""What a protocol for tool calls in plain text is: a value."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["ToolProtocol"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolProtocol:
    """A text protocol for tool calls: what is taught, and how calls and results look.

    How a call is read follows from how `call` writes it, by the placeholder that it holds:

    - `{call}`: JSON, `{"name": …, "arguments": {…}}`, behind `open`;
    - `{name}` and `{arguments}`: the name as it is, and the arguments as a JSON object;
    - `{name}` and `{parameters}`: each argument as `parameter` writes it; its type is the schema's;
    - `{python}`: Python, `name(argument="value")`;
    - `{name}` and `{fields}`: `argument:value, …`, texts between `quote`s.

    Args:
        instructions: Goes into the system prompt; `{tools}` becomes the tools, a JSON object each.
        open: What begins a call, or all of an answer's calls.
        close: What ends it; empty, if nothing does.
        also: Other texts that begin a call. Those that `call` itself has are part of it.
        calls: All calls of an answer, as they stand in the history; `{calls}` becomes the calls.
        call: A call as it stands in the history. Beside the placeholders above, `{index}` becomes
            the call's number, from 0.
        parameter: An argument, with `{key}` and `{value}`: a text as it is, anything else as JSON.
            `{text}` becomes whether it is a text, `true` or `false`.
        quote: What stands around texts in `{fields}`.
        result: A tool's result, as it is told. `{name}`, `{id}` and `{content}` become the call's
            name, its id, and the result; `{json}` becomes the result as a JSON string.
        separator: What stands between the calls of one answer.
        halts: What ends the answer: the beginning of a result that the LLM makes up itself.
        bare: Whether a call needs no `open`: JSON or a list of Python calls that names a tool.
        arguments_key: What the JSON calls the arguments.
        arguments_marker: What stands between the name and the arguments, where each begins a line.
        channels: Whether answers come in OpenAI's harmony format: reasoning, calls and text are
            told apart by the channel that they are on.
        reasoning: What begins and what ends reasoning in the text, where that is not `<think>` and
            `</think>`.
        signs: A chat template that holds all of these teaches this protocol.
        other: Another protocol with the same `open`, whose calls are read as well: one of the two
            writes JSON.
    """

    instructions: str
    open: str
    close: str = ""
    also: tuple[str, ...] = ()
    calls: str = "{calls}"
    call: str
    parameter: str = ""
    quote: str = ""
    result: str
    separator: str = "\n"
    halts: tuple[str, ...] = ()
    bare: bool = False
    arguments_key: str = "arguments"
    arguments_marker: str = ""
    channels: bool = False
    reasoning: tuple[str, str] | None = None
    signs: tuple[str, ...] = ()
    other: "ToolProtocol | None" = None

    def __post_init__(self) -> None:
        """Refuse what could never work."""
        if not self.open or "" in self.also:
            raise ValueError("open is '', so that no call could be told from text")
        if "" in self.halts:
            raise ValueError("halts holds '', so that every answer would end at once")
        if "{tools}" not in self.instructions:
            raise ValueError("instructions lack '{tools}', so that no tool would be taught")
        if "{parameters}" in self.call and not self.parameter:
            raise ValueError("parameter is '', so that no argument could be written")

    def teach(self, tools: Sequence[Mapping[str, Any]]) -> str:
        """Return what the system prompt says of tools, which are in OpenAI's form."""
        described = "\n".join(_json(tool.get("function", tool)) for tool in tools)
        return self.instructions.replace("{tools}", described)

    def write_calls(self, calls: Sequence[tuple[str, str]]) -> str:
        """Return calls, pairs of a name and its arguments in JSON, as the LLM would write them."""
        written = [self._write_call(n, name, args) for n, (name, args) in enumerate(calls)]
        return _filled(self.calls, calls=self.separator.join(written))

    def _write_call(self, index: int, name: str, args: str) -> str:
        call = f'{{"name": {_json(name)}, "{self.arguments_key}": {args}}}'
        values = {"call": call, "name": name, "arguments": args, "index": str(index)}
        if "{arguments}" not in self.call and "{call}" not in self.call:
            values |= self._spelled(name, args)
        return _filled(self.call, **values)

    def _spelled(self, name: str, args: str) -> dict[str, str]:
        """Return the arguments in the forms that are no JSON; what can't be read, as it is."""
        try:
            given = json.loads(args or "{}", strict=False)
        except ValueError:
            given = None
        if not isinstance(given, dict):
            return dict.fromkeys(("parameters", "python", "fields"), args)
        named = ", ".join(f"{key}={value!r}" for key, value in given.items())
        fields = ",".join(f"{key}:{self._field(value)}" for key, value in given.items())
        parameters = [
            _filled(
                self.parameter,
                key=key,
                value=value if isinstance(value, str) else _json(value),
                text=_json(isinstance(value, str)),
            )
            for key, value in given.items()
        ]
        return {
            "parameters": "\n".join(parameters),
            "python": f"{name}({named})",
            "fields": fields,
        }

    def _field(self, value: object) -> str:
        if isinstance(value, str):
            return f"{self.quote}{value}{self.quote}"
        if isinstance(value, Mapping):
            fields = ",".join(f"{key}:{self._field(each)}" for key, each in value.items())
            return f"{{{fields}}}"
        if isinstance(value, list):
            return f"[{','.join(map(self._field, value))}]"
        return _json(value)

    def write_result(self, name: str, call_id: str, content: str) -> str:
        """Return a tool's result as the LLM is told it."""
        return _filled(self.result, name=name, id=call_id, content=content, json=_json(content))


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
