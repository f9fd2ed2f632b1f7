"""What a curl command would send: https://curl.se/docs/manpage.html has its options."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit, urlunsplit

from chatwright.errors import LoadError
from chatwright.wrap.endpoint.curl.shell import words
from chatwright.wrap.jsonio import loads

__all__ = ["Command", "command"]

_VALUED = {
    "-X": "--request", "-H": "--header", "-d": "--data", "-F": "--form", "-u": "--user",
    "-x": "--proxy", "-m": "--max-time", "-A": "--user-agent", "-e": "--referer",
    "-b": "--cookie", "-o": "--output", "-c": "--cookie-jar", "-E": "--cert", "-w": "--write-out",
    "-T": "--upload-file", "-r": "--range", "-K": "--config", "-D": "--dump-header",
}  # fmt: skip
_LONG = frozenset(
    {
        *_VALUED.values(),
        *("--data-raw", "--data-binary", "--data-ascii", "--data-urlencode", "--json", "--url"),
        *("--form-string", "--connect-timeout", "--cacert", "--key", "--oauth2-bearer", "--retry"),
        *("--retry-delay", "--retry-max-time", "--url-query", "--keepalive-time", "--limit-rate"),
    }
)
_QUIET = frozenset(
    {
        *("--compressed", "--silent", "--show-error", "--location", "--include", "--verbose"),
        *("--no-buffer", "--fail", "--fail-with-body", "--globoff", "--http1.1", "--http2"),
        *("--http1.0", "--http3", "--no-progress-meter", "--progress-bar", "--ipv4", "--ipv6"),
        *("--tcp-nodelay", "--no-keepalive", "--tlsv1.2", "--tlsv1.3", "--ssl-no-revoke"),
        *("-s", "-S", "-L", "-i", "-v", "-N", "-f", "-g", "-4", "-6", "-#", "-0", "-j", "-q"),
    }
)
"""What changes nothing of what is sent; redirects are never followed here."""
_IGNORED = frozenset(
    {
        *("--output", "--cookie-jar", "--write-out", "--retry", "--retry-delay", "--dump-header"),
        *("--retry-max-time", "--keepalive-time", "--limit-rate"),
    }
)
_DATA = frozenset({"--data", "--data-raw", "--data-binary", "--data-ascii", "--json"})
_FIELDS = {
    "--proxy": "proxy",
    "--cacert": "ca_file",
    "--cert": "client_cert",
    "--key": "client_key",
    "--max-time": "timeout",
    "--connect-timeout": "connect_timeout",
}
_SECONDS = frozenset({"--max-time", "--connect-timeout"})


def _basic(user: str) -> str:
    return f"Basic {base64.b64encode(user.encode()).decode()}"


def _header(value: str) -> tuple[str, str]:
    name, _, said = value.partition(":")
    return name, said


def _cookie(value: str) -> tuple[str, str]:
    if "=" not in value:
        raise LoadError("the command takes its cookies from a file; write them into it")
    return "cookie", value


_HEADERS: Mapping[str, Callable[[str], tuple[str, str]]] = {
    "--cookie": _cookie,
    "--header": _header,
    "--oauth2-bearer": lambda value: ("authorization", f"Bearer {value}"),
    "--referer": lambda value: ("referer", value),
    "--user": lambda value: ("authorization", _basic(value)),
    "--user-agent": lambda value: ("user-agent", value),
}


@dataclass
class Command:
    """What a curl command would send.

    Args:
        url: The address, without query and password.
        query: The parameters in it.
        headers: The headers, by names written small.
        body: The JSON that is posted.
        fields: Fields of `ChatEndpoint` that its options stand for.
        variables: The environment variables that stood in it, and their values.
    """

    url: str = ""
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    fields: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)


def command(text: str, environment: Mapping[str, str] | None = None) -> Command:
    """Read a curl command; nothing is sent.

    Args:
        text: The command, as it is typed, or copied out of a browser.
        environment: What variables in it stand for. Default: the process's own.

    Raises:
        LoadError: It is none, or sends what no endpoint file can say: a form, a file, a GET.
    """
    cut = words(text, environment)
    while cut.words[:1] == ["$"]:  # the shell's own prompt
        cut.words.pop(0)
    if not cut.words or Path(cut.words[0]).name.removesuffix(".exe") != "curl":
        raise LoadError("this is no curl command: it does not begin with curl")
    reader = _Reader(cut.words[1:])
    reader.run()
    made = reader.made
    made.variables = cut.variables
    _place_url(made, reader.url)
    posted = "&".join(reader.data)
    if reader.as_query or reader.method not in {"", "POST"} or not posted:
        method = reader.method or ("GET" if reader.as_query or not posted else "POST")
        raise LoadError(
            f"the command sends a {method} {'without a body' if not posted else 'request'}; an "
            "endpoint file posts JSON: for this server, wrap a function with @chat_model"
        )
    try:
        made.body = loads(posted)
    except TypeError as error:
        raise LoadError(
            "the command posts no JSON, and an endpoint file posts nothing else: for this server, "
            f"wrap a function with @chat_model ({error})"
        ) from None
    if not isinstance(made.body, dict | list):
        raise LoadError("the command posts JSON that is neither an object nor a list")
    return made


def _place_url(made: Command, url: str) -> None:
    if not url:
        raise LoadError("the command names no URL")
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise LoadError("the command's URL has to begin with http:// or https:// and name a host")
    if parts.username is not None and "authorization" not in made.headers:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        made.headers["authorization"] = _basic(user)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    if len(pairs) != len(dict(pairs)):
        raise LoadError("the command's URL has a query parameter twice; it can be sent only once")
    made.query |= dict(pairs)
    host = parts.netloc.rpartition("@")[2]
    made.url = urlunsplit(
        (parts.scheme, host, quote(parts.path, safe="/%:@!$&'()*+,;=~-._"), "", "")
    )


class _Reader:
    """Reads curl's options, one after the other."""

    def __init__(self, arguments: list[str]) -> None:
        self._left = arguments
        self.made = Command()
        self.url = self.method = ""
        self.data: list[str] = []
        self.as_query = False

    def run(self) -> None:
        while self._left:
            word = self._left.pop(0)
            if word.startswith("--"):
                name, equals, value = word.partition("=")
                self._option(name, value if equals and name in _LONG else None)
            elif word.startswith("-") and len(word) > 1:
                self._short(word)
            elif self.url:
                raise LoadError(
                    "a word of the command is neither an option nor its only URL; is a quote "
                    "missing around a header, or around the data?"
                )
            else:
                self.url = word

    def _short(self, word: str) -> None:
        for place, letter in enumerate(word[1:], 2):
            name = f"-{letter}"
            if name in _VALUED:
                self._option(_VALUED[name], word[place:] or None)
                return
            self._option(name, None)

    def _option(self, name: str, value: str | None) -> None:
        if name in _QUIET:
            return
        if name in {"-k", "--insecure"}:
            self.made.fields["verify"] = False
        elif name in {"-G", "--get"}:
            self.as_query = True
        elif name not in _LONG:
            raise LoadError(f"the command's option {name} is not known here; leave it out")
        else:
            if value is None:
                if not self._left:
                    raise LoadError(f"the command's option {name} has no value")
                value = self._left.pop(0)
            self._valued(name, value)

    def _valued(self, name: str, value: str) -> None:
        if name in _DATA:
            self._post(name, value)
        elif name in _FIELDS:
            self.made.fields[_FIELDS[name]] = float(value) if name in _SECONDS else value
        elif name in _HEADERS:
            key, said = _HEADERS[name](value)
            self.made.headers[key.strip().lower()] = said.strip()
        elif name == "--request":
            self.method = value.upper()
        elif name == "--url":
            self.url = value
        elif name not in _IGNORED:
            raise LoadError(
                f"the command's option {name} sends what no endpoint file can say (it posts JSON): "
                "for this server, wrap a function with @chat_model"
            )

    def _post(self, name: str, value: str) -> None:
        if value.startswith("@") and name != "--data-raw":
            value = self._file(value[1:], binary=name in {"--data-binary", "--json"})
        if name == "--json" and self.data:
            self.data[-1] += value
        else:
            self.data.append(value)

    @staticmethod
    def _file(path: str, *, binary: bool) -> str:
        if path == "-":
            raise LoadError("the command takes its data from its input; name a file instead")
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise LoadError(f"the command's file {path} can't be read: {error}") from None
        return text if binary else text.replace("\r", "").replace("\n", "")
