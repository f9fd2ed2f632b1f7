"""Which rows are done, and where their answers stand: 25 bytes a row. The one file with numpy."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["AGAIN", "HERE", "NEW", "Index", "mark"]

HERE, AGAIN, NEW = -1, -2, -3
_HALF = 8

_RECENT = 2**14
"""How many marks wait in a dict until they are sorted in."""
_LARGEST = 2**16
"""How many marks a sorted run holds at most: merging takes as much again."""

Numbers = npt.NDArray[np.uint64]


def mark(key: bytes, own: str | None) -> bytes:
    """Return what a row's result is known by: half of its key, and half of that with its id.

    Args:
        key: The row's key, of 16 bytes.
        own: Its id.
    """
    if own is None:
        return key
    # Marks never leave the process: its own hash, which is keyed anew in each, tells ids apart.
    return key[:_HALF] + hash((key, own)).to_bytes(_HALF, "little", signed=True)


class _Run(NamedTuple):
    """Marks in order, and where their results stand."""

    contents: Numbers
    owns: Numbers
    places: Numbers
    met: npt.NDArray[np.bool_]

    def look(
        self, contents: Numbers, owns: Numbers, which: npt.NDArray[np.intp], found: list[int]
    ) -> npt.NDArray[np.bool_]:
        """Do what `Index.find` does for some of the marks, and tell which of these are here."""
        contents, owns = contents[which], owns[which]
        at = np.searchsorted(self.contents, contents)
        at[at == len(self.contents)] = 0
        is_same = self.contents[at] == contents
        is_here: npt.NDArray[np.bool_] = is_same & (self.owns[at] == owns)
        places = at[is_here]
        for n, was_met in zip(which[is_here].tolist(), self.met[places].tolist(), strict=True):
            found[n] = AGAIN if was_met else HERE
        self.met[places] = True
        for n in np.flatnonzero(is_same & ~is_here).tolist():
            found[which[n]] = same = self.same(int(contents[n]), int(owns[n]))
            is_here[n] = same in {HERE, AGAIN}
        return is_here

    def has_met(self, content: int, own: int) -> bool:
        """Tell whether a mark is here and was met."""
        _, at = self._at(content, own)
        return at is not None and bool(self.met[at])

    def same(self, content: int, own: int) -> int:
        """Return what `Index.find` does of a mark whose content is here."""
        low, at = self._at(content, own)
        if at is None:
            return int(self.places[low])
        was_met = bool(self.met[at])
        self.met[at] = True
        return AGAIN if was_met else HERE

    def place(self, content: int, own: int) -> int | None:
        """Return where a result stands; None if it is not here."""
        _, at = self._at(content, own)
        return None if at is None else int(self.places[at])

    def _at(self, content: int, own: int) -> tuple[int, int | None]:
        """Return where marks of a content begin, and where a mark is, if it is here."""
        low, high = (
            int(np.searchsorted(self.contents, np.uint64(content), side))
            for side in ("left", "right")
        )
        at = low + int(np.searchsorted(self.owns[low:high], np.uint64(own)))
        return low, at if at < high and int(self.owns[at]) == own else None


class Index:
    """Marks of results and where those stand: exact for 128 bits."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._recent: dict[bytes, int] = {}
        self._contents: dict[bytes, int] = {}
        self._met: set[bytes] = set()
        self._runs: list[_Run] = []
        self._last = 0

    def __len__(self) -> int:
        """Return how many marks there are."""
        return len(self._recent) + sum(len(each.contents) for each in self._runs)

    def add(self, each: bytes, place: int, *, met: bool) -> None:
        """Take a result.

        Args:
            each: Its mark.
            place: Where it stands.
            met: Whether its row was met in this run.
        """
        if met:
            self._met.add(each)
        self._recent[each] = place
        self._contents[each[:_HALF]] = place
        if len(self._recent) >= _RECENT:
            self._sort_in()

    def extend(self, marks: Sequence[bytes], places: Sequence[int]) -> int:
        """Take results that were there before this run; return how many.

        Args:
            marks: Their marks.
            places: Where they stand.
        """
        if marks:
            at, met = np.array(places, np.uint64), np.zeros(len(marks), np.bool_)
            self._take(_sorted(*_columns(b"".join(marks)), at, met))
        return len(marks)

    def find(self, marks: Sequence[bytes]) -> list[int]:
        """Return for each mark whether it is there, and note that it was met.

        Args:
            marks: Some marks, each another one.

        Returns:
            For each: `HERE`; `AGAIN` if it was met before in this run; `NEW`; or where a result of
            the same content stands.
        """
        found = [self._newly(each) for each in marks]
        contents, owns = _columns(b"".join(marks))
        left = np.array([n for n, each in enumerate(found) if each not in {HERE, AGAIN}], np.intp)
        # Results are met in about the order in which they were written: the same run has the next.
        for number in sorted(range(len(self._runs)), key=lambda n: n != self._last):
            if not left.size:
                break
            is_here = self._runs[number].look(contents, owns, left, found)
            if is_here.any():
                self._last = number
            left = left[~is_here]
        return found

    def places(self, marks: Sequence[bytes]) -> list[int | None]:
        """Return where each result stands; None for one that is not there.

        Args:
            marks: Some marks.
        """
        found = [self._recent.get(each) for each in marks]
        contents, owns = _columns(b"".join(marks))
        for run in self._runs:
            low = np.searchsorted(run.contents, contents)
            for n in np.flatnonzero(low < len(run.contents)).tolist():
                if found[n] is None:
                    found[n] = run.place(int(contents[n]), int(owns[n]))
        return found

    def was_met(self, each: bytes) -> bool:
        """Tell whether a mark that is there was met in this run."""
        contents, owns = _columns(each)
        return each in self._met or any(
            run.has_met(int(contents[0]), int(owns[0])) for run in self._runs
        )

    def _newly(self, each: bytes) -> int:
        if each in self._recent:
            was_met = each in self._met
            self._met.add(each)
            return AGAIN if was_met else HERE
        return self._contents.get(each[:_HALF], NEW)

    def _sort_in(self) -> None:
        count = len(self._recent)
        places = np.fromiter(self._recent.values(), np.uint64, count)
        met = np.fromiter((each in self._met for each in self._recent), np.bool_, count)
        run = _sorted(*_columns(b"".join(self._recent)), places, met)
        self._recent, self._contents, self._met = {}, {}, set()
        self._take(run)

    def _take(self, run: _Run) -> None:
        while self._runs and len(self._runs[-1].contents) <= len(run.contents) <= _LARGEST // 2:
            run = _sorted(*map(np.concatenate, zip(self._runs.pop(), run, strict=True)))
        self._runs.append(run)


def _columns(marks: bytes) -> tuple[Numbers, Numbers]:
    both = np.frombuffer(marks, np.uint64).reshape(-1, 2)
    return both[:, 0].copy(), both[:, 1].copy()


def _sorted(*columns: npt.NDArray[Any]) -> _Run:
    contents, owns, *_ = columns
    order = np.lexsort((owns, contents))
    return _Run(*(each[order] for each in columns))
