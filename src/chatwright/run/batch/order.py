"""The input's order, kept in a file: 16 bytes a row."""

import tempfile
from collections.abc import Iterator

__all__ = ["Order"]

_SIZE = 16
_CHUNK = 4096


class Order:
    """Marks of rows in the input's order."""

    def __init__(self) -> None:
        """Begin with none."""
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as this does

    def append(self, mark: bytes) -> None:
        """Take the next row's mark."""
        self._file.write(mark)

    def __iter__(self) -> Iterator[list[bytes]]:
        """Yield the marks in their order, some at once."""
        self._file.seek(0)
        while data := self._file.read(_SIZE * _CHUNK):
            yield [data[at : at + _SIZE] for at in range(0, len(data), _SIZE)]

    def close(self) -> None:
        """Let the file go."""
        self._file.close()
