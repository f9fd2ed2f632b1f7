"""The report for a terminal, or a pipe."""

from collections.abc import Sequence
from io import StringIO

from rich.console import Console
from rich.text import Text

from chatwright.checks.finding import Finding, Report, Verdict, score
from chatwright.checks.reports.words import (
    clipped,
    crashed,
    details,
    facts,
    folded,
    headline,
    in_a_line,
    others,
)
from chatwright.checks.reports.words import tally as tally_of
from chatwright.core.page import printable

__all__ = ["as_text", "show"]

WIDTH = 80
SHOWN_CHARACTERS = 700
NOTHING = Text()
STYLES = {
    Verdict.PASS: "green",
    Verdict.WARN: "bold yellow",
    Verdict.FAIL: "bold red",
    Verdict.SKIP: "cyan",
}


def as_text(report: Report, *, width: int = WIDTH, color: bool = False) -> str:
    """Return a report as text.

    Args:
        report: What check found.
        width: How many columns there are.
        color: Whether colours are wanted, as ANSI escapes.
    """
    file = StringIO()
    console = Console(
        file=file,
        width=width,
        color_system="standard" if color else None,
        force_terminal=color,
        legacy_windows=False,
    )
    show(report, console)
    return file.getvalue()


def show(report: Report, console: Console) -> None:
    """Print a report: the sum, then what fails, what is doubtful, and what could not be tested.

    Args:
        report: What check found.
        console: Where to; it says whether there are colours, and how many columns.
    """
    _head(report, console)
    _scores(report, console)
    skipped = report.of(Verdict.SKIP)
    for each, rest in folded(report):
        _finding(each, rest, console)
    known = [each.rule for each in report.findings if each.known]
    if known:
        console.print()
        _say(console, Text(f"In the baseline already: {', '.join(known)}", style="dim"))
    quiet = [each for each in skipped if not crashed(each)]
    if quiet:
        console.print()
    for each in quiet:
        _skip(each, console)
    console.print()
    _say(console, Text(headline(report), style=_style(report.findings)))


def _say(console: Console, said: Text, prefix: Text = NOTHING) -> None:
    """Print a text behind a prefix, its further lines indented by as much as that is wide."""
    if prefix.cell_len > console.width // 2:
        prefix, said = NOTHING, Text.assemble(prefix, said)
    width = console.width - prefix.cell_len
    for line in said.wrap(console, width, overflow="fold"):
        line.rstrip()
        whole = Text.assemble(prefix, line)  # a sum would have the prefix's style all over
        console.print(whole, highlight=False, no_wrap=True, overflow="ignore", crop=False)
        prefix = Text(" " * prefix.cell_len)


def _head(report: Report, console: Console) -> None:
    _say(console, Text.assemble("chatwright check ", (in_a_line(report.model), "bold")))
    _say(console, Text(", ".join(facts(report)), style="dim"))
    console.print()


def _scores(report: Report, console: Console) -> None:
    """Print a line per section: how many of its rules hold, of those that were tested."""
    sections = [(Text(in_a_line(name)), found) for name, found in report.sections().items()]
    widest = max((name.cell_len for name, _ in sections), default=0)
    for name, found in sections:
        held, tested = score(found)
        style = _style(found) if tested or any(map(crashed, found)) else "dim"
        name.pad_right(widest - name.cell_len)
        passed = (f"{f'{held}/{tested}':>7}", style)
        rest = (tally_of(found), "" if style == STYLES[Verdict.PASS] else style)
        _say(console, Text.assemble(passed, "   ", rest), Text("  ") + name)


def _style(findings: Sequence[Finding]) -> str:
    """Return the colour of the worst that was found."""
    found = {each.verdict for each in findings}
    if Verdict.FAIL in found or any(map(crashed, findings)):
        return STYLES[Verdict.FAIL]
    return STYLES[Verdict.WARN if Verdict.WARN in found else Verdict.PASS]


def _finding(finding: Finding, rest: Sequence[str], console: Console) -> None:
    console.print()
    verdict = "CRASH" if crashed(finding) else finding.verdict.value
    style = STYLES[Verdict.FAIL if crashed(finding) else finding.verdict]
    _say(
        console,
        Text(in_a_line(finding.title)),
        Text.assemble((f"{verdict} ", style), (in_a_line(finding.rule), "bold"), "  "),
    )
    for label, text in details(finding):
        said = Text(clipped(text, SHOWN_CHARACTERS))
        _say(console, said, Text(f"  {label:<10}", style="dim"))
    if rest:
        _say(console, Text(others(rest)), Text("  "))
    if finding.link:  # in one piece, so that a terminal takes it for a link
        shown = printable(finding.link)
        if shown.startswith("docs/"):  # whoever has installed the package has no such file
            shown = f"chatwright check --explain {printable(finding.rule)}"
        link = Text(f"  {shown}", style="dim")
        console.print(link, highlight=False, soft_wrap=True)


def _skip(finding: Finding, console: Console) -> None:
    line = Text.assemble(
        ("SKIP ", STYLES[Verdict.SKIP]),
        (in_a_line(finding.rule), "bold"),
        "  ",
        in_a_line(finding.got),
    )
    line.truncate(console.width, overflow="ellipsis")
    console.print(line, highlight=False, no_wrap=True)
