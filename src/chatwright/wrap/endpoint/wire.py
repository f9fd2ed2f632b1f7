"""What a wire is: how a request is written, and how an answer is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from chatwright.langchain.request import Request
from chatwright.wrap.endpoint.quirks import Quirks
from chatwright.wrap.reading import Reader

__all__ = ["USUAL", "Ask", "Wire", "Written"]


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
        return [] if include and self.quirks.stop == "dropped" else [*self.request.stop]


_NO_PARAMETERS = frozenset({"api_key", "extra_body", "headers", "include_stop", "strict"})


class Written(NamedTuple):
    """A request as a wire writes it.

    Args:
        url: Where it goes.
        body: Its JSON body.
        headers: Headers that the wire wants, secrets excluded.
    """

    url: str
    body: Any
    headers: Mapping[str, str]


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
class Wire:
    """How a server is spoken to.

    Args:
        write: Writes a request.
        reader: Makes the reader of its answer.
        framing: How the answer is cut into payloads: a key of `FRAMINGS`.
        quirks: What servers of this wire do unless theirs say otherwise.
        accepts: Call parameters beside the model's fields.
        key_header: The header that carries the key; empty for none.
        key_prefix: What stands before the key there.
        headers: Further headers.
        done_marker: The payload that says that nothing more comes.
    """

    write: Callable[[Ask], Written]
    reader: Callable[[Ask], Reader]
    framing: str
    quirks: Quirks
    accepts: frozenset[str] = frozenset()
    key_header: str = "Authorization"
    key_prefix: str = "Bearer "
    headers: Mapping[str, str] = field(default_factory=dict)
    done_marker: str = "[DONE]"
