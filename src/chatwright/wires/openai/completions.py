"""The server's end of OpenAI's completions, which came before chat completions."""

from collections.abc import Iterator, Mapping
from typing import Any

from chatwright.deltas import Delta, Refusal, Usage
from chatwright.wires.asked import Asked
from chatwright.wires.openai import server
from chatwright.wires.openai.dialects import OPENAI
from chatwright.wires.wire import Server

__all__ = ["SERVER"]

_REASONS = frozenset({"content_filter", "length", "stop"})
"""What it knows of how an answer ends: there are no calls."""


def _read(body: Mapping[str, Any]) -> Asked:
    return Asked(
        model=body.get("model"),
        messages=[("user", str(body.get("prompt")))],
        stream=bool(body.get("stream")),
    )


class _Writer(server.Writer):
    """Writes an answer's text as chunks, or as one completion; it has no place for reasoning."""

    has_calls = False

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked, OPENAI)

    def _head(self, first: Delta | None) -> Iterator[Any]:
        yield from ()

    def _payloads(self, delta: Delta) -> Iterator[Any]:
        match delta:
            case str() as text:
                yield self._made(text, None)
            case Refusal():
                yield self._made(delta.text, None)

    def _tail(self) -> Iterator[Any]:
        yield self._made("", self.totals.reason)
        if self.totals.usage and self.tells_usage:
            yield self._told(self.totals.usage)

    def _told(self, usage: Usage) -> dict[str, Any]:
        counts = OPENAI.counts.write(usage)
        return {**self._about("text_completion", "cmpl"), "choices": [], "usage": counts}

    def _made(self, text: str, reason: str | None) -> dict[str, Any]:
        known = reason if reason is None or reason in _REASONS else "stop"
        choice = {"index": self.index, "text": text, "finish_reason": known, "logprobs": None}
        return {**self._about("text_completion", "cmpl"), "choices": [choice]}

    def whole(self) -> Mapping[str, Any]:
        """Return the answer as one completion."""
        totals = self.totals
        made = self._made(totals.text + (totals.refusal or ""), totals.reason)
        usage = {"usage": OPENAI.counts.write(totals.usage)} if totals.usage else {}
        return {**made, **usage}


SERVER = Server(read=_read, writer=_Writer, error=server.error)
