"""The page that tells what was found."""

import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
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

CORE: Sequence[tuple[str, str, str]] = (
    (
        "R6",
        "model_copy",
        "A used model's copy has its cache key: `_serialized` is a cached property, and kept.",
    ),
    (
        "T6",
        "for AIMessage tool_calls",
        "`parse_tool_call` lets a list pass as arguments, and `AIMessage` then raises.",
    ),
    (
        "T7",
        "core's sum",
        "The sum of chunks is parsed by `parse_partial_json`, which completes what was cut.",
    ),
    ("T11", ", v1", "Under `output_version='v1'` the text gets the index 0, as the first call."),
    ("M2", ", v1", "Likewise for text and reasoning."),
    ("C9", ", v1", "Likewise in what `on_llm_end` gets."),
    (
        "R5",
        "chunks, not",
        "A configured model is made of all fields: `streaming=False` counts as the user's wish.",
    ),
    ("R8", "core's own", "Tokens are counted by GPT-2's tokenizer, which is downloaded."),
    ("E4", "as core does", "The run of an `ainvoke` that is cancelled is left open."),
)
"""What is core's own doing: a rule, what its finding holds, and what core does."""
NOTES: Mapping[str, str] = {
    "K1": "`repr` is what people print and log; core hands it to callbacks where a model is not "
    "serializable.",
    "R8": "tiktoken downloads its vocabulary at first use, and keeps it. The check's cache is "
    "empty.",
}
"""What needs a word, by rule."""
UNTRIED: Mapping[str, str] = {
    "langchain-google-genai, langchain-aws, langchain-cohere, langchain-cloudflare": "they speak "
    "wires of their own, which the fake upstream does not",
    "langchain-gigachat": "likewise: calls are `function_call`s there, one an answer, at a path "
    "that looks like OpenAI's",
    "langchain-perplexity": "its constructor takes no address",
    "langchain-ibm": "it logs in first, and by https only",
    "langchain-crusoe": "its `base_url` is ignored, and `crusoe_api_base` takes its place",
    "langchain-writer, langchain-runpod, langchain-aimlapi, langchain-deepinfra, "
    "langchain-netmind": "they want langchain-core 0.3",
    "langchain-localai": "it has no chat model",
    "ChatHuggingFace": "its constructor wants another model, and no address",
}
"""What was looked at and could not be tried, and why."""


@dataclass(frozen=True)
class Failure:
    """A FAIL, and what its script says."""

    finding: Mapping[str, Any]
    script: str | None
    reproduced: bool
    evidence: str


@dataclass(frozen=True)
class Result:
    """What was found of one package: as it is published, and with `chat_model` around it."""

    package: Package
    findings: Sequence[Mapping[str, Any]]
    failures: Sequence[Failure]
    wrapped: Sequence[Mapping[str, Any]]
    of_openai: bool


def masked(text: str) -> str:
    """Return a text without what differs between runs and machines, in one line, and short."""
    text = " ".join(text.split())
    for pattern, instead in _MASKS:
        text = re.sub(pattern, instead, text)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def page(results: Sequence[Result], versions: Mapping[str, str]) -> str:
    """Return the page."""
    told = {name: versions[name] for name in ("chatwright", "langchain-core", "langchain-tests")}
    parts = [_HEAD.format(versions=", ".join(f"{name} {each}" for name, each in told.items()))]
    parts += [_table(results, versions), _untried(), _cores(results)]
    openai = {each["rule"] for each in _of("ChatOpenAI", results).findings if _fails(each)}
    parts += [_section(each, versions, openai) for each in results]
    return "\n\n".join(parts) + "\n"


_HEAD = """\
# Published packages

Made by `make conformance`: what [`chatwright check`](check.md) finds in packages as they are
published, on the fake upstream, and in the same models with `chat_model(…)` around them. They are
pinned in `conformance/packages.txt`; checked by {versions}.

Each FAIL has a script that shows it without check, in plain LangChain and a server on loopback:
`python -m conformance.reproduce.e4 ChatGroq`. A FAIL that no script reproduces is marked *not
reproduced*, and does not count. What is langchain-core's own doing is told once, under
[langchain-core](#langchain-core), and counts nowhere; what a class inherits of langchain-openai is
said to be so. A FAIL is the rule's view: some faults are rare. What each rule asks for, why, and by
which source is in [the rules](reference/rules.md). `make conformance NAMES=ChatGroq` checks one
model anew.

With `chat_model` around a model, langchain-tests is left out, as it takes the run of the model
inside for a second one; fields that the wrapper has, such as `stop`, are given to the wrapper."""


def _of(name: str, results: Sequence[Result]) -> Result:
    return next(each for each in results if each.package.name == name)


def _fails(finding: Mapping[str, Any]) -> bool:
    return bool(finding["verdict"] == "FAIL")


def _core(finding: Mapping[str, Any]) -> str:
    """Return what core does that a finding is about; empty for nothing."""
    rule, got = finding["rule"], finding["got"]
    return next((note for id_, text, note in CORE if rule == id_ and text in got), "")


def _count(findings: Sequence[Mapping[str, Any]], left_out: Iterable[str] = ()) -> str:
    """Return how many of what could be tried passed."""
    tried = [each for each in findings if each["verdict"] != "SKIP"]
    counted = [each for each in tried if each["rule"] not in left_out]
    passed = sum(each["verdict"] == "PASS" for each in counted)
    return f"{passed}/{len(counted)}"


