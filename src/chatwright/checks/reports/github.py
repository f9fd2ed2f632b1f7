"""The report as GitHub's workflow commands, which a run shows as annotations."""

from chatwright.checks.finding import Finding, Report, Verdict
from chatwright.checks.reports.words import crashed, details, headline, printable

__all__ = ["as_github"]


def as_github(report: Report) -> str:
    """Return an `::error` per FAIL and per rule that crashed, a `::warning` per WARN, and a sum.

    The sum is a `::notice`: in a plain line, the model's name could give commands. GitHub shows
    ten annotations of each kind per step; the log has all.
    """
    failed = [
        *report.of(Verdict.FAIL),
        *(each for each in report.of(Verdict.SKIP) if crashed(each)),
    ]
    lines = [_annotation("error", each) for each in failed]
    lines += [_annotation("warning", each) for each in report.of(Verdict.WARN)]
    lines.append(_command("notice", "chatwright check", f"{report.model}: {headline(report)}"))
    return "\n".join(lines) + "\n"


def _annotation(kind: str, finding: Finding) -> str:
    said = "\n".join(f"{label}: {text}" for label, text in details(finding))
    return _command(kind, f"{finding.rule} {finding.title}", f"{said}\n{finding.link}".strip())


def _command(kind: str, title: str, message: str) -> str:
    """Return a command, escaped as `@actions/core` does it (`command.ts`)."""
    name = _data(title).replace(":", "%3A").replace(",", "%2C")
    return f"::{kind} title={name}::{_data(message)}"


def _data(text: str) -> str:
    escaped = printable(text).replace("%", "%25")
    return escaped.replace("\r", "%0D").replace("\n", "%0A")
