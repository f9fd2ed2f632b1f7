"""A batch's report: one page of HTML that needs nothing else."""

import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from importlib import resources
from string import Template
from typing import Any
from xml.etree import ElementTree as ET

from chatwright.core.page import element, framed, printable, written
from chatwright.run.batch.figures import Bins, Figures, Shown

__all__ = ["as_html"]

_HEIGHT = 100
_MOST_RUNS = 50
_COUNTS = ("read", "found", "done", "failed")


def as_html(figures: Figures) -> str:
    """Return a batch's report.

    Args:
        figures: What there is to tell.
    """
    page, policy = _page()
    return page.substitute(
        policy=policy,
        title=escape(printable(f"{figures.output.name}: {_count(figures.answers, 'answer')}")),
        head=written(_head(figures)),
        main=written(_main(figures)),
    )


@functools.cache
def _page() -> tuple[Template, str]:
    return framed((resources.files(__package__) / "report.html").read_text("utf-8"))


def _head(figures: Figures) -> ET.Element:
    job: Mapping[str, Any] = figures.manifest["job"]
    told = [str(job.get("model")), _count(len(figures.manifest["runs"]), "run")]
    return element(
        "header",
        element("p", "chatwright batch", class_="over"),
        element("h1", figures.output.name),
        element("ul", *(element("li", each) for each in told), class_="facts"),
    )


def _main(figures: Figures) -> ET.Element:
    charts = [
        _chart("Latency", figures.latency, _seconds),
        _throughput(figures),
        _chart("Tokens in an answer", figures.said, _number),
        _chart("Tokens in a prompt", figures.asked, _number),
        _shares("Failures by class", figures.failures, "card wrong"),
        _shares("How answers ended", figures.reasons, "card"),
    ]
    return element(
        "main",
        element("dl", *_tiles(figures), class_="tiles"),
        element("div", *charts, class_="charts"),
        *_samples("Some failures", figures.wrong.kept),
        *_samples("Some answers", figures.answered.kept),
        element("h2", "Runs", class_="apart"),
        _runs(figures.manifest["runs"]),
    )


def _tiles(figures: Figures) -> Iterator[ET.Element]:
    copied = f"{_number(figures.copied)} equal another row" if figures.copied else None
    yield _tile("Answers", _number(figures.answers), copied)
    total = figures.answers + figures.failed
    share = f"{figures.failed / total:.2%} of rows" if figures.failed else None
    yield _tile("Failed", _number(figures.failed), share, bad=bool(figures.failed))
    if figures.latency.total:
        slow = f"90 % ≤ {_seconds(figures.latency.at(0.9))}"
        yield _tile("Latency, median", _seconds(figures.latency.at(0.5)), slow)
    if any(figures.tokens):
        yield _tile("Tokens out", _number(figures.tokens[1]), f"{_number(figures.tokens[0])} in")
    if figures.cost is not None:
        asked = figures.answers - figures.copied
        each = f"{figures.cost / max(1, asked):.6f} an answer"
        yield _tile("Cost, USD", f"{figures.cost:,.4f}", each)


def _tile(name: str, value: str, more: str | None, *, bad: bool = False) -> ET.Element:
    small = element("small", more) if more else None
    inside = element("dd", value, small)
    return element("div", element("dt", name), inside, class_="tile bad" if bad else "tile")


