"""A whole run: what is done is kept, what is left is asked, and the end is told."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from chatwright.errors import BatchError
from chatwright.run.batch.asking import Asker
from chatwright.run.batch.budget import Budget
from chatwright.run.batch.incoming import news
from chatwright.run.batch.inputs import Source
from chatwright.run.batch.ledger import Ledger
from chatwright.run.batch.local import Local
from chatwright.run.batch.on_ray import OnRay, RayAsker
from chatwright.run.batch.order import Order
from chatwright.run.batch.pace import MOST, Pace
from chatwright.run.batch.provider import Provider
from chatwright.run.batch.remote import Remote
from chatwright.run.batch.results import Format
from chatwright.run.batch.row import Job
from chatwright.run.batch.stats import Stats
from chatwright.run.batch.store import Store
from chatwright.run.batch.work import Work
from chatwright.run.garbage import rarely_collected

__all__ = ["Options", "Run", "Summary"]

_OWN_THREADS = 4
"""Threads that read and write."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a run goes.

    Args:
        form: The output's format.
        concurrency: How many rows are asked at once; None to find out.
        rate: Requests a minute; None for any number.
        token_rate: Tokens a minute; None for any number.
        budget: What all answers together may cost, in USD; None for any amount.
        max_retries: How often a row is asked again that may go well another time.
        timeout: How many seconds one answer may take.
        retry_failed: Whether rows that failed in an earlier run are asked again.
        fresh: Whether to start anew, without what an earlier run left.
        limit: How many rows are read at most; None for all.
        ordered: Whether the output is put into the input's order at the end.
        wait: Whether the end of a provider's batches is waited for.
    """

    form: Format = "jsonl"
    concurrency: int | None = None
    rate: float | None = None
    token_rate: float | None = None
    budget: float | None = None
    max_retries: int = 5
    timeout: float = 600.0
    retry_failed: bool = False
    fresh: bool = False
    limit: int | None = None
    ordered: bool = False
    wait: bool = False


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What came of a run.

    Attributes:
        output: Where the answers stand.
        failures: Where the rows that failed stand, and why; None where none did.
        answers: How many answers stand there now.
        failed: How many rows that failed.
        out: How many rows are out in a provider's batches: the same call collects them later.
        stopped: Why it stopped before the end; empty where it did not.
        stats: What this run did.
    """

    output: Path
    failures: Path | None
    answers: int
    failed: int
    out: int
    stopped: str
    stats: Stats


