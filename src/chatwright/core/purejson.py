"""The filter that leaves nothing of a text but its JSON."""

import re
from collections.abc import Sequence

from chatwright.core.jsontext import JsonScanner
from chatwright.core.piece import Piece

__all__ = ["JsonFilter"]


_BEGINS = re.compile(r'\{\s*["}]')
_MAY_BEGIN = re.compile(r"\{\s*\Z")


class JsonFilter:
    """Passes the first JSON object of the text on as it comes, and drops what stands around it.

    LLMs put JSON into code fences, or say what it is before they write it. A text without any
    passes as it is, once it has ended.
    """

    done = False

    def __init__(self) -> None:
        """Begin an answer."""
        self._before: list[str] = []
        self._held = ""  # what may begin an object
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
        if self._scanner is None:
            piece = self._beginning(piece)
        if self._scanner is None:
            return ()
        for at, _ in self._scanner.structure(piece):
            if self._scanner.depth == 0 and not self._scanner.in_string:
                self._over = True
                return (piece[: at + 1],)
        return (piece,)

    def _beginning(self, piece: str) -> str:
        """Return the text from the object's brace on, if it is there; keep what is before it."""
        text, self._held = self._held + piece, ""
        if begins := _BEGINS.search(text):
            self._scanner = JsonScanner()
            return text[begins.start() :]
        if may_begin := _MAY_BEGIN.search(text):
            self._held = text[may_begin.start() :]
        self._before.append(text[: len(text) - len(self._held)])
        return ""

    def flush(self) -> Sequence[Piece]:
        """Return the text, if there was no JSON in it."""
        text = "".join([*self._before, self._held])
        return (text,) if text and self._scanner is None else ()
