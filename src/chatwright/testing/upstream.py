"""`Upstream`: a server on loopback that plays scripts over the wires, faults included.

HTTP/1.1 by hand, because a library would not send what is broken.
"""

import asyncio
import contextlib
import itertools
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from chatwright.deltas import Usage
from chatwright.testing.play import (
    Cut,
    Noise,
    Refuse,
    Stall,
    counts_in,
    lines,
    noisy,
    paced,
    pieces,
    server_of,
    spoken,
    whole,
)
from chatwright.wires.asked import Asked
from chatwright.wires.framing import MEDIA_TYPES
from chatwright.wires.wire import Wire

__all__ = ["Received", "Upstream"]


PACKET_SECONDS = 0.001
"""How long a noisy packet is alone on its way."""
CLOSE_SECONDS = 0.2
"""How long a connection may take to close in good order."""


@dataclass
class Received:
    """A request that came.

    Args:
        path: Its target, query included.
        headers: Its headers, names in lower case.
        raw: Its body.
        at: When it had come, by `time.monotonic`.
        wire: The wire that it is of; None for none.
        asked: What it asks, whatever its wire; None where it is of none.
    """

    path: str
    headers: Mapping[str, str]
    raw: bytes
    at: float
    wire: Wire | None = None
    asked: Asked | None = None
    peer: Any = None
    ended: str | None = None
    """How its answer ended: `sent`, or `lost` where the client went away first."""
    ended_at: float = 0.0
    last_at: float = 0.0
    """When its last bytes were about to go out: the next request may come at once."""
    given: Any = None
    """What stands for the body where there was no HTTP."""

    @property
    def body(self) -> Any:
        """The body, as JSON."""
        return json.loads(self.raw) if self.raw else self.given


Script = Iterable[Any] | Callable[[Received], Iterable[Any]]


