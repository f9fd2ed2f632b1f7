"""What there is to tell of a batch: one scan of its results, in memory that does not grow."""

import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from chatwright.errors import BatchError
from chatwright.run.batch.manifest import Manifest
from chatwright.run.batch.store import Store

__all__ = ["Bins", "Figures", "Sample", "Throughput", "figures_of"]

T = TypeVar("T")

_PER_DOUBLING = 8
"""How many bins there are from a value to twice of it: each is 9 % wide."""
_MOST_BARS = 120
_MOST_CLASSES = 50
_OTHERS = "others"
_SAMPLES = 12
_SHOWN = 2000
_OWN = "chatwright"


class Bins:
    """How often values are how large, in bins each wider than the last."""

    def __init__(self) -> None:
        """Begin with none."""
        self.counts: Counter[int] = Counter()
        self.zeros = 0

    def add(self, value: float) -> None:
        """Take a value; those below zero count as zero."""
        if value > 0:
            self.counts[math.floor(math.log2(value) * _PER_DOUBLING)] += 1
        else:
            self.zeros += 1

    @property
    def total(self) -> int:
        """How many values there are."""
        return self.zeros + self.counts.total()

    def bars(self) -> list[tuple[float, float, int]]:
        """Return from where to where each bin goes, and how many values it has; none is left out.

        Values of zero are none of them.
        """
        if not self.counts:
            return []
        first, last = min(self.counts), max(self.counts)
        return [(_edge(n), _edge(n + 1), self.counts[n]) for n in range(first, last + 1)]

    def at(self, share: float) -> float:
        """Return below which value a share of all is, to within a bin."""
        wanted, seen = share * self.total, self.zeros
        if not self.total or seen >= wanted:
            return 0.0
        for n in sorted(self.counts):
            seen += self.counts[n]
            if seen >= wanted:
                break
        return math.sqrt(_edge(n) * _edge(n + 1))


def _edge(number: int) -> float:
    return float(2 ** (number / _PER_DOUBLING))


