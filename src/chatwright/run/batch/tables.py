"""Arrow tables and Parquet files to records.

A row's values become what JSON holds, the same in each run:

- dates, times, timestamps: ISO 8601, in UTC where there is a time zone; durations: `PT1.5S`;
- decimals, UUIDs: text; bytes: base64; NaN and null: None;
- maps: dicts where their keys are text, otherwise lists of pairs.

An infinite number is nothing that JSON holds: its row can't be read. An index of pandas' that has
no name (`__index_level_0__`) is left out: it is what remains of the rows' former numbers.
"""

import base64
import datetime as dt
import json
import math
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from types import SimpleNamespace
from typing import Any, NamedTuple

from chatwright.errors import LoadError, MissingExtraError, ParameterError
from chatwright.run.batch.lines import Record, unreadable

__all__ = ["of_parquet", "of_stream", "of_tables", "parquet_rows", "pyarrow", "unzstd"]

ROWS = 1024
"""Rows that are converted at once, at most."""
SIZE = 4 << 20
"""Bytes of Arrow data that are converted at once, about."""
BUFFER = 1 << 20
"""Bytes of each column of a Parquet file that are read at once."""


def pyarrow() -> Any:
    """Return the library.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415  an optional dependency
    except ImportError as error:
        raise MissingExtraError("pyarrow", "batch") from error
    return pa


@contextmanager
def unzstd(file: Any) -> Iterator[Any]:
    """Give an object whose `read1` reads a Zstandard file's content.

    It does so in small pieces, as an error takes the one that it is in with it.

    pyarrow reads all frames of a file and tells one that is cut short; zstandard's reader, which
    fsspec takes, stops at the first frame's end without a word (indygreg/python-zstandard#59).
    """
    pa = pyarrow()
    with pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd") as stream:
        yield SimpleNamespace(read1=lambda size: stream.read(min(size, 4 << 10)))


def _parquet(file: Any, name: str) -> Any:
    pyarrow()
    from pyarrow import parquet  # noqa: PLC0415

    try:
        return parquet.ParquetFile(
            file,
            buffer_size=BUFFER,
            pre_buffer=False,  # it would read a whole row group, which may be the whole file
            page_checksum_verification=True,
        )
    except Exception as error:  # pyarrow's, or whatever the library behind a filesystem raises
        raise LoadError(
            f"{name} can't be read as Parquet: {error}; is it whole, and is it Parquet?"
        ) from error


def parquet_rows(file: Any, name: str) -> int:
    """Return how many rows a Parquet file has, by its metadata.

    Raises:
        LoadError: It is no whole Parquet file.
        MissingExtraError: pyarrow is not installed.
    """
    return int(_parquet(file, name).metadata.num_rows)


def of_parquet(file: Any, name: str) -> Iterator[Record]:
    """Yield the records of a Parquet file, an open one that can be sought in.

    Raises:
        LoadError: It is no whole Parquet file, is damaged, or has columns that can't be read.
        MissingExtraError: pyarrow is not installed.
    """
    parquet = _parquet(file, name)
    return _records(_batches(parquet), parquet.schema_arrow, name)


def _batches(parquet: Any) -> Iterator[Any]:
    """Yield batches, each of one row group: damage in the next one takes none of its rows."""
    for group in range(parquet.metadata.num_row_groups):
        about = parquet.metadata.row_group(group)
        rows = _rows_at_once(about.total_byte_size, about.num_rows)
        yield from parquet.iter_batches(batch_size=rows, row_groups=[group])


def of_stream(stream: Any) -> Iterator[Record]:
    """Yield the records of anything that has `__arrow_c_stream__`.

    Raises:
        LoadError: It fails, or has columns that can't be read.
        MissingExtraError: pyarrow is not installed.
        ParameterError: It is one column, not a table, or no stream can be made of it.
    """
    pa = pyarrow()
    try:
        reader = pa.RecordBatchReader.from_stream(stream)
    except Exception as error:  # pyarrow's, or that of whoever makes the stream
        raise ParameterError(
            f"rows can't be read as a table: {error}; give a list: of one column rows.to_list(), "
            "of a table one of dicts"
        ) from error
    return _records(_sliced(reader), reader.schema)


def of_tables(tables: Iterable[Any]) -> Iterator[Record]:
    """Yield the records of pyarrow tables that have the same columns.

    Raises:
        LoadError: They fail, or have columns that can't be read.
    """
    found = iter(tables)
    first = next(found, None)
    if first is None:
        return iter(())
    batches = (batch for table in chain([first], found) for batch in table.to_batches())
    return _records(_sliced(batches), first.schema)


def _rows_at_once(size: int, rows: int) -> int:
    return max(1, min(ROWS, SIZE * rows // max(size, 1)))


def _bytes(batch: Any) -> int:
    try:
        return int(batch.nbytes)
    except pyarrow().ArrowTypeError:  # pyarrow 17 can't tell it of views
        return int(batch.get_total_buffer_size())


def _sliced(batches: Iterable[Any]) -> Iterator[Any]:
    for batch in batches:
        step = _rows_at_once(_bytes(batch), batch.num_rows)
        for start in range(0, batch.num_rows, step):
            yield batch.slice(start, step)


def _records(batches: Iterator[Any], schema: Any, name: str = "") -> Iterator[Record]:
    prefix = f"{name}, row" if name else "row"
    name = name or "the table"
    columns = _Columns(schema, name)
    number = 0
    while True:
        try:
            batch = next(batches, None)
        except Exception as error:  # pyarrow's, or that of whoever makes the stream
            raise LoadError(f"{name} can't be read on after row {number}: {error}") from error
        if batch is None:
            return
        try:
            values = columns.rows(batch)
        except columns.errors:
            for row in range(batch.num_rows):
                yield columns.one(batch.slice(row, 1), f"{prefix} {number + row + 1}")
        else:
            for row, value in enumerate(values, number + 1):
                yield Record(f"{prefix} {row}", value, b"")
        number += batch.num_rows


class _Columns:
    """A table's columns, and what makes values of each."""

    def __init__(self, schema: Any, name: str) -> None:
        self.errors = (ArithmeticError, ValueError, pyarrow().ArrowException)
        for each in schema.names:
            if schema.names.count(each) > 1:
                raise LoadError(f"{name}: two columns are called {each!r}; rename one")
        self._columns: list[tuple[int, str, _Shape]] = []
        for index, field in enumerate(schema):
            if not re.fullmatch(r"__index_level_\d+__", field.name):
                try:
                    self._columns.append((index, field.name, _shape(field.type)))
                except KeyError:
                    raise LoadError(
                        f"{name}: the column {field.name!r} is of the type {field.type}, which "
                        "can't be read; cast it, or leave it out"
                    ) from None
        if not self._columns:
            raise LoadError(f"{name} has no columns")

    def rows(self, batch: Any) -> Iterator[dict[str, Any]]:
        names = [name for _, name, _ in self._columns]
        values = [_values(batch.column(index), shape) for index, _, shape in self._columns]
        return (dict(zip(names, row, strict=True)) for row in zip(*values, strict=True))

    def one(self, row: Any, place: str) -> Record:
        """Return the record of a batch's only row; what can be read of it where not all can."""
        value, problems = {}, []
        for index, name, shape in self._columns:
            try:
                [value[name]] = _values(row.column(index), shape)
            except self.errors as error:
                problems.append(f"the column {name!r} can't be read: {error}")
        if not problems:
            return Record(place, value, b"")
        return unreadable(
            place, json.dumps(value, ensure_ascii=False).encode(), "; ".join(problems)
        )


