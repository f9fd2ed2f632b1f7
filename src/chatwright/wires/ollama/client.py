"""The client's end of Ollama's chat: requests out, answers in."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from chatwright.deltas import Delta, Reasoning
from chatwright.errors import ContentError
from chatwright.langchain.content import REASONING_FIELD
from chatwright.langchain.openai import unread
from chatwright.langchain.request import schema_of
from chatwright.wires.calls import Calls, given
from chatwright.wires.ollama.names import PATH, USAGE
from chatwright.wires.reader import TotalsReader
from chatwright.wires.wire import ROLES, Ask, Written

__all__ = ["ACCEPTS", "Reader", "write"]

_OPTIONS = frozenset(
    {
        *("frequency_penalty", "max_tokens", "min_p", "mirostat", "mirostat_eta", "mirostat_tau"),
        *("num_ctx", "num_gpu", "num_thread", "presence_penalty", "repeat_last_n"),
        *("repeat_penalty", "seed", "temperature", "tfs_z", "top_k", "top_p", "typical_p"),
    }
)
_TOP = frozenset({"keep_alive", "logprobs", "think", "top_logprobs"})
ACCEPTS = _OPTIONS | _TOP
"""Call parameters beside the model's fields."""
_NANOSECONDS_PER_MS = 1e6


def write(ask: Ask) -> Written:
    """Write a request."""
    request = ask.request
    options = ask.parameters(*_OPTIONS)
    if stops := ask.stops():
        options["stop"] = stops
    body: dict[str, Any] = {
        **ask.named(),
        "messages": [*_messages(request.messages)],
        "stream": bool(ask.quirks.stream),
        **ask.parameters(*_TOP),
    }
    if options:
        body["options"] = options
    if request.tools:
        body["tools"] = request.tools
    if request.response_format is not None:
        body["format"] = schema_of(request.response_format) or "json"
    return Written(f"{ask.base_url}{PATH}", body, {})


def _messages(messages: Sequence[BaseMessage]) -> Iterator[dict[str, Any]]:
    """Write messages: results name their tools, as calls have no ids here."""
    names: dict[str | None, str] = {}
    for message in messages:
        if isinstance(message, AIMessage):
            calls = [*message.tool_calls, *message.invalid_tool_calls]
            names |= {each["id"]: each["name"] or "" for each in calls}
        made = _message(message)
        if isinstance(message, ToolMessage):
            name = message.name or names.get(message.tool_call_id)
            made |= {"tool_name": name} if name else {}
        yield made


def _message(message: BaseMessage) -> dict[str, Any]:
    made: dict[str, Any] = {"role": ROLES.get(message.type, message.type), "content": message.text}
    if isinstance(message.content, list) and (images := [*_images(message.content)]):
        made["images"] = images
    if isinstance(message, AIMessage):
        invalid = ((each["name"], unread(each["args"])) for each in message.invalid_tool_calls)
        calls = [*((each["name"], each["args"]) for each in message.tool_calls), *invalid]
        if calls:
            made["tool_calls"] = [
                {"function": {"name": name, "arguments": args}} for name, args in calls
            ]
        if reasoning := message.additional_kwargs.get("reasoning_content"):
            made["thinking"] = reasoning
    return made


def _images(content: Sequence[Any]) -> Iterator[str]:
    for block in content:
        if block["type"] == "image":
            if not block.get("base64"):
                where = block.get("url") or block.get("file_id")
                raise ContentError(
                    f"Ollama takes images as base64 only; fetch what the URL or id {where!r} names"
                )
            yield block["base64"]


class Reader(TotalsReader):
    """Reads lines; the last one has `done` and the counts."""

    def __init__(self, ask: Ask) -> None:
        """Start with nothing."""
        del ask
        super().__init__()
        self._calls = Calls()

    def read(self, payload: Any) -> Sequence[Delta]:
        """Return what a payload says."""
        said = self._message(payload.get("message") or {})
        if not payload.get("done"):
            return [*said] if self._introduced else [*self._introduce(payload), *said]
        self.ended, self._reason = True, given(payload.get("done_reason"))
        durations = ("total_duration", "load_duration", "eval_duration")
        self._metadata["timings"] = {
            f"{name.removesuffix('_duration')}_ms": payload[name] / _NANOSECONDS_PER_MS
            for name in durations
            if name in payload
        } or None
        # What is known of the answer goes first: its text may end it.
        return [self._counted(USAGE, payload), *self._introduce(payload), *said]

    def knows(self, payload: Any) -> bool:
        """Tell whether a payload is part of an answer: a message, or its end."""
        return isinstance(payload.get("message"), Mapping) or payload.get("done") is True

    def _message(self, message: Mapping[str, Any]) -> Iterator[Delta]:
        if thinking := message.get("thinking"):
            self._learn(REASONING_FIELD, "thinking")
            yield Reasoning(thinking)
        if text := message.get("content"):
            yield text
        for each in message.get("tool_calls") or ():  # each comes whole
            function, call = each.get("function") or {}, self._calls.new()
            args = function.get("arguments") or {}
            yield from call.whole(args, each.get("id"), function.get("name"))
            yield from call.end()
