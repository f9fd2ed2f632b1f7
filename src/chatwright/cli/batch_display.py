"""How far a batch has come: a live display in a terminal, plain lines in a pipe."""

import contextlib
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from chatwright.run.batch.running import Run, Summary
    from chatwright.run.batch.stats import Stats

__all__ = ["display", "end", "lines"]

_BARS = "▁▂▃▄▅▆▇█"
_EVERY = 10.0
"""Seconds between the lines in a pipe."""
_WINDOW = 40
"""How many seconds the throughput is drawn for."""
_LONG = 30.0
"""After how many seconds a request in flight is named."""


class _Speed:
    """Rows and tokens a second, one measurement a second."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._before = (0, 0)
        self.rows: deque[float] = deque(maxlen=_WINDOW)
        self.tokens: deque[float] = deque(maxlen=_WINDOW)

    def feed(self, stats: "Stats") -> None:
        now = time.monotonic()
        if now - self._since < 1.0:
            return
        took, self._since = now - self._since, now
        ended, tokens = stats.done + stats.failed, sum(stats.tokens)
        self.rows.append((ended - self._before[0]) / took)
        self.tokens.append((tokens - self._before[1]) / took)
        self._before = (ended, tokens)

    @property
    def sparkline(self) -> str:
        most = max(self.rows, default=0.0) or 1.0
        return "".join(_BARS[min(7, int(each / most * 7.99))] for each in self.rows)


def lines(stats: "Stats", speed: _Speed) -> Iterator[str]:
    """Yield what there is to tell of a run that goes on.

    Args:
        stats: How far it has come.
        speed: How fast it went lately.
    """
    ended = stats.found + stats.done + stats.failed
    of = f" of {stats.total}" if stats.total is not None else ""
    kept = f", {stats.found} of them before" if stats.found else ""
    yield f"{ended}{of} rows{kept}, {stats.failed} failed, {len(stats.asked)} in flight"
    rows = [*speed.rows][-5:]
    pace = sum(rows) / len(rows) if rows else 0.0
    told = [f"{pace:.1f} rows/s"]
    tokens = [*speed.tokens][-5:]
    if any(tokens):
        told.append(f"{sum(tokens) / len(tokens):.0f} tokens/s")
    if stats.cost is not None:
        told.append(f"{stats.cost:.4f} USD")
    if stats.total is not None and pace:
        told.append(f"{_duration((stats.total - ended) / pace)} left")
    yield " · ".join(told)
    yield from stats.batches
    if (oldest := stats.oldest) and oldest[0] > _LONG:
        yield f"in flight for {oldest[0]:.0f} s: {oldest[1].name}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@contextlib.contextmanager
def display(run: "Run") -> Iterator[None]:
    """Show how far a run has come, on the standard error.

    Args:
        run: It has not begun.
    """
    if sys.stderr.isatty():
        yield from _live(run)
    else:
        run.watch = _plain()
        yield


def _plain() -> Any:
    speed, told = _Speed(), time.monotonic()

    def watch(stats: "Stats") -> None:
        nonlocal told
        speed.feed(stats)
        if time.monotonic() - told >= _EVERY:
            told = time.monotonic()
            typer.echo(" | ".join(lines(stats, speed)), err=True)

    return watch


def _live(run: "Run") -> Iterator[None]:
    from rich.console import Console  # noqa: PLC0415  slow to import
    from rich.live import Live  # noqa: PLC0415  likewise
    from rich.progress_bar import ProgressBar  # noqa: PLC0415  likewise
    from rich.table import Table  # noqa: PLC0415  likewise
    from rich.text import Text  # noqa: PLC0415  likewise

    speed = _Speed()
    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:

        def watch(stats: "Stats") -> None:
            speed.feed(stats)
            ended = stats.found + stats.done + stats.failed
            grid = Table.grid()
            grid.add_row(ProgressBar(stats.total, ended, 60, pulse=stats.total is None))
            errors = [f"  {name}: {why}" for name, why in stats.errors]
            for each in [*lines(stats, speed), speed.sparkline, *errors]:
                grid.add_row(Text(each, no_wrap=True, overflow="ellipsis"))
            live.update(grid, refresh=True)

        run.watch = watch
        yield


def end(summary: "Summary") -> None:
    """Say what came of a run, on the standard error.

    Args:
        summary: What came of it.
    """
    stats = summary.stats
    told = [f"{summary.answers} answers in {summary.output}"]
    if summary.failed:
        told.append(f"{summary.failed} rows failed: {summary.failures} says why")
        told += [f"  {name}: {why}"[:300] for name, why in stats.errors]
        told.append("  --retry-failed asks them again")
    if stats.kept.repaired:
        told.append(f"{stats.kept.repaired} damaged lines were taken out, and asked again")
    if stats.found:
        told.append(f"{stats.found} rows were done before")
    if stats.copied:
        told.append(f"{stats.copied} rows equal another one, and share its result")
    if stats.repeated:
        told.append(f"{stats.repeated} rows stand in the input once more, id and all")
    for name, count in sorted(stats.ignored.items()):
        told.append(f"{name!r} has no effect on this model ({count} rows)")
    told += stats.notes
    told += [f"out: {each}" for each in stats.batches]
    cost = "" if stats.cost is None else f", {stats.cost:.4f} USD"
    spent = (
        f"{stats.tokens[0]} tokens in, {stats.tokens[1]} out{cost}, " if any(stats.tokens) else ""
    )
    told.append(f"{spent}{_duration(stats.seconds)}")
    if summary.out:
        told.append(
            f"{summary.out} rows are out: come back for them with the same command, or --wait"
        )
    if summary.stopped:
        told.append(f"stopped: {summary.stopped}; the same command goes on from here")
    typer.echo("\n".join(told), err=True)
