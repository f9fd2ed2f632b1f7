"""Rows are asked by a provider's own batches: handed in, come back for, and collected."""

import asyncio
import dataclasses
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TypeVar

from chatwright.errors import BatchError, SourceError
from chatwright.run.batch.asking import Asker
from chatwright.run.batch.budget import Budget
from chatwright.run.batch.failures import Trouble, trouble_of
from chatwright.run.batch.index import NEW, Index
from chatwright.run.batch.ledger import Entry, Fetched, Ledger, Request
from chatwright.run.batch.outgoing import Outgoing
from chatwright.run.batch.pace import backoff
from chatwright.run.batch.provider import Provider
from chatwright.run.batch.results import NOTHING, Format, Took, answered, failed
from chatwright.run.batch.row import Row
from chatwright.run.batch.store import Store
from chatwright.run.batch.work import Work
from chatwright.wires.batches import Answer, Batch, Fate

__all__ = ["Remote", "news"]

T = TypeVar("T")

_TROUBLES: Mapping[Fate, Trouble] = {
    "expired": Trouble("BatchExpired", "the provider did not come to it in time", "away"),
    "missing": Trouble("NoAnswer", "the batch has ended without a word of this row", "away"),
    "cancelled": Trouble("BatchCancelled", "the batch was cancelled before it came to this row"),
}
_FULL = "token_limit_exceeded"
"""What OpenAI calls it that more is in its queue than it lets in."""
_PLACE = 40
"""A place is a batch's number, and then by so many bits where its answer stands, from 1; 0 while it
is out."""
_CHUNK = 4096
_TURN = 64
"""After how many rows the loop has its turn."""
_BAD_REQUEST = 400
_SPENT = "the budget is spent"


