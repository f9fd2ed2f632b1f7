"""What check says: findings, and the report that holds them."""

import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from importlib import metadata
from typing import Any

from chatwright.checks.changes import CONTRACT

__all__ = [
    "SCHEMA_VERSION",
    "Exchange",
    "Fault",
    "Finding",
    "Report",
    "Severity",
    "Verdict",
    "score",
    "versions",
]

SCHEMA_VERSION = 1
"""The version of the JSON report; it changes where a key goes away or changes its meaning."""

_DEPTH = 32
_MOST_BITS = 1_000
_TOLD = ("chatwright", "langchain-core", "langchain-tests", "pydantic")


class Verdict(StrEnum):
    """What a rule found."""

    PASS = "PASS"  # noqa: S105  no password
    WARN = "WARN"
    FAIL = "FAIL"
    SKIP = "SKIP"


class Severity(StrEnum):
    """How much a broken rule matters: `error` loses or leaks something, `warning` irritates."""

    ERROR = "error"
    WARNING = "warning"


class Fault(StrEnum):
    """Whose fault a finding is."""

    MODEL = "model"
    """The model class's."""
    LLM = "llm"
    """The LLM's choice, such as not to call a tool."""
    UPSTREAM = "upstream"
    """The server's."""
    CHECK = "check"
    """The rule's own: it crashed."""


@dataclass(frozen=True)
class Exchange:
    """One call that a rule made.

    Args:
        way: How the model was called, such as `astream`.
        request: What arrived at the upstream; None where there is none.
        timeline: What came back: pairs of milliseconds since the call and what came then.
        error: What it raised, if it did.
    """

    way: str
    request: Any = None
    timeline: Sequence[tuple[float, str]] = ()
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the call as JSON has it."""
        return {each.name: _pure(getattr(self, each.name)) for each in fields(self)}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one rule found.

    Args:
        rule: The rule's id, such as `P3`.
        title: What the rule says.
        section: The section of the contract.
        verdict: PASS, WARN, FAIL or SKIP.
        severity: How much it matters.
        fault: Whose fault it is; None where nothing is wrong.
        layer: `scripted`, `live` or `langchain-tests`.
        sent: What was sent.
        got: What came; of a SKIP, why it could not be tested.
        expected: What was expected.
        fix: What fixes it, in a sentence or two.
        link: Where the rule is explained.
        seconds: How long it took.
        exchanges: The calls that it made, where something is wrong.
        cause: What raised, and where, if that is what is wrong: findings of one cause are one.
        known: Whether a baseline has it already, so that it does not count.
    """

    rule: str
    title: str
    section: str
    verdict: Verdict
    severity: Severity = Severity.ERROR
    fault: Fault | None = None
    layer: str = "scripted"
    sent: str = ""
    got: str = ""
    expected: str = ""
    fix: str = ""
    link: str = ""
    seconds: float = 0.0
    exchanges: Sequence[Exchange] = ()
    cause: str = ""
    known: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as JSON has it."""
        told = {each.name: _pure(getattr(self, each.name)) for each in fields(self)}
        for name in ("sent", "got", "expected", "fix", "cause"):  # a rule may have given anything
            told[name] = told[name] if isinstance(told[name], str) else repr(told[name])
        exchanges = [each.as_dict() for each in self.exchanges]
        return {**told, "seconds": round(self.seconds, 3), "exchanges": exchanges}


@dataclass(frozen=True)
class Report:
    """What holds for one model, rule by rule.

    Args:
        model: The model's name.
        findings: One per rule, in the rules' order.
        calls: How many times the model was called.
        seconds: How long it took.
        versions: Those of the packages that matter.
    """

    model: str
    findings: Sequence[Finding]
    calls: int = 0
    seconds: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)

    def of(self, *verdicts: str) -> list[Finding]:
        """Return the findings with one of these verdicts."""
        return [each for each in self.findings if each.verdict in verdicts]

    def sections(self) -> dict[str, list[Finding]]:
        """Return the findings by the sections of the contract."""
        found: dict[str, list[Finding]] = {}
        for each in self.findings:
            found.setdefault(each.section, []).append(each)
        return found

    def exit_code(self, *, strict: bool = False) -> int:
        """Return 0 where all is well, 1 where something new is not, 3 where a rule crashed.

        Args:
            strict: Whether a WARN counts as well.
        """
        wrong = self.of(Verdict.FAIL, Verdict.WARN) if strict else self.of(Verdict.FAIL)
        if any(not each.known for each in wrong):
            return 1
        return 3 if any(each.fault is Fault.CHECK for each in self.findings) else 0

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        return {
            "schema_version": SCHEMA_VERSION,
            "model": _pure(self.model),
            "versions": _pure(self.versions),
            "calls": self.calls,
            "seconds": round(self.seconds, 3),
            "findings": [each.as_dict() for each in self.findings],
        }


def _pure(value: Any, within: tuple[int, ...] = ()) -> Any:
    """Return a value as JSON can hold it: what a model sent may be anything."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()  # no half of a surrogate pair
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if value.bit_length() <= _MOST_BITS else hex(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if id(value) in within or len(within) >= _DEPTH:
        return "…"
    within = (*within, id(value))
    if isinstance(value, Mapping):
        return {_pure(_text(name)): _pure(each, within) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_pure(each, within) for each in value]
    return _pure(_text(value))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001  it is the model's
        return f"<{type(value).__name__}, whose repr raised {type(error).__name__}>"


def score(findings: Iterable[Finding]) -> tuple[int, int]:
    """Return how many of the rules that could be tested passed, and how many those were."""
    tested = [each for each in findings if each.verdict is not Verdict.SKIP]
    return sum(each.verdict is Verdict.PASS for each in tested), len(tested)


def versions(package: str | None = None) -> dict[str, str]:
    """Return the versions that a report tells: the contract's, and those of packages.

    Args:
        package: A further distribution: the model's.
    """
    found = {"contract": CONTRACT, "python": platform.python_version()}
    for name in filter(None, (*_TOLD, package)):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
