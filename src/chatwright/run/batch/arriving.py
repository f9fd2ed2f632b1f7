"""Records some at once: of a file as many as are wanted, of a pipe as many as have come."""

import queue
import threading
from collections.abc import Iterator
from itertools import islice

from chatwright.run.batch.inputs import Record

__all__ = ["AsTheyCome", "Whole"]

_AHEAD = 1024
_LOOK = 0.2
"""How often a reader that waits looks whether it is still wanted, in seconds."""


class Whole:
    """Records that are at hand.

    Args:
        records: The records.
    """

    def __init__(self, records: Iterator[Record]) -> None:
        """Read nothing yet."""
        self._records = records
        self._error: Exception | None = None

    def some(self, most: int) -> list[Record]:
        """Return the next records; none at the end.

        Args:
            most: How many at most.

        Raises:
            Exception: Whatever reading raised, once what came before has been returned.
        """
        if self._error is not None:
            raise self._error
        found: list[Record] = []
        try:
            found.extend(islice(self._records, most))
        except Exception as error:
            if not found:
                raise
            self._error = error
        return found

    def stop(self) -> None:
        """Read no more."""


class AsTheyCome:
    """Records that somebody else makes while they are read, such as a pipe's.

    Args:
        records: The records.
    """

    def __init__(self, records: Iterator[Record]) -> None:
        """Have a thread read: nothing else can be left that waits for a pipe."""
        self._come: queue.Queue[Record | BaseException | None] = queue.Queue(_AHEAD)
        self._records = records
        self._stopped = threading.Event()
        self._has_ended = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def _read(self) -> None:
        try:
            for each in self._records:
                self._put(each)
            self._put(None)
        except BaseException as error:  # noqa: BLE001  handed over
            self._put(error)

    def _put(self, each: Record | BaseException | None) -> None:
        while not self._stopped.is_set():
            try:
                self._come.put(each, timeout=_LOOK)
            except queue.Full:
                continue
            return

    def some(self, most: int) -> list[Record]:
        """Return what has come, once anything has; nothing at the end.

        Args:
            most: How many at most.

        Raises:
            BaseException: Whatever reading raised, once what came before has been returned.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._read, daemon=True)
            self._thread.start()
        found: list[Record] = []
        while not self._has_ended and len(found) < most and not self._stopped.is_set():
            try:
                each = self._come.get(timeout=_LOOK) if not found else self._come.get_nowait()
            except queue.Empty:
                if found:
                    break
                continue
            if isinstance(each, BaseException):
                self._error = each
            if each is None or isinstance(each, BaseException):
                self._has_ended = True
            else:
                found.append(each)
        if self._error and not found:
            raise self._error
        return found

    def stop(self) -> None:
        """Read no more."""
        self._stopped.set()
