"""One HTTP client per event loop and way to the network, closed with the loop."""

import asyncio
import functools
import threading
import weakref
from collections.abc import AsyncGenerator, Callable
from typing import Any

from chatwright.errors import ParameterError
from chatwright.wrap.endpoint.http import Client, Network
from chatwright.wrap.endpoint.transport import Transport

__all__ = ["client"]


def _made(network: Network) -> Client:
    return Client(transport=Transport(network))


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
        ParameterError: A client of another loop.
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
