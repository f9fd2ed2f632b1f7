"""Any kind of source, read from either side: by a thread or by a task.

Four kinds of callable make a source: one that returns, one that yields, a coroutine function and an
async generator function. To return None is to yield nothing. `read` gives their items to
synchronous code, `aread` to a task:

- the same colour on both sides is a plain loop, with nothing in between;
- a sync source read by a task runs on one thread of its own, for as long as it yields;
- an async source read by a thread runs on one background event loop, which works inside a
  notebook's running loop too.

Where the colours differ, a `Channel` stands between them. It hands over whatever has piled up in
one wake-up, and it is bounded: a slow reader stops the source.
"""

import asyncio
import contextlib
import contextvars
import functools
import inspect
import logging
import os
import threading
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterator,
)
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["Channel", "Pump", "aread", "is_async", "read"]

T = TypeVar("T")
E = TypeVar("E", bound="_Event")

CAPACITY = 256
"""How many items a source may be ahead of its reader."""

_log = logging.getLogger(__name__)


def is_async(function: Callable[..., Any]) -> bool:
    """Tell whether calling `function` gives a coroutine or an async generator."""
    while isinstance(function, functools.partial):
        function = function.func
    if not (inspect.isfunction(function) or inspect.ismethod(function)):
        function = getattr(function, "__call__", function)  # noqa: B004  an object's own method
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def read(call: Callable[[], Any]) -> Generator[Any]:
    """Yield the items of the source that `call()` starts. Closing it closes the source."""
    result = call()
    if isinstance(result, Pump):
        yield from result.read()
    elif isinstance(result, AsyncIterator | Awaitable):
        yield from _read_async(result)
    elif isinstance(result, Iterator):
        with _closing(result):
            yield from result
    elif result is not None:
        yield result


async def aread(call: Callable[[], Any], *, runs_async: bool) -> AsyncGenerator[Any]:
    """Yield the items of the source that `call()` starts, to a task.

    Args:
        call: Starts the source.
        runs_async: Whether `call` may be run on the event loop; otherwise it runs on a thread.
    """
    if not runs_async:
        result: Any = Pump(functools.partial(_push, call))
    else:
        result = call()
        if isinstance(result, Awaitable):
            result = await result
    if isinstance(result, Pump):
        result = result.aread()
    if isinstance(result, AsyncIterator):
        async with _aclosing(result) as items:
            async for item in items:
                yield item
    elif isinstance(result, Iterator):
        with _closing(result):
            for item in result:
                yield item
    elif result is not None:
        yield result