class Remote:
    """Asks rows by a provider's own batches: one pass over the input.

    What has ended is fetched first. Then each row that is read is settled if it has an answer, left
    alone if it is out, and goes out otherwise.

    Args:
        work: The rows, and where results go.
        store: What is done.
        asker: Writes requests, and reads answers.
        provider: The provider.
        ledger: Notes what is out.
        budget: What it may cost.
        form: The output's format.
        max_retries: How often a row is asked again that may go well another time.
    """

    def __init__(
        self,
        work: Work,
        store: Store,
        asker: Asker,
        provider: Provider,
        ledger: Ledger,
        budget: Budget,
        form: Format,
        max_retries: int,
    ) -> None:
        """Ask nothing yet."""
        self._work = work
        self._store = store
        self._asker = asker
        self._provider = provider
        self._ledger = ledger
        self._budget = budget
        self._form = form
        self._max_retries = max_retries
        self._outgoing = Outgoing(provider, ledger, max_retries)
        self._index = Index()
        self._again: set[bytes] = set()
        self._entries: dict[int, Entry] = {}
        self._is_full = False

    async def run(self) -> None:
        """Collect what is ready, and hand in what is left.

        Raises:
            BatchError: The provider refuses a batch, or does not tell of one.
            LoadError: The input can't be read any further.
        """
        try:
            await self._look_at_all()
            self._tell()
            await asyncio.to_thread(self._look_up)
            turns = itertools.count(1)
            while (row := await self._work.take()) is not None:
                await self._take(row)
                if next(turns) % _TURN == 0:
                    await asyncio.sleep(0)
            if self._work.why_stopped in {"", _SPENT}:
                await self._outgoing.send()
        finally:
            self._outgoing.drop()
            self._tell()

    def _tell(self) -> None:
        """Have the stats say what is out."""
        out = [each for each in self._ledger.entries if each.state != "ended"]
        stats = self._work.stats
        stats.out = sum(each.rows for each in out)
        stats.batches = [
            f"{each.id or 'a batch'}: {each.told or 'not handed in yet'}, {each.done} of "
            f"{each.rows} rows"
            for each in out
        ]

    # What is out.

    async def _look_at_all(self) -> None:
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
                    raise BatchError(
                        f"{self._provider.name} does not tell of batch {entry.id}: "
                        f"{trouble.message}; it is kept, and the same command asks again"
                    ) from error
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
            self._work.stats.notes.append(
                f"batch {batch.id} has {strange} answers to what was not asked; they are left out"
            )
        if batch.rest in {"cancelled", "expired"}:
            self._work.stats.notes.append(
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
            self._is_full = True
        else:
            self._ledger.most = max(1, entry.rows // 2)
            self._ledger.save()

    # What is read.

    def _look_up(self) -> None:
        """Find out which rows are out, and which have an answer: of several the latest counts."""
        self._entries = {each.number: each for each in self._ledger.entries}
        for entry in reversed(self._ledger.entries):
            self._budget.hold(entry.reserved, entry.rows)
            pairs: Iterator[tuple[bytes, int]]
            if entry.state == "ended":
                pairs = ((key, at + 1) for key, at in self._ledger.places(entry))
            else:
                pairs = ((each.key, 0) for each in self._ledger.rows(entry))
            while chunk := [*itertools.islice(pairs, _CHUNK)]:
                found = self._index.places([key for key, _ in chunk])
                for (key, at), before in zip(chunk, found, strict=True):
                    if before is None:
                        self._index.add(key, (entry.number << _PLACE) | at, met=False)

    async def _take(self, row: Row) -> None:
        """Settle a row that has an answer, leave one alone that is out, or have it go out."""
        place = None if row.key in self._again else self._index.places([row.key])[0]
        if row.key in self._again or (place is not None and not place % (1 << _PLACE)):
            self._work.give_back(row)
        elif place is None:
            await self._hand_out(row, 1)
        else:
            entry = self._entries[place >> _PLACE]
            fetched = self._ledger.answer(entry, place % (1 << _PLACE) - 1)
            await self._settle(row, entry, fetched)

    async def _settle(self, row: Row, entry: Entry, fetched: Fetched) -> None:
        answer, attempts = fetched
        took = Took(entry.created, max(0.0, entry.ended - entry.created), attempts)
        most = self._budget.most(row)
        if answer.fate == "answered":
            try:
                with self._provider.answering(answer):
                    said = await self._asker.ask(row)
            except Exception as error:  # noqa: BLE001  each is a row's result
                trouble = trouble_of(error)
            else:
                result = answered(row, said.message, said.parsed, took, self._form)
                self._budget.settle(most, result.cost)
                self._work.settle(result)
                return
        else:
            trouble = _TROUBLES[answer.fate]
        self._budget.settle(most, 0.0)
        if trouble.may_pass and attempts <= self._max_retries:
            self._again.add(row.key)
            await self._hand_out(row, attempts + 1)
            return
        # Whosever fault it was, the provider has given its answer to this row.
        self._work.settle(failed(row, dataclasses.replace(trouble, kind="row"), took, self._form))

    async def _hand_out(self, row: Row, attempts: int) -> None:
        """Have a row go out with the next batch."""
        if self._is_full:
            self._again.discard(row.key)
            self._work.give_back(row)
            return
        cost = self._budget.most(row)
        if not self._budget.allows(cost):
            self._work.give_back(row)
            self._work.stop(_SPENT)
            return
        form = self._provider.format
        try:
            body = self._asker.body(row)
            line = form.line(row.key.hex(), self._provider.path, body)
            if len(line) > form.size:
                raise BatchError(f"it takes {len(line)} bytes, and a batch {form.size}")  # noqa: TRY301
        except Exception as error:  # noqa: BLE001  each is a row's result
            trouble = dataclasses.replace(trouble_of(error), kind="row")
            self._work.settle(failed(row, trouble, NOTHING, self._form))
            return
        self._budget.hold(cost, 1)
        await self._outgoing.put(line, Request(row.key, attempts), cost)
        if attempts == 1:
            self._index.add(row.key, self._outgoing.number << _PLACE, met=True)
        self._work.give_back(row)

    # The end.

    def tidy(self) -> None:
        """Forget batches all of whose answers stand in the output, which has been written.

        Answers to rows that were not read are kept: they are paid for.
        """
        for entry in [each for each in self._ledger.entries if each.state == "ended"]:
            places = [*self._left(entry)]
            if places:
                self._work.stats.notes.append(
                    f"{len(places)} answers of batch {entry.id} are to rows that were not read; "
                    f"they are kept in {self._ledger.path}"
                )
            self._ledger.keep(entry, places)
        self._ledger.clear()

    def _left(self, entry: Entry) -> Iterator[int]:
        pairs = self._ledger.places(entry)
        while chunk := [*itertools.islice(pairs, _CHUNK)]:
            found = self._store.find([key for key, _ in chunk])
            for (key, at), place in zip(chunk, found, strict=True):
                if place == NEW and key not in self._again:
                    yield at

    async def abandon(self) -> None:
        """Cancel what is out, and forget all that is kept.

        Raises:
            BatchError: It can't be told what is out, or it can't be cancelled.
        """
        for entry in [*self._ledger.entries]:
            if entry.state == "sending" and await self._tried(
                entry, lambda entry=entry: self._outgoing.is_found(entry)
            ):
                if not entry.id:
                    raise BatchError(f"a batch of {entry.rows} rows is {entry.told}; try later")
            if entry.id and entry.state == "out":
                await self._cancel(entry)
        self._ledger.entries.clear()
        self._ledger.clear()

    async def _cancel(self, entry: Entry) -> None:
        batch = await self._tried(entry, lambda: self._provider.look(entry.id))
        if not batch.has_ended:
            await self._tried(entry, lambda: self._provider.cancel(entry.id))
            self._work.stats.notes.append(f"batch {entry.id} was cancelled")


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
                    raise BatchError(
                        f"{provider.name} does not tell of batch {entry.id}: {error}; it is kept, "
                        "and the same command asks again"
                    ) from error
                continue
            if batch.has_ended:
                return
        pause = min(longest, pause * 1.5)
