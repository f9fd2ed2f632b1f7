"""Time limits of one answer: until it begins, between its pieces, and in all."""

import asyncio
from dataclasses import dataclass
from typing import Any

from chatwright.errors import SourceTimeoutError

__all__ = ["Limits", "Watch"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Time limits, in seconds.

    Args:
        first_token: For the answer to begin.
        token: Between two pieces of the answer.
        total: For all of it.
    """

    first_token: float
    token: float
    total: float


_BETWEEN = "token_timeout"
_FIELDS = {"first_token_timeout": "first_token", "token_timeout": "token", "timeout": "total"}


class Watch:
    """Ends a wait whose time has run out: one timer per response, not one per wait.

    It works as `asyncio.timeout` does, which can't be held over the `yield` of a generator. A wait
    is a `with` block; on its way out it raises `SourceTimeoutError`.

    Args:
        limits: The time limits.
        name: The model's name, for errors.
    """

    def __init__(self, limits: Limits, name: str) -> None:
        """Start the clock."""
        self._name = name
        self.limits = limits
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self._end = now + limits.total
        self._limit = "first_token_timeout"
        self._deadline = now + limits.first_token
        self._rested = now
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[Any] | None = None
        self._cancelling = 0
        self._expired = False

    def restart(self, grace: float | None = None) -> None:
        """Count anew, from now on by the limit between two pieces, or by a shorter one."""
        self._limit = _BETWEEN
        self._deadline = self._rested + (self.limits.token if grace is None else grace)
        if self._timer is not None and self._timer.when() > self._deadline:
            self.stop()  # the next wait sets another

    def stop(self) -> None:
        """Forget the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def wait(self) -> None:
        """Begin to wait; what has passed since the last wait does not count, but for `total`."""
        now = self._loop.time()
        self._deadline += now - self._rested
        task = self._task = asyncio.current_task()
        self._cancelling = task.cancelling() if task else 0
        if self._timer is None:
            self._timer = self._loop.call_at(min(self._deadline, self._end), self._look)

    def waited(self, error: BaseException | None = None) -> None:
        """End the wait.

        Args:
            error: What has ended it, if not what was waited for.

        Raises:
            SourceTimeoutError: Its time has run out.
        """
        task, self._task = self._task, None
        self._rested = self._loop.time()
        if not self._expired or task is None:
            return
        self._expired = False
        if task.uncancel() <= self._cancelling and isinstance(error, asyncio.CancelledError):
            name = "timeout" if self._deadline >= self._end else self._limit
            seconds = getattr(self.limits, _FIELDS[name])
            raise SourceTimeoutError(f"{self._name}: {seconds:g} s ran out ({name})") from None

    def __enter__(self) -> None:
        """Begin to wait."""
        self.wait()

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """End the wait.

        Raises:
            SourceTimeoutError: Its time has run out.
        """
        self.waited(error)

    def _look(self) -> None:
        """End the wait, or come again when its time has moved on."""
        self._timer = None
        if self._task is None:  # nobody waits: the next wait sets the timer
            return
        deadline = min(self._deadline, self._end)
        if self._loop.time() < deadline:
            self._timer = self._loop.call_at(deadline, self._look)
            return
        self._expired = True
        self._task.cancel()
