"""The page that tells what was found."""

import ast
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from conformance.known import CORE, LINKS, NOTES, UNTRIED
from conformance.models import RESPONSES
from conformance.results import Fault, Finding, Result, core, masked

__all__ = ["page"]

_SHOWN = 400
"""How many characters of a finding's own words are shown."""
_OPENAI = "langchain-openai"
_HEAD = """\
# Published packages

Made by `make conformance`, {when}: what [`chatwright check`](check.md) finds in packages as they
are published, pinned in `conformance/packages.txt`, and how the same models do with `chat_model(…)`
around them. Checked by {versions}.

Each FAIL has a script that shows it without check: a model of LangChain's, and a server on
loopback, which is Chatwright's `Upstream`: `python -m conformance.reproduce.e4 ChatGroq`. The
bullets say what the script shows. A FAIL that no script shows is counted nowhere, and not told.

- The server is a fake that accepts all: what a real one would refuse is not seen.
- A FAIL is the rule's view, and some faults are rare. What each rule asks for, why, and by which
  source is in [the rules](reference/rules.md). FAILs of one cause are one.
- What langchain-core does is told once, under [langchain-core](#langchain-core); what a class
  inherits of langchain-openai, under [langchain-openai](#langchain-openai); neither counts here.
- Links lead to what others have reported of the same, or of alike. None of it was reported by us
  yet.

*Passed*, *warned* and *skipped* are numbers of rules and of tests of langchain-tests. A warning is
what irritates, or a refusal that names what it refuses; skipped is what could not be tried, for the
most part because the class does not have it. What is left is told under langchain-core or
langchain-openai, or no script shows it.

*Passed, wrapped* is how many pass of those that could be tried with `chat_model` around the model;
*repaired* is which of its faults are gone then. langchain-tests is left out there, as it takes the
run of the model inside for a second one. What fails only then is [ours to fix](#ours-to-fix).
`make conformance NAMES=ChatGroq` checks one model anew."""


def page(results: Sequence[Result], versions: Mapping[str, str]) -> str:
    """Return the page."""
    told = {name: versions[name] for name in ("chatwright", "langchain-core", "langchain-tests")}
    days = sorted({each.date for each in results})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    by = ", ".join(f"{name} {each}" for name, each in told.items())
    parts = [_HEAD.format(when=when, versions=by), _table(results, versions), _untried()]
    parts += [_cores(results), _openais(results), _ours(results)]
    parts += [_section(each, versions) for each in results]
    return "\n\n".join(parts) + "\n"


def _table(results: Sequence[Result], versions: Mapping[str, str]) -> str:
    rows = [["model", "package", "fails", "passed", "warned", "skipped"]]
    rows[0] += ["passed, wrapped", "repaired"]
    rows.append(["---"] * len(rows[0]))
    for each in results:
        name, package = each.package.name, each.package.distribution
        fails = ": ".join([f"{len(each.own)}", *filter(None, [" ".join(map(_ids, each.own))])])
        row = [f"[{name}](#{name.lower()})", f"{package} {versions[package]}", fails]
        row += [f"{_number(each.findings, verdict)}" for verdict in ("PASS", "WARN", "SKIP")]
        tried = len(each.wrapped) - _number(each.wrapped, "SKIP")
        row += [f"{_number(each.wrapped, 'PASS')} of {tried}", " ".join(map(_ids, each.repaired))]
        rows.append(row)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _number(findings: Iterable[Finding], verdict: str) -> int:
    return sum(each["verdict"] == verdict for each in findings)


def _ids(fault: Fault) -> str:
    return "+".join(fault.rules) or "langchain-tests"


def _untried() -> str:
    told = [f"- {names}: {why}." for names, why in UNTRIED.items()]
    return "\n".join(["Looked at, and not tried:", "", *told])


def _cores(results: Sequence[Result]) -> str:
    lines = ["## langchain-core", "What models do because core does it:"]
    told = []
    for rule, _, note in CORE:
        whose = [
            each.package.name
            for each in results
            if any(one["rule"] == rule and core(one) == note for one in each.findings)
        ]
        if whose:
            told.append(f"- **{rule}** {note} Seen at {', '.join(whose)}.")
    return "\n\n".join([*lines, "\n".join(told)])


