"""The server's end of Anthropic's Messages: requests in, answers out."""

from collections.abc import Iterator, Mapping
from typing import Any

from chatwright.deltas import Delta, Finish, Reasoning, ToolCallDelta, Usage
from chatwright.wires.anthropic.names import ERRORS, REASONS, USAGE
from chatwright.wires.asked import Asked, text_of
from chatwright.wires.framing import named_sse_event
from chatwright.wires.wire import error_kind
from chatwright.wires.writer import CallSoFar
from chatwright.wires.writer import Writer as BaseWriter

__all__ = ["Writer", "error", "read"]

_SIGNATURE = "c2lnbmF0dXJl"
"""Of thoughts: they have to carry one."""


def read(body: Mapping[str, Any]) -> Asked:
    """Read a request."""
    system = text_of(body.get("system") or "")
    choice = body.get("tool_choice")
    choice = choice if isinstance(choice, Mapping) else {}
    named = {"type": "function", "function": {"name": choice.get("name")}}
    return Asked(
        model=body.get("model"),
        messages=[
            *([("system", system)] if system else []),
            *(told for each in body["messages"] for told in _told(each)),
        ],
        tools={
            each["name"]: each["input_schema"]
            for each in body.get("tools") or ()
            if "input_schema" in each
        },
        tool_choice=named
        if choice.get("type") == "tool"
        else {"any": "required"}.get(str(choice.get("type")), choice.get("type")),
        stop=[each for each in body.get("stop_sequences") or () if each],
        stream=bool(body.get("stream")),
    )


def _told(message: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a message tells: the results of tools, which stand in the user's, and the rest."""
    content = message["content"]
    blocks = content if isinstance(content, list) else []
    results = [each for each in blocks if each["type"] == "tool_result"]
    yield from (("tool", text_of(each.get("content"))) for each in results)
    rest = [each for each in blocks if each["type"] != "tool_result"] if blocks else content
    if rest or not results:
        yield message["role"], text_of(rest)


class Writer(BaseWriter):
    """Writes an answer as events, or as one message.

    A `Finish` whose metadata has a `stop_sequence` reports it.
    """

    encode = staticmethod(named_sse_event)

    def __init__(self, asked: Asked) -> None:
        """Start with nothing."""
        super().__init__(asked)
        self._blocks = 0
        self._open: dict[str | int, int] = {}  # blocks by what they hold: a kind, or which call

    def _head(self, first: Delta | None) -> Iterator[Any]:
        counts = self.known or Usage(0)
        begun = 1 if counts.output_tokens is None else min(1, counts.output_tokens)
        yield {
            "type": "message_start",
            "message": {
                **self._message(),
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {**USAGE.write(counts), "output_tokens": begun},
            },
        }

    def _payloads(self, delta: Delta) -> Iterator[Any]:
        match delta:
            case str():
                more = {"type": "text_delta", "text": delta}
                yield from self._piece("text", {"type": "text", "text": ""}, more)
            case Reasoning():
                thought = {"type": "thinking", "thinking": "", "signature": ""}
                more = {"type": "thinking_delta", "thinking": delta.text}
                yield from self._piece("thinking", thought, more)
            case ToolCallDelta():
                call: Mapping[str, Any] = {"id": delta.id, "name": delta.name, "input": {}}
                more = {"type": "input_json_delta", "partial_json": str(delta.args)}
                yield from self._piece(delta.index, {"type": "tool_use", **call}, more)

    def _piece(self, key: str | int, start: Any, more: Any) -> Iterator[Any]:
        """Yield a piece of a block, after its start if it is the first one."""
        if key not in self._open:
            # A call goes on until its arguments are whole, whatever comes in between.
            calls: Mapping[Any, CallSoFar] = self.totals.calls
            ended = [each for each in self._open if each not in calls or calls[each].is_whole]
            yield from self._close(ended)
            self._open[key], self._blocks = self._blocks, self._blocks + 1
            index = self._open[key]
            yield {"type": "content_block_start", "index": index, "content_block": start}
        yield {"type": "content_block_delta", "index": self._open[key], "delta": more}

    def _close(self, keys: list[str | int]) -> Iterator[Any]:
        for key in keys:
            index = self._open.pop(key)
            if key == "thinking":
                delta = {"type": "signature_delta", "signature": _SIGNATURE}
                yield {"type": "content_block_delta", "index": index, "delta": delta}
            yield {"type": "content_block_stop", "index": index}

    def _tail(self) -> Iterator[Any]:
        yield from self._close([*self._open])
        end = self._end()
        usage = end.pop("usage")
        yield {"type": "message_delta", "delta": end, "usage": usage}
        yield {"type": "message_stop"}

    def fail(self, status: int, message: str) -> list[bytes]:
        """Return the pieces of the stream that end it with an error."""
        return [self.encode(error(status, message))]

    def _message(self) -> dict[str, Any]:
        return {
            "id": f"msg_{self.asked.number}",
            "type": "message",
            "role": "assistant",
            "model": self.asked.model,
        }

    def _end(self) -> dict[str, Any]:
        totals = self.totals
        reason = REASONS.get(totals.reason, totals.reason)
        stop = (totals.finish or Finish()).metadata.get("stop_sequence")
        made: dict[str, Any] = {
            "stop_reason": "stop_sequence" if stop else reason,
            "stop_sequence": stop,
            "usage": USAGE.write(totals.usage or Usage()),  # the wire has them always
        }
        if totals.refusal is not None:
            why = {"type": "refusal", "category": None, "explanation": totals.refusal or None}
            made |= {"stop_reason": "refusal", "stop_details": why}
        return made

    def whole(self) -> Mapping[str, Any]:
        """Return the answer as one message."""
        totals = self.totals
        content: list[dict[str, Any]] = []
        if thinking := totals.reasoning:
            content.append({"type": "thinking", "thinking": thinking, "signature": _SIGNATURE})
        if text := totals.text:
            content.append({"type": "text", "text": text})
        content += [
            {"type": "tool_use", "id": each.id, "name": each.name, "input": each.parsed()}
            for each in totals.calls.values()
        ]
        return {**self._message(), "content": content, **self._end()}


def error(status: int, message: str) -> Mapping[str, Any]:
    """Write an error."""
    return {
        "type": "error",
        "error": {"type": error_kind(ERRORS, status), "message": message},
    }
