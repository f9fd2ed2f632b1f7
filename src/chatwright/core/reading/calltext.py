"""One tool call as JSON text, taken as it comes."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from chatwright.core.jsontext import JsonScanner
from chatwright.core.reading.arguments import as_json, properties_of
from chatwright.deltas import ToolCallDelta

__all__ = ["CUT", "ArgumentsText", "CallText"]

Tools = Mapping[str, Mapping[str, Any]]

CUT = "the answer ended before the call did"

_ARGUMENTS = frozenset({"arguments", "args", "input", "parameters"})
_BESIDE = frozenset({"function", "id", "index", "name", "type"})
_KEYS = _ARGUMENTS | _BESIDE


class ArgumentsText:
    """Reads a call's arguments, a JSON object; they stream as they come.

    Args:
        index: The call's number in the answer.
    """

    def __init__(self, index: int) -> None:
        """Stand before the opening brace."""
        self.index = index
        self._scanner = JsonScanner()
        self.closed = False

    @property
    def in_string(self) -> bool:
        """Whether what comes next is inside of a JSON string."""
        return self._scanner.in_string

    def feed(self, text: str) -> tuple[int, Sequence[ToolCallDelta]]:
        """Take text up to the end of the arguments; return how much that is, and what it gives."""
        for at, _ in self._scanner.structure(text):
            if self._scanner.depth == 0:
                self.closed = True
                text = text[: at + 1]
                break
        return len(text), (ToolCallDelta(self.index, args=text),) if text else ()

    def end(self) -> Sequence[ToolCallDelta]:
        """Return what is left to say of arguments that the call's own marker has ended."""
        return () if self.closed else (ToolCallDelta(self.index, error="the JSON is not whole"),)

    def cut(self) -> Sequence[ToolCallDelta]:
        """Return what makes a call that was cut one that can't be read."""
        return (ToolCallDelta(self.index, error=CUT),)


