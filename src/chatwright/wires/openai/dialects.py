"""How providers speak OpenAI's chat completions their own way, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from chatwright.wires.openai.names import REASONING, SHORT_IDS, USAGE
from chatwright.wires.quirks import Quirks
from chatwright.wires.usage import UsageFields

__all__ = ["DIALECTS", "OPENAI", "Dialect"]


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a provider's servers speak the wire.

    Args:
        whole_calls: Whether a stream has each call in one piece.
        usage: The path to a stream's counts in the chunk that tells the reason of its end; None
            where they come after it, in a chunk of their own.
        last: What else that chunk holds.
        counts: How usage is told.
        reasoning: The field of the reasoning.
        quirks: What clients have to know.
        host: Where the provider's own servers are.
    """

    whole_calls: bool = False
    usage: tuple[str, ...] | None = None
    last: Mapping[str, Any] = field(default_factory=dict)
    counts: UsageFields = USAGE
    reasoning: str = REASONING
    quirks: Quirks = field(default_factory=Quirks)
    host: str = ""


OPENAI = Dialect()
DIALECTS: Mapping[str, Dialect] = {
    # https://docs.mistral.ai/api
    "mistral": Dialect(
        whole_calls=True,
        usage=("usage",),
        quirks=Quirks(call_ids=SHORT_IDS, names=frozenset()),
        host="api.mistral.ai",
    ),
    # https://console.groq.com/docs/api-reference
    "groq": Dialect(
        whole_calls=True,
        usage=("x_groq", "usage"),
        last={"x_groq": {"id": "req_1"}},
        quirks=Quirks(tools_with_format=False),  # vercel/ai#16540
        host="api.groq.com",
    ),
    # https://docs.x.ai/docs/guides/reasoning
    "xai": Dialect(counts=replace(USAGE, reasoning_apart=True)),
    # https://docs.fireworks.ai/guides/function-calling
    "fireworks": Dialect(),  # it takes "any" for "required"
}
"""Dialects by their providers."""
