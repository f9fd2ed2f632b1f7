"""Reports: what check found, for people and for programs."""

from collections.abc import Callable, Mapping

from chatwright.checks.finding import Report
from chatwright.checks.reports.badge import as_shields, as_svg
from chatwright.checks.reports.github import as_github
from chatwright.checks.reports.html import as_html
from chatwright.checks.reports.json import as_json
from chatwright.checks.reports.junit import as_junit
from chatwright.checks.reports.text import as_text

__all__ = ["REPORTS"]

REPORTS: Mapping[str, Callable[[Report], str]] = {
    "text": as_text,
    "json": as_json,
    "junit": as_junit,
    "html": as_html,
    "github": as_github,
    "badge": as_svg,
    "shields": as_shields,
}
"""The forms that a report can take; each ends with a line feed."""
