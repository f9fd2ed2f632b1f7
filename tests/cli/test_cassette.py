"""`chatwright chat --record` and `chatwright cassette`."""

import contextlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chatwright import recorded
from chatwright.cli import app
from cli import models

HERE = Path(__file__).parent


def run(*arguments):
    with contextlib.chdir(HERE):
        return CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def tape(tmp_path):
    return tmp_path / "c.jsonl"


def test_a_chat_is_recorded_and_replays(tape):
    for _ in range(2):  # it asks each time, and keeps the last answer
        done = run("chat", "hi", "-m", "models:echo", "-t", "0.5", "--record", tape)
        assert done.exit_code == 0
        assert "**hi**" in done.stdout
    assert len([each for each in tape.read_text().splitlines() if "request" in each]) == 1
    model = recorded(models.echo, tape, mode="none")
    asked = [("system", "You are a helpful assistant."), ("human", "hi")]
    assert model.invoke(asked, temperature=0.5).text == done.stdout.strip()


def test_an_error_is_recorded_too(tape):
    done = run("chat", "hi", "-m", "models:broken", "--record", tape)
    assert done.exit_code == 1
    assert "the cable is out" in tape.read_text()


def test_a_cassette_goes_to_batch_files_and_back(tape, tmp_path):
    requests, answers, again = (tmp_path / name for name in ("r.jsonl", "a.jsonl", "again.jsonl"))
    run("chat", "hi", "-m", "models:echo", "--record", tape)
    done = run("cassette", "to-batch", tape, requests, answers)
    assert (done.exit_code, done.stdout) == (0, "1 requests, 1 of them with a whole answer\n")
    assert json.loads(requests.read_text())["body"]["messages"][1]["content"] == "hi"
    done = run("cassette", "from-batch", requests, answers, again)
    assert (done.exit_code, done.stdout) == (0, "1 answers\n")
    model = recorded(models.echo, again, mode="none")
    asked = [("system", "You are a helpful assistant."), ("human", "hi")]
    assert model.invoke(asked).text.startswith("**hi**")


def test_nothing_is_overwritten(tape, tmp_path):
    run("chat", "hi", "-m", "models:echo", "--record", tape)
    (tmp_path / "r.jsonl").write_text("mine")
    done = run("cassette", "to-batch", tape, tmp_path / "r.jsonl")
    assert done.exit_code == 1
    assert "r.jsonl" in done.stderr
    assert (tmp_path / "r.jsonl").read_text() == "mine"


def test_a_cassette_that_is_not_there_is_told(tmp_path):
    done = run("cassette", "to-batch", tmp_path / "no.jsonl", tmp_path / "r.jsonl")
    assert done.exit_code == 1
    assert "there is no cassette" in done.stderr
