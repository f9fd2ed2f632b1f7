"""What reads calls behind the marker that begins them, and what such readers share."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from chatwright.core.piece import Piece
from chatwright.core.protocols.protocol import ToolProtocol
from chatwright.deltas import ToolCallDelta

__all__ = ["Context", "Reader", "unreadable"]

Step: TypeAlias = Callable[[str, list[Piece]], str]


@dataclass(frozen=True, slots=True)
class Context:
    """What all readers of one answer share.

    Args:
        protocol: How calls look.
        tools: The schemas of the tools' arguments, by the tools' names; None, if not known.
        numbers: The calls' numbers.
        markers: What begins a call, or ends the answer.
        single: Whether one call is all that is wanted; what stands behind it is dropped.
    """

    protocol: ToolProtocol
    tools: Mapping[str, Mapping[str, Any]] | None
    numbers: Iterator[int]
    markers: tuple[str, ...]
    single: bool = False

    def schema(self, name: str) -> Mapping[str, Any] | None:
        """Return the schema of a tool's arguments; None, where that is not known."""
        return (self.tools or {}).get(name)


class Reader:
    """Reads what stands behind a marker, until that is over.

    Its state is the method that takes what can be told of the text and returns the rest.
    """

    def __init__(self, context: Context, step: Step) -> None:
        """Stand behind the marker."""
        self._context = context
        self._step = step
        self.over = False  # whether text follows, or the next marker

    @property
    def needs(self) -> str:
        """A character without which nothing comes of more text; empty, if there is none."""
        return ""

    def take(self, text: str, out: list[Piece]) -> str:
        """Take what can be told of `text`, put out what it gives, and return the rest."""
        while text:
            step = self._step
            rest = step(text, out)
            if self.over or (rest == text and step == self._step):
                return rest
            text = rest
        return text

    def cut(self, text: str, out: list[Piece]) -> None:
        """Put out what is left, the answer having ended with `text`."""
        raise NotImplementedError

    def ignored(self, text: str, out: list[Piece]) -> str:
        """Stand behind the only call that is wanted."""
        return ""


def unreadable(index: int, raw: str, error: str, name: str = "") -> Sequence[Piece]:
    """Return a call that can't be read, with its text as it came."""
    return (ToolCallDelta(index, name=name, args=raw.strip(), error=error),)
