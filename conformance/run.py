"""Checks the packages, tries the reproductions, and writes docs/conformance.md."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from chatwright.checks.finding import Report
from chatwright.checks.reports.json import as_json
from chatwright.checks.run.engine import Options
from chatwright.checks.run.process import Supervised
from conformance.models import FAKES, PACKAGES, Package
from conformance.page import Failure, Result, masked, page

__all__ = ["find", "main"]

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "conformance" / "reproduce"
TARGET = ROOT / "docs" / "conformance.md"
SCRIPT_SECONDS = 120
AT_ONCE = 2
"""How many scripts run at a time; checks run one after the other."""
SUITES = {"test_standard_params_model_override": "r1", "test_structured_output": "o3"}
"""Which script shows what makes a test of langchain-tests fail, by how the test's name begins."""


def find(named: str) -> Any:
    """Return a fake, or the class of a package's model."""
    if named in FAKES:
        return FAKES[named]
    return getattr(import_module(PACKAGES[named].module), named)


def main() -> None:
    """Check all packages, and write the page."""
    parser = argparse.ArgumentParser(prog="conformance", description=main.__doc__)
    parser.add_argument(
        "--reports",
        type=Path,
        help="where reports are kept; those that are there are not made anew",
    )
    kept: Path | None = parser.parse_args().reports
    with tempfile.TemporaryDirectory() as empty:
        os.environ |= {"TIKTOKEN_CACHE_DIR": empty, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        os.environ["PYTHONWARNINGS"] = "ignore"
        results = [_result(each, kept) for each in PACKAGES.values()]
    TARGET.write_text(page(results, _versions()), encoding="utf-8")
    print(f"{TARGET.relative_to(ROOT)} is written")


def _result(package: Package, kept: Path | None) -> Result:
    file = kept / f"{package.name}.json" if kept else None
    if file and file.exists():
        report = json.loads(file.read_text(encoding="utf-8"))
    else:
        made = as_json(_checked(package))
        report = json.loads(made)
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(made, encoding="utf-8")
    findings = report["findings"]
    failed = [(each, _script(each["rule"])) for each in findings if each["verdict"] == "FAIL"]
    scripts = [*dict.fromkeys(script for _, script in failed if script)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        said = pool.map(lambda script: _reproduced(script, package.name), scripts)
        tried = dict(zip(scripts, said, strict=True))
    nothing = (False, "")
    failures = [Failure(each, name, *tried.get(name or "", nothing)) for each, name in failed]
    wrong = [each.finding["rule"] for each in failures if not each.reproduced]
    print(f"{package.name}: {len(failures)} FAILs; not reproduced: {wrong or 'none'}", flush=True)
    return Result(package, findings, failures)


def _checked(package: Package) -> Report:
    """Check one package's model, in a process of its own."""
    options = Options(upstream="none" if package.fake else "auto")
    given = {} if package.fake else package.given
    return Supervised(find, package.name, given, options).report(lambda _: None)


def _script(rule: str) -> str | None:
    """Return the name of the script that shows what a rule finds."""
    test = rule.rpartition(".")[2]
    name = next((each for start, each in SUITES.items() if test.startswith(start)), rule.lower())
    return name if (SCRIPTS / f"{name}.py").exists() else None


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
    return done.returncode == 0, masked(lines[-1] if lines else done.stderr[-200:])


def _versions() -> Mapping[str, str]:
    names = ["chatwright", "langchain-core", *(each.distribution for each in PACKAGES.values())]
    return {each: metadata.version(each) for each in dict.fromkeys([*names, "langchain-tests"])}
