"""Waiting for what must come: as long as a busy machine may need, and no longer than it takes."""

import asyncio
import time

PATIENCE = 60
"""Seconds. Only a test that fails waits so long."""


def soon(condition, seconds=PATIENCE):
    """Wait until the condition holds; return whether it does."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.002)
    return condition()


async def eventually(condition, seconds=PATIENCE):
    """Wait likewise, while the event loop goes on; its threads are left to what is waited for."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        await asyncio.sleep(0.002)
    return condition()
