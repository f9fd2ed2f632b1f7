"""`WireSpec`: a server's own way of speaking, described by data. The one importer of jmespath."""

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import quote

import jmespath
from jmespath.exceptions import JMESPathError
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

from chatwright.deltas import Delta, Reasoning, ToolCallDelta, Usage
from chatwright.errors import OutputError
from chatwright.langchain.openai import as_openai
from chatwright.langchain.transcript import TRANSCRIPTS, Transcript
from chatwright.wrap.endpoint.failure import Mask, reported
from chatwright.wrap.endpoint.quirks import Quirks
from chatwright.wrap.endpoint.wire import Ask, Wire, Written, finished

__all__ = ["WireSpec"]

_HOLE = re.compile(r"\$\$|\$\{([^}]*)\}")
_ROLES = {"system": "system", "human": "user", "ai": "assistant", "tool": "tool"}
_MESSAGE = frozenset({"content", "name", "role", "text", "tool_call_id", "tool_calls"})
_BODY = frozenset(
    {
        *("last", "max_tokens", "messages", "model", "prompt", "response_format", "seed", "stop"),
        *("stream", "system", "temperature", "tool_choice", "tools", "top_p"),
    }
)
Role = Literal["system", "user", "assistant", "tool"]


def _compiled(path: str) -> str:
    try:
        _path(path)
    except JMESPathError as error:
        raise ValueError(f"{path!r} is no JMESPath: {' '.join(str(error).split())}") from None
    return path


@functools.lru_cache(maxsize=256)
def _path(path: str) -> Any:
    return jmespath.compile(path)


Path = Annotated[str, AfterValidator(_compiled)]


def _transcript(prompt: str | Transcript) -> str | Transcript:
    if isinstance(prompt, str) and prompt not in TRANSCRIPTS:
        raise ValueError(f"there is no transcript {prompt!r}; there are {', '.join(TRANSCRIPTS)}")
    return prompt


