"""HTTP by httpx2: the one border to the network."""

import contextlib
import functools
import socket
import ssl
from collections.abc import AsyncGenerator, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2

from chatwright.errors import (
    EngineError,
    ParameterError,
    SourceConnectionError,
    SourceError,
    SourceTimeoutError,
)
from chatwright.wrap.failure import Came
from chatwright.wrap.hints import fix_for
from chatwright.wrap.masking import Mask
from chatwright.wrap.watch import Watch

__all__ = [
    "HEAD_BYTES",
    "KEEPALIVE_SECONDS",
    "Auth",
    "BasicAuth",
    "Client",
    "Network",
    "Opened",
    "Response",
    "httpx2",
    "tls_context",
]

Auth = httpx2.Auth
BasicAuth = httpx2.BasicAuth
HttpRequest = httpx2.Request
HttpResponse = httpx2.Response
Client = httpx2.AsyncClient
KEEPALIVE_SECONDS = 30.0
"""How long an idle connection is kept."""
HEAD_BYTES = 100 * 1024
"""How long a response's head may be: what httpx2 takes (`MAX_INCOMPLETE_EVENT_SIZE`, httpcore2)."""
_OPEN = frozenset(
    {"accept", "accept-encoding", "connection", "content-length", "content-type", "host"}
) | {"transfer-encoding", "user-agent"}
"""Headers of requests that hold no secrets."""
SETTLE_SECONDS = 0.25
"""How long the end of a body may take once the answer has ended: its connection is then kept."""


@dataclass(frozen=True, slots=True)
class Network:
    """How the network is reached.

    Args:
        ca_file: A file of certificates to trust instead of the system's; None for the system's.
        verify: Whether certificates are looked at.
        client_cert: A file with the client's certificate (and its key).
        client_key: A file with its key, where that is another one.
        proxy: The proxy's URL; None for what the environment says.
        trust_env: Whether the environment is asked for proxies and certificates.
        fast: Whether aiohttp carries the requests; None for whether it is installed.
    """

    ca_file: str | None = None
    verify: bool = True
    client_cert: str | None = None
    client_key: str | None = None
    proxy: str | None = None
    trust_env: bool = True
    fast: bool | None = None


@functools.lru_cache(maxsize=32)
def tls_context(network: Network) -> ssl.SSLContext:
    """Return the TLS context; making one takes longer than a whole request.

    Raises:
        ParameterError: A file that can't be read, or that holds no certificate.
    """
    try:
        if not network.verify:
            context = httpx2.create_ssl_context(verify=False)
        elif network.ca_file:
            context = ssl.create_default_context(cafile=network.ca_file)
        else:
            context = httpx2.create_ssl_context(trust_env=network.trust_env)
        if network.client_cert:
            context.load_cert_chain(network.client_cert, network.client_key)
    except OSError as error:  # ssl's errors are some, too
        named = [
            each for each in (network.ca_file, network.client_cert, network.client_key) if each
        ]
        raise ParameterError(
            f"no certificate can be read from {', '.join(named)}: {error}"
        ) from error
    return context


_SOCKET_OPTIONS = tuple(
    (level, getattr(socket, name), value)
    for level, name, value in (
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 60),
        (socket.IPPROTO_TCP, "TCP_KEEPALIVE", 60),  # macOS's name for the same
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 10),
        (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
        (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", 120_000),
    )
    if hasattr(socket, name)
)
"""By which a peer that went away without a word is noticed after some two minutes, however long an
answer may take: the values of ChatOpenAI (`_client_utils.py`, langchain-openai 1.7.4)."""


class Opened:
    """Whether a connection had to be made for a request, and through which proxy, if any."""

    def __init__(self) -> None:
        """Start with none made."""
        self.is_new = False
        self.proxy = ""

    def on(self, made: Any) -> None:
        """Take the socket of a connection that was made, and have it notice a lost peer."""
        self.is_new = True
        for option in _SOCKET_OPTIONS:
            with contextlib.suppress(OSError):  # the platform has the name, and not the option
                made.setsockopt(*option)

    async def trace(self, name: str, told: Mapping[str, Any]) -> None:
        """Hear of connections as httpx2 tells of them (its extension `trace`)."""
        if name.endswith("connect_tcp.complete"):
            self.on(told["return_value"].get_extra_info("socket"))

    @staticmethod
    def was_lost(error: httpx2.TransportError) -> bool:
        """Tell whether an error is the end of a connection, and not what came by it."""
        if isinstance(error, httpx2.RemoteProtocolError):
            return "disconnected" in str(error)
        return isinstance(error, httpx2.ReadError | httpx2.WriteError)


