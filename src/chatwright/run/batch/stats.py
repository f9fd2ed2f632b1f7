"""How far a run has come: for displays, reports and the manifest."""

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from chatwright.run.batch.results import Result
from chatwright.run.batch.row import Row
from chatwright.run.batch.store import Kept

__all__ = ["Stats"]


@dataclass
class Stats:
    """How far a run has come.

    Attributes:
        total: How many rows there are; None where that is not known yet.
        read: How many were read.
        kept: What earlier runs left.
        found: How many of the rows that were read are done since an earlier run.
        done: How many were answered, equal ones included.
        failed: How many failed.
        copied: How many of both share the result of an equal row.
        repeated: How many rows stand in the input once more, id and all.
        tokens: Tokens in, and out.
        cost: What the answers cost, in USD; None where no price is known.
        asked: The rows that are being asked, and since when.
        limit: How many are asked at once.
        errors: The last few rows that failed, and why.
        ignored: Fields without effect on the model, and in how many rows.
        out: How many rows are out in batches of the provider's.
        batches: How far each of those is, for people.
        notes: What else is to be told at the end.
        started: When the run began, by `time.monotonic`.
        asking: For how many seconds rows were asked, once whatever asks them had started.
    """

    total: int | None = None
    read: int = 0
    kept: Kept = field(default_factory=Kept)
    found: int = 0
    done: int = 0
    failed: int = 0
    copied: int = 0
    repeated: int = 0
    tokens: tuple[int, int] = (0, 0)
    cost: float | None = None
    asked: dict[bytes, tuple[float, Row]] = field(default_factory=dict)
    limit: int = 0
    errors: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=5))
    ignored: dict[str, int] = field(default_factory=dict)
    out: int = 0
    batches: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    asking: float = 0.0

    @property
    def seconds(self) -> float:
        """How long the run has gone on."""
        return time.monotonic() - self.started

    @property
    def oldest(self) -> tuple[float, Row] | None:
        """For how long the oldest request has been in flight, and its row."""
        if not self.asked:
            return None
        since, row = next(iter(self.asked.values()))
        return time.monotonic() - since, row

    def add(self, result: Result, *, is_copy: bool) -> None:
        """Add a result that is on the disk.

        Args:
            result: The result.
            is_copy: Whether it is that of an equal row.
        """
        self.copied += is_copy
        if result.trouble is not None:
            self.failed += 1
            trouble = result.trouble
            self.errors.append((result.row.name, f"{trouble.type}: {trouble.message}"))
            return
        self.done += 1
        self.tokens = (self.tokens[0] + result.tokens[0], self.tokens[1] + result.tokens[1])
        if result.cost is not None:
            self.cost = (self.cost or 0.0) + result.cost

    def summary(self) -> dict[str, Any]:
        """Return the counts, for the manifest."""
        names = ("read", "found", "done", "failed", "copied", "repeated", "tokens", "cost")
        told = {name: getattr(self, name) for name in names}
        out = {"out": self.out, "batches": self.batches} if self.batches else {}
        return {**told, **out, "ignored": self.ignored, "seconds": round(self.seconds, 3)}
