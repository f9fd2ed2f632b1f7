"""The APIs that answer prompts: paths, requests, writers of answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chatwright.wires import WIRES
from chatwright.wires.anthropic.request import Messages
from chatwright.wires.asked import Asked
from chatwright.wires.ollama import generate
from chatwright.wires.ollama.request import Chat, Generate
from chatwright.wires.openai import completions
from chatwright.wires.openai.choices import Choices
from chatwright.wires.openai.request import ChatCompletion, Completion
from chatwright.wires.prompt import Prompt
from chatwright.wires.wire import Server, Wire
from chatwright.wires.writer import Writer

__all__ = ["APIS", "Api"]


@dataclass(frozen=True, kw_only=True)
class Api:
    """One way to ask for an answer.

    Args:
        paths: Where.
        body: Reads and validates a request; an instance has `model`, `stream` and `prompt()`.
        server: The server's end of the wire.
        media_type: What a stream is called.
        operation: What OpenTelemetry calls it.
        streams_unless_told: Whether an answer comes in pieces where nothing is said of it.
    """

    paths: tuple[str, ...]
    body: Any
    server: Server
    media_type: str
    operation: str = "chat"
    streams_unless_told: bool = False

    def asked(self, body: Mapping[str, Any]) -> Asked:
        """Return what the writer of an answer has to know of a request."""
        return self.server.read(body)

    def writer(self, asked: Asked, prompt: Prompt) -> Writer:
        """Return what writes an answer."""
        make = self.server.writer
        several = (prompt.answers, prompt.count)
        writer = make(asked) if prompt.answers == 1 else Choices(asked, make, *several)
        writer.tells_usage = prompt.tells_usage
        return writer


def _api(wire: Wire, body: Any, *paths: str, server: Server | None = None, **more: Any) -> Api:
    ends = server or wire.server
    assert ends is not None  # noqa: S101  ours have both ends
    return Api(paths=paths, body=body, server=ends, media_type=wire.media_type, **more)


_OPENAI, _ANTHROPIC, _OLLAMA = (WIRES[name] for name in ("openai", "anthropic", "ollama"))

APIS: tuple[Api, ...] = (
    _api(_OPENAI, ChatCompletion, "/v1/chat/completions", "/chat/completions"),
    _api(
        _OPENAI,
        Completion,
        "/v1/completions",
        server=completions.SERVER,
        operation="text_completion",
    ),
    _api(_ANTHROPIC, Messages, "/v1/messages"),
    _api(
        _OLLAMA,
        Generate,
        "/api/generate",
        server=generate.SERVER,
        operation="text_completion",
        streams_unless_told=True,
    ),
    _api(_OLLAMA, Chat, "/api/chat", streams_unless_told=True),
)