class _Shape(NamedTuple):
    """A type that a column is cast to, and what makes JSON's of its values, None where they are."""

    kind: Any
    value: Callable[[Any], Any] | None = None


def _values(column: Any, shape: _Shape) -> list[Any]:
    values: list[Any] = (
        column if column.type == shape.kind else column.cast(shape.kind)
    ).to_pylist()
    return _each(values, shape.value)


def _each(values: list[Any], value: Callable[[Any], Any] | None) -> list[Any]:
    return values if value is None else [None if x is None else value(x) for x in values]


TEXT = {"string", "large_string", "string_view"}
PLAIN = {"null", "bool", *TEXT}
PLAIN |= {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}


def _shape(kind: Any) -> _Shape:
    """Return what a column of this type needs.

    Types are known by the word that they are written with, which later versions of pyarrow know
    more of than its earlier ones have functions for.

    Raises:
        KeyError: There is nothing like it in JSON, or no way to it.
    """
    pa = pyarrow()
    word = _word(kind)
    if word == "extension":
        if kind.extension_name == "arrow.uuid":
            return _Shape(kind.storage_type, lambda value: str(uuid.UUID(bytes=value)))
        return _shape(kind.storage_type)
    if word == "dictionary":
        of = _shape(kind.value_type)
        return of if of.kind != kind.value_type else _Shape(kind, of.value)
    if word in PLAIN:
        return _Shape(kind)
    if word in NESTED:
        return NESTED[word](pa, kind)
    if word in TEMPORAL:
        bits = 32 if word in {"date32", "time32"} else 64
        digits = DIGITS.get(getattr(kind, "unit", ""), 0)
        zone = "Z" if getattr(kind, "tz", None) else ""
        text = TEMPORAL[word]
        return _Shape(getattr(pa, f"int{bits}")(), lambda value: text(value, digits) + zone)
    return _Shape(kind, ATOMS[re.sub(r"\d+$", "", word)])


