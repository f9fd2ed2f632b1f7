"""Verdicts are the same each time, on a busy machine too. `RUNS=50` makes it 50 times."""

import contextlib
import os
import subprocess
import sys
from collections import Counter

import pytest
from langchain_openai import ChatOpenAI

from chatwright import ChatEndpoint
from chatwright.checks.run.engine import Options
from chatwright.checks.run.process import Supervised

RUNS = int(os.environ.get("RUNS", "3"))
ONLY = os.environ.get("ONLY")
MODELS = {"ChatOpenAI": ChatOpenAI, "ChatEndpoint": ChatEndpoint}


def find(named):
    return MODELS[named]


@contextlib.contextmanager
def busy(cores):
    """Have each core work on something else."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores)]
    try:
        yield
    finally:
        for each in others:
            each.kill()
            each.wait()


def verdicts(named):
    options = Options(only=ONLY.split(",") if ONLY else None, langchain_tests=False)
    check = Supervised(find, named, {"model": "m"}, options)
    report = check.report(lambda _: None)
    return {each.rule: (each.verdict.value, each.got) for each in report.findings}


@pytest.mark.long
@pytest.mark.skipif("RUNS" not in os.environ, reason="minutes of two busy cores: RUNS=50")
@pytest.mark.timeout(120 * RUNS)
@pytest.mark.parametrize("named", MODELS)
def test_verdicts_are_the_same_beside_busy_loops(named):
    quiet = verdicts(named)
    seen = Counter()
    with busy(os.cpu_count() or 1):
        for _ in range(RUNS):
            for rule, (verdict, got) in verdicts(named).items():
                if verdict != quiet[rule][0]:
                    seen[rule, quiet[rule], verdict, got] += 1
    assert not seen
