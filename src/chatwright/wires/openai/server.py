"""The server's end of OpenAI's chat completions: requests in, answers out."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from chatwright.deltas import Delta, Reasoning, Refusal, ToolCallDelta, Usage
from chatwright.wires.asked import Asked, text_of
from chatwright.wires.framing import sse_event
from chatwright.wires.openai.dialects import Dialect
from chatwright.wires.openai.names import DONE, ERRORS
from chatwright.wires.wire import error_kind
from chatwright.wires.writer import CallSoFar
from chatwright.wires.writer import Writer as BaseWriter

__all__ = ["Writer", "done", "error", "read"]


FINGERPRINT = "fp_chatwright"
"""Which configuration of the backend answers: some clients insist on one."""


def read(body: Mapping[str, Any]) -> Asked:
    """Read a request."""
    wanted = body.get("response_format")
    stop = body.get("stop") or []
    return Asked(
        model=body.get("model"),
        messages=[(each["role"], text_of(each.get("content"))) for each in body["messages"]],
        tools={
            each["function"]["name"]: each["function"].get("parameters", {})
            for each in body.get("tools") or ()
            if "function" in each
        },
        tool_choice=body.get("tool_choice"),
        schema=wanted and (wanted.get("json_schema") or {}).get("schema", {}),
        stop=[stop] if isinstance(stop, str) else stop,
        stream=bool(body.get("stream")),
    )


class Writer(BaseWriter):
    """Writes an answer as chunks, or as one completion.

    Args:
        asked: What was asked.
        dialect: The provider's own way.
    """

    encode = staticmethod(sse_event)
    index = 0
    """Which of several answers it is."""

    def __init__(self, asked: Asked, dialect: Dialect) -> None:
        """Start with nothing."""
        super().__init__(asked)
        self._dialect = dialect

    @property
    def reason(self) -> str:
        """Why the answer ended: a refusal stands in its message here."""
        return "stop" if self.totals.reason == "refusal" else self.totals.reason

    def _head(self, first: Delta | None) -> Iterator[Any]:
        # As OpenAI's own, where an answer is nothing but calls.
        called = isinstance(first, ToolCallDelta) and not self._dialect.whole_calls
        yield self._chunk({"role": "assistant", "content": None if called else ""})

    def _payloads(self, delta: Delta) -> Iterator[Any]:
        match delta:
            case str():
                yield self._chunk({"content": delta})
            case Reasoning():
                yield self._chunk({self._dialect.reasoning: delta.text})
            case Refusal():
                yield self._chunk({"refusal": delta.text})
            case ToolCallDelta() if not self._dialect.whole_calls:
                name = {"name": delta.name} if delta.name else {}
                call = {"index": delta.index, "function": {"arguments": delta.args, **name}}
                if delta.id is not None:
                    call |= {"id": delta.id, "type": "function"}
                yield self._chunk({"tool_calls": [call]})

    def _tail(self) -> Iterator[Any]:
        dialect, totals = self._dialect, self.totals
        empty = {}
        if dialect.whole_calls:
            empty = {"content": ""}
            calls = [{"index": n, **call} for n, call in enumerate(_calls(totals.calls.values()))]
            if calls:
                yield self._chunk({**empty, "tool_calls": calls})
        end = self._chunk(empty, self.reason)
        counts = dialect.counts.write(totals.usage) if totals.usage else None
        if dialect.usage and counts:
            yield _placed({**end, **dialect.last}, dialect.usage, counts)
            return
        yield end
        if totals.usage and self.tells_usage:
            yield self._told(totals.usage)

    def _told(self, usage: Usage) -> dict[str, Any]:
        counts = self._dialect.counts.write(usage)
        return {**self._about("chat.completion.chunk"), "choices": [], "usage": counts}

    def told(self, usage: Usage) -> list[bytes]:
        """Return the piece of a stream that tells the tokens spent."""
        return self._encoded([self._told(usage)])

    def ending(self) -> list[bytes]:
        """Return the pieces of the stream that end this answer, after which others may go on."""
        return super().end()

    def end(self) -> list[bytes]:
        """Return the pieces of the stream that end it."""
        return [*self.ending(), done()]

    def fail(self, status: int, message: str) -> list[bytes]:
        """Return the pieces of the stream that end it with an error."""
        return [self.encode(error(status, message)), done()]

    def _about(self, kind: str, prefix: str = "chatcmpl") -> dict[str, Any]:
        return {
            "id": f"{prefix}-{self.asked.number}",
            "object": kind,
            "created": int(self.asked.created),
            "model": self.asked.model,
            "system_fingerprint": FINGERPRINT,
        }

    def _chunk(self, delta: Mapping[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": self.index, "delta": delta, "finish_reason": reason}
        return {**self._about("chat.completion.chunk"), "choices": [choice]}

    def whole(self) -> Mapping[str, Any]:
        """Return the answer as one completion."""
        totals = self.totals
        message: dict[str, Any] = {
            "role": "assistant",
            "content": totals.text or (None if totals.calls or totals.refusal else ""),
            "refusal": totals.refusal,
        }
        if totals.reasoning:
            message[self._dialect.reasoning] = totals.reasoning
        if totals.calls:
            message["tool_calls"] = _calls(totals.calls.values())
        ending = {"finish_reason": self.reason, "logprobs": None}
        choice = {"index": self.index, "message": message, **ending}
        made = {**self._about("chat.completion"), "choices": [choice]}
        counts = self._dialect.counts
        return {**made, "usage": counts.write(totals.usage)} if totals.usage else made


def done() -> bytes:
    """Return the piece of a stream that says that nothing more comes."""
    return f"data: {DONE}\n\n".encode()


def _calls(calls: Iterable[CallSoFar]) -> list[dict[str, Any]]:
    return [
        {
            "id": each.id,
            "type": "function",
            "function": {"name": each.name, "arguments": each.arguments},
        }
        for each in calls
    ]


def _placed(fields: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Return the fields with a value at a path."""
    name, *rest = path
    inner = _placed(fields.get(name) or {}, tuple(rest), value) if rest else value
    return {**fields, name: inner}


def error(status: int, message: str) -> Mapping[str, Any]:
    """Write an error."""
    kind = error_kind(ERRORS, 400 if status < 500 else 500)  # noqa: PLR2004  whose fault it is
    code = error_kind(ERRORS, status)
    fields = {"message": message, "type": kind, "param": None, "code": code}
    return {"error": fields if code != kind else {**fields, "code": None}}
