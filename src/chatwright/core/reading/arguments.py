"""Arguments as JSON: typed by a tool's schema where the text does not say what they are."""

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["as_json", "only_argument", "properties_of", "typed"]

_WORDS: Mapping[str, bool | None] = {"true": True, "false": False, "null": None, "none": None}


def as_json(value: object) -> str:
    """Return a value as JSON, its letters as they are."""
    return json.dumps(value, ensure_ascii=False)


def properties_of(schema: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the arguments that a tool takes, and no others; None, where that is not known."""
    properties = None if schema is None else schema.get("properties")
    return properties if isinstance(properties, Mapping) else None


def only_argument(schema: Mapping[str, Any] | None) -> str | None:
    """Return the name of the one argument that a tool takes, or has to be given."""
    properties = properties_of(schema) or {}
    required = (schema or {}).get("required", ())
    names = [*properties] if len(properties) == 1 else [*required]
    return names[0] if len(names) == 1 else None


def typed(raw: str, key: str, schema: Mapping[str, Any] | None) -> Any:
    """Return the value that `raw` stands for, as an argument of a tool.

    A text stays a text where the schema wants one. Anything else is read as JSON; what is none
    stays a text, which the tool then refuses.

    Args:
        raw: The argument as it was written.
        key: The argument's name.
        schema: The JSON schema of the tool's arguments, or None.
    """
    wanted = (properties_of(schema) or {}).get(key)
    kinds = _kinds(wanted, schema or {}, set())
    if kinds == {"string"}:
        return raw
    try:
        value = json.loads(raw, strict=False)
    except ValueError:
        value = _WORDS.get(raw.strip().lower(), raw)
    if isinstance(value, str) or ("string" in kinds and not _is_of(value, kinds)):
        return raw
    return value


def _kinds(wanted: Any, root: Mapping[str, Any], seen: set[str]) -> set[str]:
    """Return the JSON types that a schema allows; none, where it does not say."""
    if not isinstance(wanted, Mapping):
        return set()
    reference = str(wanted.get("$ref", ""))
    if reference.startswith("#/$defs/") and reference not in seen:
        target = root.get("$defs", {}).get(reference.removeprefix("#/$defs/"))
        return _kinds(target, root, {*seen, reference})
    kind = wanted.get("type", [])
    kinds = {kind} if isinstance(kind, str) else {*kind}
    for choice in (*wanted.get("anyOf", ()), *wanted.get("oneOf", ())):
        kinds |= _kinds(choice, root, seen)
    given = [*wanted.get("enum", ()), *([wanted["const"]] if "const" in wanted else [])]
    if not kinds and given and all(isinstance(each, str) for each in given):
        kinds = {"string"}
    return kinds


def _is_of(value: object, kinds: set[str]) -> bool:
    match value:
        case None:
            return "null" in kinds
        case bool():
            return "boolean" in kinds
        case int():
            return bool({"integer", "number"} & kinds)
        case float():
            return "number" in kinds
        case list():
            return "array" in kinds
        case _:
            return "object" in kinds
