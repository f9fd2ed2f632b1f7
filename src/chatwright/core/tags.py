"""The filter that splits reasoning off the text, by the tags around it."""

import functools
import re
from collections.abc import Sequence
from typing import NamedTuple

from chatwright.core.piece import Piece
from chatwright.core.text import partial_start
from chatwright.deltas import Reasoning

__all__ = ["ReasoningTags", "TagFilter"]


class ReasoningTags(NamedTuple):
    """What stands around reasoning in a model's text.

    Args:
        open: What begins it.
        close: What ends it.
        begun: Whether the answer begins inside of it: some chat templates put the opening tag into
            the prompt, so that only the closing one is ever seen.
    """

    open: str = "<think>"
    close: str = "</think>"
    begun: bool = False


class TagFilter:
    """Turns what stands between two tags into `Reasoning`, wherever chunks are split.

    A tag inside a code fence, or inside a line's `inline code`, is text. Reasoning that is never
    closed is reasoning to the end. Blank space between reasoning that comes first and the text is
    dropped.

    Args:
        tags: The tags.
    """

    done = False

    def __init__(self, tags: ReasoningTags) -> None:
        """Begin an answer."""
        self._tags = tags
        self._inside = self._thought = tags.begun
        self._held = ""
        self._code = ""  # the run of backticks that began the code that the text is in
        self._lead = ""  # blank space before the first text
        self._spoken = False
        self._idle = False  # in text, with nothing held back
        self._begun = tags.begun

    def passes(self, text: str) -> bool:
        """Tell whether the text can neither hold a tag nor begin code."""
        if "`" in text or self._tags.open[0] in text:
            return False
        if not (self._idle or self._begun or text[:1].isspace()):
            self._spoken = self._idle = self._begun = True  # nothing but text, from the beginning
        return self._idle

    def feed(self, piece: Piece) -> Sequence[Piece]:
        """Take the next piece and return the pieces that can go out now."""
        if not isinstance(piece, str):
            return (*self.flush(), piece)
        return self._split(self._held + piece, final=False)

    def flush(self) -> Sequence[Piece]:
        """Return what was held back: no tag came of it."""
        out = self._split(self._held, final=True) if self._held else []
        if self._lead and not self._thought:
            out.append(self._lead)
            self._spoken, self._lead = True, ""
            self._idle = True
        return out

    def _split(self, text: str, *, final: bool) -> list[Piece]:
        self._begun = True
        out: list[Piece] = []
        at = begin = 0
        while found := self._pattern().search(text, at):
            if found.end() == len(text) and found[0][0] == "`" and not final:
                break  # more backticks may follow
            at = found.end()
            if found[0] in {self._tags.open, self._tags.close}:
                self._put(text[begin : found.start()], out)
                self._inside = not self._inside
                self._thought, begin = True, at
            else:
                self._code = self._code_after(found[0])
        end = found.start() if found else self._safe_end(text, at, final=final)
        self._put(text[begin:end], out)
        self._held = text[end:]
        self._idle = self._spoken and not (self._inside or self._held or self._code)
        return out

    def _pattern(self) -> re.Pattern[str]:
        if self._code:
            return _IN_CODE
        return _literal(self._tags.close) if self._inside else _literal_or_code(self._tags.open)

    def _code_after(self, found: str) -> str:
        """Return what the code begins with that follows `found`; nothing, if text follows."""
        if not self._code:
            return found
        fenced = len(self._code) > 2  # noqa: PLR2004  three backticks make a fence
        ends = found[0] == "`" and len(found) >= len(self._code) if fenced else found == self._code
        return "" if ends or (found == "\n" and not fenced) else self._code

    def _safe_end(self, text: str, at: int, *, final: bool) -> int:
        if final or self._code:
            return len(text)
        return partial_start(text, (self._tags.close if self._inside else self._tags.open,), at)

    def _put(self, text: str, out: list[Piece]) -> None:
        if self._inside:
            if text:
                out.append(Reasoning(text))
            return
        if not self._spoken:
            text = self._lead + text
            text, self._lead = ("", text) if not text.strip() else (text, "")
            if text and self._thought:
                text = text.lstrip()
        if text:
            self._spoken = True
            out.append(text)


_IN_CODE = re.compile(r"`+|\n")


@functools.lru_cache
def _literal(tag: str) -> re.Pattern[str]:
    return re.compile(re.escape(tag))


@functools.lru_cache
def _literal_or_code(tag: str) -> re.Pattern[str]:
    return re.compile(f"{re.escape(tag)}|`+")
