"""Check itself: how models are found, pointed, and bounded, and what comes of a rule."""

import itertools
import json
import os
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from pathlib import Path

import pexpect
import pytest
from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from typer.testing import CliRunner

from chatwright import ChatEndpoint, ChatGGUF, CustomChatModelAdvanced, WireSpec, chat_model, check
from chatwright.checks import (
    Fault,
    PointingError,
    Verdict,
    expect,
    fail,
    rule,
    rulebook,
    rules,
    skip,
    warn,
)
from chatwright.cli import app
from contract.subjects import AsyncSubclass, Subclass, command, endpoint

BIN = Path(sys.executable).parent / "chatwright"


@chat_model
def returns(messages):
    return "Hello."


@chat_model
def yields(messages):
    yield "Hello."


@chat_model
async def coroutine(messages):
    return "Hello."


@chat_model
async def async_generator(messages):
    yield "Hello."


@chat_model
def native(messages, tools=None, tool_choice=None, response_format=None):
    yield "Hello."


OWN = {
    "returns": lambda: returns,
    "yields": lambda: yields,
    "coroutine": lambda: coroutine,
    "async_generator": lambda: async_generator,
    "native": lambda: native,
    "echo": lambda: CustomChatModelAdvanced(n=3, model_name="echo"),
    "subclass": Subclass,
    "async_subclass": AsyncSubclass,
    "command": command,
    "own_way": lambda: endpoint("own_way"),
}
WIRES = ("openai", "ollama", "anthropic", "responses")
WHOLE = ("yields", "command")
"""Those that the slow rules are tried on, too; the others differ from these in other things."""
SLOW = ["A1", "A3", "B10", "C10", "E1", "E4", "E5", "P3", "S9"]


def wrong(report):
    bad = report.of(Verdict.FAIL, Verdict.WARN)
    return [f"{each.rule} {each.verdict}: {each.got}" for each in bad] + [
        each.got for each in report.findings if each.fault is Fault.CHECK
    ]


@pytest.mark.parametrize("name", OWN)
def test_own_sources_break_no_rule(name):
    slow = [] if name in WHOLE else SLOW
    report = check(OWN[name](), skip=slow, langchain_tests=name in {"yields", "command"})
    assert wrong(report) == []
    assert len(report.of(Verdict.PASS)) > 70


@pytest.mark.parametrize("wire", WIRES)
def test_endpoints_break_no_rule(wire):
    slow = [] if wire == "openai" else SLOW
    given = {"wire": wire}
    report = check(ChatEndpoint, kwargs=given, skip=slow, langchain_tests=wire == "openai")
    assert wrong(report) == []
    assert len(report.of(Verdict.PASS)) > 75


@pytest.mark.engine
def test_gguf_breaks_no_rule():
    model = ChatGGUF(model_path="smollm2", n_ctx=1024, n_threads=1)
    assert wrong(check(model, skip=SLOW, langchain_tests=False)) == []


@pytest.mark.engine
def test_gguf_is_checked_live_within_the_limit_of_calls():
    model = ChatGGUF(model_path="smollm2", n_ctx=2048, n_threads=1, temperature=0.0)
    report = check(model, upstream="none", max_calls=10)
    assert report.calls <= 10
    assert [each.got for each in report.of(Verdict.FAIL)] == []
    assert any("max_calls" in each.got for each in report.of(Verdict.SKIP))
    assert {each.layer for each in report.findings} == {"live", "langchain-tests"}


def test_a_model_that_takes_no_address_is_checked_as_it_is():
    report = check(FakeListChatModel(responses=["red, green"] * 99), only=["B1", "S1", "S9"])
    verdicts = {each.rule: each.verdict for each in report.findings}
    assert verdicts == {"B1": Verdict.PASS, "S1": Verdict.PASS, "S9": Verdict.SKIP}


def test_an_agent_passes_and_so_does_what_is_not_cached():
    inside = GenericFakeChatModel(messages=itertools.cycle([AIMessage("Hello.")]))
    report = check(chat_model(create_agent(inside, [])), skip=SLOW, langchain_tests=True)
    assert [each for each in wrong(report) if not each.startswith("K4 WARN")] == []
    told = {each.rule: each.got for each in report.of(Verdict.SKIP)}
    assert "max_retries=2 is for the one inside" in told["standard_params.max_retries"]
    lock = threading.Lock()
    locked = chat_model(lambda messages: str(lock)[:0] + "Hello.")
    (found,) = check(locked, only=["R6"], langchain_tests=False).findings
    assert (found.verdict, found.got[:30]) == (Verdict.SKIP, "it has no key, and is not cach")


