"""Faults of the section Async."""

import asyncio
import functools
import time
import weakref

import httpx2

from faults.controls import TLS, Full
from faults.kit import fault


@fault("A1", also="A3 E4")  # who blocks the loop can't overlap and can't be cancelled
class BlockingInvoke(Full):
    """`_agenerate` calls the blocking client."""

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        return self._generate(messages, stop, None, **kwargs)


@fault("A1", also="S9 A3 P3 P6 C8 E4")
class BlockingStream(Full):
    """`_astream` iterates over the blocking client."""

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        for each in self._stream(messages, stop, None, **kwargs):
            yield each


@fault("A1", also="A3")
class SleepsInAsync(Full):
    """`time.sleep` in async code."""

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        time.sleep(0.3)
        return await super()._agenerate(messages, stop, None, **kwargs)


@fault("A1", also="A3 E4")
class ThreadPerChunk(Full):
    """`_astream` is written, but fetches each piece in a thread: there are only so many."""

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        chunks = self._stream(messages, stop, None, **kwargs)
        end = object()
        while (each := await asyncio.to_thread(next, chunks, end)) is not end:
            yield each


# One thread per answer is what a sync source needs; but there are only so many threads.
@fault("A3", also="A1 E4", verdict="WARN")
class ThreadPerCall(Full):
    """`_agenerate` is written, but hands the call to one of a few threads."""

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        return await asyncio.to_thread(self._generate, messages, stop, None, **kwargs)


@fault("A2", also="T11")
class AsyncTidiesUp(Full):
    """`_agenerate` has drifted: it makes one space of many."""

    async def _agenerate(self, *args, **kwargs):
        result = await super()._agenerate(*args, **kwargs)
        message = result.generations[0].message
        message.content = " ".join(message.content.split())
        return result


# What is held back when it is cut, or breaks off, is lost.
@fault("S2", also="A2 C7 T7 E2")
class AsyncForgetsTheRest(Full):
    """`astream` loses the last piece of text where the answer was cut by length."""

    async def _astream(self, *args, **kwargs):
        held = None
        async for each in super()._astream(*args, **kwargs):
            metadata = each.message.response_metadata
            if held is not None and metadata.get("finish_reason") != "length":
                yield held
            held = each
        if held is not None:
            yield held


_LOCKS: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


@fault("A3")
class OneAtATime(Full):
    """A lock lets one `ainvoke` in at a time."""

    async def _agenerate(self, *args, **kwargs):
        loop = asyncio.get_running_loop()
        async with _LOCKS.setdefault(loop, asyncio.Lock()):
            return await super()._agenerate(*args, **kwargs)


@fault("A4", also="C7 C8 C11 P6 U6 R7")  # whatever looks at v3
class NoAsyncV3(Full):
    """The native hook of v3 is sync only, and its async twin is a stub."""

    async def _astream_chat_model_events(self, *args, **kwargs):
        raise NotImplementedError
        yield


@functools.lru_cache
def shared_client(address: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(verify=TLS, trust_env=False)


class Lent:
    """A client that is not closed after its call."""

    def __init__(self, client) -> None:
        self.client = client

    async def __aenter__(self):
        return self.client

    async def __aexit__(self, *_):
        return None


@fault("A5")
class OneClientForAllLoops(Full):
    """One async client is kept, and it belongs to the first event loop."""

    def client(self, kind):
        if kind is httpx2.AsyncClient:
            return Lent(shared_client(self.base_url))
        return super().client(kind)


_FIRST: dict[str, asyncio.AbstractEventLoop] = {}


@fault("A5")
class LockOfTheFirstLoop(Full):
    """The first event loop is kept, and another one is refused."""

    async def areceived(self, payload):
        loop = asyncio.get_running_loop()
        if _FIRST.setdefault(self.base_url, loop) is not loop:
            raise RuntimeError("is bound to a different event loop")
        async for each in super().areceived(payload):
            yield each


@fault("A5")
class OwnLoopForSync(Full):
    """`_generate` runs the async method in a loop that it starts: a running loop forbids that."""

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        return asyncio.run(self._agenerate(messages, stop, None, **kwargs))
