"""A command line in words, as a POSIX shell, cmd.exe or PowerShell would cut it. Nothing is run."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

from chatwright.errors import LoadError

__all__ = ["Input", "Words", "file_text", "words"]

_VARIABLE = re.compile(
    r"\$(?:env:(?P<power>\w+)|\{(?P<braced>\w+)(?P<default>:?-[^}$`]*)?\}|(?P<bare>[A-Za-z_]\w*))"
)
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
_REDIRECTION = re.compile(r"<<<|<<-?|<&|<>|<|&>>?|>>|>\||>&|>")
_OPERATOR = re.compile(r"\|\||\|&|\||&&|&|;;?")
_GOES_ON = re.compile(r"\s*(?:-|['\"]?https?://)")
"""What a line begins with that belongs to the command before: the \\ was lost in copying."""
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_BEFORE = frozenset(
    {*("$", "%", "!", "command", "do", "env", "exec", "export", "if", "nohup", "sudo", "then")}
    | {"time", "while", "{"}
)
"""What may stand before a command: a prompt, a keyword, or a program that runs it."""
_FILE_READ = re.compile(r"\$\(\s*(?:cat\s+|<\s*)([\w./~-]+)\s*\)")
_HERE_READ = re.compile(
    r"\$\(\s*cat\s+<<-?\s*(?P<quote>['\"]?)(?P<mark>\w+)(?P=quote)\n(?P<text>.*?)\n\s*(?P=mark)\s*\)",
    re.DOTALL,
)
_ANOTHER = re.compile(r"(?:^|[;&|])[ \t]*curl(?:\.exe)?\s", re.MULTILINE)
_CURL_INSIDE = re.compile(r"\$\(\s*(?=curl(?:\.exe)?\s)")


class Input(NamedTuple):
    """What a command is given as its input.

    Args:
        text: The text; None where a program writes it.
        program: That program.
    """

    text: str | None
    program: str = ""


class Words(NamedTuple):
    """A command in words.

    Args:
        words: The words.
        variables: The environment variables that stood in it, and their values.
        input: Its input; None if it is given none.
    """

    words: list[str]
    variables: dict[str, str]
    input: Input | None = None


def words(text: str, environment: Mapping[str, str] | None = None) -> Words:
    """Cut a text into commands, and return the one that is curl's.

    Assignments before it hold; where its output goes, and what follows, is left out.

    Args:
        text: The command, or the script that it stands in.
        environment: What variables stand for. Default: the process's own.

    Returns:
        The command, from `curl` on; with no words if there is none.

    Raises:
        LoadError: A quote is not closed, a variable is not set, another command stands inside, or
            there are several of curl's.
    """
    text = text.replace("\r\n", "\n")
    known = os.environ if environment is None else environment
    if re.search(r"\^[\n\"]", text):  # cmd.exe's
        text = re.sub(r"\^\n", " ", text)
        text = re.sub(r"\^(.)", r"\1", text).replace("$", r"\$")
        text = re.sub(r"%(\w+)%", lambda e: f"${{{e[1]}}}" if e[1] in known else e[0], text)
    text = re.sub(r"(?<=\s)`\n", " ", text)  # PowerShell's
    cutter = _Cutter(text, known)
    try:
        found = cutter.run()
    except _CurlInsideError as inside:  # answer=$(curl …)
        found = cutter.restart(inside.at).run()
    if _ANOTHER.search(text, cutter.at):
        raise LoadError("the text holds several curl commands; give the one that asks")
    return Words(found.words, cutter.variables, found.input)


def file_text(path: str) -> str:
    """Return the text of a file that a command names.

    Raises:
        LoadError: It can't be read.
    """
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LoadError(f"the command's file {path} can't be read: {error}") from None


class _CurlInsideError(Exception):
    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at


@dataclass
class _Simple:
    """One command of a text."""

    words: list[str] = field(default_factory=list)
    input: Input | None = None

    @property
    def is_curl(self) -> bool:
        if not self.words:
            return False
        return re.split(r"[/\\]", self.words[0])[-1].lower() in {"curl", "curl.exe"}

    def output(self) -> Input:
        """Return what it writes, where that can be told without running it."""
        name, *rest = self.words or [""]
        if name == "echo" and rest[:1] not in (["-e"], ["-en"], ["-ne"]):
            line = rest[1:] if rest[:1] == ["-n"] else rest
            return Input(" ".join(line))
        if name == "printf" and rest[:1] == ["%s"] and len(rest) == 2:  # noqa: PLR2004
            return Input(rest[1])
        if name == "cat" and not rest and self.input:
            return self.input
        if name == "cat" and len(rest) == 1 and not rest[0].startswith("-"):
            return Input(file_text(rest[0]))
        return Input(None, name)


class _Cutter:
    def __init__(self, text: str, environment: Mapping[str, str]) -> None:
        self.variables: dict[str, str] = {}
        self.at = 0
        self._text = text
        self._environment = environment
        self._set: dict[str, str] = {}
        self._now = _Simple()
        self._word: list[str] | None = None
        self._redirected = ""
        self._here: list[tuple[_Simple, str, bool, bool]] = []
        self._inside = False

    def restart(self, at: int) -> Self:
        """Begin again inside of `$(…)`, at whose end the text ends."""
        self._now, self._word, self._here = _Simple(), None, []
        self._redirected, self.at, self._inside = "", at, True
        return self

    def run(self) -> _Simple:
        """Return curl's command, or one without words; `at` is where it ends."""
        while self.at < len(self._text):
            before, character = self._now, self._text[self.at]
            if self._text.startswith("\\\n", self.at):
                self.at += 2
            elif character == ")" and self._inside:
                break
            else:
                self._step(character)
            if self._now is not before and before.is_curl:
                if self._here:  # its text stands below its line
                    self.at = (self._text + "\n").index("\n", self.at)
                    self._line()
                return before
        self._end()
        return self._now if self._now.is_curl else _Simple()

    def _step(self, character: str) -> None:
        if character == "\n":
            self._line()
        elif character == "#" and self._word is None:  # a comment
            self.at = (self._text + "\n").index("\n", self.at)
        elif character.isspace():
            self._end()
            self.at += 1
        elif found := _REDIRECTION.match(self._text, self.at):
            self._redirect(found[0])
        elif found := _OPERATOR.match(self._text, self.at):
            self._operator(found[0])
        else:
            self._word = [*(self._word or ()), self._next(character)]

    def _line(self) -> None:
        self._end()
        self.at += 1
        for command, mark, expands, tabs in self._here:
            tab = r"\t*" if tabs else ""
            found = re.compile(rf"^{tab}{re.escape(mark)}[ \t]*$", re.MULTILINE)
            end = found.search(self._text, self.at)
            if not end:
                raise LoadError(f"the command's text has no line {mark}, at which it would end")
            text = self._text[self.at : end.start()]
            self.at = end.end()
            text = re.sub(r"(?m)^\t+", "", text) if tabs else text
            command.input = Input(self._expanded(text) if expands else text)
        self._here = []
        if not _GOES_ON.match(self._text, self.at):
            self._end_command("")

    def _redirect(self, operator: str) -> None:
        before = "".join(self._word or ())
        if not (before.isdigit() and operator[0] != "&"):  # 2>file, and not a&>file
            self._end()
        self._word = None
        self.at += len(operator)
        if self._text.startswith("(", self.at):
            raise LoadError("the command holds another one, in <(…) or >(…): put its result there")
        self.at += len(re.match(r"[ \t]*", self._text[self.at :])[0])  # type: ignore[index]  # it may be empty
        if operator in {"<<", "<<-"}:
            found = re.compile(r"(['\"]?)\\?([\w.-]+)\1").match(self._text, self.at)
            if not found:
                raise LoadError(
                    f"the command has nothing behind {operator} that would end its text"
                )
            quoted = bool(found[1]) or "\\" in found[0]
            self._here.append((self._now, found[2], not quoted, operator == "<<-"))
            self.at = found.end()
        else:
            self._redirected = operator

    def _operator(self, operator: str) -> None:
        text, at = self._text, self.at
        around = text[at - 1 : at], text[at + 1 : at + 2]
        if operator == "&" and self._word is not None and re.fullmatch(r"\S\w", "".join(around)):
            raise LoadError(
                "an & stands bare in a word of the command, where a shell ends the command; put "
                "quotes around the word: an URL, say"
            )
        self.at += len(operator)
        self._end_command(operator)

    def _end(self) -> None:
        if self._word is None:
            return
        word, operator = "".join(self._word), self._redirected
        self._word, self._redirected = None, ""
        if operator == "<":
            self._now.input = Input(file_text(word))
        elif operator == "<<<":
            self._now.input = Input(word)
        elif not operator:
            self._take(word)

    def _take(self, word: str) -> None:
        if not self._now.words:
            if word in _BEFORE or word.endswith(("$", "%")):  # a shell's prompt
                return
            if found := _ASSIGNMENT.fullmatch(word):
                self._set[found[1]] = found[2]
                return
        self._now.words.append(word)

    def _end_command(self, operator: str) -> None:
        self._end()
        command, self._now = self._now, _Simple()
        if operator in {"|", "|&"} and not command.is_curl:
            self._now.input = command.output()

    def _next(self, character: str) -> str:
        """Return what the next characters stand for."""
        text, at = self._text, self.at
        if character == "'":
            end = self._closing("'", at + 1)
            self.at = end + 1
            return text[at + 1 : end]
        if text.startswith("$'", at):
            return self._ansi()
        if character == '"':
            self.at += 1
            return self._until('"')
        if character == "\\":
            self.at += 2
            return text[at + 1 : at + 2]
        return self._plain()

    def _plain(self) -> str:
        text, at = self._text, self.at
        if text.startswith(("$(", "`"), at):
            return self._inner()
        if found := _VARIABLE.match(text, at):
            self.at = found.end()
            return self._value(found)
        if found := re.compile(r"\$(?:\{|[0-9@*#?$!])").match(text, at):
            raise LoadError(
                f"the command holds {found[0]}, which only its shell knows: put the value there, "
                "or single quotes around what is meant as it stands"
            )
        self.at += 1
        return text[at]

    def _value(self, found: re.Match[str]) -> str:
        name = found["power"] or found["braced"] or found["bare"]
        value = self._set.get(name, self._environment.get(name))
        default = found["default"]
        if default and (value is None or (value == "" and default.startswith(":"))):
            return default.lstrip(":")[1:]
        if value is None:
            raise LoadError(f"the command uses ${name}, and that variable is not set here")
        self.variables[name] = value
        return value

    def _inner(self) -> str:
        """Return what a command inside would write: a file, or a text; curl is the command."""
        text, at = self._text, self.at
        if found := _FILE_READ.match(text, at):
            self.at = found.end()
            return file_text(found[1]).rstrip("\n")
        if found := _HERE_READ.match(text, at):
            self.at = found.end()
            return found["text"] if found["quote"] else self._expanded(found["text"])
        found = None if self._inside or self._now.is_curl else _CURL_INSIDE.match(text, at)
        if found:
            raise _CurlInsideError(found.end())
        called = re.match(r"(?:\$\(|`)\s*([\w.-]*)", text[at:])
        raise LoadError(
            "the command holds another one, in $(…) or `…`: put its result there"
            + (f" ({called[1]}'s)" if called and called[1] else "")
        )

    def _expanded(self, text: str) -> str:
        """Return a text with its variables' values, as a shell has it between quotes."""
        outer = self._text, self.at, self._inside
        self._text, self.at, self._inside = text, 0, True
        made = self._until("")
        self._text, self.at, self._inside = outer
        return made

    def _until(self, end: str) -> str:
        """Return what stands up to a quote, or up to the text's end, as between double quotes."""
        out: list[str] = []
        while self.at < len(self._text):
            character = self._text[self.at]
            if character == end:
                self.at += 1
                return "".join(out)
            following = self._text[self.at + 1 : self.at + 2]
            if character == "\\" and following and following in f"{end}\\$`\n":
                out.append("" if following == "\n" else following)
                self.at += 2
            else:
                out.append(self._plain())
        if end:
            raise LoadError(f"a {end} of the command is not closed")
        return "".join(out)

    def _ansi(self) -> str:
        r"""Return what stands in $'…', which browsers write: \' and \u00e9 are escapes there."""
        out: list[str] = []
        self.at += 2
        while self.at < len(self._text):
            character = self._text[self.at]
            self.at += 1
            if character == "'":
                # JSON's surrogates come in two escapes.
                return "".join(out).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            if character != "\\":
                out.append(character)
            elif code := _CODE.match(self._text, self.at):
                self.at = code.end()
                digits = code[1] or code[2] or code[3]
                out.append(chr(int(digits, 16) if digits else int(code[4], 8)))
            else:
                escaped = self._text[self.at : self.at + 1]
                out.append(_ESCAPES.get(escaped, escaped))
                self.at += 1
        raise LoadError("a $' of the command is not closed")

    def _closing(self, quote: str, start: int) -> int:
        end = self._text.find(quote, start)
        if end < 0:
            raise LoadError(f"a {quote} of the command is not closed")
        return end
