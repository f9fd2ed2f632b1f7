"""Schemas for structured output: what can be asked for, and what comes of an answer.

The one file that imports jsonschema.
"""

import dataclasses
import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, PydanticUserError, TypeAdapter
from typing_extensions import get_type_hints, is_typeddict

from chatwright.errors import ParameterError, SchemaError

__all__ = ["VALUES", "Target", "as_format", "bounded", "check_schema", "target_of", "traced"]

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """What structured output was asked for.

    Args:
        name: Its name.
        schema: Its JSON schema, the root an object.
        given: What it was asked for by: a class, or a JSON schema.
    """

    name: str
    schema: dict[str, Any]
    given: Any

    def build(self, value: Any) -> Any:
        """Return the result that an answer's JSON makes.

        Raises:
            ValueError: It does not conform; what is wrong with it.
        """
        if isinstance(self.given, type):
            if adapter := _adapter(self.given):
                return adapter.validate_python(value)
            if is_basemodel_subclass(self.given):
                return self.given.parse_obj(value)  # type: ignore[attr-defined]  # pydantic v1's
        return _validated(value, self.schema)

    def partial(self, value: Any) -> Any:
        """Return the result of JSON that is still growing; None, where it does not suffice yet."""
        if not (isinstance(self.given, type) and _has_instances(self.given)):
            return value if isinstance(value, dict) else None
        try:
            return self.build(value)
        except Exception:  # noqa: BLE001  a schema's own validators may raise anything
            return None

    def response_format(self, strict: bool | None) -> dict[str, Any]:
        """Return the target as OpenAI's parameter."""
        wanted: dict[str, Any] = {"name": self.name, "schema": self.schema}
        if strict is not None:
            wanted["strict"] = strict
        return {"type": "json_schema", "json_schema": wanted}

    def bounded(self, length: int) -> "Target":
        """Return the target with a bound to every text and list, for an LLM that finds no end.

        Args:
            length: The characters that a text may have where the schema does not bound it.
        """
        return replace(self, schema=bounded(self.schema, length))

    def tool(self, strict: bool | None) -> dict[str, Any]:
        """Return the target as a tool in OpenAI's form."""
        function: dict[str, Any] = {"name": self.name}
        if description := self.schema.get("description"):
            function["description"] = description
        function["parameters"] = {
            key: value for key, value in self.schema.items() if key not in {"title", "description"}
        }
        if strict is not None:
            function["strict"] = strict
        return {"type": "function", "function": function}


def as_format(wanted: Any) -> Any:
    """Return a `response_format` in OpenAI's form; None, where it wants nothing but text.

    Raises:
        ParameterError: It is none.
        SchemaError: It is a class that no schema can be made of.
    """
    if wanted is None or isinstance(wanted, type):
        return wanted and target_of(wanted).response_format(None)
    if not isinstance(wanted, Mapping) or not wanted:
        raise ParameterError(
            f"response_format={wanted!r} is none; it can be {{'type': 'json_object'}}, "
            "{'type': 'json_schema', 'json_schema': {'name': …, 'schema': …}}, or a class"
        )
    return None if wanted.get("type") == "text" else dict(wanted)


def target_of(schema: Any, *, strict: bool | None = None) -> Target:
    """Return what a pydantic class (v1 or v2), a TypedDict, a dataclass or a JSON schema asks for.

    Raises:
        SchemaError: It is none of these, it is malformed, or no answer can conform to it.
    """
    if isinstance(schema, dict) and "title" in schema:
        check_schema(schema)  # before core takes out of it what it has no use for
    try:
        json_schema = _json_schema(schema, strict)
    except (PydanticUserError, RecursionError, TypeError, ValueError) as error:
        raise SchemaError(
            f"{schema!r} is no schema; it can be a pydantic class, a TypedDict, a dataclass or a "
            f"JSON schema with a title: {error}"
        ) from error
    check_schema(json_schema)
    name = str(json_schema.get("title") or getattr(schema, "__name__", "answer"))
    return Target(name, json_schema, schema)


def traced(target: Target) -> Any:
    """Return the schema as core would trace it."""
    try:
        return convert_to_json_schema(target.given)
    except Exception:  # noqa: BLE001  core knows fewer schemas, and fails in many ways
        return target.schema


