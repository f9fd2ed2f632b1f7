"""Files to records: what a path, a glob, a folder or a URL names, opened and unpacked."""

import bz2
import glob
import gzip
import lzma
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from chatwright.errors import LoadError, MissingExtraError
from chatwright.run.batch.lines import READERS, Record, lines
from chatwright.run.batch.tables import of_parquet, parquet_rows, pyarrow, unzstd

__all__ = ["FORMATS", "File", "files_of", "is_data", "shown"]

PARQUET = ("parquet", "pq")
FORMATS = (*READERS, *PARQUET)
COMPRESSED: dict[str, Callable[[Any], AbstractContextManager[Any]]] = {
    "": nullcontext,
    ".gz": lambda file: gzip.GzipFile(fileobj=file, mode="rb"),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
    ".zst": unzstd,
}
READ_AHEAD = 64 << 10
"""Bytes: of a remote file fsspec reads this much more than it is asked for, 5 MiB by default, which
Parquet's reader, who jumps from column to column, would have fetched over and over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file whose format can be read.

    Args:
        name: As it is shown.
        format: One of `FORMATS`.
        compression: One of `COMPRESSED`.
        opener: Opens it for bytes.
        size: Bytes as they are stored, None where that is not known.
        is_local: Whether it is at hand, so that counting its lines is cheap.
        is_kept: Whether it can be read again: neither a pipe nor standard input.

    Raises:
        LoadError: Its format is not known, or it can't be in that format.
        MissingExtraError: pyarrow is not installed, and it takes that.
    """

    name: str
    format: str
    compression: str
    opener: Callable[[], AbstractContextManager[Any]]
    size: int | None = None
    is_local: bool = False
    is_kept: bool = True

    def __post_init__(self) -> None:
        """See whether it can be read."""
        if self.format not in FORMATS:
            raise LoadError(
                f"{self.name}: its name tells no format; give one of {', '.join(FORMATS)}"
            )
        if self.format in PARQUET and not self.is_kept:
            raise LoadError(f"{self.name}: Parquet is read from its end; give a file, not a pipe")
        if self.format in PARQUET and self.compression:
            raise LoadError(f"{self.name}: Parquet can't be read while it is packed; unpack it")
        if self.compression and self.size == 0:
            raise LoadError(f"{self.name} is empty, as no {self.compression} file is; make it anew")
        if self.format in PARQUET or self.compression == ".zst":
            pyarrow()

    def records(self) -> Iterator[Record]:
        """Yield its records.

        Raises:
            LoadError: It can't be read, or read on.
        """
        with self._opened() as file:
            if self.format in PARQUET:
                yield from of_parquet(file, self.name)
            else:
                yield from READERS[self.format](self._lines(file), self.name)

    def count(self) -> int | None:
        """Return how many records it has, None where that is dear: CSV's rows have many lines.

        Raises:
            LoadError: It can't be read.
        """
        if self.format in PARQUET:
            with self._opened() as file:
                return parquet_rows(file, self.name)
        if self.compression or not self.is_local or self.format in {"csv", "tsv"}:
            return None
        with self._opened() as file:
            return sum(1 for line in self._lines(file) if line.strip())

    def _lines(self, file: Any) -> Iterator[bytes]:
        with COMPRESSED[self.compression](file) as content:
            # Only what has come: a pipe is not waited for, and of a file that is cut short nothing
            # is lost that stands before the cut.
            yield from lines(getattr(content, "read1", None) or content.read, self.name)

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        try:
            opened = self.opener()
        except Exception as error:  # whatever the library behind a filesystem raises
            raise LoadError(f"{self.name} can't be opened: {shown(str(error))}") from error
        with opened as file:
            yield file


def is_data(path: str) -> bool:
    """Return whether a path's suffix is one of a known format."""
    return _suffixes(path)[0] in FORMATS


def shown(text: str) -> str:
    """Return a text as people may see it: URLs without passwords, web addresses without queries."""
    text = re.sub(r"://[^/@:\s]*:[^/@\s]*@", "://", text)
    return re.sub(r"(https?://[^?\s]*)\?\S*", r"\1", text)


