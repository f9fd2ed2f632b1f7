"""The truth about any chat model: rules, and what they find.

The names are imported when they are first used (PEP 562): pytest loads the plugin that is beside
them, and should not wait for LangChain.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chatwright.checks.finding import Exchange, Fault, Finding, Report, Severity, Verdict
    from chatwright.checks.outcome import Outcome, expect, fail, skip, warn
    from chatwright.checks.rulebook import Rule, rule, rules
    from chatwright.checks.run.engine import check
    from chatwright.checks.targets.redirect import PointingError
    from chatwright.checks.trial import Trial

_HOMES = {
    "chatwright.checks.run.engine": ("check",),
    "chatwright.checks.finding": (
        *("Exchange", "Fault", "Finding", "Report", "Severity", "Verdict"),
    ),
    "chatwright.checks.targets.redirect": ("PointingError",),
    "chatwright.checks.outcome": ("Outcome", "expect", "fail", "skip", "warn"),
    "chatwright.checks.rulebook": ("Rule", "rule", "rules"),
    "chatwright.checks.trial": ("Trial",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

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


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value
