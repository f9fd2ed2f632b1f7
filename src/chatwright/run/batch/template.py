"""A prompt with columns in braces."""

import json
import string
from collections.abc import Mapping
from typing import Any

from chatwright.errors import ParameterError

__all__ = ["Template", "UnreadRowError", "quoted"]


class UnreadRowError(Exception):
    """A row that can't be asked; its message says why, and what helps."""


class Template:
    """A text with columns in braces, `"Translate: {text}"`; `{{` is a brace.

    Args:
        text: The text.

    Raises:
        ParameterError: A brace stands alone, or there is more than a name between two.
    """

    def __init__(self, text: str) -> None:
        """Take it apart."""
        self._parts: list[tuple[str, str | None]] = []
        try:
            for said, name, form, conversion in string.Formatter().parse(text):
                if form or conversion or name == "":
                    raise ValueError("only a column's name may stand in braces")  # noqa: TRY301
                self._parts.append((said, name))
        except ValueError as error:
            raise ParameterError(
                f"the prompt {text!r} can't be read: {error}; write {{{{ for a brace"
            ) from None

    @property
    def columns(self) -> list[str]:
        """The columns' names."""
        return [name for _, name in self._parts if name is not None]

    def filled(self, row: Any) -> str:
        """Return the text with a row's columns.

        Args:
            row: The columns; a bare text is the column `text`.

        Raises:
            UnreadRowError: A column is missing or empty.
        """
        columns = {"text": row} if isinstance(row, str) else row
        if not isinstance(columns, Mapping):
            raise UnreadRowError(f"{quoted(row)} has no columns")
        made = []
        for said, name in self._parts:
            made.append(said)
            if name is not None:
                made.append(_text(columns, name))
        return "".join(made)


def _text(columns: Mapping[str, Any], name: str) -> str:
    if name not in columns:
        there = ", ".join(map(repr, columns))[:300]
        raise UnreadRowError(f"there is no column {name!r}; there are {there}")
    value = columns[name]
    if isinstance(value, str):
        return value
    if value is None:
        raise UnreadRowError(f"{name!r} is empty (null)")
    return json.dumps(value, ensure_ascii=False, default=str)


def quoted(value: Any) -> str:
    """Return a short description of a value, for errors."""
    told = repr(value)
    kind = {type(None): "nothing", bool: "true or false", int: "a number", float: "a number"}
    return f"{kind.get(type(value), 'a ' + type(value).__name__)} ({told[:80]})"
