"""What a batch reads: files of any size, standard input, tables, whatever can be iterated."""

import io
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any

from chatwright.errors import LoadError, ParameterError
from chatwright.run.batch.files import FORMATS, files_of, is_data, shown
from chatwright.run.batch.lines import Record
from chatwright.run.batch.tables import of_stream, of_tables, pyarrow

__all__ = ["Record", "Source", "source_of"]


class Source(ABC):
    """Where a batch's rows come from; iterating it yields their records.

    A row that can't be read is a record too, whose value is None: it does not end the reading.

    Attributes:
        name: What was given, for people: URLs without passwords and queries.
        again: Whether it can be read once more from the start.
        local: The files of this machine that are read.
    """

    name: str
    again: bool
    local: Sequence[Path] = ()
    _is_begun = False

    def __iter__(self) -> Iterator[Record]:
        """Begin to read.

        Raises:
            LoadError: It was read before, and can't be again. While reading: a file can't be read
                on; all but the last few rows before that place have been yielded.
        """
        if self._is_begun and not self.again:
            raise LoadError(f"{self.name} can be read only once; give a file, or a list")
        self._is_begun = True
        return self._records()

    @abstractmethod
    def _records(self) -> Iterator[Record]:
        """Yield the records."""

    @abstractmethod
    def count(self) -> int | None:
        """Return how many records there are, None where that is not cheap to tell.

        It is for Parquet, local files of lines that are not packed (they are read for it), lists
        and tables; it is not for CSV, whose rows may go on over many lines.

        Raises:
            LoadError: As for reading.
        """


def source_of(rows: Any, *, format: str | None = None) -> Source:  # noqa: A002  pandas' own word
    r"""Return where to read rows from.

    Args:
        rows: A path, a glob, a folder (its files of known suffixes by name, no hidden ones), a URL
            of any filesystem that fsspec knows, or a list of these; `-` for standard input;
            anything that has `__arrow_c_stream__`, such as tables of pandas, polars and pyarrow; a
            Hugging Face dataset; or an iterable of dicts, strings or lists of messages, which are
            passed on as they are. A list of strings is one of files where each has a suffix of a
            known format.
        format: The files' format, whatever they are called: `jsonl`, `ndjson` and `json` (one
            object a line), `csv` and `tsv` (a header row; values are text), `txt` (each line is
            `{"text": line}`), `parquet` and `pq`. Default None: by each file's suffix, and `jsonl`
            for standard input. What ends in `.gz`, `.bz2`, `.xz` or `.zst` is unpacked.

    Returns:
        The source. Lines end by `\n` alone, and blank ones are skipped. What the values of Parquet
        and of tables become, `chatwright.run.batch.tables` says.

    Raises:
        LoadError: A file is missing or may not be read, or its format is not known.
        MissingExtraError: A library that it takes is not installed.
        ParameterError: It is nothing that rows can be read from, or `format` is not one of those,
            or given for what is no file.
    """
    if format is not None and format not in FORMATS:
        raise ParameterError(f"format={format!r} is none of {', '.join(FORMATS)}")
    paths = _paths(rows, is_told=format is not None)
    if paths is not None:
        return _Files(paths, format)
    if format is not None:
        raise ParameterError(f"format={format!r} is for files; leave it out for {_type(rows)!r}")
    if hasattr(rows, "__arrow_c_stream__"):
        return _Table(rows)
    if hasattr(rows, "with_format") and hasattr(rows, "iter"):
        return _Dataset(rows)
    if fix := _misread(rows):
        raise ParameterError(f"rows can't be read from {_type(rows)!r}; {fix}")
    return _Rows(rows)


def _type(rows: Any) -> str:
    return type(rows).__name__


def _misread(rows: Any) -> str:
    """Return the fix for what has no rows, or would be iterated by something else; "" for none."""
    if isinstance(rows, Mapping):
        return "give a list of dicts, one a row"
    if isinstance(rows, io.IOBase):
        return "give the file's path"
    if hasattr(rows, "iterrows"):
        return "update pandas, or give rows.to_dict('records')"
    if isinstance(rows, bytes | bytearray) or not isinstance(rows, Iterable):
        return "give a path, a table, or an iterable of dicts, strings or lists of messages"
    return ""


def _paths(rows: Any, *, is_told: bool) -> list[str] | None:
    """Return the paths that were given; None where rows were."""
    if isinstance(rows, str | os.PathLike):
        return [os.fspath(rows)]
    if not isinstance(rows, list | tuple) or not rows:
        return None
    if not all(isinstance(each, str | os.PathLike) for each in rows):
        return None
    paths = [os.fspath(each) for each in rows]
    if is_told or not all(isinstance(each, str) for each in rows):
        return paths
    files = [each for each in paths if is_data(each)]
    if len(files) == len(paths):
        return paths
    if any("://" in each or os.path.exists(each) for each in files):  # noqa: PTH110
        raise ParameterError(
            f"rows has files, such as {shown(files[0])!r}, and other strings; give files as "
            'pathlib.Path, prompts as dicts: {"text": prompt}'
        )
    return None


class _Rows(Source):
    """What an iterable yields, as it is."""

    def __init__(self, rows: Any) -> None:
        self.name = _type(rows)
        self.again = not isinstance(rows, Iterator)
        self._rows = rows

    def _records(self) -> Iterator[Record]:
        for number, value in enumerate(self._rows, 1):
            problem = "it is None" if value is None else ""
            yield Record(f"row {number}", value, b"None" if problem else b"", problem)

    def count(self) -> int | None:
        return len(self._rows) if isinstance(self._rows, Sized) else None


class _Table(_Rows):
    """An Arrow stream; only what has a length is sure to give it twice."""

    def __init__(self, rows: Any) -> None:
        pyarrow()
        super().__init__(rows)
        self.again = isinstance(rows, Sized)

    def _records(self) -> Iterator[Record]:
        return of_stream(self._rows)


class _Dataset(_Table):
    """A Hugging Face dataset: it has no `__arrow_c_stream__` (5.2), but yields Arrow tables."""

    def _records(self) -> Iterator[Record]:
        return of_tables(self._rows.with_format("arrow").iter(batch_size=1000))


class _Files(Source):
    """Files, one after the other."""

    def __init__(self, paths: Sequence[str], format: str | None) -> None:  # noqa: A002
        names = ["stdin" if path == "-" else shown(path) for path in paths]
        self.name = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")
        self._files = [file for path in paths for file in files_of(path, format)]
        self.again = all(file.is_kept for file in self._files)
        self.local = [Path(file.name) for file in self._files if file.is_local]

    def _records(self) -> Iterator[Record]:
        for file in self._files:
            yield from file.records()

    def count(self) -> int | None:
        counts = [file.count() for file in self._files]
        known = [each for each in counts if each is not None]
        return sum(known) if len(known) == len(counts) else None
