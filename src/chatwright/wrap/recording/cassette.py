"""The file of recorded exchanges: JSON Lines, sorted by request, made anew in one step."""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chatwright.errors import CassetteError, MissingExtraError
from chatwright.wrap.recording.requests import key_of

__all__ = ["CUT", "Exchange", "add", "extend", "read"]

VERSION = 1
HEADER = "chatwright_cassette"
CUT = {"cut": True}
"""The last entry of an answer that nobody read to its end."""


@dataclass(frozen=True)
class Exchange:
    """A request and its answer, as JSON.

    Args:
        request: The request.
        answer: The answer's deltas; last, where it failed, `{"error": …}`, and where its reader
            went away, `{"cut": true}`.
        seconds: How long each was waited for; none where that is not known.
        line: Where it stands in its file, from 1; 0 for nowhere.
    """

    request: Mapping[str, Any]
    answer: Sequence[Any]
    seconds: Sequence[float] = ()
    line: int = field(default=0, compare=False)

    @property
    def key(self) -> str:
        """The text by which its request is compared and sorted."""
        return key_of(self.request)


def read(path: Path) -> list[Exchange]:
    """Return the exchanges of a cassette; none, if it is not there or empty.

    Raises:
        CassetteError: It is no cassette, or one of a later version.
        OSError: It can't be read.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return []
    lines = [(n, line) for n, line in enumerate(text.split(b"\n"), 1) if line.strip()]
    if not lines:
        return []
    version = _object(path, *lines[0]).get(HEADER)
    if not isinstance(version, int):
        raise CassetteError(f"{path} is no cassette: it does not begin with {{{HEADER!r}: …}}")
    if version > VERSION:
        raise CassetteError(
            f"{path} is a cassette of version {version}, and this Chatwright reads up to "
            f"{VERSION}; install a newer one"
        )
    return list(_exchanges(path, lines[1:]))


def _exchanges(path: Path, lines: Iterable[tuple[int, bytes]]) -> Iterator[Exchange]:
    """Yield what three lines each make: request, answer, and, if they are there, seconds."""
    begun: dict[str, Any] = {}
    start = 0
    for number, line in [*lines, (0, b'{"request": {}}')]:
        told = _object(path, number, line)
        (name, value) = next(iter(told.items()), ("", None))
        if len(told) != 1 or type(value) is not _PARTS.get(name) or (not begun and name != _FIRST):
            raise _wrong(path, number, "it is none of a cassette's")
        if name == _FIRST and begun:
            if "answer" not in begun:
                raise _wrong(path, start, "its request has no answer")
            if len(begun.get("seconds", ())) not in {0, len(begun["answer"])}:
                raise _wrong(path, start, "it has not as many seconds as parts of its answer")
            yield Exchange(**begun, line=start)
            begun = {}
        if name in begun:
            raise _wrong(path, number, f"there are two of {name!r} for one request")
        start = number if name == _FIRST else start
        begun[name] = value


_FIRST = "request"
_PARTS: Mapping[str, type] = {_FIRST: dict, "answer": list, "seconds": list}


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _wrong(path, number, str(error)) from None
    if not isinstance(value, dict):
        raise _wrong(path, number, "it is no JSON object")
    return value


def _wrong(path: Path, number: int, why: str) -> CassetteError:
    return CassetteError(
        f"{path}, line {number} can't be read: {why}; fix it, or delete the file and record anew"
    )


def add(path: Path, exchange: Exchange, *, in_place: bool = False) -> None:
    """Put one exchange into a cassette, behind those of an equal request.

    Args:
        path: The cassette; it and its folder are made if they are not there.
        exchange: The exchange.
        in_place: Whether those of an equal request are taken out.

    Raises:
        CassetteError: There is a file that is no cassette.
        MissingExtraError: filelock is not installed.
        OSError: It can't be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _lock(path):
        kept = [each for each in read(path) if not (in_place and each.key == exchange.key)]
        _replace(path, [*kept, exchange])


def extend(path: Path, exchanges: Iterable[Exchange]) -> None:
    """Put exchanges into a cassette, each behind those of an equal request.

    Raises:
        CassetteError, MissingExtraError, OSError: As `add`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _lock(path):
        _replace(path, [*read(path), *exchanges])


def _replace(path: Path, exchanges: Iterable[Exchange]) -> None:
    ordered = sorted(exchanges, key=lambda each: each.key)
    lines: list[dict[str, Any]] = [{HEADER: VERSION}]
    for each in ordered:
        lines += [{_FIRST: each.request}, {"answer": each.answer}]
        lines += [{"seconds": each.seconds}] if each.seconds else []
    made = path.with_name(f".{path.name}.tmp")  # one at a time: they are locked
    made.write_bytes(b"".join(_line(each) for each in lines))
    made.replace(path)


def _line(value: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, sort_keys=True).encode() + b"\n"
    except UnicodeEncodeError:  # halves of characters have no bytes
        return json.dumps(value, sort_keys=True).encode() + b"\n"


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Keep other threads and processes away; the lock's file stands among temporary ones."""
    try:
        from filelock import FileLock  # noqa: PLC0415  for recording only
    except ImportError as error:
        raise MissingExtraError("filelock", "record") from error
    user = os.getuid() if hasattr(os, "getuid") else 0
    named = hashlib.blake2b(os.fsencode(path), digest_size=16).hexdigest()
    with FileLock(Path(tempfile.gettempdir()) / f"chatwright-{user}-{named}.lock"):
        yield