class Channel(Generic[T]):
    """A bounded hand-over of items from one writer to one reader, each a thread or a task.

    Args:
        capacity: How many items may wait for the reader.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        """Start empty and open."""
        self._capacity = capacity
        self._lock = threading.Lock()
        self._items: list[T] = []
        self._error: BaseException | None = None
        self._reader: _Event | None = None
        self._writer: _Event | None = None
        self._callbacks: list[Callable[[], object]] = []
        self.ended = False
        self.closed = False

    def put(self, item: T) -> bool:
        """Hand an item over, waiting for room. Return True when the reader is gone."""
        while room := self._offer(item, threading.Event):
            room.wait()
        return self.closed

    async def aput(self, item: T) -> bool:
        """Do what `put` does, as a task."""
        while room := self._offer(item, _TaskEvent):
            await room.future
        return self.closed

    def end(self, error: BaseException | None = None) -> None:
        """Say that nothing more will come, or why not."""
        with self._lock:
            self.ended, self._error = True, error
            reader, self._reader = self._reader, None
        if reader:
            reader.set()

    def take(self) -> list[T]:
        """Return everything that waits, at least one item; an empty list at the end.

        Raises:
            BaseException: What the writer ended with.
        """
        while arrival := self._await_items(threading.Event):
            arrival.wait()
        return self._collect()

    async def atake(self) -> list[T]:
        """Do what `take` does, as a task."""
        while arrival := self._await_items(_TaskEvent):
            await arrival.future
        return self._collect()

    def close(self) -> None:
        """Say that the reader is gone: the writer learns of it at its next item."""
        with self._lock:
            self.closed = True
            self._items.clear()
            writer, self._writer = self._writer, None
        if writer:
            writer.set()
        for callback in self._callbacks:
            callback()

    def on_close(self, callback: Callable[[], object]) -> None:
        """Have `callback()` called when the reader goes; at once if it is gone already."""
        self._callbacks.append(callback)
        if self.closed:
            callback()

    def _offer(self, item: T, event: Callable[[], E]) -> E | None:
        """Hand an item over, or return the event that will tell of room for it."""
        with self._lock:
            if self.closed:
                return None
            if len(self._items) >= self._capacity:
                self._writer = room = event()
                return room
            self._items.append(item)
            reader, self._reader = self._reader, None
        if reader:
            reader.set()
        return None

    def _await_items(self, event: Callable[[], E]) -> E | None:
        """Return the event that will tell of items, or None if there are some, or the end."""
        with self._lock:
            if self._items or self.ended:
                return None
            self._reader = arrival = event()
            return arrival

    def _collect(self) -> list[T]:
        with self._lock:
            items, self._items = self._items, []
            writer, self._writer = self._writer, None
        if writer:
            writer.set()
        if not items and self._error is not None:
            raise self._error
        return items


class _Event(Protocol):
    """Wakes one waiting thread or task, from any thread."""

    def set(self) -> None:
        """Wake it."""


class _TaskEvent:
    """What `threading.Event` is to a thread, for a task."""

    __slots__ = ("future",)

    def __init__(self) -> None:
        self.future = asyncio.get_running_loop().create_future()

    def set(self) -> None:
        with contextlib.suppress(RuntimeError):  # the waiter's loop is closed
            self.future.get_loop().call_soon_threadsafe(self._resolve)

    def _resolve(self) -> None:
        if not self.future.done():
            self.future.set_result(None)


class Put(Protocol):
    """Hands an item to the reader; returns True when the reader is gone."""

    def __call__(self, item: Any, /) -> bool:
        """Hand `item` over, waiting for room."""


class Pump:
    """A source that pushes: `produce(put)` runs on a thread and hands items over by `put(item)`.

    `put` returns True when the reader is gone; `produce` should then return. The thread starts
    with the first read, in the reader's context variables.

    Args:
        produce: Pushes all items, then returns; what it raises reaches the reader.
        channel: For a `produce` that must see a close between two items.
    """

    def __init__(
        self, produce: Callable[[Put], object], channel: Channel[Any] | None = None
    ) -> None:
        """Keep the producer; nothing runs yet."""
        self._produce = produce
        self._channel: Channel[Any] = channel or Channel()

    def read(self) -> Generator[Any]:
        """Yield the items to synchronous code."""
        self._start()
        try:
            while batch := self._channel.take():
                yield from batch
        finally:
            self._channel.close()

    async def aread(self) -> AsyncGenerator[Any]:
        """Yield the items to a task."""
        self._start()
        try:
            while batch := await self._channel.atake():
                for item in batch:
                    yield item
        finally:
            self._channel.close()

    def _start(self) -> None:
        context = contextvars.copy_context()
        threading.Thread(
            target=context.run, args=(self._run,), name="chatwright-source", daemon=True
        ).start()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            self._produce(self._channel.put)
        except BaseException as raised:  # noqa: BLE001  it belongs to the reader
            error = raised
            if self._channel.closed:
                _log.debug("a source raised after its reader was gone", exc_info=True)
        self._channel.end(error)


def _push(call: Callable[[], Any], put: Put) -> None:
    with contextlib.closing(read(call)) as items:
        for item in items:
            if put(item):
                break


def _read_async(source: AsyncIterator[Any] | Awaitable[Any]) -> Generator[Any]:
    channel: Channel[Any] = Channel()

    async def produce() -> None:
        error: BaseException | None = None
        try:
            if isinstance(source, Awaitable):
                if (value := await source) is not None:
                    await channel.aput(value)
                return
            async with _aclosing(source) as items:
                async for item in items:
                    if await channel.aput(item):
                        break
        except BaseException as raised:  # noqa: BLE001  it belongs to the reader
            error = raised
        finally:
            channel.end(error)

    cancel = _run_in_background(produce())
    try:
        while batch := channel.take():
            yield from batch
    finally:
        channel.close()
        if not channel.ended:
            cancel()


class _Background:
    """One event loop on one daemon thread, for all async sources that sync code reads."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.pid = os.getpid()
        self.thread = threading.Thread(target=self._serve, name="chatwright-loop", daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.close()


_background: _Background | None = None
_background_lock = threading.Lock()


def _run_in_background(coroutine: Coroutine[Any, Any, None]) -> Callable[[], None]:
    """Run the coroutine on the background loop, in our context variables; return its cancel."""
    global _background  # noqa: PLW0603  one loop per process
    with _background_lock:
        if _background is None or _background.pid != os.getpid():
            _background = _Background()
        background = _background
    if threading.current_thread() is background.thread:
        # A source on the loop reads another one synchronously: the loop is blocked until that one
        # has ended, so that one gets a loop of its own.
        background = _Background()
        coroutine = _then_stop(coroutine, background.loop)
    context = contextvars.copy_context()
    loop = background.loop
    tasks: list[asyncio.Task[None]] = []

    def start() -> None:
        tasks.append(loop.create_task(coroutine, context=context))

    def cancel() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended with its source
            loop.call_soon_threadsafe(_cancel_all, tasks)

    loop.call_soon_threadsafe(start)
    return cancel


def _cancel_all(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()


async def _then_stop(coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> None:
    try:
        await coroutine
    finally:
        loop.call_soon(loop.stop)


@contextlib.contextmanager
def _closing(items: Iterator[T]) -> Iterator[Iterator[T]]:
    try:
        yield items
    finally:
        if close := getattr(items, "close", None):
            close()


@contextlib.asynccontextmanager
async def _aclosing(items: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    try:
        yield items
    finally:
        if aclose := getattr(items, "aclose", None):
            await aclose()