def _json_schema(schema: Any, strict: bool | None) -> dict[str, Any]:
    """Return the JSON schema as core makes it, or as pydantic does where core loses some of it."""
    adapter = _adapter(schema) if isinstance(schema, type) else None
    if adapter is not None and not strict:
        own = adapter.json_schema()
        if not is_basemodel_subclass(schema) or _refers_to_itself(own):
            root = own.pop("$ref", "").removeprefix("#/$defs/")
            return _described({**own.get("$defs", {}).get(root, {}), **own}, schema)
    return convert_to_json_schema(schema, strict=strict)


@functools.lru_cache(maxsize=256)
def _adapter(schema: type) -> TypeAdapter[Any] | None:
    """Return what pydantic makes of a class; None of its v1, and of typing.TypedDict on 3.11."""
    known = dataclasses.is_dataclass(schema) or is_typeddict(schema)
    if not known and not issubclass(schema, BaseModel):
        return None
    try:
        return TypeAdapter(schema)
    except PydanticUserError:
        return None


def _refers_to_itself(schema: Json) -> bool:
    """Tell whether a definition leads back to itself, which can't be written without references."""
    leads = {
        name: set(_REFERENCE.findall(json.dumps(d))) for name, d in schema.get("$defs", {}).items()
    }

    def reached(name: str, seen: frozenset[str]) -> bool:
        return name in seen or any(reached(n, seen | {name}) for n in leads.get(name, ()))

    return any(reached(name, frozenset()) for name in leads)


_REFERENCE = re.compile(r'"#/\$defs/([^"]+)"')


def _described(json_schema: dict[str, Any], schema: type) -> dict[str, Any]:
    """Add what LangChain lets a TypedDict say of its fields: `Annotated[str, ..., "the name"]`."""
    if not is_typeddict(schema):
        return json_schema
    for name, hint in get_type_hints(schema, include_extras=True).items():
        told = [each for each in getattr(hint, "__metadata__", ()) if isinstance(each, str)]
        if told and name in json_schema.get("properties", {}):
            json_schema["properties"][name].setdefault("description", told[-1])
    return json_schema


def _has_instances(schema: type) -> bool:
    return is_basemodel_subclass(schema) or dataclasses.is_dataclass(schema)


def _validated(value: Any, schema: Json) -> Any:
    from jsonschema.validators import validator_for  # noqa: PLC0415  for those who use it

    errors = validator_for(schema)(schema).iter_errors(value)
    if problems := [f"{each.json_path}: {each.message}" for each in errors]:
        raise ValueError("; ".join(problems))
    return value


def bounded(schema: Any, length: int) -> Any:
    """Return a schema with a bound to every text, of `length` characters, and to every list."""
    if isinstance(schema, list):
        return [bounded(each, length) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    made = {
        key: value if key in VALUES else bounded(value, length) for key, value in schema.items()
    }
    if schema.get("type") == "string" and not _BOUNDS & schema.keys():
        made["maxLength"] = max(length, schema.get("minLength", 0))
    if schema.get("type") == "array":
        made.setdefault("maxItems", max(_FEW, schema.get("minItems", 0)))
    return made


_FEW = 5
VALUES = frozenset({"const", "default", "enum", "examples"})
"""Keywords of JSON schema whose values are values, and no schemas."""
_BOUNDS = frozenset({"const", "enum", "format", "maxLength", "pattern"})


# Schemas that nothing can conform to.


def check_schema(schema: Any) -> None:
    """Refuse a schema before anything is generated for it.

    Raises:
        SchemaError: It is malformed, refers to what is not in it, or no JSON object conforms to it;
            the message holds the path of what is wrong.
    """
    import jsonschema  # noqa: PLC0415  for those who use it

    try:
        jsonschema.validators.validator_for(schema).check_schema(schema)
    except jsonschema.SchemaError as error:
        raise SchemaError(
            f"the schema is malformed at {error.json_path}: {error.message}"
        ) from error
    if schema.get("type", "object") != "object":
        raise SchemaError(
            f"the schema is of type {schema['type']!r} at $; the root has to be an object"
        )
    for path, problem in _problems(schema, "$", schema):
        raise SchemaError(f"the schema can't be used at {path}: {problem}")


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
    if (reference := schema.get("$ref")) is not None and not _resolves(reference, root):
        yield f"{path}['$ref']", f"{reference!r} is not in the schema, and nothing is fetched"
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


def _resolves(reference: str, root: Json) -> bool:
    """Tell whether a reference leads somewhere inside the schema."""
    if not reference.startswith("#"):
        return False
    found: Any = root
    for part in filter(None, reference[1:].split("/")):
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and key.isdigit() and int(key) < len(found):
            found = found[int(key)]
        elif isinstance(found, Mapping) and key in found:
            found = found[key]
        else:
            return False
    return True
