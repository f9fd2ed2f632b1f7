"""Schemas for structured output: what can be asked for, and what comes of an answer."""

import dataclasses
import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from langchain_core.utils.function_calling import (
    convert_to_json_schema,
    convert_to_openai_function,
)
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, PydanticUserError, TypeAdapter
from typing_extensions import get_type_hints, is_typeddict

from chatwright.errors import ParameterError, SchemaError
from chatwright.langchain.request import schema_of
from chatwright.langchain.validation import VALUES, check_schema, resolved, validated

__all__ = [
    "Target",
    "as_format",
    "bounded",
    "hoisted",
    "recursive",
    "refers_to_itself",
    "rooted",
    "target_of",
    "traced",
]

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """What structured output was asked for.

    Args:
        name: Its name.
        schema: Its JSON schema, the root an object.
        given: What it was asked for by: a class, or a JSON schema.
        strict: Goes into the format or the tool, if given.
    """

    name: str
    schema: dict[str, Any]
    given: Any
    strict: bool | None = None

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
        return validated(value, self.schema)

    def partial(self, value: Any) -> Any:
        """Return the result of JSON that is still growing; None, where it does not suffice yet."""
        if not (isinstance(self.given, type) and _has_instances(self.given)):
            return value if isinstance(value, dict) else None
        try:
            return self.build(value)
        except Exception:  # noqa: BLE001  a schema's own validators may raise anything
            return None

    def response_format(self) -> dict[str, Any]:
        """Return the target as OpenAI's parameter."""
        wanted: dict[str, Any] = {"name": self.name, "schema": self.schema}
        if self.strict is not None:
            wanted["strict"] = self.strict
        return {"type": "json_schema", "json_schema": wanted}

    def bounded(self, length: int) -> "Target":
        """Return the target with a bound to every text and list, for an LLM that finds no end.

        Args:
            length: The characters that a text may have where the schema does not bound it.
        """
        return replace(self, schema=bounded(self.schema, length))

    def tool(self) -> dict[str, Any]:
        """Return the target as a tool in OpenAI's form."""
        function: dict[str, Any] = {"name": self.name}
        if description := self.schema.get("description"):
            function["description"] = description
        function["parameters"] = {
            key: value for key, value in self.schema.items() if key not in {"title", "description"}
        }
        if self.strict is not None:
            function["strict"] = self.strict
        return {"type": "function", "function": function}


_VALUES = (bool, bytes, float, int, list, set, str, tuple)


def as_format(wanted: Any) -> Any:
    """Return a `response_format` in OpenAI's form; None, where it wants nothing but text.

    Raises:
        ParameterError: It is none.
        SchemaError: It is a class that no schema can be made of.
    """
    if wanted is None or isinstance(wanted, type):
        return wanted and target_of(wanted).response_format()
    if not isinstance(wanted, Mapping) or not wanted:
        raise ParameterError(
            f"response_format={wanted!r} is none; it can be {{'type': 'json_object'}}, "
            "{'type': 'json_schema', 'json_schema': {'name': …, 'schema': …}}, or a class"
        )
    if wanted.get("type") == "json_schema" and schema_of(wanted) is None:
        raise ParameterError(
            f"response_format={wanted!r} has no schema; it belongs into its 'json_schema', as "
            "'schema'; {} allows anything"
        )
    return None if wanted.get("type") == "text" else dict(wanted)


def target_of(schema: Any, *, strict: bool | None = None) -> Target:
    """Return what a pydantic class (v1 or v2), a TypedDict, a dataclass or a JSON schema asks for.

    A JSON schema may also come as OpenAI has it in a `response_format` or in a function, and as
    Anthropic has it in a tool: with a `name`, and the schema below a key of its own.

    Raises:
        SchemaError: It is none of these, it is malformed, or no answer can conform to it.
    """
    wrapped = _unwrapped(schema)
    if isinstance(schema, type) and issubclass(schema, (Enum, *_VALUES)):
        raise SchemaError(
            f"{schema!r} is no object, and the root of a schema has to be one; make it the type of "
            "a field of a pydantic class"
        )
    try:
        if isinstance(wrapped, Mapping) and "toolSpec" not in wrapped:
            name, json_schema, strict = _as_it_is(wrapped, strict)
        else:
            json_schema = _json_schema(schema, strict)
            name = str(json_schema.get("title") or getattr(schema, "__name__", "answer"))
    except (PydanticUserError, RecursionError, TypeError, ValueError) as error:
        raise SchemaError(
            f"{schema!r} is no schema; it can be a pydantic class, a TypedDict, a dataclass or a "
            f"JSON schema with a title: {error}"
        ) from error
    check_schema(json_schema)
    return Target(name, json_schema, schema, strict)


def _unwrapped(schema: Any) -> Any:
    """Return what stands in OpenAI's whole `response_format`, or in its whole tool."""
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    if kind in {"json_schema", "function"} and isinstance(schema.get(kind), Mapping):
        return schema[kind]
    return schema


