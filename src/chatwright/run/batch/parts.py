"""A folder of Parquet files: results are journaled, and become a part when there are enough."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from chatwright.errors import BatchError
from chatwright.run.batch.journal import Journal, Repair
from chatwright.wires import jsonio

__all__ = ["Parts"]

_ROWS = 50_000
"""How many rows a part has."""
_CALL = pa.struct([("name", pa.string()), ("args", pa.string()), ("id", pa.string())])
_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("id", pa.string()),
        ("text", pa.string()),
        ("reasoning", pa.string()),
        ("tool_calls", pa.list_(_CALL)),
        ("parsed", pa.string()),
        ("blocks", pa.string()),
        ("invalid_tool_calls", pa.string()),
        ("finish_reason", pa.string()),
        ("usage", pa.string()),
        ("input_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
        ("cost", pa.float64()),
        ("started", pa.timestamp("ms", tz="UTC")),
        ("seconds", pa.float64()),
        ("attempts", pa.int64()),
    ]
)
_JSON = ("parsed", "blocks", "invalid_tool_calls", "usage")
"""Columns that hold JSON, as text: what has a form of its own in each row."""
_KNOWN = ("key", "id", "cost", "input_tokens", "output_tokens", "attempts")
_PLACE = 32
"""A place is a part's number, and then by so many bits the row's in it."""


class Parts:
    """A folder of Parquet files, and the results on their way there.

    Args:
        path: The folder.
        rows: How many rows a part has.
    """

    def __init__(self, path: Path, rows: int = _ROWS) -> None:
        """Open nothing yet."""
        self.path = path
        self.repair = Repair(0, None)
        self._rows = rows
        self._number = 0
        self._open: Journal | None = None
        self._places: list[int] = []
        self._part: tuple[int, list[dict[str, Any]]] | None = None

    def _file(self, number: int) -> Path:
        return self.path / f"part-{number:05}.parquet"

    def _journal(self, number: int) -> Path:
        return self.path / f"_part-{number:05}.jsonl"

    def scan(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield where each result stands, and what has to be known of it.

        Raises:
            BatchError: A part can't be read.
            OSError: Likewise.
        """
        if not self.path.exists():
            return
        numbers = sorted(int(each.stem[5:]) for each in self.path.glob("part-*.parquet"))
        self._number = numbers[-1] + 1 if numbers else 0
        for number in numbers:
            self._journal(number).unlink(missing_ok=True)  # a kill came between the two
            yield from self._known(number)
        journal = Journal(self._journal(self._number))
        for place, fields in journal.scan():
            yield self._place(len(self._places)), fields
            self._places.append(place)
        self.repair = journal.repair
        self._open = journal

    def _place(self, row: int) -> int:
        return (self._number << _PLACE) + row

    def _known(self, number: int) -> Iterator[tuple[int, dict[str, Any]]]:
        path, row = self._file(number), 0
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(columns=[*_KNOWN]):
                    for fields in batch.to_pylist():
                        yield (number << _PLACE) + row, {**fields, "usage": fields}
                        row += 1
        except (pa.ArrowException, OSError) as error:
            raise BatchError(
                f"{path} can't be read: {error}; move it away, and its rows are asked again"
            ) from error

    def whole(self) -> Iterator[dict[str, Any]]:
        """Yield all results as they were written; nothing is changed.

        Raises:
            BatchError: A part can't be read.
            OSError: Likewise.
        """
        for path in sorted(self.path.glob("part-*.parquet")):
            try:
                with pq.ParquetFile(path) as file:
                    for batch in file.iter_batches(1024):
                        yield from map(_fields, batch.to_pylist())
            except (pa.ArrowException, OSError) as error:
                raise BatchError(f"{path} can't be read: {error}") from error
        for path in sorted(self.path.glob("_part-*.jsonl")):
            if not path.with_name(f"{path.stem[1:]}.parquet").exists():
                yield from Journal(path).whole()

    def append(self, lines: Sequence[bytes]) -> list[int]:
        """Write results, and return where each of them stands once all are on the disk.

        Raises:
            OSError: They can't be written: none of them is.
        """
        self._open = self._open or Journal(self._journal(self._number))
        first = len(self._places)
        self._places += self._open.append(lines)
        places = [self._place(row) for row in range(first, len(self._places))]
        if len(self._places) >= self._rows:
            self._close_part()
        return places

    def _close_part(self) -> None:
        """Make a part of what is journaled."""
        journal = self._open
        if journal is None or not journal.path.exists():
            return
        journal.close()
        rows = [_row(fields) for _, fields in journal.scan()]
        made = self.path / f"_part-{self._number:05}.parquet"
        pq.write_table(pa.Table.from_pylist(rows, _SCHEMA), made, compression="zstd")
        with made.open("r+b") as file:  # Windows syncs only what may be written
            os.fsync(file.fileno())
        made.replace(self._file(self._number))
        journal.path.unlink()
        self._open, self._places = None, []
        self._number += 1

    def read(self, place: int) -> dict[str, Any]:
        """Return the result that stands at a place.

        Raises:
            OSError: It can't be read.
        """
        number, row = place >> _PLACE, place & ((1 << _PLACE) - 1)
        if number == self._number and self._open is not None:
            return self._open.read(self._places[row])
        if self._part is None or self._part[0] != number:
            self._part = (number, pq.read_table(self._file(number)).to_pylist())
        return _fields(self._part[1][row])

    def rearrange(self, places: Iterable[int]) -> None:
        """Refuse: `Run` does so beforehand.

        Raises:
            BatchError: Always.
        """
        raise BatchError("a folder of Parquet files can't be put into the input's order")

    def close(self) -> None:
        """Make a last part."""
        self._close_part()


def _row(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result as a row of a table."""
    usage = fields.get("usage") or {}
    calls = [{**call, "args": _text(call["args"])} for call in fields.get("tool_calls") or ()]
    row = {name: fields.get(name) for name in _SCHEMA.names}
    row |= {name: None if row[name] is None else _text(row[name]) for name in _JSON}
    row |= {"tool_calls": calls, "started": round(fields["started"] * 1000)}
    return row | {name: usage.get(name) for name in ("input_tokens", "output_tokens")}


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of a table as the result that it was."""
    fields = {name: each for name, each in row.items() if each is not None}
    fields |= {name: json.loads(fields[name]) for name in _JSON if name in fields}
    fields["tool_calls"] = [{**c, "args": json.loads(c["args"])} for c in row["tool_calls"]]
    fields["started"] = row["started"].timestamp()
    return fields


def _text(value: Any) -> str:
    return jsonio.dumps(value).decode()
