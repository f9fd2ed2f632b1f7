"""Schemas for structured output: what can be asked for, and what comes of an answer.

The one file that imports jsonschema.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, TypeAdapter, ValidationError

from chatwright.errors import SchemaError

__all__ = ["Target", "check_schema", "target_of"]

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """What structured output was asked for.

    Args:
        name: Its name.
        schema: Its JSON schema, the root an object.
        build: Makes the result of an answer's JSON; raises ValueError with what is wrong.
        partial: Makes a result of JSON that is still growing; None, where it does not suffice yet.
    """

    name: str
    schema: dict[str, Any]
    build: Callable[[Any], Any]
    partial: Callable[[Any], Any]

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
        return replace(self, schema=_bounded(self.schema, length))

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


def target_of(schema: Any, *, strict: bool | None = None) -> Target:
    """Return what a pydantic class (v1 or v2), a TypedDict, a dataclass or a JSON schema asks for.

    Raises:
        SchemaError: It is none of these, it is malformed, or no answer can conform to it.
    """
    if isinstance(schema, dict) and "title" in schema:
        check_schema(schema)  # before core takes out of it what it has no use for
    try:
        if isinstance(schema, type) and dataclasses.is_dataclass(schema):
            json_schema = TypeAdapter(schema).json_schema()
        else:
            json_schema = convert_to_json_schema(schema, strict=strict)
    except (TypeError, ValueError) as error:
        raise SchemaError(
            f"{schema!r} is no schema; it can be a pydantic class, a TypedDict, a dataclass or a "
            f"JSON schema with a title: {error}"
        ) from error
    check_schema(json_schema)
    name = str(json_schema.get("title") or getattr(schema, "__name__", "answer"))
    build = _builder(schema, json_schema)
    partial = _attempted(build) if isinstance(schema, type) and _has_instances(schema) else _as_is
    return Target(name, json_schema, build, partial)


def _has_instances(schema: type) -> bool:
    return is_basemodel_subclass(schema) or dataclasses.is_dataclass(schema)


def _builder(schema: Any, json_schema: dict[str, Any]) -> Callable[[Any], Any]:
    if isinstance(schema, type) and dataclasses.is_dataclass(schema):
        return TypeAdapter(schema).validate_python
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return schema.model_validate
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        return schema.parse_obj  # type: ignore[attr-defined,no-any-return]  # pydantic v1's
    return _validator(json_schema)


def _validator(schema: Json) -> Callable[[Any], Any]:
    from jsonschema import Draft202012Validator  # noqa: PLC0415  for those who use it

    validator = Draft202012Validator(schema)

    def validate(value: Any) -> Any:
        problems = [f"{each.json_path}: {each.message}" for each in validator.iter_errors(value)]
        if problems:
            raise ValueError("; ".join(problems))
        return value

    return validate


def _bounded(schema: Any, length: int) -> Any:
    if isinstance(schema, list):
        return [_bounded(each, length) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    bounded = {k: v if k in _VALUES else _bounded(v, length) for k, v in schema.items()}
    if schema.get("type") == "string" and not _BOUNDS & schema.keys():
        bounded["maxLength"] = max(length, schema.get("minLength", 0))
    if schema.get("type") == "array":
        bounded.setdefault("maxItems", max(_FEW, schema.get("minItems", 0)))
    return bounded


_FEW = 5
_VALUES = frozenset({"const", "default", "enum", "examples"})
_BOUNDS = frozenset({"const", "enum", "format", "maxLength", "pattern"})


def _attempted(build: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def attempt(value: Any) -> Any:
        try:
            return build(value)
        except (ValidationError, ValueError, TypeError):
            return None

    return attempt


def _as_is(value: Any) -> Any:
    return value if isinstance(value, dict) else None


# Schemas that nothing can conform to.


def check_schema(schema: Any) -> None:
    """Refuse a schema before anything is generated for it.

    Raises:
        SchemaError: It is malformed, refers to what is not in it, or no JSON object conforms to it;
            the message holds the path of what is wrong.
    """
    import jsonschema  # noqa: PLC0415  for those who use it

    try:
        jsonschema.Draft202012Validator.check_schema(schema)
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
