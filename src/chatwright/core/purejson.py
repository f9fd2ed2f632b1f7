"""The filter that leaves nothing of a text but its JSON."""

from collections.abc import Sequence

from chatwright.core.jsontext import JsonScanner
from chatwright.core.piece import Piece

__all__ = ["JsonFilter"]


class JsonFilter:
    """Passes the first JSON object of the text on as it comes, and drops what stands around it.

    LLMs put JSON into code fences, or say what it is before they write it. A text without any
    passes as it is, once it has ended.
    """

    done = False

    def __init__(self) -> None:
        """Begin an answer."""
        self._before: list[str] = []
        self._scanner: JsonScanner | None = None
        self._over = False

    def passes(self, text: str) -> bool:
        """Look at all of it."""
        return False

    def feed(self, piece: Piece) -> Sequence[Piece]:
        """Take the next piece and return the pieces that can go out now."""
        if not isinstance(piece, str):
            return (piece,)
        if self._over:
            return ()
        start = 0
        if self._scanner is None:
            start = piece.find("{")
            if start < 0:
                self._before.append(piece)
                return ()
            self._scanner = JsonScanner()
        for at, _ in self._scanner.structure(piece, start):
            if self._scanner.depth == 0:
                self._over = True
                return (piece[start : at + 1],)
        return (piece[start:],)

    def flush(self) -> Sequence[Piece]:
        """Return the text, if there was no JSON in it."""
        text = "".join(self._before)
        return (text,) if text and self._scanner is None else ()
