"""Writing TOML: what an endpoint file holds."""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

__all__ = ["comment", "pair"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def pair(key: str, value: Any) -> str:
    """Return a line with a key and its value; a mapping is an inline table.

    Args:
        key: The key.
        value: Of texts, numbers, truth values, collections and named tuples; a set is sorted.

    Raises:
        TypeError: TOML has nothing for it: None, say.
    """
    return f"{_key(key)} = {_value(value)}"


def comment(text: str) -> str:
    """Return a text as a comment on one line, without what can't be printed."""
    printable = "".join(each if each.isprintable() else " " for each in text)
    return f"# {' '.join(printable.split())}"


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        pairs = ", ".join(pair(str(name), each) for name, each in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, Collection):
        items = sorted(value) if isinstance(value, frozenset | set) else value
        return f"[{', '.join(map(_value, items))}]"
    raise TypeError(f"TOML has nothing for {value!r}")
