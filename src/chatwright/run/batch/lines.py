"""Lines of bytes to records: JSON Lines, CSV, TSV and plain text."""

import csv
import json
import math
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

from chatwright.errors import LoadError
from chatwright.wires.jsonio import has_long_number, quick

__all__ = ["READERS", "Record", "lines", "unreadable"]

LIMIT = 64 << 20
"""Bytes: no line is longer."""
ROW_LIMIT = 16 << 20
"""Bytes: no CSV row of many lines is longer; csv takes four times as much for a field."""
CHEAP = 4 << 10
"""Bytes that may be read again and again in search of the end of a CSV row."""
BLOCK = 1 << 20
"""Bytes that are asked for at once."""
SHOWN = 4 << 10
"""Bytes of what can't be read that a record keeps."""

BINARY = {
    b"\x1f\x8b": "gzip; its name should end in .gz",
    b"BZh91AY&SY": "bzip2; its name should end in .bz2",
    b"\xfd7zXZ\0": "xz; its name should end in .xz",
    b"\x28\xb5\x2f\xfd": "Zstandard; its name should end in .zst",
    b"PAR1\x15": 'Parquet; its name should end in .parquet, or give format="parquet"',
    b"PK\x03\x04": "a zip archive, or a spreadsheet; unpack it, or save it as CSV",
    b"\xff\xfe": "UTF-16; save it as UTF-8",
    b"\xfe\xff": "UTF-16; save it as UTF-8",
}
"""How files begin that hold no UTF-8 text, and what to do with each."""


class Record(NamedTuple):
    """One row of the input.

    Attributes:
        place: Where it stands, for people: "in.jsonl, line 17", "in.parquet, row 3", "row 5".
        value: A dict of its columns or fields, or the thing itself; None where it can't be read,
            unless it was read and can't be taken: its id is known then.
        raw: Where it can't be read, what stands there: at most 4 kB of it.
        problem: Where it can't be read, why, for people.
    """

    place: str
    value: Any
    raw: bytes
    problem: str = ""


def unreadable(place: str, raw: bytes, problem: str) -> Record:
    """Return the record of what can't be read; `raw` is cut to 4 kB."""
    return Record(place, None, raw[:SHOWN], problem)


def lines(read: Callable[[int], bytes], name: str) -> Iterator[bytes]:
    r"""Yield a file's lines without their ends, which are \n alone, and without a byte order mark.

    Of a line that is longer than 64 MiB only a start comes, which is a little longer than that.

    Args:
        read: Returns some bytes, at most as many as it is told; none at the end.
        name: The file's, for messages.

    Raises:
        LoadError: It can't be read on, or is no text in UTF-8 at all: another format, or UTF-16.
    """
    found = _split(read, name)
    for first in found:
        for start, kind in BINARY.items():
            if first.startswith(start):
                raise LoadError(f"{name} looks like {kind}")
        yield first.removeprefix(b"\xef\xbb\xbf")
        break
    yield from found


def _split(read: Callable[[int], bytes], name: str) -> Iterator[bytes]:
    number, size = 0, 0
    begun: list[bytes] = []  # what has come of a line that has not ended; joined once, at its end
    while True:
        try:
            block = read(BLOCK)
        except Exception as error:  # whatever the library behind a filesystem raises
            raise LoadError(
                f"{name} can't be read on after line {number}: {error}; is it whole?"
            ) from error
        if not block:
            break
        *ended, last = block.split(b"\n")
        if ended:
            ended[0] = b"".join([*begun, ended[0]])
            number += len(ended)
            yield from ended
            begun, size = [], 0
        if size <= LIMIT:
            begun.append(last)
            size += len(last)
    if size:
        yield b"".join(begun)


def _jsonl(rows: Iterator[bytes], name: str) -> Iterator[Record]:
    for number, line in enumerate(rows, 1):
        is_quick = len(line) <= LIMIT and not has_long_number(line)
        value = quick(line) if is_quick else None
        if type(value) is not dict:
            if not line.strip():
                continue
            value, problem = _slowly(line)
            if problem:
                yield unreadable(f"{name}, line {number}", line, problem)._replace(value=value)
                continue
        yield Record(f"{name}, line {number}", value, b"")


def _slowly(line: bytes) -> tuple[dict[str, Any] | None, str]:
    """Return a line's object, or None and why there is none."""
    if len(line) > LIMIT:
        return None, _TOO_LONG
    value: Any = None
    try:
        value = _DECODER.decode(line.decode())
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        return None, _not_utf8(error)
    except UnicodeEncodeError:
        kept = value if isinstance(value, dict) else None
        return kept, "it holds one half of a surrogate pair, which is no character"
    except RecursionError:
        return None, "it is nested too deeply"
    except ValueError as error:
        return None, f"it is no JSON: {error}"
    if isinstance(value, dict):
        return value, ""
    return None, f"it is {_JSON[type(value)]}, not a JSON object"