def _real(result: Result) -> Sequence[Failure]:
    return [each for each in result.failures if each.reproduced and not _core(each.finding)]


def _causes(failures: Iterable[Failure]) -> Sequence[tuple[Failure, Sequence[str]]]:
    """Return FAILs, one of each cause, and the ids of the others of that cause.

    The one is the rule that a script is named after, or what raises (E1), or the first.
    """
    causes: dict[Any, list[Failure]] = {}
    for each in failures:
        same = (each.script, each.evidence) if each.reproduced else each.finding["rule"]
        causes.setdefault(same, []).append(each)
    found = []
    for each in causes.values():
        names = {each[0].script, "e1"}
        first = next((one for one in each if one.finding["rule"].lower() in names), each[0])
        found.append((first, [one.finding["rule"] for one in each if one is not first]))
    return found


def _left(result: Result) -> Sequence[Mapping[str, Any]]:
    """Return what fails with `chat_model` around it."""
    return [each for each in result.wrapped if _fails(each) and not _core(each)]


def _ids(findings: Iterable[Mapping[str, Any]]) -> str:
    """Return the ids of rules, and how many tests of langchain-tests."""
    ids = [each["rule"] for each in findings]
    tests = sum("_" in each for each in ids)
    told = [*(each for each in ids if "_" not in each), *([f"{tests} tests"] if tests else [])]
    return " ".join(told) or "-"


def _table(results: Sequence[Result], versions: Mapping[str, str]) -> str:
    rows = [["model", "package", "passed", "fails", "passed, wrapped", "fails, wrapped"]]
    rows.append(["---"] * len(rows[0]))
    for each in results:
        name, package = each.package.name, each.package.distribution
        struck = [one.finding["rule"] for one in each.failures if one not in _real(each)]
        fails = _ids(one.finding for one, _ in _causes(_real(each)))
        row = [f"[{name}](#{name.lower()})", f"{package} {versions[package]}"]
        row += [_count(each.findings, struck), fails]
        cores = [one["rule"] for one in each.wrapped if _fails(one) and _core(one)]
        row += [_count(each.wrapped, cores), _ids(_left(each))] if each.wrapped else ["", ""]
        rows.append(row)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


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
            if any(one["rule"] == rule and _core(one) == note for one in each.findings)
        ]
        if whose:
            told.append(f"- **{rule}** {note} Seen at {', '.join(whose)}.")
    return "\n\n".join([*lines, "\n".join(told)])


def _section(result: Result, versions: Mapping[str, str], openai: AbstractSet[str]) -> str:
    package = result.package
    lines = [f"## {package.name}", f"{package.distribution} {versions[package.distribution]}"]
    real = _real(result)
    inherited = openai if result.of_openai and package.name != "ChatOpenAI" else frozenset()
    lines.append("\n".join(_told(real, inherited)) if real else "Nothing fails.")
    rest = [each for each in result.failures if not each.reproduced and not _core(each.finding)]
    if rest:
        lines += ["*Not reproduced*, and not counted:", "\n".join(_told(rest, inherited))]
    if result.wrapped:
        lines.append("\n".join(_around(result)))
    warned = [each for each in result.findings if each["verdict"] == "WARN" and not _core(each)]
    if warned:
        told = [f"- {each['rule']}: {_code(each['got'])}" for each in warned]
        lines.append(f"<details><summary>{len(told)} warnings</summary>")
        lines += ["\n".join(told), "</details>"]
    return "\n\n".join(lines)


def _around(result: Result) -> Iterable[str]:
    """Yield what `chat_model` repairs, what it does not, and what fails only with it."""
    now = {each["rule"]: each for each in result.wrapped}
    before = [each.finding["rule"] for each in result.failures if not _core(each.finding)]
    rules = [each for each in before if each in now]
    repaired = [each for each in rules if now[each]["verdict"] in ("PASS", "WARN")]
    left = _left(result)
    stays = [each["rule"] for each in left if each["rule"] in rules]
    told = f"repaired {', '.join(repaired) or 'nothing'}, fails {', '.join(stays) or 'nothing'}"
    yield f"With `chat_model` around it, of these: {told}."
    only = [each for each in left if each["rule"] not in rules]
    if only:
        yield ""
        yield "Failing only then:"
        yield ""
        yield from (f"- {each['rule']}: {_code(each['got'])}" for each in only)


def _told(failures: Iterable[Failure], inherited: AbstractSet[str]) -> Iterable[str]:
    for each, others in _causes(failures):
        found = each.finding
        yield f"- **{found['rule']}** {found['title']}"
        yield f"  - got {_code(found['got'])}, expected {_code(found['expected'])}"
        if each.script:
            link = f"`conformance/reproduce/{each.script}.py`"
            verdict = "reproduced" if each.reproduced else "**not reproduced**"
            yield f"  - {verdict} by {link}: {_code(each.evidence)}"
        else:
            yield "  - **not reproduced**: there is no script"
        if others:
            yield f"  - the same cause: {', '.join(others)}"
        if found["rule"] in inherited:
            yield "  - as `ChatOpenAI`: the class inherits langchain-openai's"
        if found["rule"] in NOTES:
            yield f"  - {NOTES[found['rule']]}"


def _code(text: str) -> str:
    shown = masked(text).replace("`", "'")
    return f"`{shown}`" if shown else "nothing"
