"""The filters for answers that come in several attempts."""

from collections.abc import Sequence

from chatwright.core.piece import Piece
from chatwright.deltas import ToolCallDelta

__all__ = ["Apart", "CallFirst"]


class CallFirst:
    """Holds text back until a call comes, where one has to: without a call it is no answer."""

    done = False

    def __init__(self) -> None:
        """Wait for the call."""
        self._held: list[str] = []
        self._called = False

    @property
    def held(self) -> str:
        """The text that no call came behind."""
        return "" if self._called else "".join(self._held)

    def passes(self, text: str) -> bool:
        """Tell whether the call has come."""
        return self._called

    def feed(self, piece: Piece) -> Sequence[Piece]:
        """Take the next piece and return the pieces that can go out now."""
        if isinstance(piece, str) and not self._called:
            self._held.append(piece)
            return ()
        if isinstance(piece, ToolCallDelta) and not self._called:
            self._called = True
            return (*self._held, piece)
        return (piece,)

    def flush(self) -> Sequence[Piece]:
        """Return nothing: without a call the text is none."""
        return ()


class Apart:
    """Sets the text of another attempt apart from what has been said, by a blank line."""

    done = False

    def __init__(self) -> None:
        """Stand before the attempt."""
        self._begun = False

    def passes(self, text: str) -> bool:
        """Tell whether the attempt's text has begun."""
        return self._begun

    def feed(self, piece: Piece) -> Sequence[Piece]:
        """Take the next piece and return it."""
        if self._begun or not isinstance(piece, str):
            return (piece,)
        self._begun = True
        return ("\n\n" + piece,)

    def flush(self) -> Sequence[Piece]:
        """Return nothing: nothing is held back."""
        return ()
