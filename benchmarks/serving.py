"""What a token costs a server that streams it: `chatwright serve` beside a bare ASGI app.

Each server is a process of its own; so is the client, on the other core.
"""

import asyncio
import contextlib
import json
import multiprocessing
import socket
import statistics
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import psutil
import uvicorn

from benchmarks.harness import Row
from chatwright.run.serve.server import run

STREAMS = 100
TOKENS = 200
ROUNDS = 5
TICK = 0.01
BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "stream": True}
WORDS = [f"token{n} " for n in range(TOKENS)]


def event(word: str) -> bytes:
    choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "m",
        "system_fingerprint": "fp",
        "choices": [choice],
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


READY = [event(word) for word in WORDS]


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """Write ready-made events."""
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for each in READY:
        await send({"type": "http.response.body", "body": each, "more_body": True})
        await asyncio.sleep(TICK)
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


def ours() -> Any:
    from chatwright import chat_model, create_app

    @chat_model
    async def scripted(messages: Any) -> Any:
        for word in WORDS:
            yield word
            await asyncio.sleep(TICK)

    from chatwright.run.serve.limits import Limits

    return create_app({"m": scripted}, limits=Limits(concurrency=STREAMS))


def serve(app: Any, listener: socket.socket) -> None:
    if app is ours:
        run(ours(), listener, drain_seconds=1, on_hangup=None)
        return
    config = uvicorn.Config(app, log_level="error", lifespan="off", backlog=2048)
    uvicorn.Server(config).run([listener])


@contextlib.contextmanager
def server(app: Any) -> Iterator[tuple[str, psutil.Process]]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    process = multiprocessing.get_context("fork").Process(target=serve, args=(app, listener))
    process.start()
    try:
        port = listener.getsockname()[1]
        yield f"http://127.0.0.1:{port}/v1/chat/completions", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.join()
        listener.close()


async def ask(client: aiohttp.ClientSession, url: str) -> float:
    """Read a whole stream, and return the seconds until its first byte."""
    started, first = time.perf_counter(), 0.0
    async with client.post(url, json=BODY) as answer:
        async for _ in answer.content.iter_any():
            first = first or time.perf_counter() - started
    return first


async def load(url: str) -> float:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
        return statistics.median(await asyncio.gather(*(ask(client, url) for _ in range(STREAMS))))


def cpu(process: psutil.Process) -> float:
    spent = process.cpu_times()
    return float(spent.user + spent.system)


def per_token(app: Any) -> float:
    """Return the median of the server's CPU seconds per token."""
    with server(app) as (url, process):
        asyncio.run(load(url))
        took = []
        for _ in range(ROUNDS):
            before = cpu(process)
            asyncio.run(load(url))
            took.append((cpu(process) - before) / (STREAMS * TOKENS))
    return statistics.median(took)


def main() -> list[Row]:
    floor = per_token(bare)
    mine = per_token(ours)
    print(f"bare {floor * 1e6:.1f} µs, ours {mine * 1e6:.1f} µs, {mine / floor:.2f} ×")
    return []


if __name__ == "__main__":
    main()
