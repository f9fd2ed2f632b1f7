"""One harness: the two sides of a row take turns in one run, and the median ratio counts."""

import gc
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        work: What is done.
        ours, peer: Medians of both sides, in `unit`.
        ratio: The median of the ratios round by round.
        target: What must be reached, such as ("<=", 0.6).
    """

    work: str
    ours: float
    peer: float
    unit: str
    ratio: float
    target: tuple[str, float]
    peer_name: str

    @property
    def reached(self) -> bool:
        sign, bound = self.target
        return self.ratio <= bound if sign == "<=" else self.ratio >= bound


def turns(
    ours: Callable[[], float], peer: Callable[[], float], rounds: int
) -> tuple[float, float, float]:
    """Run both sides in turn, after one round that does not count; return medians and the ratio."""
    ours(), peer()
    pairs = []
    for _ in range(rounds):
        gc.collect()
        pairs.append((ours(), peer()))
    mine, theirs = zip(*pairs, strict=True)
    return (
        statistics.median(mine),
        statistics.median(theirs),
        statistics.median(a / b for a, b in pairs),
    )


def timed(work: Callable[[], object], per: int, scale: float = 1e6) -> Callable[[], float]:
    """Return a function that runs `work` once and tells its time per piece, in 1/`scale` s."""

    def once() -> float:
        started = time.perf_counter()
        work()
        return (time.perf_counter() - started) / per * scale

    return once


def table(rows: Sequence[Row]) -> str:
    lines = [
        "| work | ours | peer | ratio | must reach | |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        sign = {"<=": "≤", ">=": "≥"}[row.target[0]]
        lines.append(
            f"| {row.work} | {row.ours:.1f} {row.unit} | {row.peer:.1f} {row.unit} "
            f"({row.peer_name}) | {row.ratio:.2f} × | {sign} {row.target[1]:g} × "
            f"| {'reached' if row.reached else '**missed**'} |"
        )
    return "\n".join(lines)


def machine() -> str:
    names = ("langchain-core", "pydantic", "xllamacpp")
    libraries = ", ".join(f"{name} {version(name)}" for name in names)
    return f"Python {platform.python_version()}, {libraries}; two shared cores"
