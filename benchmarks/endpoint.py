"""What a token costs that comes over HTTP; a server process on another core sends it."""

import asyncio
import contextlib
import functools
import gc
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import httpx2
import orjson
import psutil
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from benchmarks.harness import Row, turns
from chatwright import ChatEndpoint

STREAMS = 40
TOKENS = 250
READY = 3000
OPEN = 1000
ROUNDS = 7
LOOP = asyncio.new_event_loop()  # one for all: ChatOpenAI does not survive its loop
BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "stream": True}


def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
    event = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "m",
        "system_fingerprint": "fp",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}],
    }
    return b"data: " + json.dumps(event).encode() + b"\n\n"


TOKEN = chunk({"content": " token"})
END = chunk({}, "stop") + b"data: [DONE]\n\n"


def framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer requests: `/slow` a token per write, `/ready` all in one, `/idle` one and no more."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            kind = b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            writer.write(b"HTTP/1.1 200 OK\r\n" + kind)
            if b"/ready/" in head:
                writer.write(framed(TOKEN) * READY)
            elif b"/idle/" in head:
                writer.write(framed(TOKEN))
                await writer.drain()
                await asyncio.sleep(3600)
            elif b"/one/" in head:
                writer.write(framed(TOKEN))
            else:
                for _ in range(TOKENS):
                    writer.write(framed(TOKEN))
                    await writer.drain()
                    await asyncio.sleep(0)  # the other streams' turn
            writer.write(framed(END) + b"0\r\n\r\n")
            await writer.drain()
    writer.close()


def server(port: Any) -> None:
    async def run() -> None:
        listening = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
        port.value = listening.sockets[0].getsockname()[1]
        await listening.serve_forever()

    asyncio.run(run())


@contextlib.contextmanager
def serving() -> Iterator[str]:
    context = multiprocessing.get_context("spawn")
    port = context.Value("i", 0)
    process = context.Process(target=server, args=(port,), daemon=True)
    process.start()
    while not port.value:
        time.sleep(0.05)
    try:
        yield f"http://127.0.0.1:{port.value}"
    finally:
        process.kill()


def ours(url: str, *, fast: bool = True) -> Any:
    """Make a model whose requests aiohttp carries (extra `fast`), or httpx2."""
    return ChatEndpoint(base_url=url, model="m", api_key="k", fast=fast)


by_httpx2 = functools.partial(ours, fast=False)


def openais(url: str) -> Any:
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(base_url=url, model="m", api_key="k", max_retries=0)


async def drained(model: Any) -> None:
    async for _ in model.astream("hello"):
        pass


class Stock(BaseChatModel):
    """Does nothing but JSON, over raw aiohttp: a client of chat completions can't do less."""

    base_url: str

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError

    async def _astream(self, messages: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.base_url}/chat/completions", json=BODY) as response,
        ):
            async for line in response.content:
                if line.startswith(b"data: ") and line != b"data: [DONE]\n":
                    delta = orjson.loads(line[6:])["choices"][0]["delta"]
                    message = AIMessageChunk(content=delta.get("content") or "")
                    yield ChatGenerationChunk(message=message)

    @property
    def _llm_type(self) -> str:
        return "stock"


def stock(url: str) -> Any:
    return Stock(base_url=url)


async def raw(client: httpx2.AsyncClient, url: str) -> None:
    """Do only the transport and the JSON."""
    async with client.stream("POST", f"{url}/chat/completions", json=BODY) as response:
        rest = b""
        async for data in response.aiter_raw():
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                if line.startswith(b"data: ") and line != b"data: [DONE]":
                    orjson.loads(line[6:])


def cpu(work: Callable[[], Awaitable[Any]], tokens: int) -> Callable[[], float]:
    """Return a function that tells the µs of CPU that a token took."""

    def once() -> float:
        async def timed() -> float:
            started = time.process_time()
            await work()
            return time.process_time() - started

        return LOOP.run_until_complete(timed()) / tokens * 1e6

    return once


def many(make: Callable[[str], Any], url: str) -> Callable[[], float]:
    async def work() -> None:
        model = make(url)
        await asyncio.gather(*[drained(model) for _ in range(STREAMS)])

    return cpu(work, STREAMS * TOKENS)


def many_raw(url: str) -> Callable[[], float]:
    async def work() -> None:
        limits = httpx2.Limits(max_connections=None)
        async with httpx2.AsyncClient(limits=limits) as client:
            await asyncio.gather(*[raw(client, url) for _ in range(STREAMS)])

    return cpu(work, STREAMS * TOKENS)


