"""What a JSON schema says: whether it can be used, and whether an answer conforms to it.

The one file that imports jsonschema.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pydantic_core

from chatwright.errors import SchemaError

__all__ = ["VALUES", "SchemaCheck", "check_schema", "resolved", "validated"]

Json = Mapping[str, Any]

VALUES = frozenset({"const", "default", "enum", "examples"})
"""Keywords of JSON schema whose values are values, and no schemas."""
_HOPELESS = frozenset({"additionalProperties", "type"})
"""What is wrong with JSON that is still growing stays wrong; the rest may yet be fixed."""


def validated(value: Any, schema: Json) -> Any:
    """Return a value that conforms.

    Raises:
        ValueError: It does not; what is wrong with it, each with its path.
    """
    if problems := [f"{each.json_path}: {each.message}" for each in _errors(value, schema)]:
        raise ValueError("; ".join(problems))
    return value


def _errors(value: Any, schema: Json) -> Iterable[Any]:
    from jsonschema import validators  # noqa: PLC0415  for those who use it

    kind = validators.validator_for(schema)
    # By itself jsonschema would fetch what a schema refers to, from wherever that says.
    known = validators.SPECIFICATIONS  # type: ignore[attr-defined]  # its stubs lack it
    made = kind(schema, format_checker=kind.FORMAT_CHECKER, registry=known)
    return made.iter_errors(value)


class SchemaCheck:
    """Tells which JSON object in a text is meant, for `JsonFilter`.

    Args:
        schema: The schema that it has to conform to; None, where any object will do.
    """

    def __init__(self, schema: Json | None) -> None:
        """Keep the schema."""
        self._schema = schema or {}

    def conforms(self, text: str) -> bool:
        """Tell whether a whole object conforms."""
        try:
            return not any(True for _ in _errors(json.loads(text), self._schema))
        except Exception:  # noqa: BLE001  no JSON, nested too deep, a reference that leads nowhere
            return False

    def fits(self, text: str) -> bool:
        """Tell whether the beginning of an object is that of one which can conform."""
        try:
            value = pydantic_core.from_json(text, allow_partial="trailing-strings")
            problems = {each.validator for each in _errors(value, self._schema)}
        except Exception:  # noqa: BLE001  as above
            return False
        named = self._schema.get("properties")
        known = not named or not named.keys().isdisjoint(value)
        return bool(value) and known and problems.isdisjoint(_HOPELESS)


# Schemas that nothing can conform to.


def check_schema(schema: Any, *, any_root: bool = False) -> None:
    """Refuse a schema before anything is generated for it.

    Args:
        schema: The schema.
        any_root: Whether it may describe something else than an object. Default False.

    Raises:
        SchemaError: It is malformed, refers to what is not in it, or no JSON object conforms to it;
            the message holds the path of what is wrong.
    """
    import jsonschema  # noqa: PLC0415  for those who use it

    if not isinstance(schema, Mapping):
        raise SchemaError(f"the schema is a {type(schema).__name__}; it has to be an object")
    try:
        jsonschema.validators.validator_for(schema).check_schema(dict(schema))
    except jsonschema.SchemaError as error:
        raise SchemaError(
            f"the schema is malformed at {error.json_path}: {error.message}"
        ) from error
    if not any_root and schema.get("type", "object") != "object":
        raise SchemaError(
            f"the schema is of type {schema['type']!r} at $; the root has to be an object"
        )
    for path, problem in [*_lost(schema, "$", schema), *_problems(schema, "$", schema)]:
        raise SchemaError(f"the schema can't be used at {path}: {problem}")


def _lost(schema: Any, path: str, root: Json) -> Iterator[tuple[str, str]]:
    """Yield the path of each reference that leads nowhere, and what is wrong with it."""
    if isinstance(schema, list):
        for position, each in enumerate(schema):
            yield from _lost(each, f"{path}[{position}]", root)
    if not isinstance(schema, Mapping):
        return
    reference = schema.get("$ref")
    if isinstance(reference, str) and resolved(reference, root) is None:
        yield f"{path}['$ref']", f"{reference!r} is not in the schema, and nothing is fetched"
    for key, each in schema.items():
        if key not in VALUES:
            yield from _lost(each, f"{path}['{key}']" if "$" in key else f"{path}.{key}", root)


def _problems(schema: Any, path: str, root: Json) -> Iterator[tuple[str, str]]:
    """Yield the path of each thing that is wrong, and what is wrong with it."""
    if schema is False:
        yield path, "false admits nothing"
    if not isinstance(schema, Mapping):
        return
    for low, high in _RANGES:
        if low in schema and high in schema and schema[low] > schema[high]:
            yield path, f"{low} {schema[low]} is above {high} {schema[high]}"
    if schema.get("enum") == []:
        yield f"{path}.enum", "an empty list admits nothing"
    for name in _unnameable(schema):
        yield f"{path}.required", f"{name!r} is required, but not among the properties"
    for key, each in _parts(schema):
        yield from _problems(each, f"{path}{key}", root)


def _unnameable(schema: Json) -> Iterator[str]:
    """Yield the properties that have to be there and must not."""
    if schema.get("additionalProperties") is False and "patternProperties" not in schema:
        yield from (n for n in schema.get("required", ()) if n not in schema.get("properties", {}))


def _parts(schema: Json) -> Iterator[tuple[str, Any]]:
    """Yield the schemas inside of a schema that an answer can't do without, and their paths."""
    required = schema.get("required", ())
    for name, each in schema.get("properties", {}).items():
        if each is not False or name in required:
            yield f".properties.{name}", each
    for name, each in schema.get("$defs", {}).items():
        yield f"['$defs'].{name}", each
    for key in _SINGLE:
        if schema.get(key, False) is not False:
            yield f".{key}", schema[key]
    for key in _SEVERAL:
        for position, each in enumerate(schema.get(key, ())):
            yield f".{key}[{position}]", each


_RANGES = (
    ("minimum", "maximum"),
    ("exclusiveMinimum", "maximum"),
    ("minimum", "exclusiveMaximum"),
    ("exclusiveMinimum", "exclusiveMaximum"),
    ("minItems", "maxItems"),
    ("minLength", "maxLength"),
    ("minProperties", "maxProperties"),
)
_SINGLE = ("additionalProperties", "items")
_SEVERAL = ("allOf", "anyOf", "oneOf", "prefixItems")


def resolved(reference: str, root: Json) -> Any:
    """Return what a reference leads to inside the schema; None where it leads nowhere."""
    if not reference.startswith("#"):
        return None
    found: Any = root
    for part in filter(None, reference[1:].split("/")):
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and key.isdigit() and int(key) < len(found):
            found = found[int(key)]
        elif isinstance(found, Mapping) and key in found:
            found = found[key]
        else:
            return None
    return found
