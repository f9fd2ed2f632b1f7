"""Calls that spell out the tool's name: DeepSeek, Kimi, GLM, Qwen's coders, MiniMax, Gemma."""

import functools
import json
import re
from typing import NamedTuple

from chatwright.core.piece import Piece
from chatwright.core.protocols.protocol import ToolProtocol
from chatwright.core.reading.arguments import as_json, typed
from chatwright.core.reading.calltext import CUT, ArgumentsText
from chatwright.core.reading.reader import Context, Reader, unreadable
from chatwright.core.text import partial_start
from chatwright.deltas import ToolCallDelta

__all__ = ["SpelledCalls", "spelling"]

_BODIES = ("{arguments}", "{parameters}", "{fields}")
_LONGEST_HEAD = 400  # more than any name and what stands around it
_PLACES = {
    "{name}": r"(?P<name>[\w./-]+?)",
    "{index}": r"\d+",
    "{key}": r"(?P<key>[^<>\"\n]+?)",
    "{value}": r"(?P<value>.*?)",
    "{text}": "(?:true|false)",
}
_GAP = re.compile(r"[\s,;]*")
_KEY = re.compile(r"([{,]\s*)([\w.$-]+)\s*:")


class Spelling(NamedTuple):
    """How a protocol's calls are read.

    Args:
        head: What stands before the arguments.
        begins: The first words of the head, as far as they are always the same.
        body: Which of the forms the arguments have.
        parameter: One of the `{parameters}`.
        parameter_begins: Its first words.
        padded: Whether a line of its own holds a parameter's value.
        tail: What stands behind the arguments.
    """

    head: re.Pattern[str]
    begins: str
    body: str
    parameter: re.Pattern[str]
    parameter_begins: str
    padded: bool
    tail: str


@functools.lru_cache
def spelling(protocol: ToolProtocol) -> Spelling:
    """Return how the calls of a protocol are read, which follows from how it writes them."""
    body = next(each for each in _BODIES if each in protocol.call)
    before, _, behind = protocol.call.partition(body)
    before = before.removeprefix(protocol.open)
    tail = behind.strip().removesuffix(protocol.close).strip()
    follows = protocol.parameter or tail or protocol.close
    ends = f"(?=\\s*{re.escape(follows[0])})" if before.strip().endswith("{name}") else ""
    return Spelling(
        re.compile(rf"\s*{_pattern(before.strip())}{ends}\s*"),
        before.strip().partition("{name}")[0],
        body,
        re.compile(rf"\s*{_pattern(protocol.parameter)}", re.DOTALL),
        protocol.parameter.partition("{")[0],
        "\n{value}\n" in protocol.parameter,
        tail,
    )


def _pattern(template: str) -> str:
    """Return a pattern of a template, blank space in which counts for little."""
    template = template.replace("\n{value}\n", "{value}")
    parts = re.split(r"(\{\w+\}|\s+)", template)
    return "".join(
        _PLACES.get(each) or (r"\s*" if each.isspace() else re.escape(each)) for each in parts
    )


