"""A `response_format` as a grammar that llama.cpp follows."""

import functools
import json
import operator
import re
import warnings
from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeAlias

from chatwright.errors import InvalidRequestError, ParameterError, SchemaError
from chatwright.langchain.request import schema_of
from chatwright.langchain.validation import VALUES
from chatwright.wrap.gguf.guidance import problem_of

__all__ = ["checked", "grammar_of"]

_LAYOUT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_OWN = "%llguidance"

Path: TypeAlias = tuple[str | int, ...]


def grammar_of(response_format: Mapping[str, Any], library: str) -> str:
    """Return the grammar of the answers that conform to a `response_format` of OpenAI's form.

    It is one of llguidance's, which xllamacpp has built in: unlike llama.cpp's own conversion it
    keeps to the ranges of numbers (https://github.com/guidance-ai/llguidance, docs/json_schema.md).
    Keywords that it does not know, or can't compile, are left out, with a warning each. Blank space
    is fixed, since a small LLM can lose itself in it.

    Args:
        response_format: What is asked for.
        library: The shared library that holds llguidance.

    Raises:
        ParameterError: It is neither `json_schema` with a schema nor `json_object`.
        SchemaError: No answer can conform to the schema.
    """
    schema = schema_of(response_format)
    if schema is None and response_format.get("type") != "json_object":
        raise ParameterError(
            f"response_format={response_format!r} is not understood; it can be "
            "{'type': 'json_schema', 'json_schema': {'schema': …}} or {'type': 'json_object'}"
        )
    wanted = {"type": "object"} if schema is None else schema
    grammar, left_out = _held(json.dumps(wanted, ensure_ascii=False), library)
    for problem in left_out:
        warnings.warn(
            f"no grammar holds an answer to {problem}; with_structured_output validates it, and "
            "asks again",
            stacklevel=2,
        )
    return grammar


def checked(grammar: str, library: str) -> str:
    """Return a grammar of the user's own, if it compiles; what llama.cpp itself reads it refuses.

    Raises:
        InvalidRequestError: llguidance can't compile it.
    """
    if grammar.startswith(_OWN):
        compiles, problem = problem_of(library, grammar)
        if not compiles:
            raise InvalidRequestError(f"the grammar does not compile: {problem}")
        if problem:
            warnings.warn(f"of the grammar, something is left out: {problem}", stacklevel=2)
    return grammar


@functools.lru_cache(maxsize=256)
def _held(written: str, library: str) -> tuple[str, tuple[str, ...]]:
    """Return the grammar of a schema, and what of the schema it does not hold an answer to."""
    schema = json.loads(written)

    def problem(tried: Any) -> str:
        return problem_of(library, _written(tried))[1]

    names = [each for each in _keywords(schema, ()) if each[-1] == "$id"]
    is_nameless = any(not functools.reduce(operator.getitem, each, schema) for each in names)
    if not is_nameless and not problem(closed := _closed(schema)):
        return _written(closed), ()
    if names:
        # No answer depends on what a schema is called, and llguidance wants a URI there: an empty
        # one it takes, and with it the schema for another one than that around it.
        return _held(json.dumps(_without(schema, names), ensure_ascii=False), library)
    if not problem(schema):  # closed, it may contradict itself
        return _written(schema), ()
    left_out = {}
    suspects = [each for each in _keywords(schema, ()) if each[-1] not in _SAFE]
    dropped = set(suspects)
    if why := problem(_without(schema, dropped)):
        left_out["the schema"] = why
        schema, suspects, dropped = {"type": "object"}, [], set()
    for each in suspects:
        if why := problem(_without(schema, dropped - {each})):
            left_out[f"{each[-1]!r} at {_shown(each[:-1])}"] = why
        else:
            dropped.remove(each)
    kept = _without(schema, dropped)
    closed = _closed(kept)
    told = tuple(f"{what} ({_reason(why)})" for what, why in left_out.items())
    return _written(kept if problem(closed) else closed), told


