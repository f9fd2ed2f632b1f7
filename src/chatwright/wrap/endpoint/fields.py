"""`EndpointFields`: what a chat model of a server is made of."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from langchain_core.utils.utils import secret_from_env
from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from chatwright.langchain.model import ChatModel
from chatwright.wires import WIRES, wire_named
from chatwright.wires.quirks import Quirks
from chatwright.wrap.endpoint.auth import secret
from chatwright.wrap.endpoint.http import Auth, BasicAuth, Client
from chatwright.wrap.endpoint.spec import WireSpec

__all__ = ["THEIRS", "EndpointFields", "as_secrets"]


THEIRS: Mapping[str, str] = {
    "azure_ad_token_provider": "api_key, which may be a function,",
    "azure_endpoint": "base_url",
    "default_headers": "headers",
    "default_query": "query",
    "http_async_client": "http_client",
    "max_completion_tokens": "max_tokens (for a server that wants that name for it: the quirk "
    "max_tokens='max_completion_tokens')",
    "model_kwargs": "extra_body",
    "openai_api_base": "base_url",
    "openai_api_key": "api_key",
    "openai_proxy": "proxy",
    "request_timeout": "timeout",
    "stop_sequences": "stop",
    "stream_usage": "the quirk stream_usage",
    "use_responses_api": "wire='responses'",
}
"""ChatOpenAI's and AzureChatOpenAI's names for what has another one here."""


def as_secrets(headers: Any) -> Any:
    """Return headers with their values hidden, None as it is; what is no mapping as it is."""
    if isinstance(headers, Mapping):
        return {
            name: None if value is None else SecretStr(secret(value))
            for name, value in headers.items()
        }
    return headers


def _queried(query: str) -> dict[str, str]:
    """Return the parameters in a URL.

    Raises:
        ValueError: One of them is there twice.
    """
    found = parse_qsl(query, keep_blank_values=True)
    names = [name for name, _ in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(
            f"base_url has the query parameter {twice[0]!r} twice, and can send it only once"
        )
    return dict(found)


Secrets = Annotated[dict[str, SecretStr | None], BeforeValidator(as_secrets)]


def _cleaned(values: dict[str, Any]) -> dict[str, Any]:
    """Return fields with nothing in their `base_url` but the base of the address.

    Raises:
        ValueError: It is no address, or that of another wire.
    """
    given = values["base_url"]
    parts = urlsplit(given) if isinstance(given, str) else None
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("base_url has to begin with http:// or https:// and name a host")
    host = parts.netloc.rpartition("@")[2]
    if not re.fullmatch(r"(\[[^\]]*\]|[^:]*)(:\d{1,5})?", host):
        raise ValueError("base_url has to name a port by its number")
    values = {**values}
    if parts.username is not None and values.get("auth") is None:
        password = unquote(parts.password or "")
        values["auth"] = BasicAuth(unquote(parts.username), password)
    if parts.query:
        own = values.get("query") or {}
        if isinstance(own, Mapping):
            values["query"] = {**_queried(parts.query), **own}
    if parts.fragment and not values.keys() & {"model", "model_name"}:
        values["model_name"] = parts.fragment
    path = parts.path.rstrip("/")
    wire = values.get("wire")
    if isinstance(wire, str | None) and (
        pasted := next((each for each in WIRES.values() if path.endswith(each.path)), None)
    ):
        if wire not in {None, pasted.name}:
            raise ValueError(
                f"base_url ends in {pasted.path}, which is of the wire {pasted.name!r}, and not of "
                f"{wire!r}"
            )
        values["wire"] = pasted.name
        path = path.removesuffix(pasted.path).rstrip("/")
    values["base_url"] = urlunsplit((parts.scheme, host, path, "", ""))
    return values


def _no_field(name: str) -> Any:
    """Return the error for a field that there is not, or that has another name here."""
    instead = "there is no such field; what only the server knows goes into extra_body"
    error = ValueError(f"{name} is {THEIRS[name]} here" if name in THEIRS else instead)
    return {"type": "value_error", "loc": (name,), "input": None, "ctx": {"error": error}}


class EndpointFields(ChatModel):
    """The fields of `ChatEndpoint`, checked."""

    base_url: str
    """Where the server is, up to what the wire appends: `http://host:8000/v1`. If that is
    there, it names the wire. A name and password in it, and a query, are taken out of it and kept
    secret."""
    wire: str | WireSpec = "openai"
    """How the server is spoken to: `openai`, `ollama`, `anthropic`, `responses`; or a description
    of its own way, as an endpoint file has it in the tables `request` and `response`."""
    quirks: Quirks = Quirks()
    """What the server does its own way."""
    api_key: SecretStr | Callable[..., Any] | None = Field(  # type: ignore[assignment]  # wider
        default_factory=secret_from_env("CHATWRIGHT_API_KEY", default=None)
    )
    """The key; or a function or coroutine function that returns it, called for each request, and
    once more where the server refuses it. A plain function runs on a thread; requests that wait
    for it at the same time, in the same context, share one call. Default: `CHATWRIGHT_API_KEY`, if
    set."""
    auth: Any = Field(default=None, exclude=True)
    """`OAuth2ClientCredentials`, or any `httpx2.Auth`; it takes the place of the key."""
    headers: Secrets | Callable[..., Any] = Field(default_factory=dict, exclude=True)
    """Headers of every request; or a function, as for `api_key`, that returns them. They are
    kept out of cache keys, traces, errors and logs; `headers=` of a call adds to them. A value of
    None leaves a header out, one that would be sent by itself too."""
    query: Secrets = Field(default_factory=dict, exclude=True)
    """Query parameters of every request, kept secret likewise."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Further fields of the request's body; `extra_body=` of a call adds to them."""

    timeout: float = Field(default=3600.0, gt=0, allow_inf_nan=False)
    """Seconds that one answer may take in all."""
    connect_timeout: float = Field(default=10.0, gt=0, allow_inf_nan=False)
    """Seconds that a connection may take."""
    first_token_timeout: float = Field(default=900.0, gt=0, allow_inf_nan=False)
    """Seconds until an answer begins. Models that reason without a word need long."""
    token_timeout: float = Field(default=300.0, gt=0, allow_inf_nan=False)
    """Seconds between two pieces of an answer."""
    max_retries: int = Field(default=2, ge=0)
    """Attempts after a failed one."""
    include_response_headers: bool = False
    """Whether an answer's `response_metadata` has the response's headers, as `headers`: the
    request's id and rate limits, for instance. Secrets in them are masked."""
    retry_after_limit: float = Field(default=60.0, ge=0, allow_inf_nan=False)
    """The longest wait between attempts, in seconds; no server is waited for that asks for more."""

    verify: bool = True
    """Whether the server's certificate is looked at."""
    ca_file: str | None = None
    """A file of certificates to trust instead of the system's."""
    client_cert: str | None = None
    """A file with the client's certificate, and its key unless `client_key` has it."""
    client_key: str | None = None
    """A file with the key of `client_cert`."""
    proxy: SecretStr | None = Field(default=None, exclude=True)
    """The proxy's URL. Default None: what the environment says."""
    trust_env: bool = True
    """Whether proxies and certificates are taken from the environment."""
    fast: bool | None = None
    """Whether aiohttp carries the requests, for less CPU per token. Default None: where it is
    installed, which the extra `fast` does."""
    http_client: Any = Field(default=None, exclude=True)
    """An `httpx2.AsyncClient` of your own, for one event loop; or a function that makes one, called
    once per loop. It brings its own network settings."""

    fixed = ChatModel.fixed | {
        *("auth", "base_url", "ca_file", "client_cert", "client_key", "extra_body", "headers"),
        *("fast", "http_client", "include_response_headers", "proxy", "query", "quirks"),
        *("trust_env", "verify", "wire"),
    }

    def __init__(self, **fields: Any) -> None:
        """Take fields that there are.

        Raises:
            pydantic.ValidationError: There is no such field, or it does not take the value.
        """
        known = {
            name for each, one in type(self).model_fields.items() for name in (each, one.alias)
        }
        if extra := sorted(fields.keys() - known - {"model"}):
            title = type(self).__name__
            raise ValidationError.from_exception_data(title, [*map(_no_field, extra)])
        super().__init__(**fields)

    @model_validator(mode="before")
    @classmethod
    def _keep_the_url_clean(cls, values: Any) -> Any:
        """Move what is secret in the URL where secrets are, and what is the wire's away."""
        if not isinstance(values, dict) or not isinstance(values.get("base_url"), str):
            return values
        values = {
            name: each for name, each in values.items() if each is not None or name != "timeout"
        }
        return _cleaned(values)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a field; an address is cleaned as a first one is.

        Raises:
            ValueError: It is none.
        """
        if name != "base_url":
            super().__setattr__(name, value)
            return
        for each, moved in self._moved(value).items():
            super().__setattr__(each, moved)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy the model; a new address is cleaned as a first one is.

        Raises:
            ValueError: It is none.
        """
        if update and "base_url" in update:
            update = {**update, **self._moved(update["base_url"])}
        return super().model_copy(update=update, deep=deep)

    def _moved(self, base_url: Any) -> dict[str, Any]:
        """Return the fields that a new address sets."""
        given = {"wire": self.wire} if "wire" in self.model_fields_set else {}
        moved = _cleaned({**given, "base_url": base_url})
        moved["query"] = {**self.query, **as_secrets(moved.get("query", {}))}
        if self.model_name == urlsplit(self.base_url).netloc:  # nobody has named one
            moved.setdefault("model_name", urlsplit(moved["base_url"]).netloc)
        return moved

    @field_validator("wire")
    @classmethod
    def _know_the_wire(cls, wire: str | WireSpec) -> str | WireSpec:
        if isinstance(wire, str):
            wire_named(wire)  # raises if there is none
        return wire

    @field_validator("auth")
    @classmethod
    def _take_auth(cls, auth: Any) -> Any:
        if isinstance(auth, tuple) and len(auth) == 2:  # noqa: PLR2004  a name and a password
            return BasicAuth(*map(secret, auth))
        if auth is not None and not isinstance(auth, Auth):
            raise ValueError("auth has to be OAuth2ClientCredentials, or an httpx2.Auth")
        return auth

    @field_validator("http_client")
    @classmethod
    def _take_async_clients(cls, own: Any) -> Any:
        if own is None or isinstance(own, Client):
            return own
        if not callable(own) or hasattr(own, "close"):
            raise ValueError(
                "http_client has to be an httpx2.AsyncClient, or a function that makes one; it "
                "serves code without async, too"
            )
        return own