def test_langchain_tests_are_run_anew_for_each_model():
    for _ in range(2):
        report = check(ChatEndpoint, only=[], langchain_tests=True)
        assert wrong(report) == []
        assert len(report.of(Verdict.PASS)) > 40


def test_a_factory_is_given_what_its_signature_names():
    seen = []

    def factory(base_url, *, temperature=None):
        seen.append(temperature)
        return ChatEndpoint(base_url=base_url, model_name="m", temperature=temperature)

    report = check(factory, only=["B1", "B3", "R2"])
    assert {each.rule: each.verdict for each in report.findings}["B1"] is Verdict.PASS
    assert 0.25 in seen


def test_a_factory_that_takes_anything_is_pointed_by_what_it_names():
    def factory(server_url="http://127.0.0.1:9/v1", token="", **more):
        return ChatEndpoint(base_url=server_url, api_key=token, model_name="m", **more)

    (found,) = check(factory, only=["B1"]).findings
    assert (found.verdict, found.layer) == (Verdict.PASS, "scripted")


def test_a_model_that_asks_another_server_on_loopback_is_wrong_use():
    def factory(base_url):
        return ChatEndpoint(base_url="http://127.0.0.1:9/v1", model_name="m", max_retries=0)

    with pytest.raises(PointingError, match="sent nothing to the upstream"):
        check(factory, only=["B1"])


class Elsewhere(ChatEndpoint):
    def reply(self, request):
        yield "I need no server."


def test_a_class_that_does_not_speak_to_the_upstream_is_wrong_use():
    with pytest.raises(PointingError, match="sent nothing to the upstream"):
        check(Elsewhere)
    with pytest.raises(TypeError, match="no chat model"):
        check(3)
    with pytest.raises(ValueError, match="no rule 'Q7'"):
        check(yields, only=["Q7"])
    with pytest.raises(ValueError, match="no upstream 'carrier pigeon'"):
        check(yields, upstream="carrier pigeon")


@pytest.fixture
def own_rule():
    """Let a test define a rule of its own, and take it back."""
    rules()
    before = dict(rulebook._RULES)
    yield rule
    rulebook._RULES.clear()
    rulebook._RULES.update(before)


def test_how_a_rule_ends_is_its_verdict(own_rule):
    def crash(trial):
        """Crashes."""
        return {}["nothing"]

    def model_raises(trial):
        """Has the model raise."""
        trial.call("invoke", script=lambda received: 1 / 0).message  # noqa: B018

    endings = {
        "Z1": lambda trial: None,
        "Z2": lambda trial: fail("bad", "good", sent="x"),
        "Z3": lambda trial: warn("so so", fault=Fault.LLM),
        "Z4": lambda trial: skip("not here"),
        "Z5": crash,
        "Z6": model_raises,
        "Z7": lambda trial: expect(False, {"a": 1}),
    }
    for name, ending in endings.items():
        ending.__doc__ = "A page."
        own_rule(name, f"Title of {name}", fix="Fix it.", section="Own")(
            named(ending, f"rule_{name}")
        )
    found = {each.rule: each for each in check(yields, only=[*endings]).findings}
    assert {name: each.verdict.value for name, each in found.items()} == {
        "Z1": "PASS",
        "Z2": "FAIL",
        "Z3": "WARN",
        "Z4": "SKIP",
        "Z5": "SKIP",
        "Z6": "FAIL",
        "Z7": "FAIL",
    }
    assert (found["Z2"].got, found["Z2"].expected, found["Z2"].sent) == ("bad", "good", "x")
    assert found["Z2"].fix == "Fix it."
    assert found["Z3"].fault is Fault.LLM
    assert found["Z5"].fault is Fault.CHECK
    assert "KeyError" in found["Z5"].got
    assert "ZeroDivisionError" in found["Z6"].got
    assert found["Z7"].expected == "Title of Z7"


def named(function, name):
    function.__qualname__ = name
    return function


def test_a_rule_that_crashes_is_exit_code_3_and_failures_are_1(own_rule):
    def crash(trial):
        """Crashes."""
        raise KeyError(trial)

    own_rule("Z1", "It crashes", fix="-", section="Own")(crash)
    report = check(yields, only=["Z1"])
    assert report.exit_code() == 3
    assert check(yields, only=["B1"]).exit_code() == 0