def _written(schema: Any) -> str:
    asked = {**schema, "x-guidance": {**_LAYOUT, "lenient": True}}
    return f"{_OWN} {{}}\nstart: %json {json.dumps(asked, ensure_ascii=False)}"


def _reason(message: str) -> str:
    """Return what matters of llguidance's message.

    Raises:
        SchemaError: It says that no answer can conform.
    """
    if impossible := re.search(r"Unsatisfiable schema: (.*)", message):
        raise SchemaError(f"no answer can conform to the schema: {impossible[1]}")
    found = re.search(r"^error: (.*)$", message, re.MULTILINE)
    first = message.splitlines()[0]
    return found[1] if found else first.removeprefix("WARNING: ").rpartition("schema: ")[2]


def _shown(path: Path) -> str:
    parts = (f"[{p}]" if isinstance(p, int) else f"['{p}']" if "$" in p else f".{p}" for p in path)
    return "$" + "".join(parts)


# What llguidance may not know, or not be able to compile.

_SAFE = VALUES | {
    *("$comment", "$defs", "$id", "$ref", "$schema", "additionalProperties", "anyOf"),
    *("definitions", "description", "items", "prefixItems", "properties", "required", "title"),
    "type",
}
_NAMED = frozenset({"$defs", "definitions", "patternProperties", "properties"})
_SINGLE = frozenset({"additionalProperties", "items"})
_SEVERAL = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})


def _keywords(schema: Any, path: Path) -> Iterator[Path]:
    """Yield the paths of the keywords of a schema, the outer ones first."""
    if not isinstance(schema, Mapping):
        return
    yield from ((*path, key) for key in schema)
    for key, value in schema.items():
        for at, each in _parts(key, value):
            yield from _keywords(each, (*path, key, *at))


def _parts(key: str, value: Any) -> list[tuple[Path, Any]]:
    """Return the schemas inside of a keyword's value, and where they are."""
    if key in _SINGLE:
        return [((), value)]
    if key in _NAMED and isinstance(value, Mapping):
        return [((name,), each) for name, each in value.items()]
    if key in _SEVERAL and isinstance(value, list):
        return [((at,), each) for at, each in enumerate(value)]
    return []


def _without(schema: Any, dropped: Collection[Path], path: Path = ()) -> Any:
    """Return the schema without some keywords; whatever conforms to it still does."""
    if not isinstance(schema, Mapping):
        return schema
    made: dict[str, Any] = {}
    for key, value in schema.items():
        name = _weaker(key, schema) if (*path, key) in dropped else key
        if name is not None:
            made[name] = _rebuilt(key, value, dropped, (*path, key))
    if (*path, "patternProperties") in dropped:
        made["additionalProperties"] = True  # what the patterns allow
    return made


def _weaker(key: str, schema: Mapping[str, Any]) -> str | None:
    """Return the weaker keyword that takes this one's place, if there is one."""
    return "anyOf" if key == "oneOf" and "anyOf" not in schema else None


def _rebuilt(key: str, value: Any, dropped: Collection[Path], path: Path) -> Any:
    parts = _parts(key, value)
    if not parts:
        return value
    made = [_without(each, dropped, (*path, *at)) for at, each in parts]
    if key in _SINGLE:
        return made[0]
    return made if key in _SEVERAL else dict(zip(value, made, strict=True))


def _closed(schema: Any) -> Any:
    """Return the schema with no room for properties that it does not name, unless it says so."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    closed = {key: value if key in VALUES else _closed(value) for key, value in schema.items()}
    if isinstance(closed.get("properties"), Mapping) and _describes_object(closed):
        closed.setdefault("additionalProperties", False)
    return closed


def _describes_object(schema: Mapping[str, Any]) -> bool:
    """Tell a schema with properties from an object's property that is called `properties`."""
    return schema.get("type", "object") == "object" and "allOf" not in schema
