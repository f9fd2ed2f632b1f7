"""Rows are asked by a provider's own batches: handed in, come back for, and collected."""

import asyncio
import dataclasses
import itertools
from collections.abc import Iterator, Mapping

from chatwright.errors import BatchError
from chatwright.run.batch.asking import Asker
from chatwright.run.batch.budget import Budget
from chatwright.run.batch.failures import Trouble, trouble_of
from chatwright.run.batch.incoming import Incoming
from chatwright.run.batch.index import NEW, Index
from chatwright.run.batch.ledger import Entry, Fetched, Ledger, Request
from chatwright.run.batch.outgoing import Outgoing
from chatwright.run.batch.provider import Provider
from chatwright.run.batch.results import NOTHING, Format, Took, answered, failed
from chatwright.run.batch.row import Row
from chatwright.run.batch.store import Store
from chatwright.run.batch.work import Work
from chatwright.wires.batches import Fate

__all__ = ["Remote"]

_TROUBLES: Mapping[Fate, Trouble] = {
    "expired": Trouble("BatchExpired", "the provider did not come to it in time", "away"),
    "missing": Trouble("NoAnswer", "the batch has ended without a word of this row", "away"),
    "cancelled": Trouble("BatchCancelled", "the batch was cancelled before it came to this row"),
}
_PLACE = 40
"""A place is a batch's number, and then by so many bits where its answer stands, from 1; 0 while it
is out."""
_CHUNK = 4096
_TURN = 64
"""After how many rows the loop has its turn."""
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
        self.asker = asker
        self._provider = provider
        self._ledger = ledger
        self._budget = budget
        self._form = form
        self._max_retries = max_retries
        self._outgoing = Outgoing(provider, ledger, max_retries)
        self._index = Index()
        self._again: set[bytes] = set()
        self._entries: dict[int, Entry] = {}
        self.incoming = Incoming(provider, ledger, self._outgoing, max_retries, work.stats.notes)

    async def run(self) -> None:
        """Collect what is ready, and hand in what is left.

        Raises:
            BatchError: The provider refuses a batch, or does not tell of one.
            LoadError: The input can't be read any further.
        """
        try:
            await self.incoming.look_at_all()
            self._tell()
            await asyncio.to_thread(self._look_up)
            turns = itertools.count(1)
            while (row := await self._work.take()) is not None:
                await self._take(row)
                if next(turns) % _TURN == 0:
                    await asyncio.sleep(0)
            if self._work.why_stopped in {"", _SPENT} and self._work.broken is None:
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
                    said = await self.asker.ask(row)
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
        if self.incoming.is_full:
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
            body = self.asker.body(row)
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
