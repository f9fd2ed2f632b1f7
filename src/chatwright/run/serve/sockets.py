"""Responses over a WebSocket: a request a message, answered one after the other.

https://www.openresponses.org/specification, WebSocket Transport
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import Response
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from chatwright.run.serve.failures import HttpError, failure_of
from chatwright.run.serve.limits import Limits
from chatwright.wires import WIRES
from chatwright.wires.framing import SseDecoder
from chatwright.wires.openai.names import DONE

__all__ = ["Socket"]

_NOT_HERE = ("stream", "stream_options", "background")
"""Fields that a request over HTTP may have, and one over a WebSocket may not."""
_NORMAL, _POLICY, _TRY_AGAIN = 1000, 1008, 1013  # RFC 6455, section 7.4.1, and its registry
_OK = 200
_SERVER = WIRES["responses"].server
_DONE = DONE.encode()
"""What ends a stream over HTTP; a WebSocket goes on."""


class Socket:
    """One WebSocket.

    Args:
        socket: It.
        limits: What the server allows.
        answering: Returns what answers a request, as over HTTP, of its body and of what is to be
            called once the response is whole.
        refusing: Returns what answers one that came to nothing, likewise.
        failed: Is called with the body of a request that has failed.
    """

    def __init__(
        self,
        socket: WebSocket,
        limits: Limits,
        answering: Callable[[Any, Callable[[], None]], Response],
        refusing: Callable[[Exception], Response],
        failed: Callable[[Any], None],
    ) -> None:
        """Keep all of it."""
        self._socket = socket
        self._limits = limits
        self._answering = answering
        self._refusing = refusing
        self._failed = failed
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue()
        self._size = 0  # of those that wait
        self._gone = asyncio.Event()

    async def run(self) -> None:
        """Answer until the client goes, or the time is up."""
        await self._socket.accept()
        reader = asyncio.ensure_future(self._read())
        try:
            with contextlib.suppress(OSError):  # the client has gone
                await self._answer_all()
        finally:
            reader.cancel()
            await asyncio.wait([reader])

    async def _read(self) -> None:
        """Take messages while others are answered, so that a client that goes is seen at once."""
        limits = self._limits
        while (message := await self._socket.receive())["type"] == "websocket.receive":
            text = message.get("text")
            data = message["bytes"] if text is None else text.encode()
            self._size += len(data)
            if self._waiting.qsize() >= limits.socket_queue or self._size > limits.body:
                await self._close(_POLICY, "too much waits on this WebSocket, or is too long")
                break
            self._waiting.put_nowait(data)
        self._gone.set()
        self._waiting.put_nowait(b"")

    async def _answer_all(self) -> None:
        end = time.monotonic() + self._limits.socket_seconds
        while True:
            try:
                async with asyncio.timeout(end - time.monotonic()):
                    data = await self._waiting.get()
            except TimeoutError:
                limit = f"a WebSocket is open for {self._limits.socket_seconds:g} s at most"
                code = "websocket_connection_limit_reached"
                failure = failure_of(HttpError(400, f"{limit}; open a new one", code=code))
                await self._send(_failed(failure.status, failure.body(_SERVER)))
                await self._close(_NORMAL, limit)
                return
            if self._gone.is_set():
                return
            self._size -= len(data)
            await self._turn(data)

    async def _turn(self, data: bytes) -> None:
        turn = _Turn(self._send, self._gone)
        body: Any = None
        whole = False

        def done() -> None:
            nonlocal whole
            whole = True

        try:
            body = self._body(data)
            made = self._answering(body, done)
        except Exception as error:  # noqa: BLE001  each becomes an answer
            made = self._refusing(error)
        await made({**self._socket.scope, "type": "http"}, turn.receive, turn.send)
        if not whole:
            self._failed(body)
        if not turn.ended:
            await self._close(_TRY_AGAIN, "the answer was not read")

    def _body(self, data: bytes) -> dict[str, Any]:
        """Return the body of a request over HTTP that asks for the same.

        Raises:
            HttpError: It is none.
        """
        try:
            body = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise HttpError(400, f"the message is no JSON: {str(error)[:200]}") from None
        if not isinstance(body, dict) or body.pop("type", None) != "response.create":
            raise HttpError(400, "type: a message has to be an object of type response.create")
        for name in _NOT_HERE:
            if name in body:
                raise HttpError(400, f"{name}: a WebSocket's message has no such field", param=name)
        return {**body, "stream": True}

    async def _send(self, event: str) -> None:
        try:
            await self._socket.send_text(event)
        except (RuntimeError, WebSocketDisconnect) as error:
            raise ConnectionError("the WebSocket is closed") from error

    async def _close(self, code: int, reason: str) -> None:
        with contextlib.suppress(OSError, RuntimeError, WebSocketDisconnect):
            await self._socket.close(code, reason)
        self._gone.set()


class _Turn:
    """Takes what an answer sends over HTTP, and sends it over the WebSocket.

    Args:
        send: Sends an event.
        gone: Is set once the client has gone.
    """

    def __init__(self, send: Callable[[str], Awaitable[None]], gone: asyncio.Event) -> None:
        """Start with nothing."""
        self._send = send
        self._gone = gone
        self._status = 0
        self._events = SseDecoder()
        self._body = b""
        self.ended = False

    async def receive(self) -> Message:
        """Return once the client has gone."""
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Send what a message of ASGI's holds."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            return
        data, self.ended = message.get("body", b""), not message.get("more_body", False)
        if self._status == _OK:
            for event in self._events.feed(data):
                if event != _DONE:
                    await self._send(event.decode())
            return
        self._body += data
        if self.ended:
            await self._send(_failed(self._status, self._body))


def _failed(status: int, body: bytes) -> str:
    """Return an error's body over HTTP as an event: its code is a text there."""
    fields = json.loads(body)["error"]
    told = {**fields, "code": str(fields.get("code") or fields["type"])}
    return json.dumps({"type": "error", "status": status, "error": told}, ensure_ascii=False)