class RequestSpec(BaseModel):
    """How a request is written.

    In texts, `${name}` stands for a value; a text that is nothing else becomes the value itself,
    and where there is none, its key, or its place in a list, is left out. `$$` is a `$`. There are
    `messages`, `prompt` (the conversation as one text), `system` and `last` (the texts of the
    system messages and of the last message), `model`, `temperature`, `max_tokens`, `top_p`, `seed`,
    `stop`, `tools`, `tool_choice`, `response_format`, `stream`, and what `parameters` names.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    body: dict[str, Any] | list[Any]
    """The body."""
    path: str = ""
    """What is appended to the URL."""
    message: dict[str, Any] | str = {"role": "${role}", "content": "${content}"}
    """One of the `messages`: `role`, `content` (text, or a list of parts in OpenAI's form), `text`,
    `name`, `tool_calls` (in OpenAI's form), `tool_call_id`."""
    roles: dict[Role, str] = {}
    """The server's names for the roles `system`, `user`, `assistant` and `tool`."""
    prompt: Annotated[str | Transcript, AfterValidator(_transcript)] = "plain"
    """How `prompt` is written: `plain`, `chatml`, `llama3`, `mistral`, `bare`, or a table."""
    parameters: dict[str, Any] = {}
    """Further call parameters, and their defaults."""
    key_header: str = "Authorization"
    """The header that carries the key."""
    key_prefix: str = "Bearer "
    """What stands before the key there."""

    @model_validator(mode="after")
    def _know_every_name(self) -> "RequestSpec":
        for where, template, known in (
            ("body", self.body, _BODY | self.parameters.keys()),
            ("path", self.path, _BODY | self.parameters.keys()),
            ("message", self.message, _MESSAGE),
        ):
            for name in _names(template):
                if name not in known:
                    raise ValueError(
                        f"{where} names ${{{name}}}, which is not there; there are "
                        f"{', '.join(sorted(known))}"
                    )
        return self


class UsageSpec(BaseModel):
    """Where the counts of tokens stand, as JMESPaths."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_tokens: Path | None = None
    output_tokens: Path | None = None
    cache_read: Path | None = None
    reasoning: Path | None = None


class ResponseSpec(BaseModel):
    """How an answer is read: JMESPaths (https://jmespath.org) into each payload."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    framing: Literal["json", "ndjson", "sse", "text"] = "json"
    """How payloads are told apart: the whole body is one, or a line is, or the data of a
    server-sent event; `text` is no JSON but the answer itself."""
    text: Path | None = None
    """The text, or the next piece of it."""
    reasoning: Path | None = None
    """The reasoning, or the next piece of it."""
    tool_calls: Path | None = None
    """A list of calls: `name`, `arguments` (an object or its JSON), perhaps `id` and `index`; or in
    OpenAI's form."""
    usage: UsageSpec = UsageSpec()
    """Where the counts of tokens stand."""
    finish_reason: Path | None = None
    """Why the answer ended."""
    error: Path | None = None
    """What has failed; where something stands there, the call fails with it."""
    cumulative: bool = False
    """Whether each payload holds all of the text so far."""
    done: Path | None = None
    """What is true once the answer has ended."""
    done_marker: str = "[DONE]"
    """The payload that says that the answer has ended."""

    @model_validator(mode="after")
    def _say_where_the_text_is(self) -> "ResponseSpec":
        if (self.framing == "text") == bool(self.text):
            raise ValueError("text says where the text stands; only framing 'text' has none")
        return self


class WireSpec(BaseModel):
    """A server's own way of speaking: the tables `request` and `response` of an endpoint file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    request: RequestSpec
    response: ResponseSpec

    @functools.cached_property
    def wire(self) -> Wire:
        """The wire that is described."""
        names, response = set(_names(self.request.body)), self.response
        native = "tools" in names and response.tool_calls is not None
        choices = {"auto", "none", "required", "function"} if "tool_choice" in names else ()
        marked = response.framing == "json" or response.done or response.finish_reason
        return Wire(
            write=self._write,
            reader=functools.partial(_Reader, response),
            framing=response.framing,
            quirks=Quirks(
                stream=response.framing != "json",
                ends=bool(marked),
                stop="dropped",
                tools=native,
                tool_choice=frozenset(choices if native else ()),
                response_format="json_schema" if "response_format" in names else "none",
                developer="system",
            ),
            accepts=frozenset(self.request.parameters),
            key_header=self.request.key_header,
            key_prefix=self.request.key_prefix,
        )

    def __hash__(self) -> int:
        """Hash by what it describes."""
        return hash(self.model_dump_json())

    def _write(self, ask: Ask) -> Written:
        spec, asked = self.request, ask.request
        prompt = TRANSCRIPTS[spec.prompt] if isinstance(spec.prompt, str) else spec.prompt
        system = "\n\n".join(each.text for each in asked.messages if each.type == "system")
        values = {
            **spec.parameters,
            "response_format": asked.response_format,
            "tool_choice": asked.tool_choice,
            "tools": asked.tools,
            **ask._replace(quirks=Quirks()).parameters(),
            "last": asked.messages[-1].text if asked.messages else "",
            "messages": [self._message(each) for each in asked.messages],
            "model": ask.model,
            "prompt": prompt.write(asked.messages),
            "stop": ask.stops() or None,
            "stream": bool(ask.quirks.stream),
            "system": system or None,
        }
        path = _HOLE.sub(
            lambda hole: quote(str(values.get(hole[1]) or ""), safe="") if hole[1] else "$",
            spec.path,
        )
        return Written(ask.base_url + path, _filled(spec.body, values), {})

    def _message(self, message: BaseMessage) -> Any:
        (made,) = as_openai([message])
        role: Any = _ROLES.get(message.type, "user")
        values = {
            "content": made.get("content"),
            "name": message.name,
            "role": self.request.roles.get(role, role),
            "text": message.text,
            "tool_call_id": message.tool_call_id if isinstance(message, ToolMessage) else None,
            "tool_calls": made.get("tool_calls") if isinstance(message, AIMessage) else None,
        }
        return _filled(self.request.message, values)


def _names(template: Any) -> Iterator[str]:
    """Yield the names in a template."""
    if isinstance(template, str):
        yield from (hole[1] for hole in _HOLE.finditer(template) if hole[0] != "$$")
    elif isinstance(template, Mapping):
        for each in template.values():
            yield from _names(each)
    elif isinstance(template, list):
        for each in template:
            yield from _names(each)


def _filled(template: Any, values: Mapping[str, Any]) -> Any:
    """Return a template with its holes filled."""
    if isinstance(template, str):
        hole = _HOLE.fullmatch(template)
        if hole and hole[1]:
            return values.get(hole[1])
        return _HOLE.sub(lambda each: _text(values.get(each[1])) if each[1] else "$", template)
    if isinstance(template, Mapping):
        filled = {key: _filled(each, values) for key, each in template.items()}
        return {key: each for key, each in filled.items() if each is not None}
    if isinstance(template, list):
        return [each for item in template if (each := _filled(item, values)) is not None]
    return template


def _text(value: Any) -> str:
    return "" if value is None else str(value)


class _Reader:
    """Reads payloads by their description."""

    def __init__(self, spec: ResponseSpec, ask: Ask) -> None:
        self.ended = False
        self._spec = spec
        self._model = ask.model or "the server"
        self._reason: str | None = None
        self._seen = ""
        self._calls = 0

    def read(self, payload: Any) -> Sequence[Delta]:
        if isinstance(payload, str):  # of the framing `text`
            return [payload]
        spec = self._spec
        if spec.error and (error := self._found(spec.error, payload)):
            raise reported(error, name=self._model, mask=Mask())
        deltas: list[Delta] = []
        if spec.reasoning and (reasoning := self._text(spec.reasoning, payload)):
            deltas.append(Reasoning(reasoning))
        if spec.text and (text := self._text(spec.text, payload)):
            deltas.append(self._new(text) if spec.cumulative else text)
        if spec.tool_calls:
            deltas += self._tool_calls(self._found(spec.tool_calls, payload))
        deltas += self._usage(payload)
        if spec.finish_reason and (reason := self._found(spec.finish_reason, payload)):
            self.ended, self._reason = True, str(reason)
        if spec.framing == "json" or (spec.done and self._found(spec.done, payload)):
            self.ended = True
        return deltas

    @staticmethod
    def _found(path: str, payload: Any) -> Any:
        try:
            return _path(path).search(payload)
        except JMESPathError as error:
            raise OutputError(f"{path!r} does not fit what the server sent: {error}") from None

    def _text(self, path: str, payload: Any) -> str:
        found = self._found(path, payload)
        if isinstance(found, list):
            found = "".join(_text(each) for each in found)
        if isinstance(found, dict):
            raise OutputError(f"{path!r} leads to an object, not to a text: {str(found)[:200]}")
        return _text(found)

    def _new(self, text: str) -> str:
        """Return what of the text so far is new."""
        seen, self._seen = self._seen, text
        if not text.startswith(seen):
            raise OutputError(
                f"the text so far was {seen[-80:]!r} at its end and does not go on from there; "
                "is 'cumulative' right?"
            )
        return text[len(seen) :]

    def _tool_calls(self, calls: Any) -> Iterator[Delta]:
        for call in calls or ():
            function = call.get("function") or call
            if not isinstance(function, Mapping):
                function = call
            index = call.get("index")
            arguments = next(
                (function[key] for key in ("arguments", "args", "input") if key in function), None
            )
            yield ToolCallDelta(
                self._calls if index is None else int(index),
                call.get("id"),
                function.get("name"),
                arguments or ("" if index is not None else {}),
            )
            self._calls += 1

    def _usage(self, payload: Any) -> Iterator[Delta]:
        counts = {
            name: int(count)
            for name, path in self._spec.usage
            if path and (count := self._found(path, payload)) is not None
        }
        if counts:
            yield Usage(
                counts.get("input_tokens"),
                counts.get("output_tokens"),
                {"cache_read": counts["cache_read"]} if "cache_read" in counts else {},
                {"reasoning": counts["reasoning"]} if "reasoning" in counts else {},
            )

    def flush(self) -> Sequence[Delta]:
        return [finished(self._reason, {})]