class Upstream:
    """A server on loopback, in a thread of its own.

    It tells wires by the ends of their paths, and streams where it is asked to. Requests of other
    paths get the script's texts as lines of JSON: `{"text": …}`, then `{"done": true}`.

    Args:
        script: What to answer: deltas (`str`, `Reasoning`, `ToolCallDelta`, `Usage`, `Finish`) and
            `Pause`, `Bytes`, `Cut`, `Stall`, `Refuse`, `Noise`; or a function of a `Received` that
            returns them.
        tls: A server's TLS context. Default: plain HTTP.
        whole: Whether to answer in one piece even where a stream is asked for.

    Example:
        ```python
        with Upstream(["Hel", "lo"]) as upstream:
            ChatEndpoint(base_url=f"{upstream.url}/v1", model="m").invoke("Hi")
            upstream.requests[0].asked.messages
        ```
    """

    def __init__(
        self, script: Script = (), *, tls: ssl.SSLContext | None = None, whole: bool = False
    ) -> None:
        """Prepare; it listens from `start` on."""
        self.script = script
        self.whole = whole
        self.requests: list[Received] = []
        self.connections = 0
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="chatwright-upstream", daemon=True)
        self._ready = threading.Event()
        self._port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Its address, without a path."""
        scheme, host = ("https", "localhost") if self._tls else ("http", "127.0.0.1")
        return f"{scheme}://{host}:{self._port}"

    def start(self) -> Self:
        """Listen."""
        self._thread.start()
        self._ready.wait()
        return self

    def stop(self) -> None:
        """End everything."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def __enter__(self) -> Self:
        """Listen."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """End everything."""
        self.stop()

    def _run(self) -> None:
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls, backlog=2048)
        )
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        if tasks:
            self._loop.run_until_complete(asyncio.wait(tasks))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self.connections += 1
        with contextlib.suppress(
            ConnectionError, asyncio.CancelledError, asyncio.IncompleteReadError, ssl.SSLError
        ):
            while await self._answer(reader, writer):
                pass
        writer.close()
        try:
            await asyncio.wait_for(writer.wait_closed(), CLOSE_SECONDS)
        except (ConnectionError, ssl.SSLError, TimeoutError):  # TLS may wait for the other side
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether the connection goes on."""
        received = await _received(reader)
        received.peer = writer.get_extra_info("peercert")
        self.requests.append(received)
        if found := spoken(received.path.partition("?")[0], _body(received)):
            received.wire, received.asked = found
        script = self.script(received) if callable(self.script) else self.script
        items: Iterator[Any] = iter(script)
        first = next(items, None)
        if isinstance(first, Refuse):
            return await _refuse(writer, received, first)
        lost = asyncio.ensure_future(_gone(reader))
        known = counts_in(script)
        sending = asyncio.ensure_future(self._send(writer, received, first, items, known))
        try:
            await asyncio.wait({lost, sending}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                received.ended, received.ended_at = "lost", time.monotonic()
                return False
            try:
                goes_on = sending.result()
            except ConnectionError:
                received.ended, received.ended_at = "lost", time.monotonic()
                return False
            received.ended, received.ended_at = "sent", received.last_at or time.monotonic()
            return goes_on
        finally:
            lost.cancel()
            sending.cancel()
            await asyncio.wait({sending})

    async def _send(
        self,
        writer: asyncio.StreamWriter,
        received: Received,
        first: Any,
        items: Iterator[Any],
        known: Usage | None,
    ) -> bool:
        rest = items if first is None else itertools.chain([first], items)
        wire, asked = received.wire, received.asked
        if wire and asked and (self.whole or not asked.stream):
            answer = await whole(rest, wire, asked)
            if isinstance(answer, Cut):
                return await _cut(writer, answer)
            if isinstance(answer, Stall):
                await asyncio.Event().wait()
            body = json.dumps(answer, ensure_ascii=False).encode()
            received.last_at = time.monotonic()
            writer.write(_head(200, {"Content-Type": MEDIA_TYPES["json"]}, len(body)) + body)
            await writer.drain()
            return True
        media = wire.media_type if wire else MEDIA_TYPES["ndjson"]
        writer.write(_head(200, {"Content-Type": media}, None))
        played = pieces(rest, wire, asked, known) if wire and asked else lines(rest)
        noise = False
        async for data in paced(played):
            if isinstance(data, Cut):
                return await _cut(writer, data)
            if isinstance(data, Stall):
                await writer.drain()
                await asyncio.Event().wait()
            if isinstance(data, Noise):
                noise = True
                continue
            for packet in noisy(data) if noise else (data,):
                writer.write(b"%x\r\n%b\r\n" % (len(packet), packet))
                await writer.drain()
                if noise:
                    await asyncio.sleep(PACKET_SECONDS)
        received.last_at = time.monotonic()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


async def _gone(reader: asyncio.StreamReader) -> None:
    """Wait until the client goes away; reading would take bytes of its next request."""
    while not (reader.at_eof() or reader.exception()):  # noqa: ASYNC110  it has no event for it
        await asyncio.sleep(0.01)


async def _received(reader: asyncio.StreamReader) -> Received:
    head = await reader.readuntil(b"\r\n\r\n")
    request, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in filter(None, lines):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    raw = await reader.readexactly(int(headers.get("content-length", 0)))
    return Received(request.split(" ")[1], headers, raw, time.monotonic())


def _body(received: Received) -> Any:
    try:
        return received.body
    except ValueError:
        return None


def _head(status: int, headers: Mapping[str, str], length: int | None) -> bytes:
    size = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
    lines = [f"{name}: {value}\r\n" for name, value in {**headers, **size}.items()]
    return f"HTTP/1.1 {status} Said\r\n{''.join(lines)}\r\n".encode("latin-1")


async def _refuse(writer: asyncio.StreamWriter, received: Received, refusal: Refuse) -> bool:
    body = refusal.body
    if body is None:
        fields: Mapping[str, Any] = {"error": refusal.message}
        if received.wire:
            fields = server_of(received.wire).error(refusal.status, refusal.message)
        body = json.dumps(fields).encode()
    headers = {"Content-Type": "application/json", **refusal.headers}
    writer.write(_head(refusal.status, headers, len(body)) + body)
    await writer.drain()
    received.ended, received.ended_at = "sent", time.monotonic()
    return True


async def _cut(writer: asyncio.StreamWriter, cut: Cut) -> bool:
    if cut.politely:
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True
    await writer.drain()
    if cut.reset:
        raw = writer.get_extra_info("socket")
        # SO_LINGER of no time: a close is a reset.
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    return False