class CallText:
    """Reads `{"name": …, "arguments": {…}}`, whatever LLMs make of it; arguments stream.

    The keys come in any order; `parameters` may stand for `arguments`; both may stand inside of
    `function`, as OpenAI has it, or the arguments beside the name.

    Args:
        index: The call's number in the answer.
        tools: The schemas of the tools' arguments. Default: not known.
    """

    def __init__(self, index: int, tools: Tools | None = None) -> None:
        """Stand before the opening brace."""
        self._index = index
        self._tools = tools
        self.scanner = JsonScanner()
        self._base = 1  # how deep the call's own keys are
        self._raw: list[str] = []
        self._args: list[str] = []  # handed out, as soon as the name is known
        self._beside: dict[str, str] = {}
        self._key: str | None = None  # of the value that is being read
        self._token = ""  # what has come of a key, or of a value that does not stream
        self._streaming = False
        self.name = ""
        self.closed = False

    @property
    def in_string(self) -> bool:
        """Whether what comes next is inside of a JSON string."""
        return self.scanner.in_string

    def feed(self, text: str) -> tuple[int, Sequence[ToolCallDelta]]:
        """Take text up to the end of the call.

        Returns:
            How many characters belong to the call, and what can go out now.
        """
        out: list[ToolCallDelta] = []
        start = 0
        for at, character in self.scanner.structure(text):
            depth = self.scanner.depth
            if depth < self._base and character == "}":
                self._value(text[start:at], out, ends=True)
                start, self._base, self._key = at + 1, 1, "function"
                if depth == 0:
                    return self._close(text[: at + 1], out)
            elif self._enters(character, depth, self._token + text[start:at]):
                self._base, self._key, self._token, start = depth, None, "", at + 1
            elif depth != self._base:
                continue
            elif character == ":" and self._key is None:
                self._key = _unquoted(self._token + text[start:at])
                self._token, start = "", at + 1
            elif character == ",":
                self._value(text[start:at], out, ends=True)
                start = at + 1
        self._raw.append(text)
        self._value(text[start:], out, ends=False)
        return len(text), out

    def _enters(self, character: str, depth: int, before: str) -> bool:
        """Tell whether a brace opens the call, or the `function` that holds what it is."""
        inside = self._key == "function" and depth == self._base + 1 and not before.strip()
        return character == "{" and (depth == self._base == 1 or inside)

    def _close(self, text: str, out: list[ToolCallDelta]) -> tuple[int, Sequence[ToolCallDelta]]:
        self._raw.append(text)
        self.closed = True
        if self.name and not self._args:
            out += self._arguments_beside()
        return len(text), out

    def _arguments_beside(self) -> Sequence[ToolCallDelta]:
        """Return the arguments that stand beside the name, where none stand in their place."""
        schema = (self._tools or {}).get(self.name)
        known = properties_of(schema)
        given = {
            key: value
            for key, value in self._beside.items()
            if key not in _BESIDE or (known and key in known)
        }
        closed = known is not None and not (schema or {}).get("additionalProperties")
        strange = [key for key in given if closed and key not in (known or ())]
        if strange:
            return self._unreadable(f"the tool {self.name} takes no {strange[0]!r}")
        named = ", ".join(f"{as_json(key)}: {value.strip()}" for key, value in given.items())
        return (ToolCallDelta(self._index, args=f"{{{named}}}"),) if named else ()

    def verdict(self, *, at_start: bool) -> bool | None:
        """Tell whether this is a call of a tool, or other JSON; None, while that is open.

        Args:
            at_start: Whether the answer begins with it. Behind text its arguments have to be seen.
        """
        names = self._tools
        if self.name:
            known = names is None or self.name in names
            sure = at_start or bool(self._args)
            return False if not known or (self.closed and not sure) else sure or None
        kind = _unquoted(self._beside.get("type", '"function"'))
        if self.closed or self._key not in {None, *_KEYS} or kind != "function":
            return False
        begun = self._token.lstrip() if self._key is None else ""
        return None if any(f'"{key}"'.startswith(begun.rstrip()) for key in _KEYS) else False

    def end(self) -> Sequence[ToolCallDelta]:
        """Return what is left to say of a call that its own marker has ended.

        LLMs forget the last brace; whatever else is missing makes the call one that can't be read.
        """
        if not self.name:
            return self._unreadable("the call names no tool")
        complete = self.closed or (self.scanner.depth == self._base and bool(self._args))
        return () if complete else self._unreadable("the JSON is not whole")

    def cut(self) -> Sequence[ToolCallDelta]:
        """Return what makes a call that was cut one that can't be read, its raw text kept."""
        return self._unreadable(CUT)

    def _unreadable(self, error: str) -> Sequence[ToolCallDelta]:
        shown = bool(self.name and self._args)
        raw = "" if shown else "".join(self._raw).strip()
        return (ToolCallDelta(self._index, args=raw, error=error),)

    def _value(self, text: str, out: list[ToolCallDelta], *, ends: bool) -> None:
        """Take a part of a value, or of a key."""
        if self._streaming:
            self._arguments(text, out)
        else:
            self._token += text
            if self._key in _ARGUMENTS:
                self._begin_arguments(out, ends=ends)
            elif ends and self._key is not None:
                self._keep(self._key, out)
        if ends:
            self._key, self._token, self._streaming = None, "", False

    def _begin_arguments(self, out: list[ToolCallDelta], *, ends: bool) -> None:
        if self._token.lstrip().startswith("{"):
            self._streaming = True
            self._arguments(self._token.lstrip(), out)
        elif ends:  # given as a string, or as nothing
            args = _unquoted(self._token)
            self._arguments("{}" if args == "null" else args, out)

    def _keep(self, key: str, out: list[ToolCallDelta]) -> None:
        """Keep a value that is no arguments: the name, or what stands beside it."""
        token = self._token.strip()
        if key in {"name", "function"} and token.startswith('"') and not self.name:
            self.name = _unquoted(token)
            if self.name:
                out.append(ToolCallDelta(self._index, name=self.name, args="".join(self._args)))
        elif token:
            self._beside[key] = token

    def _arguments(self, text: str, out: list[ToolCallDelta]) -> None:
        if text:
            self._args.append(text)
        if text and self.name:
            out.append(ToolCallDelta(self._index, args=text))


def _unquoted(token: str) -> str:
    """Return the string that a JSON token stands for, or the token itself."""
    token = token.strip()
    try:
        value = json.loads(token, strict=False)
    except ValueError:
        return token
    return value if isinstance(value, str) else token