class Response:
    """One response on its way, under time limits; errors come out as ours.

    Args:
        made: The loop's client.
        watch: The time limits.
        name: The model's name, for errors.
        mask: Learns the secrets that are sent, and hides them.
    """

    def __init__(self, made: Client, watch: Watch, name: str, mask: Mask) -> None:
        """Prepare; nothing is sent yet."""
        self._mask = mask
        self.watch = watch
        self._client = made
        self._name = name
        self._response: httpx2.Response | None = None
        self._pieces: AsyncGenerator[bytes] | None = None
        self.address = ""
        self.proxy = ""
        self.status = 0
        self.headers: Mapping[str, str] = {}

    async def open(
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: Mapping[str, str],
        *,
        without: Collection[str],
        auth: Any,
        query: Mapping[str, str | list[str]],
        connect_timeout: float,
        once: bool = False,
    ) -> None:
        """Send the request and wait for the response's headers.

        Args:
            method: The HTTP method.
            url: Where it goes.
            body: What is sent; None for nothing.
            headers: Its headers.
            without: Headers that are left out, though httpx2 would send them by itself.
            auth: What httpx2 takes as `auth`.
            query: Parameters to append to the URL, kept out of what is shown of it.
            connect_timeout: Seconds that a connection may take.
            once: Whether it is not to be sent again by itself.

        Raises:
            SourceConnectionError: There is no connection, or it was lost.
            SourceTimeoutError: A time limit ran out.
            ParameterError: The address is none.
        """
        timeout = httpx2.Timeout(None, connect=connect_timeout)
        self.address = url.partition("?")[0]
        request: httpx2.Request | None = None
        failed: Exception | None = None
        try:
            with self.watch:
                request = self._client.build_request(
                    method, url, content=body, headers=headers, timeout=timeout
                )
                request.extensions["once"] = once
                for name in without:
                    request.headers.pop(name, None)
                if query:
                    request.url = _Quiet(request.url.copy_merge_params(query))
                self._response = await self._client.send(request, auth=auth, stream=True)
        except Exception as error:  # noqa: BLE001  it is raised, as ours or as it is
            failed = error
        self._learn(request, headers)
        if failed is not None:
            raise self._ours(failed)
        assert self._response is not None  # noqa: S101  nothing has failed
        self._learn(self._response.request, headers)
        self.proxy = getattr(self._response.request.extensions.get("opened"), "proxy", "")
        self.status = self._response.status_code
        self.headers = self._response.headers
        self._pieces = _pieces(self._response)

    @property
    def came(self) -> Came:
        """Where it came from, as errors tell it."""
        return Came(self.status, self.headers.get("content-type", ""), self.address, self.proxy)

    async def next(self) -> bytes | None:
        """Return the body's next bytes; None at its end.

        Raises:
            SourceConnectionError: The connection was lost.
            SourceTimeoutError: A time limit ran out.
        """
        if self._pieces is None:
            return None
        self.watch.wait()
        failed: Exception | None = None
        data = b""
        try:
            data = await self._pieces.__anext__()
        except StopAsyncIteration:
            data, self._pieces = b"", None
        except BaseException as error:
            self.watch.waited(error)
            if not isinstance(error, Exception):
                raise
            failed = error
        if failed is not None:
            raise self._ours(failed)
        self.watch.waited()
        return data if self._pieces is not None else None

    def _learn(self, request: httpx2.Request | None, given: Mapping[str, str]) -> None:
        """Have the mask learn what whoever signs the request has put into its headers."""
        for name, value in {} if request is None else request.headers.items():
            if name not in _OPEN and given.get(name) != value:
                self._mask.add(value)

    def _ours(self, error: Exception) -> Exception:
        """Return an error as one of ours, its secrets hidden; one of the caller's as it is."""
        made = _translated(error, self._name, urlsplit(self.address).netloc, self._mask)
        return error if made is None else made

    async def settle(self) -> None:
        """Read to the end of the body, if that comes soon: its connection is then kept."""
        self.watch.restart(SETTLE_SECONDS)
        with contextlib.suppress(SourceError):
            while await self.next() is not None:
                pass

    async def close(self) -> None:
        """Close the response; a connection whose body has not ended is closed, too."""
        self.watch.stop()
        pieces, self._pieces = self._pieces, None
        if pieces is not None:
            await pieces.aclose()
        if self._response is not None:
            await self._response.aclose()


