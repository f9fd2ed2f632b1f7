"""Calls as Python: Llama 4's lists of them, and Gemma's blocks of code."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chatwright.core.piece import Piece
from chatwright.core.reading.arguments import as_json, properties_of
from chatwright.core.reading.calltext import CUT
from chatwright.core.reading.reader import Context, Reader, unreadable
from chatwright.core.text import partial_start
from chatwright.deltas import ToolCallDelta

__all__ = ["PythonCalls"]

_GAP = re.compile(r"[\s,;\[\]]*")
_LIST_GAP = re.compile(r"[\s,]*")
_NAME = re.compile(r"[A-Za-z_][\w.]*\s*\(")
_NAME_BEGINS = re.compile(r"(?:[A-Za-z_][\w.]*\s*)?")
_TOKEN = re.compile(
    r"'''(?:\\.|[^\\])*?'''|\"\"\"(?:\\.|[^\\])*?\"\"\"|'''|\"\"\""
    r"|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\"|['\"]|[()\[\]{}]",
    re.DOTALL,
)
_OPEN_TEXT = frozenset({"'", '"', "'''", '"""'})
_JSON_WORDS: Mapping[str, bool | None] = {"true": True, "false": False, "null": None}


class PythonCalls(Reader):
    """Reads Python calls, each as soon as it is complete, until `close` or text follows.

    Args:
        context: What all readers share.
        marker: What began this.
        close: What ends it; empty, if nothing does.
    """

    def __init__(self, context: Context, marker: str, close: str) -> None:
        """Stand behind the marker."""
        super().__init__(context, self._next)
        self._marker = marker
        self._close = close
        self._opened = True  # whether no call has come behind the marker
        self._waits = self._ended = False

    @property
    def needs(self) -> str:
        """What ends a call."""
        return ")" if self._waits else ""

    def _next(self, text: str, out: list[Piece]) -> str:
        """Take the next call, or what stands between calls."""
        if self._ended:
            self.over = bool(text.strip())
            return text.lstrip()
        rest = self._behind_gap(text)
        if self._close and rest.startswith(self._close):
            return self._end(rest, out)
        if name := _NAME.match(rest):
            return self._call(text, rest, name, out)
        closes = bool(self._close) and partial_start(rest, (self._close,)) == 0
        if closes or _NAME_BEGINS.fullmatch(rest):
            return text
        self.over = True
        if not self._opened:
            return rest
        out.append(self._marker)
        return text

    def _behind_gap(self, text: str) -> str:
        gap = (_LIST_GAP if self._close == "]" else _GAP).match(text)
        return text[gap.end() :] if gap else text

    def _end(self, rest: str, out: list[Piece]) -> str:
        self._ended = True
        if self._opened:
            out += unreadable(next(self._context.numbers), "", "there is no call in it")
        return rest[len(self._close) :]

    def _call(self, text: str, rest: str, name: re.Match[str], out: list[Piece]) -> str:
        end = _end_of_call(rest, name.end())
        self._waits = end is None
        if end is None:
            return text
        if self._opened or not self._context.single:
            out += self._read(rest[:end])
        self._opened = False
        return rest[end:]

    def _read(self, source: str) -> Iterator[Piece]:
        number = next(self._context.numbers)
        try:
            call = _as_call(source, self._context.tools)
            args = _arguments(call, properties_of(self._context.schema(_name(call))))
        except (SyntaxError, ValueError) as error:
            yield from unreadable(number, source, f"it is no Python call: {error}")
        else:
            yield ToolCallDelta(number, name=_name(call), args=as_json(args))

    def cut(self, text: str, out: list[Piece]) -> None:
        """Put out what is left: a call that was cut, or what has not become one."""
        rest = self._behind_gap(text)
        if self._ended:
            return
        if _NAME.match(rest) or (self._opened and _NAME_BEGINS.fullmatch(rest)):
            out += unreadable(next(self._context.numbers), rest, CUT)
        elif self._opened:
            out.append(self._marker + text)
        elif rest and not self._close.startswith(rest):
            out.append(rest)


def _end_of_call(text: str, at: int) -> int | None:
    """Return where the call ends whose bracket stands before `at`; None, while it is open."""
    depth = 1
    for token in _TOKEN.finditer(text, at):
        if token[0] in "([{":
            depth += 1
        elif token[0] in ")]}":
            depth -= 1
        elif token[0] in _OPEN_TEXT:
            return None  # a text that is still open
        if depth == 0:
            return token.end()
    return None


def _as_call(source: str, tools: Mapping[str, Any] | None) -> ast.Call:
    """Return the call that a text is; that inside of a `print`, which Gemma likes to add."""
    match ast.parse(source.strip(), mode="eval").body:
        case ast.Call(func=ast.Name(id="print"), args=[ast.Call() as inner]) if "print" not in (
            tools or {}
        ):
            return inner
        case ast.Call() as call:
            return call
    raise ValueError("something else")


def _name(call: ast.Call) -> str:
    return ast.unparse(call.func)


def _arguments(call: ast.Call, properties: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a call's arguments by their names.

    Raises:
        ValueError: One of them has no name, or is no plain value.
    """
    names: Sequence[str] = [*(properties or ())]
    if len(call.args) > len(names):
        raise ValueError("an argument has no name")
    given = {name: _value(each) for name, each in zip(names, call.args, strict=False)}
    for keyword in call.keywords:
        if keyword.arg is None or keyword.arg in given:
            raise ValueError("an argument has no name of its own")
        given[keyword.arg] = _value(keyword.value)
    return given


def _value(node: ast.expr) -> Any:
    """Return the plain value of an expression, with JSON's words for Python's."""
    match node:
        case ast.Name(id=word) if word in _JSON_WORDS:
            return _JSON_WORDS[word]
        case ast.Dict():
            keys = [_value(key) if key else None for key in node.keys]
            return {str(key): _value(each) for key, each in zip(keys, node.values, strict=True)}
        case ast.List() | ast.Tuple() | ast.Set():
            return [_value(each) for each in node.elts]
        case _:
            return ast.literal_eval(node)
