"""What is left to do: rows to ask come out of it, results go into it and onto the disk."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Any

from chatwright.errors import BatchError
from chatwright.run.batch.arriving import AsTheyCome, Whole
from chatwright.run.batch.failures import Trouble
from chatwright.run.batch.index import AGAIN, HERE, NEW
from chatwright.run.batch.inputs import Source
from chatwright.run.batch.order import Order
from chatwright.run.batch.results import NOTHING, Result, copied, failed
from chatwright.run.batch.row import Job, Row
from chatwright.run.batch.stats import Stats
from chatwright.run.batch.store import Store

__all__ = ["Work"]

_CHUNK = 512
"""How many rows are read, looked up and ordered together."""
_UNWRITTEN = 4096
"""How many results, and equal rows, may wait until no more is read."""
_GROUP = 256
"""How many results are written together at most."""
_GROUP_SECONDS = 0.01
"""How long results are gathered before they are written together."""
_PREFIX = 2048
"""By how much of their prompts rows are ordered, so that those go together that begin alike."""
_SYSTEMIC = 10
"""After how many failures in a row that are none of the rows' own a run stops."""


class _Asked:
    """A row that is being asked, or whose result is on its way to the disk.

    Args:
        row: The row.
    """

    __slots__ = ("equals", "names", "result")

    def __init__(self, row: Row) -> None:
        self.equals: list[Row] = []
        self.names = {row.name}
        self.result: Result | None = None


