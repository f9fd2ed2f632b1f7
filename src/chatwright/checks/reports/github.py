"""The report as GitHub's workflow commands, which a run shows as annotations."""

from collections.abc import Sequence

from chatwright.checks.finding import Finding, Report, Verdict
from chatwright.checks.reports.words import details, folded, headline, others
from chatwright.core.page import printable

__all__ = ["as_github"]


def as_github(report: Report) -> str:
    """Return an `::error` per cause of FAILs and per crash, a `::warning` per WARN, and a sum.

    The sum is a `::notice`: in a plain line, the model's name could give commands. GitHub shows
    ten annotations of each kind per step; the log has all.
    """
    lines = [
        _annotation("warning" if each.verdict is Verdict.WARN else "error", each, rest)
        for each, rest in folded(report)
    ]
    lines.append(_command("notice", "chatwright check", f"{report.model}: {headline(report)}"))
    return "\n".join(lines) + "\n"


def _annotation(kind: str, finding: Finding, rest: Sequence[str]) -> str:
    said = [*(f"{label}: {text}" for label, text in details(finding)), others(rest), finding.link]
    return _command(kind, f"{finding.rule} {finding.title}", "\n".join(filter(None, said)))


def _command(kind: str, title: str, message: str) -> str:
    """Return a command, escaped as `@actions/core` does it (`command.ts`)."""
    name = _data(title).replace(":", "%3A").replace(",", "%2C")
    return f"::{kind} title={name}::{_data(message)}"


def _data(text: str) -> str:
    escaped = printable(text).replace("%", "%25")
    return escaped.replace("\r", "%0D").replace("\n", "%0A")