def _word(kind: Any) -> str:
    found = re.match(r"\w+", str(kind))
    return found[0] if found else ""


def _finite(value: float) -> float | None:
    if math.isinf(value):
        raise ValueError("it is infinite, which JSON has no number for")
    return None if math.isnan(value) else value


ATOMS: dict[str, Callable[[Any], Any]] = {
    "halffloat": lambda value: _finite(float(value)),
    "float": _finite,
    "double": _finite,
    "decimal": lambda value: f"{value:f}",
    "binary": lambda value: base64.b64encode(value).decode(),
}
ATOMS |= {f"{kind}_binary": ATOMS["binary"] for kind in ("large", "fixed_size")}
ATOMS["binary_view"] = ATOMS["binary"]
"""What makes JSON's of a value, by its type's word without the number of bits."""

EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001  the zone is written by whoever knows it


def _fraction(part: int, digits: int) -> str:
    return f".{part:0{digits}}".rstrip("0") if part else ""


def _timestamp(value: int, digits: int) -> str:
    seconds, part = divmod(value, 10**digits)
    return (EPOCH + dt.timedelta(seconds=seconds)).isoformat() + _fraction(part, digits)


def _duration(value: int, digits: int) -> str:
    seconds, part = divmod(abs(value), 10**digits)
    return f"{'-' if value < 0 else ''}PT{seconds}{_fraction(part, digits)}S"


TEMPORAL: dict[str, Callable[[int, int], str]] = {
    "date32": lambda value, _: (EPOCH + dt.timedelta(days=value)).date().isoformat(),
    "date64": lambda value, _: _timestamp(value, 3)[:10],
    "time32": lambda value, digits: _timestamp(value, digits)[11:],
    "time64": lambda value, digits: _timestamp(value, digits)[11:],
    "timestamp": _timestamp,
    "duration": _duration,
}
"""What makes text of the number that stands for a time, given its digits after the second."""


def _list(pa: Any, kind: Any) -> _Shape:
    item = _shape(kind.value_type)
    stored = kind
    if item.kind != kind.value_type:
        stored = getattr(pa, LISTS[_word(kind)])(item.kind)
    value = None if item.value is None else partial(_each, value=item.value)
    return _Shape(stored, value)


def _struct(pa: Any, kind: Any) -> _Shape:
    shapes = {field.name: _shape(field.type) for field in kind}
    stored = pa.struct([field.with_type(shapes[field.name].kind) for field in kind])
    made = {name: shape.value for name, shape in shapes.items() if shape.value}

    def value(fields: dict[str, Any]) -> dict[str, Any]:
        for name, make in made.items():
            if fields[name] is not None:
                fields[name] = make(fields[name])
        return fields

    return _Shape(stored, value if made else None)


def _map(pa: Any, kind: Any) -> _Shape:
    key, item = _shape(kind.key_type), _shape(kind.item_type)
    is_text = str(kind.key_type) in TEXT

    def value(pairs: list[tuple[Any, Any]]) -> Any:
        keys = _each([key for key, _ in pairs], key.value)
        items = _each([item for _, item in pairs], item.value)
        if not is_text:
            return [list(pair) for pair in zip(keys, items, strict=True)]
        if len(set(keys)) < len(keys):
            raise ValueError("a map has a key twice")
        return dict(zip(keys, items, strict=True))

    return _Shape(pa.map_(key.kind, item.kind), value)


LISTS = {"list": "list_", "fixed_size_list": "list_", "large_list": "large_list"}
"""What makes the type that lists are cast to. Views have none: their cast takes the wrong items, or
none at all (apache/arrow#50994), and those whose items need no cast need none either."""
NESTED: dict[str, Callable[[Any, Any], _Shape]] = {"struct": _struct, "map": _map}
NESTED |= dict.fromkeys([*LISTS, "list_view", "large_list_view"], _list)
