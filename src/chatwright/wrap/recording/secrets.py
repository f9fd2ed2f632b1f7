"""The secrets that a model holds, wherever it holds them, hidden in what is written down."""

import contextlib
import functools
import itertools
import os
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, SecretBytes, SecretStr

from chatwright.wrap.masking import Mask

__all__ = ["HIDDEN", "Secrets", "is_secret"]

HIDDEN = "***"
LIMIT = 50_000
"""How many objects are looked into."""
_ATTEMPTS = 100
_MOST = 1_000
"""How many members of one object."""
_WORDS = frozenset(
    {
        *("apikey", "auth", "authorization", "bearer", "cookie", "credential", "credentials"),
        *("jwt", "passphrase", "passwd", "password", "secret", "token"),
    }
)
_KEYS = frozenset(
    {
        *("access", "account", "api", "auth", "client", "encryption", "function", "license"),
        *("master", "private", "secret", "service", "shared", "signing", "subscription"),
    }
)
"""What makes a secret of a `key`: an API's, and no cache's."""
_MARKS = frozenset(
    {"begin", "bos", "cls", "end", "eos", "mask", "pad", "sep", "start", "stop", "unk"}
)
"""What makes a `token` a mark in a text."""
_IN_QUERIES = frozenset({"code", "key", "sig", "signature"})
_HARMLESS = frozenset(
    {
        *("accept", "accept-encoding", "anthropic-version", "cache-control", "connection"),
        *("content-length", "content-type", "date", "host", "retry-after", "user-agent"),
    }
)
"""Headers that tell nobody anything."""
_PLACEHOLDERS = frozenset(
    {
        *("changeme", "dummy", "empty", "fake", "lm-studio", "no-key", "none", "not-needed"),
        *("null", "ollama", "placeholder", "test", "unused"),
    }
)
"""What stands for a key where none is needed: words of other texts, too."""
_TEXTS = frozenset(
    {"arguments", "content", "logprobs", "response_format", "text", "tools", "top_logprobs"}
)
"""Names of what is said to a model and by it, in which `token` is a word like others."""
_SCHEMAS = frozenset({"$defs", "definitions", "properties"})
"""Names of what describes values, secret ones too, and holds none."""
_KINDS = frozenset({"description", "kind", "name", "scheme", "type", "user", "username"})
"""Names of what stands beside a secret."""
_SHOWN = re.compile(
    r"(?P<keep>://[^/\s:@]*:)[^/\s@]+(?=@)"
    r"|(?P<query>[?&](?:[\w.-]*(?:api[_-]?key|secret|token|password)|key|sig|signature|code)=)"
    r"[^&\s\"'<>]+"
    r"|(?P<scheme>\b(?:Bearer|Basic)\s+)[\w.~+/=-]{8,}"
)
"""Credentials that show themselves: in URLs, and behind the names of HTTP's schemes."""
_ATOMS = (bool, int, float, complex, type, types.ModuleType, types.CodeType, type(None))


class Secrets:
    """Hides what is secret.

    Args:
        holders: What holds secrets: models, parameters of a call; environment variables with the
            names of keys, passwords and tokens are looked at, too.
    """

    def __init__(self, *holders: Any) -> None:
        """Look for them."""
        found = set(itertools.islice(_found((*holders, {**os.environ})), LIMIT))
        self._mask = Mask(each for each in found if each.lower() not in _PLACEHOLDERS)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return where secrets stand in a text that is kept otherwise."""
        return self._mask.spans(text)

    def hide(self, value: Any, name: str = "") -> Any:
        """Return data without secrets: known ones, and what their names or forms make ones.

        Args:
            value: The data, as JSON has it; a `SecretStr` is hidden.
            name: What it is called. Default: nothing.
        """
        if isinstance(value, SecretStr | SecretBytes):
            return HIDDEN
        if isinstance(value, str):
            return HIDDEN if is_secret(name) else self.shown(value)
        if isinstance(value, list | tuple):
            return [self.hide(each, name) for each in value]
        if not isinstance(value, Mapping):
            return value
        headers = _are_headers(name)
        return {
            self.text(key): HIDDEN
            if headers and isinstance(each, str) and str(key).lower() not in _HARMLESS
            else self._hide_field(str(key), each)
            for key, each in value.items()
        }

    def _hide_field(self, key: str, value: Any) -> Any:
        return self.text(value) if key in _TEXTS else self.hide(value, key)

    def text(self, value: Any) -> Any:
        """Return what was said, in which names and forms make no secrets, without known ones."""
        if isinstance(value, str):
            return self._mask(value)
        if isinstance(value, list | tuple):
            return [self.text(each) for each in value]
        if isinstance(value, Mapping):
            return {self.text(key): self.text(each) for key, each in value.items()}
        return value

    def shown(self, text: str) -> str:
        """Return a text without secrets: known ones, and what looks like credentials."""
        return self._mask(_SHOWN.sub(_kept, text))


def _kept(match: re.Match[str]) -> str:
    return f"{match['keep'] or match['query'] or match['scheme']}{HIDDEN}"


@functools.lru_cache(maxsize=4096)
def is_secret(name: str) -> bool:
    """Tell whether what has this name is a secret: `api_key`, `X-Auth-Token`, `clientSecret`."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    *before, last = [each for each in re.split(r"[^a-z0-9]+", snake) if each] or [""]
    beside = before[-1] if before else ""
    if last == "key":
        return beside in _KEYS
    if last == "token":
        return beside not in _MARKS
    return last in _WORDS or "secret" in before or (last == "header" and "auth" in before)


