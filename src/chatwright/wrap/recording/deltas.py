"""An answer as a cassette has it: its deltas as JSON, without secrets."""

import dataclasses
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from chatwright.deltas import (
    Block,
    Delta,
    Finish,
    Reasoning,
    Refusal,
    Text,
    ToolCallDelta,
    Usage,
)
from chatwright.errors import CassetteError
from chatwright.wrap.recording.secrets import Secrets

__all__ = ["as_delta", "as_json", "hidden", "is_json", "written"]

_KINDS: Mapping[str, type[Any]] = {
    "block": Block,
    "call": ToolCallDelta,
    "finish": Finish,
    "reasoning": Reasoning,
    "refusal": Refusal,
    "usage": Usage,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_BARE = {"block": "block", "reasoning": "text", "refusal": "text"}
"""The one field of a delta that has no others."""


def written(delta: Delta) -> Any:
    """Return a delta as JSON: text is a string, others an object of one key, their kind.

    Raises:
        CassetteError: It holds what is no JSON.
    """
    if isinstance(delta, str):
        return str(delta)
    if isinstance(delta, Text):
        return delta.text
    name = _NAMES[type(delta)]
    if name in _BARE:
        return {name: as_json(getattr(delta, _BARE[name]), name)}
    fields = {
        field.name: as_json(value, f"{name}.{field.name}")
        for field in dataclasses.fields(delta)
        if (value := getattr(delta, field.name)) != _default(field)
    }
    return {name: fields}


def as_delta(entry: Any) -> Delta:
    """Return the delta that `written` made this entry of.

    Raises:
        CassetteError: It made none like this.
    """
    if isinstance(entry, str):
        return entry
    try:
        ((name, fields),) = entry.items()
        kind = _KINDS[name]
        made: Delta = kind(fields) if name in _BARE else kind(**fields)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise CassetteError(f"{entry!r} is no part of an answer") from None
    return made


def _default(field: "dataclasses.Field[Any]") -> Any:
    made = field.default_factory
    return field.default if made is dataclasses.MISSING else made()


def as_json(value: Any, where: str) -> Any:
    """Return a value that reads the same from JSON; a tuple becomes a list.

    Args:
        value: The value.
        where: What it is, for errors.

    Raises:
        CassetteError: There is no JSON for it, or another value would be read.
    """
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [as_json(each, f"{where}[{n}]") for n, each in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: as_json(each, f"{where}.{key}") for key, each in value.items()}
    raise CassetteError(
        f"{where} is {value!r}, a {type(value).__name__}, which no cassette can hold; have the "
        "model give a str, a number, a list or a dict with str keys"
    )


def is_json(value: Any) -> bool:
    """Tell whether `as_json` takes a value."""
    try:
        as_json(value, "")
    except CassetteError:
        return False
    return True


def hidden(deltas: Sequence[Delta], secrets: Secrets) -> list[Delta]:
    """Return an answer's deltas without secrets, also those that several pieces make up.

    There are as many as before; the text of a secret stands as `***` where it began.
    """
    places: dict[Hashable, list[int]] = {}
    for place, delta in enumerate(deltas):
        if (channel := _channel(delta)) is not None:
            places.setdefault(channel, []).append(place)
    made = [_plain(each, secrets) for each in deltas]
    for pieces in places.values():
        texts = _cut([_text(deltas[place]) for place in pieces], secrets.spans)
        for place, text in zip(pieces, texts, strict=True):
            made[place] = _with(made[place], text)
    return made


def _cut(texts: Sequence[str], spans: Callable[[str], Sequence[tuple[int, int]]]) -> Sequence[str]:
    """Return the pieces of a text with what stands in the spans of the whole hidden."""
    found = spans("".join(texts))
    if not found:
        return texts
    made, at = [], 0
    for text in texts:
        kept, begin = "", at
        for start, end in found:
            if start < at + len(text) and end > at:
                kept += text[begin - at : max(start - at, 0)]
                kept += "***" if start >= at else ""
                begin = min(end, at + len(text))
        made.append(kept + text[begin - at :])
        at += len(text)
    return made


def _channel(delta: Delta) -> Hashable:
    """Return what tells which pieces make one text; None for what is no piece."""
    if isinstance(delta, str | Text):
        return "text"
    if isinstance(delta, Reasoning | Refusal):
        return type(delta).__name__
    if isinstance(delta, ToolCallDelta) and isinstance(delta.args, str):
        return ("call", delta.index)
    return None


def _text(delta: Any) -> str:
    if isinstance(delta, ToolCallDelta):
        return str(delta.args)
    return delta if isinstance(delta, str) else str(delta.text)


def _with(delta: Any, text: str) -> Delta:
    if isinstance(delta, str):
        return text
    field = "args" if isinstance(delta, ToolCallDelta) else "text"
    made: Delta = dataclasses.replace(delta, **{field: text})
    return made


def _plain(delta: Delta, secrets: Secrets) -> Delta:
    """Return a delta whose fields beside its text hold no secrets.

    Only what is told of an answer is searched for what looks like one: the rest goes back as it is.
    """
    if isinstance(delta, str | Text | Reasoning | Refusal | Usage):
        return delta
    fields = {field.name: getattr(delta, field.name) for field in dataclasses.fields(delta)}
    kept = {
        name: secrets.hide(each) if name == "metadata" else secrets.text(each)
        for name, each in fields.items()
    }
    made: Delta = type(delta)(**kept)
    return made
