"""What a curl command would send: https://curl.se/docs/manpage.html has its options."""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit, urlunsplit

from chatwright.errors import LoadError
from chatwright.wrap.endpoint.curl.data import Data
from chatwright.wrap.endpoint.curl.options import (
    DATA,
    FIELDS,
    IGNORED,
    KNOWN,
    QUIET,
    SHORT,
    VALUED,
)
from chatwright.wrap.endpoint.curl.secrets import is_secret
from chatwright.wrap.endpoint.curl.shell import words

__all__ = ["Command", "command"]

_SECONDS = frozenset({"--max-time", "--connect-timeout"})
_NETWORK = frozenset({"--noproxy", "--proxy-user"})
_SHOWN = 4
"""How much of a word is shown that may be a secret."""


def _basic(user: str) -> str:
    return f"Basic {base64.b64encode(user.encode()).decode()}"


def _header(value: str) -> tuple[str, str]:
    name, colon, said = value.partition(":")
    if value.startswith("@"):
        raise LoadError(f"the command takes headers from the file {value[1:]}; write them into it")
    if not colon and not value.endswith(";"):  # `X;` is an empty one
        raise LoadError(f"the command has a header without a colon: {_hidden(value)}")
    return name.removesuffix(";"), said


def _cookie(value: str) -> tuple[str, str]:
    if "=" not in value:
        raise LoadError(
            f"the command takes its cookies from the file {value}; write them: -b name=value"
        )
    return "cookie", value


def _user(value: str) -> tuple[str, str]:
    if ":" not in value:
        raise LoadError("the command's -u has no password, so that curl asks for one: -u NAME:WORD")
    return "authorization", _basic(value)


_HEADERS: Mapping[str, Callable[[str], tuple[str, str]]] = {
    "--cookie": _cookie,
    "--header": _header,
    "--oauth2-bearer": lambda value: ("authorization", f"Bearer {value}"),
    "--referer": lambda value: ("referer", value),
    "--user": _user,
    "--user-agent": lambda value: ("user-agent", value),
}


@dataclass
class Command:
    """What a curl command would send.

    Args:
        url: The address, without query and password.
        query: The parameters in it, but for those that are the body.
        headers: The headers, by names written small.
        body: What is asked, as data.
        method: The HTTP method.
        encoding: How the body is written: a value of `RequestSpec.encoding`.
        fields: Fields of `ChatEndpoint` that its options stand for.
        variables: The environment variables that stood in it, and their values.
    """

    url: str = ""
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    method: str = "POST"
    encoding: str = "json"
    fields: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)


def command(text: str, environment: Mapping[str, str] | None = None) -> Command:
    """Read a curl command; nothing is sent.

    Args:
        text: The command, as it is typed, or copied out of a browser; or a script with one.
        environment: What variables in it stand for. Default: the process's own.

    Raises:
        LoadError: It is none, or sends what no endpoint file can say: a file, say.
    """
    cut = words(text, environment)
    if not cut.words:
        raise LoadError("this is no curl command: none of its commands begins with curl")
    reader = _Reader(cut.words[1:], Data(cut.input))
    reader.run()
    made, data = reader.made, reader.data
    made.variables = cut.variables
    pairs = _place_url(made, reader.url) + data.query
    pairs += data.pairs() if reader.as_query else []
    if data.has_body and not reader.as_query:
        made.method = reader.method or "POST"
        made.body, made.encoding = data.body(made.headers.get("content-type", ""))
        made.query = _once(pairs)
        if made.encoding == "text":  # what curl says of any data
            made.headers.setdefault("content-type", "application/x-www-form-urlencoded")
        return made
    made.method, made.encoding = reader.method or "GET", "query"
    secret = [(name, value) for name, value in pairs if is_secret(name, value)]
    made.query = _once(secret)
    made.body = data.fields([each for each in pairs if each not in secret])
    if not made.body:
        raise LoadError(
            "the command sends neither data nor parameters in its URL: a prompt has no place in it"
        )
    return made


def _once(pairs: list[tuple[str, str]]) -> dict[str, str]:
    if len(pairs) != len(dict(pairs)):
        raise LoadError("the command's URL has a query parameter twice; it can be sent only once")
    return dict(pairs)


def _place_url(made: Command, url: str) -> list[tuple[str, str]]:
    """Put the URL where it belongs; return the parameters in it."""
    if not url:
        raise LoadError("the command names no URL")
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise LoadError("the command's URL has to begin with http:// or https:// and name a host")
    if parts.username is not None and "authorization" not in made.headers:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        made.headers["authorization"] = _basic(user)
    host = parts.netloc.rpartition("@")[2]
    made.url = urlunsplit(
        (parts.scheme, host, quote(parts.path, safe="/%:@!$&'()*+,;=~-._"), "", "")
    )
    return parse_qsl(parts.query, keep_blank_values=True)