def _as_it_is(schema: Json, strict: bool | None) -> tuple[str, dict[str, Any], bool | None]:
    """Return a JSON schema with all that stands in it, its name, and whether it is strict.

    Core keeps of one only what a function's parameters have: without `properties`, nothing.

    Raises:
        ValueError: It has no name, or is strict and is not.
    """
    below = next((key for key in _BELOW if isinstance(schema.get(key), Mapping)), None)
    named = "title" if below is None else "name"
    if below is None and str(schema.get("$ref", "")).startswith("#/$defs/"):
        # pydantic's, of a class that refers to itself
        schema = {"title": str(schema["$ref"]).removeprefix("#/$defs/"), **schema}
    if not schema.get(named):
        raise ValueError(f"it has no {named}")
    wanted = {**(schema if below is None else schema[below])}
    if below is not None:
        said = {"title": schema["name"], "description": schema.get("description")}
        wanted = {**{key: value for key, value in said.items() if value}, **wanted}
        strict = _agreed(schema.get("strict"), strict)
    check_schema(wanted)
    if strict:  # as OpenAI wants it: all properties required, and no others
        function = {"name": schema[named], "parameters": wanted}
        wanted = convert_to_openai_function(function, strict=True)["parameters"]
    return str(schema[named]), wanted, strict


_BELOW = ("schema", "parameters", "input_schema")


def _agreed(own: bool | None, given: bool | None) -> bool | None:
    if None not in (own, given) and own != given:
        raise ValueError(f"it says strict={own}, the call strict={given}")
    return own if given is None else given


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
        if not is_basemodel_subclass(schema) or refers_to_itself(own):
            return _described(rooted(own), schema)
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


def rooted(schema: Json) -> dict[str, Any]:
    """Return a schema whose root is no reference, as pydantic's of a recursive class is."""
    target = resolved(str(schema.get("$ref", "")), schema)
    if not isinstance(target, Mapping) or target is schema:
        return dict(schema)
    return {**target, **{key: each for key, each in schema.items() if key != "$ref"}}


def recursive(schema: Any) -> dict[str, Any] | None:
    """Return the whole schema of a TypedDict that refers to itself; None for anything else."""
    adapter = _adapter(schema) if is_typeddict(schema) else None
    own = adapter.json_schema() if adapter else {}
    return _described(rooted(own), schema) if refers_to_itself(own) else None


def refers_to_itself(schema: Json) -> bool:
    """Tell whether a definition leads back to itself, which can't be written without references."""
    definitions = {**schema.get("definitions", {}), **schema.get("$defs", {})}
    leads = {name: set(_REFERENCE.findall(json.dumps(d))) for name, d in definitions.items()}

    def reached(name: str, seen: frozenset[str]) -> bool:
        return name in seen or any(reached(n, seen | {name}) for n in leads.get(name, ()))

    return any(reached(name, frozenset()) for name in leads)


_REFERENCE = re.compile(r'"#/(?:\$defs|definitions)/([^"]+)"')


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


def bounded(schema: Any, length: int, items: int = 5) -> Any:
    """Return a schema with a bound to every text, in characters, and to every list, in items."""
    if isinstance(schema, list):
        return [bounded(each, length, items) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    made = {
        key: value if key in _UNBOUNDED else bounded(value, length, items)
        for key, value in schema.items()
    }
    if schema.get("type") == "string" and not _BOUNDS & schema.keys():
        made["maxLength"] = max(length, schema.get("minLength", 0))
    if schema.get("type") == "array":
        made.setdefault("maxItems", max(items, schema.get("minItems", 0)))
    return made


_UNBOUNDED = VALUES | {"allOf"}  # a bound to one part may contradict another one
_BOUNDS = frozenset({"const", "enum", "format", "maxLength", "pattern"})


def hoisted(schema: Json, prefix: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """Return a schema to put into another one: what it refers to moves to that one's `$defs`.

    Args:
        schema: The schema, whose references are its own.
        prefix: What tells its definitions from those of others.
        definitions: Where they are put.
    """
    root = {key: value for key, value in schema.items() if key not in {"$defs", "definitions"}}
    names: dict[str, str] = {}

    def moved(part: Any) -> Any:
        if isinstance(part, list):
            return [moved(each) for each in part]
        if not isinstance(part, Mapping):
            return part
        reference = part.get("$ref")
        made = {key: moved(value) for key, value in part.items()}
        if isinstance(reference, str) and resolved(reference, schema) is not None:
            made["$ref"] = f"#/$defs/{named(reference)}"
        return made

    def named(reference: str) -> str:
        if reference not in names:
            name = prefix + (reference.rpartition("/")[2].strip("#") or "root")
            while name in definitions:
                name += "_"
            names[reference] = name
            definitions[name] = {}  # it may refer to itself
            whole = reference.strip("#/") == ""
            definitions[name] = moved(root if whole else resolved(reference, schema))
        return names[reference]

    made: dict[str, Any] = moved(root)
    return made