class Work:
    """What is left to do of a job.

    Args:
        job: What is asked of which model.
        source: The rows.
        store: What is done.
        stats: How far it has come.
        limit: How many rows are read at most; None for all.
        order: Takes the marks of rows in the input's order; None where that is of no matter.
    """

    def __init__(
        self,
        job: Job,
        source: Source,
        store: Store,
        stats: Stats,
        *,
        limit: int | None = None,
        order: Order | None = None,
    ) -> None:
        """Begin with nothing read."""
        self._job = job
        records = islice(iter(source), limit)
        self._pieces = Whole(records) if source.again else AsTheyCome(records)
        self._store = store
        self.stats = stats
        self.order = order
        self._ready: deque[Row] = deque()
        self._next: asyncio.Task[list[Row]] | None = None
        self._fetching = asyncio.Lock()
        self._has_ended = False
        self._asked: dict[bytes, _Asked] = {}
        self._waiting = 0
        self._numbers: dict[bytes, int] = {}
        self._results: list[tuple[Result, bool]] = []
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._is_ending = False
        self._group = _GROUP
        self._held: list[Result] = []
        self.broken: BaseException | None = None
        self.why_stopped = ""

    # Rows come out.

    async def take(self) -> Row | None:
        """Return the next row to ask; None when there is no more, or no more is to be asked.

        Raises:
            LoadError: The input can't be read any further.
        """
        while not self._ready:
            async with self._fetching:
                if not self._ready and not await self._fetch():
                    return None
        if self.is_stopped:
            return None
        return self._ready.popleft()

    @property
    def is_stopped(self) -> bool:
        """Whether no more is to be asked."""
        return bool(self.why_stopped) or self.broken is not None

    def stop(self, why: str) -> None:
        """Ask no more; what is being asked may end.

        Args:
            why: For people.
        """
        self.why_stopped = self.why_stopped or why
        self._room.set()

    def give_back(self, row: Row) -> None:
        """Take a row back that was not asked; it is asked when the job is resumed."""
        asked = self._asked.pop(row.key, None)
        self._waiting -= len(asked.equals) if asked else 0

    async def _fetch(self) -> bool:
        """Read some more rows; tell whether there were any."""
        while self._waiting + len(self._results) > _UNWRITTEN and not self.is_stopped:
            self._room.clear()
            await self._room.wait()
        if self._has_ended or self.is_stopped:
            return False
        rows = await (self._next or self._read())
        self._next = None
        if not rows:
            self._has_ended = True
            return False
        self._next = asyncio.ensure_future(self._read())
        if not self.stats.read:
            _look_at(rows)
        self.stats.read += len(rows)
        self._sort_out(rows)
        return True

    async def _read(self) -> list[Row]:
        return await asyncio.to_thread(self._chunk)

    def _chunk(self) -> list[Row]:
        return [self._job.row(each) for each in self._pieces.some(_CHUNK)]

    def _sort_out(self, rows: Sequence[Row]) -> None:
        """Find out which rows are done, which equal another one, and which are to be asked."""
        marks = [row.mark for row in rows]
        firsts = [*dict.fromkeys(marks)]
        found = dict(zip(firsts, self._store.find(firsts), strict=True))
        new: list[Row] = []
        for row, mark in zip(rows, marks, strict=True):
            place = found.pop(mark, None)
            if place is None:  # it stands in this chunk once more
                place = self._store.find([mark])[0]
            if place == HERE and self.order is None:
                self.stats.found += 1
            else:
                self._sort(row, place, new)
        new.sort(key=_prefix)
        self._ready.extend(new)

    def _sort(self, row: Row, place: int, new: list[Row]) -> None:
        asked = self._asked.get(row.key)
        if place == AGAIN or (asked and row.name in asked.names):
            if row.id is None:
                self._sort(*self._numbered(row), new)
            else:
                self.stats.repeated += 1
            return
        if self.order is not None:
            self.order.append(row.mark)
        if place == HERE:
            self.stats.found += 1
        elif asked:
            self._join(row, asked)
        elif place != NEW and (answer := self._store.answer_at(place, row.key)):
            self._put(copied(row, answer), is_copy=True)
        else:
            self._asked[row.key] = _Asked(row)
            if row.problem:
                trouble = Trouble("InvalidRow", row.problem)
                self.settle(failed(row, trouble, NOTHING, self._store.form))
            else:
                new.append(row)

    def _join(self, row: Row, asked: _Asked) -> None:
        """Have a row share the result of an equal one."""
        asked.names.add(row.name)
        if asked.result is not None:
            self._put(copied(row, asked.result.fields, asked.result.trouble), is_copy=True)
        else:
            asked.equals.append(row)
            self._waiting += 1

    def _numbered(self, row: Row) -> tuple[Row, int]:
        """Return a row without an id as the next of its equals, and whether that one is done."""
        number = self._numbers[row.key] = self._numbers.get(row.key, 1) + 1
        again = Row(row.key, None, row.place, row.asked, row.problem, number)
        return again, self._store.find([again.mark])[0]

    # Results go in.

    def settle(self, result: Result) -> None:
        """Take what came of a row; its equals share it."""
        trouble = result.trouble
        if trouble is not None and trouble.kind != "row":
            self._held.append(result)
            if len(self._held) >= _SYSTEMIC:
                self.broken = BatchError(
                    f"{len(self._held)} rows in a row failed, and not by their own fault "
                    f"({trouble.type}: {trouble.message}); they are asked again when this is "
                    "resumed"
                )
                self._held.clear()
            return
        if trouble is None:
            self._release()
        self._share(result)

    def _release(self) -> None:
        held, self._held = self._held, []
        for each in held:
            self._share(each)

    def _share(self, result: Result) -> None:
        self._put(result, is_copy=False)
        asked = self._asked[result.row.key]
        asked.result = result
        for row in asked.equals:
            self._put(copied(row, result.fields, result.trouble), is_copy=True)
        self._waiting -= len(asked.equals)
        asked.equals = []

    def _put(self, result: Result, *, is_copy: bool) -> None:
        self._results.append((result, is_copy))
        self._news.set()
        if self._writer is None:
            self._writer = asyncio.ensure_future(self._write())

    async def _write(self) -> None:
        """Write results in groups until there is an end."""
        while not self._is_ending:
            await self._news.wait()
            await asyncio.sleep(_GROUP_SECONDS)
            await self._write_group()

    async def _write_group(self) -> None:
        self._news.clear()
        while self._results and await self._write_some():
            pass

    async def _write_some(self) -> bool:
        """Write some of the results; tell whether that went well."""
        group, self._results = self._results[: self._group], self._results[self._group :]
        results = [each for each, _ in group]
        try:
            places = await asyncio.to_thread(self._store.write, results)
        except OSError as error:
            self._results = group + self._results
            if len(group) > 1:  # some of them may fit
                self._group = len(group) // 2
                return True
            self.broken = self.broken or BatchError(
                f"results can't be written: {error}; what stands in the output is kept, and the "
                "rest is asked when this is resumed"
            )
            self._room.set()
            return False
        self._store.note(results, places)
        for result, is_copy in group:
            self.stats.add(result, is_copy=is_copy)
            if not is_copy:
                self._asked.pop(result.row.key, None)
        self._room.set()
        return True

    async def end(self) -> None:
        """Write what is left.

        Raises:
            BatchError: It can't be written.
        """
        self._pieces.stop()
        if self._next is not None:
            with contextlib.suppress(Exception):
                await self._next
        if self.broken is None and not self.why_stopped:
            self._release()
        self._is_ending = True
        self._news.set()
        if self._writer is not None:  # it may be writing: what it wrote has to be noted
            await self._writer
        await self._write_group()


def _look_at(rows: Sequence[Row]) -> None:
    """Look at the first rows.

    Raises:
        BatchError: None of them can be asked.
    """
    if len(rows) >= _SYSTEMIC and all(each.problem for each in rows):
        why = f"{rows[0].place}: {rows[0].problem}"
        raise BatchError(f"none of the first {len(rows)} rows can be asked: {why}")


def _prefix(row: Row) -> str:
    asked: Any = row.asked
    if type(asked) is str:
        return asked[:_PREFIX]
    talk: Any = asked[1].get("messages", ()) if type(asked) is tuple else asked
    said = (each.get("content") if isinstance(each, dict) else each for each in talk[:2])
    return "".join(map(str, said))[:_PREFIX]
