"""A file of results: each line carries its own checksum, and is written before it counts."""

import contextlib
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from chatwright.errors import ParameterError
from chatwright.wires import jsonio

__all__ = ["Journal", "Repair", "line_of"]

_SUM = b',"sum":"'
_TAIL = len(_SUM) + 8 + len(b'"}\n')
_BUFFER = 2**20


def line_of(fields: Mapping[str, Any]) -> bytes:
    """Return a result as a line that ends with the checksum (CRC-32) of what stands before it.

    Args:
        fields: The result; half a surrogate pair in it becomes U+FFFD.

    Raises:
        ParameterError: It holds what JSON can't.
    """
    try:
        head = jsonio.dumps(fields)[:-1]
    except (UnicodeEncodeError, ParameterError):  # half a character, which no UTF-8 can hold
        head = jsonio.dumps(jsonio.whole(fields))[:-1]
    return b'%b%b%08x"}\n' % (head, _SUM, zlib.crc32(head))


def _is_whole(line: bytes) -> bool:
    """Tell whether a line is as it was written."""
    return line[-_TAIL:] == b'%b%08x"}\n' % (_SUM, zlib.crc32(line[:-_TAIL]))


class Repair(NamedTuple):
    """What was wrong with a file when it was opened.

    Args:
        lines: How many lines were damaged.
        kept: Where they stand now, if any.
    """

    lines: int
    kept: Path | None


class Journal:
    """A file of results that only grows.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        """Open nothing yet."""
        self.path = path
        self.repair = Repair(0, None)
        self._size = 0
        self._file: BinaryIO | None = None

    def scan(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Repair what is damaged, then yield where each result stands, and the result.

        Lines that are torn or were changed are taken out, and kept in a file beside.

        Raises:
            OSError: The file can't be read, or not be repaired.
        """
        if not self.path.exists():
            return
        at = 0
        while True:
            with self.path.open("rb", _BUFFER) as file:
                file.seek(at)
                for line in file:
                    if not _is_whole(line):
                        break
                    yield at, jsonio.loads(line)
                    at += len(line)
                else:
                    return
            self._take_out(self._damaged(at))

    def _damaged(self, at: int) -> list[tuple[int, int]]:
        """Return from where to where damaged lines stand, from a place on."""
        damaged: list[tuple[int, int]] = []
        with self.path.open("rb", _BUFFER) as file:
            file.seek(at)
            for line in file:
                if not _is_whole(line):
                    damaged.append((at, at + len(line)))
                at += len(line)
        return damaged

    def _take_out(self, damaged: Sequence[tuple[int, int]]) -> None:
        kept = self.path.with_name(f"{self.path.name}.damaged")
        size = self.path.stat().st_size
        with self.path.open("r+b") as file, kept.open("ab") as aside:
            for start, end in damaged:
                file.seek(start)
                aside.write(file.read(end - start).rstrip(b"\n") + b"\n")
            _sync(aside)
            torn = damaged[0][0]
            made = None
            if all(end == start for (_, end), (start, _) in pairwise([*damaged, (size, size)])):
                file.truncate(torn)  # it is the tail alone
                _sync(file)
            else:
                made = self._rewritten(
                    file, [0, *(end for _, end in damaged)], [*(s for s, _ in damaged), size]
                )
        if made is not None:
            made.replace(self.path)
        self.repair = Repair(len(damaged), kept)

    def _rewritten(self, file: BinaryIO, starts: Sequence[int], ends: Sequence[int]) -> Path:
        """Return a file of the good lines, which is to come in the place of this one."""
        made = self.path.with_name(f"{self.path.name}.repaired")
        with made.open("wb") as new:
            for start, end in zip(starts, ends, strict=True):
                file.seek(start)
                for at in range(start, end, _BUFFER):
                    new.write(file.read(min(_BUFFER, end - at)))
            _sync(new)
        return made

    def whole(self) -> Iterator[dict[str, Any]]:
        """Yield the results that are as they were written; nothing is repaired.

        Raises:
            OSError: The file can't be read.
        """
        if self.path.exists():
            with self.path.open("rb", _BUFFER) as file:
                yield from (jsonio.loads(line) for line in file if _is_whole(line))

    def append(self, lines: Sequence[bytes]) -> list[int]:
        """Write results, and return where each of them stands once all are on the disk.

        Args:
            lines: As `line_of` makes them.

        Raises:
            OSError: They can't be written: none of them is.
        """
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab", 0)
            self._size = os.fstat(self._file.fileno()).st_size
        data = memoryview(b"".join(lines))
        try:
            while data:
                data = data[self._file.write(data) or 0 :]
            os.fsync(self._file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file.fileno(), self._size)
            raise
        places = []
        for line in lines:
            places.append(self._size)
            self._size += len(line)
        return places

    def read(self, place: int) -> dict[str, Any]:
        """Return the result that stands at a place.

        Raises:
            OSError: It can't be read, or was changed since.
        """
        with self.path.open("rb") as file:
            file.seek(place)
            line = file.readline()
        if not _is_whole(line):
            raise OSError(f"{self.path} was changed by somebody else while it was written")
        fields: dict[str, Any] = jsonio.loads(line)
        return fields

    def rearrange(self, places: Iterable[int]) -> None:
        """Put results into another order: whoever reads the file sees the old one or the new one.

        Args:
            places: Where they stand, in the new order: all of them.

        Raises:
            OSError: There is no room for both.
        """
        if not self.path.exists():
            return
        made = self.path.with_name(f"{self.path.name}.ordered")
        with self.path.open("rb") as file, made.open("wb", _BUFFER) as new:
            for place in places:
                if file.tell() != place:
                    file.seek(place)
                new.write(file.readline())
            _sync(new)
        self.close()
        made.replace(self.path)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