_COMPRESSIONS = frozenset({"br", "compress", "dcb", "dcz", "deflate", "gzip", "zstd"})


def _pieces(response: httpx2.Response) -> AsyncGenerator[bytes]:
    """Return a response's body, decompressed, though nothing but `identity` was asked for.

    What is no compression, such as `utf-8`, which some servers say here, changes nothing.
    """
    told = response.headers.get("content-encoding", "").lower().split(",")
    names = [each.strip().removeprefix("x-") for each in told]
    if not (compressions := [each for each in names if each in _COMPRESSIONS]):
        # httpx2's own iterators add nothing to a stream that is not compressed, at 3 µs a piece.
        plain: Any = response.stream
        return aiter(plain)
    if unread := [each for each in compressions if each not in _decompressed()]:
        return _undecoded(unread[0])
    response.headers["content-encoding"] = ", ".join(compressions)
    return response.aiter_bytes()


@functools.cache
def _decompressed() -> frozenset[str]:
    """Return what httpx2 can decompress here: what it would ask for."""
    asks = Client(transport=httpx2.AsyncBaseTransport()).headers["accept-encoding"]
    return frozenset(each.strip() for each in asks.split(","))


async def _undecoded(name: str) -> AsyncGenerator[bytes]:
    raise httpx2.DecodingError(
        f"it comes in the content encoding {name!r}, which was not asked for and can't be read here"
    )
    yield b""


class _Quiet(httpx2.URL):
    """A URL that does not show its query, where a key may stand: httpx2 logs URLs."""

    def __str__(self) -> str:
        return str(self.copy_with(query=None))

    def __repr__(self) -> str:
        return repr(httpx2.URL(str(self)))


def _translated(
    error: Exception, name: str, host: str, mask: Mask
) -> SourceError | ParameterError | None:
    """Return one of httpx2's errors as ours; None for any other.

    What they say of the request is ours to say: it may hold secrets; so no cause is kept.
    """
    told = mask(str(error))
    match error:
        case httpx2.TimeoutException():
            return SourceTimeoutError(f"{name}: {_named(error, host)} within its limit")
        case httpx2.DecodingError():
            return EngineError(f"{name}: the body can't be decompressed: {told}")
        case httpx2.UnsupportedProtocol() | httpx2.InvalidURL():
            return ParameterError(f"{name}: base_url, or the proxy, is no address")
        case httpx2.LocalProtocolError():
            return ParameterError(f"{name}: a header, or its value, is none that HTTP has")
        case httpx2.TransportError():
            why = f": {told}" if told else ""
            return SourceConnectionError(f"{name}: {_named(error, host)}{why}{fix_for(told)}")
        case httpx2.HTTPError():
            return EngineError(f"{name}: {told}")
    return None


def _named(error: httpx2.HTTPError, host: str) -> str:
    said: dict[type[httpx2.HTTPError], str] = {
        httpx2.ConnectTimeout: "no connection to",
        httpx2.WriteTimeout: "the request was not taken by",
        httpx2.PoolTimeout: "no connection was free to",
        httpx2.ConnectError: "no connection to",
        httpx2.ProxyError: "the proxy gives no connection to",
        httpx2.ReadError: "the connection was lost to",
        httpx2.WriteError: "the connection was lost to",
        httpx2.RemoteProtocolError: "the connection was lost to",
    }
    if isinstance(error, httpx2.RemoteProtocolError) and not Opened.was_lost(error):
        return f"no HTTP that can be read comes from {host}"
    return f"{said.get(type(error), type(error).__name__)} {host}"
