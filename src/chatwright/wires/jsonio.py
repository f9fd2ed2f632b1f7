"""JSON to and from bytes. The one file that imports orjson."""

import contextlib
import json
from typing import Any

import orjson
from pydantic import SecretStr

from chatwright.errors import OutputError, ParameterError

__all__ = ["dumps", "has_long_number", "loads", "loads_apart", "quick", "sorted_dumps", "whole"]

_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * 19
"""What `_DIGITS` makes of the shortest whole number that may not fit into 64 bits."""


def has_long_number(payload: bytes) -> bool:
    """Tell whether a JSON text may hold a whole number of more than 64 bits.

    orjson makes a float of it, which is another number (ijl/orjson#53).
    """
    return _LONG_NUMBER in payload.translate(_DIGITS)


def loads(payload: bytes | str) -> Any:
    """Return the value that a JSON text stands for; invalid UTF-8 in it becomes U+FFFD.

    Raises:
        OutputError: It is no JSON, or nested deeper than 1,024 levels (orjson's limit).
    """
    value, is_apart = loads_apart(payload)
    return whole(value) if is_apart else value


def loads_apart(payload: bytes | str) -> tuple[Any, bool]:
    """Return the value, as `loads`, and whether it may hold lone surrogates, kept as they are.

    Raises:
        OutputError: As `loads`.
    """
    try:
        value = orjson.loads(payload)
        told = payload if isinstance(payload, bytes) else payload.encode()
        return (json.loads(payload) if has_long_number(told) else value), False
    except orjson.JSONDecodeError as error:
        # The standard library's reader also takes lone surrogates, which some servers cut apart.
        text = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else payload
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(text), True
        raise OutputError(f"this is no JSON: {error}") from None


def quick(payload: bytes) -> Any:
    """Return the value that a JSON text stands for; None where it is null, or no JSON at all.

    Whole numbers of more than 64 bits come as floats: see `has_long_number`.
    """
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None


def whole(value: Any) -> Any:
    """Return a value whose texts hold no lone surrogates, which nothing could write again.

    Two that stand together become the character that they are the halves of; a lone one, U+FFFD.
    """
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [whole(each) for each in value]
    if isinstance(value, dict):
        return {whole(key): whole(each) for key, each in value.items()}
    return value


def _revealed(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    raise TypeError(f"{type(value).__name__} is no JSON")


def dumps(value: Any) -> bytes:
    """Return a value as JSON; what a `SecretStr` hides is written.

    Raises:
        ParameterError: It can't be written as JSON.
    """
    try:
        return orjson.dumps(value, default=_revealed, option=orjson.OPT_NON_STR_KEYS)
    except TypeError as error:
        with contextlib.suppress(TypeError, ValueError):  # whole numbers of more than 64 bits
            return json.dumps(value, default=_revealed, ensure_ascii=False).encode()
        raise ParameterError(f"the request can't be written as JSON: {error}") from error


def sorted_dumps(value: Any) -> bytes:
    """Return a value as JSON with sorted keys: equal for equal values, for hashes.

    Raises:
        TypeError: It can't be written as JSON.
        ValueError: Likewise: it holds itself, say.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    except TypeError:  # lone surrogates, and whole numbers of more than 64 bits
        return json.dumps(value, sort_keys=True).encode()
