"""The filter that ends an answer at a stop sequence."""

from collections.abc import Iterable, Sequence

from chatwright.core.piece import Piece
from chatwright.core.text import partial_start

__all__ = ["StopFilter"]


class StopFilter:
    """Ends the text at the stop sequence that is complete first.

    Text is held back only while it may be the beginning of a stop sequence. Of two sequences
    that are complete at the same character, the longer one counts.

    Args:
        stops: The stop sequences, none of them empty.
        include: Whether the sequence itself ends the text (as LangChain's guide asks) or is left
            out (as most providers do).
    """

    def __init__(self, stops: Iterable[str], *, include: bool = True) -> None:
        """Start with nothing held back."""
        self._stops = sorted(set(stops), key=len, reverse=True)
        self._include = include
        self._firsts = {stop[0] for stop in self._stops}
        self._held = ""
        self.matched: str | None = None

    @property
    def done(self) -> bool:
        """Whether a stop sequence was met, so that nothing more will come."""
        return self.matched is not None

    def passes(self, text: str) -> bool:
        """Tell whether no stop sequence can begin or end in the text."""
        return not (self._held or self.done) and not any(first in text for first in self._firsts)

    def feed(self, piece: Piece) -> Sequence[Piece]:
        """Take the next piece and return the pieces that can go out now."""
        if self.done:
            return ()
        if not isinstance(piece, str):
            return (*self.flush(), piece)
        text = self._held + piece
        end, stop = self._first_match(text)
        if stop:
            self.matched = stop
            self._held = ""
            return _nonempty(text[: end if self._include else end - len(stop)])
        keep = partial_start(text, self._stops)
        self._held = text[keep:]
        return _nonempty(text[:keep])

    def flush(self) -> Sequence[Piece]:
        """Return what was held back: no stop sequence came of it."""
        held, self._held = self._held, ""
        return _nonempty(held)

    def _first_match(self, text: str) -> tuple[int, str]:
        """Return the end of the first complete stop sequence, and that sequence."""
        first_end, first = len(text) + 1, ""
        for stop in self._stops:  # the longest first, so that it wins a tie
            at = text.find(stop, 0, first_end)
            if at >= 0 and at + len(stop) < first_end:
                first_end, first = at + len(stop), stop
        return first_end, first


def _nonempty(text: str) -> Sequence[str]:
    return (text,) if text else ()
