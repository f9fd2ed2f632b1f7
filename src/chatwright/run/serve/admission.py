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
        self._free = asyncio.Semaphore(concurrency)

    @contextlib.asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        """Wait for a turn, and give it back.

        Raises:
            HttpError: Too many wait already (429).
        """
        if self._free.locked() and self.waiting >= self.queue:
            raise HttpError(429, "too many requests wait already; try again later", retry_after=1)
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            self._free.release()