class Throughput:
    """How many answers came when: in bins of a width that grows with the time that is told of."""

    def __init__(self) -> None:
        """Begin with none."""
        self.width = 1.0
        self.counts: Counter[int] = Counter()

    def add(self, at: float) -> None:
        """Take the time of an answer, in seconds since 1970."""
        self.counts[int(at // self.width)] += 1
        while len(self.counts) > 1 and max(self.counts) - min(self.counts) >= _MOST_BARS:
            self.width *= 2
            merged: Counter[int] = Counter()
            for number, count in self.counts.items():
                merged[number // 2] += count
            self.counts = merged

    def bars(self) -> list[tuple[float, float, int]]:
        """Return from when to when each bin goes, and how many answers it has; none is left out."""
        if not self.counts:
            return []
        return [
            (n * self.width, (n + 1) * self.width, self.counts[n])
            for n in range(min(self.counts), max(self.counts) + 1)
        ]


class Sample(Generic[T]):
    """Some of many values, each with the same chance (algorithm R of Vitter, 1985)."""

    def __init__(self, size: int = _SAMPLES) -> None:
        """Begin with none; the same values give the same sample."""
        self.kept: list[T] = []
        self._size = size
        self._seen = 0
        self._random = random.Random(1985)  # noqa: S311  no secret

    def add(self, value: T) -> None:
        """Take a value."""
        self._seen += 1
        if len(self.kept) < self._size:
            self.kept.append(value)
        elif (place := self._random.randrange(self._seen)) < self._size:
            self.kept[place] = value


class Shown(NamedTuple):
    """A result that is shown.

    Args:
        name: Its row's id.
        text: What was answered, or went wrong.
        told: What else there is to say.
    """

    name: str
    text: str
    told: str


@dataclass
class Figures:
    """What there is to tell of a batch.

    Attributes:
        output: Where the answers stand.
        manifest: What ran with what.
        answers: How many answers there are.
        failed: How many rows that failed.
        copied: How many answers are those of equal rows.
        latency: How long answers took, in seconds.
        asked: How many tokens were asked, an answer.
        said: How many were answered.
        tokens: Tokens in, and out, of all.
        cost: What all cost, in USD; None where no price is known.
        throughput: When answers came.
        failures: How many rows failed by which class of error.
        reasons: How many answers ended why.
        answered: Some answers.
        wrong: Some failures.
    """

    output: Path
    manifest: Mapping[str, Any]
    answers: int = 0
    failed: int = 0
    copied: int = 0
    latency: Bins = field(default_factory=Bins)
    asked: Bins = field(default_factory=Bins)
    said: Bins = field(default_factory=Bins)
    tokens: tuple[int, int] = (0, 0)
    cost: float | None = None
    throughput: Throughput = field(default_factory=Throughput)
    failures: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    answered: Sample[Shown] = field(default_factory=Sample)
    wrong: Sample[Shown] = field(default_factory=Sample)

    def add(self, fields: Mapping[str, Any]) -> None:
        """Take an answer, as it is written."""
        own: Mapping[str, Any] = fields.get(_OWN) or fields
        text, reason = _text(fields)
        self.answers += 1
        _count(self.reasons, reason)
        usage = own.get("usage") or {}
        tokens = (usage.get("input_tokens") or 0, usage.get("output_tokens") or 0)
        told = [f"{own['seconds']:.2f} s", f"{tokens[1]} tokens" if usage else "", reason]
        if not own.get("attempts"):
            self.copied += 1
            told = ["equals another row", reason]
        else:
            self.latency.add(own["seconds"])
            self.throughput.add(own["started"] + own["seconds"])
            self.tokens = (self.tokens[0] + tokens[0], self.tokens[1] + tokens[1])
            if usage:
                self.asked.add(tokens[0])
                self.said.add(tokens[1])
            if (cost := own.get("cost")) is not None:
                self.cost = (self.cost or 0.0) + cost
        name = str(fields.get("custom_id") or fields.get("id"))
        self.answered.add(Shown(name[:200], text[:_SHOWN], " · ".join(filter(None, told))))

    def add_failure(self, fields: Mapping[str, Any]) -> None:
        """Take a row that failed, as it is written."""
        own: Mapping[str, Any] = fields.get(_OWN) or fields
        error = fields.get("error") or {}
        kind = str(error.get("type") or error.get("code") or "?")
        status = error.get("status") or (fields.get("response") or {}).get("status_code")
        self.failed += 1
        _count(self.failures, f"{kind} (HTTP {status})" if status else kind)
        name = str(fields.get("custom_id") or fields.get("id"))
        place = str(own.get("place") or "")
        self.wrong.add(Shown(name[:200], str(error.get("message"))[:_SHOWN], f"{kind} · {place}"))


def _count(counts: Counter[str], name: str) -> None:
    counts[name if name in counts or len(counts) < _MOST_CLASSES else _OTHERS] += 1


def _text(fields: Mapping[str, Any]) -> tuple[str, str]:
    """Return the text of an answer, or its calls, and why it ended."""
    if "response" in fields:
        choice = fields["response"]["body"]["choices"][0]
        message, reason = choice["message"], choice.get("finish_reason")
        text, calls = message.get("content"), message.get("tool_calls")
    else:
        text, calls, reason = (fields.get(each) for each in ("text", "tool_calls", "finish_reason"))
    return text or (str(calls) if calls else ""), str(reason or "?")


def figures_of(output: Path) -> Figures:
    """Return what there is to tell of a batch's output; nothing is changed.

    Args:
        output: The output, as the batch was given it.

    Raises:
        BatchError: There is no batch, or it can't be read.
        OSError: It can't be read.
    """
    manifest = Manifest(Store(output, "jsonl").manifest_path).fields
    if not manifest:
        raise BatchError(
            f"there is no batch at {output}: no manifest stands beside it; name the output, as it "
            "was given to the batch"
        )
    store = Store(output, manifest["format"])
    made = Figures(output, manifest)
    for fields in _read(store.answers()):
        made.add(fields)
    for fields in _read(store.failures()):
        made.add_failure(fields)
    return made


def _read(results: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    try:
        yield from results
    except (KeyError, TypeError, ValueError) as error:
        raise BatchError(f"a result can't be read: {error!r}") from error
