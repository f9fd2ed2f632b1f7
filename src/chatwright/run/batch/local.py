"""Rows are asked from this process: by as many workers as the pace allows."""

import asyncio
import heapq
import itertools
import time
from dataclasses import dataclass, field

from chatwright.errors import ClusterError
from chatwright.run.batch.asking import Asker
from chatwright.run.batch.budget import Budget
from chatwright.run.batch.failures import Trouble, trouble_of
from chatwright.run.batch.on_ray import RayAsker
from chatwright.run.batch.pace import Pace, backoff
from chatwright.run.batch.results import Format, Took, answered, failed
from chatwright.run.batch.row import Row
from chatwright.run.batch.work import Work

__all__ = ["Local"]

_BYTES_PER_TOKEN = 4
_LOOK = 0.5
"""How often rows are looked at that wait for another try, in seconds."""
_TURN = 0.005
"""For how many seconds answers may follow on each other until others have their turn."""
_PATIENCE = 600.0
"""For how many seconds without any answer the other side may say that it is busy."""


@dataclass(order=True)
class _Try:
    """A row that is to be asked, now or later."""

    due: float
    order: int
    row: Row = field(compare=False)
    attempts: int = field(compare=False, default=0)
    started: float = field(compare=False, default=0.0)
    since: float = field(compare=False, default=0.0)


class Local:
    """Asks rows from this process.

    Args:
        work: The rows, and where results go.
        asker: Asks the model, here or in replicas.
        pace: How fast.
        budget: What it may cost.
        form: The output's format.
        max_retries: How often a row is asked again that may go well another time.
    """

    def __init__(
        self,
        work: Work,
        asker: Asker | RayAsker,
        pace: Pace,
        budget: Budget,
        form: Format,
        max_retries: int,
    ) -> None:
        """Begin with no worker."""
        self._work = work
        self.asker = asker
        self._pace = pace
        self._budget = budget
        self._form = form
        self._max_retries = max_retries
        self._later: list[_Try] = []
        self._order = itertools.count()
        self._workers: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._working = 0
        self._turn = time.monotonic()
        self._error: BaseException | None = None
        self._last_answer = time.monotonic()

    async def run(self) -> None:
        """Ask until there is no more, or no more is to be asked.

        Raises:
            LoadError: The input can't be read any further.
        """
        try:
            self._grow()
            await self._idle.wait()
        finally:
            for task in self._workers:
                task.cancel()
            if self._workers:
                await asyncio.wait(self._workers)
        if self._error is not None:
            raise self._error

    def _grow(self) -> None:
        """Have as many workers as the pace allows."""
        self._work.stats.limit = self._pace.limit
        while self._working < self._pace.limit:
            self._working += 1
            worker = asyncio.ensure_future(self._worker())
            self._workers.add(worker)
            worker.add_done_callback(self._left)

    def _left(self, worker: "asyncio.Task[None]") -> None:
        self._workers.discard(worker)
        if not self._workers:
            self._idle.set()

    async def _worker(self) -> None:
        try:
            while self._working <= self._pace.limit and (each := await self._next()):
                await self._try(each)
                if time.monotonic() - self._turn > _TURN:  # a model may wait for nothing at all
                    await asyncio.sleep(0)
                    self._turn = time.monotonic()
                if self._working < self._pace.limit and not self._work.is_stopped:
                    self._grow()
        except Exception as error:  # noqa: BLE001  raised at the end
            self._error = self._error or error
            self._work.stop("an error")
        finally:
            self._working -= 1

    async def _next(self) -> _Try | None:
        """Return what is to be asked next; a row that waits for another try comes first."""
        while True:
            if self._work.is_stopped:
                self._give_back()
                return None
            now = time.monotonic()
            if self._later and self._later[0].due <= now:
                return heapq.heappop(self._later)
            row = await self._work.take()
            if row is not None:
                return _Try(now, next(self._order), row, 0, time.time(), now)
            if not self._later:
                return None
            await asyncio.sleep(max(0.0, min(self._later[0].due - now, _LOOK)))

    def _give_back(self) -> None:
        for each in self._later:
            self._work.give_back(each.row)
        self._later.clear()

    async def _try(self, each: _Try) -> None:
        """Ask a row, and settle it or have it wait for another try."""
        row = each.row
        size = row.size if self._pace.counts_tokens else 0
        reserved = await self._budget.reserve(row)
        if reserved is None:
            self._work.give_back(row)
            self._work.stop("the budget is spent")
            return
        estimated = size // _BYTES_PER_TOKEN
        await self._pace.ready(estimated)
        each.attempts += 1
        asked = self._work.stats.asked
        asked[row.key] = (time.monotonic(), row)
        cost: float | None = 0.0
        try:
            said = await self.asker.ask(row)
            result = answered(row, said.message, said.parsed, self._took(each), self._form)
        except ClusterError:  # nobody is there to ask
            self._work.give_back(row)
            raise
        except Exception as error:  # noqa: BLE001  each is a row's result
            self._went_wrong(each, trouble_of(error))
        else:
            self._last_answer = time.monotonic()
            self._pace.went_well()
            self._pace.took(estimated, sum(result.tokens))
            cost = result.cost
            self._work.settle(result)
        finally:
            asked.pop(row.key, None)
            self._budget.settle(reserved, cost)

    def _took(self, each: _Try) -> Took:
        return Took(each.started, time.monotonic() - each.since, each.attempts)

    def _went_wrong(self, each: _Try, trouble: Trouble) -> None:
        if trouble.kind == "busy":
            self._pace.was_busy(trouble.after)
            if not trouble.counts and time.monotonic() - self._last_answer < _PATIENCE:
                each.attempts -= 1
        if trouble.may_pass and each.attempts <= self._max_retries:
            each.due = time.monotonic() + backoff(each.attempts, trouble.after)
            heapq.heappush(self._later, each)
            return
        self._work.settle(failed(each.row, trouble, self._took(each), self._form))
