"""A bounded hand-over between a writer and a reader, each of them a thread or a task.

Whatever has piled up is handed over in one wake-up, never an item at a time.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

__all__ = ["CAPACITY", "Channel"]

T = TypeVar("T")
E = TypeVar("E", bound="_Event")

CAPACITY = 256
"""How many items a source may be ahead of its reader."""


class Channel(Generic[T]):
    """A bounded hand-over of items from one writer to one reader, each a thread or a task.

    Args:
        capacity: How many items may wait for the reader.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        """Start empty and open."""
        self._capacity = capacity
        # Reentrant: the garbage collector may close an abandoned reader inside any allocation.
        self._lock = threading.RLock()
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
                return None if self.closed else room
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
        """Return what has piled up, without waiting; an empty list at the end."""
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
