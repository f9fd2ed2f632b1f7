"""The server's end of Ollama's generate: one prompt in, one text out."""

from collections.abc import Mapping
from typing import Any

from chatwright.wires.asked import Asked
from chatwright.wires.ollama import server
from chatwright.wires.wire import Server

__all__ = ["SERVER"]


def _read(body: Mapping[str, Any]) -> Asked:
    asked = {**body, "messages": [{"role": "user", "content": body.get("prompt") or ""}]}
    return server.read(asked)


class _Writer(server.Writer):
    """Writes an answer as lines, or as one object, with its text under `response`."""

    has_calls = False

    def _line(self, message: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        line = super()._line(message, **more)
        told: Mapping[str, Any] = line.pop("message")
        thinking = {"thinking": told["thinking"]} if "thinking" in told else {}
        return {"model": line.pop("model"), "response": told["content"], **thinking, **line}

    def _end(self) -> dict[str, Any]:
        return {**super()._end(), "context": []}


SERVER = Server(read=_read, writer=_Writer, error=server.error)
