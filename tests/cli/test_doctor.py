"""`chatwright doctor`: what is installed, what lacks, what is broken."""

import json
import sys
import time
from importlib import metadata

import psutil
import pytest
from typer.testing import CliRunner

from chatwright import doctor
from chatwright.cli import app


@pytest.fixture
def version(monkeypatch):
    """Have a package lack, or have another version."""
    real, changed = metadata.version, {}

    def version(name):
        if changed.get(name, "") is None:
            raise metadata.PackageNotFoundError(name)
        return changed.get(name) or real(name)

    monkeypatch.setattr(metadata, "version", version)
    return changed


def told(**options):
    return {(each.section, each.name): each for each in doctor.examine(**options)}


def test_what_is_there_is_told_with_its_version():
    found = told(tests=False)
    assert found["Versions", "langchain-core"].told == metadata.version("langchain-core")
    assert found["Extras", "serve"].state == "ok"
    assert "starlette" in found["Extras", "serve"].told
    assert not {"test", "bench", "fuzz"} & {name for _, name in found}


def test_what_lacks_is_told_with_the_line_that_installs_it(version):
    version["uvicorn"] = None
    made = CliRunner().invoke(app, ["doctor", "--no-test"])
    assert made.exit_code == 0
    assert "- serve: uvicorn is not installed\n      pip install 'chatwright[serve]'" in made.output


def test_a_wrong_version_of_what_is_needed_is_broken(version):
    version["langchain-core"] = "0.3.1"
    made = CliRunner().invoke(app, ["doctor", "--no-test"])
    assert made.exit_code == 1
    assert "✗ langchain-core: 0.3.1, where <2,>=1.7 is needed" in made.output
    assert made.output.endswith("1 broken\n")


def test_what_the_environment_holds_is_named_and_not_shown(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-quite-secret")
    made = CliRunner().invoke(app, ["doctor", "--no-test"])
    assert "OPENAI_API_KEY: is set" in made.output
    assert "quite-secret" not in made.output


def test_json_is_a_line_for_each_finding():
    made = CliRunner().invoke(app, ["doctor", "--no-test", "--json"])
    lines = [json.loads(each) for each in made.output.splitlines()]
    assert {each["section"] for each in lines} >= {"Versions", "Extras", "Machine", "Weights"}


def test_the_self_test_asks_smollm2_and_a_server(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = {name: each for (section, name), each in told(seconds=300).items() if "Self" in section}
    assert {name: each.state for name, each in found.items()} == dict.fromkeys(
        (
            *("a function as a chat model", "extras can be imported", "batch", "serve"),
            "smollm2 answers",
        ),
        "ok",
    )
    assert "Paris" in found["smollm2 answers"].told
    assert [*tmp_path.iterdir()] == []


def test_what_fails_hangs_or_dies_in_the_self_test_is_broken(monkeypatch):
    def run(command, seconds):
        until = time.monotonic() + seconds
        return doctor._tried("it", lambda: doctor._run(command, until, "anything"))

    assert "no model; it can be" in run(["chat", "hello", "--model", "nothing"], 300).told
    program = [sys.executable, "-c", "import time; time.sleep(61.5)"]
    hangs = run(["serve", "ready=chatwright.doctor:ready", "--", *program], 8)
    assert (hangs.state, "timed out" in hangs.told) == ("broken", True)
    left = [each for each in psutil.process_iter(["cmdline"]) if "61.5" in str(each.info)]
    assert not left
    monkeypatch.setattr(doctor, "_PACKAGE", "package_of_nobody")
    assert "exit code 1" in run(["chat"], 300).told


def test_a_broken_extra_and_a_cache_that_can_not_be_written_are_told(tmp_path, monkeypatch):
    (tmp_path / "copier").mkdir()
    (tmp_path / "copier" / "__init__.py").write_text("raise RuntimeError('boom in copier')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "copier" / "__init__.py" / "x"))

    def imports(until):
        yield doctor._tried("i", lambda: doctor._import_extras(until))

    monkeypatch.setattr(doctor, "_self_test", imports)
    found = told()
    assert found["Self-test", "i"].state == "broken"
    assert found["Self-test", "i"].told.endswith("import copier: RuntimeError: boom in copier")
    assert found["Weights", "cache"].state == "lacks"
    assert "can't be written" in found["Weights", "cache"].told
