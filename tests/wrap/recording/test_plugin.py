"""The pytest plugin: a test's models are recorded on the test's own cassette."""

import importlib
import tomllib
from pathlib import Path

import pytest

import chatwright
from chatwright.wrap.recording import cassette

pytest_plugins = ["pytester"]

PLUGIN = "chatwright.wrap.recording.plugin"
TESTS = """
    import pytest
    from chatwright import chat_model

    asked = []

    @chat_model
    def echo(messages):
        asked.append(messages)
        return messages[-1].text + "!"
"""


@pytest.fixture
def run(pytester, monkeypatch):
    monkeypatch.delenv("CI", raising=False)

    def run(code, *options, ci=""):
        monkeypatch.setenv("CI", ci)
        pytester.makepyfile(test_it=code)
        # By its name it may be there already, as the installed package's entry point.
        ours = ("-p", "no:chatwright_cassette", "-p", PLUGIN, "-p", "no:cacheprovider")
        return pytester.runpytest_subprocess(*ours, "--strict-markers", *options, timeout=200)

    return run


def test_the_entry_point_leads_here():
    project = tomllib.loads((Path(chatwright.__file__).parents[2] / "pyproject.toml").read_text())
    found = project["project"]["entry-points"]["pytest11"]["chatwright_cassette"]
    assert found == PLUGIN
    assert importlib.import_module(found).pytest_configure


MARKED = (
    TESTS
    + """
    @pytest.mark.chatwright_cassette
    @pytest.mark.parametrize("text", ["a", "b/c", "b_c"])
    def test_marked(chatwright_recorded, text):
        assert chatwright_recorded(echo).invoke(text).text == text + "!"
        assert chatwright_recorded(echo).invoke(text).text == text + "!"
        assert len(asked) == EXPECTED

    class TestMore:
        def test_by_the_fixture_alone(self, chatwright_recorded):
            assert chatwright_recorded(echo).invoke("x").text == "x!"
    """
)


def test_a_test_records_at_first_and_replays_then(pytester, run):
    code = MARKED.replace("len(asked) == EXPECTED", "asked")
    run(code).assert_outcomes(passed=4)
    made = sorted(each.name for each in (pytester.path / "cassettes" / "test_it").iterdir())
    assert len(made) == 4
    assert {"TestMore.test_by_the_fixture_alone.jsonl", "test_marked[a].jsonl"} < {*made}
    code = MARKED.replace("len(asked) == EXPECTED", "not asked")
    run(code).assert_outcomes(passed=4)
    run(code, ci="true").assert_outcomes(passed=4)
    run(code, "--chatwright-record=all").assert_outcomes(failed=3, passed=1)


@pytest.mark.long
def test_a_ci_server_asks_nobody_unless_it_is_told(pytester, run):
    done = run(MARKED.replace("EXPECTED", "1"), ci="true")
    done.assert_outcomes(failed=4)
    done.stdout.fnmatch_lines(["*there is no cassette*mode='once'*"])
    code = MARKED.replace("len(asked) == EXPECTED", "asked")
    run(code, "--chatwright-record=once", ci="true").assert_outcomes(passed=4)


def test_a_marker_names_its_cassette_and_its_mode(pytester, run):
    code = (
        TESTS
        + """
    @pytest.mark.chatwright_cassette("shared.jsonl", mode="new")
    @pytest.mark.parametrize("text", ["a", "b"])
    def test_it(chatwright_recorded, text):
        chatwright_recorded(echo).invoke(text)

    @pytest.mark.chatwright_cassette("shared.jsonl", mode="none")
    def test_other(chatwright_recorded):
        chatwright_recorded(echo).invoke("a")
        chatwright_recorded(echo).invoke("c")
    """
    )
    done = run(code)
    done.assert_outcomes(passed=2, failed=1)
    done.stdout.fnmatch_lines(["*does not hold this request*"])
    assert len(cassette.read(pytester.path / "shared.jsonl")) == 2


def test_a_marker_that_does_nothing_is_refused(run):
    code = (
        TESTS
        + """
    @pytest.mark.chatwright_cassette
    def test_it():
        pass
    """
    )
    done = run(code)
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*chatwright_recorded(model)*"])


def test_the_plugin_imports_no_langchain(run):
    code = """
    import sys

    def test_it():
        assert not [each for each in sys.modules if each.startswith("langchain")]
    """
    run(code).assert_outcomes(passed=1)
