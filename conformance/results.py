"""What was found of a package, and which of its FAILs are its own."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.known import CAUSES, CORE, SAME
from conformance.models import Package

__all__ = ["Failure", "Fault", "Finding", "Result", "core", "masked"]

Finding = Mapping[str, Any]
"""A finding, as the report in JSON has it."""

_MASKS: Sequence[tuple[str, str]] = (
    (re.escape(str(Path(__file__).parents[1])) + r"/?", ""),
    (r"/\S+/site-packages/", ""),
    (r"127\.0\.0\.1:\d+(?:/m\d+)?", "127.0.0.1"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "…"),
    (r"\b[0-9a-f]{32}\b", "…"),
    (r"\bat 0x[0-9a-f]+", ""),
    (r"\b\d+(?:\.\d+)? ms\b", "some ms"),
    (r" For further information visit \S+", ""),
    (r"\b\d{10}(?:\.\d+)?\b", "…"),
    (r"\bresp_\d+\b", "resp_…"),
    ("telepathy", "no_such_method"),
)
"""What differs between runs and machines, and what stands for it."""


@dataclass(frozen=True)
class Failure:
    """A FAIL, and what its script says.

    Args:
        finding: The FAIL.
        script: The script that shows it, or the last that was tried.
        reproduced: Whether it does.
        evidence: The script's line.
        base: The class of langchain-openai by which the script says the same; empty for none.
    """

    finding: Finding
    script: str | None
    reproduced: bool
    evidence: str
    base: str = ""

    @property
    def rule(self) -> str:
        """The rule that what is shown is against: a time-out of any is a retry too many."""
        return "E6" if self.script == "hangs" else str(self.finding["rule"])


@dataclass(frozen=True)
class Fault:
    """FAILs of one cause.

    Args:
        failures: They, the one that is told first.
        why: What the cause is, where that needs a word.
    """

    failures: Sequence[Failure]
    why: str = ""

    @property
    def rules(self) -> Sequence[str]:
        """The ids of its rules, without langchain-tests'."""
        return [*dict.fromkeys(each.rule for each in self.failures if not _test(each.finding))]

    @property
    def tests(self) -> int:
        """How many tests of langchain-tests fail by it."""
        return sum(_test(each.finding) for each in self.failures)


@dataclass(frozen=True)
class Result:
    """What was found of one package: as it is published, and with `chat_model` around it."""

    package: Package
    date: str
    of_openai: bool
    findings: Sequence[Finding]
    wrapped: Sequence[Finding]
    failures: Sequence[Failure]

    @property
    def own(self) -> Sequence[Fault]:
        """What fails by the package's own doing, and a script shows."""
        return self._faults(each for each in self._shown if not each.base and not self.mild(each))

    @property
    def inherited(self) -> Sequence[Fault]:
        """What langchain-openai's own class shows as well."""
        return self._faults(each for each in self._shown if each.base)

    @property
    def hidden(self) -> int:
        """How many FAILs no script shows."""
        return sum(not each.reproduced and not core(each.finding) for each in self.failures)

    @property
    def tests(self) -> Sequence[Failure]:
        """Tests of langchain-tests that fail by what the rule for it calls a warning."""
        return [each for each in self._shown if self.mild(each)]

    @property
    def ours(self) -> Sequence[Finding]:
        """What fails with `chat_model` around the model, and not without."""
        failing = {each["rule"] for each in self.findings if each["verdict"] == "FAIL"}
        failing |= {rule for rule in failing for rule in self._alike(rule)}
        found = [each for each in self.wrapped if each["verdict"] == "FAIL" and not core(each)]
        return [each for each in found if not {each["rule"], SAME.get(each["rule"])} & failing]

    @property
    def repaired(self) -> Sequence[Fault]:
        """The package's own faults that are gone with `chat_model` around the model."""
        now = {each["rule"]: each["verdict"] for each in self.wrapped}
        found = [(each, [one.finding for one in each.failures]) for each in self.own]
        return [
            each
            for each, findings in found
            if {now.get(one["rule"]) for one in findings if not _test(one)} <= {"PASS", "WARN"}
            and each.rules
        ]

    @property
    def _shown(self) -> Sequence[Failure]:
        return [each for each in self.failures if each.reproduced and not core(each.finding)]

    def mild(self, failure: Failure) -> bool:
        """Tell whether a test fails by what is only a warning of the rule for it."""
        rule = (failure.script or "").upper()
        verdicts = {each["rule"]: each["verdict"] for each in self.findings}
        return _test(failure.finding) and verdicts.get(rule) not in ("FAIL", None)

    def _faults(self, failures: Iterable[Failure]) -> Sequence[Fault]:
        causes: dict[Any, list[Failure]] = {}
        for each in failures:
            rule = (each.script or "").upper() if _test(each.finding) else each.rule
            alike = self._alike(rule)
            causes.setdefault(alike or (each.script, each.evidence), []).append(each)
        return [Fault(_first(each), self._why(each[0].rule)) for each in causes.values()]

    def _alike(self, rule: str) -> Sequence[str]:
        return next((rules for _, rules, _ in self._causes(rule)), ())

    def _why(self, rule: str) -> str:
        return next((why for _, _, why in self._causes(rule)), "")

    def _causes(self, rule: str) -> Iterable[tuple[str, Sequence[str], str]]:
        return (each for each in CAUSES if each[0] == self.package.name and rule in each[1])


def core(finding: Finding) -> str:
    """Return what core does that a finding is about; empty for nothing."""
    rule, got = finding["rule"], finding["got"]
    return next((note for id_, text, note in CORE if rule == id_ and text in got), "")


def masked(text: str, most: int = 2_000) -> str:
    """Return a text without what differs between runs and machines, in one line."""
    text = " ".join(text.split())
    for pattern, instead in _MASKS:
        text = re.sub(pattern, instead, text)
    return text if len(text) <= most else f"{text[:most]}…"


def _test(finding: Finding) -> bool:
    return bool(finding["layer"] == "langchain-tests")


def _first(failures: Sequence[Failure]) -> Sequence[Failure]:
    """Put first the rule that a script is named after, or what raises (E1)."""
    names = {failures[0].script, "e1"}
    return sorted(failures, key=lambda each: each.finding["rule"].lower() not in names)
