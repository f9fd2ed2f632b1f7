"""Faults of the section Errors, cancellation, concurrency."""

import asyncio
import queue
import threading

import httpx2
from langchain_core.exceptions import ModelError, ModelInvalidRequestError
from langchain_core.language_models import BaseChatModel
from pydantic import PrivateAttr

from faults.controls import Full
from faults.kit import Streams, fault
from faults.wire import Answer, chunk


@fault("E1")
class RuntimeErrors(Full):
    """Whatever the status, it is a RuntimeError that does not tell it."""

    def refused(self, response):
        return RuntimeError("the request failed")

    def waits(self, error, attempt, *, begun):
        if isinstance(error, RuntimeError):
            raise error
        return super().waits(error, attempt, begun=begun)


@fault("E1", verdict="WARN")
class StatusInWords(RuntimeErrors):
    """Whatever the status, it is a RuntimeError; the message tells it."""

    def refused(self, response):
        return RuntimeError(f"request failed: {response.status_code}")


@fault("E1", verdict="WARN")
class ClientsErrors(Full):
    """The client's own errors come through."""

    def translated(self, error):
        return error


@fault("E1", verdict="WARN")  # it is a ModelError, only not the one that fits
class OverflowIsInvalid(Full):
    """A prompt that is too long is an invalid request as any other."""

    def translated(self, error):
        known = super().translated(error)
        if type(known).__name__ == "ContextOverflowError":
            return ModelInvalidRequestError(str(known))
        return known


@fault("E1", also="A2", verdict="WARN")
class AsyncErrors(Full):
    """In async code the client's own errors come through."""

    async def areceived(self, payload):
        async with (
            self.client(httpx2.AsyncClient) as client,
            client.stream(**self.request(payload)) as response,
        ):
            response.raise_for_status()
            async for data in response.aiter_bytes():
                yield data


@fault("E1", also="E2")
class BrokenOffIsAll(Full):
    """An answer that breaks off is taken for the whole."""

    def received(self, payload):
        try:
            yield from super().received(payload)
        except ModelError as error:
            if "connection" not in str(error):
                raise

    def check_end(self, answer):
        return


@fault("E2", also="P3 S9 C8 E4")
class OneBehind(Full):
    """Text is held back by a piece: an error loses the last one."""

    class reads(Answer):  # noqa: N801
        behind = ""

        def text(self, text):
            if not text:
                return []
            before, self.behind = self.behind, text
            return super().text(before)

        def call(self, index, call):
            before, self.behind = self.behind, ""
            return [*super().text(before), *super().call(index, call)]

        def end(self):
            *others, last = super().end()
            return [*others, *super().text(self.behind), last]


@fault("E2", also="A2 E1")
class SwallowsInTheMiddle(Full):
    """`astream` takes an error in the middle for the end."""

    async def _astream(self, *args, **kwargs):
        begun = False
        try:
            async for each in super()._astream(*args, **kwargs):
                begun = True
                yield each
        except ModelError:
            if not begun:
                raise


@fault("E3")
class EmptyChunkFirst(Full):
    """An empty chunk is sent before the server is asked, so that fallbacks can't step in."""

    def _stream(self, *args, **kwargs):
        yield chunk()
        yield from super()._stream(*args, **kwargs)


@fault("E3", also="A2")
class EmptyAsyncChunkFirst(Full):
    """`astream` sends an empty chunk before the server is asked."""

    async def _astream(self, *args, **kwargs):
        yield chunk()
        async for each in super()._astream(*args, **kwargs):
            yield each


@fault("E4", also="P6")
class ThreadReadsOn(Full):
    """A thread reads the answer into a queue, and goes on when nobody listens any more."""

    def received(self, payload):
        pieces: queue.Queue = queue.Queue()

        def read() -> None:
            try:
                for data in Full.received(self, payload):
                    pieces.put(data)
                pieces.put(None)
            except Exception as error:
                pieces.put(error)

        threading.Thread(target=read, daemon=True).start()
        while (piece := pieces.get()) is not None:
            if isinstance(piece, Exception):
                raise piece
            yield piece


@fault("E4")
class CancelIsAnEnd(Full):
    """A cancelled `astream` ends as if it were whole."""

    async def _astream(self, *args, **kwargs):
        try:
            async for each in super()._astream(*args, **kwargs):
                yield each
        except asyncio.CancelledError:
            yield chunk(chunk_position="last")


@fault("E4")
class CancelIsIgnored(Full):
    """A cancelled `astream` goes on to its end."""

    async def _astream(self, *args, **kwargs):
        pieces = asyncio.Queue()

        async def read():
            async for each in super(CancelIsIgnored, self)._astream(*args, **kwargs):
                await pieces.put(each)
            await pieces.put(None)

        reading = asyncio.ensure_future(read())
        while True:
            try:
                piece = await pieces.get()
            except asyncio.CancelledError:
                continue
            if piece is None:
                break
            yield piece
        await reading


@fault("E4", verdict="WARN")
class RunStaysOpen(Full):
    """A cancelled `ainvoke` leaves its run open, as core does."""

    _agenerate_with_cache = BaseChatModel._agenerate_with_cache


@fault("E4")
class ShieldsItsCall(Full):
    """The request is shielded from the cancel, and goes on."""

    async def _agenerate(self, *args, **kwargs):
        return await asyncio.shield(asyncio.ensure_future(super()._agenerate(*args, **kwargs)))


# Rules that share the model find it busy.
@fault("E4", also="*")
class UsableOnce(Streams):
    """After a stream that was closed early, the model says that it is busy."""

    _busy: set = PrivateAttr(default_factory=set)

    def _stream(self, messages, *args, **kwargs):
        if self._busy:
            raise RuntimeError("busy")
        me = object()
        self._busy.add(me)
        try:
            for each in super()._stream(messages, *args, **kwargs):
                if each.message.chunk_position:
                    self._busy.discard(me)
                yield each
        except Exception:
            self._busy.discard(me)
            raise


@fault("E5", also="A3 B10")
class OneBuffer(Full):
    """The text is gathered in the instance: calls at the same time mix."""

    _text: list = PrivateAttr(default_factory=list)

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        self._text.clear()
        answer = self.answer(stop)
        for each in self.chunks(answer, self.payload(messages, stop, kwargs)):
            self._text.append(each)
        return self.result(answer, [*self._text])

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        self._text.clear()
        answer = self.answer(stop)
        async for each in self.achunks(answer, self.payload(messages, stop, kwargs)):
            self._text.append(each)
        return self.result(answer, [*self._text])


@fault("E5", also="A3 B10")
class OnePrompt(Full):
    """The prompt of the call is kept in the instance, and read when the request is made."""

    _messages: list = PrivateAttr(default_factory=list)

    async def areceived(self, payload):
        self._messages[:] = payload["messages"]
        await asyncio.sleep(0.01)
        async for each in super().areceived({**payload, "messages": [*self._messages]}):
            yield each
