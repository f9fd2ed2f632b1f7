"""What is asked: one row of a batch, which is known by its content and never by its number."""

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage, message_to_dict

from chatwright.errors import InvalidRequestError
from chatwright.langchain.model import ChatModel
from chatwright.run.batch.index import mark
from chatwright.run.batch.inputs import Record
from chatwright.run.batch.template import Template, UnreadRowError, quoted
from chatwright.run.serve.apis import APIS
from chatwright.wires import jsonio
from chatwright.wires.openai.request import ChatCompletion
from chatwright.wires.prompt import Prompt

__all__ = ["IDS", "Job", "Row"]

IDS = ("custom_id", "id")
"""The columns that hold a row's id, unless another one is named."""
_PROMPT = "prompt"
_MESSAGES = "messages"
_BODIES = {path.removeprefix("/v1"): api.body for api in APIS for path in api.paths}
_OF_A_REQUEST = ChatCompletion.model_fields.keys() - {"model", "stream", "stream_options"}
"""The columns beside `messages` that are a request's own fields; others are the user's."""
_ONE_ANSWER = {"n": 1}


@dataclass(slots=True)
class Row:
    """One row.

    Args:
        key: What it is known by: 16 bytes, a hash of its content, and of all that shapes the
            answer.
        id: Its own name, where it has one.
        place: Where it stands in the input, for people.
        asked: What it asks: a text; or LangChain's messages; or a request of a wire.
        problem: Why it can't be asked; empty if it can.
        number: Its number among the equal rows that have no id, from 1.
    """

    key: bytes
    id: str | None
    place: str
    asked: Any
    problem: str = ""
    number: int = 1

    @property
    def name(self) -> str:
        """What its result is called: its id, or its key."""
        if self.id is not None:
            return self.id
        key = self.key.hex()
        return key if self.number == 1 else f"{key}-{self.number}"

    @property
    def size(self) -> int:
        """How long what it asks is, in bytes: what has no more tokens than that."""
        asked = self.asked
        if type(asked) is str:
            return len(asked.encode("utf-8", "replace"))
        if type(asked) is list:
            return sum(len(str(each.content).encode("utf-8", "replace")) for each in asked)
        return len(json.dumps(asked[1], default=str, ensure_ascii=False).encode("utf-8", "replace"))

    def own(self, name: str) -> Any:
        """Return a parameter that the row sets for itself; None where it does not."""
        return self.asked[1].get(name) if type(self.asked) is tuple else None

    @property
    def messages(self) -> int:
        """How many messages it has."""
        asked = self.asked
        if type(asked) is str:
            return 1
        return len(asked) if type(asked) is list else len(asked[1].get(_MESSAGES, ())) or 1

    @property
    def mark(self) -> bytes:
        """What its result is known by."""
        return mark(self.key, None if self.id is None and self.number == 1 else self.name)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is asked of which model with every row.

    Args:
        model: The model.
        name: What the model is called.
        prompt: A text with columns in braces, `"Translate: {text}"`; None for a row's own prompt.
        system: The system message of each row that has none.
        response_format: What answers conform to, in OpenAI's form; None for text.
        tools: Tools in OpenAI's form, for each row that has none.
        parameters: Parameters of every call, such as `temperature`; a row's own come first.
        id_column: The column that holds a row's id. Default None: `custom_id`, or `id`.
    """

    model: ChatModel
    name: str
    prompt: str | None = None
    system: str | None = None
    response_format: Mapping[str, Any] | None = None
    tools: Sequence[Mapping[str, Any]] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    id_column: str | None = None
    _template: Template | None = field(default=None, init=False, repr=False, compare=False)
    _digest: bytes = field(default=b"", init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Look at the prompt.

        Raises:
            ParameterError: It has a brace too many, or more than a column's name between two.
        """
        template = None if self.prompt is None else Template(self.prompt)
        told = jsonio.sorted_dumps({**self.fingerprint(), "job": 1})
        object.__setattr__(self, "_template", template)
        object.__setattr__(self, "_digest", hashlib.blake2b(told, digest_size=32).digest())

    def fingerprint(self) -> dict[str, Any]:
        """Return what tells this job from another one, for the manifest."""
        told = {
            "model": self.name,
            "settings": _settings(self.model),
            "prompt": self.prompt,
            "system": self.system,
            "response_format": self.response_format,
            "tools": self.tools,
            "parameters": self.parameters,
        }
        plain: dict[str, Any] = json.loads(json.dumps(told, sort_keys=True, default=_plain))
        return plain

    def row(self, record: Record) -> Row:
        """Return what a record asks: a row that says why, where it can't be asked."""
        value, own = record.value, None
        if record.problem:
            with contextlib.suppress(UnreadRowError):
                own = self._id(value)
            return Row(self._key(b"unread", record.raw), own, record.place, None, record.problem)
        try:
            own = self._id(value)
            asked = self._asked(value)
            said = _said(asked)
        except UnreadRowError as error:
            raw = _raw(value)
            return Row(self._key(b"unread", raw), own, record.place, None, str(error))
        return Row(self._key(b"", said), own, record.place, asked)

    def ask(self, row: Row) -> Prompt:
        """Return what is asked of the model.

        Raises:
            InvalidRequestError: The row holds what no model can be asked.
        """
        asked = row.asked
        if type(asked) is str:
            messages: list[BaseMessage] = [HumanMessage(asked)]
            prompt = None
        elif type(asked) is list:
            messages, prompt = [*asked], None
        else:
            body, fields = asked
            prompt = body.read({**_ONE_ANSWER, "model": self.name, **fields}).prompt()
            if prompt.answers != 1:
                raise InvalidRequestError("n: a row has one answer; leave it out")
            messages = [*prompt.messages]
        if self.system is not None and not isinstance(messages[0], SystemMessage):
            messages.insert(0, SystemMessage(self.system))
        return self._filled(messages, prompt)

    def _filled(self, messages: Sequence[BaseMessage], own: Prompt | None) -> Prompt:
        """Return a row's prompt with what the job has for those that lack it."""
        own = own or Prompt(messages=messages)
        given = dict(self.parameters)
        stop = given.pop("stop", ())
        return Prompt(
            messages=messages,
            tools=own.tools or self.tools,
            tool_choice=own.tool_choice,
            response_format=own.response_format or self.response_format,
            stop=own.stop or stop,
            parameters={**given, **own.parameters},
            ignored=own.ignored,
        )

    def _key(self, kind: bytes, said: bytes) -> bytes:
        return hashlib.blake2b(said, digest_size=16, key=self._digest, person=kind).digest()

    def _id(self, value: Any) -> str | None:
        if type(value) is not dict and not isinstance(value, Mapping):
            return None
        for name in (self.id_column,) if self.id_column else IDS:
            own = value.get(name)
            if own is None:
                continue
            if isinstance(own, str) and own:
                return own
            if isinstance(own, int) and not isinstance(own, bool):
                return str(own)
        if self.id_column:
            found = quoted(value.get(self.id_column))
            raise UnreadRowError(f"the id in {self.id_column!r} is {found}; a text is needed")
        return None

    def _asked(self, value: Any) -> Any:
        if self._template is not None:
            return self._template.filled(value)
        if isinstance(value, str):
            return value
        if type(value) is dict or isinstance(value, Mapping):
            return self._columns(value)
        if isinstance(value, Sequence) and value:
            return _messages(value)
        raise UnreadRowError(f"{quoted(value)} is no prompt: a text, messages or columns are")

    def _columns(self, value: Mapping[str, Any]) -> Any:
        body, talk = value.get("body"), value.get(_MESSAGES)
        if body is not None and isinstance(body, Mapping):
            return _of_batch(value, body)
        if isinstance(talk, list | tuple) and talk:
            if isinstance(talk[0], BaseMessage):
                return _messages(talk)
            named = {k: v for k, v in value.items() if k in _OF_A_REQUEST}
            return ChatCompletion, {**named, _MESSAGES: [*talk]}
        if _PROMPT in value or _MESSAGES in value:
            name = _PROMPT if _PROMPT in value else _MESSAGES
            return _text(value[name], name)
        columns = [name for name in value if name not in (*IDS, self.id_column)]
        if len(columns) == 1:
            return _text(value[columns[0]], columns[0])
        shown = ", ".join(map(repr, columns[:8])) or "none"
        raise UnreadRowError(
            f"it has no column 'prompt' or 'messages'; say which of its columns ({shown}) to ask: "
            "--prompt '{column}'"
        )


