"""A queue in front of the engine's slots: first come, first served, and everyone may leave."""

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from chatwright.core.bridge import Channel

__all__ = ["Gate"]

_log = logging.getLogger(__name__)


class Gate:
    """Lets so many requests in at a time.

    llama.cpp would queue them itself, but a request in its queue can't be seen and can't leave.

    Args:
        places: How many requests may be inside at once.
    """

    def __init__(self, places: int) -> None:
        """Start with nobody inside."""
        self._lock = threading.Lock()
        self._free = places
        self._waiting: deque[threading.Event] = deque()

    @property
    def queue_size(self) -> int:
        """How many requests wait outside."""
        return len(self._waiting)

    @contextlib.contextmanager
    def place(self, channel: Channel[Any], deadline: float | None) -> Iterator[bool]:
        """Wait for a place and hold it.

        Args:
            channel: The request's; its closing ends the wait.
            deadline: When to give up, by `time.monotonic`; None for never.

        Yields:
            Whether there is a place; if not, the reader is gone or the time is up.
        """
        admitted = self._enter(channel, deadline)
        try:
            yield admitted
        finally:
            if admitted:
                self._leave()

    def _enter(self, channel: Channel[Any], deadline: float | None) -> bool:
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            turn = threading.Event()
            self._waiting.append(turn)
            _log.debug("queued at position %d", len(self._waiting))
        channel.on_close(turn.set)
        turn.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
        with self._lock:
            if turn in self._waiting:  # the reader is gone, or the time is up
                self._waiting.remove(turn)
                return False
        return True

    def _leave(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()  # the place goes from hand to hand
            else:
                self._free += 1
