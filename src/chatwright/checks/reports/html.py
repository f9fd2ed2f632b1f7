"""The report as one page of HTML that needs nothing else: no network, no other file.

Its frame, style and script are in `report.html`. What a model said gets into the page as text of
elements only, and the page's policy lets no script run but its own.
"""

import base64
import functools
import hashlib
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
    printable,
    tally,
)

__all__ = ["as_html"]

LABELS = {each: each.capitalize() for each in ("got", "expected", "sent", "mend", "cause", "fault")}
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
        head=_written(_head(report)),
        main=_written(_main(report)),
    )


@functools.cache
def _page() -> tuple[Template, str]:
    """Return the frame, and the policy that lets only its own style and script work."""
    text = (resources.files(__package__) / "report.html").read_text("utf-8")
    hashes = {}
    for tag in ("style", "script"):
        (inside,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        hashes[tag] = f"{tag}-src 'sha256-{digest}'"
    policy = f"default-src 'none'; {'; '.join(hashes.values())}; img-src data:"
    return Template(text), f"{policy}; base-uri 'none'; form-action 'none'"


def _written(element: ET.Element) -> str:
    return ET.tostring(element, encoding="unicode", method="html")


def _element(tag: str, *inside: "ET.Element | str | None", **attributes: str) -> ET.Element:
    """Return an element; its text can be shown, and is escaped where it is written out."""
    names = {
        name.rstrip("_").replace("_", "-"): printable(value) for name, value in attributes.items()
    }
    made = ET.Element(tag, names)
    for each in inside:
        if isinstance(each, ET.Element):
            made.append(each)
        elif each and len(made):
            made[-1].tail = (made[-1].tail or "") + printable(each)
        elif each:
            made.text = (made.text or "") + printable(each)
    return made


def _prose(text: str) -> "list[ET.Element | str | None]":
    """Return a text with what is in backticks as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return [text]
    return [_element("code", part) if n % 2 else part for n, part in enumerate(parts)]


def _anchor(finding: Finding) -> str:
    return re.sub(r"[^\w-]", "-", finding.rule, flags=re.ASCII)


def _label(finding: Finding) -> str:
    return "CRASH" if crashed(finding) else finding.verdict.value


def _head(report: Report) -> ET.Element:
    items = [
        _element(
            "li",
            _element("a", each.rule, href=f"#{_anchor(each)}", class_=f"badge {_label(each)}"),
            f" +{len(rest)}" if rest else None,
        )
        for each, rest in folded(report)
        if each.verdict is not Verdict.WARN
    ]
    return _element(
        "header",
        _element("a", "To the rules", class_="jump", href="#rules"),
        _element("p", "chatwright check", class_="over"),
        _element("h1", report.model),
        _element("p", headline(report), class_="sum"),
        _element("ul", *(_element("li", each) for each in facts(report)), class_="facts"),
        _element("ul", *items, class_="fails", aria_label="What fails") if items else None,
    )


def _main(report: Report) -> ET.Element:
    sections = [*report.sections().items()]
    rests = {each.rule: others(rest) for each, rest in folded(report)}
    rings = [_card(n, name, found) for n, (name, found) in enumerate(sections)]
    return _element(
        "main",
        _element("ul", *rings, class_="rings", aria_label="Sections"),
        _filters(report),
        _element(
            "div",
            *(_section(n, name, found, rests) for n, (name, found) in enumerate(sections)),
            id="rules",
        ),
    )


def _card(number: int, name: str, found: Sequence[Finding]) -> ET.Element:
    held, tested = score(found)
    rest = tally(found)
    told = f"{held} of {tested} hold" if tested else "not tested"
    words = _element(
        "span",
        _element("strong", name),
        _element("small", told, f", {rest}" if rest else None),
    )
    return _element("li", _element("a", _ring(found), words, href=f"#section-{number}"))


def _ring(found: Sequence[Finding]) -> ET.Element:
    """Return a ring that shows what part of the tested rules held; its circumference is 100."""
    held, tested = score(found)
    circle = functools.partial(_element, "circle", cx="18", cy="18", r="15.9155")
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
    text = _element("text", f"{held}/{tested}" if tested else "-", x="18", y="21")
    ring = _element("svg", circle(class_="rest"), *arcs, text, viewBox="0 0 36 36", class_="ring")
    ring.set("aria-hidden", "true")
    return ring


def _filters(report: Report) -> ET.Element:
    """Return the buttons; the script shows them, for without it they do nothing."""
    labels = Counter(map(_label, report.findings))
    chosen = [("All", "", len(report.findings))]
    chosen += [(label, label, labels[label]) for label in FILTERS if labels[label]]
    buttons = [
        _element(
            "button",
            f"{label} {count}",
            type="button",
            data_show=verdict,
            aria_pressed="false" if verdict else "true",
        )
        for label, verdict, count in chosen
    ]
    every = _element("button", "Open all", type="button", class_="all")
    count = _element("span", id="count", class_="over", role="status")
    return _element(
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
    return _element(
        "section",
        _element("h2", name, " ", _element("span", told), id=f"title-{number}"),
        _element("div", *(_row(each, rests) for each in found), class_="rows"),
        id=f"section-{number}",
        class_="section",
        aria_labelledby=f"title-{number}",
    )


def _row(finding: Finding, rests: Mapping[str, str]) -> ET.Element:
    why = in_a_line(finding.got)
    summary = _element(
        "summary",
        _element("span", _label(finding), class_=f"badge {_label(finding)}"),
        " ",
        _element("span", finding.rule, class_="id"),
        " ",
        _element("span", *_prose(finding.title), class_="title"),
        _element("span", " ", why, class_="why") if why else None,
    )
    return _element(
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
        inside = _prose(text) if label in {"mend", "expected"} else [text]
        said += [_element("dt", LABELS[label]), _element("dd", *inside)]
    more = f"{finding.layer}, {1000 * finding.seconds:.0f} ms"
    link = None
    if finding.link.startswith(("https://", "http://")):
        link = _element(
            "a", f"Why, and how {finding.rule} is tested", href=finding.link, rel="noreferrer"
        )
    exchanges = [part for n, each in enumerate(finding.exchanges, 1) for part in _exchange(n, each)]
    return _element(
        "div",
        _element("dl", *said, class_="said") if said else None,
        _element("p", rest) if rest else None,
        _element("p", link, f"{' · ' if link is not None else ''}{more}"),
        *exchanges,
        class_="body",
    )


def _exchange(number: int, exchange: Exchange) -> list[ET.Element]:
    shown = [_element("h3", f"Call {number}: ", _element("code", exchange.way))]
    if exchange.request is not None:
        request = json.dumps(exchange.as_dict()["request"], ensure_ascii=False, indent=2)
        shown += [
            _element("p", "What the upstream got", class_="label"),
            _element("pre", request),
        ]
    if exchange.timeline:
        shown += [
            _element("p", "What came back, and when", class_="label"),
            _timeline(exchange.timeline),
        ]
    if exchange.error is not None:
        shown.append(_element("p", "Raised ", exchange.error, class_="raised"))
    return shown


def _timeline(timeline: Sequence[tuple[float, str]]) -> ET.Element:
    """Return a line per chunk; its bar is the time for which it was waited."""
    whole = max(*(at for at, _ in timeline), 0.001)
    before = pairwise([0.0, *(at for at, _ in timeline)])
    items = []
    for (since, at), (_, came) in zip(before, timeline, strict=True):
        left = min(max(100 * since / whole, 0.0), 100 - THINNEST_BAR)
        width = min(max(100 * at / whole - left, THINNEST_BAR), 100 - left)
        block = _element("rect", x=f"{left:.2f}", y="0", width=f"{width:.2f}", height="1")
        bar = _element("svg", block, class_="bar", viewBox="0 0 100 1", preserveAspectRatio="none")
        bar.set("aria-hidden", "true")
        items.append(
            _element(
                "li",
                _element("span", f"{at:.1f} ms", class_="at"),
                bar,
                _element("code", came, class_="came"),
            )
        )
    return _element("ol", *items, class_="time")