def _openais(results: Sequence[Result]) -> str:
    """Tell what classes inherit of langchain-openai, each once."""
    seen: dict[tuple[str | None, str], list[tuple[Fault, str]]] = {}
    for each in results:
        for fault in each.inherited:
            first = fault.failures[0]
            seen.setdefault((first.script, first.evidence), []).append((fault, each.package.name))
    lines: list[str] = []
    for found in seen.values():
        lines += _bullet(max((each for each, _ in found), key=_size), _OPENAI, _OPENAI)
        bases = sorted({fault.failures[0].base for fault, _ in found})
        by = " and ".join(
            "`ChatOpenAI(use_responses_api=True)`" if each == RESPONSES else f"`{each}`"
            for each in bases
        )
        lines.append(
            f"  - shown by {by} as well; inherited by {', '.join(each for _, each in found)}"
        )
    head = (
        "What classes do because they inherit `BaseChatOpenAI`: the same script shows the same of "
        "`ChatOpenAI`, where it counts if that does it by default. Whether their own APIs send or "
        "take what it is about is not known here."
    )
    return "\n\n".join([f"## {_OPENAI}", head, "\n".join(lines) or "Nothing."])


def _size(fault: Fault) -> int:
    return len(fault.rules)


def _ours(results: Sequence[Result]) -> str:
    """Tell what fails with `chat_model` around a model only."""
    lines = [
        f"- {each.package.name}, {one['rule']}: {_code(one['got'], _SHOWN)}"
        for each in results
        for one in each.ours
    ]
    head = "What fails with `chat_model` around a model, and not without: Chatwright's own list."
    return "\n\n".join(["## Ours to fix", head, "\n".join(lines) or "Nothing."])


def _section(result: Result, versions: Mapping[str, str]) -> str:
    name, package = result.package.name, result.package.distribution
    lines = [f"## {name}", f"{package} {versions[package]}, checked {result.date}"]
    told = [line for each in result.own for line in _bullet(each, package, name)]
    lines.append("\n".join(told) or "Nothing of its own fails.")
    if result.inherited:
        lines.append(f"Inherited of langchain-openai: {', '.join(map(_ids, result.inherited))}.")
    if result.hidden == 1:
        lines.append("1 finding is not shown: no script reproduces it yet.")
    elif result.hidden:
        lines.append(f"{result.hidden} findings are not shown: no script reproduces them yet.")
    if result.repaired:
        lines.append(f"`chat_model` repairs {', '.join(map(_ids, result.repaired))}.")
    warned = list(_warnings(result))
    if warned:
        lines.append(f"<details><summary>{len(warned)} warnings</summary>")
        lines += ["\n".join(warned), "</details>"]
    return "\n\n".join(lines)


def _warnings(result: Result) -> Iterable[str]:
    for each in result.findings:
        alien = "OpenAI's API" in each["got"] and not result.of_openai
        if each["verdict"] == "WARN" and not core(each) and not alien:
            yield f"- {each['rule']}: {_code(each['got'], _SHOWN)}"
    tests = result.tests
    for script in dict.fromkeys(each.script for each in tests):
        number = sum(each.script == script for each in tests)
        rule = (script or "").upper()
        links = _links([rule], result.package.distribution)
        told = f"- {number} of langchain-tests: a warning, as the rule for the same, {rule}, has it"
        yield f"{told}; see {links}" if links else told


def _bullet(fault: Fault, package: str, name: str) -> Iterable[str]:
    """Yield the lines about a fault: what it is, the script's line, and what is known of it."""
    words = _words(fault.failures[0].script)
    yield f"- **{', '.join(fault.rules) or 'langchain-tests'}** {words}"
    shown = dict.fromkeys((each.script, each.evidence) for each in fault.failures)
    for script, evidence in shown:
        yield f"  - `conformance/reproduce/{script}.py`: {_code(evidence)}"
    if fault.why:
        yield f"  - the cause: {fault.why}"
    if fault.tests and fault.rules:
        yield f"  - {fault.tests} of langchain-tests' tests fail by it"
    for rule in fault.rules:
        notes = (NOTES.get((rule, each), "") for each in (name, ""))
        yield from (f"  - {each}" for each in notes if each)
    if links := _links(fault.rules, package):
        yield f"  - see {links}"


@cache
def _words(script: str | None) -> str:
    """Return the first line of a script's docstring, which says what it shows."""
    path = Path(__file__).parent / "reproduce" / f"{script}.py"
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


def _links(rules: Iterable[str], package: str) -> str:
    places = [
        place for rule in rules for each in (package, "") for place in LINKS.get((rule, each), ())
    ]
    return ", ".join(
        f"[{place}](https://github.com/{place.replace('#', '/issues/')})" for place in places
    )


def _code(text: str, most: int = 2_000) -> str:
    shown = masked(text, most).replace("`", "'")
    return f"`{shown}`" if shown else "nothing"
