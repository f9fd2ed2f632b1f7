"""The filter that takes tool calls out of text, for LLMs that write them there."""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from chatwright.core.piece import Piece
from chatwright.core.protocols.protocol import ToolProtocol
from chatwright.core.reading.barecalls import BareJson, bare_begins
from chatwright.core.reading.jsoncalls import JsonCalls
from chatwright.core.reading.pythoncalls import PythonCalls
from chatwright.core.reading.react import ReactCalls
from chatwright.core.reading.reader import Context, Reader
from chatwright.core.reading.spelled import SpelledCalls
from chatwright.core.reading.undecided import UndecidedCalls
from chatwright.core.text import partial_start

__all__ = ["ToolCallFilter"]

_WRAPPED = re.compile(r'\s*\{\s*"tool_call"\s*:')


class ToolCallFilter:
    """Turns a protocol's tool calls into `ToolCallDelta`s, wherever chunks are split.

    Text streams on at once, except for what may be the beginning of a marker; arguments stream as
    they come. A call that is cut, or that its marker ends before it is whole, keeps its raw text
    and says what is wrong, so that it is never a valid one. What only looks like the beginning of
    a call stays text.

    Args:
        protocol: How calls look.
        tools: The schemas of the tools' arguments, by the tools' names. Default: any tool.
        begun: Whether the whole answer is a call's JSON, as where a grammar sees to it.
        single: Whether one call is all that is wanted; what stands behind it is dropped.
    """

    def __init__(
        self,
        protocol: ToolProtocol,
        *,
        tools: Mapping[str, Mapping[str, Any]] | None = None,
        begun: bool = False,
        single: bool = False,
    ) -> None:
        """Begin an answer."""
        self._protocol = protocol
        self._lines = bool(protocol.arguments_marker)  # markers count at the start of a line only
        self._wrapped = protocol.open.startswith("{")
        self._opens = (protocol.open, *protocol.also)
        self._markers = (*self._opens, *protocol.halts)
        self._context = Context(protocol, tools, itertools.count(), self._markers, single=single)
        self._python = "{python}" in protocol.call
        self._bare = protocol.bare and not begun
        firsts = {marker[0] for marker in self._markers}
        self._firsts = "".join(firsts | ({*"`[{"} if self._bare else set()))
        self._reader: Reader | None = JsonCalls(self._context, "") if begun else None
        self._spoken = self._has_called = False
        self._line_start = True
        self._held: list[str] = []
        self.done = False

    def passes(self, text: str) -> bool:
        """Tell whether the text can't begin a marker."""
        if self._held or self._lines or not self._spoken or self._reader:
            return False
        for first in self._firsts:  # noqa: SIM110  asked for every piece; `any` takes thrice as long
            if first in text:
                return False
        return True

    def feed(self, piece: Piece) -> Sequence[Piece]:
        """Take the next piece and return the pieces that can go out now."""
        if self.done:
            return ()
        if not isinstance(piece, str):
            return (*(() if self._reader else self.flush()), piece)
        self._held.append(piece)
        if self._reader and (needs := self._reader.needs) and needs not in piece:
            return ()  # it may be long
        text, self._held = "".join(self._held), []
        out: list[Piece] = []
        while text and not self.done:
            reader = self._reader
            rest = self._taken(reader, text, out) if reader else self._text(text, out)
            if reader is self._reader and (reader or rest == text):
                self._held = [rest] if rest else []
                break
            text = rest
        return out

    def flush(self) -> Sequence[Piece]:
        """Return what was held back, a call that was cut as one that can't be read."""
        held, self._held = "".join(self._held), []
        reader, self._reader = self._reader, None
        if self.done:
            return ()
        out: list[Piece] = [held] if held and not reader else []
        if reader:
            reader.cut(held, out)
        self._note(out)
        return out

    def _taken(self, reader: Reader, text: str, out: list[Piece]) -> str:
        """Have a reader take text; behind it, a line begins."""
        begun = len(out)
        rest = reader.take(text, out)
        self._has_called = self._has_called or not all(isinstance(x, str) for x in out[begun:])
        if reader.over:
            self._reader, self._line_start = None, True
            self._note(out[begun:])
        return rest

    def _note(self, pieces: Sequence[Piece]) -> None:
        """Keep in mind where a line begins."""
        for text in pieces:
            if isinstance(text, str):
                self._spoken = self._spoken or not text.isspace()
                last = text.rpartition("\n")
                self._line_start = (bool(last[1]) or self._line_start) and not last[2].strip()

    # Text, up to the next call.

    def _text(self, text: str, out: list[Piece]) -> str:
        if self._wrapped and not self._spoken:
            if wrapped := _WRAPPED.match(text):
                self._reader = JsonCalls(self._context, self._protocol.open)
                return text[wrapped.end() :]
            if self._protocol.open.startswith("".join(text.split())):
                return text
        at, marker = self._first_marker(text)
        end = at if marker else partial_start(text, self._markers)
        if self._bare and (bare := self._bare_call(text, end, out)) is not None:
            return bare
        self._say(text[:end], out)
        if not marker:
            return text[end:]
        if marker in self._protocol.halts:
            if self._has_called:  # the LLM makes up the result of its own call
                self.done = True
                return ""
            self._say(marker, out)
            return text[at + len(marker) :]
        return self._begin(marker, text[at:])

    def _begin(self, marker: str, text: str) -> str:
        """Have what stands behind a marker read; return it."""
        protocol = self._protocol
        if protocol.other:
            self._reader = UndecidedCalls(self._context, marker, (protocol, protocol.other))
        elif self._lines:
            self._reader = ReactCalls(self._context, marker)
        elif self._python:
            self._reader = PythonCalls(self._context, marker, protocol.close)
        elif "{call}" in protocol.call:
            self._reader = JsonCalls(self._context, marker)
        elif marker in protocol.also and marker in protocol.call:  # a part of the call
            self._reader = SpelledCalls(self._context, "")
            return text
        else:
            self._reader = SpelledCalls(self._context, marker)
        return text[len(marker) :]

    def _say(self, text: str, out: list[Piece]) -> None:
        if text:
            self._note((text,))
            out.append(text)

    def _bare_call(self, text: str, end: int, out: list[Piece]) -> str | None:
        """Begin to read a call without a marker; return the rest, or None where there is none."""
        if not self._spoken and not text.strip():
            return text
        if self._python and self._spoken:
            return None
        at, before = bare_begins(text, python=self._python)
        at_start = not self._spoken and not text[:at].strip()
        if at >= end or (self._python and not (at_start and self._is_known(before))):
            return None
        blank = text[:at] if at_start else ""  # goes with the call
        self._say(text[len(blank) : at], out)
        if before is None:
            return blank + text[at:]
        if self._python:
            self._reader = PythonCalls(self._context, "[", "]")
            return text[at + 1 :]
        self._reader = BareJson(self._context, blank + before, at_start=at_start)
        return blank + text[at:]

    def _is_known(self, begins: str | None) -> bool:
        """Tell whether `[name(` names a tool, or may come to."""
        name = (begins or "").strip("[( \t\r\n")
        return not name or self._context.tools is None or name in self._context.tools

    def _first_marker(self, text: str) -> tuple[int, str]:
        """Return where the first marker stands, and which; `(-1, "")` where none does."""
        at, marker = _first(text, self._markers)
        while marker and self._lines:
            _, newline, line = text[:at].rpartition("\n")
            if not line.strip() and (newline or self._line_start):
                break
            found, marker = _first(text[at + 1 :], self._markers)
            at += found + 1
        return at, marker


def _first(text: str, markers: Sequence[str]) -> tuple[int, str]:
    """Return where the first of the markers stands, and which; `(-1, "")` where none does."""
    found = [(at, marker) for marker in markers if (at := text.find(marker)) >= 0]
    return min(found, default=(-1, ""))