class SpelledCalls(Reader):
    """Reads calls of which name and arguments stand apart, until `close` or text follows.

    Arguments that are JSON stream as they come, others one by one.

    Args:
        context: What all readers share.
        marker: What began this; nothing, where it is a part of the call.
    """

    def __init__(self, context: Context, marker: str) -> None:
        """Stand behind the marker."""
        super().__init__(context, self._head)
        self._marker = marker
        self._close = context.protocol.close
        self._spelling = spelling(context.protocol)
        self._opened = True  # whether no call has come behind the marker
        self._number = 0
        self._name = ""
        self._count = 0  # of the arguments so far
        self._arguments = ArgumentsText(0)
        self._behind = self.ignored if context.single else self._head

    @property
    def needs(self) -> str:
        """What ends a parameter, or junk."""
        if self._step == self._parameters:
            return ">"
        if self._step in {self._junk, self._fields}:
            return self._close[-1]
        return ""

    def cut(self, text: str, out: list[Piece]) -> None:
        """Put out what is left: a call that was cut, or what has not become one."""
        rest = text.lstrip()
        if self._step == self._json:
            out += self._arguments.feed(text if self._count else rest)[1]
            out += self._arguments.cut()
        elif self._step not in {self._head, self._junk}:
            whole = self._step in {self._tail, self.ignored}
            out += () if whole else (self._spoilt(rest),)
        elif not self._opened:
            self._cut_behind(rest, out)
        elif rest and not self._may_be_head(rest):
            out.append(self._marker + text)
        else:
            out += unreadable(next(self._context.numbers), rest, CUT)

    def _spoilt(self, rest: str) -> Piece:
        return ToolCallDelta(self._number, args=rest, error=CUT)

    def _cut_behind(self, rest: str, out: list[Piece]) -> None:
        if rest and self._spelling.begins and rest.startswith(self._spelling.begins):
            out += unreadable(next(self._context.numbers), rest, CUT)
        elif rest and not self._close.startswith(rest):
            out.append(rest)

    # The states.

    def _head(self, text: str, out: list[Piece]) -> str:
        """Stand behind the marker, or behind a call, where others may follow."""
        rest = text[_GAP.match(text).end() :]  # type: ignore[union-attr]  # it matches anything
        if self._close and rest.startswith(self._close):
            return self._closed(rest, out)
        if not self._opened and self._over(rest):
            self.over = True
            return rest
        if head := self._spelling.head.match(rest):
            return self._call(rest, head, out)
        if not self._opened:
            return rest if len(rest) < _LONGEST_HEAD else self._no_call(rest, out)
        return text if len(rest) < _LONGEST_HEAD and self._waits(rest) else self._no_call(text, out)

    def _closed(self, rest: str, out: list[Piece]) -> str:
        if self._opened:
            out += unreadable(next(self._context.numbers), "", "there is no call in it")
        self._opened = False
        return rest[len(self._close) :]

    def _over(self, rest: str) -> bool:
        """Tell whether no further call can come of what stands behind a call."""
        begins = (self._spelling.begins, self._close) if self._spelling.begins else (self._close,)
        may_begin = partial_start(rest, tuple(filter(None, begins))) == 0
        return bool(rest) and not may_begin and not rest.startswith(self._spelling.begins or "\0")

    def _waits(self, rest: str) -> bool:
        """Tell whether a head may come of this, or what ends the junk."""
        return not self._close or self._close not in rest

    def _may_be_head(self, rest: str) -> bool:
        begins = self._spelling.begins
        if begins:
            return rest.startswith(begins) or begins.startswith(rest)
        return re.fullmatch(r"[\w./-]+\s*", rest) is not None

    def _no_call(self, text: str, out: list[Piece]) -> str:
        if self._close:
            self._step = self._junk
            return text
        self.over = True
        out.append(self._marker)
        return text

    def _call(self, rest: str, head: re.Match[str], out: list[Piece]) -> str:
        if not (self._marker or self._context.tools is None or head["name"] in self._context.tools):
            self.over = True  # only words
            out.append(head[0])
            return rest[head.end() :]
        self._opened, self._count = False, 0
        self._number, self._name = next(self._context.numbers), head["name"]
        body = self._spelling.body
        begun = "{" if body == "{parameters}" else ""
        out.append(ToolCallDelta(self._number, name=self._name, args=begun))
        if body == "{parameters}":
            self._step = self._parameters
        elif body == "{fields}":
            self._step = self._fields
        else:
            self._step = self._json
            self._arguments = ArgumentsText(self._number)
        return rest[head.end() :]

    def _json(self, text: str, out: list[Piece]) -> str:
        if not self._count:
            if (waits := self._before_json(text, out)) is not None:
                return waits
            self._count, text = 1, text.lstrip()
        end = partial_start(text, self._ends())
        found = min((at for each in self._ends() if (at := text.find(each)) >= 0), default=-1)
        end = found if found >= 0 else end
        taken, pieces = self._arguments.feed(text[:end])
        out += pieces
        if not self._arguments.closed and found < 0:
            return text[end:]
        if not self._arguments.closed and self._arguments.in_string:
            out += self._arguments.feed(text[end : end + 1])[1]
            return text[end + 1 :]
        out += self._arguments.end()
        self._step = self._tail
        return text[taken:]

    def _ends(self) -> tuple[str, ...]:
        tail = self._spelling.tail.removeprefix("```").strip()
        return tuple(filter(None, (tail, self._close)))

    def _before_json(self, text: str, out: list[Piece]) -> str | None:
        """Return what to wait with, before the arguments begin; None, where they do."""
        rest = text.lstrip()
        if rest.startswith("{"):
            return None
        if not rest:
            return text
        found = min((at for each in self._ends() if (at := rest.find(each)) >= 0), default=-1)
        if found < 0:
            return text
        raw = rest[:found].strip()
        error = "" if raw in {"", "null"} else "the arguments are no JSON object"
        out.append(ToolCallDelta(self._number, args=raw if error else "{}", error=error))
        self._step = self._tail
        return rest[found:]

    def _tail(self, text: str, out: list[Piece]) -> str:
        """Stand behind a call's arguments."""
        rest, tail = text.lstrip(), self._spelling.tail
        for end in (tail, *self._ends()):
            if end and rest.startswith(end) and end != self._close:
                rest, tail = rest[len(end) :], ""
                break
        if tail and partial_start(rest, (tail, *self._ends())) == 0 and not self._at_end(rest):
            return text
        self._step = self._behind
        return rest

    def _at_end(self, rest: str) -> bool:
        return bool(rest) and bool(self._close) and rest.startswith(self._close)

    def _parameters(self, text: str, out: list[Piece]) -> str:
        """Stand where a parameter follows, or the end of the call."""
        rest, form = text.lstrip(), self._spelling
        if rest.startswith(form.parameter_begins):
            if not (given := form.parameter.match(text)):
                return text
            out.append(self._argument(given["key"].strip(), given["value"]))
            return text[given.end() :]
        if rest.startswith(form.tail or self._close):
            out.append(ToolCallDelta(self._number, args="}"))
            self._step = self._tail
            return rest
        if self._close and rest.startswith(self._close):  # the tail is forgotten
            out.append(ToolCallDelta(self._number, args="}"))
            self._step = self._behind
            return rest
        waits = partial_start(
            rest, tuple(filter(None, (form.parameter_begins, form.tail, self._close)))
        )
        if not rest or waits == 0:
            return text
        return self._spoiled(text, rest, out)

    def _spoiled(self, text: str, rest: str, out: list[Piece]) -> str:
        """Stand before what is no parameter: the call can't be read, up to its end."""
        found = min((at for each in self._ends() if (at := rest.find(each)) >= 0), default=-1)
        if found < 0:
            return text
        error = "there is something else between its arguments"
        out.append(ToolCallDelta(self._number, args=rest[:found].strip(), error=error))
        self._step = self._tail
        return rest[found:]

    def _argument(self, key: str, raw: str) -> ToolCallDelta:
        if self._spelling.padded:
            raw = raw.removeprefix("\n").removesuffix("\n")
        value = typed(raw, key, self._context.schema(self._name))
        comma = ", " if self._count else ""
        self._count += 1
        return ToolCallDelta(self._number, args=f"{comma}{as_json(key)}: {as_json(value)}")

    def _fields(self, text: str, out: list[Piece]) -> str:
        """Stand where fields follow, up to the end of the call, which a text may hold."""
        quote, at = self._context.protocol.quote, 0
        while (found := text.find(self._close, at)) >= 0:
            if text.count(quote, 0, found) % 2 == 0:
                raw = text[:found]
                out.append(self._read_fields(raw))
                self._step = self._behind
                return text[found:]
            at = found + 1
        return text

    def _read_fields(self, raw: str) -> ToolCallDelta:
        quote = self._context.protocol.quote
        parts = ("{" + raw.strip()).split(quote)
        written = [as_json(each) if n % 2 else each for n, each in enumerate(parts)]
        plain = "".join(
            each if n % 2 else _KEY.sub(r'\1"\2":', each) for n, each in enumerate(written)
        )
        try:
            args = json.loads(plain, strict=False)
        except ValueError as error:
            return ToolCallDelta(self._number, args=raw.strip(), error=f"its fields: {error}")
        return ToolCallDelta(self._number, args=as_json(args))

    def _junk(self, text: str, out: list[Piece]) -> str:
        """Stand behind a marker that no call follows, until the marker that ends it."""
        found = text.find(self._close)
        if found < 0:
            return text
        self._opened, self._step = False, self._head
        out += unreadable(next(self._context.numbers), text[:found], "it names no tool")
        return text[found:]
