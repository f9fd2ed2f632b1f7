"""A cassette in use: what is replayed from it, and what is recorded to it."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, get_args

from chatwright.errors import CassetteError
from chatwright.wrap.recording import cassette
from chatwright.wrap.recording.cassette import Exchange
from chatwright.wrap.recording.differences import differences, nearest
from chatwright.wrap.recording.requests import key_of

__all__ = ["Mode", "Tape"]

Mode: TypeAlias = Literal["none", "once", "new", "all"]
Request: TypeAlias = Mapping[str, Any]

_MOST = 12
"""How many differences an error lists."""


class Tape:
    """A cassette that is replayed from its beginning, recorded to, or both; for any thread or task.

    Args:
        path: The cassette.
        mode: Whether it is replayed or recorded to: see `recorded`.
        timing: Whether replays take the time that was recorded.

    Raises:
        CassetteError: There is no such mode; or the file is no cassette, or not there to replay.
        OSError: It can't be read.
    """

    def __init__(self, path: str | Path, mode: Mode = "once", *, timing: bool = False) -> None:
        """Read it."""
        if mode not in get_args(Mode):
            raise CassetteError(f"mode={mode!r} is no mode; it can be none, once, new or all")
        self.path = Path(path).expanduser().resolve()
        self.mode: Mode = mode
        self.timing = timing
        if mode == "none" and not self.path.exists():
            raise CassetteError(
                f"there is no cassette {self.path} to replay; record it with mode='once'"
            )
        if mode == "once":
            self.mode = "none" if self.path.exists() else "new"
        self._held = cassette.read(self.path)
        self._replays: dict[str, list[Exchange]] = {}
        if self.mode != "all":
            for each in self._held:
                self._replays.setdefault(each.key, []).append(each)
        self._renewed: set[str] = set()
        self._taking = threading.Lock()
        self._writing = threading.Lock()

    def __reduce__(self) -> tuple[type[Self], tuple[str, Mode, bool]]:
        """Pickle by the path: where it is unpickled, it begins anew."""
        return _unpickled, (type(self), str(self.path), self.mode, self.timing)  # type: ignore[return-value]

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Stay the one: copies of a model go on where it is."""
        return self

    def take(self, asked: Request, hide: Callable[[Request], Request]) -> Exchange | None:
        """Return the next recorded answer to a request; None to record one.

        Args:
            asked: The request, as JSON.
            hide: Returns what is recorded of it, without secrets. What another key hides now is
                no secret of the recorded one, so that the request itself is looked for first.

        Raises:
            CassetteError: It is not recorded, and is not to be.
        """
        if found := self._next(asked):
            return found
        if self.mode == "all" or not self._held:
            told = asked
        elif found := self._next(told := hide(asked)):
            return found
        if self.mode == "none":
            raise CassetteError(self._unmatched(told))
        return None

    def _next(self, asked: Request) -> Exchange | None:
        with self._taking:
            left = self._replays.get(key_of(asked))
            return left.pop(0) if left else None

    def keep(self, exchange: Exchange) -> None:
        """Record an exchange.

        Raises:
            CassetteError, MissingExtraError, OSError: It can't be written.
        """
        with self._writing:
            anew = self.mode == "all" and exchange.key not in self._renewed
            cassette.add(self.path, exchange, in_place=anew)
            self._renewed.add(exchange.key)

    def _unmatched(self, asked: Request) -> str:
        """Return what an error says of a request that is not recorded."""
        record = "mode='new' records it"
        if not self._held:
            return f"{self.path} holds no exchange; {record}"
        times = sum(each.key == key_of(asked) for each in self._held)
        if times:
            return (
                f"{self.path} holds this request {'once' if times == 1 else f'{times} times'}, and "
                f"it is asked once more: {_shortly(asked)}; {record}"
            )
        near = self._held[nearest([each.request for each in self._held], asked)]
        found = list(differences(near.request, asked))
        more = [f"… and {len(found) - _MOST} more"] if len(found) > _MOST else []
        told = "".join(f"\n  {each}" for each in [*found[:_MOST], *more])
        return (
            f"{self.path} does not hold this request; the nearest one, in line {near.line}, "
            f"differs in{told}\n{record}"
        )


def _shortly(asked: Request) -> str:
    last = asked["messages"][-1] if asked["messages"] else {}
    return repr(last.get("content"))[:100]


def _unpickled(kind: type[Tape], path: str, mode: Mode, timing: bool) -> Tape:
    return kind(path, mode, timing=timing)
