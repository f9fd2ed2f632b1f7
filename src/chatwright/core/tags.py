"""The filter that splits reasoning off the text, by the tags around it."""

import functools
import re
from collections.abc import Sequence
from typing import NamedTuple

from chatwright.core.piece import Piece
from chatwright.core.text import partial_start
from chatwright.deltas import Reasoning

__all__ = ["ReasoningTags", "TagFilter"]

_FENCE = 3  # backticks make a fence
_LONGEST_RUN = 64  # of backticks that is waited for


class ReasoningTags(NamedTuple):
    """What stands around reasoning in a model's text.

    Args:
        open: What begins it.
        close: What ends it.
        in_prompt: Whether the opening tag stands in the prompt, where some chat templates put it:
            the answer begins with reasoning, and only the closing tag is ever seen.
    """

    open: str = "<think>"
    close: str = "</think>"
    in_prompt: bool = False


class TagFilter:
    """Turns what stands between two tags into `Reasoning`, wherever chunks are split.

    A tag inside a code fence, inside a line's `inline code` or inside of what is `verbatim` is
    text. Reasoning that is never closed is reasoning to the end. Blank space between reasoning that
    comes first and the text is dropped.

    Args:
        tags: The tags.
        verbatim: What begins and what ends text that is left as it is: calls, or JSON. Where it
            has no end, that is all that follows.
    """

    done = False

    def __init__(self, tags: ReasoningTags, verbatim: tuple[str, str] | None = None) -> None:
        """Begin an answer."""
        self._tags = tags
        self._opens = (tags.open, verbatim[0]) if verbatim else (tags.open,)
        self._verbatim_end = verbatim[1] if verbatim else ""
        self._first, self._other_first = tags.open[0], self._opens[-1][0]
        self._inside = self._thought = tags.in_prompt
        self._held = ""
        self._code = ""  # what began the code, or the verbatim text, that this is in
        self._lead: list[str] = []  # blank space before the first text
        self._begun = tags.in_prompt
        self._spoken = False
        self._idle = False  # in text, with nothing held back

    def passes(self, text: str) -> bool:
        """Tell whether the text can neither hold a tag nor begin code."""
        if not self._idle and (self._begun or text[0].isspace()):
            return False
        if "`" in text or self._first in text or self._other_first in text:
            return False
        self._begun = self._spoken = self._idle = True
        return True

    def feed(self, piece: Piece) -> Sequence[Piece]:
        """Take the next piece and return the pieces that can go out now."""
        if not isinstance(piece, str):
            return (*self.flush(), piece)
        return self._split(self._held + piece, final=False)

    def flush(self) -> Sequence[Piece]:
        """Return what was held back: no tag came of it."""
        out = self._split(self._held, final=True) if self._held else []
        if self._lead and not self._thought:
            out.append("".join(self._lead))
            self._lead = []
            self._spoken = self._idle = True
        return out

    def _split(self, text: str, *, final: bool) -> list[Piece]:
        self._begun = True
        out: list[Piece] = []
        at = begin = 0
        while found := self._pattern().search(text, at):
            more = found[0][0] == "`" and found.end() == len(text) and len(found[0]) < _LONGEST_RUN
            if more and not final:
                break  # backticks may follow
            at = found.end()
            if not self._code and found[0] in {self._tags.open, self._tags.close}:
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
        if self._inside:
            return _any_of(self._tags.close)
        if not self._code:
            return _any_of(*self._opens, "`")
        if self._code[0] == "`":
            return _any_of("`", "\n")
        return _any_of(self._verbatim_end) if self._verbatim_end else _NEVER

    def _code_after(self, found: str) -> str:
        """Return what began the code that follows `found`; nothing, if text follows."""
        if not self._code:
            return found
        if self._code[0] != "`":
            return ""  # the end of what is verbatim
        if len(self._code) < _FENCE:
            return "" if found in {self._code, "\n"} else self._code
        return "" if found[0] == "`" and len(found) >= len(self._code) else self._code

    def _safe_end(self, text: str, at: int, *, final: bool) -> int:
        if final or (self._code and self._code[0] == "`"):
            return len(text)
        if self._code:
            return partial_start(text, (self._verbatim_end,) if self._verbatim_end else (), at)
        return partial_start(text, (self._tags.close,) if self._inside else self._opens, at)

    def _put(self, text: str, out: list[Piece]) -> None:
        if not text:
            return
        if self._inside:
            out.append(Reasoning(text))
            return
        if not self._spoken:
            self._lead.append(text)
            if text.isspace():
                return
            text, self._lead, self._spoken = "".join(self._lead), [], True
            text = text.lstrip() if self._thought else text
        out.append(text)


_NEVER = re.compile(r"(?!)")


@functools.lru_cache
def _any_of(*literals: str) -> re.Pattern[str]:
    """Return a pattern of literals; a backtick stands for as many as there are."""
    return re.compile("|".join("`+" if each == "`" else re.escape(each) for each in literals))