def ready(make: Callable[[str], Any], url: str) -> Callable[[], float]:
    model = make(url)

    def once() -> float:
        started = time.perf_counter()
        for _ in model.stream("hello"):
            pass
        return (time.perf_counter() - started) / READY * 1e6

    return once


def aready(make: Callable[[str], Any], url: str) -> Callable[[], float]:
    return cpu(lambda: drained(make(url)), READY)


def first_token(url: str) -> Row:
    """What stands between a request and its first token, over raw httpx2, in ms."""

    async def measured() -> tuple[float, float]:
        model = ours(f"{url}/one")
        mine, theirs = [], []
        async with httpx2.AsyncClient() as client:
            for _ in range(60):
                started = time.perf_counter()
                async for _ in model.astream("hello"):
                    mine.append(time.perf_counter() - started)
                    break
                started = time.perf_counter()
                target = f"{url}/one/chat/completions"
                async with client.stream("POST", target, json=BODY) as response:
                    async for data in response.aiter_raw():
                        orjson.loads(data.split(b"\n")[0][6:])
                        theirs.append(time.perf_counter() - started)
                        break
        return statistics.median(mine[5:]) * 1e3, statistics.median(theirs[5:]) * 1e3

    mine, theirs = asyncio.run(measured())
    added = mine - theirs
    work = f"time to first token added over raw httpx2 ({mine:.1f} against {theirs:.1f} ms)"
    return Row(work, added, 2.0, "ms", added / 2.0, ("<=", 1.0), "the bound")


def grown(url: str) -> float:
    """Return the KiB that an open stream holds, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(held, (url,))


def held(url: str) -> float:
    async def run() -> float:
        model = ours(f"{url}/idle")
        opened = asyncio.Semaphore(0)

        async def hold() -> None:
            async for _ in model.astream("hello"):
                opened.release()

        one = asyncio.create_task(hold())
        await opened.acquire()
        gc.collect()
        process = psutil.Process(os.getpid())
        before = process.memory_info().rss
        tasks = [asyncio.create_task(hold()) for _ in range(OPEN)]
        for _ in tasks:
            await opened.acquire()
        gc.collect()
        after = process.memory_info().rss
        for task in (one, *tasks):
            task.cancel()
        await asyncio.gather(one, *tasks, return_exceptions=True)
        return (after - before) / OPEN / 1024

    return asyncio.run(run())


def rows() -> list[Row]:
    found = []
    with serving() as url:
        slow, waiting = f"{url}/slow", f"{url}/ready"
        for make, name in ((ours, "[fast]"), (by_httpx2, "httpx2")):
            work = f"CPU per token, {STREAMS} streams, `ChatEndpoint.astream`, {name}"
            mine, theirs, ratio = turns(many(make, slow), many(openais, slow), ROUNDS)
            found.append(Row(work, mine, theirs, "µs", ratio, ("<=", 0.167), "ChatOpenAI"))
            mine, theirs, ratio = turns(many(make, slow), many(stock, slow), ROUNDS)
            bound = 1.05 if make is ours else 1.6
            peer = "a stock `astream` over raw aiohttp"
            found.append(Row("the same", mine, theirs, "µs", ratio, ("<=", bound), peer))
            mine, theirs, ratio = turns(many(make, slow), many_raw(slow), ROUNDS)
            found.append(Row("the same", mine, theirs, "µs", ratio, ("<=", 1.5), "httpx2 + orjson"))
            for way, measure in (("stream", ready), ("astream", aready)):
                mine, theirs, ratio = turns(
                    measure(make, waiting), measure(openais, waiting), ROUNDS
                )
                work = f"`{way}` where all tokens wait in the socket, per token, {name}"
                found.append(Row(work, mine, theirs, "µs", ratio, ("<=", 0.167), "ChatOpenAI"))
        mine, theirs, ratio = turns(many(ours, slow), many(by_httpx2, slow), ROUNDS)
        work = "CPU per token, [fast] against httpx2"
        found.append(Row(work, mine, theirs, "µs", ratio, ("<=", 0.75), "httpx2"))
        kib = grown(url)
        work = f"memory per open stream ({OPEN:,} open)"
        found.append(Row(work, kib, 100.0, "KiB", kib / 100, ("<=", 1.0), "the bound"))
        found.append(first_token(url))
    return found
