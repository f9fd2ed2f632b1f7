"""Taking the network away from code for a moment."""

import contextlib
import socket
import threading
from collections.abc import Collection, Iterator
from typing import Any, NoReturn
from unittest import mock

__all__ = ["Offline", "offline"]


class Offline(OSError):  # noqa: N818  what sockets raise
    """Something asked for the network while there was none."""


@contextlib.contextmanager
def offline(ports: Collection[int | None] = ()) -> Iterator[list[str]]:
    """Have this thread, and threads that it starts, fail to connect; others go on as they were.

    Loopback stays: engines of one's own may listen there. What speaks to the network without
    Python's `socket` is not stopped.

    Args:
        ports: Ports of loopback that are the network nevertheless: those of fake servers.

    Yields:
        The addresses that were asked for.
    """
    others = {each.ident for each in threading.enumerate()} - {threading.get_ident()}
    asked: list[str] = []

    def guarded(real: Any) -> Any:
        def connect(*args: Any, **kwargs: Any) -> Any:
            place = args[1] if args and isinstance(args[0], socket.socket) else args[:2]
            if threading.get_ident() in others or _is_near(place, ports):
                return real(*args, **kwargs)
            return refuse(place or kwargs)

        return connect

    def refuse(address: Any) -> NoReturn:
        asked.append(str(address))
        raise Offline(f"there is no network here; {address!r} was asked for")

    with (
        mock.patch.object(socket.socket, "connect", guarded(socket.socket.connect)),
        mock.patch.object(socket.socket, "connect_ex", guarded(socket.socket.connect_ex)),
        mock.patch.object(socket, "getaddrinfo", guarded(socket.getaddrinfo)),
    ):
        yield asked


def _is_near(place: Any, ports: Collection[int | None]) -> bool:
    """Tell whether an address is on this machine, and no fake server's."""
    if not isinstance(place, tuple):
        return True  # a socket of the file system's
    host, port, *_ = (*place, None, None)
    name = host.decode() if isinstance(host, bytes) else str(host)
    near = name in {"localhost", "::1", "None", ""} or name.startswith("127.")
    return near and str(port) not in {str(each) for each in ports}
