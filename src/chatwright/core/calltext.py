"""One tool call as JSON text, taken as it comes."""

import json
from collections.abc import Sequence

from chatwright.core.jsontext import JsonScanner, breaking_suffix
from chatwright.deltas import ToolCallDelta

__all__ = ["CallText"]

_ARGUMENTS = frozenset({"arguments", "args", "input", "parameters"})


class CallText:
    """Reads `{"name": …, "arguments": {…}}`, or the arguments alone; they stream as they come.

    Args:
        index: The call's number in the answer.
        arguments_only: Whether the JSON is the arguments, the name being known already.
    """

    def __init__(self, index: int, *, arguments_only: bool = False) -> None:
        """Stand before the opening brace."""
        self._index = index
        self._arguments_only = arguments_only
        self._scanner = JsonScanner()
        self._raw: list[str] = []
        self._args: list[str] = []  # handed out, as soon as the name is known
        self._key: str | None = None  # of the value that is being read
        self._token = ""  # what has come of a key, or of a value that does not stream
        self._streaming = arguments_only
        self._named = arguments_only
        self.closed = False

    @property
    def in_string(self) -> bool:
        """Whether what comes next is inside of a JSON string."""
        return self._scanner.in_string

    def feed(self, text: str) -> tuple[int, Sequence[ToolCallDelta]]:
        """Take text up to the end of the call.

        Returns:
            How many characters belong to the call, and what can go out now.
        """
        out: list[ToolCallDelta] = []
        start = 0
        for at, character in self._scanner.structure(text):
            depth = self._scanner.depth
            if depth == 0:
                self._value(text[start : at + self._arguments_only], out, ends=True)
                self._raw.append(text[: at + 1])
                self.closed = True
                return at + 1, out
            if depth != 1 or self._arguments_only:
                continue
            if character == "{":
                start = at + 1
            elif character == ":" and self._key is None:
                self._key = _unquoted(self._token + text[start:at])
                self._token, start = "", at + 1
            elif character == ",":
                self._value(text[start:at], out, ends=True)
                start = at + 1
        self._raw.append(text)
        self._value(text[start:], out, ends=False)
        return len(text), out

    def end(self) -> Sequence[ToolCallDelta]:
        """Return what is left to say of a call that its own marker has ended.

        LLMs forget the last brace; whatever else is missing makes the call one that can't be read.
        """
        complete = self.closed or (self._scanner.depth == 1 and bool(self._args))
        return () if self._named and complete else self.cut()

    def cut(self) -> Sequence[ToolCallDelta]:
        """Return what makes a call that was cut one that can't be read, its raw text kept."""
        raw = "".join(self._args if self._named else self._raw)
        suffix = breaking_suffix(raw)
        return (ToolCallDelta(self._index, args=suffix if self._named else raw + suffix),)

    def _value(self, text: str, out: list[ToolCallDelta], *, ends: bool) -> None:
        """Take a part of a value, or of a key."""
        if self._streaming:
            self._arguments(text, out)
        elif self._key is None or self._key == "name" or self._key in _ARGUMENTS:
            self._token += text
            if self._key in _ARGUMENTS and self._token.lstrip().startswith("{"):
                self._streaming = True
                self._arguments(self._token.lstrip(), out)
            elif ends and self._key in _ARGUMENTS:  # given as a string, or as nothing
                args = _unquoted(self._token)
                self._arguments("{}" if args == "null" else args, out)
            elif ends and self._key == "name" and (name := _unquoted(self._token)):
                self._named = True
                out.append(ToolCallDelta(self._index, name=name, args="".join(self._args)))
        if ends:
            self._key, self._token = None, ""
            self._streaming = self._arguments_only

    def _arguments(self, text: str, out: list[ToolCallDelta]) -> None:
        if text:
            self._args.append(text)
        if text and self._named:
            out.append(ToolCallDelta(self._index, args=text))


def _unquoted(token: str) -> str:
    """Return the string that a JSON token stands for, or the token itself."""
    token = token.strip()
    try:
        value = json.loads(token, strict=False)
    except ValueError:
        return token
    return value if isinstance(value, str) else token
