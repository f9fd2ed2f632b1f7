"""The wires: one small module each, one line here."""

from collections.abc import Mapping

from chatwright.wrap.endpoint.wire import Wire
from chatwright.wrap.endpoint.wires import anthropic, ollama, openai, responses

__all__ = ["WIRES"]

WIRES: Mapping[str, Wire] = {
    "openai": openai.WIRE,
    "ollama": ollama.WIRE,
    "anthropic": anthropic.WIRE,
    "responses": responses.WIRE,
}
