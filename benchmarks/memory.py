"""What an open, idle stream of an async source holds in memory."""

import asyncio
import gc
import statistics

import psutil

from benchmarks.harness import Row
from chatwright import chat_model

STREAMS = 1000
ROUNDS = 3
BOUND = 30.0


@chat_model
async def idle(messages):  # type: ignore[no-untyped-def]
    yield "x"
    await asyncio.sleep(3600)


async def grown() -> float:
    """Open the streams, each with its task, and return the KiB that each one added."""
    process = psutil.Process()
    opened = asyncio.Semaphore(0)

    async def hold() -> None:
        async for _ in idle.astream("hello"):
            opened.release()

    gc.collect()
    before = process.memory_info().rss
    tasks = [asyncio.create_task(hold()) for _ in range(STREAMS)]
    for _ in tasks:
        await opened.acquire()
    gc.collect()
    after = process.memory_info().rss
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return (after - before) / STREAMS / 1024


def rows() -> list[Row]:
    first = asyncio.run(grown())  # later rounds find memory that the first one left behind
    later = [asyncio.run(grown()) for _ in range(ROUNDS)]
    print(f"first round {first:.1f} KiB, later {statistics.median(later):.1f} KiB")
    work = f"memory per open idle stream ({STREAMS:,} open)"
    return [Row(work, first, BOUND, "KiB", first / BOUND, ("<=", 1.0), "the bound")]