@dataclass
class Run:
    """One run of a job.

    Args:
        job: What is asked of which model.
        source: The rows.
        output: Where answers go.
        options: How it goes.
        watch: Is called with how far it has come: at the beginning, at the end, and in between.
        every: How many seconds lie between.
        provider: Whose batches the rows are asked by; None to ask them here.
        on_ray: The replicas that rows are asked in; None for this process.
        pause: How many seconds lie between two looks at what is out; they become ten times as many.
    """

    job: Job
    source: Source
    output: Path
    options: Options = field(default_factory=Options)
    watch: Callable[[Stats], None] | None = None
    every: float = 0.25
    provider: Provider | None = None
    on_ray: OnRay | None = None
    pause: float = 30.0
    stats: Stats = field(default_factory=Stats, init=False)
    _work: Work | None = field(default=None, init=False)

    @property
    def is_stopping(self) -> bool:
        """Whether no more is asked."""
        return self._work is not None and self._work.is_stopped

    def stop(self, why: str) -> None:
        """Ask no more; what is being asked may end.

        Args:
            why: For people.
        """
        if self._work is not None:
            self._work.stop(why)

    def run_alone(
        self, work: Callable[[], Coroutine[Any, Any, Summary]], *, is_ours: bool = False
    ) -> Summary:
        """Run on a loop of its own, to the end.

        Args:
            work: Awaits `run`.
            is_ours: Whether the process is there for this alone.
        """

        async def with_threads() -> Summary:
            asyncio.get_running_loop().set_default_executor(self._threads())
            return await work()

        with rarely_collected(is_ours=is_ours):
            return asyncio.run(with_threads())

    def _threads(self) -> ThreadPoolExecutor:
        """Return threads for a model without async code, which a loop has too few of."""
        most = self.options.concurrency or MOST
        return ThreadPoolExecutor(most + _OWN_THREADS, thread_name_prefix="chatwright-batch")

    async def run(self) -> Summary:
        """Ask what is left to ask; of a provider's batches, collect what is ready.

        Raises:
            BatchError: It can't be run, or can't go on; what is done is kept.
            ClusterError: A Ray cluster can't give what is needed, likewise.
            LoadError: The input can't be read, or not any further.
            OSError: The output can't be read or written.
        """
        options = self.options
        if options.ordered and options.form == "parquet":
            raise BatchError("a folder of Parquet files has no order; name a .jsonl file instead")
        if options.wait and not (self.provider and self.source.again):
            raise BatchError(
                "wait is for a provider's batches, via='provider', and reads the input again: give "
                "a file, or a list"
            )
        summary = await self._once(options)
        provider = self.provider
        while provider and options.wait and summary.out and not summary.stopped:
            ledger = Ledger.read(Store(self.output, options.form).batches_path)
            async with self._watched():
                await news(provider, ledger, lambda: self.is_stopping, self.pause)
            if self._work and self._work.why_stopped:
                return replace(summary, stopped=self._work.why_stopped)
            self.stats = Stats()
            summary = await self._once(replace(options, fresh=False, retry_failed=False))
        return summary

    async def _once(self, options: Options) -> Summary:
        """Go over the input once."""
        store = Store(self.output, options.form)
        told = {"input": self.source.name, "started": time.time()}
        kept = await asyncio.to_thread(
            store.open,
            self.job.fingerprint(),
            fresh=options.fresh,
            retry_failed=options.retry_failed,
            inputs=self.source.local,
            **told,
        )
        self.stats.kept = kept
        order = Order() if options.ordered else None
        outcome = "failed"
        try:
            work = self._work = Work(
                self.job, self.source, store, self.stats, limit=options.limit, order=order
            )
            self.stats.total = await self._count()
            engine = self._engine(options, work, store)
            if isinstance(engine, Remote) and options.fresh:
                await engine.incoming.abandon()
            async with self._watched():
                await self._ended(engine, work)
            self.stats.ignored = dict(engine.asker.ignored)
            is_whole = not work.why_stopped and not self.stats.out
            if is_whole and options.limit is None and kept.failures:
                kept.failures -= await asyncio.to_thread(store.set_stale_aside)
            if order is not None and is_whole:
                await asyncio.to_thread(store.put_in_order, order)
            outcome = work.why_stopped or ("out" if self.stats.out else "done")
        finally:
            if order is not None:
                order.close()
            store.close(ended=time.time(), outcome=outcome, **self.stats.summary())
        return self._summary(store)

    def _engine(self, options: Options, work: Work, store: Store) -> Local | Remote:
        """Return what asks the rows."""
        job, kept, provider = self.job, self.stats.kept, self.provider
        ledger = Ledger.read(store.batches_path)
        if provider is None:
            if ledger.entries:
                raise BatchError(
                    f"{len(ledger.entries)} batches of this output are out at a provider; "
                    "--via provider collects them, and cancels them with --fresh"
                )
            return self._local(options, work)
        once = {"attempts": 1}  # an answer that does not conform is a failure: asking takes a day
        asker = Asker(job, options.timeout, provider.model, **once)
        budget = Budget(job, options.budget, kept.cost, share=provider.share, **once)
        return Remote(
            work, store, asker, provider, ledger, budget, options.form, options.max_retries
        )

    def _local(self, options: Options, work: Work) -> Local:
        """Return what asks the rows here, or from here in replicas."""
        job, on_ray = self.job, self.on_ray
        if on_ray is None:
            at_once, times = options.concurrency, 1
            asker: Asker | RayAsker = Asker(job, options.timeout)
        else:
            at_once, times = options.concurrency or on_ray.at_once, on_ray.scale.most
            asker = RayAsker(on_ray, job, options.timeout)
        pace = Pace(at_once, options.rate, options.token_rate, times)
        budget = Budget(job, options.budget, self.stats.kept.cost)
        return Local(work, asker, pace, budget, options.form, options.max_retries)

    async def _count(self) -> int | None:
        total = await asyncio.to_thread(self.source.count)
        limit = self.options.limit
        return limit if total is None or (limit is not None and limit < total) else total

    async def _ended(self, engine: Local | Remote, work: Work) -> None:
        try:
            async with engine.asker.ready(lambda: work.is_stopped):
                since = time.monotonic()
                try:
                    await engine.run()
                finally:
                    self.stats.asking = time.monotonic() - since
        finally:
            await work.end()
        if work.broken is not None:
            raise work.broken
        if isinstance(engine, Remote):
            await asyncio.to_thread(engine.tidy)

    @contextlib.asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        if self.watch is None:
            yield
            return

        async def tell(watch: Callable[[Stats], None]) -> None:
            while True:
                watch(self.stats)
                await asyncio.sleep(self.every)

        task = asyncio.ensure_future(tell(self.watch))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
            self.watch(self.stats)

    def _summary(self, store: Store) -> Summary:
        stats, kept = self.stats, self.stats.kept
        failed = kept.failures + stats.failed
        return Summary(
            output=self.output,
            failures=store.failures_path if failed else None,
            answers=kept.answers + stats.done,
            failed=failed,
            out=stats.out,
            stopped=self._work.why_stopped if self._work else "",
            stats=stats,
        )
