"""Which of a provider's batches are out, and with which rows: on the disk before anything goes out.

A batch is noted before it is made (`sending`), and what it is called once it is (`out`). So after a
kill in between it is looked for, and is neither lost nor made twice. When it has ended, its answers
are fetched whole (`ended`), and it is forgotten once all of them stand in the output.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from chatwright.errors import BatchError
from chatwright.run.batch.manifest import written
from chatwright.wires import jsonio
from chatwright.wires.batches import Answer

__all__ = ["Entry", "Fetched", "Ledger", "Request"]

_KEY = 16
_RECORD = _KEY + 1
_MOST_ATTEMPTS = 255


class Request(NamedTuple):
    """A row that goes out.

    Args:
        key: Its key.
        attempts: How often it has gone out, with this time.
    """

    key: bytes
    attempts: int


class Fetched(NamedTuple):
    """What became of a row.

    Args:
        answer: What came.
        attempts: How often it has gone out.
    """

    answer: Answer
    attempts: int


@dataclass
class Entry:
    """One batch.

    Attributes:
        number: Which of this output's it is; its files are called by it.
        token: What it is called, unlike any other.
        state: Whether it is being made, is out, or has ended and its answers are here.
        rows: How many rows it has.
        reserved: What they may cost at most, in USD; 0 without a budget.
        before: The id of the provider's newest batch before this one was made.
        file: The provider's id of the file of requests; empty for none.
        id: The provider's id of the batch; empty until it is known.
        created: When it was made, in seconds since 1970.
        ended: When its end was seen.
        told: The provider's word for its state.
        done: How many of its rows have ended, as the provider says.
    """

    number: int
    token: str
    state: Literal["sending", "out", "ended"] = "sending"
    rows: int = 0
    reserved: float = 0.0
    before: str | None = None
    file: str = ""
    id: str = ""
    created: float = 0.0
    ended: float = 0.0
    told: str = ""
    done: int = 0


@dataclass
class Ledger:
    """The batches of one output that are not done with.

    Args:
        path: The folder that they are kept in.
        entries: They, the oldest first.
        most: How many rows a new one may have; None for the provider's limit.
    """

    path: Path
    entries: list[Entry] = field(default_factory=list)
    most: int | None = None
    _numbers: int = 0

    @classmethod
    def read(cls, path: Path) -> "Ledger":
        """Return what is noted; nothing where nothing is.

        Raises:
            BatchError: It can't be read.
            OSError: Likewise.
        """
        ledger = cls(path)
        try:
            told = json.loads(ledger._file.read_text("utf-8"))
            ledger.entries = [Entry(**each) for each in told["batches"]]
            ledger.most, ledger._numbers = told["most"], told["numbers"]
        except FileNotFoundError:
            return ledger
        except (ValueError, KeyError, TypeError) as error:
            raise BatchError(
                f"{ledger._file} can't be read ({error}): it says which batches are out; put it "
                "right, or move it away once none is"
            ) from None
        return ledger

    @property
    def _file(self) -> Path:
        return self.path / "ledger.json"

    def save(self) -> None:
        """Put it on the disk."""
        batches = [asdict(each) for each in self.entries]
        told = {"batches": batches, "most": self.most, "numbers": self._numbers}
        self.path.mkdir(exist_ok=True)
        written(self._file, told)

    def requests(self, entry: Entry) -> Path:
        """Return where the requests of a batch stand."""
        return self.path / f"{entry.number:05}.requests.jsonl"

    def _keys(self, entry: Entry) -> Path:
        return self.path / f"{entry.number:05}.keys"

    def _answers(self, entry: Entry) -> Path:
        return self.path / f"{entry.number:05}.answers.jsonl"

    def begin(self, token: str) -> Entry:
        """Return a new batch, of which nothing is noted yet."""
        self._numbers += 1
        entry = Entry(self._numbers, token)
        self.path.mkdir(exist_ok=True)
        return entry

    def add(self, entry: Entry, rows: Sequence[Request]) -> None:
        """Note that a batch is about to be made; its requests stand in their file.

        Args:
            entry: The batch.
            rows: Its rows, in the order of their requests.
        """
        records = b"".join(k + bytes([min(n, _MOST_ATTEMPTS)]) for k, n in rows)
        with self._keys(entry).open("wb") as file:
            file.write(records)
            _sync(file)
        entry.rows = len(rows)
        self.entries.append(entry)
        self.save()

    def rows(self, entry: Entry) -> list[Request]:
        """Return the rows of a batch that is being made, or out."""
        data = self._keys(entry).read_bytes()
        return [
            Request(data[at : at + _KEY], data[at + _KEY]) for at in range(0, len(data), _RECORD)
        ]

    @contextlib.contextmanager
    def fetching(self, entry: Entry) -> Iterator[Callable[[Fetched], None]]:
        """Take what became of each row of a batch, and note at the end that it has ended.

        Args:
            entry: The batch.
        """
        made = self._answers(entry).with_suffix(".new")
        with made.open("wb") as file:

            def put(each: Fetched) -> None:
                (key, fate, status, body), attempts = each
                file.write(jsonio.dumps([key, fate, status, attempts, body]) + b"\n")

            yield put
            _sync(file)
        made.replace(self._answers(entry))
        entry.state = "ended"
        self.save()
        self.requests(entry).unlink(missing_ok=True)
        self._keys(entry).unlink(missing_ok=True)

    def places(self, entry: Entry) -> Iterator[tuple[bytes, int]]:
        """Yield the key of each answer of a batch that has ended, and where it stands."""
        at = 0
        with self._answers(entry).open("rb") as file:
            for line in file:
                yield bytes.fromhex(line[2 : 2 + 2 * _KEY].decode()), at
                at += len(line)

    def answer(self, entry: Entry, place: int) -> Fetched:
        """Return what became of a row.

        Args:
            entry: The batch, which has ended.
            place: Where it stands.
        """
        with self._answers(entry).open("rb") as file:
            file.seek(place)
            return _read(file.readline())

    def keep(self, entry: Entry, places: Sequence[int]) -> None:
        """Keep some answers of a batch only: the others stand in the output.

        Args:
            entry: The batch.
            places: Where those stand.
        """
        if not places:
            self.entries.remove(entry)
            self.save()
            self._answers(entry).unlink(missing_ok=True)
            return
        if len(places) == entry.rows:
            return
        entry.reserved *= len(places) / entry.rows
        entry.rows = len(places)
        with self.fetching(entry) as put:
            for place in places:
                put(self.answer(entry, place))

    def forget(self, entry: Entry) -> None:
        """Take it that a batch was never made: its rows go out anew."""
        self.entries.remove(entry)
        self.save()
        self.requests(entry).unlink(missing_ok=True)
        self._keys(entry).unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all that is kept where nothing is out, and what a kill left of no batch."""
        if not self.entries:
            shutil.rmtree(self.path, ignore_errors=True)
            return
        numbers = {f"{each.number:05}" for each in self.entries}
        for each in self.path.iterdir():
            if each.name[:5].isdecimal() and each.name[:5] not in numbers:
                each.unlink()


def _read(line: bytes) -> Fetched:
    key, fate, status, attempts, body = jsonio.loads(line)
    return Fetched(Answer(key, fate, status, body), attempts)


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
