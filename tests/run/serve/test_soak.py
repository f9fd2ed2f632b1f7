"""A mixed load, in which clients vanish, stall and send garbage: nothing grows or is mixed up.

It lasts a minute; `SOAK_SECONDS=600` makes it ten.
"""

import asyncio
import contextlib
import json
import os
import random
import re
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import aiohttp
import pytest

from run.serve.soaked import PIECES
from waiting import soon

pytestmark = pytest.mark.long

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
CLIENTS = 24
HERE = Path(__file__).parents[2]
GROWTH = 24
"""How much more memory the server may hold at the end than after the first third, in MiB."""
ROOM = 4
"""How many more tasks, threads and sockets it may have: those of the look inside itself."""

TEXT = {
    "/v1/chat/completions": lambda d: d["choices"][0]["message"]["content"],
    "/v1/messages": lambda d: "".join(each["text"] for each in d["content"]),
    "/api/chat": lambda d: d["message"]["content"],
    "/v1/responses": lambda d: d["output"][0]["content"][0]["text"],
}


def body(path, nonce, *, stream):
    if path == "/v1/responses":
        return {"model": "m", "input": nonce, "stream": stream, "store": False}
    messages = [{"role": "user", "content": nonce}]
    return {"model": "m", "messages": messages, "stream": stream, "max_tokens": 99}


@pytest.fixture
def server():
    """Return the port of a server that is a process of its own."""
    command = ["-m", "chatwright", "serve", "m=run.serve.soaked:echo", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    with subprocess.Popen(
        [sys.executable, *command], stderr=subprocess.PIPE, env=environment, text=True
    ) as process:
        told = next(filter(None, (re.search(r" at http://\S+:(\d+)", x) for x in process.stderr)))
        with subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL):
            yield int(told[1])
            assert process.poll() is None
            process.terminate()


class Load:
    """Clients of every kind, until the time is over."""

    def __init__(self, port, http, until):
        self.port, self.http, self.until = port, http, until
        self.answered, self.mixed_up = dict.fromkeys(TEXT, 0), []
        self.asked = set()

    async def work(self, seed):
        dice = random.Random(seed)
        acts = [self.ask, self.ask, self.ask, self.vanish, self.stall, self.deafen, self.babble]
        while time.monotonic() < self.until:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await dice.choice(acts)(dice)

    async def ask(self, dice):
        """Ask for a whole answer, or a stream, and hold it against the nonce."""
        path, nonce = dice.choice([*TEXT]), uuid.uuid4().hex
        self.asked.add(nonce)
        url = f"http://127.0.0.1:{self.port}{path}"
        stream = dice.random() < 0.5
        async with self.http.post(url, json=body(path, nonce, stream=stream)) as answer:
            assert answer.status == 200, await answer.text()
            read = await answer.text()
        said = read if stream else TEXT[path](json.loads(read))
        others = {*re.findall(r"[0-9a-f]{32}", said)} & self.asked - {nonce}
        if said.count(nonce) < PIECES or others:
            self.mixed_up.append((path, nonce, said[:200]))
        self.answered[path] += 1

    async def opened(self, dice, *, stream=True):
        path = dice.choice([*TEXT])
        data = json.dumps(body(path, uuid.uuid4().hex * 20, stream=stream)).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        return reader, writer, head.encode(), data

    async def vanish(self, dice):
        """Go away in the middle of an answer, or before it."""
        reader, writer, head, data = await self.opened(dice, stream=dice.random() < 0.7)
        writer.write(head + data)
        if dice.random() < 0.7:
            await asyncio.wait_for(reader.read(100), 30)
        writer.transport.abort()

    async def stall(self, dice):
        """Send half a request, wait, and go."""
        _, writer, head, data = await self.opened(dice)
        writer.write((head + data)[: dice.randrange(1, len(head) + len(data))])
        await asyncio.sleep(dice.random())
        writer.transport.abort()

    async def deafen(self, dice):
        """Ask, and read nothing for a while."""
        _, writer, head, data = await self.opened(dice)
        writer.transport.pause_reading()
        writer.write(head + data)
        await asyncio.sleep(dice.random())
        writer.transport.abort()

    async def babble(self, dice):
        """Send what is no request, or no JSON."""
        reader, writer, head, data = await self.opened(dice)
        wrong = [dice.randbytes(200), head + dice.randbytes(len(data)), b"GET /" + b"x" * 70_000]
        writer.write(dice.choice(wrong))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reader.read(100), 1)
        writer.transport.abort()


async def look(http, port):
    """Return how much the server holds, once it is at rest."""
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    async with http.post(url, json=body("/v1/chat/completions", "inside", stream=False)) as answer:
        return json.loads((await answer.json())["choices"][0]["message"]["content"])


async def soaked(port, seconds):
    """Load the server for so long, and return the load and what it holds then."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as http:
        load = Load(port, http, time.monotonic() + seconds)
        await asyncio.gather(*(load.work(seed) for seed in range(CLIENTS)))
        return load


async def at_rest(port):
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http:
        return await look(http, port)


@pytest.mark.timeout(SECONDS * 2 + 120)
def test_a_mixed_load_leaves_nothing_behind(server):
    with socket.create_connection(("127.0.0.1", server)):
        pass
    fresh = asyncio.run(at_rest(server))
    asyncio.run(soaked(server, SECONDS / 3))
    warm = asyncio.run(at_rest(server))
    load = asyncio.run(soaked(server, SECONDS * 2 / 3))
    assert load.mixed_up == []
    assert all(load.answered.values()), load.answered
    ends: list[dict[str, float]] = []

    def is_flat():
        ends.append(asyncio.run(at_rest(server)))
        return all(ends[-1][each] <= fresh[each] + ROOM for each in ("tasks", "threads", "sockets"))

    assert soon(is_flat), (fresh, ends[-1])
    assert ends[-1]["memory"] <= warm["memory"] + GROWTH, (fresh, warm, ends[-1])
    print(f"{sum(load.answered.values())} answers; {fresh}, {warm}, {ends[-1]}")