def _text(value: Any, column: str) -> str:
    if not isinstance(value, str):
        raise UnreadRowError(f"{column!r} is {quoted(value)}; a text is needed")
    if not value.strip():
        raise UnreadRowError(f"{column!r} is empty")
    return value


def _of_batch(value: Mapping[str, Any], body: Mapping[str, Any]) -> Any:
    """Return the request in a line of one of OpenAI's batch files."""
    url = str(value.get("url") or "/v1/chat/completions")
    reader = _BODIES.get(url.removeprefix("/v1"))
    if reader is None:
        raise UnreadRowError(f"url: {url!r} is none of {', '.join(sorted(_BODIES))}")
    return reader, {k: v for k, v in body.items() if k not in {"model", "stream"}}


def _messages(value: Sequence[Any]) -> Any:
    if all(isinstance(each, BaseMessage) for each in value):
        return [*value]
    if all(isinstance(each, Mapping) for each in value):
        return ChatCompletion, {_MESSAGES: [*value]}
    raise UnreadRowError("a list has to hold messages: LangChain's, or OpenAI's objects")


def _said(asked: Any) -> bytes:
    """Return what is asked as bytes that are equal for equal things alone."""
    if type(asked) is str:
        return b"t" + asked.encode("utf-8", "surrogatepass")
    if type(asked) is list:
        told = [{**message_to_dict(each), "id": None} for each in asked]
        for each in told:
            each["data"].pop("id", None)
        return b"m" + _dumped(told)
    reader, fields = asked
    name: str = reader.__name__
    return b"r" + name.encode() + _dumped(fields)


def _dumped(value: Any) -> bytes:
    try:
        return jsonio.sorted_dumps(value)
    except (TypeError, ValueError) as error:
        raise UnreadRowError(f"it holds what JSON can't: {error}") from None


def _raw(value: Any) -> bytes:
    try:
        return jsonio.sorted_dumps(value)
    except (TypeError, ValueError):
        return repr(value)[:4096].encode("utf-8", "surrogatepass")


_NOT_ITS_ANSWERS = frozenset(
    {
        *("connect_timeout", "first_token_timeout", "timeout", "token_timeout"),
        *("max_retries", "retry_after_limit", "tool_retries"),
        *("fast", "proxy", "trust_env", "verify", "streaming", "price"),
        *("n_batch", "n_parallel", "n_threads", "n_gpu_layers"),
    }
)
"""What may be changed before a resume: how a model is reached, not what it answers."""


def _settings(model: ChatModel) -> dict[str, Any]:
    """Return what tells a model's answers from another one's, as far as it says, and no secret."""
    inner = getattr(model, "runnable", None)
    told = dict(model._identifying_params)  # noqa: SLF001  core's own word for it
    if isinstance(inner, BaseChatModel):
        told |= dict(inner._identifying_params)  # noqa: SLF001  likewise
    return {name: each for name, each in told.items() if name not in _NOT_ITS_ANSWERS}


def _plain(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))
