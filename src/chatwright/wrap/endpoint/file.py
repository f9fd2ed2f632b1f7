"""Endpoint files: an endpoint described in TOML, with no code in it."""

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from chatwright.errors import LoadError
from chatwright.wrap.endpoint.auth import OAuth2ClientCredentials
from chatwright.wrap.endpoint.model import ChatEndpoint

__all__ = ["endpoint_fields", "endpoint_file"]

_ENVIRONMENT = re.compile(r"\$\{env:([^}]*)\}")
_TABLES = frozenset({"request", "response"})
_NOT_IN_FILES = {
    "api_key": "key_env, the environment variable with the key",
    "auth": "the table oauth",
    "base_url": "url",
    "http_client": "nothing for it",
    "model_name": "model",
}
_RENAMED = {"url": "base_url", "model": "model_name"}
_REPLACED_BY = {
    **_RENAMED,
    "key_env": "api_key",
    "oauth": "auth",
    "request": "wire",
    "response": "wire",
}


def endpoint_file(
    path: str | Path, *, environment: Mapping[str, str] | None = None, **fields: Any
) -> ChatEndpoint:
    """Return the endpoint that a file describes.

    Args:
        path: The file. `url` and `model` are its first keys; `wire` names a wire, or the tables
            `request` and `response` describe one (`RequestSpec`, `ResponseSpec`); `quirks`,
            `headers`, `oauth`, `key_env` (the environment variable with the key) and the fields of
            `ChatEndpoint` may follow. `${env:NAME}` stands for an environment variable.
        environment: What environment variables stand for. Default: the process's own.
        **fields: Fields of `ChatEndpoint`, which take precedence.

    Raises:
        LoadError: The file can't be read, or something in it is wrong; with line and key.
    """
    path = Path(path)
    text, found = _read(path)
    try:
        return ChatEndpoint(**_placed(path, text, found, environment, fields))
    except ValidationError as error:
        problems = [
            f"{_place(path, text, _keys(each['loc']))}: {each['msg'].removeprefix('Value error, ')}"
            for each in error.errors(include_input=False, include_url=False)
            if each["loc"][:2] != ("wire", "str") or isinstance(found.get("wire"), str)
        ]
        raise LoadError("\n".join(problems)) from None
    except (TypeError, ValueError) as error:
        raise LoadError(f"{path}: {error}") from None


def endpoint_fields(
    path: str | Path, *, environment: Mapping[str, str] | None = None, **fields: Any
) -> dict[str, Any]:
    """Return the fields of `ChatEndpoint` that a file gives: for a class of one's own.

    Args:
        path: The file, as `load` takes it.
        environment: What environment variables stand for. Default: the process's own. What a field
            takes the place of need not be there.
        **fields: Fields of `ChatEndpoint`, which take precedence.

    Raises:
        LoadError: The file can't be read, a key in it is none, or a variable is not set; with line
            and key. What a field does not take, the class says.

    Example:
        ```python
        class ChatAcme(ChatEndpoint):
            def __init__(self, **fields):
                super().__init__(**endpoint_fields("acme.toml", **fields))
        ```
    """
    path = Path(path)
    return _placed(path, *_read(path), environment, fields)


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except OSError as error:
        raise LoadError(f"{path} can't be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LoadError(f"{path} is no TOML: {error}") from None


def _placed(
    path: Path,
    text: str,
    found: Mapping[str, Any],
    environment: Mapping[str, str] | None,
    fields: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the fields that a file and a caller give; what is wrong is told with its place."""
    known = os.environ if environment is None else environment
    if "url" not in found:
        raise LoadError(f"{_place(path, text, ['url'])}: the URL is missing")
    try:
        left = {key: each for key, each in found.items() if not _replaced(key, fields)}
        return {**_fields(_with_environment(left, (), known), known), **fields}
    except _Wrong as wrong:
        raise LoadError(f"{_place(path, text, wrong.keys)}: {wrong}") from None


def _replaced(key: str, fields: Mapping[str, Any]) -> bool:
    """Tell whether a field takes the place of a key."""
    return _REPLACED_BY.get(key, key) in fields or (key == "model" and key in fields)


class _Wrong(Exception):  # noqa: N818  it never leaves this module
    def __init__(self, keys: Sequence[str], problem: str) -> None:
        super().__init__(problem)
        self.keys = keys


def _with_environment(value: Any, keys: tuple[str, ...], known: Mapping[str, str]) -> Any:
    """Return what was found in the file with the environment's values in their places."""
    if isinstance(value, Mapping):
        return {key: _with_environment(each, (*keys, key), known) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_environment(each, keys, known) for each in value]
    if not isinstance(value, str):
        return value
    if keys[0] in _TABLES and _ENVIRONMENT.search(value):
        raise _Wrong(keys, "no environment variable here, where it could be shown; a key is ${key}")

    def of_environment(hole: re.Match[str]) -> str:
        if (found := known.get(hole[1])) is None:
            raise _Wrong(keys, f"the environment variable {hole[1]} is not set")
        return found

    return _ENVIRONMENT.sub(of_environment, value)


def _fields(found: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of `ChatEndpoint`."""
    for key in found.keys() & _NOT_IN_FILES:
        raise _Wrong((key,), f"there is no such key in a file; there is {_NOT_IN_FILES[key]}")
    fields = {_RENAMED.get(key, key): value for key, value in found.items() if key not in _TABLES}
    tables = {key: found[key] for key in _TABLES & found.keys()}
    if tables and "wire" in found:
        raise _Wrong(("wire",), "give a wire's name, or the tables request and response; not both")
    if tables:
        fields["wire"] = tables
    if (name := fields.pop("key_env", None)) is not None:
        if not isinstance(name, str) or name not in known:
            raise _Wrong(("key_env",), f"the environment variable {name} is not set")
        fields["api_key"] = known[name]
    if (oauth := fields.pop("oauth", None)) is not None:
        fields["auth"] = _oauth(oauth)
    return fields


def _oauth(table: Any) -> OAuth2ClientCredentials:
    try:
        return TypeAdapter(OAuth2ClientCredentials).validate_python(table)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise _Wrong(("oauth", *map(str, first["loc"])), first["msg"]) from None


def _keys(location: Sequence[int | str]) -> tuple[str, ...]:
    """Return a pydantic location as the keys that lead to it in the file."""
    back = {ours: theirs for theirs, ours in _RENAMED.items()}
    keys = [back.get(each, each) for each in location if isinstance(each, str)]
    if keys[:1] == ["wire"]:  # a union: the location names its member
        keys = [each for each in keys[1:] if each not in {"WireSpec", "str"}] or ["wire"]
    return tuple(each for each in keys if "[" not in each)


def _place(path: Path, text: str, keys: Sequence[str]) -> str:
    """Return `file:line: key`; the line of the deepest key that is there."""
    line, deepest = 1, 0
    table: tuple[str, ...] = ()
    for number, each in enumerate(map(str.strip, text.splitlines()), 1):
        if header := re.match(r"\[+\s*([^\]]+?)\s*\]+", each):
            here = table = _split(header[1])
        elif key := re.match(r"([\w.\"'-]+)\s*=", each):
            here = (*table, *_split(key[1]))
        else:
            continue
        if deepest < len(here) <= len(keys) and here == tuple(keys[: len(here)]):
            line, deepest = number, len(here)
    return f"{path}:{line}: {'.'.join(keys)}"


def _split(keys: str) -> tuple[str, ...]:
    return tuple(each.strip(" \"'") for each in keys.split("."))
