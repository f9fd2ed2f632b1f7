"""The report as a badge: an SVG of its own, or what shields.io draws one of."""

import json
from html import escape

from chatwright.checks.finding import Report, Verdict, score
from chatwright.checks.reports.words import crashed

__all__ = ["as_shields", "as_svg"]

LABEL = "chatwright check"
_COLORS = {Verdict.FAIL: "#c0392b", Verdict.WARN: "#b7791f", Verdict.PASS: "#2e7d32"}
_LETTER = 6.6
"""How wide a letter of 11 px is, on average."""


def _told(report: Report) -> tuple[str, str]:
    """Return what a badge says, and its colour."""
    held, tested = score(report.findings)
    failed = report.of(Verdict.FAIL) or [each for each in report.findings if crashed(each)]
    worst = Verdict.FAIL if failed else Verdict.WARN if report.of(Verdict.WARN) else Verdict.PASS
    return f"{held} of {tested} hold", _COLORS[worst]


def as_shields(report: Report) -> str:
    """Return a report as the JSON of an endpoint badge (https://shields.io/badges/endpoint-badge)."""
    message, color = _told(report)
    badge = {"schemaVersion": 1, "label": LABEL, "message": message, "color": color}
    return json.dumps(badge, indent=2) + "\n"


def as_svg(report: Report) -> str:
    """Return a report as an SVG that needs no font and no other file."""
    message, color = _told(report)
    left, right = (round(len(each) * _LETTER) + 12 for each in (LABEL, message))
    title = escape(f"{LABEL}: {message}")
    texts = "".join(
        f'<text x="{x}" y="14" textLength="{width - 12}">{escape(text)}</text>'
        for text, x, width in ((LABEL, 6, left), (message, left + 6, right))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f'aria-label="{title}"><title>{title}</title>'
        f'<rect width="{left + right}" height="20" rx="3" fill="#444"/>'
        f'<path fill="{color}" d="M{left} 0h{right - 3}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3H{left}z"/>'
        f'<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">{texts}</g>'
        "</svg>\n"
    )