def _hidden(word: str) -> str:
    """Return as much of a word as tells which it is: it may be a secret."""
    return repr(word if len(word) <= _SHOWN else f"{word[:_SHOWN]}…")


class _Reader:
    """Reads curl's options, one after the other."""

    def __init__(self, arguments: list[str], data: Data) -> None:
        self._words = arguments
        self._left = [*arguments]
        self.made = Command()
        self.url = self.method = ""
        self.data = data
        self.as_query = False
        self._proxy_user = ""

    def run(self) -> None:
        only_words = False
        while self._left:
            word = self._left.pop(0)
            if word == "--":
                only_words = True
            elif word.startswith("--") and not only_words:
                name, equals, value = word.partition("=")
                name = self._whole(name)
                self._option(name, value if equals and name in VALUED else None)
            elif word.startswith("-") and len(word) > 1 and not only_words:
                self._short(word)
            else:
                self._address(word)
        if user := self._proxy_user:
            if "proxy" not in self.made.fields:
                raise LoadError("the command has -U, for a proxy, and names none: -x HOST:PORT")
            scheme, mark, host = self.made.fields["proxy"].rpartition("://")
            name, _, password = user.partition(":")
            login = f"{quote(name, safe='')}:{quote(password, safe='')}"
            self.made.fields["proxy"] = f"{scheme or 'http'}{mark or '://'}{login}@{host}"

    def _address(self, word: str) -> None:
        if not self.url:
            self.url = word
            return
        place = len(self._words) - len(self._left)
        before = self._words[place - 2] if place > 1 else ""
        behind = f", behind {before!r}" if before.startswith("-") or before.endswith(":") else ""
        raise LoadError(
            f"word {place} behind curl, {_hidden(word)}{behind}, is neither an option nor its "
            "only URL; is a quote missing around a header, or around the data?"
        )

    @staticmethod
    def _whole(name: str) -> str:
        """Return an option that may be cut short."""
        fitting = [each for each in KNOWN if each.startswith(name)]
        return fitting[0] if name not in KNOWN and len(fitting) == 1 else name

    def _short(self, word: str) -> None:
        for place, letter in enumerate(word[1:], 2):
            name = SHORT.get(f"-{letter}", f"-{letter}")
            if name in VALUED:
                self._option(name, word[place:] or None)
                return
            self._option(name, None)

    def _option(self, name: str, value: str | None) -> None:
        if name in QUIET:
            return
        if name == "--insecure":
            self.made.fields["verify"] = False
        elif name == "--get":
            self.as_query = True
        elif name not in VALUED:
            raise LoadError(f"the command's option {name} can't be honoured here; leave it out")
        else:
            if value is None:
                if not self._left:
                    raise LoadError(f"the command's option {name} has no value")
                value = self._left.pop(0)
            self._valued(name, value)

    def _valued(self, name: str, value: str) -> None:
        if name in DATA:
            self.data.add(name, value)
            if name == "--json":
                self.made.headers.setdefault("content-type", "application/json")
        elif name in FIELDS or name in _NETWORK:
            self._reach(name, value)
        elif name in _HEADERS:
            key, said = _HEADERS[name](value)
            self.made.headers[key.strip().lower()] = said.strip()
        elif name == "--request":
            if not re.fullmatch(r"[A-Za-z]+", value) or value.upper() == "HEAD":
                raise LoadError(f"the command's method {value!r} is none that is answered by text")
            self.method = value.upper()
        elif name == "--url":
            self._address(value)
        elif name not in IGNORED:
            raise LoadError(
                f"the command's option {name} says what no endpoint file can say: leave it out, or "
                "wrap a function with @chat_model"
            )

    def _reach(self, name: str, value: str) -> None:
        """Take an option that says how the network is reached."""
        fields = self.made.fields
        if name == "--noproxy":
            if value != "*":
                raise LoadError(
                    f"the command's --noproxy {value} can't be honoured here; leave it out, and "
                    "set NO_PROXY"
                )
            fields["trust_env"] = False
        elif name == "--proxy-user":
            self._proxy_user = value
        elif name in _SECONDS:
            try:
                fields[FIELDS[name]] = float(value)
            except ValueError:
                raise LoadError(f"the command's {name} wants seconds, not {value!r}") from None
        else:
            fields[FIELDS[name]] = value
