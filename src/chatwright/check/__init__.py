"""The truth about any chat model: rules, and what they find."""

from chatwright.check.engine import check
from chatwright.check.finding import Exchange, Fault, Finding, Report, Severity, Verdict
from chatwright.check.pointing import PointingError
from chatwright.check.rule import Outcome, Rule, expect, fail, rule, rules, skip, warn
from chatwright.check.trial import Trial

__all__ = [
    "Exchange",
    "Fault",
    "Finding",
    "Outcome",
    "PointingError",
    "Report",
    "Rule",
    "Severity",
    "Trial",
    "Verdict",
    "check",
    "expect",
    "fail",
    "rule",
    "rules",
    "skip",
    "warn",
]
