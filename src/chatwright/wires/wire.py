"""What a wire is: how a client, and how a server, writes and reads it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from chatwright.langchain.capabilities import Medium
from chatwright.langchain.request import Request
from chatwright.wires.asked import Asked
from chatwright.wires.framing import MEDIA_TYPES
from chatwright.wires.quirks import Quirks
from chatwright.wires.reader import Reader
from chatwright.wires.writer import Writer

__all__ = ["ROLES", "USUAL", "Ask", "Server", "Wire", "Written", "error_kind", "host"]

ROLES: Mapping[str, str] = {
    "ai": "assistant",
    "human": "user",
    "system": "system",
    "tool": "tool",
}
"""The wires' roles by LangChain's types of messages."""


class Ask(NamedTuple):
    """What a wire writes a request of.

    Args:
        model: The model's name; None where none was given, for servers that have but one.
        request: What is asked.
        values: The parameters that are set, by their standard names; None for none.
        quirks: The server's, complete.
        base_url: Where the server is.
    """

    model: str | None
    request: Request
    values: Mapping[str, Any]
    quirks: Quirks
    base_url: str

    def parameters(self, *names: str) -> dict[str, Any]:
        """Return the named parameters that are set, by the names that the server has for them."""
        renamed = self.quirks.parameters or {}
        given = {**self.values, **self.request.parameters}
        wanted = names or (given.keys() - _NO_PARAMETERS)
        found = {name: given[name] for name in given if name in wanted}
        if (name := self.quirks.max_tokens) and "max_tokens" in found:
            found[name] = found.pop("max_tokens")
        return {
            renamed.get(name, name): value
            for name, value in found.items()
            if value is not None and renamed.get(name, name)
        }

    def named(self) -> dict[str, str]:
        """Return the body's field for the model, if one was named."""
        return {} if self.model is None else {"model": self.model}

    def stops(self) -> list[str]:
        """Return the stop sequences to send: none where the server would lose text by them."""
        include = self.values.get("include_stop")
        if include and self.quirks.stop == "dropped":
            return []
        return [*self.request.stop][: self.quirks.max_stops]


_NO_PARAMETERS = frozenset(
    {"api_key", "extra_body", "headers", "include_stop", "keep_reasoning", "strict"}
)


class Written(NamedTuple):
    """A request as a wire writes it.

    Args:
        url: Where it goes.
        body: Its body, as data; None for none.
        headers: Headers that the wire wants, secrets excluded.
        method: The HTTP method.
        encoding: How the body is written: `json`, `form`, `multipart`, `query` or `text`; `raw` for
            a pair of a content type and bytes.
        once: Whether it makes something anew each time: it is not sent again by itself, not even
            where a connection that had idled was lost.
    """

    url: str
    body: Any
    headers: Mapping[str, str]
    method: str = "POST"
    encoding: str = "json"
    once: bool = False


USUAL = Quirks(
    stream=True,
    ends=True,
    stop="dropped",
    tools=True,
    tool_choice=frozenset({"auto", "none", "required", "function"}),
    response_format="json_schema",
)
"""What servers do on most wires."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """How a server speaks a wire.

    Args:
        read: Reads a request's body.
        writer: Makes the writer of its answer.
        error: Writes an error's body, of an HTTP status and a message.
    """

    read: Callable[[Mapping[str, Any]], Asked]
    writer: Callable[[Asked], Writer]
    error: Callable[[int, str], Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Wire:
    """How a client and a server speak with each other.

    Args:
        write: Writes a request, at the client's end.
        reader: Makes the reader of its answer, at the client's end.
        server: The server's end; None where that is not known.
        name: What it is called; empty for one that a user describes.
        path: What stands after the base URL; empty where `write` alone knows.
        framing: How the answer is cut into payloads: a key of `FRAMINGS`.
        quirks: What servers of this wire do unless theirs say otherwise.
        media: Content beside text that it has forms for. It is sent unless a server is known not to
            take it: `Quirks.inputs`.
        hosts: What servers do that are known by their hosts.
        errors: The names that its servers have for errors, and their HTTP statuses.
        accepts: Call parameters beside the model's fields.
        says_stream: Whether a request says if the answer is wanted in pieces.
        key_header: The header that carries the key; empty for none.
        key_prefix: What stands before the key there.
        headers: Further headers.
        done_marker: The payload that says that nothing more comes.
    """

    write: Callable[[Ask], Written]
    reader: Callable[[Ask], Reader]
    server: Server | None = None
    name: str = ""
    path: str = ""
    framing: str
    quirks: Quirks
    media: frozenset[Medium] = frozenset({"audio", "file", "image", "video"})
    hosts: Mapping[str, Quirks] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)
    accepts: frozenset[str] = frozenset()
    says_stream: bool = True
    key_header: str = "Authorization"
    key_prefix: str = "Bearer "
    headers: Mapping[str, str] = field(default_factory=dict)
    done_marker: str = "[DONE]"

    def quirks_at(self, base_url: str) -> Quirks:
        """Return what a server does unless it is said otherwise.

        Args:
            base_url: Where it is.
        """
        known = self.hosts.get(host(base_url))
        return known.over(self.quirks) if known else self.quirks

    @property
    def media_type(self) -> str:
        """What HTTP calls a stream of it."""
        return MEDIA_TYPES[self.framing]


def host(base_url: str) -> str:
    """Return the host in a URL without secrets, and the port where it names one.

    Args:
        base_url: The URL.
    """
    return base_url.partition("://")[2].partition("/")[0]


def error_kind(errors: Mapping[str, int], status: int) -> str:
    """Return the name of an error by its HTTP status: the first, or that of 400 or 500.

    Args:
        errors: The names, and their statuses.
        status: The status.
    """
    usual = 400 if status < 500 else 500  # noqa: PLR2004  the client's fault, or the server's
    return next(
        name for wanted in (status, usual) for name, each in errors.items() if each == wanted
    )
