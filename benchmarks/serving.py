"""What `chatwright serve` costs, beside a bare ASGI app, LiteLLM's proxy and the model in process.

Each server is a process of its own; so is the client, on the other core.
"""

import asyncio
import contextlib
import itertools
import json
import multiprocessing
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import uvicorn

from benchmarks.engine import PROMPTS, SYSTEM, TOKENS
from benchmarks.harness import Row, turns
from chatwright import chat_model

STREAMS = 100
WORDS = [f"token{n} " for n in range(200)]
ROUNDS = 5
TICK = 0.01
MANY, SLOW_TICK, SLOW_WORDS = 1000, 1.0, 10
"""How many streams are open together, and what comes of each: a word a second."""
ASKS = 50
PATH = "/v1/chat/completions"
HANDLER = """\
import asyncio
from litellm import CustomLLM

class Scripted(CustomLLM):
    async def astreaming(self, *args, **kwargs):
        for word in {words!r}:
            yield {{"text": word, "is_finished": False, "finish_reason": "", "index": 0,
                   "tool_use": None, "usage": None}}
            await asyncio.sleep({tick})
        yield {{"text": "", "is_finished": True, "finish_reason": "stop", "index": 0,
               "tool_use": None, "usage": None}}

scripted = Scripted()
"""


@chat_model
async def scripted(messages: Any) -> AsyncIterator[str]:
    for word in WORDS:
        yield word
        await asyncio.sleep(TICK)


@chat_model
async def slow(messages: Any) -> AsyncIterator[str]:
    for word in WORDS[:SLOW_WORDS]:
        yield word
        await asyncio.sleep(SLOW_TICK)


def _event(word: str) -> bytes:
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


READY = [_event(word) for word in WORDS]


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


def _serve_bare(listener: socket.socket) -> None:
    config = uvicorn.Config(bare, log_level="error", lifespan="off", backlog=2048)
    uvicorn.Server(config).run([listener])


@contextlib.contextmanager
def bare_server() -> Iterator[tuple[str, psutil.Process]]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    process = multiprocessing.get_context("fork").Process(target=_serve_bare, args=(listener,))
    process.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}{PATH}", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.join()
        listener.close()


@contextlib.contextmanager
def program(*command: str, port: int, **options: Any) -> Iterator[tuple[str, psutil.Process]]:
    """Run a server until the context ends; wait until it listens."""
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
    ) as started:
        try:
            while True:
                if started.poll() is not None:
                    raise RuntimeError(f"{command} ended with {started.returncode}")
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port}{PATH}", psutil.Process(started.pid)
        finally:
            started.terminate()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def ours(model: str, *options: str) -> Any:
    port = _free_port()
    command = ["-m", "chatwright", "serve", f"m={model}", "--port", str(port), *options]
    return program(sys.executable, *command, port=port)


@contextlib.contextmanager
def litellms(executable: str) -> Iterator[tuple[str, psutil.Process]]:
    port, key = _free_port(), f"sk-{secrets.token_hex()}"
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "handler.py").write_text(HANDLER.format(words=WORDS, tick=TICK))
        config = {
            "model_list": [{"model_name": "m", "litellm_params": {"model": "scripted/m"}}],
            "litellm_settings": {
                "custom_provider_map": [
                    {"provider": "scripted", "custom_handler": "handler.scripted"}
                ]
            },
        }
        (Path(home) / "config.json").write_text(json.dumps(config))
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": home,
            "LITELLM_MASTER_KEY": key,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        command = [executable, "--config", "config.json", "--host", "127.0.0.1"]
        made = program(*command, "--port", str(port), port=port, cwd=home, env=environment)
        with made as (url, process):
            HEADERS["Authorization"] = f"Bearer {key}"
            yield url, process


HEADERS: dict[str, str] = {}


def body(prompt: str = "hello") -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": prompt}], "stream": True}


async def _read(client: aiohttp.ClientSession, url: str) -> list[float]:
    """Read a whole stream, and return when its pieces came, in seconds since it was asked for."""
    started, came = time.perf_counter(), []
    async with client.post(url, json=body(), headers=HEADERS) as answer:
        answer.raise_for_status()
        async for _ in answer.content.iter_any():
            came.append(time.perf_counter() - started)  # noqa: PERF401  as they come
    return came


async def _load(url: str, streams: int) -> list[list[float]]:
    limits = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=limits
    ) as client:
        return await asyncio.gather(*(_read(client, url) for _ in range(streams)))


def _cpu(process: psutil.Process) -> float:
    family = [process, *process.children(recursive=True)]
    return sum(each.cpu_times().user + each.cpu_times().system for each in family)


def per_token(url: str, process: psutil.Process) -> Callable[[], float]:
    """Return what measures the server's CPU, in µs per token."""

    def once() -> float:
        before = _cpu(process)
        asyncio.run(_load(url, STREAMS))
        return (_cpu(process) - before) / (STREAMS * len(WORDS)) * 1e6

    return once


def tokens() -> list[Row]:
    work = f"server CPU per streamed token, {STREAMS} streams"
    target = "benchmarks.serving:scripted"
    found = []
    with ours(target, "--concurrency", str(STREAMS)) as mine:
        with bare_server() as peer:
            measured = turns(per_token(*mine), per_token(*peer), ROUNDS)
        found.append(Row(work, *measured[:2], "µs", measured[2], ("<=", 1.6), "a bare ASGI app"))
        if executable := os.environ.get("LITELLM"):
            with litellms(executable) as peer:
                measured = turns(per_token(*mine), per_token(*peer), 3)
            name = "LiteLLM's proxy, a custom handler"
            found.append(Row(work, *measured[:2], "µs", measured[2], ("<=", 0.125), name))
        else:
            print("LITELLM names no program: LiteLLM's proxy is not measured")
    return found


