"""One event loop for all async sources that synchronous code reads.

A coroutine that synchronous code waits for is run by the waiting thread itself, as long as nobody
else runs the loop: a switch of threads costs more than a whole `invoke`. The first stream, and the
first caller inside a running loop (a notebook's), have a thread of ours run the loop for good, so
that sources go on, and their time limits stay true, while a reader takes its time.
"""

import asyncio
import contextlib
import contextvars
import functools
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from chatwright.core.channel import Channel

__all__ = ["SharedLoop", "shared_loop"]

T = TypeVar("T")

SETTLE_SECONDS = 1.0
"""How long a source may take to clean up after an interrupt, or on a loop that is shut."""

_inside: contextvars.ContextVar[bool] = contextvars.ContextVar("_inside", default=False)
"""Whether a source on a loop of ours called this code: that loop may stand still for it."""


class SharedLoop:
    """An event loop that is run by whoever waits for a coroutine on it, or by a thread of ours."""

    def __init__(self) -> None:
        """Make the loop; it does not run yet."""
        self.pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._running = threading.Lock()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._shut = False

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return what the coroutine returns; it runs in our context variables.

        Raises:
            BaseException: What the coroutine raises.
        """
        if not _loop_runs_here() and self._running.acquire(blocking=False):
            try:
                return self._run_here(coroutine)
            finally:
                self._running.release()
        channel: Channel[T] = Channel()
        cancel = self.start(_deliver(coroutine, channel))
        try:
            (result,) = channel.take()
        except BaseException:
            cancel()
            raise
        return result

    def start(self, coroutine: Coroutine[Any, Any, None]) -> Callable[..., None]:
        """Have the coroutine run, in our context variables.

        Returns:
            A function that cancels it and then, in the same step of the loop, calls its argument.
        """
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run_for_good, name="chatwright-loop", daemon=True
                )
                self._thread.start()
        context = _marked_context()
        tasks: list[asyncio.Task[None]] = []

        def begin() -> None:
            tasks.append(self._loop.create_task(coroutine, context=context))

        def end(then: Callable[[], object]) -> None:
            for task in tasks:
                task.cancel()
            then()

        self._loop.call_soon_threadsafe(begin)
        return lambda then=_nothing: self._call(functools.partial(end, then))

    def shut(self) -> None:
        """Close the loop, after what is left on it has had a short while to clean up."""
        with self._starting:
            self._shut = True
            if self._thread is None:
                self._loop.close()
            else:
                self._call(self._loop.stop)

    def _run_here(self, coroutine: Coroutine[Any, Any, T]) -> T:
        task = self._loop.create_task(coroutine, context=_marked_context())
        try:
            # A stopped loop runs for one turn. That is enough for a coroutine that waits for
            # nothing, at half of what it takes to run it until it is complete.
            self._loop.stop()
            self._loop.run_forever()
            return task.result() if task.done() else self._loop.run_until_complete(task)
        except KeyboardInterrupt:
            task.cancel()
            self._loop.stop()  # where it was stopped and has not run yet, that is over now
            self._loop.run_forever()
            self._loop.run_until_complete(asyncio.wait([task], timeout=SETTLE_SECONDS))
            raise

    def _run_for_good(self) -> None:
        with self._running:
            while not self._shut:
                self._loop.run_forever()
            if left := asyncio.all_tasks(self._loop):
                self._loop.run_until_complete(asyncio.wait(left, timeout=SETTLE_SECONDS))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    def _call(self, function: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been shut
            self._loop.call_soon_threadsafe(function)


def _nothing() -> None:
    pass


async def _deliver(coroutine: Coroutine[Any, Any, T], channel: Channel[T]) -> None:
    try:
        channel.put(await coroutine)
    except BaseException as error:  # noqa: BLE001  it belongs to the reader
        channel.end(error)
    else:
        channel.end()


def _marked_context() -> contextvars.Context:
    context = contextvars.copy_context()
    context.run(_inside.set, True)
    return context


def _loop_runs_here() -> bool:
    return asyncio._get_running_loop() is not None  # noqa: SLF001  in asyncio's __all__; raises nothing


_shared: SharedLoop | None = None
_shared_lock = threading.Lock()


@contextlib.contextmanager
def shared_loop() -> Iterator[SharedLoop]:
    """Give the process's one loop; or, to a source on a loop of ours, one for this purpose only.

    A source that reads another one synchronously, itself or by threads that it waits for, makes
    its loop stand still; so the other one can't be on that loop.
    """
    global _shared  # noqa: PLW0603  one per process
    if _inside.get():
        loop = SharedLoop()
        try:
            yield loop
        finally:
            loop.shut()
        return
    with _shared_lock:
        if _shared is None or _shared.pid != os.getpid():
            _shared = SharedLoop()
        loop = _shared
    yield loop
