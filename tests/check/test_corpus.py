"""Every fault is caught by its rule, no control is accused, and nothing hostile ends check.

What a fault's test runs is its own rule, and, where that is quick, B1 and S1; what langchain-tests
says of it is in the matrix, `python -m faults.matrix`.
"""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from chatwright.checks import Fault as Whose
from chatwright.checks import Verdict, check, rules
from faults.corpus import CONTROLS, FAULTS
from faults.hostile import HOSTILE

TESTS = Path(__file__).parents[1]
SECONDS = 30
SLOW = {"A1", "A3", "B10", "C10", "E1", "E4", "E5", "P3", "P6", "S9"}
QUIET = pytest.mark.filterwarnings("ignore")


def shown(findings):
    return {each.rule: (each.verdict, each.got[:300]) for each in findings}


@QUIET
@pytest.mark.parametrize("fault", FAULTS, ids=lambda each: f"{each.rule}-{each.name}")
def test_a_fault_is_caught_by_its_rule_and_by_no_other(fault):
    only = [fault.rule] if fault.rule in SLOW else sorted({fault.rule, "B1", "S1"})
    report = check(fault.make, only=only, langchain_tests=False)
    (found,) = [each for each in report.findings if each.rule == fault.rule]
    assert found.verdict in {Verdict.FAIL, fault.verdict}, shown([found])
    others = [each for each in report.of(Verdict.FAIL) if each.rule != fault.rule]
    false = [each for each in others if each.rule not in fault.also and "*" not in fault.also]
    assert not false, shown(false)


@QUIET
@pytest.mark.parametrize("control", CONTROLS)
def test_no_control_is_accused(control):
    whole = control.__name__ in {"Full", "SyncOnly"}  # the others differ in what is not slow
    report = check(control, skip=[] if whole else SLOW, langchain_tests=False)
    assert not report.of(Verdict.FAIL), shown(report.of(Verdict.FAIL))
    crashed = [each for each in report.findings if each.fault is Whose.CHECK]
    assert not crashed, shown(crashed)
    if control.__name__ == "Full":
        wrong = report.of(Verdict.WARN, Verdict.SKIP)
        assert not wrong, shown(wrong)


def test_there_is_a_fault_for_every_rule():
    ours = {each.id for each in rules() if each.test.__module__.startswith("chatwright.")}
    assert {each.rule for each in FAULTS if each.verdict == "FAIL"} == ours
    assert all(each.story for each in FAULTS)
    assert len({each.name for each in FAULTS}) == len(FAULTS)


HARMLESS = {"BadRepr", "ClosesStdout", "ChangesTheProcess", "Forks"}
"""What they do is no business of B1's and S1's."""


def reported(name, target):
    """Check a hostile model in a process of its own; return how that ended."""
    command = [sys.executable, "-m", "faults.hostile_run", name, str(target), "B1", "S1"]
    with subprocess.Popen(
        command,
        cwd=TESTS,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            return process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            return "it had not ended"
        finally:
            with suppress(ProcessLookupError):  # its own group: copies that it forked
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def hostile_reports(tmp_path_factory):
    """Start them all, a few at a time: most of them only wait."""
    target = tmp_path_factory.mktemp("hostile")
    with ThreadPoolExecutor(3) as pool:
        yield (
            {
                each.__name__: pool.submit(reported, each.__name__, target / each.__name__)
                for each in HOSTILE
            },
            target,
        )


@pytest.mark.parametrize("name", [each.__name__ for each in HOSTILE])
def test_a_hostile_model_is_reported_and_survived(name, hostile_reports):
    ends, target = hostile_reports
    assert ends[name].result() == 0
    (line,) = (target / name).read_text().splitlines()  # a copy would have written another one
    told = json.loads(line)
    assert told["pid"] == told["before"]
    assert [each["rule"] for each in told["findings"]] == ["B1", "S1"]
    failed = [each for each in told["findings"] if each["verdict"] == "FAIL"]
    assert failed or name in HARMLESS
    assert all(each["got"] for each in failed)
