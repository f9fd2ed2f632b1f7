"""The filter that takes tool calls out of text, for LLMs that write them there."""

import re
from collections.abc import Sequence

from chatwright.core.calltext import CallText
from chatwright.core.jsontext import breaking_suffix
from chatwright.core.piece import Piece
from chatwright.core.protocols import ToolProtocol
from chatwright.core.text import partial_start
from chatwright.deltas import ToolCallDelta

__all__ = ["ToolCallFilter"]

_GAP = re.compile(r"(?:[\s,;\]]|\[(?=\s*[\[{]))*")  # what stands between the calls of a list
_BARE_START = '{"name":'
_NOTHING = frozenset({"", "None", "null"})


class ToolCallFilter:
    """Turns a protocol's tool calls into `ToolCallDelta`s, wherever chunks are split.

    Text streams on at once, except for what may be the beginning of a marker; arguments stream as
    they come; nothing of a call gets into the text. A call that is cut, or that is no JSON, keeps
    its raw text, with an end that no parser accepts, so that it is never a valid one.

    Args:
        protocol: How calls look.
        begun: Whether the whole answer is a call's JSON, as where a grammar sees to it.
        single: Whether one call is all that is wanted; what stands behind it is dropped.
    """

    def __init__(
        self, protocol: ToolProtocol, *, begun: bool = False, single: bool = False
    ) -> None:
        """Begin an answer."""
        self._single = single
        self._protocol = protocol
        self._markers = (protocol.open, *protocol.halts)
        self._firsts = "".join({marker[0] for marker in self._markers})
        # The state is the method that takes what can be told of the text and returns the rest.
        self._step = self._gap if begun else self._text
        self._opened = False  # whether a marker has come, and no call behind it yet
        self._bare = protocol.bare and not begun
        self._spoken = False
        self._held = ""
        self._call_text: CallText | None = None
        self._count = 0
        self.done = False

    def passes(self, text: str) -> bool:
        """Tell whether the text can't begin a marker."""
        if self._held or not self._spoken or self._step != self._text:
            return False
        for first in self._firsts:  # noqa: SIM110  asked for every piece; `any` takes thrice as long
            if first in text:
                return False
        return True

    def feed(self, piece: Piece) -> Sequence[Piece]:
        """Take the next piece and return the pieces that can go out now."""
        if not isinstance(piece, str):
            return (*(self.flush() if self._step == self._text else ()), piece)
        text, self._held = self._held + piece, ""
        out: list[Piece] = []
        while text and not self.done:
            step = self._step
            rest = step(text, out)
            if rest == text and step == self._step:
                self._held = text
                break
            text = rest
        return out

    def flush(self) -> Sequence[Piece]:
        """Return what was held back, a call that was cut as one that can't be read."""
        held, self._held = self._held, ""
        step, self._step = self._step, self._text
        if self.done:
            return ()
        if step == self._text:
            self._spoken = self._spoken or bool(held)
            return (held,) if held else ()
        if call := self._call_text:
            self._call_text = None
            return (*call.feed(held)[1], *call.cut())
        if step == self._input and held.strip():
            return self._line(held)
        if step == self._input:
            return (ToolCallDelta(self._count, args=breaking_suffix("")),)
        if not self._opened:
            return ()  # blank space behind a call
        name, _, _ = held.partition("\n") if step == self._name else ("", "", "")
        return self._unreadable(name, "" if step == self._name else held)

    # The states.

    def _text(self, text: str, out: list[Piece]) -> str:
        if self._bare and not self._spoken:
            start = "".join(text.split())
            if _BARE_START.startswith(start):
                return text
            if start.startswith(_BARE_START):
                self._step = self._gap
                return text
        at, marker = _first(text, self._markers)
        end = at if marker else partial_start(text, self._markers)
        if end:
            self._spoken = True
            out.append(text[:end])
        if not marker:
            return text[end:]
        if marker != self._protocol.open:
            self.done = True
            return ""
        self._opened = True
        self._step = self._name if self._protocol.arguments_marker else self._gap
        return text[at + len(marker) :]

    def _gap(self, text: str, out: list[Piece]) -> str:
        """Stand behind a marker, or behind a call, where others may follow."""
        rest = text[_GAP.match(text).end() :]  # type: ignore[union-attr]  # it matches anything
        close = self._protocol.close
        if rest.startswith("{"):
            self._opened, self._step = False, self._call
            self._call_text = CallText(self._count)
            self._count += 1
            return rest
        if close and rest.startswith(close):
            if self._opened:
                out += self._unreadable("", "")
            return rest[len(close) :]
        markers = (close, *self._markers) if close else self._markers
        may_follow = partial_start(rest, markers) == 0 or rest.strip() == "["
        if may_follow and not rest.startswith(markers):
            return rest
        self._step = self._junk if self._opened else self._text
        return rest

    def _call(self, text: str, out: list[Piece]) -> str:
        call, close = self._call_text, self._protocol.close
        assert call is not None  # noqa: S101  the state says so
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
        self._call_text, self._step = None, self._over if self._single else self._gap
        return text[taken:]

    def _over(self, text: str, out: list[Piece]) -> str:
        """Stand behind the only call that is wanted."""
        return ""

    def _name(self, text: str, out: list[Piece]) -> str:
        """Stand behind a marker that the call's name follows as it is."""
        markers = (self._protocol.arguments_marker, *self._protocol.halts)
        at, marker = _first(text, markers)
        if not marker:
            return text
        self._opened = False
        if marker != self._protocol.arguments_marker:
            out += self._unreadable(text[:at], "")
            self.done = True
            return ""
        self._step = self._input
        out.append(ToolCallDelta(self._count, name=text[:at].strip()))
        return text[at + len(marker) :]

    def _input(self, text: str, out: list[Piece]) -> str:
        """Stand where arguments follow that are a JSON object, or a line."""
        rest = text.lstrip()
        if rest.startswith("{"):
            self._step = self._call
            self._call_text = CallText(self._count, arguments_only=True)
            self._count += 1
            return rest
        line, newline, behind = text.partition("\n")
        if not newline or not rest:
            return text
        out += self._line(line)
        self._step = self._text
        return behind

    def _junk(self, text: str, out: list[Piece]) -> str:
        """Stand behind a marker that no JSON follows."""
        close = self._protocol.close
        found = text.find(close) if close else -1
        if found < 0:
            return text
        self._step = self._gap
        out += self._unreadable("", text[:found])
        return text[found + len(close) :]

    def _line(self, line: str) -> Sequence[Piece]:
        raw = line.strip()
        self._count += 1
        args = "{}" if raw in _NOTHING else raw + breaking_suffix(raw)
        return (ToolCallDelta(self._count - 1, args=args),)

    def _unreadable(self, name: str, raw: str) -> Sequence[Piece]:
        self._opened = False
        self._count += 1
        args = raw.strip() + breaking_suffix(raw.strip())
        return (ToolCallDelta(self._count - 1, name=name.strip(), args=args),)


def _first(text: str, markers: Sequence[str]) -> tuple[int, str]:
    """Return where the first of the markers stands, and which; `(-1, "")` where none does."""
    found = [(at, marker) for marker in markers if (at := text.find(marker)) >= 0]
    return min(found, default=(-1, ""))