def files_of(path: str, format: str | None) -> list[File]:  # noqa: A002  as in `source_of`
    """Return the files that a path, a glob, a folder or a URL names, by name.

    Args:
        path: `-` for standard input. A file of this very name comes before a glob's. Of a folder
            those of known suffixes, all where `format` is given, but no hidden ones; of a glob
            all but folders.
        format: One of `FORMATS`; None to go by each file's suffix.

    Raises:
        LoadError: There are none, or they can't be read.
        MissingExtraError: fsspec or pyarrow is not installed, and it takes that.
    """
    if path == "-":
        return [
            File(
                name="stdin",
                format=format or "jsonl",
                compression="",
                opener=lambda: nullcontext(sys.stdin.buffer),
                is_kept=False,
            )
        ]
    found = _remote(path, format) if "://" in path else _local(path, format) if path else []
    if not found:
        raise LoadError(
            f"{shown(path)!r}: there is no such file, or none in the folder whose suffix tells a "
            f"format ({', '.join(FORMATS)}); check the path"
        )
    return found


def _suffixes(path: str) -> tuple[str, str]:
    """Return the format that a path's suffix tells, known or not, and its compression."""
    if path.startswith(("http://", "https://")):
        path = urlsplit(path).path
    name = PurePosixPath(path.lower())
    compression = name.suffix if name.suffix in COMPRESSED else ""
    return (name.with_suffix("") if compression else name).suffix.removeprefix("."), compression


def _is_meant(path: str, format: str | None) -> bool:  # noqa: A002
    """Return whether a file of a folder is one of those to read."""
    is_hidden = path.rpartition("/")[2].startswith(".")
    return not is_hidden and (format is not None or is_data(path))


def _local(path: str, format: str | None) -> list[File]:  # noqa: A002
    try:
        found = [Path(path)]
        if found[0].is_dir():
            found = [each for each in found[0].iterdir() if _is_meant(each.name, format)]
        elif not found[0].exists():
            found = [Path(each) for each in glob.glob(path, recursive=True)]  # noqa: PTH207  absolute ones too
        return [_near(each, format) for each in sorted(found) if not each.is_dir()]
    except OSError as error:
        raise LoadError(f"{path[:200]} can't be found: {error.strerror}") from error


def _near(path: Path, format: str | None) -> File:  # noqa: A002
    told, compression = _suffixes(path.name)
    if not os.access(path, os.R_OK):
        raise LoadError(f"{path} may not be read; look at its permissions")
    is_file = path.is_file()
    return File(
        name=str(path),
        format=format or told,
        compression=compression,
        opener=partial(path.open, "rb"),
        size=path.stat().st_size if is_file else None,
        is_local=is_file,
        is_kept=is_file,
    )


def _remote(url: str, format: str | None) -> list[File]:  # noqa: A002
    try:
        from fsspec.core import url_to_fs  # noqa: PLC0415  an optional dependency
    except ImportError as error:
        raise MissingExtraError("fsspec", "batch") from error
    try:
        system, path = url_to_fs(url)
        found = _listed(system, path, format)
    except Exception as error:  # whatever the library behind a filesystem raises
        raise LoadError(f"{shown(url)} can't be found: {shown(str(error))}") from error
    return [_far(system, each, format) for each in sorted(found, key=_path)]


def _path(entry: Mapping[str, Any]) -> str:
    return str(entry["name"])


def _listed(system: Any, path: str, format: str | None) -> list[Mapping[str, Any]]:  # noqa: A002
    try:
        entry = system.info(path)
    except FileNotFoundError:
        found = [*system.glob(path, detail=True).values()] if glob.has_magic(path) else []
    else:
        found = [entry]
        if entry["type"] == "directory":
            found = [
                each for each in system.ls(path, detail=True) if _is_meant(_path(each), format)
            ]
    return [each for each in found if each["type"] != "directory"]


def _far(system: Any, entry: Mapping[str, Any], format: str | None) -> File:  # noqa: A002
    path = _path(entry)
    told, compression = _suffixes(path)
    format = format or told  # noqa: A001
    ahead = {"block_size": READ_AHEAD} if format in PARQUET else {}
    return File(
        name=shown(system.unstrip_protocol(path)),
        format=format,
        compression=compression,
        opener=partial(system.open, path, "rb", **ahead),
        size=entry.get("size"),
    )
