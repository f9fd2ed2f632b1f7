"""The report as one page of HTML that needs nothing else: no network, no other file.

Its frame, style and script are in `report.html`. What a model said gets into the page as text of
elements only, and the page's policy lets no script run but its own.
"""

import functools
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from itertools import pairwise
from string import Template
from xml.etree import ElementTree as ET

from chatwright.checks.finding import Exchange, Finding, Report, Verdict, score
from chatwright.checks.reports.words import (
    crashed,
    details,
    facts,
    folded,
    headline,
    in_a_line,
    others,
    tally,
)
from chatwright.core.page import element, framed, written

__all__ = ["as_html"]

LABELS = {each: each.capitalize() for each in ("got", "expected", "sent", "fix", "cause", "fault")}
PARTS = (Verdict.PASS, Verdict.WARN, Verdict.FAIL)
FILTERS = ("FAIL", "CRASH", "WARN", "SKIP", "PASS")
SHORT_ID = 5
THINNEST_BAR = 0.8


def as_html(report: Report) -> str:
    """Return a report as a page of HTML."""
    page, policy = _page()
    title = in_a_line(f"{report.model}: {headline(report)}")
    return page.substitute(
        policy=policy,
        title=escape(title),
        head=written(_head(report)),
        main=written(_main(report)),
    )


@functools.cache
def _page() -> tuple[Template, str]:
    return framed((resources.files(__package__) / "report.html").read_text("utf-8"))


