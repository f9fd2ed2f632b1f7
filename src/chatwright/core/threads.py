"""The threads that sync sources run on when a task reads them: a bounded number of them."""

import contextvars
import os
import threading
from collections import deque
from collections.abc import Callable

__all__ = ["Threads", "threads"]

LIMIT = 128
"""How many threads there are at most, where `CHATWRIGHT_THREADS` does not say otherwise."""

Job = Callable[[], object]

_inside: contextvars.ContextVar[bool] = contextvars.ContextVar("_inside", default=False)
"""Whether a job called this code: it may wait for a job of its own, so that one never queues."""


class Threads:
    """Runs jobs on threads, so many at once; the others wait, first come, first served.

    Args:
        limit: How many run at once.
    """

    def __init__(self, limit: int) -> None:
        """Start with no thread."""
        self.limit = limit
        self.reset()

    def reset(self) -> None:
        """Forget all jobs, as a forked process has to: their threads stayed behind."""
        self._lock = threading.Lock()
        self._busy = 0
        self._queue: deque[Job] = deque()

    @property
    def waiting(self) -> int:
        """How many jobs wait for a thread."""
        return len(self._queue)

    def start(self, job: Job, context: contextvars.Context) -> None:
        """Have `job()` run in `context`; a job that another one starts never waits."""
        nested = _inside.get()
        context.run(_inside.set, True)

        def run() -> None:
            context.run(job)

        if nested:
            self._launch(run)
            return
        with self._lock:
            if self._busy >= self.limit:
                self._queue.append(run)
                return
            self._busy += 1
        try:
            self._launch(lambda: self._work(run))
        except BaseException:
            with self._lock:
                self._busy -= 1
            raise

    def _work(self, job: Job | None) -> None:
        while job is not None:
            job()
            with self._lock:
                job = self._queue.popleft() if self._queue else None
                self._busy -= job is None

    @staticmethod
    def _launch(job: Job) -> None:
        threading.Thread(target=job, name="chatwright-source", daemon=True).start()


threads = Threads(int(os.environ.get("CHATWRIGHT_THREADS") or LIMIT))
"""The process's threads for sync sources."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=threads.reset)