def test_a_rule_says_what_is_wrong_with_it(own_rule):
    with pytest.raises(ValueError, match="no docstring"):
        own_rule("Z1", "Title", fix="-", section="Own")(lambda trial: None)
    with pytest.raises(ValueError, match="two rules 'B1'"):

        @own_rule("B1", "Title", fix="-", section="Own")
        def again(trial):
            """Page."""


def test_time_and_memory_are_bounded(own_rule):
    def for_ever(trial):
        """Waits."""
        time.sleep(600)

    def endless(trial):
        """Fills the memory."""
        kept = []
        while True:
            kept.append(bytearray(50 * 2**20))
            time.sleep(0.005)

    own_rule("Z1", "It ends", fix="-", section="Own", seconds=0.5)(for_ever)
    own_rule("Z2", "It is small", fix="-", section="Own", seconds=120)(endless)
    report = check(yields, only=["Z1", "Z2"])
    assert [each.verdict for each in report.findings] == [Verdict.FAIL] * 2
    assert "had not ended" in report.findings[0].got
    assert "grew by" in report.findings[1].got


class Leaks(ChatEndpoint):
    def _stream(self, *args, **kwargs):
        raise ValueError(f"my key is {self.api_key.get_secret_value()}")


def test_keys_are_not_in_reports():
    report = check(Leaks, only=["S1", "S2"])
    assert "my key is ***" in report.findings[0].got
    assert "canary" not in json.dumps(report.as_dict())


def test_a_key_that_is_given_is_not_in_reports():
    given = {"api_key": "given-7c2f91d0"}
    report = check(Leaks, kwargs=given, only=["S1", "S2"], langchain_tests=False)
    assert "my key is ***" in report.findings[0].got
    assert given["api_key"] not in json.dumps(report.as_dict())


# The command line.


def run(*arguments, cwd=None, **kwargs):
    return subprocess.run(
        [BIN, "check", *arguments], capture_output=True, text=True, cwd=cwd, timeout=300, **kwargs
    )


MODELS = '''
import os
from chatwright import ChatEndpoint, chat_model

@chat_model
def shout(messages):
    """Shouts."""
    yield messages[-1].text.upper()

class Dies(ChatEndpoint):
    def _stream(self, *args, **kwargs):
        os._exit(7)

def factory(base_url, **fields):
    return ChatEndpoint(base_url=base_url, **fields)

calls = []

@chat_model
def dies_at_the_third_call(messages):
    """Costs money."""
    with open("calls", "a") as file:
        file.write(".")
    calls.append(messages)
    if len(calls) == 3:
        os._exit(7)
    return "red, green, blue"
'''


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    path = tmp_path_factory.mktemp("models")
    (path / "mine.py").write_text(MODELS)
    return path


def test_the_command_tells_by_its_exit_code(models):
    done = run("mine:shout", "--only", "B1,B2", cwd=models)
    assert done.returncode == 0, done.stderr
    assert "2 of 2 rules hold" in done.stdout
    done = run("mine:factory", "--only", "P1,S", "--format", "json", cwd=models)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["schema_version"] == 1
    assert {each["verdict"] for each in found["findings"]} == {"PASS"}


def test_a_model_that_ends_the_process_is_a_finding_and_the_rest_is_tried(models, tmp_path):
    out = tmp_path / "report.html"
    done = run("mine:Dies", "--only", "B1,S1,B2", "-f", "html", "-o", str(out), cwd=models)
    assert done.returncode == 1, done.stderr
    page = out.read_text()
    assert "ended, or blocked, the process" in page
    assert "B2" in page


