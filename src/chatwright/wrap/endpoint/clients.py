"""One HTTP client per event loop and way to the network, closed with the loop."""

import asyncio
import functools
import importlib.util
import threading
import urllib.request
import weakref
from collections.abc import AsyncGenerator, Callable
from typing import Any

from chatwright.errors import MissingExtraError, ParameterError
from chatwright.wrap.endpoint.http import KEEPALIVE_SECONDS, Client, Network, httpx2, tls_context

__all__ = ["client"]


def _made(network: Network) -> Client:
    try:
        proxy = None if network.proxy is None else httpx2.Proxy(network.proxy)
        socks = proxy is not None and proxy.url.scheme.startswith("socks")  # httpx2 alone has it
        if not socks and _is_fast(network):
            return Client(transport=_fast(network))
        return Client(
            verify=tls_context(network),
            proxy=proxy,
            trust_env=network.trust_env,
            limits=httpx2.Limits(
                max_connections=None,
                max_keepalive_connections=100,
                keepalive_expiry=KEEPALIVE_SECONDS,
            ),
        )
    except ImportError as error:
        raise MissingExtraError("socksio", "socks") from error
    except (ValueError, httpx2.InvalidURL):  # they quote it, its password included
        raise ParameterError(
            "the proxy can't be used: it has to be http://, https:// or socks5://, and host:port"
        ) from None


def _is_fast(network: Network) -> bool:
    """Tell whether aiohttp does it; of proxies in the environment it knows but one kind."""
    if network.trust_env and network.proxy is None:
        proxies = urllib.request.getproxies()
        if "all" in proxies or any(
            not url.startswith("http://") for name, url in proxies.items() if name != "no"
        ):
            return False
    return importlib.util.find_spec("aiohttp") is not None if network.fast is None else network.fast


def _fast(network: Network) -> httpx2.AsyncBaseTransport:
    try:
        from chatwright.wrap.endpoint.fast import FastTransport  # noqa: PLC0415  an extra
    except ImportError as error:
        raise MissingExtraError("aiohttp", "fast") from error
    return FastTransport(network)


class _Clients:
    """One client per event loop and key, closed with the loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[Any, dict[Any, tuple[Client, AsyncGenerator[Client]]]] = {}

    async def get(self, key: Any, make: Callable[[], Client]) -> Client:
        """Return the running loop's client for the key."""
        loop = asyncio.get_running_loop()
        found = self._held.get(loop, {}).get(key)
        if found is not None and not found[0].is_closed:
            return found[0]
        # A loop closes its async generators before it ends itself; so this one closes the client.
        holder = self._hold(loop, make())
        made = await anext(holder)
        with self._lock:
            for ended in [each for each in self._held if each.is_closed()]:
                del self._held[ended]
            self._held.setdefault(loop, {})[key] = made, holder
        return made

    async def _hold(self, loop: asyncio.AbstractEventLoop, made: Client) -> AsyncGenerator[Client]:
        try:
            yield made
        finally:
            with self._lock:
                held = self._held.get(loop, {})
                for key in [key for key, (kept, _) in held.items() if kept is made]:
                    del held[key]
            await made.aclose()


_clients = _Clients()


async def client(network: Network, own: Client | Callable[[], Client] | None = None) -> Client:
    """Return the running loop's client.

    Args:
        network: How the network is reached.
        own: The user's own client; or a function that makes one, which is called once per loop.

    Raises:
        ParameterError: A file, or a proxy, that can't be used; or a client of another loop.
    """
    if own is None:
        return await _clients.get(network, functools.partial(_made, network))
    if isinstance(own, Client):
        return _of_this_loop(own)
    return await _clients.get(own, own)


_owners: weakref.WeakKeyDictionary[Client, Any] = weakref.WeakKeyDictionary()


def _of_this_loop(own: Client) -> Client:
    loop = asyncio.get_running_loop()
    owner = _owners.setdefault(own, weakref.ref(loop))()
    if owner is not loop:
        raise ParameterError(
            "the client given as http_client belongs to another event loop; give a function that "
            "makes one, which is called once per loop (code without async has a loop of its own)"
        )
    return own