def _are_headers(name: str) -> bool:
    return name.lower().endswith("headers")


def _found(holders: Iterable[Any]) -> Iterator[str]:
    """Yield the secrets in what is given, and in all that it holds."""
    stack: list[tuple[str, Any]] = [("", each) for each in holders]
    seen: set[int] = set()
    while stack and len(seen) < LIMIT:
        name, value = stack.pop()
        if isinstance(value, SecretStr | SecretBytes):
            hidden = value.get_secret_value()
            yield hidden if isinstance(hidden, str) else hidden.decode("utf-8", "replace")
        elif isinstance(value, bytes | str):
            yield from _of_text(name, value)
        elif not isinstance(value, _ATOMS) and id(value) not in seen:
            seen.add(id(value))
            stack += _inside(name, value)


def _of_text(name: str, value: bytes | str) -> Iterator[str]:
    if isinstance(value, bytes):
        if not is_secret(name):
            return
        value = value.decode("utf-8", "replace")
    if is_secret(name):
        yield value
    elif "://" in value:
        yield from _of_url(value)


def _of_url(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError:
        return
    if password:
        yield password
    for name, value in parse_qsl(parts.query):
        if is_secret(name) or name.lower() in _IN_QUERIES:
            yield value


def _inside(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what an object holds, each by its name; what a secret name holds has that name."""
    if isinstance(value, dict) or "Headers" in type(value).__name__:  # others may be made as read
        for key, each in _members(value.items()):
            told = key.decode("latin-1") if isinstance(key, bytes) else str(key)
            if told in _TEXTS | _SCHEMAS:
                continue
            hides = is_secret(name) and told not in _KINDS
            hides |= _are_headers(name) and told.lower() not in _HARMLESS
            yield ("secret" if hides else told), each
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((name, each) for each in _members(value))
    elif isinstance(value, types.FunctionType):
        yield from _of_function(value)
    elif isinstance(value, types.MethodType):
        yield from (("", value.__self__), ("", value.__func__))
    elif isinstance(value, functools.partial):
        yield from (("", value.func), ("", value.args), ("", value.keywords))
    else:
        yield from _of_object(value)


def _members(values: Iterable[Any]) -> list[Any]:
    """Return what a container holds at this moment: other threads may change it.

    For Python's own that is one step of the interpreter, unless garbage collection comes between.
    """
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(RuntimeError):  # it has changed meanwhile
            return list(itertools.islice(values, _MOST))
    return list(itertools.islice(values, _MOST))


def _of_function(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield name, cell.cell_contents
        except ValueError:  # nothing is in it yet
            continue
    code = function.__code__
    defaults = function.__defaults__ or ()
    named = code.co_varnames[: code.co_argcount]
    yield from zip(named[len(named) - len(defaults) :], defaults, strict=True)
    yield "", function.__kwdefaults__ or {}
    yield from ((n, function.__globals__[n]) for n in code.co_names if n in function.__globals__)


def _of_object(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, BaseModel):
        yield "", value.__pydantic_extra__ or {}
        yield "", value.__pydantic_private__ or {}
    try:
        yield from _members(vars(value).items())
    except TypeError:  # it has no `__dict__`
        for name in _slots(type(value)):
            held = getattr(type(value), name, None)
            if isinstance(held, types.MemberDescriptorType):
                try:
                    yield name, held.__get__(value)
                except AttributeError:
                    continue


def _slots(cls: type) -> Iterator[str]:
    for each in cls.__mro__:
        slots = vars(each).get("__slots__", ())
        yield from (slots,) if isinstance(slots, str) else slots
