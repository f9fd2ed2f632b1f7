"""`ChatEndpoint`: a server behind a URL as a chat model."""

import functools
import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from langchain_core.language_models import ModelProfile
from pydantic import SecretStr

from chatwright.errors import ParameterError
from chatwright.langchain.binding import BoundModel
from chatwright.langchain.capabilities import Capabilities
from chatwright.langchain.request import Request
from chatwright.langchain.settings import CONFIGURED
from chatwright.wires import wire_named
from chatwright.wires.quirks import Quirks
from chatwright.wires.wire import Ask, Wire, Written
from chatwright.wrap.endpoint.aside import given_by
from chatwright.wrap.endpoint.auth import KeyAuth, secret
from chatwright.wrap.endpoint.clients import client
from chatwright.wrap.endpoint.encoding import encoded
from chatwright.wrap.endpoint.exchange import Exchange, Retries
from chatwright.wrap.endpoint.fields import THEIRS, EndpointFields, as_secrets
from chatwright.wrap.endpoint.http import Network, Response
from chatwright.wrap.failure import Came
from chatwright.wrap.masking import Mask
from chatwright.wrap.reading import Reading
from chatwright.wrap.watch import Limits, Watch

__all__ = ["ChatEndpoint"]

_VALUES = (
    *("api_key", "include_stop", "keep_reasoning", "max_tokens", "seed", "temperature", "top_p"),
)
_COMMON = frozenset({"extra_body", "headers"})
_HIDDEN = frozenset({"headers"})