async def _first_tokens(url: str) -> list[float]:
    async with aiohttp.ClientSession() as client:
        took = []
        for _ in range(ASKS):
            started = time.perf_counter()
            async with client.post(url, json=body()) as answer:
                await answer.content.readany()
                took.append(time.perf_counter() - started)
        return took


async def _first_chunks() -> list[float]:
    took = []
    for _ in range(ASKS):
        started = time.perf_counter()
        stream = scripted.astream("hello")
        await anext(stream)
        took.append(time.perf_counter() - started)
        await stream.aclose()
    return took


def first_token() -> Row:
    """Measure what the server adds until the first token, in ms."""
    with ours("benchmarks.serving:scripted") as (url, _):
        over = statistics.median(asyncio.run(_first_tokens(url))) * 1e3
    inside = statistics.median(asyncio.run(_first_chunks())) * 1e3
    added, bound = over - inside, 5.0
    work = "first token, added by the server"
    return Row(work, added, bound, "ms", added / bound, ("<=", 1.0), "the bound")


def many() -> list[Row]:
    """Measure streams that are open together: memory, and how steadily they are served."""
    with ours("benchmarks.serving:slow", "--concurrency", str(MANY)) as (url, process):
        asyncio.run(_load(url, 1))
        before = process.memory_info().rss
        most = 0

        async def watched() -> list[list[float]]:
            nonlocal most
            work = asyncio.ensure_future(_load(url, MANY))
            while not work.done():
                most = max(most, process.memory_info().rss)
                await asyncio.sleep(SLOW_TICK / 2)
            return await work

        came = asyncio.run(watched())
    each = (most - before) / MANY / 1024
    gaps = [b - a for times in came for a, b in itertools.pairwise(times)]
    slowest, usual = max(gaps) * 1e3, statistics.median(gaps) * 1e3
    work = f"{MANY:,} streams open in one process"
    return [
        Row(f"{work}: memory a stream", each, 100, "KiB", each / 100, ("<=", 1.0), "the bound"),
        Row(
            f"{work}: the slowest gap",
            slowest,
            usual,
            "ms",
            slowest / usual,
            ("<=", 20),
            "the median",
        ),
    ]


def start() -> list[Row]:
    """Measure the start to the first answer's first token, and what the server holds then."""
    took, resident = [], []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        with ours("benchmarks.serving:scripted") as (url, process):
            came = asyncio.run(_load(url, 1))
            took.append(time.perf_counter() - started - came[0][-1] + came[0][0])
            resident.append(process.memory_info().rss / 2**20)
    seconds, size = statistics.median(took), statistics.median(resident)
    return [
        Row("start to first token", seconds, 2.0, "s", seconds / 2, ("<=", 1.0), "the bound"),
        Row("resident memory", size, 150, "MiB", size / 150, ("<=", 1.0), "the bound"),
    ]


async def _said(client: aiohttp.ClientSession, url: str, prompt: str) -> int:
    """Have SmolLM2 answer, and return how many tokens that took."""
    talk = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": prompt}]
    more = {"stream_options": {"include_usage": True}, "max_tokens": TOKENS, "temperature": 0}
    spent = 0
    async with client.post(url, json={**body(), **more, "messages": talk}) as answer:
        async for line in answer.content:
            if b'"usage": {' in line:
                spent = json.loads(line[6:])["usage"]["completion_tokens"]
    return spent


def _over_http(url: str) -> Callable[[], float]:
    async def work() -> int:
        async with aiohttp.ClientSession() as client:
            return sum(await asyncio.gather(*(_said(client, url, each) for each in PROMPTS)))

    def once() -> float:
        started = time.perf_counter()
        return asyncio.run(work()) / (time.perf_counter() - started)

    return once


IN_PROCESS = """\
import asyncio, sys, time
from benchmarks.engine import PROMPTS, SYSTEM, TOKENS
from chatwright import load
model = load("smollm2")

async def ask(prompt):
    spent, talk = 0, [("system", SYSTEM), ("human", prompt)]
    async for chunk in model.astream(talk, max_tokens=TOKENS, temperature=0):
        spent = (chunk.usage_metadata or {}).get("output_tokens", spent)
    return spent

async def work():
    return sum(await asyncio.gather(*map(ask, PROMPTS)))

for _ in sys.stdin:
    started = time.perf_counter()
    made = asyncio.run(work())
    print(made / (time.perf_counter() - started), flush=True)
"""


def engine() -> Row:
    """Measure SmolLM2's tokens a second, 8 clients at once, against the model in a process."""
    command = [sys.executable, "-c", IN_PROCESS]
    with (
        ours("smollm2") as (url, _),
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        ) as inside,
    ):

        def peer() -> float:
            assert inside.stdin
            assert inside.stdout
            inside.stdin.write("\n")
            inside.stdin.flush()
            return float(inside.stdout.readline())

        mine, theirs, ratio = turns(_over_http(url), peer, ROUNDS)
        inside.terminate()
    work = f"SmolLM2 through the server, {len(PROMPTS)} clients"
    return Row(work, mine, theirs, "tokens/s", ratio, (">=", 0.95), "the model in process")


def rows() -> list[Row]:
    return [*tokens(), first_token(), *many(), *start(), engine()]