def test_the_limit_of_calls_holds_though_the_process_ends(models):
    given = ["--upstream", "none", "--yes", "--max-calls", "8", "--only", "B,S,E", "-f", "json"]
    done = run("mine:dies_at_the_third_call", *given, cwd=models)
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert len((models / "calls").read_text()) == found["calls"] == 8
    ended = [each["rule"] for each in found["findings"] if "the process" in each["got"]]
    assert len(ended) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "no MODEL"),
        (["mine:shout", "--only", "Q1"], 2, "no rule 'Q1'"),
        (["mine:shout", "--format", "pdf"], 2, "no format 'pdf'"),
        (["mine:shout", "--upstream", "pigeon"], 2, "no upstream 'pigeon'"),
        (["mine:shout", "--price", "cheap"], 2, "no price"),
        (["mine:shout", "--kwargs", "nonsense"], 2, "NAME=VALUE"),
        (["--explain", "Q1"], 2, "no rule 'Q1'"),
    ],
)
def test_wrong_use_is_one_line(arguments, code, said):
    done = CliRunner().invoke(app, ["check", *arguments])
    assert done.exit_code == code
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["mine:shout", "--upstream", "none"], 2, "--yes"),
        (["mine:nobody", "--only", "B1"], 1, "is not there"),
        (["mine:os", "--only", "B1"], 2, "no chat model"),
    ],
)
def test_what_the_other_process_finds_wrong_is_one_line(models, arguments, code, said):
    done = run(*arguments, cwd=models, stdin=subprocess.DEVNULL)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("answer", "code", "said"), [("n", 2, "not called"), ("y", 0, "1 of 1")])
def test_a_live_model_is_asked_for_on_a_terminal(models, answer, code, said):
    given = ["check", "mine:shout", "--upstream", "none", "--only", "B1", "--max-calls", "7"]
    child = pexpect.spawn(str(BIN), given, cwd=str(models), timeout=120, encoding="utf-8")
    child.expect("for real, at most 7 times. Go on")
    child.sendline(answer)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == code
    assert said in child.before


def test_a_rule_is_explained():
    done = CliRunner().invoke(app, ["check", "--explain", "P3"])
    assert done.exit_code == 0
    assert "A stop sequence across chunks" in done.stdout
    assert "*Fix:*" in done.stdout


def test_every_rule_of_the_contract_is_there():
    counts = {"B": 11, "S": 13, "A": 5, "P": 7, "C": 11, "U": 6, "T": 14, "O": 6, "M": 5}
    counts |= {"K": 4, "R": 8, "E": 7}
    added = {
        "S": ["S15", "S16"],
        "M": ["M8"],
    }  # the numbers between are rules that no check tells yet
    expected = [
        each
        for letter, count in counts.items()
        for each in [*(f"{letter}{n + 1}" for n in range(count)), *added.get(letter, [])]
    ]
    ours = [each.id for each in rules() if each.test.__module__.startswith("chatwright.")]
    assert ours == expected


# What packages add.

PACKAGE = {
    "pyproject.toml": """
        [project]
        name = "polite"
        version = "1"
        [project.entry-points."chatwright.rules"]
        polite = "polite_rules"
        [build-system]
        requires = ["hatchling"]
        build-backend = "hatchling.build"
        [tool.hatch.build.targets.wheel]
        include = ["polite_rules.py"]
        """,
    "polite_rules.py": '''
        from chatwright.checks import expect, rule

        @rule("POLITE1", "The answer is polite", fix="Say please.", section="Manners", calls=1)
        def polite(trial):
            """Answers of our models are read by customers."""
            text = trial.call("invoke").message.text
            expect("please" in text, text, "a text with 'please'")
        ''',
    "test_mine.py": """
        import pytest
        from chatwright import chat_model
        from chatwright.checks import rules

        @chat_model
        def shout(messages):
            yield "Sit down, please."

        @pytest.fixture
        def chatwright_model():
            return shout

        @pytest.mark.chatwright(only=["B1", "B7", "POLITE1"])
        def test_contract(chatwright_finding):
            assert chatwright_finding.verdict in ("PASS", "WARN")

        @pytest.mark.parametrize("rule", rules(["POLITE1", "B1"]), ids=lambda rule: rule.id)
        def test_by_hand(rule, chatwright_check):
            assert chatwright_check(shout, rule).verdict == ("PASS" if rule.id == "B1" else "FAIL")
        """,
}


def test_a_package_adds_a_rule_and_pytest_tries_it(tmp_path):
    for name, text in PACKAGE.items():
        (tmp_path / name).write_text(textwrap.dedent(text))
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "install"]
    subprocess.run([*pip, "--no-deps", "--target", target, tmp_path], check=True, timeout=120)

    env = {**os.environ, "PYTHONPATH": str(target)}
    test = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-c", "/dev/null"]
    done = subprocess.run(
        [*test, "--rootdir", tmp_path, tmp_path / "test_mine.py"],
        capture_output=True,
        text=True,
        env=env,
        timeout=120,
        cwd=tmp_path,
    )
    assert "test_contract[B1] PASSED" in done.stdout, done.stdout + done.stderr
    assert "test_contract[B7] SKIPPED" in done.stdout
    # The script that takes the source's place says nothing polite.
    assert "test_contract[POLITE1] FAILED" in done.stdout
    assert "fix: Say please." in done.stdout
    assert "test_by_hand[POLITE1] PASSED" in done.stdout
    assert "test_by_hand[B1] PASSED" in done.stdout
    done = run("--explain", "POLITE1", env=env)
    assert "The answer is polite" in done.stdout


