"""Runs the app on uvicorn: signals, the keys' file, and connections that never finish a request."""

import asyncio
import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from chatwright.run.garbage import rarely_collected

__all__ = ["in_background", "run"]

log = logging.getLogger("chatwright.serve")

_HEAD_SECONDS = 15.0
"""How long a client may take to send a request's head."""
_HEAD_BYTES = 64 * 2**10


class _Bounded(HttpToolsProtocol):
    """Hangs up on heads that come too slowly, or are too long: uvicorn bounds neither."""

    _patience: asyncio.TimerHandle | None = None
    _head = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = 0
        self._wait()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head += len(name) + len(value)
        if self._head > _HEAD_BYTES:
            self.transport.close()
            return
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        super().on_headers_complete()

    def _wait(self) -> None:
        self._stop_waiting()
        self._patience = self.loop.call_later(_HEAD_SECONDS, self._hang_up)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _hang_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.abort()


def _server(app: Any, drain_seconds: float) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        http=_Bounded,
        ws="websockets-sansio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=2048,
        timeout_graceful_shutdown=max(1, round(drain_seconds)),
    )
    return uvicorn.Server(config)


def run(
    app: Any, listener: socket.socket, *, drain_seconds: float, on_hangup: Callable[[], None] | None
) -> None:
    """Answer until SIGTERM or SIGINT; then let answers end for so long.

    Args:
        app: The ASGI app.
        listener: The socket, bound.
        drain_seconds: How long answers may go on after a signal.
        on_hangup: Is called on SIGHUP; None to ignore that.
    """
    server = _server(app, drain_seconds)

    async def serve() -> None:
        if on_hangup is not None and hasattr(signal, "SIGHUP"):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, on_hangup)
        await server.serve([listener])

    loop_factory = server.config.get_loop_factory()
    with rarely_collected(is_ours=True), asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(serve())


@contextlib.contextmanager
def in_background(app: Any, listener: socket.socket) -> Iterator[None]:
    """Answer in a thread as long as the context lasts.

    Args:
        app: The ASGI app.
        listener: The socket, bound.
    """
    server = _server(app, 1)
    thread = threading.Thread(target=server.run, args=([listener],), name="serve", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()
