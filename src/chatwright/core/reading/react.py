"""Calls in the lines of the ReAct paper: the tool's name on one, its arguments behind another."""

import re

from chatwright.core.piece import Piece
from chatwright.core.reading.arguments import as_json, only_argument, typed
from chatwright.core.reading.calltext import CUT, ArgumentsText
from chatwright.core.reading.reader import Context, Reader, unreadable
from chatwright.core.text import partial_start
from chatwright.deltas import ToolCallDelta

__all__ = ["ReactCalls"]

_FENCED = re.compile(r"\s*(?:```\w*\s*)?(?=\{)")
_FENCE_BEGINS = re.compile(r"\s*`{0,3}\w*\s*")
_GAP = re.compile(r"[\s`]*")
_NAME = re.compile(r"[\w.-]+")
_NO_TOOL = frozenset({"", "final", "finish", "n/a", "na", "no", "none", "null"})
_NOTHING = frozenset({"", "None", "null", "N/A"})
_LONGEST_NAME = 200


class ReactCalls(Reader):
    """Reads one call: a name, the marker of the arguments, and these: JSON, or a line.

    Args:
        context: What all readers share.
        marker: What began this.
    """

    def __init__(self, context: Context, marker: str) -> None:
        """Stand behind the marker."""
        super().__init__(context, self._naming)
        self._marker = marker
        self._inputs = context.protocol.arguments_marker
        self._name = ""
        self._number = 0
        self._arguments = ArgumentsText(0)

    def cut(self, text: str, out: list[Piece]) -> None:
        """Put out what is left; arguments in a line are whole at the end of the answer."""
        if self._step == self._json:
            out += [*self._arguments.feed(text)[1], *self._arguments.cut()]
        elif self._step == self._input:
            fence = text.lstrip().startswith("`")
            out += (
                (ToolCallDelta(self._number, args=text.strip(), error=CUT),)
                if fence
                else self._line(text)
            )
        elif self._step == self._naming:
            self._cut_name(text, out)

    def _cut_name(self, text: str, out: list[Piece]) -> None:
        line = text.partition("\n")[0].strip()
        if line and self._is_tool(line):
            out += unreadable(next(self._context.numbers), "", CUT, name=line)
        else:
            out.append(self._marker + text)

    def _naming(self, text: str, out: list[Piece]) -> str:
        """Stand where the name follows on the same line, and the arguments on the next."""
        line, newline, behind = text.partition("\n")
        at = line.find(self._inputs)
        if at < 0 and behind.lstrip().startswith(self._inputs):
            at = len(text) - len(behind.lstrip())
        if at >= 0 and self._is_tool(text[:at].strip()):
            self._step = self._input
            self._number, self._name = next(self._context.numbers), text[:at].strip(" \t\r\n`\"'*")
            out.append(ToolCallDelta(self._number, name=self._name))
            return text[at + len(self._inputs) :]
        waits = self._inputs.startswith(behind.lstrip()) if newline else len(line) < _LONGEST_NAME
        if waits and at < 0:
            return text
        self.over = True  # only words
        said = text[: at + len(self._inputs)] if at >= 0 else line + newline
        out.append(self._marker + said)
        return text[len(said) :]

    def _is_tool(self, name: str) -> bool:
        """Tell whether a call is meant: `none of them` is no tool."""
        name = name.strip("`\"'*")
        if name in (self._context.tools or ()):
            return True
        return bool(_NAME.fullmatch(name)) and name.lower() not in _NO_TOOL

    def _input(self, text: str, out: list[Piece]) -> str:
        """Stand where arguments follow that are a JSON object, or a line."""
        if fenced := _FENCED.match(text):
            self._step = self._json
            self._arguments = ArgumentsText(self._number)
            return text[fenced.end() :]
        if _FENCE_BEGINS.fullmatch(text) and ("`" in text or not text.strip()):
            return text
        line, newline, behind = text.partition("\n")
        if not line.strip():
            return self._behind_blank(text, out)
        if not newline:
            return text
        out += self._line(line)
        self._step = self._gap
        return behind

    def _behind_blank(self, text: str, out: list[Piece]) -> str:
        """Stand behind a line without arguments: they may come on the next, or something else."""
        rest = text.lstrip()
        line, newline, _ = rest.partition("\n")
        wanted = only_argument(self._context.schema(self._name))
        if rest.startswith(self._context.markers) or (
            rest and not wanted and not self._waits(rest)
        ):
            out += self._line("")
            self._step = self._gap
            return rest
        if not newline or not wanted:
            return text
        out += self._line(line)
        self._step = self._gap
        return rest[len(line) + 1 :]

    def _waits(self, rest: str) -> bool:
        """Tell whether JSON, a fence or a marker may come of this."""
        fence = _FENCE_BEGINS.fullmatch(rest) and "`" in rest
        return bool(fence) or partial_start(rest, self._context.markers) == 0

    def _line(self, line: str) -> tuple[Piece, ...]:
        """Return a line as the arguments: as those of a tool that wants one, or none."""
        raw = line.strip()
        schema = self._context.schema(self._name)
        if raw in _NOTHING:
            wanted = ["arguments"] if schema is None else [*schema.get("required", ())]
            error = f"the tool {self._name} needs {', '.join(wanted)}" if wanted else ""
            return (ToolCallDelta(self._number, args=raw if error else "{}", error=error),)
        if (key := only_argument(schema)) is None:
            error = "the arguments are no JSON object"
            return (ToolCallDelta(self._number, args=raw, error=error),)
        text = raw[1:-1] if raw[0] == raw[-1] and raw[0] in "\"'`" and len(raw) > 1 else raw
        args = {key: typed(text, key, schema)}
        return (ToolCallDelta(self._number, args=as_json(args)),)

    def _json(self, text: str, out: list[Piece]) -> str:
        taken, pieces = self._arguments.feed(text)
        out += pieces
        if self._arguments.closed:
            self._step = self.ignored if self._context.single else self._gap
        return text[taken:]

    def _gap(self, text: str, out: list[Piece]) -> str:
        """Stand behind the call."""
        rest = text[_GAP.match(text).end() :]  # type: ignore[union-attr]  # it matches anything
        self.over = bool(rest)
        return rest
