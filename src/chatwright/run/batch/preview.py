"""What a run would do, and what it may take: told before the first real row."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Any

from chatwright.errors import ChatwrightError
from chatwright.run.batch.running import Run
from chatwright.run.batch.stats import Stats

__all__ = ["Estimate", "Preview", "estimate", "preview"]

_SHOWN = 5
_BYTES_PER_TOKEN = 4


@dataclass
class Preview:
    """What a run would do.

    Attributes:
        rows: How many rows there are.
        unread: Those that can't be asked: where they stand, and why; the first few.
        unreadable: How many those are.
        size: How long the prompts are together, in bytes.
        first: The first prompt, as messages.
    """

    rows: int = 0
    unread: list[tuple[str, str]] = field(default_factory=list)
    unreadable: int = 0
    size: int = 0
    first: Any = None

    def lines(self) -> Iterator[str]:
        """Yield what there is to tell."""
        yield f"{self.rows} rows, about {self.size // _BYTES_PER_TOKEN} tokens of prompts"
        for message in self.first or ():
            yield f"  {message.type}: {message.text[:300]}"
        if self.unreadable:
            yield f"{self.unreadable} rows can't be asked:"
            yield from (f"  {place}: {problem}" for place, problem in self.unread)


def preview(run: Run) -> Preview:
    """Read the rows of a run and ask nothing.

    Args:
        run: It has not begun.

    Raises:
        LoadError: The input can't be read.
    """
    seen = Preview()
    job = run.job
    for record in islice(iter(run.source), run.options.limit):
        row = job.row(record)
        seen.rows += 1
        problem = row.problem
        if not problem:
            try:
                messages = job.ask(row).messages
            except ChatwrightError as error:
                problem = str(error)
            else:
                seen.first = seen.first or messages
                seen.size += row.size
        if problem:
            seen.unreadable += 1
            seen.unread += [(row.place, problem)] if len(seen.unread) < _SHOWN else []
    return seen


@dataclass(frozen=True)
class Estimate:
    """What a whole run may take, by a sample of it.

    Attributes:
        rows: How many rows there are.
        sample: How many of them were answered.
        tokens: Tokens in, and out, of all.
        cost: What all cost, in USD; None where no price is known.
        seconds: How long all take; None where a provider's batches take their own time.
    """

    rows: int
    sample: int
    tokens: tuple[int, int]
    cost: float | None
    seconds: float | None

    def line(self) -> str:
        """Return what there is to tell."""
        cost = "" if self.cost is None else f", {self.cost:.2f} USD"
        took = (
            ""
            if self.seconds is None
            else f", {timedelta(seconds=round(self.seconds))} at this pace"
        )
        return (
            f"by {self.sample} rows, all {self.rows} take about {self.tokens[0]} tokens in and "
            f"{self.tokens[1]} out{cost}{took}"
        )


def estimate(run: Run, sample: Stats) -> Estimate:
    """Return what a whole run may take.

    Args:
        run: It has not begun.
        sample: How far a run over some of its rows has come.

    Raises:
        LoadError: The input can't be read.
    """
    rows = run.source.count()
    if rows is None:
        rows = sum(1 for _ in run.source)
    if run.options.limit is not None:
        rows = min(rows, run.options.limit)
    kept = sample.kept  # an earlier sample tells as much, but for how long it took
    answers = sample.done + kept.answers
    share = rows / max(1, answers)
    tokens = tuple(round((a + b) * share) for a, b in zip(sample.tokens, kept.tokens, strict=True))
    cost = (sample.cost or 0.0) + kept.cost
    here = sample.done and run.provider is None  # a provider's batches take their own time
    seconds = sample.seconds * rows / sample.done if here else None
    return Estimate(rows, answers, (tokens[0], tokens[1]), cost * share or None, seconds)
