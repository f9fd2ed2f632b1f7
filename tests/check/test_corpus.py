"""Every fault is caught by its rule, no control is accused, and nothing hostile ends check.

One fault a rule is tried by `make test`, the others by `make test-long`. What a fault's test runs
is its own rule, and, where that is quick, B1 and S1; what langchain-tests says of it is in the
matrix, `python -m faults.matrix`.
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
from faults.refusals import HONEST

TESTS = Path(__file__).parents[1]
SECONDS = 120
SLOW = {"A1", "A3", "B10", "C10", "E1", "E4", "E5", "P3", "P6", "S9"}
QUIET = pytest.mark.filterwarnings("ignore")
QUICK = {"Full", "TextOnly", "BadChunks", "BlocksForEver", "Exits", "Forks"}
"""The controls and the hostile ones that `make test` tries."""


def first_of_each(cases, kind):
    """Mark as long what is not the first of its kind."""
    seen = set()
    for case in cases:
        yield pytest.param(case, marks=[pytest.mark.long] if kind(case) in seen else [])
        seen.add(kind(case))


def quick(cases):
    """Mark as long what is not among the quick ones."""
    for case in cases:
        name = getattr(case, "__name__", case)
        yield pytest.param(case, marks=[] if name in QUICK else [pytest.mark.long])


def shown(findings):
    return {each.rule: (each.verdict, each.got[:300]) for each in findings}


@QUIET
@pytest.mark.parametrize(
    "fault",
    [*first_of_each(FAULTS, kind=lambda each: each.rule)],
    ids=lambda each: f"{each.rule}-{each.name}",
)
def test_a_fault_is_caught_by_its_rule_and_by_no_other(fault):
    only = [fault.rule] if fault.rule in SLOW else sorted({fault.rule, "B1", "S1"})
    report = check(fault.make, only=only, langchain_tests=False)
    (found,) = [each for each in report.findings if each.rule == fault.rule]
    assert found.verdict == fault.verdict, shown([found])
    others = [each for each in report.of(Verdict.FAIL) if each.rule != fault.rule]
    false = [each for each in others if each.rule not in fault.also and "*" not in fault.also]
    assert not false, shown(false)


@pytest.mark.parametrize(
    ("model", "rule"), HONEST, ids=lambda each: str(getattr(each, "__name__", each))
)
def test_what_is_said_is_no_fault(model, rule):
    (found,) = check(model, only=[rule], langchain_tests=False).findings
    assert found.verdict == Verdict.PASS, shown([found])


@QUIET
@pytest.mark.parametrize("control", [*quick(CONTROLS)])
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
    ours = [each for each in rules() if each.test.__module__.startswith("chatwright.")]
    warn = {each.id for each in ours if each.severity == "warning" or each.is_view}
    assert {each.rule for each in FAULTS} == {each.id for each in ours}
    assert {each.rule for each in FAULTS if each.verdict == "FAIL"} == {x.id for x in ours} - warn
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
def hostile_reports(request, tmp_path_factory):
    """Start all that are wanted, a few at a time: most of them only wait."""
    wanted = [each.callspec.params["name"] for each in request.session.items if is_hostile(each)]
    target = tmp_path_factory.mktemp("hostile")
    with ThreadPoolExecutor(3) as pool:
        yield (
            {name: pool.submit(reported, name, target / name) for name in wanted},
            target,
        )


def is_hostile(item):
    return item.function is test_a_hostile_model_is_reported_and_survived


@pytest.mark.parametrize("name", [*quick([each.__name__ for each in HOSTILE])])
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
