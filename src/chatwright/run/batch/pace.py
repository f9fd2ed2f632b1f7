"""How fast to ask: as fast as the other side allows, and not faster."""

import asyncio
import random
import time
from collections.abc import Callable

__all__ = ["MOST", "Pace", "backoff"]

_FIRST = 4
"""At how many at once the search for the best begins."""
MOST = 512
"""At how many at once it ends."""
_WINDOW = 16
"""How many answers a measurement takes at least."""
_BETTER = 1.05
"""What a higher limit has to bring to be kept."""
_STEP = 1.25
"""How much further a limit is tried once the first doubling has ended."""
_REST = 8
"""How many windows the best limit holds before a higher one is tried again."""
_SHORT = 1.0
"""Seconds to pause where the other side says that it is busy, and not for how long."""

_FIRST_WAIT = 0.5
_LONGEST_WAIT = 60.0


def backoff(attempts: int, after: float | None) -> float:
    """Return how many seconds to wait before the other side is asked again, with full jitter.

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/

    Args:
        attempts: How often it was asked.
        after: Seconds after which it asks to try again.
    """
    wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** max(0, attempts - 1))
    return max(after or 0.0, random.uniform(0, wait))  # noqa: S311  no secret


class Pace:
    """How many rows are asked at once, and how many in a minute.

    The limit on what is asked at once grows while more comes of it, and is halved when the other
    side says that it is busy (additive increase would take too long from 4 to 256; multiplicative
    decrease is TCP's, RFC 5681).

    Args:
        concurrency: How many at once; None to find out.
        rate: Requests a minute; None for any number.
        token_rate: Tokens a minute, those asked and those answered; None for any number.
        times: How many share what is asked at once.
        clock: Tells the seconds.
    """

    def __init__(
        self,
        concurrency: int | None = None,
        rate: float | None = None,
        token_rate: float | None = None,
        times: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin low."""
        self.limit = concurrency or _FIRST * times
        self.most = concurrency or MOST * times
        self._is_fixed = concurrency is not None
        self._gap = 60.0 / rate if rate else 0.0
        self._token_gap = 60.0 / token_rate if token_rate else 0.0
        self._clock = clock
        self._next = 0.0
        self._next_tokens = 0.0
        self._paused_until = 0.0
        self._best = (0.0, self.limit)
        self._is_doubling = True
        self._resting = 0
        self._begin_window()

    @property
    def counts_tokens(self) -> bool:
        """Whether tokens are limited."""
        return bool(self._token_gap)

    def _begin_window(self) -> None:
        self._answers = 0
        self._since = self._clock()

    async def ready(self, tokens: int = 0) -> None:
        """Wait until the next request may go out.

        Args:
            tokens: How many tokens it may take.
        """
        if self._gap or self._token_gap or self._paused_until:
            while (wait := self._wait()) > 0:  # noqa: ASYNC110  what it waits for moves on
                await asyncio.sleep(wait)
            now = self._clock()
            self._next = max(now, self._next) + self._gap
            self._next_tokens = max(now, self._next_tokens) + tokens * self._token_gap

    def _wait(self) -> float:
        return max(self._next, self._next_tokens, self._paused_until) - self._clock()

    def took(self, estimated: int, tokens: int) -> None:
        """Set right what a request was thought to take.

        Args:
            estimated: How many tokens that was.
            tokens: How many it took.
        """
        self._next_tokens += (tokens - estimated) * self._token_gap

    def went_well(self) -> None:
        """Take it that an answer came."""
        if self._is_fixed:
            return
        self._answers += 1
        if self._answers >= max(self.limit, _WINDOW):
            self._weigh(self._answers / max(self._clock() - self._since, 1e-6))
            self._begin_window()

    def _weigh(self, speed: float) -> None:
        """Choose the next limit by the answers a second of this one."""
        best, best_limit = self._best
        if speed >= best * _BETTER:
            self._best = (speed, self.limit)
            further = self.limit * 2 if self._is_doubling else int(self.limit * _STEP) + 1
            self.limit = min(further, self.most)
        elif self.limit > best_limit:
            self._is_doubling, self._resting = False, _REST
            self.limit = best_limit
        else:  # the best there is; it is measured anew, for the other side changes
            self._best = ((best + speed) / 2, self.limit)
            self._resting -= 1
            if self._resting <= 0:
                self.limit = min(int(self.limit * _STEP) + 1, self.most)

    def was_busy(self, after: float | None) -> None:
        """Take it that the other side has too much to do.

        Args:
            after: Seconds after which it asks to try again.
        """
        now = self._clock()
        if now >= self._paused_until and not self._is_fixed:  # many at once are told so once
            self.limit = max(1, self.limit // 2)
            self._best = (0.0, self.limit)
            self._is_doubling = False
            self._begin_window()
        self._paused_until = max(self._paused_until, now + (_SHORT if after is None else after))
