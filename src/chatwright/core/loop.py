"""One event loop for all async sources that synchronous code reads.

Its readers run it themselves: whichever thread waits for items drives the loop meanwhile, and hands
it over when its items have come. That spares a switch of threads per item, which costs more than a
whole `invoke`. A thread that can't drive it, because an event loop is running in it already (a
notebook's), has a thread of ours drive it from then on.

While nobody waits, the loop stands still, and the sources on it with it: a slow reader stops its
source.
"""

import asyncio
import contextlib
import contextvars
import functools
import os
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from chatwright.core.channel import Channel

__all__ = ["SharedLoop", "running_here", "shared_loop"]

T = TypeVar("T")

SETTLE_SECONDS = 0.25
"""How long a reader that leaves early waits for its source to clean up."""

_serving = threading.local()


class SharedLoop:
    """An event loop that is driven by whoever waits for something on it."""

    def __init__(self) -> None:
        """Make the loop; it does not run yet."""
        self.pid = os.getpid()
        self.blocked = 0
        self._loop = asyncio.new_event_loop()
        self._lock = threading.Lock()
        self._driven = False
        self._waiting: deque[threading.Event] = deque()
        self._thread: threading.Thread | None = None

    def start(self, coroutine: Coroutine[Any, Any, None]) -> Callable[[], None]:
        """Have the coroutine run, in our context variables; return what cancels it."""
        context = contextvars.copy_context()
        tasks: list[asyncio.Task[None]] = []

        def begin() -> None:
            tasks.append(self._loop.create_task(coroutine, context=context))

        def end() -> None:
            for task in tasks:
                task.cancel()

        self._loop.call_soon_threadsafe(begin)
        return lambda: self._call(end)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return what the coroutine returns; it runs in our context variables.

        Raises:
            BaseException: What the coroutine raises.
        """
        if running_here() or not self._becomes_driver(threading.Event(), waits=False):
            channel: Channel[T] = Channel()
            self.start(_deliver(coroutine, channel))
            (result,) = self.take(channel)
            return result
        with self._driving():
            task = self._loop.create_task(coroutine)
            try:
                return self._loop.run_until_complete(task)
            except KeyboardInterrupt:
                task.cancel()
                self._loop.run_until_complete(asyncio.wait([task], timeout=SETTLE_SECONDS))
                raise

    def take(self, channel: Channel[T]) -> list[T]:
        """Do what `channel.take` does, driving the loop meanwhile if nobody else does."""
        if running_here():
            return self._take_from_inside(channel)
        while True:
            turn = threading.Event()
            if self._becomes_driver(turn):
                with self._driving():
                    while channel.await_items(self._stopper):
                        self._loop.run_forever()
                return channel.collect()
            try:
                if not channel.await_items(functools.partial(_same, turn)):
                    return channel.collect()
                turn.wait()  # for items, or for the loop
            finally:
                self._forget(turn)

    def settle(self, channel: Channel[Any]) -> None:
        """Let the channel's source clean up, for a short while, if nobody else drives."""
        if running_here() or not self._becomes_driver(threading.Event(), waits=False):
            return
        with self._driving():
            timer = self._loop.call_later(SETTLE_SECONDS, self._loop.stop)
            if channel.await_items(self._stopper):
                self._loop.run_forever()
            timer.cancel()

    def shut(self) -> None:
        """Close the loop, and end the thread of ours that drives it."""
        if self._thread is None:
            self._loop.close()
        else:
            self._call(self._loop.stop)

    def _take_from_inside(self, channel: Channel[T]) -> list[T]:
        """Wait in a thread in which some event loop is running; it stands still meanwhile."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._drive_for_good, name="chatwright-loop", daemon=True
                )
                self._thread.start()
        standing: SharedLoop | None = getattr(_serving, "loop", None)
        if standing is None:
            return channel.take()
        standing.blocked += 1
        try:
            return channel.take()
        finally:
            standing.blocked -= 1

    def _drive_for_good(self) -> None:
        turn = threading.Event()
        while not self._becomes_driver(turn):
            turn.wait()
            turn = threading.Event()
        with self._driving():
            try:
                self._loop.run_forever()
            finally:
                self._loop.close()

    def _stopper(self) -> "_Stopper":
        return _Stopper(self._loop)

    def _call(self, function: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been shut
            self._loop.call_soon_threadsafe(function)

    # Who drives.

    def _becomes_driver(self, turn: threading.Event, *, waits: bool = True) -> bool:
        with self._lock:
            if not self._driven:
                self._driven = True
                return True
            if waits:
                self._waiting.append(turn)
            return False

    @contextlib.contextmanager
    def _driving(self) -> Iterator[None]:
        _serving.loop = self
        try:
            yield
        finally:
            _serving.loop = None
            with self._lock:
                self._driven = False
                self._wake_next()

    def _forget(self, turn: threading.Event) -> None:
        """Stop waiting for the loop; if it has just been offered, offer it to the next."""
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
            elif not self._driven:
                self._wake_next()

    def _wake_next(self) -> None:
        if self._waiting:
            self._waiting.popleft().set()


async def _deliver(coroutine: Coroutine[Any, Any, T], channel: Channel[T]) -> None:
    try:
        channel.put(await coroutine)
    except BaseException as error:  # noqa: BLE001  it belongs to the reader
        channel.end(error)
    else:
        channel.end()


def _same(event: threading.Event) -> threading.Event:
    return event


class _Stopper:
    """Stops the loop when there are items; set on the loop's own thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def set(self) -> None:
        self._loop.stop()


_shared: SharedLoop | None = None
_shared_lock = threading.Lock()


@contextlib.contextmanager
def shared_loop() -> Iterator[SharedLoop]:
    """Give the process's one loop; or, where that stands still, one for this purpose only."""
    global _shared  # noqa: PLW0603  one per process
    with _shared_lock:
        if _shared is None or _shared.pid != os.getpid():
            _shared = SharedLoop()
        loop = _shared
    if getattr(_serving, "loop", None) is None and not loop.blocked:
        yield loop
        return
    # A source on the loop reads another one synchronously: the loop stands still until that one
    # has ended, so that one can't be on it.
    loop = SharedLoop()
    try:
        yield loop
    finally:
        loop.shut()


def running_here() -> bool:
    """Tell whether an event loop is running in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
