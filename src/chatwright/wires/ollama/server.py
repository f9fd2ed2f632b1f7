"""The server's end of Ollama's chat: requests in, answers out."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from chatwright.deltas import Delta, Reasoning, Refusal
from chatwright.wires.asked import Asked
from chatwright.wires.framing import json_line
from chatwright.wires.ollama.names import USAGE
from chatwright.wires.openai import server as openai
from chatwright.wires.writer import CallSoFar
from chatwright.wires.writer import Writer as BaseWriter

__all__ = ["Writer", "error", "read"]


def read(body: Mapping[str, Any]) -> Asked:
    """Read a request."""
    wanted = body.get("format")
    asked = openai.read({"messages": [], **body, "stop": (body.get("options") or {}).get("stop")})
    return replace(
        asked,
        schema={} if wanted == "json" else wanted or None,
        stream=bool(body.get("stream", True)),
    )


class Writer(BaseWriter):
    """Writes an answer as lines, or as one object; a refusal is text, as the wire has no other."""

    encode = staticmethod(json_line)

    def __init__(self, asked: Asked) -> None:
        """Start with nothing."""
        super().__init__(asked)
        self._first = 0.0  # when the answer began

    def feed(self, delta: Delta) -> list[bytes]:
        """Take the next delta, and return the lines that it makes."""
        self._first = self._first or time.time()
        return super().feed(delta)

    def _durations(self) -> dict[str, int]:
        """Return how long it took, in nanoseconds: clients tell tokens per second by it."""
        now = time.time()
        begun = self._first or now
        return {
            "total_duration": int((now - self.asked.created) * 1e9),
            "load_duration": 0,
            "prompt_eval_duration": int((begun - self.asked.created) * 1e9),
            "eval_duration": int((now - begun) * 1e9),
        }

    def _payloads(self, delta: Delta) -> Iterator[Any]:
        match delta:
            case str():
                yield self._line({"content": delta})
            case Reasoning():
                yield self._line({"thinking": delta.text})
            case Refusal():
                yield self._line({"content": delta.text})

    def _tail(self) -> Iterator[Any]:
        if self.totals.calls:  # Ollama sends each call whole
            yield self._line({"tool_calls": _calls(self.totals.calls.values())})
        yield self._line({}, **self._end())

    def whole(self) -> Mapping[str, Any]:
        """Return the answer as one object."""
        totals = self.totals
        message: dict[str, Any] = {"content": totals.text + (totals.refusal or "")}
        if totals.reasoning:
            message["thinking"] = totals.reasoning
        if totals.calls:
            message["tool_calls"] = _calls(totals.calls.values())
        return self._line(message, **self._end())

    def heartbeat(self) -> bytes:
        """Return a line without content: the wire has no comments."""
        return self.encode(self._line({}))

    def fail(self, status: int, message: str) -> list[bytes]:
        """Return the pieces of the stream that end it with an error."""
        return [self.encode(error(status, message))]

    def _line(self, message: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        return {
            "model": self.asked.model,
            "created_at": datetime.fromtimestamp(self.asked.created, UTC).isoformat(),
            "message": {"role": "assistant", "content": "", **message},
            "done": False,
            **more,
        }

    def _end(self) -> dict[str, Any]:
        totals = self.totals
        reason = totals.reason if totals.reason in {"length", "load", "unload"} else "stop"
        made = {"done": True, "done_reason": reason, **self._durations()}
        return made | (USAGE.write(totals.usage) if totals.usage else {})


def _calls(calls: Iterable[CallSoFar]) -> list[dict[str, Any]]:
    return [{"function": {"name": each.name, "arguments": each.parsed()}} for each in calls]


def error(status: int, message: str) -> Mapping[str, Any]:
    """Write an error."""
    del status
    return {"error": message}
