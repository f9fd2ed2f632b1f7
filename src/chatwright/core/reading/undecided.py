"""Calls that one of two protocols has written, behind the same marker."""

from dataclasses import replace

from chatwright.core.piece import Piece
from chatwright.core.protocols.protocol import ToolProtocol
from chatwright.core.reading.jsoncalls import JsonCalls
from chatwright.core.reading.reader import Context, Reader
from chatwright.core.reading.spelled import SpelledCalls

__all__ = ["UndecidedCalls"]


class UndecidedCalls(Reader):
    """Has JSON read as the one protocol writes it, anything else as the other one does.

    Args:
        context: What all readers share.
        marker: What began this.
        protocols: The two.
    """

    def __init__(
        self, context: Context, marker: str, protocols: tuple[ToolProtocol, ToolProtocol]
    ) -> None:
        """Stand behind the marker."""
        super().__init__(context, self.ignored)
        self._marker = marker
        self._protocols = protocols
        self._reader: Reader | None = None

    @property
    def needs(self) -> str:
        """What the one that reads needs."""
        return self._reader.needs if self._reader else ""

    def take(self, text: str, out: list[Piece]) -> str:
        """Take what can be told of `text`; its first character decides."""
        if not text.strip():
            return text
        reader = self._reader = self._reader or self._decided(text.lstrip()[0])
        rest = reader.take(text, out)
        self.over = reader.over
        return rest

    def cut(self, text: str, out: list[Piece]) -> None:
        """Put out what is left, the answer having ended with `text`."""
        (self._reader or self._decided("")).cut(text, out)

    def _decided(self, first: str) -> Reader:
        is_json = first in {"", "[", "{"}
        protocol = next(each for each in self._protocols if ("{call}" in each.call) == is_json)
        context = replace(self._context, protocol=protocol)
        return JsonCalls(context, self._marker) if is_json else SpelledCalls(context, self._marker)