def _chart(name: str, bins: Bins, shown: Any) -> ET.Element | None:
    bars = bins.bars()
    if not bars:
        return None
    told = " · ".join(
        f"{word} {shown(bins.at(share))}"
        for word, share in (("median", 0.5), ("90 %", 0.9), ("99 %", 0.99))
    )
    titles = [f"{shown(low)} to {shown(high)}: {_number(n)}" for low, high, n in bars]
    middle = bars[len(bars) // 2][0]
    return element(
        "section",
        element("h2", name),
        element("p", told),
        _plot(name, [n for *_, n in bars], titles),
        _axis(shown(bars[0][0]), shown(middle), shown(bars[-1][1])),
        class_="card",
    )


def _throughput(figures: Figures) -> ET.Element | None:
    bars, width = figures.throughput.bars(), figures.throughput.width
    if not bars:
        return None
    most = max(n for *_, n in bars)
    titles = [f"{_time(start)}: {n / width:.2f} answers a second" for start, _, n in bars]
    return element(
        "section",
        element("h2", "Throughput"),
        element("p", f"at most {most / width:.2f} answers a second, by {_seconds(width)}"),
        _plot("Throughput", [n for *_, n in bars], titles),
        _axis(_time(bars[0][0]), _time(bars[-1][1])),
        class_="card",
    )


def _plot(name: str, counts: Sequence[int], titles: Sequence[str]) -> ET.Element:
    most, bars = max(counts), []
    for n, (count, title) in enumerate(zip(counts, titles, strict=True)):
        height = max(1.0, _HEIGHT * count / most) if count else 0.0
        place = {"x": f"{n + 0.06:.2f}", "width": "0.88", "height": f"{height:.2f}"}
        bars.append(element("rect", element("title", title), y=f"{_HEIGHT - height:.2f}", **place))
    return element(
        "svg",
        *bars,
        class_="plot",
        viewBox=f"0 0 {len(counts)} {_HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_label=f"{name}: {len(counts)} bars, the highest {most}",
    )


def _axis(*marks: str) -> ET.Element:
    return element("div", *(element("span", each) for each in marks), class_="axis")


def _shares(name: str, counts: Counter[str], kind: str) -> ET.Element | None:
    if not counts:
        return None
    most = max(counts.values())
    rows = [
        element(
            "li",
            element("span", each),
            element("b", _number(count)),
            element(
                "svg",
                element("rect", width=f"{100 * count / most:.2f}", height="1"),
                viewBox="0 0 100 1",
                preserveAspectRatio="none",
                aria_hidden="true",
            ),
            class_="share",
        )
        for each, count in counts.most_common()
    ]
    return element("section", element("h2", name), element("ul", *rows), class_=kind)


def _samples(name: str, shown: Sequence[Shown]) -> list[ET.Element]:
    if not shown:
        return []
    rows = [
        element(
            "li",
            element("strong", each.name),
            element("small", each.told),
            element("pre", each.text or "(empty)", tabindex="0"),
        )
        for each in shown
    ]
    return [element("h2", name, class_="apart"), element("ul", *rows, class_="samples")]


def _runs(runs: Sequence[Mapping[str, Any]]) -> ET.Element:
    head = ("Began", *(each.capitalize() for each in _COUNTS), "USD", "Took", "Ended")
    rows = [element("tr", *(element("th", each, scope="col") for each in head))]
    for run in runs[-_MOST_RUNS:]:
        cost = run.get("cost")
        cells = [
            _time(run.get("started")),
            *(_number(run.get(each) or 0) for each in _COUNTS),
            "?" if cost is None else f"{cost:,.4f}",
            _seconds(run.get("seconds") or 0.0),
            str(run.get("outcome") or "it was killed, or goes on"),
        ]
        rows.append(element("tr", *(element("td", each) for each in cells)))
    return element("div", element("table", *rows), class_="scroll", tabindex="0")


def _time(at: float | None) -> str:
    return "?" if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}Z"


def _seconds(value: float) -> str:
    if value < 1:
        return f"{value * 1000:.3g} ms"
    if value < 120:  # noqa: PLR2004  two minutes
        return f"{value:.3g} s"
    return f"{value / 60:.3g} min" if value < 7200 else f"{value / 3600:,.3g} h"  # noqa: PLR2004


def _number(value: float) -> str:
    return f"{round(value):,}"


def _count(number: int, what: str) -> str:
    return f"{_number(number)} {what}{'' if number == 1 else 's'}"