class ChatEndpoint(EndpointFields):
    """A server behind a URL, spoken to in OpenAI's, Ollama's, Anthropic's or its own way.

    Nothing is sent before the first call. There is one pool of connections per event loop (code
    without async has one loop in common), shared by all models that reach the network in the same
    way, and closed with the loop.

    Connect errors, the statuses 408, 409, 429 and 5xx, and what a server reports as one of these,
    are asked again, `max_retries` times, with full jitter or after the time that
    `Retry-After` asks for, but never once a piece of the answer has been handed out.

    Raises:
        EngineError: What the server answers, in its kinds (`AuthenticationError`,
            `PermissionDeniedError`, `NotFoundError`, `RateLimitError`, `InvalidRequestError`,
            `PromptTooLongError`); with `status`, `request_id` and `body`, the first 2 kB; secrets
            are masked.
        SourceTimeoutError: A time limit ran out; with `partial_text`.
        SourceConnectionError: There is no connection, or it was lost; with `partial_text`.
        OutputError: What came is not of the wire.

    Example:
        ```python
        model = ChatEndpoint("http://localhost:8000/v1", model="my-model")
        model.invoke("Say hello.")
        ```
    """

    def __init__(self, base_url: str | None = None, **fields: Any) -> None:
        """Take the URL by position, too."""
        super().__init__(**({} if base_url is None else {"base_url": base_url}), **fields)

    # The call.

    def reply(self, request: Request) -> Any:
        """Ask the server."""
        ask, wire = self.ask(request), self.speaks
        written = self.written(ask)
        mask = Mask(_hidden(request.parameters.get("extra_body")))
        headers = request.parameters.get("headers")
        end = time.monotonic() + self.timeout

        async def send() -> Response:
            return await self.send(written, mask, headers=headers, seconds=end - time.monotonic())

        read = functools.partial(
            self._reading, ask, wire.framing if ask.quirks.stream else _whole(wire.framing), mask
        )
        retries = Retries(self.max_retries, self.retry_after_limit, self.timeout)
        exchange = Exchange(send, read, retries=retries, name=self.model_name, mask=mask)
        return exchange.deltas(headers=self.include_response_headers)

    def _reading(self, ask: Ask, framing: str, mask: Mask, came: Came) -> Reading:
        return Reading(
            self.speaks.reader(ask),
            framing=framing,
            ends=bool(ask.quirks.ends),
            done_marker=self.speaks.done_marker,
            name=self.model_name,
            mask=mask,
            came=came,
        )

    async def send(
        self,
        written: Written,
        mask: Mask,
        *,
        headers: Mapping[str, Any] | None = None,
        seconds: float | None = None,
    ) -> Response:
        """Send one request as it is written, and return the response, opened, whatever its status.

        Args:
            written: The request.
            mask: Learns the secrets that were sent.
            headers: The call's own headers.
            seconds: What is left of `timeout`. Default: all of it.

        Raises:
            SourceConnectionError: There is no connection, or it was lost.
            SourceTimeoutError: A time limit ran out.
            AuthenticationError: No token is to be had.
            ParameterError: What can't be sent, or network settings that can't be used.
        """
        for each in _hidden([self.query, self.extra_body, self.proxy, self.api_key]):
            mask.add(each)
        left = self.timeout if seconds is None else max(0.0, seconds)
        content, kind, query = encoded(written)
        limits = Limits(self.first_token_timeout, self.token_timeout, left)
        watch = Watch(limits, self.model_name)
        try:
            with watch:
                sent, without = await self._headers(written, kind, headers or {}, mask)
            made = await client(self._network(), self.http_client)
            response = Response(made, watch, self.model_name, mask)
            await response.open(
                written.method,
                written.url,
                content,
                sent,
                without=without,
                auth=self._auth(without),
                query={**query, **self._query()},
                connect_timeout=self.connect_timeout,
                once=written.once,
            )
        except BaseException:
            watch.stop()
            raise
        return response

    def replies_async(self) -> bool:
        """Say that `reply` belongs on an event loop."""
        return True

    def reads_config(self) -> bool:
        """Say that answers depend on fields and parameters only."""
        return False

    def source_name(self) -> str:
        """Return the model's name, for errors."""
        return self.model_name

    def ask(self, request: Request) -> Ask:
        """Return what the wire writes the request of."""
        values = {name: getattr(self, name) for name in _VALUES}
        named = None if self.model_name == self._default_model_name() else self.model_name
        quirks = self.known_quirks
        if quirks.stream and not self._streams(request, quirks):
            quirks = quirks.model_copy(update={"stream": False})
        return Ask(named, request, values, quirks, self.base_url)

    def _streams(self, request: Request, quirks: Quirks) -> bool:
        """Tell whether a request may be answered in pieces: who wants no stream asks for none."""
        if not self.speaks.says_stream:  # it comes as it comes
            return True
        if self.streaming is False or self.disable_streaming is True:
            return False
        whole = quirks.stream_tools is False or self.disable_streaming == "tool_calling"
        return not (whole and (request.tools or request.given.get("tools")))

    def _default_model_name(self) -> str:
        return urlsplit(self.base_url).netloc

    def written(self, ask: Ask) -> Written:
        """Return the request as the wire writes it.

        Raises:
            ParameterError: The body is no object that `extra_body` could go into.
        """
        written = self.speaks.write(ask)
        extra = {**self.extra_body, **(ask.request.parameters.get("extra_body") or {})}
        if not extra:
            return written
        if not isinstance(written.body, Mapping):
            raise ParameterError(f"{self.model_name}: extra_body needs a body that is an object")
        return written._replace(body={**written.body, **extra})

    def _query(self) -> dict[str, str]:
        return {name: secret(each) for name, each in self.query.items() if each is not None}

    async def _headers(
        self, written: Written, kind: str, own: Mapping[str, Any], mask: Mask
    ) -> tuple[dict[str, str], set[str]]:
        """Return the headers to send, and those to leave out, in lower case."""
        given: Any = self.headers
        if callable(given):
            given = await given_by(given)
        if not isinstance(given or {}, Mapping) or not isinstance(own, Mapping):
            raise ParameterError(f"{self.model_name}: headers have to be a mapping of their names")
        # One case for all: a header of the user's takes the place of ours.
        users = {str(name).lower(): each for name, each in [*(given or {}).items(), *own.items()]}
        without = {name for name, each in users.items() if each is None}
        secrets = {name: secret(each) for name, each in users.items() if each is not None}
        for name, value in secrets.items():
            mask.add(value)
            if not (value.isascii() and f"{name}{value}".isprintable()):
                raise ParameterError(
                    f"{self.model_name}: the header {name!r} holds what can't stand in a header"
                )
        sent = {
            "Accept": "text/event-stream, application/x-ndjson, application/json",
            "Accept-Encoding": "identity",
            **({"Content-Type": kind} if kind else {}),
            "User-Agent": "chatwright",
            **self.speaks.headers,
            **written.headers,
        }
        ours = {name.lower(): each for name, each in sent.items() if name.lower() not in without}
        return {**ours, **secrets}, without

    def _auth(self, without: Collection[str]) -> Any:
        header = self.speaks.key_header
        if self.auth is not None or self.api_key is None or not header:
            return self.auth
        if header.lower() in without:
            return None
        return KeyAuth(self.api_key, header, self.speaks.key_prefix)

    def _network(self) -> Network:
        return Network(
            ca_file=self.ca_file,
            verify=self.verify,
            client_cert=self.client_cert,
            client_key=self.client_key,
            proxy=None if self.proxy is None else secret(self.proxy),
            trust_env=self.trust_env,
            fast=self.fast,
        )

    # What the server can do.

    @property
    def speaks(self) -> Wire:
        """The wire."""
        return wire_named(self.wire) if isinstance(self.wire, str) else self.wire.wire

    @property
    def known_quirks(self) -> Quirks:
        """The server's quirks, and the wire's where none are set."""
        return self.quirks.over(self.speaks.quirks_at(self.base_url))

    def capabilities(self) -> Capabilities:
        """Return what the wire and the quirks say."""
        return self.known_quirks.capabilities(self.speaks.media)

    def _resolve_model_profile(self) -> ModelProfile:
        """Return what is known of the model; of its inputs nothing, where they are only tried."""
        profile, known = super()._resolve_model_profile(), self.known_quirks
        if known.inputs is None:
            for name in ("image_inputs", "audio_inputs", "video_inputs", "pdf_inputs"):
                profile.pop(name, None)  # type: ignore[misc]  # no key of it is required
        if known.context_tokens:
            profile["max_input_tokens"] = known.context_tokens
        return profile

    def _accepted(self) -> frozenset[str]:
        return (self.speaks.accepts - CONFIGURED) | _COMMON

    def _instead(self, name: str) -> str:
        if name in THEIRS:
            return f": {name} is {THEIRS[name]} here"
        return f"; for the server, put it into extra_body{super()._instead(name)}"

    # What is shown of it.

    def bind(self, **kwargs: Any) -> BoundModel:
        """Return the model with call parameters bound to it; headers stay secret."""
        if "headers" in kwargs:
            kwargs["headers"] = as_secrets(kwargs["headers"])
        return super().bind(**kwargs)

    def explained(self, request: Request) -> dict[str, Any]:
        """Return the HTTP request: `method`, `url`, `headers` and `body`; secrets are masked.

        The body is data, written as the content type says; None where it stands in the URL.
        """
        written = self.written(self.ask(request))
        body = _masked(written.body)
        _, kind, asked = encoded(written._replace(body=body))
        own = {} if callable(self.headers) else self.headers
        hidden = {**own, **(request.parameters.get("headers") or {})}
        without = {name.lower() for name, each in hidden.items() if each is None}
        if self.auth is not None or (self.api_key is not None and self.speaks.key_header):
            hidden.setdefault(self.speaks.key_header if self.auth is None else "Authorization", "")
        told = {**asked, **dict.fromkeys(self._query(), "***")}
        query = urlencode(told, doseq=True, safe="*")
        shown = {
            **({"Content-Type": kind.partition("; boundary")[0]} if kind else {}),
            **self.speaks.headers,
            **written.headers,
            **dict.fromkeys(hidden, "***"),
        }
        return {
            "method": written.method,
            "url": f"{written.url}?{query}" if query else written.url,
            "headers": {name: each for name, each in shown.items() if name.lower() not in without},
            "body": None if asked else body,
        }

    def _get_invocation_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        shown = {name: value for name, value in kwargs.items() if name not in _HIDDEN}
        return super()._get_invocation_params(stop, **shown)

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        if "headers" in kwargs:  # they may decide who answers
            kwargs["headers"] = as_secrets(kwargs["headers"])
        return super()._get_llm_string(stop, **kwargs)

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """Serialize values as the dicts that make them."""
        quirks = self.quirks.model_dump(mode="json", exclude_none=True)
        spec = {} if isinstance(self.wire, str) else {"wire": self.wire.model_dump(mode="json")}
        return {**super().lc_attributes, "quirks": quirks, **spec}

    def __getstate__(self) -> dict[Any, Any]:
        """Pickle, unless a live client is held.

        Raises:
            ParameterError: `http_client` is a client; a function that makes one pickles.
        """
        if hasattr(self.http_client, "aclose"):
            raise ParameterError(
                "a live http_client can't be pickled; give a function that makes one instead"
            )
        return super().__getstate__()


def _masked(value: Any) -> Any:
    """Return a body as it may be shown."""
    if isinstance(value, Mapping):
        return {name: _masked(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_masked(each) for each in value]
    return "***" if isinstance(value, SecretStr) else value


def _hidden(value: Any) -> Iterator[str]:
    """Yield the secrets inside a value."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _hidden(each)


def _whole(framing: str) -> str:
    return "json" if framing in {"sse", "ndjson"} else framing
