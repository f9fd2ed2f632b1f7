"""The page that tells what was found."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.models import Package

__all__ = ["Failure", "Result", "masked", "page"]

SHOWN = 220
_MASKS: Sequence[tuple[str, str]] = (
    (re.escape(str(Path(__file__).parents[1])) + r"/?", ""),
    (r"/\S+/site-packages/", ""),
    (r"127\.0\.0\.1:\d+(?:/m\d+)?", "127.0.0.1"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "…"),
    (r"\b[0-9a-f]{32}\b", "…"),
    (r"\bat 0x[0-9a-f]+", ""),
    (r"\b\d+(?:\.\d+)? ms\b", "some ms"),
    (r" For further information visit \S+", ""),
)
"""What differs between runs and machines, and what stands for it."""

CORE: Mapping[tuple[str, str], str] = {
    ("T6", "ValidationError"): "`parse_tool_call` of langchain-core lets a list pass, and "
    "`AIMessage` then raises: so does every model that relies on it.",
    ("T7", ""): "Core's doing: its sum of chunks parses by `parse_partial_json`, which completes "
    "what was cut. So does every model that leaves it to core.",
    ("T11", "v1"): "Only with `output_version='v1'`: core gives the text the index 0, which the "
    "first call has, too.",
    ("M2", "v1"): "Only with `output_version='v1'`: core gives text and reasoning the index 0, "
    "which the first call has, too.",
    ("R5", "chunks"): "In part core's: it makes the model anew of all its fields, and takes "
    "`streaming=False` for the user's wish then. A default of None avoids it.",
    ("R6", "model_copy"): "In part core's: `_serialized`, of which the key is made, is kept over "
    "`model_copy`. Only copies of a model that was used share its key.",
    ("K1", ""): "`repr` is what people print and log; core hands it to callbacks where a model is "
    "not serializable.",
    ("R8", ""): "tiktoken downloads its vocabulary at first use, and keeps it. The check's cache "
    "is empty.",
}
"""What is core's own doing, or needs a word: a rule, what its evidence holds, and the word."""


@dataclass(frozen=True)
class Failure:
    """A FAIL, and what its script says."""

    finding: Mapping[str, Any]
    script: str | None
    reproduced: bool
    evidence: str


@dataclass(frozen=True)
class Result:
    """What was found of one package."""

    package: Package
    findings: Sequence[Mapping[str, Any]]
    failures: Sequence[Failure]


def masked(text: str) -> str:
    """Return a text without what differs between runs and machines, in one line, and short."""
    text = " ".join(text.split())
    for pattern, instead in _MASKS:
        text = re.sub(pattern, instead, text)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def page(results: Sequence[Result], versions: Mapping[str, str]) -> str:
    """Return the page."""
    parts = [_HEAD.format(versions=", ".join(f"{n} {v}" for n, v in versions.items()))]
    parts.append(_table(results))
    parts += [_section(each, versions) for each in results]
    return "\n\n".join(parts) + "\n"


_HEAD = """\
# Published packages

Made by `make conformance`: what [`chatwright check`](check.md) finds in packages as they are
published, on the fake upstream; langchain-core's fakes, which speak to no server, as they are. The
versions are pinned in `conformance/packages.txt`: {versions}.

Each FAIL has a script that shows it without check, in plain LangChain and a server on loopback:
`python -m conformance.reproduce.e4 ChatGroq`. A FAIL that its script does not reproduce, or that
has none, is marked *not reproduced*, and does not count. A FAIL is the rule's view: some faults are
rare, and some are langchain-core's own, which is said with them.

In the table: how many of the rules that could be tried passed, and which failed."""


def _table(results: Sequence[Result]) -> str:
    sections = [*dict.fromkeys(each["section"] for one in results for each in one.findings)]
    head = ["", *(each.package.name for each in results)]
    rows = [head, ["---"] * len(head)]
    rows += [[each, *(_cell(one, each) for one in results)] for each in sections]
    rows.append(["**all**", *(_cell(one, None) for one in results)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(result: Result, section: str | None) -> str:
    wrong = {each.finding["rule"] for each in result.failures if not each.reproduced}
    mine = [
        each
        for each in result.findings
        if section in (None, each["section"])
        and each["verdict"] != "SKIP"
        and each["rule"] not in wrong
    ]
    if not mine:
        return "-"
    passed = sum(each["verdict"] == "PASS" for each in mine)
    failed = [each["rule"].split(".")[-1] for each in mine if each["verdict"] == "FAIL"]
    if section is None:
        return f"{passed}/{len(mine)}, {len(failed)} FAIL"
    short = failed if not any("_" in each for each in failed) else [f"{len(failed)} FAIL"]
    return " ".join([f"{passed}/{len(mine)}", *(f"**{each}**" for each in short)])


def _section(result: Result, versions: Mapping[str, str]) -> str:
    package = result.package
    lines = [f"## {package.name}", f"{package.distribution} {versions[package.distribution]}"]
    real = [each for each in result.failures if each.reproduced]
    rest = [each for each in result.failures if not each.reproduced]
    lines.append("\n".join(_told(real)) if real else "Nothing fails.")
    if rest:
        lines += ["*Not reproduced*, and not counted:", "\n".join(_told(rest))]
    warned = [each for each in result.findings if each["verdict"] == "WARN"]
    if warned:
        told = [f"- {each['rule']}: {_code(each['got'])}" for each in warned]
        lines += ["Warnings:", "\n".join(told)]
    return "\n\n".join(lines)


def _told(failures: Iterable[Failure]) -> Iterable[str]:
    for each in failures:
        found = each.finding
        yield f"- **{found['rule']}** {found['title']}"
        yield f"  - got {_code(found['got'])}, expected {_code(found['expected'])}"
        if each.script:
            link = f"[{each.script}.py](../conformance/reproduce/{each.script}.py)"
            verdict = "reproduced" if each.reproduced else "**not reproduced**"
            yield f"  - {verdict} by {link}: {_code(each.evidence)}"
        else:
            yield "  - **not reproduced**: there is no script"
        for (rule, text), note in CORE.items():
            if rule == found["rule"] and text in found["got"]:
                yield f"  - {note}"


def _code(text: str) -> str:
    shown = masked(text).replace("`", "'")
    return f"`{shown}`" if shown else "nothing"
