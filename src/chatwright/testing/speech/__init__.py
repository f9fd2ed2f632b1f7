"""The wires as their servers speak them, for tests.

Written from the providers' own references, and not by way of `chatwright.wrap`, so that each side
checks the other.
"""

from collections.abc import Mapping
from typing import Any

from chatwright.testing.speech import anthropic, ollama, openai, responses
from chatwright.testing.speech.base import Asked, Speech

__all__ = ["SPEECHES", "Asked", "Speech", "asked"]

SPEECHES: Mapping[str, Speech] = {
    "mistral": openai.MISTRAL,
    "groq": openai.GROQ,
    "openai": openai.SPEECH,
    "ollama": ollama.SPEECH,
    "anthropic": anthropic.SPEECH,
    "responses": responses.SPEECH,
}
"""The wires by their names; dialects first, which are told by a mark in the path."""


def asked(path: str, body: Any) -> tuple[Speech, Asked] | None:
    """Return the wire of a request, and what it asks; None where it is of no wire."""
    for speech in SPEECHES.values():
        if path.endswith(speech.path) and speech.mark in path and isinstance(body, dict):
            return speech, speech.read(body)
    return None
