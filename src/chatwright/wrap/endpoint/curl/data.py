"""The data that a curl command sends, and what it is the writing of."""

import contextlib
import re
from typing import Any
from urllib.parse import parse_qsl, quote_plus

from chatwright.errors import LoadError, SourceError
from chatwright.wires.jsonio import loads
from chatwright.wrap.endpoint.curl.shell import Input, file_text

__all__ = ["Data"]

_FORM = "application/x-www-form-urlencoded"
_NAME = re.compile(r"[\w.\[\]$:-]+")
_WHOLE = re.compile(r"-?(0|[1-9]\d{0,15})")
_FRACTION = re.compile(r"-?(0|[1-9]\d{0,8})\.\d{0,8}[1-9]|-?\d{1,8}\.0")


class Data:
    """What `-d`, `-F` and their kin say, in their order.

    Args:
        given: The command's input, which `@-` stands for.
    """

    def __init__(self, given: Input | None) -> None:
        """Start with nothing."""
        self._given = given
        self._posted: list[str] = []
        self._parts: list[tuple[str, str]] = []
        self.query: list[tuple[str, str]] = []
        self._is_json = False

    @property
    def has_body(self) -> bool:
        """Whether there is anything to post."""
        return bool(self._posted or self._parts)

    def add(self, option: str, value: str) -> None:
        """Take an option's value.

        Raises:
            LoadError: It names a file that can't be read, or what can't be said here.
        """
        if option in {"--form", "--form-string"}:
            self._parts.append(self._part(value, literal=option == "--form-string"))
        elif option == "--url-query":
            pair = value[1:] if value.startswith("+") else self._urlencoded(value)
            self.query += parse_qsl(pair, keep_blank_values=True)
        elif option == "--data-urlencode":
            self._posted.append(self._urlencoded(value))
        elif value.startswith("@") and option != "--data-raw":
            text = self._read(value[1:])
            binary = option in {"--data-binary", "--json"}
            self._put(option, text if binary else text.replace("\r", "").replace("\n", ""))
        else:
            self._put(option, value)

    def _put(self, option: str, text: str) -> None:
        if option == "--json" and self._is_json:
            self._posted[-1] += text
        else:
            self._posted.append(text)
        self._is_json = option == "--json"

    def _read(self, path: str) -> str:
        if path != "-":
            return file_text(path)
        if self._given is None:
            raise LoadError("the command takes its data from its input, which is not in it")
        if self._given.text is None:
            raise LoadError(
                f"the command takes its data from what {self._given.program} writes; put that into "
                "it, or into a file: -d @FILE"
            )
        return self._given.text

    def _urlencoded(self, value: str) -> str:
        """Return what `--data-urlencode` makes of a value: `=text`, `name=text`, `name@file`."""
        found = re.match(r"([^=@]*)([=@])(.*)", value, re.DOTALL)
        if not found:
            return quote_plus(value)
        name, mark, text = found.groups()
        said = quote_plus(self._read(text) if mark == "@" else text)
        return f"{name}={said}" if name else said

    def _part(self, value: str, *, literal: bool) -> tuple[str, str]:
        name, equals, text = value.partition("=")
        if not equals:
            raise LoadError("the command has a part of a form without a name: -F NAME=TEXT")
        if literal:
            return name, text
        if text.startswith("@"):
            raise LoadError(
                f"the command uploads the file {text[1:]}, which no endpoint file can say: wrap a "
                "function with @chat_model"
            )
        kind = re.search(r";\s*(type|filename|encoder|headers)=([^;]*)$", text)
        if kind and kind[2].strip() != "text/plain":
            raise LoadError(
                f"the command gives the part {name!r} a {kind[1]} of its own, which no endpoint "
                "file can say: leave it out, or wrap a function with @chat_model"
            )
        text = text[: kind.start()] if kind else text
        text = self._read(text[1:]) if text.startswith("<") else text
        return name, text.removeprefix('"').removesuffix('"') if text.startswith('"') else text

    def pairs(self) -> list[tuple[str, str]]:
        """Return what `-G` puts into the URL."""
        return parse_qsl("&".join(self._posted), keep_blank_values=True)

    def body(self, content_type: str) -> tuple[Any, str]:
        """Return what is posted, and the encoding that writes it so.

        Args:
            content_type: The header of that name; empty where the command has none.

        Raises:
            LoadError: It is none.
        """
        if self._parts:
            if self._posted:
                raise LoadError("the command has both -F and -d, and curl sends but one of them")
            return self.fields(self._parts), "multipart"
        posted = "&".join(self._posted)
        try:
            found = loads(posted)
        except SourceError as error:
            if "json" in content_type or posted.lstrip()[:1] in {"{", "["}:
                raise LoadError(f"the command's data is no JSON: {error}") from None
        else:
            if isinstance(found, dict | list | str):
                return found, "json"
        pieces, pairs = posted.split("&"), parse_qsl(posted, keep_blank_values=True)
        named = all("=" in each for each in pieces) and all(_NAME.fullmatch(e[0]) for e in pairs)
        if named and content_type.partition(";")[0].strip() in {"", _FORM}:
            return self.fields(pairs), "form"
        return posted, "text"

    @staticmethod
    def fields(pairs: list[tuple[str, str]]) -> dict[str, Any]:
        """Return a form's fields; one that is there several times is a list.

        Args:
            pairs: The fields' names and texts.
        """
        made: dict[str, list[str]] = {}
        for name, text in pairs:
            made.setdefault(name, []).append(text)
        return {name: e if len(e) > 1 else _value(e[0]) for name, e in made.items()}


def _value(text: str) -> Any:
    """Return what a field's text is the writing of: a number, JSON, a truth value or itself."""
    if text in {"true", "false"}:
        return text == "true"
    if _WHOLE.fullmatch(text) and text != "-0":
        return int(text)
    if _FRACTION.fullmatch(text) and str(float(text)) == text:
        return float(text)
    with contextlib.suppress(SourceError):
        found = loads(text) if text[:1] in {"{", "["} else None
        items = found if isinstance(found, list) else [found]
        if items and all(isinstance(each, dict) for each in items):
            return found
    return text
