"""Models as people publish them, right and wrong, and what check says of each of them.

The models stand in `right` and `wrong`, written after public repositories; their docstrings tell
after which kind, what is right or wrong about each (`FAULT:`), and how one is made (`MODEL:`,
`KWARGS:`). A verdict is what FAILs, rule by rule, and nothing else may. Some are tried by
`make test`, more by `make test-long`, all of them by `make test-wild`, which takes half an hour.
"""

import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from wild.verdicts import FAILS, HONEST_FAILS, UNREACHABLE, WRONG_VERDICTS

HERE = Path(__file__).parent
SECONDS = 250
AT_ONCE = 2
"""How many models are tried at a time, each in a process of its own."""
QUICK = {"own_sse", "memory_on_model"}
"""What `make test` tries: of each kind, what takes seconds."""
LONG = {
    *("house_factory", "house_rules_wrapper", "messages_sdk", "responses_factory"),
    *("settings_factory", "taught_tools_urllib", "memo_of_last_message", "ollama_top_level"),
    *("simple_ignores_stop", "stream_error_swallowed", "tools_leak", "usage_twice"),
    *("args_swallowed", "gateway_httpx", "rule_agent"),
}
"""What `make test-long` tries."""
CLOCKED = {"A1", "A3", "A5", "C1", "E4", "P3", "P6", "S9"}
"""Rules that a busy machine may break: they count where they are a model's own fault."""
PROBES = {
    "stream_error_swallowed": "E2,R6",
    "key_in_traces": "K1,R6",
    "responses_factory": "B1,A2",
    "messages_sdk": "T2,U2",
    "taught_tools_urllib": "O2,O5",
    "usage_added_up": "M4",
    "simple_ignores_stop": "E4",
    "messages_raw_usage": "U1",
    "previous_response": "E1,E7,T2,T14",
    "reasoner_subclass": "K3,R6",
    "responses_settings": "B7,T2",
    "service_async_only": "C2,T2",
    "text_protocol": "T2,T8",
}
"""Models that rules have misjudged, and those rules: `QUICK_PROBES` in `make test`."""
QUICK_PROBES = {"stream_error_swallowed", "reasoner_subclass"}
RIGHT, WRONG = (
    sorted(path.stem for path in HERE.glob(f"{each}/*.py")) for each in ("right", "wrong")
)
OPTIONS = ("--no-langchain-tests", "--yes", "--max-calls=300", "--timeout=40", "-fjson")
"""Time enough for a busy machine, and as many calls of models in the process as rules make."""
COMMAND = "from chatwright.cli import main; main()"


def told(kind, name, key):
    """Return what a model's docstring says of it."""
    doc = (HERE / kind / f"{name}.py").read_text(encoding="utf-8").split('"""')[1]
    return re.findall(rf"^{key}: *(.*?) *$", doc, re.MULTILINE)


def checked(kind, name, report, *options):
    """Check a model by the command, in a process of its own; return its exit code and errors."""
    (made,) = told(kind, name, "MODEL")
    (kwargs,) = told(kind, name, "KWARGS")
    given = [f"-k{key}={json.dumps(value)}" for key, value in json.loads(kwargs).items()]
    command = [sys.executable, "-c", COMMAND, "check", f"{name}:{made}", *given, *OPTIONS, *options]
    with subprocess.Popen(
        [*command, f"-o{report}"],
        cwd=HERE / kind,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            _, errors = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return None, f"it had not ended after {SECONDS} s"
        finally:
            with suppress(ProcessLookupError):  # its own group: what the model started
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, errors


@pytest.fixture(scope="module")
def reports(request, tmp_path_factory):
    """Start all that are wanted, two at a time; give each one's exit code, errors and report."""
    target = tmp_path_factory.mktemp("wild")
    wanted = [
        each.callspec.params["name"]
        for each in request.session.items
        if each.path == request.path and hasattr(each, "callspec")
    ]
    pool = ThreadPoolExecutor(AT_ONCE)
    started = {
        name: pool.submit(checked, "right" if name in RIGHT else "wrong", name, target / name)
        for name in wanted
    }
    yield lambda name: (*started[name].result(), target / name)
    pool.shutdown(cancel_futures=True)


def cases(names):
    for name in names:
        mark = pytest.mark.long if name in LONG else pytest.mark.wild
        marks = [] if name in QUICK else [mark, pytest.mark.timeout(2 * SECONDS)]
        if name in WRONG_VERDICTS:
            marks.append(pytest.mark.xfail(reason=WRONG_VERDICTS[name], strict=True))
        yield pytest.param(name, marks=marks)


def failed(code, errors, report):
    """Return what FAILs: what was got, by rule."""
    assert code in {0, 1}, errors
    findings = json.loads(report.read_text(encoding="utf-8"))["findings"]
    assert not [each for each in findings if each["fault"] == "check"]
    return {each["rule"]: each["got"][:300] for each in findings if each["verdict"] == "FAIL"}


@pytest.mark.parametrize("name", [*cases(each for each in RIGHT if each not in UNREACHABLE)])
def test_a_right_model_is_accused_of_nothing_but_its_honest_faults(name, reports):
    found = failed(*reports(name))
    assert {*found} - CLOCKED == {*HONEST_FAILS.get(name, {})} - CLOCKED, found


@pytest.mark.parametrize("name", [*cases(WRONG)])
def test_a_wrong_model_fails_by_its_own_fault_and_by_nothing_else(name, reports):
    found = failed(*reports(name))
    by_its_fault, besides = FAILS[name]
    own = {*by_its_fault.split()}
    assert own <= {*found}, found
    expected = own | {*besides.split()}
    assert besides == "*" or {*found} - CLOCKED == expected - CLOCKED, found


def probes():
    for name, rules in PROBES.items():
        yield pytest.param(name, rules, marks=[] if name in QUICK_PROBES else pytest.mark.long)


@pytest.mark.parametrize(("name", "rules"), [*probes()])
def test_single_rules_judge_alike(name, rules, tmp_path):
    kind = "right" if name in RIGHT else "wrong"
    code, errors = checked(kind, name, tmp_path / "report", f"--only={rules}")
    by_its_fault, besides = FAILS.get(name, (" ".join(HONEST_FAILS.get(name, ())), ""))
    expected = {*by_its_fault.split(), *besides.split()} & {*rules.split(",")}
    assert {*failed(code, errors, tmp_path / "report")} == expected


@pytest.mark.parametrize("name", [*cases(UNREACHABLE)])
def test_a_model_with_a_wire_of_its_own_is_told_that_it_can_not_be_tried(name, reports):
    code, errors, report = reports(name)
    assert code == 2
    assert UNREACHABLE[name] in errors
    assert "upstream='none'" in errors
    assert not report.exists()


def test_each_model_has_its_verdict():
    assert {*FAILS} == {*WRONG}
    assert {*HONEST_FAILS, *UNREACHABLE} <= {*RIGHT}
    assert {*WRONG_VERDICTS} <= {*RIGHT, *WRONG}
    assert not {*RIGHT} & {*WRONG}
    assert all(told("wrong", name, "FAULT") for name in WRONG)
    assert {*UNREACHABLE} == {name for name in RIGHT if told("right", name, "WIRE") == ["own"]}