_TOO_LONG = f"it is longer than {LIMIT >> 20} MiB"
_JSON = {
    list: "a JSON array",
    str: "a JSON string",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def _not_utf8(error: UnicodeDecodeError) -> str:
    byte = error.object[error.start]
    return f"it is not UTF-8: byte {error.start + 1} of the line is 0x{byte:02x}; save it as UTF-8"


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON; write null")


def _finite(number: str) -> float:
    value = float(number)
    return value if math.isfinite(value) else _refuse(number)


_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


def _json(rows: Iterator[bytes], name: str) -> Iterator[Record]:
    """A `.json` file of one object a line; one that holds a single value over many is refused."""
    head = []
    for line in rows:
        head.append(line)
        if text := line.strip():
            if text.startswith(b"[") or text == b"{":
                what = "array" if text.startswith(b"[") else "object"
                raise LoadError(
                    f"{name} holds one JSON {what}, which can't be read row by row; make a file of "
                    f"one object a line: jq -c '{'.[]' if what == 'array' else '.'}' FILE > "
                    "FILE.jsonl"
                )
            break
    yield from _jsonl(chain(head, rows), name)


def _text(rows: Iterator[bytes], name: str) -> Iterator[Record]:
    for number, line in enumerate(rows, 1):
        if not line.strip():
            continue
        place = f"{name}, line {number}"
        try:
            if len(line) > LIMIT:
                yield unreadable(place, line, _TOO_LONG)
            else:
                yield Record(place, {"text": line.removesuffix(b"\r").decode()}, b"")
        except UnicodeDecodeError as error:
            yield unreadable(place, line, _not_utf8(error))


def _csv(rows: Iterator[bytes], name: str, delimiter: str) -> Iterator[Record]:
    header: list[str] | None = None
    for number, raw, fields, fault in _Rows(rows, delimiter):
        place = f"{name}, line {number}"
        if not fields and not fault:
            continue  # an empty line
        if header is None:
            if fault:
                raise LoadError(f"{place}: the header row can't be read: {fault}")
            header = fields
            if twice := sorted({each for each in header if header.count(each) > 1}):
                raise LoadError(f"{place}: two columns are called {twice[0]!r}; rename one")
        elif fault:
            yield unreadable(place, raw, fault)
        elif len(fields) != len(header):
            count = f"it has {len(fields)} fields, where the header has {len(header)}"
            yield unreadable(place, raw, count)
        else:
            yield Record(place, dict(zip(header, fields, strict=True)), b"")


class _TooLongError(Exception):
    """A row goes on for too long."""


class _Rows:
    """The rows of a CSV file: (line number, bytes, fields, problem) each, from 1.

    A row may go on over many lines. Where it can't be read, only its first line is given up: the
    others are read again, each as the start of a row.
    """

    def __init__(self, rows: Iterator[bytes], delimiter: str) -> None:
        self._rows = rows
        self._again: deque[bytes] = deque()
        self._taken: list[bytes] = []  # the lines of this row
        self._size = 0
        self._fault = ""
        self._bound = ROW_LIMIT
        self._delimiter = delimiter
        self._reader = self._anew()

    def __iter__(self) -> Iterator[tuple[int, bytes, list[str], str]]:
        number = 1
        while True:
            self._start()
            try:
                fields = self._fields()
            except StopIteration:
                return
            except (csv.Error, _TooLongError) as error:
                fields, self._fault = [], f"it is no CSV: {error}"
                if len(self._taken) > 1:
                    if self._size > CHEAP:
                        # Or a file of nothing but open quotes would be read once for each line.
                        self._bound = max(self._bound // 2, CHEAP)
                    self._again.extendleft(reversed(self._taken[1:]))
                    del self._taken[1:]
                self._reader = self._anew()
            yield number, b"\n".join(self._taken), fields, self._fault
            number += len(self._taken)

    def _anew(self) -> Iterator[list[str]]:
        """Return a reader for after an error: one that has come to the file's end stays there."""
        return csv.reader(iter(self._line, None), delimiter=self._delimiter, strict=True)

    def _start(self) -> None:
        self._taken, self._size, self._fault = [], 0, ""
        if not self._again:
            self._bound = ROW_LIMIT

    def _fields(self) -> list[str]:
        try:
            return next(self._reader)
        except csv.Error:
            if self._size <= csv.field_size_limit():
                raise
        self._again.extendleft(reversed(self._taken))
        self._start()
        self._reader = self._anew()
        with _long_fields():
            return next(self._reader)

    def _line(self) -> str:
        line = self._again.popleft() if self._again else next(self._rows)
        self._taken.append(line)
        self._size += len(line) + 1
        if len(line) > LIMIT:
            raise _TooLongError(_TOO_LONG)
        if len(self._taken) > 1 and self._size > self._bound:
            raise _TooLongError(f"a quote is not closed within {self._bound:,} bytes")
        try:
            return line.decode() + "\n"
        except UnicodeDecodeError as error:
            self._fault = self._fault or _not_utf8(error)
            return line.decode(errors="replace") + "\n"


_FIELD_LIMIT = threading.Lock()


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let csv take fields up to our bound; its own, 128 kB, is one for the whole process."""
    with _FIELD_LIMIT:
        before = csv.field_size_limit(LIMIT + 1)
        try:
            yield
        finally:
            csv.field_size_limit(before)


READERS: dict[str, Callable[[Iterator[bytes], str], Iterator[Record]]] = {
    "jsonl": _jsonl,
    "ndjson": _jsonl,
    "json": _json,
    "csv": partial(_csv, delimiter=","),
    "tsv": partial(_csv, delimiter="\t"),
    "txt": _text,
}
"""What makes records of a file's lines, given them and the file's name, by the file's suffix."""
