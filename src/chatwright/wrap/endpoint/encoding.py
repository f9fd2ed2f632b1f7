"""How a request's body is written: as JSON, as a form, into the URL, or as it is."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from pydantic import SecretStr

from chatwright.wires.jsonio import dumps
from chatwright.wires.wire import Written

__all__ = ["Encoded", "encoded"]


class Encoded(NamedTuple):
    """A body as it is sent.

    Args:
        content: Its bytes; None for none.
        content_type: What HTTP calls them; empty for none.
        query: Parameters that go into the URL.
    """

    content: bytes | None
    content_type: str
    query: Mapping[str, str | list[str]]


def encoded(written: Written) -> Encoded:
    """Return a request's body as its encoding has it.

    A form's fields are texts, numbers and truth values (`true`, `false`), several in a list, one
    field each; an object, or a list of some, is written as JSON.

    Args:
        written: The request.
    """
    return _ENCODINGS["none" if written.body is None else written.encoding](written.body)


def _json(body: Any) -> Encoded:
    return Encoded(dumps(body), "application/json", {})


def _text(body: Any) -> Encoded:
    return Encoded(_said(body).encode(), "text/plain; charset=utf-8", {})


def _form(body: Any) -> Encoded:
    content = urlencode([*_fields(body)]).encode()
    return Encoded(content, "application/x-www-form-urlencoded", {})


def _multipart(body: Any) -> Encoded:
    """Write a form by RFC 7578; quotes and line ends in names as browsers have them."""
    boundary = secrets.token_hex(16)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n{text}\r\n'
        for name, text in _fields(body)
    ]
    content = f"{''.join(parts)}--{boundary}--\r\n".encode()
    return Encoded(content, f"multipart/form-data; boundary={boundary}", {})


def _query(body: Any) -> Encoded:
    query: dict[str, str | list[str]] = {}
    for name, text in _fields(body):
        before = query.get(name)
        query[name] = (
            text if before is None else [*([before] if isinstance(before, str) else before), text]
        )
    return Encoded(None, "", query)


_ENCODINGS: Mapping[str, Callable[[Any], Encoded]] = {
    "form": _form,
    "json": _json,
    "multipart": _multipart,
    "none": lambda _: Encoded(None, "", {}),
    "query": _query,
    "raw": lambda body: Encoded(body[1], body[0], {}),
    "text": _text,
}


def _fields(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in body.items():
        several = isinstance(value, list) and not any(isinstance(e, Mapping | list) for e in value)
        for each in value if several else [value]:
            yield name, _said(each)


def _said(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return value if isinstance(value, str) else dumps(value).decode()


def _quoted(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
