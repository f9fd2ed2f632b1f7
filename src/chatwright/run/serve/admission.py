"""How many answers are made at once, and who waits for that."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from chatwright.run.serve.failures import HttpError

__all__ = ["Admission"]


class Admission:
    """Lets so many requests in, has so many wait, in their order, and refuses the others.

    Args:
        concurrency: How many are let in at once.
        queue: How many may wait.
    """

    def __init__(self, concurrency: int, queue: int) -> None:
        """Begin empty."""
        self.concurrency = concurrency
        self.queue = queue
        self.running = 0
        self.waiting = 0
        self.draining = False
        self._free = asyncio.Semaphore(concurrency)
        self._idle = asyncio.Event()
        self._idle.set()

    @contextlib.asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        """Wait for a turn, and give it back.

        Raises:
            HttpError: Too many wait already (429), or the server is stopping (503).
        """
        if self.draining:
            raise HttpError(503, "the server is stopping; try another one", retry_after=1)
        if self._free.locked() and self.waiting >= self.queue:
            raise HttpError(429, "too many requests wait already; try again later", retry_after=1)
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.running -= 1
            self._free.release()
            if not self.running:
                self._idle.set()

    async def drained(self, seconds: float) -> bool:
        """Let nobody in any more, and wait for those inside; return whether they have ended."""
        self.draining = True
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except TimeoutError:
            return False
        return True
