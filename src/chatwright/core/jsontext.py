"""JSON that comes in pieces: where a value ends, and what a cut one needs to stay invalid."""

import json
import re
from collections.abc import Iterator
from typing import Any

__all__ = ["JsonScanner", "breaking_suffix", "read_object"]

_OUTSIDE = re.compile(r'["{}\[\],:]')
_INSIDE = re.compile(r'["\\]')


class JsonScanner:
    """Finds the structure of JSON text, wherever it is split; each character is seen once."""

    def __init__(self) -> None:
        """Stand before the value."""
        self.depth = 0
        self.in_string = False
        self._escaped = False

    def structure(self, text: str, at: int = 0) -> Iterator[tuple[int, str]]:
        """Yield the position of each of `" { } [ ] , :` that is no part of a string's content.

        When one is yielded, `depth` and `in_string` hold what is true behind it.
        """
        if self._escaped and at < len(text):
            at, self._escaped = at + 1, False
        while found := (_INSIDE if self.in_string else _OUTSIDE).search(text, at):
            at, character = found.end(), found[0]
            if character == "\\":
                self._escaped = at == len(text)
                at += 1
                continue
            if character == '"':
                self.in_string = not self.in_string
            elif character in "{[":
                self.depth += 1
            elif character in "}]":
                self.depth -= 1
            yield found.start(), character


def breaking_suffix(raw: str) -> str:
    """Return what makes `raw` unreadable even to a parser that completes cut JSON.

    LangChain reads streamed arguments with `parse_partial_json`, for which a call that was cut is
    a valid one (`AIMessageChunk.init_tool_calls`, langchain-core 1.7.2). A closing bracket that
    closes nothing is what that parser refuses.
    """
    open_brackets: list[str] = []
    scanner = JsonScanner()
    for _, character in scanner.structure(raw):
        if character in "{[":
            open_brackets.append(character)
        elif character in "}]" and open_brackets:
            open_brackets.pop()
    end_of_string = ""
    if scanner.in_string:
        trailing = len(raw) - len(raw.rstrip("\\"))
        end_of_string = '""' if trailing % 2 else '"'
    wrong = "}" if open_brackets and open_brackets[-1] == "[" else "]"
    return end_of_string + wrong


def read_object(raw: str) -> tuple[dict[str, Any] | None, str]:
    """Return a call's arguments, nothing being none of them; or None, and what is wrong."""
    try:
        args = json.loads(raw or "{}", strict=False)
    except ValueError as error:
        return None, str(error)
    if not isinstance(args, dict):
        return None, f"the arguments must be a JSON object, not {type(args).__name__}"
    return args, ""
