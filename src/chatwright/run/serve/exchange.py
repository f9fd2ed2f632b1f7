"""One request's way: into the queue, to the model, and back to the client as it comes."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from chatwright.run.serve.admission import Admission
from chatwright.run.serve.failures import REQUEST_ID, Failure, HttpError, failure_of
from chatwright.run.serve.guard import SEND
from chatwright.run.serve.limits import Limits
from chatwright.run.serve.metrics import Timing
from chatwright.wires.framing import json_bytes
from chatwright.wires.wire import Server
from chatwright.wires.writer import Writer

__all__ = ["Exchange", "body_of"]


class Exchange(Response):
    """An answer that is made while it is sent, and ends with its client.

    When the connection is lost, the model's call is cancelled at once: in the queue and before the
    first token, too.

    Args:
        deltas: The answer.
        writer: What writes it.
        server: The server's end of the wire, for errors.
        media_type: What the stream is called.
        admission: Lets it in.
        limits: What the server allows.
        timing: Measures it.
        stream: Whether it goes out in pieces.
        headers: Further headers.
    """

    def __init__(
        self,
        deltas: Callable[[], AsyncGenerator[Any]],
        writer: Writer,
        server: Server,
        *,
        media_type: str,
        admission: Admission,
        limits: Limits,
        timing: Timing,
        stream: bool,
        headers: Mapping[str, str],
    ) -> None:
        """Keep all of it; nothing begins before it is called."""
        self._deltas = deltas
        self._writer = writer
        self._server = server
        self._media_type = media_type
        self._admission = admission
        self._limits = limits
        self._timing = timing
        self._stream = stream
        self._told_too = headers
        self._begun = False
        self._told = False  # whether anything of the answer has gone out
        self._since = 0.0  # when the piece was begun that is being sent; 0 between pieces
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Make the answer, and send it."""
        self._send = send
        self._send_body = scope.get(SEND, send)
        work = asyncio.ensure_future(self._work())
        gone = asyncio.ensure_future(_gone(receive))
        beat = asyncio.ensure_future(self._watch()) if self._stream else None
        try:
            await asyncio.wait(
                {each for each in (work, gone, beat) if each},
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not work.done() or isinstance(work.exception(), _LostClientError):
                self._timing.end("cancelled")
            else:
                work.result()
        finally:
            for task in (work, gone, beat):
                if task:
                    task.cancel()
            await asyncio.wait({each for each in (work, gone, beat) if each})

    async def _work(self) -> None:
        failure: Failure | None = None
        try:
            async with self._admission():
                await (self._streamed() if self._stream else self._whole())
        except _LostClientError:
            raise
        except Exception as error:  # noqa: BLE001  each becomes an answer
            failure = failure_of(error)
        if failure:
            self._timing.end(f"{failure.status}")
            await self._failed(failure)
        else:
            self._timing.end("ok")

    async def _streamed(self) -> None:
        writer, timing = self._writer, self._timing
        async with contextlib.aclosing(self._deltas()) as deltas:
            async for delta in deltas:
                if pieces := writer.feed(delta):
                    if writer.answers(delta):
                        timing.token()
                        self._told = True
                    await self._piece(b"".join(pieces))
        timing.usage = writer.usage
        self._told = True
        await self._piece(b"".join(writer.end()), more=False)

    async def _whole(self) -> None:
        async with contextlib.aclosing(self._deltas()) as deltas:
            async for delta in deltas:
                self._writer.add(delta)
        self._timing.usage = self._writer.usage
        body = json_bytes(self._writer.whole())
        await self._start(200, {"Content-Type": "application/json"}, len(body))
        await self._body(body, more=False)

    async def _piece(self, data: bytes, *, more: bool = True) -> None:
        if not self._begun:
            await self._start(200, self._stream_headers())
        await self._body(data, more=more)

    def _stream_headers(self) -> dict[str, str]:
        return {
            "Content-Type": self._media_type,
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        }

    async def _failed(self, failure: Failure) -> None:
        self._told = True
        if self._begun:
            pieces = self._writer.fail(failure.status, failure.message)
            await self._piece(b"".join(pieces), more=False)
            return
        body = failure.body(self._server, self._told_too.get(REQUEST_ID))
        headers = {"Content-Type": "application/json", **failure.headers()}
        await self._start(failure.status, headers, len(body))
        await self._body(body, more=False)

    async def _start(
        self, status: int, headers: Mapping[str, str], length: int | None = None
    ) -> None:
        self._begun = True
        told = {**headers, **self._told_too}
        if length is not None:
            told["Content-Length"] = str(length)
        raw = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in told.items()]
        message = {"type": "http.response.start", "status": status, "headers": raw}
        await self._sent(message, self._send)

    async def _body(self, data: bytes, *, more: bool) -> None:
        message = {"type": "http.response.body", "body": data, "more_body": more}
        await self._sent(message, self._send_body)

    async def _sent(self, message: Message, send: Send) -> None:
        """Send a message; a lost client is told apart from what a model has lost."""
        self._since = time.monotonic()
        try:
            await send(message)
        except OSError as error:
            raise _LostClientError from error
        self._since = 0.0

    async def _watch(self) -> None:
        """Send heartbeats until the first token; then return once the client reads no more."""
        every = self._limits.heartbeat
        while not self._is_stuck():
            await asyncio.sleep(every)
            if not self._told and not self._since:
                try:
                    async with asyncio.timeout(self._limits.reader_seconds):
                        await self._piece(self._writer.heartbeat())
                except TimeoutError:
                    return

    def _is_stuck(self) -> bool:
        """Tell whether the client reads no more."""
        return bool(self._since) and time.monotonic() - self._since > self._limits.reader_seconds


class _LostClientError(Exception):
    """The client has gone, and the server says so when something is sent."""


async def _gone(receive: Receive) -> None:
    """Wait until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def body_of(request: Request, limits: Limits) -> Any:
    """Return what a request's body holds.

    Raises:
        HttpError: It is too long, comes too slowly, or is no JSON.
    """
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for part in request.stream():
                size += len(part)
                if size > limits.body:
                    raise HttpError(413, f"the body is longer than {limits.body} bytes")
                parts.append(part)
    except TimeoutError:
        raise HttpError(408, f"the body did not come within {limits.body_seconds:g} s") from None
    try:
        return json.loads(b"".join(parts))
    except (ValueError, RecursionError) as error:
        raise HttpError(400, f"the body is no JSON: {str(error)[:200]}") from None
