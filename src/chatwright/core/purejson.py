"""The filter that leaves nothing of a text but its JSON."""

import re
from collections.abc import Sequence
from typing import Protocol

from chatwright.core.jsontext import JsonScanner
from chatwright.core.piece import Piece

__all__ = ["JsonCheck", "JsonFilter"]


_KEY = r'"(?:[^"\\]|\\.){0,200}'
_BEGINS = re.compile(rf'\{{\s*(?:{_KEY}"\s*:|\}})')
_MAY_BEGIN = re.compile(rf'\{{\s*(?:{_KEY}(?:\\|"\s*)?)?\Z')
_TRIES = 50
"""Places at which it is looked whether an object fits; it may still do so as a whole."""


class JsonCheck(Protocol):
    """Tells which object of a text is meant."""

    def conforms(self, text: str) -> bool:
        """Tell whether a whole object is what is wanted."""

    def fits(self, text: str) -> bool:
        """Tell whether the beginning of an object may go out: that of what is wanted."""


class JsonFilter:
    """Passes the JSON object that is wanted on as it comes, and drops what stands around it.

    LLMs put JSON into code fences, say what it is before they write it, and show the form of it
    first. An object goes out once its beginning fits; one that ends without is kept for the case
    that nothing better comes. A text without any passes as it is, once it has ended.

    Args:
        check: Tells which object is meant.
    """

    done = False

    def __init__(self, check: JsonCheck) -> None:
        """Begin an answer."""
        self._check = check
        self._all: list[str] = []
        self._held = ""  # what may begin an object
        self._object: list[str] = []
        self._tries = 0
        self._scanner: JsonScanner | None = None
        self._shown = False  # whether the object on its way goes out as it comes
        self._spare: str | None = None
        self._gone = False  # whether any object went out
        self._over = False

    def passes(self, text: str) -> bool:
        """Look at all of it."""
        return False

    def feed(self, piece: Piece) -> Sequence[Piece]:
        """Take the next piece and return the pieces that can go out now."""
        if not isinstance(piece, str):
            return (piece,)
        if not self._gone:
            self._all.append(piece)
        pieces: list[Piece] = []
        while piece and not self._over:
            if self._scanner is None:
                piece = self._beginning(piece)
            if self._scanner is not None:
                was_shown = self._shown
                inside, piece = self._split(piece, self._scanner)
                pieces += self._through(inside, was_shown=was_shown)
        return pieces

    def _beginning(self, piece: str) -> str:
        """Return the text from an object's brace on, if it is there; keep what may begin one."""
        text, self._held = self._held + piece, ""
        if begins := _BEGINS.search(text):
            self._scanner = JsonScanner()
            return text[begins.start() :]
        if may_begin := _MAY_BEGIN.search(text):
            self._held = text[may_begin.start() :]
        return ""

    def _split(self, piece: str, scanner: JsonScanner) -> tuple[str, str]:
        """Return what belongs to the object, and what stands behind it."""
        for at, _ in scanner.structure(piece):
            if scanner.depth == 0 and not scanner.in_string:
                self._scanner = None
                return piece[: at + 1], piece[at + 1 :]
            self._try(piece[: at + 1])
        return piece, ""

    def _try(self, new: str) -> None:
        """See whether what has come of an object fits, wherever its structure goes on.

        Of what comes behind another one, only a whole one goes out.
        """
        if not self._gone and self._tries < _TRIES:
            self._tries += 1
            self._shown = self._gone = self._check.fits("".join([*self._object, new]))

    def _through(self, inside: str, *, was_shown: bool) -> Sequence[Piece]:
        """Return what can go out of the object on its way."""
        self._object.append(inside)
        pieces = [inside] if was_shown else ["".join(self._object)] if self._shown else []
        return [*pieces, *self._ended()] if self._scanner is None else pieces

    def _ended(self) -> Sequence[Piece]:
        """Decide about a whole object."""
        whole, shown = "".join(self._object), self._shown
        self._object, self._tries, self._shown = [], 0, False
        conforms = self._check.conforms(whole)
        if conforms and (shown or whole.strip("{} \t\r\n")):
            self._over = True
            separator = "\n" if self._gone else ""
            self._gone = True
            return () if shown else (separator + whole,)
        if conforms or self._spare is None:
            self._spare = whole
        return ()

    def flush(self) -> Sequence[Piece]:
        """Return the text, or an object that may be meant, if no better one has gone out."""
        text = "".join(self._all) if self._spare is None else self._spare
        return (text,) if text and not self._gone else ()
