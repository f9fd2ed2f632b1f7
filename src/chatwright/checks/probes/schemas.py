"""Schemas of structured output, and an LLM that answers by them."""

import json
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypedDict

from pydantic import BaseModel

from chatwright.checks.calls.modes import Call
from chatwright.checks.outcome import expect
from chatwright.checks.probes.inspection import arrived, pieces
from chatwright.checks.targets.backends import OnUpstream
from chatwright.deltas import ToolCallDelta, Usage
from chatwright.testing import Received, little_llm

__all__ = [
    "CITY_JSON",
    "CITY_SCHEMA",
    "CITY_VALUE",
    "QUESTION",
    "RESPONSE_FORMAT",
    "City",
    "CityDict",
    "asks_for_json",
    "conforming",
    "grown",
    "lost_strict",
    "schemas",
]


class City(BaseModel):
    """A city."""

    name: str
    people: int


class CityDict(TypedDict):
    """A city."""

    name: str
    people: int


CITY_SCHEMA: Mapping[str, Any] = {
    "title": "City",
    "description": "A city.",
    "type": "object",
    "properties": {"name": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["name", "people"],
}
CITY_VALUE = {"name": "Zürich", "people": 447082}
CITY_JSON = json.dumps(CITY_VALUE, ensure_ascii=False)
QUESTION = "Answer in JSON: what is the name of 'Zürich', and are there 447082 people?"
FORMATS = ("response_format", "text", "tools")
"""Where OpenAI's wires have schemas."""
RESPONSE_FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "City", "schema": {**CITY_SCHEMA, "additionalProperties": False}},
}


NEWEST_V1 = (3, 14)
"""The Python on which pydantic's v1 classes no longer work."""


def _v1_class() -> Any:
    """Return a class of pydantic v1, as old code has it; None where there are none."""
    if sys.version_info >= NEWEST_V1:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pydantic.v1 import BaseModel as BaseModelV1  # noqa: PLC0415  not on every Python

    body = {"__annotations__": {"name": str, "people": int}, "__doc__": "A city."}
    return type("City", (BaseModelV1,), {**body, "__module__": __name__})


def schemas() -> Iterator[tuple[str, Any, Any]]:
    """Yield the kinds of schema, and what they make of the answer."""
    yield "a pydantic class", City, City(**CITY_VALUE)
    yield "a TypedDict", CityDict, CITY_VALUE
    yield "a JSON schema", dict(CITY_SCHEMA), CITY_VALUE
    if old := _v1_class():
        yield "a class of pydantic v1", old, old(**CITY_VALUE)


def asks_for_json(received: Received) -> bool:
    """Tell whether a request wants an answer in JSON: by a field of its wire."""
    asked = received.asked
    wanted = asked is not None and asked.schema is not None
    return wanted or any(name in received.raw for name in (b'"output_format"', b'"output_config"'))


def conforming(received: Received) -> Iterator[Any]:
    """Answer as `little_llm` does, in small pieces; JSON without a schema is a city's as well."""
    asked = received.asked
    if asked is None:
        return
    system = "\n".join(text for _, text in asked.messages)
    wants_any = "Answer with one JSON object" in system
    if (asks_for_json(received) and not asked.schema) or wants_any:
        yield from (*pieces(CITY_JSON), Usage(9, 6))
        return
    for each in little_llm(received):
        if isinstance(each, str):
            yield from pieces(each)
        elif isinstance(each, ToolCallDelta) and isinstance(each.args, str) and each.args:
            first, *rest = pieces(each.args)
            yield replace(each, args=first)
            yield from (ToolCallDelta(each.index, args=more) for more in rest)
        else:
            yield each


def lost_strict(received: Sequence[Received], given: Mapping[str, Any]) -> list[str]:
    """Return where `strict` is not sent; fail where it is, but not where the wire wants it."""
    loose = [each for each in received if "strict" in each.body]
    expect(not loose, f"{given}: strict is a parameter of the whole request")
    if not given.get("strict") or given["method"] == "json_mode":
        return []
    lost = []
    for each in received:
        has = each.wire is not None and any(each.body.get(name) for name in FORMATS)
        if has and OnUpstream.wire_of(each) in {"openai", "responses"}:
            lost += [] if '"strict": true' in arrived(each) else [f"{given}: strict is not sent"]
    return lost


def grown(call: Call) -> dict[str, Any]:
    """Return the result with `include_raw`; what streaming gives bit by bit is put together."""
    found: dict[str, Any] = {}
    for part in call.parts:
        if isinstance(part, Mapping):
            known = {name: each for name, each in part.items() if each is not None}
            found = {**dict.fromkeys(part), **found, **known}
    return found
