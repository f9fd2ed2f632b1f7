"""What is done: results on the disk, each exactly once, and never asked for again."""

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from chatwright.errors import BatchError
from chatwright.run.batch.index import Index, mark
from chatwright.run.batch.journal import Journal, line_of
from chatwright.run.batch.manifest import Manifest
from chatwright.run.batch.parts import Parts
from chatwright.run.batch.results import Format, Known, Result, known

__all__ = ["Kept", "Store"]

_FAILURES = 1 << 62
"""Added to the places of failures, which no row's answer can be copied from."""
_TOGETHER = 2**15
"""How many results of earlier runs are sorted together."""


@dataclass
class Kept:
    """What an earlier run left.

    Attributes:
        answers: How many answers.
        failures: How many rows that failed.
        cost: What they cost, in USD.
        tokens: Tokens in, and out.
        repaired: How many damaged lines were taken out.
    """

    answers: int = 0
    failures: int = 0
    cost: float = 0.0
    tokens: tuple[int, int] = (0, 0)
    repaired: int = 0

    def add(self, result: Known) -> None:
        """Add what a result took."""
        self.cost += result.cost
        (told, said), (more_told, more_said) = self.tokens, result.tokens
        self.tokens = told + more_told, said + more_said


class Store:
    """The results of one job: an output that only grows, and what is known of it.

    Args:
        output: The output's path; failures, manifest and lock stand beside it.
        form: Its format.
    """

    def __init__(self, output: Path, form: Format) -> None:
        """Open nothing yet."""
        self.output = output
        self.form = form
        stem = output.name.removesuffix(".jsonl").removesuffix(".parquet")
        self.failures_path = output.with_name(f"{stem}.failures.jsonl")
        self.manifest_path = output.with_name(f"{stem}.manifest.json")
        self.batches_path = output.with_name(f"{stem}.batches")
        self._lock = FileLock(output.with_name(f"{stem}.lock"), timeout=0, thread_local=False)
        where = Path(os.path.realpath(output))  # a link to a larger disk stays one
        self._answers: Journal | Parts = Parts(where) if form == "parquet" else Journal(where)
        self._failures = Journal(self.failures_path)
        self._index = Index()

    def open(
        self,
        job: Mapping[str, Any],
        *,
        fresh: bool = False,
        retry_failed: bool = False,
        inputs: Iterable[Path] = (),
        **told: Any,
    ) -> Kept:
        """Take the output, and return what it holds already.

        Args:
            job: What is asked of which model.
            fresh: Whether to start anew, without what is there.
            retry_failed: Whether rows that failed are asked again.
            inputs: The files that are read.
            **told: What else the manifest is to say of the run.

        Raises:
            BatchError: Another run has it, or it is another job's, or no batch's at all.
            OSError: It can't be read or written.
        """
        self._refuse_inputs(inputs)
        self.output.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout:
            raise BatchError(f"another run writes to {self.output}; wait for its end") from None
        try:
            return self._opened(job, fresh=fresh, retry_failed=retry_failed, **told)
        except BaseException:
            self._lock.release()
            raise

    def _refuse_inputs(self, inputs: Iterable[Path]) -> None:
        ours = (self.output, self.failures_path, self.manifest_path)
        written = [each for each in ours if each.exists()]
        for each in inputs:
            if any(each.samefile(own) for own in written):
                raise BatchError(f"{each} is read, and would be written to; name another output")

    def _opened(
        self, job: Mapping[str, Any], *, fresh: bool, retry_failed: bool, **told: Any
    ) -> Kept:
        if fresh:
            if self.form == "parquet" and self.output.is_dir():
                shutil.rmtree(self.output)
            for path in (self.output, self.failures_path, self.manifest_path):
                path.unlink(missing_ok=True)
        self.manifest = Manifest(self.manifest_path)
        if self.form != "parquet" and self.output.is_dir():
            raise BatchError(f"{self.output} is a folder; only one in .parquet can be an output")
        if not self.manifest.fields and self.output.exists() and self.output.stat().st_size:
            raise BatchError(
                f"{self.output} is there, and no manifest says of which batch; give another "
                "output, or replace it with --fresh"
            )
        self.manifest.begin(job, self.form, **told)
        if retry_failed and self.failures_path.exists():
            self._set_aside(self.failures_path)
        kept = Kept()
        kept.answers = self._keep(kept, self._answers.scan(), 0)
        kept.failures = self._keep(kept, self._failures.scan(), _FAILURES)
        kept.repaired = self._answers.repair.lines + self._failures.repair.lines
        return kept

    def _keep(self, kept: Kept, results: Iterator[tuple[int, dict[str, Any]]], offset: int) -> int:
        """Take the results of earlier runs into the index; return how many there are."""
        count, marks, places = 0, [], []
        for place, fields in results:
            result = known(fields)
            kept.add(result)
            marks.append(mark(result.key, result.own))
            places.append(offset + place)
            if len(marks) == _TOGETHER:
                count += self._index.extend(marks, places)
                marks, places = [], []
        return count + self._index.extend(marks, places)

    @staticmethod
    def _before(path: Path) -> Path:
        """Return where failures are kept that are none any more."""
        return path.with_name(f"{path.stem}.before.jsonl")

    @staticmethod
    def _set_aside(path: Path) -> None:
        """Keep the failures of earlier runs in a file of their own: their rows are asked again."""
        kept = Store._before(path)
        with path.open("rb") as old, kept.open("ab") as new:
            shutil.copyfileobj(old, new)
        path.unlink()

    def answers(self) -> Iterator[dict[str, Any]]:
        """Yield the answers as they were written; nothing is opened or changed."""
        return self._answers.whole()

    def failures(self) -> Iterator[dict[str, Any]]:
        """Yield the rows that failed, likewise."""
        return self._failures.whole()

    def find(self, marks: Sequence[bytes]) -> list[int]:
        """Return for each mark whether its result is there, as `Index.find`."""
        return self._index.find(marks)

    def answer_at(self, place: int, key: bytes) -> Mapping[str, Any] | None:
        """Return the answer to an equal row; None where there is none that can be taken.

        Args:
            place: Where it stands, as `find` says.
            key: The row's key.
        """
        if place >= _FAILURES:
            return None
        fields = self._answers.read(place)
        return fields if known(fields).key == key else None

    def write(self, results: Sequence[Result]) -> list[int]:
        """Write results, and return their places; they are on the disk when this returns.

        Raises:
            OSError: They can't be written.
        """
        places = [0] * len(results)
        for journal, offset, is_failure in (
            (self._answers, 0, False),
            (self._failures, _FAILURES, True),
        ):
            some = [n for n, each in enumerate(results) if bool(each.trouble) is is_failure]
            if some:
                written = journal.append([results[n].line for n in some])
                for n, place in zip(some, written, strict=True):
                    places[n] = offset + place
        return places

    def note(self, results: Sequence[Result], places: Sequence[int]) -> None:
        """Take it that results are written.

        Args:
            results: As `write` had them.
            places: As it returned them.
        """
        for each, place in zip(results, places, strict=True):
            self._index.add(each.row.mark, place, met=True)

    def set_stale_aside(self) -> int:
        """Keep failures of rows that the input does not have any more in a file of their own.

        Returns:
            How many there were.
        """
        stale = [
            (place, fields)
            for place, fields in self._failures.scan()
            if not self._index.was_met(mark(known(fields).key, known(fields).own))
        ]
        if stale:
            gone = {place for place, _ in stale}
            with self._before(self.failures_path).open("ab") as kept:
                kept.writelines(line_of(_bare(fields)) for _, fields in stale)
            left = [place for place, _ in self._failures.scan() if place not in gone]
            self._failures.rearrange(left)
            if not left:
                self.failures_path.unlink()
        return len(stale)

    def put_in_order(self, order: Iterable[list[bytes]]) -> None:
        """Put answers into the input's order; those of rows that it does not have go last.

        Args:
            order: The marks of the input's rows.

        Raises:
            OSError: There is no room for both the old file and the new one.
        """

        def places() -> Iterator[int]:
            for marks in order:
                found = self._index.places(marks)
                yield from (each for each in found if each is not None and each < _FAILURES)
            for place, fields in self._answers.scan():
                each = known(fields)
                if not self._index.was_met(mark(each.key, each.own)):
                    yield place

        self._answers.rearrange(places())

    def close(self, **told: Any) -> None:
        """Let the output go.

        Args:
            **told: What the manifest is to say of how the run ended.
        """
        self._answers.close()
        self._failures.close()
        try:
            with contextlib.suppress(OSError):  # the disk may be full: the results count
                self.manifest.end(**told)
        finally:
            self._lock.release()


def _bare(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in fields.items() if name != "sum"}
