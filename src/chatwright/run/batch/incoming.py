"""What comes of a provider's batches: how far they are, and their answers, fetched whole."""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from chatwright.errors import BatchError, SourceError
from chatwright.run.batch.failures import trouble_of
from chatwright.run.batch.ledger import Entry, Fetched, Ledger
from chatwright.run.batch.outgoing import Outgoing
from chatwright.run.batch.pace import backoff
from chatwright.run.batch.provider import Provider
from chatwright.wires.batches import Answer, Batch, Fate

__all__ = ["Incoming", "news"]

T = TypeVar("T")

_FULL = "token_limit_exceeded"
"""What OpenAI calls it that more is in its queue than it lets in."""
_BAD_REQUEST = 400


class Incoming:
    """Batches that are out.

    Args:
        provider: The provider.
        ledger: Notes what is out.
        outgoing: Hands in what a kill, or a failure, has kept from it.
        max_retries: How often the provider is asked again.
        notes: Takes what is to be told at the end.

    Attributes:
        is_full: Whether the provider takes no more until something that is out has ended.
    """

    def __init__(
        self,
        provider: Provider,
        ledger: Ledger,
        outgoing: Outgoing,
        max_retries: int,
        notes: list[str],
    ) -> None:
        """Look at nothing yet."""
        self._provider = provider
        self._ledger = ledger
        self._outgoing = outgoing
        self._max_retries = max_retries
        self._notes = notes
        self.is_full = False

    async def look_at_all(self) -> None:
        """Hand in what was about to be, and fetch what has ended.

        Raises:
            BatchError: The provider refuses a batch, or does not tell of one.
        """
        self._ledger.clear()
        for entry in [*self._ledger.entries]:
            if entry.state == "sending":
                await self._outgoing.hand_in(entry, is_doubtful=True)
            if entry.state == "out":
                await self._look_at(entry)

    async def _look_at(self, entry: Entry) -> None:
        batch = await self._tried(entry, lambda: self._provider.look(entry.id))
        entry.told, entry.done = batch.state, batch.done
        if not batch.has_ended:
            self._ledger.save()
            return
        entry.ended = time.time()
        if batch.problems and not batch.files:
            self._refused(entry, batch)
        elif batch.state == "failed" and not batch.files:
            self._ledger.forget(entry)
            raise BatchError(f"{self._provider.name} has failed batch {entry.id} without a word")
        else:
            await self._tried(entry, lambda: self._fetch(entry, batch))

    async def _tried(self, entry: Entry, ask: Callable[[], Awaitable[T]]) -> T:
        """Return what the provider says; it is asked again where that may help.

        Raises:
            BatchError: It does not say it.
        """
        attempts = 0
        while True:
            attempts += 1
            try:
                return await ask()
            except SourceError as error:
                trouble = trouble_of(error)
                if attempts > self._max_retries or not trouble.may_pass:
                    raise _untold(self._provider, self._ledger, entry, trouble.message) from error
                await asyncio.sleep(backoff(attempts, trouble.after))

    async def _fetch(self, entry: Entry, batch: Batch) -> None:
        """Fetch all answers of a batch that has ended; rows without one get its end as theirs."""
        left = {each.key.hex(): each.attempts for each in self._ledger.rows(entry)}
        strange, rest = 0, batch.rest or "missing"
        known = frozenset(left)
        with self._ledger.fetching(entry) as put:
            async for answer in self._provider.answers(batch):
                attempts = left.pop(answer.key, None)
                if attempts is not None:
                    put(Fetched(answer, attempts))
                elif answer.key not in known:
                    strange += 1
            for key, attempts in left.items():
                put(Fetched(Answer(key, rest), attempts))
        if strange:
            self._notes.append(
                f"batch {batch.id} has {strange} answers to what was not asked; they are left out"
            )
        if batch.rest in {"cancelled", "expired"}:
            self._notes.append(
                f"batch {batch.id} is {batch.rest}: {len(left)} of its {len(known)} rows have no "
                "answer"
            )

    def _refused(self, entry: Entry, batch: Batch) -> None:
        """Take it that a whole batch was refused before any of its rows was asked.

        Raises:
            BatchError: It was, and not for certain rows of it.
        """
        lines = {each.line: each for each in batch.problems if each.line is not None}
        if lines:
            with self._ledger.fetching(entry) as put:
                for number, (key, attempts) in enumerate(self._ledger.rows(entry), 1):
                    problem = lines.get(number)
                    told = problem and {"error": {"code": problem.code, "message": problem.message}}
                    fate: Fate = "answered" if told else "missing"
                    put(
                        Fetched(
                            Answer(key.hex(), fate, _BAD_REQUEST, told), attempts - (told is None)
                        )
                    )
            return
        self._ledger.forget(entry)
        first = batch.problems[0]
        if first.code != _FULL or entry.rows == 1:
            raise BatchError(
                f"{self._provider.name} refuses batch {batch.id}: {first.message} ({first.code}); "
                "the same command hands its rows in again"
            )
        if any(each.state == "out" for each in self._ledger.entries):
            self.is_full = True
        else:
            self._ledger.most = max(1, entry.rows // 2)
            self._ledger.save()

    async def abandon(self) -> None:
        """Cancel what is out, and forget all that is kept.

        Raises:
            BatchError: It can't be told what is out, or it can't be cancelled.
        """
        for entry in [*self._ledger.entries]:
            found = functools.partial(self._outgoing.is_found, entry)
            if entry.state == "sending" and await self._tried(entry, found) and not entry.id:
                raise BatchError(f"a batch of {entry.rows} rows is {entry.told}; try later")
            if entry.state == "out":
                await self._cancel(entry)
        self._ledger.entries.clear()
        self._ledger.clear()

    async def _cancel(self, entry: Entry) -> None:
        batch = await self._tried(entry, lambda: self._provider.look(entry.id))
        if not batch.has_ended:
            await self._tried(entry, lambda: self._provider.cancel(entry.id))
            self._notes.append(f"batch {entry.id} was cancelled")


def _untold(provider: Provider, ledger: Ledger, entry: Entry, why: str) -> BatchError:
    return BatchError(
        f"{provider.name} does not tell of batch {entry.id}: {why}; the same command asks again. "
        f"If it is there no more, remove {ledger.path}: its rows are asked anew"
    )


async def news(
    provider: Provider, ledger: Ledger, is_stopped: Callable[[], bool], pause: float
) -> None:
    """Wait until a batch that is out has ended, or until it is to be no more waited.

    Args:
        provider: The provider.
        ledger: Notes what is out.
        is_stopped: Tells whether to wait no more.
        pause: Seconds between the first looks; they become ten times as many.

    Raises:
        BatchError: The provider does not let us look.
    """
    longest = 10 * pause
    while not is_stopped():
        end = time.monotonic() + pause
        while time.monotonic() < end and not is_stopped():  # noqa: ASYNC110  signals end it
            await asyncio.sleep(min(0.25, pause))
        for entry in [each for each in ledger.entries if each.state != "ended"]:
            if not entry.id:
                if pause >= longest:
                    return
                continue
            try:
                batch = await provider.look(entry.id)
            except SourceError as error:
                if not trouble_of(error).may_pass:
                    raise _untold(provider, ledger, entry, str(error)) from error
                continue
            if batch.has_ended:
                return
        pause = min(longest, pause * 1.5)
