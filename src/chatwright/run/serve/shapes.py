"""JSON schemas of what is answered, made of answers: they can't differ from what writes those."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from chatwright.deltas import Reasoning, Refusal, ToolCallDelta, Usage
from chatwright.errors import ContentError
from chatwright.wires.wire import Server

__all__ = ["answer_shape", "error_shape", "shape"]

_SAID = (Reasoning("Hm."), "Hello.", Usage(1, 1, {"cache_read": 0}, {"reasoning": 0}))
_SAMPLES: tuple[tuple[Any, ...], ...] = (
    ("Hello.",),
    ("Hello.", Usage(1, 1)),
    _SAID,
    (ToolCallDelta(0, "call_1", "look", "{}"), Usage(1, 1)),
    (Refusal("No."),),
)
"""Answers that differ in what they hold."""
_CHOICES: tuple[Any, ...] = (None, {"type": "function", "name": "look"})
"""Requests that differ in what an answer tells again of them: by `tool_choice`."""


def shape(samples: Iterable[Any]) -> dict[str, Any]:
    """Return a JSON schema that all samples conform to.

    Fields that each of them has are required. What is empty, or null, in all of them may be
    anything: they don't tell.

    Args:
        samples: Values of JSON.
    """
    known = list(samples)
    objects = [each for each in known if isinstance(each, dict)]
    lists = [each for each in known if isinstance(each, list)]
    if not known or all(each is None or each in ([], {}) for each in known):
        return {}
    kinds = sorted({_kind(each) for each in known})
    made: dict[str, Any] = {"type": kinds[0] if len(kinds) == 1 else kinds}
    if objects:
        names = dict.fromkeys(name for each in objects for name in each)
        parts = {n: shape(each[n] for each in objects if n in each) for n in names}
        made |= {
            "properties": parts,
            "required": [n for n in names if all(n in o for o in objects)],
        }
    if lists:
        made["items"] = shape(item for each in lists for item in each)
    return made


def _kind(value: Any) -> str:
    kinds = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array"}
    return "null" if value is None else kinds.get(type(value), "object")


def answer_shape(server: Server) -> dict[str, Any]:
    """Return the JSON schema of the whole answers of the server's end of a wire."""
    written = (_written(server, each, choice) for each in _SAMPLES for choice in _CHOICES)
    return shape(each for each in written if each is not None)


def _written(server: Server, sample: Iterable[Any], choice: Any) -> Any:
    """Return an answer; None where the wire has no form for what it holds."""
    said = {"messages": [], "input": "hi", "prompt": "hi"}
    asked = server.read({"model": "m", **said, "tool_choice": choice})
    writer = server.writer(replace(asked, number="0"))
    try:
        for delta in sample:
            writer.add(delta)
    except ContentError:
        return None
    return writer.whole()


def error_shape(server: Server | None) -> dict[str, Any]:
    """Return the JSON schema of a wire's errors; of the general ones where it is None."""
    if server is None:
        return shape([{"error": {"message": "…", "code": 404}}])
    return shape(server.error(status, "…") for status in (400, 404, 429, 500))