class Own(ChatEndpoint):
    base_url: str = "http://acme.example"
    wire: str | WireSpec = WireSpec(
        request={"body": {"question": "${prompt}"}}, response={"framing": "json", "text": "answer"}
    )


def test_a_class_that_speaks_a_wire_of_its_own_is_tried_with_a_script():
    report = check(Own, only=["B1", "P1", "K2"])
    assert [each.verdict for each in report.findings] == ["PASS"] * 3
    assert {each.layer for each in report.findings} == {"scripted"}
    with pytest.raises(PointingError):
        check(Own, only=["B1"], upstream="openai")


def at_harbour(harbour):
    """Its address has a name that nobody could guess."""
    return ChatEndpoint(harbour, model="m")


@pytest.mark.parametrize(("made", "name"), [(ChatEndpoint, "base_url"), (at_harbour, "harbour")])
def test_an_address_given_by_kwargs_gives_way_to_the_fake_upstream(made, name):
    report = check(made, kwargs={name: "http://127.0.0.1:9/v1"}, only=["B1", "P1"])
    assert wrong(report) == []
    assert {each.verdict for each in report.findings} == {Verdict.PASS}


def test_a_live_model_that_is_not_there_is_no_success(capsys):
    model = ChatEndpoint("http://127.0.0.1:9/v1", model="m", max_retries=0)
    with pytest.raises(PointingError, match=r"nothing answers where .*start what does"):
        check(model, upstream="none")
    target = "chatwright:ChatEndpoint"
    given = ["-kbase_url=http://127.0.0.1:9/v1", "-kmodel=m", "-kmax_retries=0"]
    done = CliRunner().invoke(app, ["check", target, *given, "--upstream", "none", "--yes"])
    assert done.exit_code == 2


class Grows(BaseChatModel):
    """Each chunk holds all of the text so far; stop sequences are for `_generate` alone."""

    said: str = "The cat sat on the mat."

    @property
    def _llm_type(self):
        return "grows"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        text = self.said
        for each in stop or ():
            text = text.partition(each)[0]
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        words = self.said.split(" ")
        for number in range(1, len(words) + 1):
            yield ChatGenerationChunk(message=AIMessageChunk(content=" ".join(words[:number])))


class Dice(Grows):
    """It says something else each time, by every way: nothing is told of its sums."""

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        yield ChatGenerationChunk(message=AIMessageChunk(content=uuid.uuid4().hex))

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        return ChatResult(generations=[ChatGeneration(message=AIMessage(uuid.uuid4().hex))])


def test_a_model_as_it_is_has_to_stream_what_it_says():
    found = {each.rule: each for each in check(Grows, only=["S2", "P1"]).findings}
    assert found["S2"].verdict == Verdict.FAIL
    assert found["S2"].got.startswith("stream: 'TheThe catThe cat sat")
    assert found["P1"].verdict == Verdict.FAIL
    (found,) = check(Dice, only=["S2"]).findings
    assert (found.verdict, found.got) == (Verdict.SKIP, "its answers differ from call to call")


def test_a_source_that_scripts_replace_is_not_passed_over_in_silence():
    report = check(returns, langchain_tests=False, skip=["A", "E", "C", "S", "O", "T", "P", "U"])
    (told,) = [each for each in report.findings if each.rule == "live"]
    assert (told.verdict, "--live calls your own code" in told.got) == (Verdict.SKIP, True)
    report = check(returns, only=["B1"])
    assert [each.rule for each in report.findings] == ["B1"]


class PlainKey(Grows):
    """Its key is a plain str."""

    acme_api_key: str = ""


def test_a_plain_key_of_a_model_as_it_is_is_looked_for():
    (found,) = check(PlainKey(acme_api_key="sk-0123456789"), only=["K1"]).findings
    assert (found.verdict, found.got[:21]) == (Verdict.FAIL, "its key is in repr, s")
    assert "sk-0123456789" not in repr(found)
