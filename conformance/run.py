"""Checks the packages, tries the reproductions, and writes docs/conformance.md."""

import argparse
import datetime as dt
import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from langchain_openai.chat_models.base import BaseChatOpenAI

from chatwright.checks.reports.json import as_json
from chatwright.checks.run.engine import Options
from chatwright.checks.run.process import Supervised
from chatwright.wires import DIALECTS
from conformance.models import PACKAGES, RESPONSES, model, wrapped
from conformance.page import page
from conformance.results import Failure, Result, masked

__all__ = ["find", "main"]

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "conformance" / "reproduce"
TARGET = ROOT / "docs" / "conformance.md"
SCRIPT_SECONDS = 300
KEPT = ROOT / "build" / "conformance"
"""Where findings are kept, so that one package can be checked anew by name."""
WRAPPED = "chat_model:"
"""What stands before a package's model that `chat_model` is put around."""
AT_ONCE = 2
"""How many packages are checked at a time."""
STOP = ("p1",)
SCRIPTS_OF: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(("B10", "P2", "P3", "P5", "P6"), STOP),
    "P4": ("p4", "p1"),
    "O5": ("o2",),
}
"""Which scripts show what rules find that have none of their own, or a second cause."""
SUITES: Sequence[tuple[str, str, str]] = (
    ("test_standard_params_model_override", "", "r1"),
    ("test_structured_output_pydantic_2_v1", "", "o1"),
    ("test_structured_output", "ValueError", "o1"),
    ("test_structured_output", "", "o3"),
    ("test_", "tool_choice", "t2"),
)
"""Which script shows what makes a test of langchain-tests fail: how its name begins, what it says.
"""
HANGING = ("not ended", "ended by nothing", "came 0 times")
"""What findings say of a call that does not end; `hangs` shows why."""


def find(named: str) -> Any:
    """Return the class of a package's model, or what makes one that is wrapped."""
    if named.startswith(WRAPPED):
        return wrapped(named.removeprefix(WRAPPED))
    return getattr(import_module(PACKAGES[named].module), named)


def main() -> None:
    """Check all packages, or those that are named anew, and write the page."""
    parser = argparse.ArgumentParser(prog="conformance", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all", default=[])
    named = parser.parse_args().names
    if unknown := {*named} - {*PACKAGES}:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(PACKAGES)}")
    with tempfile.TemporaryDirectory() as empty:
        os.environ |= {"TIKTOKEN_CACHE_DIR": empty, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        os.environ["PYTHONWARNINGS"] = "ignore"
        again = [each for each in PACKAGES if each in named or not named]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for each in pool.map(_kept, again):
                print(each, flush=True)
    missing = [each for each in PACKAGES if not (KEPT / f"{each}.json").exists()]
    if missing:
        parser.error(f"the page needs all: name {', '.join(missing)} as well, or none")
    results = [_result(each) for each in PACKAGES]
    TARGET.write_text(page(results, _versions()), encoding="utf-8")
    print(f"{TARGET.relative_to(ROOT)} is written")


def _kept(name: str) -> str:
    """Check one package, keep what is found, and return a line about it."""
    findings = _checked(name)
    around = _checked(f"{WRAPPED}{name}")
    base = _base(name)
    shown = [_shown(each, name) for each in findings if each["verdict"] == "FAIL"]
    failures = [_inherited(each, base) for each in shown]
    told = {
        "date": dt.date.today().isoformat(),  # noqa: DTZ011  the day here
        "of_openai": bool(base) or name == "ChatOpenAI",
        "findings": findings,
        "wrapped": around,
        "failures": [asdict(each) for each in failures],
    }
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / f"{name}.json").write_text(json.dumps(told), encoding="utf-8")
    wrong = [each.finding["rule"] for each in failures if not each.reproduced]
    inherited = [each.finding["rule"] for each in failures if each.base]
    return f"{name}: {len(failures)} FAILs; not reproduced: {wrong}; inherited: {inherited}"


def _result(name: str) -> Result:
    told = json.loads((KEPT / f"{name}.json").read_text(encoding="utf-8"))
    failures = [Failure(**each) for each in told.pop("failures")]
    return Result(package=PACKAGES[name], failures=failures, **told)


def _base(name: str) -> str:
    """Return what a model of langchain-openai's base class is compared with; empty for others.

    It is ChatOpenAI on the API that the class uses by default.
    """
    if name == "ChatOpenAI" or not issubclass(find(name), BaseChatOpenAI):
        return ""
    return RESPONSES if getattr(model(name), "use_responses_api", None) else "ChatOpenAI"


def _inherited(failure: Failure, base: str) -> Failure:
    """Say which base shows the same by the same script, if one does."""
    if base and failure.reproduced:
        assert failure.script is not None
        if _reproduced(failure.script, base) == (True, failure.evidence):
            return replace(failure, base=base)
    return failure


def _checked(named: str) -> Sequence[Mapping[str, Any]]:
    """Check one package's model, wrapped or not, in a process of its own.

    A wrapped one's dialect is named: its traces name Chatwright. langchain-tests is left out: it
    counts the run of the model inside as a second one.
    """
    around = named.startswith(WRAPPED)
    package = PACKAGES[named.removeprefix(WRAPPED)]
    dialect = next((each for each in DIALECTS if package.path.startswith(f"/{each}")), "auto")
    options = Options(upstream=dialect if around else "auto", langchain_tests=not around)
    given = {} if around else package.given
    report = Supervised(find, named, given, options).report(lambda _: None)
    findings: Sequence[Mapping[str, Any]] = json.loads(as_json(report))["findings"]
    return findings


def _shown(finding: Mapping[str, Any], name: str) -> Failure:
    """Return a FAIL with the script that shows it; with the last that was tried, if none does."""
    shown = Failure(finding, None, reproduced=False, evidence="")
    for script in _scripts(finding["rule"], finding["got"]):
        shown = Failure(finding, script, *_reproduced(script, name))
        if shown.reproduced:
            break
    return shown


def _scripts(rule: str, got: str) -> Sequence[str]:
    """Return the names of the scripts that may show what a rule finds."""
    test = rule.rpartition(".")[2]
    if test.startswith("test_"):
        return [each for start, said, each in SUITES if test.startswith(start) and said in got][:1]
    hangs = ("hangs",) if any(each in got for each in HANGING) else ()
    names = (*hangs, *SCRIPTS_OF.get(rule, (rule.lower(),)))
    return [each for each in names if (SCRIPTS / f"{each}.py").exists()]


@functools.cache
def _reproduced(script: str, name: str) -> tuple[bool, str]:
    """Run a script; return whether it shows the fault, and its line of evidence."""
    command: Sequence[str] = [sys.executable, "-m", f"conformance.reproduce.{script}", name]
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=SCRIPT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False, "the script did not end"
    lines = done.stdout.strip().splitlines()
    return done.returncode == 0, masked(lines[-1] if lines else "")


def _versions() -> Mapping[str, str]:
    names = ["chatwright", "langchain-core", *(each.distribution for each in PACKAGES.values())]
    return {each: metadata.version(each) for each in dict.fromkeys([*names, "langchain-tests"])}
