"""Streams that live on when their client is lost, and are taken up again by `Last-Event-ID`.

Each event of a stream has an `id:`, `STREAM:NUMBER`, and the answer's `Content-Location` is the
stream's own path. Whoever has lost the connection asks again, within some seconds, with the header
`Last-Event-ID` (WHATWG HTML, section 9.2.4): by GET at that path, or by the same POST. What came
after that event is sent again, and then what comes. A GET without the header gets all of it.

What is kept is in memory, and bounded: in number, bytes and age (`Limits`). What has ended gives
way first; where that is not enough, a stream ends with its client, as it does without all this, and
the log says so. A stream is its key's own: to others there is none of its name. One client follows
it at a time, the last that came: the server may not know yet that the other one is lost.
"""

import asyncio
import logging
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatwright.run.serve.failures import Failure
from chatwright.run.serve.guard import CLIENT, SEND
from chatwright.run.serve.limits import Limits

__all__ = ["Resuming"]

log = logging.getLogger("chatwright.serve")

_PATH = "/v1/streams/"
_EVENT_END = b"\n\n"


class _Stream:
    """An answer that is made whether or not anybody follows it.

    Args:
        owner: The name of the key's owner; None where no keys are asked for.
    """

    def __init__(self, owner: str | None) -> None:
        self.owner = owner
        self.name = uuid.uuid4().hex
        self.start: Message | None = None
        self.pieces: list[bytes] = []  # those that are kept
        self.base = 0  # how many came before those
        self.size = 0
        self.ended = False
        self.numbered = False  # whether its events have ids
        self.kept = False  # whether it can be taken up again
        self.cursor = 0  # how many pieces its follower has got
        self.asked = asyncio.Event()  # is set once the request's body is read
        self.gone = asyncio.Event()  # is set to cancel it
        self.follower: object | None = None
        self.left = 0  # how often a follower has left
        self.task: asyncio.Future[None] | None = None
        self._changed = asyncio.Event()
        self._part = b""

    @property
    def end(self) -> int:
        """How many pieces have come."""
        return self.base + len(self.pieces)

    def changed(self) -> None:
        """Wake those that wait for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self) -> None:
        """Wait for one."""
        await self._changed.wait()

    def events(self, data: bytes, *, last: bool) -> Iterator[bytes]:
        """Yield the events in the bytes of a stream, each with its id; comments have none."""
        *events, self._part = (self._part + data).split(_EVENT_END)
        if last and self._part:
            events.append(self._part)
        for number, event in enumerate(events, self.end):
            head = b"" if event.startswith(b":") else f"id: {self.name}:{number}\n".encode()
            yield head + event + _EVENT_END

    def shorten(self, cursor: int) -> None:
        """Let go of what has been sent, where nobody can ask for it again."""
        if not self.kept:
            del self.pieces[: cursor - self.base]
            self.base = cursor


class Resuming:
    """Keeps streams of what stands behind it, and lets clients take them up again.

    Args:
        app: What stands behind it.
        limits: What the server allows.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        """Begin with none."""
        self._app = app
        self._limits = limits
        self._streams: OrderedDict[str, _Stream] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        last = Headers(scope=scope).get("last-event-id")
        if last or scope["path"].startswith(_PATH):
            await self._resumed(last, scope, receive, send)
        elif scope["method"] == "POST":
            await self._begun(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _resumed(self, last: str | None, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        named = path.removeprefix(_PATH) if path.startswith(_PATH) else ""
        name, _, number = (last or "").rpartition(":")
        stream = self._streams.get(named or name)
        is_told = not last or (number.isdecimal() and name == (named or name))
        cursor = int(number) + 1 if last and is_told else 0
        if stream is None or stream.owner != _owner(scope) or not is_told or cursor > stream.end:
            what = f"there is no stream to take up at {path} after {last!r}: it is kept no longer"
            body = Failure(404, f"{what}, or was another's; ask anew without Last-Event-ID").body(
                None
            )
            await Response(body, 404, media_type="application/json")(scope, receive, send)
            return
        stream.asked.set()
        await self._follow(stream, cursor, receive, send)

    async def _begun(self, scope: Scope, receive: Receive, send: Send) -> None:
        stream = _Stream(_owner(scope))

        async def asked() -> Message:
            if stream.asked.is_set():
                await stream.gone.wait()
                return {"type": "http.disconnect"}
            message = await receive()
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                stream.asked.set()
            return message

        async def take(message: Message) -> None:
            await self._take(stream, message)

        async def work() -> None:
            try:
                await self._app({**scope, SEND: take}, asked, take)
            finally:
                stream.ended = True
                stream.changed()
                if stream.kept:
                    self._later(lambda: self._drop(stream))

        stream.task = task = asyncio.ensure_future(work())
        await self._follow(stream, 0, receive, send)
        if task.done() or stream.gone.is_set():
            await task

    async def _take(self, stream: _Stream, message: Message) -> None:
        """Take a message of an answer, and wait until whoever follows has it."""
        if message["type"] == "http.response.start":
            self._keep(stream, message)
            stream.start = message
        else:
            data, last = message.get("body", b""), not message.get("more_body", False)
            pieces = [*stream.events(data, last=last)] if stream.numbered else [data]
            stream.pieces += pieces
            stream.size += sum(map(len, pieces))
            stream.ended = last
            self._trim()
        stream.changed()
        while stream.follower is not None and stream.cursor < stream.end:
            await stream.change()

    def _keep(self, stream: _Stream, start: Message) -> None:
        """Keep a stream of events from its start on."""
        told = MutableHeaders(raw=start["headers"])
        if not told.get("content-type", "").startswith("text/event-stream"):
            return
        told["Content-Location"] = f"{_PATH}{stream.name}"
        stream.numbered = stream.kept = True
        self._streams[stream.name] = stream
        self._trim()

    def _trim(self) -> None:
        """Let go of streams that are too many or too large: those that have ended first."""
        limits, known = self._limits, self._streams
        while known:
            too_large = sum(each.size for each in known.values()) > limits.resume_bytes
            if not too_large and len(known) <= limits.resume_streams:
                return
            stream = next((each for each in known.values() if each.ended), None)
            if stream is None:
                newest = next(reversed(known.values()))
                stream = max(known.values(), key=lambda each: each.size) if too_large else newest
                log.warning("a stream can't be taken up again: what is kept is at its limit")
            self._drop(stream)

    def _drop(self, stream: _Stream) -> None:
        """Keep a stream no longer; it ends where nobody follows it."""
        self._streams.pop(stream.name, None)
        stream.kept = False
        if stream.follower is None:
            stream.gone.set()
            stream.pieces.clear()
        else:
            stream.shorten(stream.cursor)

    def _later(self, do: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(self._limits.resume_seconds, do)

    async def _follow(self, stream: _Stream, cursor: int, receive: Receive, send: Send) -> None:
        """Send what comes after so many pieces, until all is sent or the client is lost."""
        stream.follower = me = object()
        stream.cursor = cursor
        stream.changed()
        sending = asyncio.ensure_future(_send(stream, me, send))
        leaving = asyncio.ensure_future(_left(stream, receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        except OSError:
            pass  # the client is lost
        finally:
            for each in (sending, leaving):
                each.cancel()
            await asyncio.wait({sending, leaving})
            if stream.follower is me:
                self._leave(stream)

    def _leave(self, stream: _Stream) -> None:
        stream.follower = None
        stream.changed()
        if not stream.kept:
            stream.gone.set()
        elif not stream.ended:

            def end() -> None:
                if stream.follower is None and stream.left == left:
                    self._drop(stream)

            stream.left = left = stream.left + 1
            self._later(end)


def _owner(scope: Scope) -> str | None:
    client = scope.get(CLIENT)
    return None if client is None else client.name


async def _send(stream: _Stream, me: object, send: Send) -> None:
    """Send a stream as long as nobody else follows it."""
    while stream.start is None and not stream.ended:
        await stream.change()
    if stream.start is None:
        return
    await send(stream.start)
    while stream.follower is me:
        if stream.cursor < stream.end:
            piece = stream.pieces[stream.cursor - stream.base]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            stream.cursor += 1
            stream.shorten(stream.cursor)
            stream.changed()
        elif stream.ended:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        else:
            await stream.change()
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _left(stream: _Stream, receive: Receive) -> None:
    """Wait until the client is lost; until the request is read, what answers it sees to that."""
    await stream.asked.wait()
    while (await receive())["type"] != "http.disconnect":
        pass
