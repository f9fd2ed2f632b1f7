"""What the reports for people say alike."""

from collections.abc import Iterable, Sequence

from chatwright.checks.calls.modes import HOMES
from chatwright.checks.finding import Fault, Finding, Report, Severity, Verdict, score
from chatwright.core.page import printable

__all__ = [
    "clipped",
    "crashed",
    "details",
    "facts",
    "folded",
    "headline",
    "in_a_line",
    "others",
    "tally",
]

CULPRITS = {
    Fault.MODEL: "the model class's",
    Fault.LLM: "the LLM's: it chose so",
    Fault.UPSTREAM: "the server's",
    Fault.CHECK: "the rule's own: it crashed, please report it",
}


def in_a_line(value: object) -> str:
    """Return a text as `printable` does, with its white space made single blanks."""
    return " ".join(printable(value).split())


def clipped(text: str, most: int) -> str:
    """Return no more of a text than so many characters, and how many more there are."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most} more characters)"


def crashed(finding: Finding) -> bool:
    """Tell whether it was the rule that broke, not the model."""
    return finding.fault is Fault.CHECK


def details(finding: Finding) -> list[tuple[str, str]]:
    """Return what a finding says, in the order in which one wants to know it."""
    expected = "" if finding.expected == finding.title else finding.expected
    said = [
        ("got", finding.got),
        ("expected", expected),
        ("sent", finding.sent),
        ("fix", finding.fix),
        ("cause", finding.cause),
        ("fault", _culprit(finding)),
    ]
    return [(label, printable(text)) for label, text in said if text]


def folded(report: Report) -> list[tuple[Finding, list[str]]]:
    """Return what is wrong, one finding a cause, each with the rules that fail for the same reason.

    What a user would feel first comes first: failures before doubts, and of each, errors before
    what irritates, plain calls before others. Rules that crashed stand between the two.

    What a baseline has already is left out.

    Args:
        report: What check found.
    """
    broken = filter(crashed, report.of(Verdict.SKIP))
    groups: dict[tuple[str, str], list[Finding]] = {}
    wrong = [*_felt(report.of(Verdict.FAIL)), *broken, *_felt(report.of(Verdict.WARN))]
    for each in (each for each in wrong if not each.known):
        groups.setdefault((each.verdict, each.cause or each.rule), []).append(each)
    return [(first, [each.rule for each in rest]) for first, *rest in groups.values()]


def _felt(findings: Iterable[Finding]) -> list[Finding]:
    plain = {*HOMES.values()}

    def place(each: Finding) -> tuple[bool, bool, bool]:
        irritates = each.severity is Severity.WARNING
        return each.fault is Fault.LLM, irritates, each.rule not in plain

    return sorted(findings, key=place)


def others(rules: Sequence[str]) -> str:
    """Return a remark on rules that fail for the same reason; empty where there are none."""
    return f"and {len(rules)} more for the same reason: {', '.join(rules)}" if rules else ""


def _culprit(finding: Finding) -> str:
    if finding.fault is None:
        return ""
    irritates = finding.severity is Severity.WARNING and not crashed(finding)
    return CULPRITS[finding.fault] + (" (it irritates, nothing is lost)" if irritates else "")


def tally(findings: Iterable[Finding]) -> str:
    """Return how many findings there are of each verdict but PASS."""
    found = list(findings)
    broken = sum(map(crashed, found))
    counts = {
        verdict.value: sum(each.verdict is verdict for each in found)
        for verdict in (Verdict.FAIL, Verdict.WARN, Verdict.SKIP)
    }
    counts["SKIP"] -= broken
    counts["crashed"] = broken
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)


def headline(report: Report) -> str:
    """Return the whole report in a line."""
    held, tested = score(report.findings)
    rest = tally(report.findings)
    known = sum(each.known for each in report.findings)
    failed = [each for each in report.of(Verdict.FAIL) if not each.known]
    reasons = sum(each.verdict is Verdict.FAIL for each, _ in folded(report))
    if not known and reasons < len(failed):
        told = f"{len(failed)} FAIL"
        rest = rest.replace(told, f"{told} for {reasons} reason{'' if reasons == 1 else 's'}", 1)
    if known:
        rest += f"; {known} of these in the baseline, {_new(report)} new"
    return f"{held} of {tested} rules hold{': ' if rest else ''}{rest}"


def _new(report: Report) -> int:
    wrong = report.of(Verdict.FAIL, Verdict.WARN)
    return sum(not each.known for each in wrong)


def facts(report: Report) -> list[str]:
    """Return what was called, how long, and with which packages."""
    calls = f"{report.calls} call{'' if report.calls == 1 else 's'}"
    return [
        *(printable(f"{name} {version}") for name, version in report.versions.items()),
        calls,
        f"{report.seconds:.1f} s",
    ]
