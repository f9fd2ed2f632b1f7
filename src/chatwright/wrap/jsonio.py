"""JSON to and from bytes. The one file that imports orjson."""

from typing import Any

import orjson

from chatwright.errors import OutputError, ParameterError

__all__ = ["dumps", "loads"]

_SHOWN = 200


def loads(payload: bytes | str) -> Any:
    """Return the value that a JSON text stands for; invalid UTF-8 in it becomes U+FFFD.

    Raises:
        OutputError: It is no JSON, or nested deeper than 1,024 levels (orjson's limit).
    """
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        if isinstance(payload, bytes):
            text = payload.decode("utf-8", "replace")
            if "\ufffd" in text:
                return loads(text)
        shown = payload[:_SHOWN]
        raise OutputError(f"this is no JSON ({error}): {shown!r}") from None


def dumps(value: Any) -> bytes:
    """Return a value as JSON.

    Raises:
        ParameterError: It can't be written as JSON.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except TypeError as error:
        raise ParameterError(f"the request can't be written as JSON: {error}") from error
