"""The way to each host: by which carrier, through which proxy, and once more where it was stale."""

import importlib.util
import ipaddress
import time
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from chatwright.errors import MissingExtraError, ParameterError
from chatwright.wrap.endpoint.http import (
    KEEPALIVE_SECONDS,
    Network,
    Opened,
    httpx2,
    tls_context,
)

__all__ = ["Transport", "is_excepted"]

STALE_SECONDS = 2.0
"""Within what time the end of a connection that idled is told: a round trip or two. Whoever ends
it later may have been at work on the request."""


class Transport(httpx2.AsyncBaseTransport):
    """Sends each request on the way that its host wants.

    A server may close a connection that idles while a request is on its way, of which it then has
    read nothing. Such a request is sent again at once, as curl and browsers do it: one on a
    connection that was used before, which has ended soon and without a byte of an answer;
    unless its extension `once` says that it must not be.

    Args:
        network: How the network is reached. What the environment says of proxies is read once.
    """

    def __init__(self, network: Network) -> None:
        """Keep the settings; connections are made for requests."""
        self._network = network
        asks = network.trust_env and network.proxy is None
        self._proxies = urllib.request.getproxies() if asks else {}
        self._ways: dict[str | None, httpx2.AsyncBaseTransport] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request, and return its response once the headers are there.

        Raises:
            ParameterError: The proxy is none.
            MissingExtraError: What the proxy, or `fast`, needs is not installed.
            httpx2.TransportError: There is no connection, or it was lost.
        """
        proxy = self._network.proxy or self._proxy_of(request.url)
        way = self._ways.get(proxy)
        if way is None:
            way = self._ways[proxy] = _way(self._network, proxy)
        opened = request.extensions["opened"] = Opened()
        opened.proxy = "" if proxy is None else _place(proxy)
        began = time.monotonic()
        try:
            return await way.handle_async_request(request)
        except httpx2.ConnectError as error:
            if proxy is None or opened.is_new:
                raise
            raise httpx2.ProxyError(f"no connection to {_place(proxy)}: {error}") from None
        except httpx2.TransportError as error:
            stale = not opened.is_new and time.monotonic() - began < STALE_SECONDS
            once = request.extensions.get("once", False)
            if once or not stale or not Opened.was_lost(error):
                raise
        return await way.handle_async_request(request)

    def _proxy_of(self, url: httpx2.URL) -> str | None:
        """Return the environment's proxy for a URL."""
        proxy = self._proxies.get(url.scheme) or self._proxies.get("all")
        if proxy is None or is_excepted(url.host, url.port, self._proxies):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"

    async def aclose(self) -> None:
        """Close the connections."""
        for way in self._ways.values():
            await way.aclose()


def is_excepted(host: str, port: int | None, proxies: Mapping[str, str]) -> bool:
    """Tell whether the environment excepts a host from its proxies (`NO_PROXY`).

    An entry is a host, which stands for what is below it too, with or without a leading dot; an
    address; a network (`10.0.0.0/8`); `*` for all; or one of the first two with a port.

    Args:
        host: The host.
        port: Its port, where the URL names one.
        proxies: What `urllib.request.getproxies` returns.
    """
    entries = [each.strip().lower() for each in proxies.get("no", "").split(",")]
    return any(_covers(each, host.lower(), port) for each in entries if each) or bool(
        urllib.request.proxy_bypass(host)  # where the system has a list of its own
    )


def _covers(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    try:
        network = ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass
    else:
        return _is_within(host, network)
    named, colon, number = entry.rpartition(":")
    if colon and number.isdecimal():
        return number == str(port) and _covers(named, host, port)
    name = entry.removeprefix("*").removeprefix(".")
    return host == name or host.endswith(f".{name}")


def _is_within(host: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")) in network
    except ValueError:
        return False


def _way(network: Network, proxy: str | None) -> httpx2.AsyncBaseTransport:
    scheme = None if proxy is None else proxy.partition("://")[0].lower()
    try:
        if scheme in {None, "http"} and _is_fast(network):  # httpx2 knows the other proxies better
            return _fast(network, proxy)
        return _Plain(
            verify=tls_context(network),
            proxy=proxy,
            trust_env=network.trust_env,
            limits=httpx2.Limits(
                max_connections=None,
                max_keepalive_connections=100,
                keepalive_expiry=KEEPALIVE_SECONDS,
            ),
        )
    except MissingExtraError:
        raise
    except ImportError as error:
        raise MissingExtraError("socksio", "socks") from error
    except (ValueError, httpx2.InvalidURL):  # they quote it, its password included
        raise ParameterError(
            "the proxy can't be used: it has to be http://, https:// or socks5://, and host:port"
        ) from None


def _is_fast(network: Network) -> bool:
    return importlib.util.find_spec("aiohttp") is not None if network.fast is None else network.fast


def _fast(network: Network, proxy: str | None) -> httpx2.AsyncBaseTransport:
    try:
        from chatwright.wrap.endpoint.fast import FastTransport  # noqa: PLC0415  an extra
    except ImportError as error:
        raise MissingExtraError("aiohttp", "fast") from error
    return FastTransport(tls_context(network), proxy)


def _place(url: str) -> str:
    """Return the host and port of a proxy, without its password."""
    return urlsplit(url).netloc.rpartition("@")[2]


class _Plain(httpx2.AsyncHTTPTransport):
    """httpx2's own transport, which tells of the connections that it makes.

    A response that was there before its request is refused: it is another request's, sent twice.
    httpcore2 hands over what is left of the answer before, where curl and aiohttp hang up.
    """

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        opened: Opened = request.extensions["opened"]

        async def trace(name: str, told: Mapping[str, Any]) -> None:
            await opened.trace(name, told)
            if name.endswith(("connect_tcp.complete", "start_tls.complete")):
                _note_reads(told["return_value"])

        request.extensions["trace"] = trace
        response = await super().handle_async_request(request)
        if getattr(response.extensions.get("network_stream"), "has_read", True):
            return response
        await response.aclose()
        raise httpx2.RemoteProtocolError("a response came before its request: one was sent twice")


def _note_reads(stream: Any) -> None:
    """Have a connection know whether anything was read since a request was written."""
    read, write = stream.read, stream.write

    async def reading(*told: Any, **more: Any) -> bytes:
        stream.has_read = True
        data: bytes = await read(*told, **more)
        return data

    async def writing(*told: Any, **more: Any) -> None:
        stream.has_read = False
        await write(*told, **more)

    stream.read, stream.write = reading, writing
