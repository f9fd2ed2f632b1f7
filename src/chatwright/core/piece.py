"""What passes through the filters, and what a filter is."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from chatwright.deltas import Block, Reasoning, Refusal, ToolCallDelta

__all__ = ["Filter", "Piece"]

Piece: TypeAlias = str | Reasoning | Refusal | Block | ToolCallDelta
"""What a renderer sees of an answer. Text is a bare `str` here, the cheapest there is."""


class Filter(Protocol):
    """Rewrites an answer's pieces on their way; knows no I/O and no clock."""

    @property
    def done(self) -> bool:
        """Whether the filter has ended the answer."""

    def passes(self, text: str) -> bool:
        """Tell, fast, whether `text`, never empty, goes out as it is: nearly always.

        Otherwise, and where another filter does not let it pass, `feed` gets it.
        """

    def feed(self, piece: Piece) -> Sequence[Piece]:
        """Take the next piece, return the pieces that can go out now."""

    def flush(self) -> Sequence[Piece]:
        """Return the pieces that were held back."""
