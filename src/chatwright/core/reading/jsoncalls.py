"""Calls as JSON behind a marker: Hermes, Mistral, Phi, MiniMax-M1 and many others."""

import re

from chatwright.core.piece import Piece
from chatwright.core.reading.calltext import CUT, CallText
from chatwright.core.reading.reader import Context, Reader, unreadable
from chatwright.core.text import partial_start

__all__ = ["JsonCalls"]

_GAP = re.compile(r"(?:[\s,;\]]|\[(?=\s*[\[{]))*")  # what stands between the calls of a list
_FENCED_GAP = re.compile(r"(?:[\s,;\]]|\[(?=\s*[\[{])|`{3}\w*(?=\W))*")
_FENCE_BEGINS = re.compile(r"`{1,3}\w*")


class JsonCalls(Reader):
    """Reads calls, one or a list of them, in code fences or not, until `close` or text follows.

    Args:
        context: What all readers share.
        marker: What began this; nothing, where a call comes by a grammar.
    """

    def __init__(self, context: Context, marker: str) -> None:
        """Stand behind the marker."""
        super().__init__(context, self._gap)
        protocol = context.protocol
        self._marker = marker
        self._close = "" if marker in protocol.also else protocol.close
        self._opened = bool(marker)  # whether no call has come behind the marker
        self._call = CallText(0)

    @property
    def needs(self) -> str:
        """What ends junk."""
        return self._close[-1] if self._step == self._junk else ""

    def cut(self, text: str, out: list[Piece]) -> None:
        """Put out what is left of a call; blank space behind one is nothing."""
        if self._step == self._reading:
            out += self._call.feed(text)[1]
            out += self._call.cut()
        elif self._opened and self._is_words(text):
            out.append(self._marker + text)
        elif self._opened:
            out += unreadable(next(self._context.numbers), text, CUT)
        elif (rest := self._behind_gap(text)) and not self._may_close(rest):
            out.append(rest)

    @staticmethod
    def _is_words(text: str) -> bool:
        return bool(text.strip(" \t\r\n[`")) and not re.match(r"[\s\[`]*(?:json\s*)?\{", text)

    def _may_close(self, rest: str) -> bool:
        return self._close.startswith(rest)

    def _behind_gap(self, text: str) -> str:
        fenced = self._opened or self._close
        gap = (_FENCED_GAP if fenced else _GAP).match(text)
        return text[gap.end() :] if gap else text

    def _gap(self, text: str, out: list[Piece]) -> str:
        """Stand behind the marker, or behind a call, where others may follow."""
        rest = self._behind_gap(text)
        if not rest and self._opened:
            return text  # it may be no call after all
        if rest.startswith("{"):
            self._opened, self._step = False, self._reading
            self._call = CallText(next(self._context.numbers), self._context.tools)
            return rest
        if self._close and rest.startswith(self._close):
            if self._opened:
                out += unreadable(next(self._context.numbers), "", "there is no call in it")
            self._opened = False
            return rest[len(self._close) :]
        if self._may_follow(rest):
            return text if self._opened else rest
        return self._no_call(text, rest, out)

    def _may_follow(self, rest: str) -> bool:
        """Tell whether a call may come of this: not all of it is there."""
        markers = (self._close, *self._context.markers) if self._close else self._context.markers
        fence = (self._opened or self._close) and _FENCE_BEGINS.fullmatch(rest)
        waits = fence or rest.strip() == "[" or partial_start(rest, markers) == 0
        return bool(waits) and not rest.startswith(markers)

    def _no_call(self, text: str, rest: str, out: list[Piece]) -> str:
        if self._opened and self._close:
            self._step = self._junk
            return text
        self.over = True
        if not self._opened:
            return rest
        out.append(self._marker)
        return text

    def _reading(self, text: str, out: list[Piece]) -> str:
        call, close = self._call, self._close
        found = text.find(close) if close else -1
        end = found if found >= 0 else partial_start(text, (close,) if close else ())
        taken, pieces = call.feed(text[:end])
        out += pieces
        if not call.closed:
            if found < 0:
                return text[end:]
            if call.in_string:  # the marker is an argument's own text
                out += call.feed(close)[1]
                return text[found + len(close) :]
        out += call.end()
        self._step = self.ignored if self._context.single else self._gap
        return text[taken:]

    def _junk(self, text: str, out: list[Piece]) -> str:
        """Stand behind a marker that no JSON follows, until the marker that ends it."""
        found = text.find(self._close)
        if found < 0:
            return text
        self._opened, self._step = False, self._gap
        error = "it is no JSON object with a name and arguments"
        out += unreadable(next(self._context.numbers), text[:found], error)
        return text[found + len(self._close) :]