def _prose(text: str) -> "list[ET.Element | str | None]":
    """Return a text with what is in backticks as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return [text]
    return [element("code", part) if n % 2 else part for n, part in enumerate(parts)]


def _anchor(finding: Finding) -> str:
    return re.sub(r"[^\w-]", "-", finding.rule, flags=re.ASCII)


def _label(finding: Finding) -> str:
    return "CRASH" if crashed(finding) else finding.verdict.value


def _head(report: Report) -> ET.Element:
    items = [
        element(
            "li",
            element("a", each.rule, href=f"#{_anchor(each)}", class_=f"badge {_label(each)}"),
            f" +{len(rest)}" if rest else None,
        )
        for each, rest in folded(report)
        if each.verdict is not Verdict.WARN
    ]
    return element(
        "header",
        element("a", "To the rules", class_="jump", href="#rules"),
        element("p", "chatwright check", class_="over"),
        element("h1", report.model),
        element("p", headline(report), class_="sum"),
        element("ul", *(element("li", each) for each in facts(report)), class_="facts"),
        element("ul", *items, class_="fails", aria_label="What fails") if items else None,
    )


def _main(report: Report) -> ET.Element:
    sections = [*report.sections().items()]
    rests = {each.rule: others(rest) for each, rest in folded(report)}
    rings = [_card(n, name, found) for n, (name, found) in enumerate(sections)]
    return element(
        "main",
        element("ul", *rings, class_="rings", aria_label="Sections"),
        _filters(report),
        element(
            "div",
            *(_section(n, name, found, rests) for n, (name, found) in enumerate(sections)),
            id="rules",
        ),
    )


def _card(number: int, name: str, found: Sequence[Finding]) -> ET.Element:
    held, tested = score(found)
    rest = tally(found)
    told = f"{held} of {tested} hold" if tested else "not tested"
    words = element(
        "span",
        element("strong", name),
        element("small", told, f", {rest}" if rest else None),
    )
    return element("li", element("a", _ring(found), words, href=f"#section-{number}"))


def _ring(found: Sequence[Finding]) -> ET.Element:
    """Return a ring that shows what part of the tested rules held; its circumference is 100."""
    held, tested = score(found)
    circle = functools.partial(element, "circle", cx="18", cy="18", r="15.9155")
    arcs = []
    start = 0.0
    for verdict in PARTS:
        part = 100 * sum(each.verdict is verdict for each in found) / max(tested, 1)
        if part:
            arcs.append(
                circle(
                    class_=f"part-{verdict}",
                    stroke_dasharray=f"{part:.3f} {100 - part:.3f}",
                    stroke_dashoffset=f"{25 - start:.3f}",  # from the top on
                )
            )
        start += part
    text = element("text", f"{held}/{tested}" if tested else "-", x="18", y="21")
    ring = element("svg", circle(class_="rest"), *arcs, text, viewBox="0 0 36 36", class_="ring")
    ring.set("aria-hidden", "true")
    return ring


def _filters(report: Report) -> ET.Element:
    """Return the buttons; the script shows them, for without it they do nothing."""
    labels = Counter(map(_label, report.findings))
    chosen = [("All", "", len(report.findings))]
    chosen += [(label, label, labels[label]) for label in FILTERS if labels[label]]
    buttons = [
        element(
            "button",
            f"{label} {count}",
            type="button",
            data_show=verdict,
            aria_pressed="false" if verdict else "true",
        )
        for label, verdict, count in chosen
    ]
    every = element("button", "Open all", type="button", class_="all")
    count = element("span", id="count", class_="over", role="status")
    return element(
        "div",
        *buttons,
        count,
        every,
        id="filters",
        class_="filters",
        role="group",
        aria_label="Which rules are shown",
        hidden="",
    )


def _section(
    number: int, name: str, found: Sequence[Finding], rests: Mapping[str, str]
) -> ET.Element:
    held, tested = score(found)
    told = f"{held}/{tested}" if tested else "not tested"
    return element(
        "section",
        element("h2", name, " ", element("span", told), id=f"title-{number}"),
        element("div", *(_row(each, rests) for each in found), class_="rows"),
        id=f"section-{number}",
        class_="section",
        aria_labelledby=f"title-{number}",
    )


def _row(finding: Finding, rests: Mapping[str, str]) -> ET.Element:
    why = in_a_line(finding.got)
    summary = element(
        "summary",
        element("span", _label(finding), class_=f"badge {_label(finding)}"),
        " ",
        element("span", finding.rule, class_="id"),
        " ",
        element("span", *_prose(finding.title), class_="title"),
        element("span", " ", why, class_="why") if why else None,
    )
    return element(
        "details",
        summary,
        _body(finding, rests.get(finding.rule, "")),
        class_="rule" if len(finding.rule) <= SHORT_ID else "rule long",
        id=_anchor(finding),
        data_verdict=_label(finding),
    )


def _body(finding: Finding, rest: str) -> ET.Element:
    said = []
    for label, text in details(finding):
        inside = _prose(text) if label in {"fix", "expected"} else [text]
        said += [element("dt", LABELS[label]), element("dd", *inside)]
    more = f"{finding.layer}, {1000 * finding.seconds:.0f} ms"
    link = None
    if finding.link.startswith(("https://", "http://")):
        link = element(
            "a", f"Why, and how {finding.rule} is tested", href=finding.link, rel="noreferrer"
        )
    exchanges = [part for n, each in enumerate(finding.exchanges, 1) for part in _exchange(n, each)]
    return element(
        "div",
        element("dl", *said, class_="said") if said else None,
        element("p", rest) if rest else None,
        element("p", link, f"{' · ' if link is not None else ''}{more}"),
        *exchanges,
        class_="body",
    )


def _exchange(number: int, exchange: Exchange) -> list[ET.Element]:
    shown = [element("h3", f"Call {number}: ", element("code", exchange.way))]
    if exchange.request is not None:
        request = json.dumps(exchange.as_dict()["request"], ensure_ascii=False, indent=2)
        shown += [
            element("p", "What the upstream got", class_="label"),
            element("pre", request),
        ]
    if exchange.timeline:
        shown += [
            element("p", "What came back, and when", class_="label"),
            _timeline(exchange.timeline),
        ]
    if exchange.error is not None:
        shown.append(element("p", "Raised ", exchange.error, class_="raised"))
    return shown


def _timeline(timeline: Sequence[tuple[float, str]]) -> ET.Element:
    """Return a line per chunk; its bar is the time for which it was waited."""
    whole = max(*(at for at, _ in timeline), 0.001)
    before = pairwise([0.0, *(at for at, _ in timeline)])
    items = []
    for (since, at), (_, came) in zip(before, timeline, strict=True):
        left = min(max(100 * since / whole, 0.0), 100 - THINNEST_BAR)
        width = min(max(100 * at / whole - left, THINNEST_BAR), 100 - left)
        block = element("rect", x=f"{left:.2f}", y="0", width=f"{width:.2f}", height="1")
        bar = element("svg", block, class_="bar", viewBox="0 0 100 1", preserveAspectRatio="none")
        bar.set("aria-hidden", "true")
        items.append(
            element(
                "li",
                element("span", f"{at:.1f} ms", class_="at"),
                bar,
                element("code", came, class_="came"),
            )
        )
    return element("ol", *items, class_="time")
