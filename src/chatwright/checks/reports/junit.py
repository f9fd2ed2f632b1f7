"""The report as JUnit XML, which CI servers read: a suite per section, a case per rule."""

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from chatwright.checks.finding import Finding, Report, Verdict
from chatwright.checks.reports.words import crashed, details, in_a_line
from chatwright.core.page import printable

__all__ = ["as_junit"]


def as_junit(report: Report) -> str:
    """Return a report as JUnit XML.

    A FAIL is a `failure`, a rule that crashed an `error`, a SKIP `skipped`, and so is what a
    baseline has. JUnit knows no warnings: a WARN passes, and says what it is in `system-out`.
    """
    model = printable(report.model)
    root = ET.Element("testsuites", name=f"chatwright check {model}")
    root.attrib |= {**_counts(report.findings), "time": f"{report.seconds:.3f}"}
    for section, found in report.sections().items():
        seconds = f"{sum(each.seconds for each in found):.3f}"
        suite = ET.SubElement(root, "testsuite", name=printable(section))
        suite.attrib |= {**_counts(found), "time": seconds}
        told = ET.SubElement(suite, "properties")
        for name, version in report.versions.items():
            ET.SubElement(told, "property", name=printable(name), value=printable(version))
        for each in found:
            _case(suite, each, f"{model}.{printable(section)}")
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _counts(findings: Sequence[Finding]) -> dict[str, str]:
    errors = sum(map(crashed, findings))
    failed = [each for each in findings if each.verdict is Verdict.FAIL]
    failures = sum(not each.known for each in failed)
    skipped = sum(each.verdict is Verdict.SKIP for each in findings) - errors
    skipped += len(failed) - failures
    return {
        "tests": str(len(findings)),
        "failures": str(failures),
        "errors": str(errors),
        "skipped": str(skipped),
    }


def _case(suite: ET.Element, finding: Finding, classname: str) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=classname,
        name=printable(f"{finding.rule} {finding.title}"),
        time=f"{finding.seconds:.3f}",
    )
    message = in_a_line(finding.got)
    said = [*details(finding), ("link", printable(finding.link))]
    body = "\n".join(f"{label}: {text}" for label, text in said)
    if crashed(finding):
        ET.SubElement(case, "error", message=message, type="crash").text = body
    elif finding.known and finding.verdict is Verdict.FAIL:
        ET.SubElement(case, "skipped", message=f"in the baseline already: {message}")
    elif finding.verdict is Verdict.FAIL:
        kind = printable(finding.severity)
        ET.SubElement(case, "failure", message=message, type=kind).text = body
    elif finding.verdict is Verdict.SKIP:
        ET.SubElement(case, "skipped", message=message)
    elif finding.verdict is Verdict.WARN:
        ET.SubElement(case, "system-out").text = f"WARN\n{body}"
