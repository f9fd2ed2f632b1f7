"""A baseline: what failed before, so that only what is new counts."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from chatwright.checks.finding import Report, Verdict

__all__ = ["read_baseline", "since"]

_WEIGHT = {Verdict.WARN: 1, Verdict.FAIL: 2}


def read_baseline(path: Path) -> Mapping[str, int]:
    """Return how heavily each rule weighs in an earlier report.

    Args:
        path: A report in JSON, of any version of the contract.

    Raises:
        ValueError: It is none, or can't be read; with how to make one.
    """
    try:
        findings = json.loads(path.read_text("utf-8"))["findings"]
        told = {each["rule"]: Verdict(each["verdict"]) for each in findings}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is no report to compare with ({error}); make one by "
            f"`chatwright check MODEL --format json --output {path}`"
        ) from None
    return {rule: _WEIGHT.get(verdict, 0) for rule, verdict in told.items()}


def since(report: Report, baseline: Mapping[str, int]) -> Report:
    """Return a report whose findings say whether a baseline has them already.

    What failed then and warns now is known, what warned and fails now is new.

    Args:
        report: What check found.
        baseline: What `read_baseline` gives.
    """
    found = [
        replace(each, known=0 < _WEIGHT.get(each.verdict, 0) <= baseline.get(each.rule, 0))
        for each in report.findings
    ]
    return replace(report, findings=found)
