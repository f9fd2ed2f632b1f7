"""A command line in words, as a POSIX shell, cmd.exe or PowerShell would cut it. Nothing is run."""

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

from chatwright.errors import LoadError

__all__ = ["Words", "words"]

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_ESCAPES = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "e": "\x1b",
}
_CODE = re.compile(r"x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})|([0-7]{1,3})")
_ENDS = frozenset("|;&<>")


class Words(NamedTuple):
    """A command in words.

    Args:
        words: The words.
        variables: The environment variables that stood in it, and their values.
    """

    words: list[str]
    variables: dict[str, str]


def words(text: str, environment: Mapping[str, str] | None = None) -> Words:
    """Cut a command into words; what follows it behind a pipe or the like is left out.

    Args:
        text: The command.
        environment: What variables stand for. Default: the process's own.

    Raises:
        LoadError: A quote is not closed, a variable is not set, or a command stands inside.
    """
    if re.search(r"\^[\r\n\"]", text):  # cmd.exe's
        text = re.sub(r"\^(\r?\n)", " ", text)
        text = re.sub(r"\^(.)", r"\1", text)
    text = re.sub(r"(?<=\s)`\r?\n", " ", text)  # PowerShell's
    cutter = _Cutter(text, os.environ if environment is None else environment)
    cutter.run()
    return Words(cutter.words, cutter.variables)


class _Cutter:
    def __init__(self, text: str, environment: Mapping[str, str]) -> None:
        self.words: list[str] = []
        self.variables: dict[str, str] = {}
        self._text = text
        self._at = 0
        self._environment = environment
        self._word: list[str] | None = None

    def run(self) -> None:
        while self._at < len(self._text):
            character = self._text[self._at]
            if character in _ENDS:
                break
            if character == "#" and self._word is None:  # a comment
                self._at = (self._text + "\n").index("\n", self._at)
            elif character.isspace():
                self._end()
                self._at += 1
            else:
                self._put(self._next(character))
        self._end()

    def _put(self, piece: str) -> None:
        self._word = [*(self._word or ()), piece]

    def _end(self) -> None:
        if self._word is not None:
            self.words.append("".join(self._word))
        self._word = None

    def _next(self, character: str) -> str:
        """Return what the next characters stand for."""
        text, at = self._text, self._at
        if character == "'":
            end = self._closing("'", at + 1)
            self._at = end + 1
            return text[at + 1 : end]
        if text.startswith("$'", at):
            return self._ansi()
        if character == '"':
            return self._double()
        if character == "\\":
            self._at += 3 if text.startswith("\\\r\n", at) else 2
            following = text[at + 1 : at + 2]
            return "" if following in {"\n", "\r"} else following
        return self._plain()

    def _plain(self) -> str:
        text, at = self._text, self._at
        if text.startswith(("$(", "`"), at):
            raise LoadError("the command holds another one, in $(…) or `…`: put its result there")
        if found := _VARIABLE.match(text, at):
            self._at = found.end()
            name = found[1] or found[2]
            if name not in self._environment:
                raise LoadError(f"the command uses ${name}, and that variable is not set here")
            self.variables[name] = self._environment[name]
            return self._environment[name]
        self._at += 1
        return text[at]

    def _double(self) -> str:
        out: list[str] = []
        self._at += 1
        while self._at < len(self._text):
            character = self._text[self._at]
            if character == '"':
                self._at += 1
                return "".join(out)
            following = self._text[self._at + 1 : self._at + 2]
            if character == "\\" and following and following in '"\\$`\n':
                out.append("" if following == "\n" else following)
                self._at += 2
            else:
                out.append(self._plain())
        raise LoadError('a " of the command is not closed')

    def _ansi(self) -> str:
        r"""Return what stands in $'…', which browsers write: \' and \u00e9 are escapes there."""
        out: list[str] = []
        self._at += 2
        while self._at < len(self._text):
            character = self._text[self._at]
            self._at += 1
            if character == "'":
                # JSON's surrogates come in two escapes.
                return "".join(out).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            if character != "\\":
                out.append(character)
            elif code := _CODE.match(self._text, self._at):
                self._at = code.end()
                digits = code[1] or code[2] or code[3]
                out.append(chr(int(digits, 16) if digits else int(code[4], 8)))
            else:
                escaped = self._text[self._at : self._at + 1]
                out.append(_ESCAPES.get(escaped, escaped))
                self._at += 1
        raise LoadError("a $' of the command is not closed")

    def _closing(self, quote: str, start: int) -> int:
        end = self._text.find(quote, start)
        if end < 0:
            raise LoadError(f"a {quote} of the command is not closed")
        return end
