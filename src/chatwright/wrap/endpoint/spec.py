"""`WireSpec`: a server's own way of speaking, described by data."""

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import quote

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from chatwright.errors import ContentError
from chatwright.langchain.openai import as_openai
from chatwright.langchain.transcript import Transcript, known_transcript, transcript
from chatwright.wires.quirks import Quirks
from chatwright.wires.wire import ROLES, Ask, Wire, Written
from chatwright.wrap.described import DescribedReader, ResponseSpec, as_text

__all__ = ["WireSpec"]

_HOLE = re.compile(r"\$\$|\$\{([^}]*)\}")
_MESSAGE = frozenset({"content", "name", "role", "text", "tool_call_id", "tool_calls"})
_BODY = frozenset(
    {
        *(
            "key",
            "last",
            "max_tokens",
            "messages",
            "model",
            "prompt",
            "response_format",
            "seed",
            "stop",
        ),
        *("stream", "system", "temperature", "tool_choice", "tools", "top_p"),
    }
)
Role = Literal["system", "user", "assistant", "tool"]


class RequestSpec(BaseModel):
    """How a request is written.

    In texts, `${name}` stands for a value; a text that is nothing else becomes the value itself,
    and where there is none, its key, or its place in a list, is left out. `$$` is a `$`. There are
    `messages`, `prompt` (the conversation as one text), `system` and `last` (the texts of the
    system messages and of the last message), `model`, `temperature`, `max_tokens`, `top_p`, `seed`,
    `stop`, `tools`, `tool_choice`, `response_format`, `stream`, `key` (only for itself: the key, if
    it is no function), and what `parameters` names. `messages` and `prompt` leave out what `system`
    or `last` stand for beside them; an object or a list in which nothing is left is left out, too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    body: dict[str, Any] | list[Any] | str
    """The body."""
    method: Annotated[str, Field(pattern="^[A-Z]+$")] | None = None
    """The HTTP method. Default: `POST`; `GET` where the encoding is `query`."""
    encoding: Literal["json", "form", "multipart", "query", "text"] = "json"
    """How the body is written: as `application/json`, `application/x-www-form-urlencoded`,
    `multipart/form-data`, into the URL's query, or bare. The body of a form or a query is an
    object; what in it is an object itself, or a list of some, is written as JSON."""
    path: str = ""
    """What is appended to the URL."""
    message: dict[str, Any] | str = {"role": "${role}", "content": "${content}"}
    """One of the `messages`: `role`, `content` (text, or a list of parts in OpenAI's form), `text`,
    `name`, `tool_calls` (in OpenAI's form), `tool_call_id`."""
    roles: dict[Role, str] = {}
    """The server's names for the roles `system`, `user`, `assistant` and `tool`."""
    prompt: Annotated[str | Transcript, AfterValidator(known_transcript)] = "auto"
    """How `prompt` is written: `plain`, `chatml`, `llama3`, `mistral`, `bare`, or a table of a
    `Transcript`. `auto`: a lone message bare, anything else `plain`."""
    parameters: dict[str, Any] = {}
    """Further call parameters, and their defaults."""
    key_header: str = "Authorization"
    """The header that carries the key; empty where `${key}` has it in the body."""
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
        if self.encoding in {"form", "multipart", "query"} and not isinstance(self.body, dict):
            raise ValueError(f"body has to be an object for the encoding {self.encoding!r}")
        if self.encoding == "text" and not isinstance(self.body, str):
            raise ValueError("body has to be a text for the encoding 'text'")
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
        marker = "done_marker" in response.model_fields_set
        marked = response.framing == "json" or response.done or response.finish_reason or marker
        return Wire(
            write=self._write,
            reader=self._reader,
            framing=response.framing,
            quirks=Quirks(
                stream=response.framing != "json",
                ends=bool(marked),
                stop="dropped",
                tools=native,
                tool_choice=frozenset(choices if native else ()),
                response_format="json_schema" if "response_format" in names else "none",
                developer="system",
                inputs=frozenset(),
            ),
            accepts=frozenset(self.request.parameters),
            says_stream="stream" in {*names, *_names(self.request.path)},
            key_header=self.request.key_header,
            key_prefix=self.request.key_prefix,
            done_marker=response.done_marker,
        )

    def __getstate__(self) -> dict[Any, Any]:
        """Pickle what it describes, without what was made of it."""
        state = super().__getstate__()
        kept = {name: value for name, value in state["__dict__"].items() if name != "wire"}
        return {**state, "__dict__": kept}

    def __hash__(self) -> int:
        """Hash by what it describes."""
        return hash(self.model_dump_json())

    def _reader(self, ask: Ask) -> DescribedReader:
        del ask
        return DescribedReader(self.response)

    def _write(self, ask: Ask) -> Written:
        spec, asked = self.request, ask.request
        others = self._others(asked.messages)
        self._check_media(asked.messages, others)
        system = "\n\n".join(each.text for each in asked.messages if each.type == "system")
        values = {
            **spec.parameters,
            "response_format": asked.response_format,
            "tool_choice": asked.tool_choice,
            "tools": asked.tools,
            **ask._replace(quirks=Quirks()).parameters(),
            "key": _key(ask.values.get("api_key")),
            "last": asked.messages[-1].text if asked.messages else "",
            "messages": [self._message(each) for each in others],
            "model": ask.model,
            "prompt": transcript(spec.prompt, others).write(others),
            "stop": ask.stops() or None,
            "stream": bool(ask.quirks.stream),
            "system": system or None,
        }
        path = _HOLE.sub(
            lambda hole: quote(str(values.get(hole[1]) or ""), safe="") if hole[1] else "$",
            spec.path,
        )
        body = _filled(spec.body, values)
        return Written(
            ask.base_url + path,
            type(spec.body)() if body is None else body,
            {},
            method=spec.method or ("GET" if spec.encoding == "query" else "POST"),
            encoding=spec.encoding,
        )

    def _check_media(self, messages: Sequence[BaseMessage], others: Sequence[BaseMessage]) -> None:
        """Refuse a medium that the description has no place for.

        Raises:
            ContentError: Its message goes out as text, or has its content left out.
        """
        carries = "messages" in _names(self.request.body)
        carries = carries and "content" in _names(self.request.message)
        for message in messages:
            blocks = message.content if isinstance(message.content, list) else []
            kinds = [b["type"] for b in blocks if isinstance(b, dict) and b["type"] != "text"]
            if kinds and not (carries and message in others):
                raise ContentError(
                    f"the description of this server has no place for {kinds[0]!r} content: its "
                    "`messages`, with a `message` that has ${content}, would carry it"
                )

    def _others(self, messages: Sequence[BaseMessage]) -> Sequence[BaseMessage]:
        """Return the messages that no other name in the body stands for."""
        names = set(_names(self.request.body))
        if "last" in names:
            messages = messages[:-1]
        return [each for each in messages if each.type != "system" or "system" not in names]

    def _message(self, message: BaseMessage) -> Any:
        (made,) = as_openai([message])
        role: Any = ROLES.get(message.type, "user")
        values = {
            "content": made.get("content"),
            "name": message.name,
            "role": self.request.roles.get(role, role),
            "text": message.text,
            "tool_call_id": message.tool_call_id if isinstance(message, ToolMessage) else None,
            "tool_calls": made.get("tool_calls") if isinstance(message, AIMessage) else None,
        }
        return _filled(self.request.message, values)


def _key(key: Any) -> Any:
    return None if callable(key) else key


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
    """Return a template with its holes filled; None for what is left empty by them."""
    if isinstance(template, str):
        hole = _HOLE.fullmatch(template)
        if hole and hole[1]:
            return values.get(hole[1])
        return _HOLE.sub(lambda each: as_text(values.get(each[1])) if each[1] else "$", template)
    if isinstance(template, Mapping):
        filled = {key: _filled(each, values) for key, each in template.items()}
        kept = {key: each for key, each in filled.items() if each is not None}
        return kept if kept or not template else None
    if isinstance(template, list):
        items = [each for item in template if (each := _filled(item, values)) is not None]
        return items if items or not template else None
    return template
