"""The filter that takes tool calls out of text, for LLMs that write them there."""

import re
from collections.abc import Collection, Sequence

from chatwright.core.calltext import CallText
from chatwright.core.jsontext import breaking_suffix
from chatwright.core.piece import Piece
from chatwright.core.protocols import ToolProtocol
from chatwright.core.text import partial_start
from chatwright.deltas import ToolCallDelta

__all__ = ["ToolCallFilter"]

_GAP = re.compile(r"(?:[\s,;\]]|\[(?=\s*[\[{]))*")  # what stands between the calls of a list
_FENCED_GAP = re.compile(r"[\s`]*")
_NAME = re.compile(r'\{\s*"name"\s*:\s*"((?:[^"\\]|\\.)*)"')
_FENCED = re.compile(r"\s*(?:```\w*\s*)?(?=\{)")
_FENCE_BEGINS = re.compile(r"\s*`{0,3}\w*\s*")
_WRAPPED = re.compile(r'\s*\{\s*"tool_call"\s*:')
_NOTHING = frozenset({"", "None", "null"})
_LONGEST_NAME = 200


class ToolCallFilter:
    """Turns a protocol's tool calls into `ToolCallDelta`s, wherever chunks are split.

    Text streams on at once, except for what may be the beginning of a marker; arguments stream as
    they come. A call that is cut, or that its marker ends before it is JSON, keeps its raw text,
    with an end that no parser accepts, so that it is never a valid one. What only looks like the
    beginning of a call stays text.

    Args:
        protocol: How calls look.
        names: The tools that there are. Default: any.
        begun: Whether the whole answer is a call's JSON, as where a grammar sees to it.
        single: Whether one call is all that is wanted; what stands behind it is dropped.
    """

    def __init__(
        self,
        protocol: ToolProtocol,
        *,
        names: Collection[str] | None = None,
        begun: bool = False,
        single: bool = False,
    ) -> None:
        """Begin an answer."""
        self._protocol = protocol
        self._names = names
        self._single = single
        self._lines = bool(protocol.arguments_marker)  # markers count at the start of a line only
        self._markers = (protocol.open, *protocol.halts)
        self._firsts = "".join({marker[0] for marker in self._markers})
        # The state is the method that takes what can be told of the text and returns the rest.
        self._step = self._gap if begun else self._text
        self._opened = False  # whether a marker has come, and no call behind it yet
        self._wrapped = protocol.open.startswith("{")
        self._bare = protocol.bare and not begun
        self._spoken = False
        self._line_start = True
        self._held: list[str] = []
        self._call_text: CallText | None = None
        self._count = 0
        self.done = False

    def passes(self, text: str) -> bool:
        """Tell whether the text can't begin a marker."""
        if self._held or self._lines or not self._spoken or self._step != self._text:
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
            return (*(self.flush() if self._step == self._text else ()), piece)
        self._held.append(piece)
        if self._step == self._junk and self._protocol.close not in "".join(self._held[-50:]):
            return ()  # it may be long
        text, self._held = "".join(self._held), []
        out: list[Piece] = []
        while text and not self.done:
            step = self._step
            rest = step(text, out)
            if rest == text and step == self._step:
                self._held = [text]
                break
            text = rest
        return out

    def flush(self) -> Sequence[Piece]:
        """Return what was held back, a call that was cut as one that can't be read."""
        held, self._held = "".join(self._held), []
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
        opened, self._opened = self._opened, False
        if not opened:
            return ()  # blank space behind a call
        if step == self._name:
            return self._unreadable(held.partition("\n")[0], "")
        if held.strip(" \t\r\n[") and not held.lstrip().startswith("{"):
            return (f"{self._protocol.open}{held}",)  # only words
        return self._unreadable("", held)

    # The states.

    def _text(self, text: str, out: list[Piece]) -> str:
        if self._wrapped and not self._spoken:
            if wrapped := _WRAPPED.match(text):
                self._opened, self._step = True, self._gap
                return text[wrapped.end() :]
            if self._protocol.open.startswith("".join(text.split())):
                return text
        if self._bare and not self._spoken and (begins := self._bare_call(text)) is not False:
            if begins:
                self._step = self._gap
            return text
        at, marker = self._first_marker(text)
        end = at if marker else partial_start(text, self._markers)
        self._say(text[:end], out)
        if not marker:
            return text[end:]
        if marker != self._protocol.open:
            self.done = True
            return ""
        self._opened = True
        self._step = self._name if self._lines else self._gap
        return text[at + len(marker) :]

    def _say(self, text: str, out: list[Piece]) -> None:
        if text:
            self._spoken = True
            last = text.rpartition("\n")
            self._line_start = (bool(last[1]) or self._line_start) and not last[2].strip()
            out.append(text)

    def _bare_call(self, text: str) -> bool | None:
        """Tell whether the answer begins with a call's JSON; None, if that can't be told yet."""
        start = "".join(text[:_LONGEST_NAME].split())
        if not start.startswith('{"name":'):
            return None if '{"name":'.startswith(start) else False
        name = _NAME.match(text.lstrip())
        if name is None:
            return None if len(text) < _LONGEST_NAME else False
        return self._names is None or name[1] in self._names

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

    def _gap(self, text: str, out: list[Piece]) -> str:
        """Stand behind a marker, or behind a call, where others may follow."""
        gap = _FENCED_GAP if self._lines else _GAP
        rest = text[gap.match(text).end() :]  # type: ignore[union-attr]  # it matches anything
        close = self._protocol.close
        if not rest and self._opened:
            return text  # it may be no call after all
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
            return text if self._opened else rest
        if not self._opened:
            self._step, self._line_start = self._text, True
            return rest
        if close:
            self._step = self._junk
            return text
        self._opened, self._step = False, self._text
        self._say(self._protocol.open, out)
        return text

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
        """Stand behind a marker that the call's name follows, on the same line."""
        marker = self._protocol.arguments_marker
        line, newline, behind = text.partition("\n")
        at = line.find(marker)
        if at < 0 and behind.lstrip().startswith(marker):
            at = len(text) - len(behind.lstrip())
        if at >= 0:
            self._opened, self._step = False, self._input
            out.append(ToolCallDelta(self._count, name=text[:at].strip()))
            return text[at + len(marker) :]
        if (not newline and len(line) < _LONGEST_NAME) or (
            newline and marker.startswith(behind.lstrip())
        ):
            return text
        self._opened, self._step = False, self._text  # only words
        self._say(f"{self._protocol.open}{line}{newline}", out)
        return behind

    def _input(self, text: str, out: list[Piece]) -> str:
        """Stand where arguments follow that are a JSON object, or a line."""
        if fenced := _FENCED.match(text):
            self._step = self._call
            self._call_text = CallText(self._count, arguments_only=True)
            self._count += 1
            return text[fenced.end() :]
        if _FENCE_BEGINS.fullmatch(text) and ("`" in text or not text.strip()):
            return text
        line, newline, behind = text.partition("\n")
        if not newline:
            return text
        out += self._line(line)
        self._step, self._line_start = self._text, True
        return behind

    def _junk(self, text: str, out: list[Piece]) -> str:
        """Stand behind a marker that no JSON follows, until the marker that ends it."""
        close = self._protocol.close
        found = text.find(close)
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
