"""`chatwright batch`, as a process of its own."""

import csv
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time

import pexpect
import pytest

MODELS = """
import asyncio, os, pathlib
from chatwright import Usage, chat_model

@chat_model(price=(1, 1))
async def shout(messages):
    yield messages[-1].text.upper()
    yield Usage(3, 1)

@chat_model
async def slow(messages):
    pathlib.Path("begun").touch()
    await asyncio.sleep(1.5)
    return "slow"

@chat_model
async def stuck(messages):
    pathlib.Path("begun").touch()
    await asyncio.sleep(600)

@chat_model
async def picky(messages):
    if "no" in messages[-1].text:
        raise ValueError("I <b>won't</b>")
    return "yes"

@chat_model
async def long(messages):
    return "x" * 2000
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "my_models.py").write_text(MODELS)
    return tmp_path


def command(*arguments):
    return [sys.executable, "-m", "chatwright", "batch", *arguments]


def batch(folder, *arguments, **more):
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **more,
    )


def written(folder, count, name="in.jsonl"):
    rows = [json.dumps({"id": f"r{n}", "text": f"number {n}"}) for n in range(count)]
    (folder / name).write_text("\n".join(rows) + "\n")


def lines(path):
    return [json.loads(each) for each in path.read_bytes().splitlines()]


def waited_for(path):
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_file_is_answered_and_what_came_of_it_is_told(folder):
    written(folder, 30)
    ran = batch(folder, "in.jsonl", "out.jsonl", "-m", "my_models:shout", "--prompt", "Say {text}")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert "30 answers in out.jsonl" in ran.stderr
    assert "90 tokens in, 30 out, 0.0001 USD" in ran.stderr
    assert {each["text"] for each in lines(folder / "out.jsonl")} == {
        f"SAY NUMBER {n}" for n in range(30)
    }
    again = batch(
        folder, "in.jsonl", "out.jsonl", "-m", "my_models:shout", "--prompt", "Say {text}"
    )
    assert again.returncode == 0
    assert "30 rows were done before" in again.stderr
    other = batch(
        folder, "in.jsonl", "out.jsonl", "-m", "my_models:shout", "--prompt", "Cry {text}"
    )
    assert other.returncode == 1
    assert 'prompt was "Say {text}" and is "Cry {text}"' in other.stderr


def test_failures_are_told_and_end_with_1(folder):
    (folder / "in.csv").write_text("id,text\na,yes\nb,no\nc,\n")
    ran = batch(folder, "in.csv", "out.jsonl", "-m", "my_models:picky", "--prompt", "{text}!")
    assert ran.returncode == 1
    assert "rows failed: out.failures.jsonl says why" in ran.stderr
    assert "b: ValueError: I <b>won't</b>" in ran.stderr
    assert sorted(each["id"] for each in lines(folder / "out.jsonl")) == ["a", "c"]


def test_rows_come_from_stdin_and_columns_from_csv(folder):
    with (folder / "in.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "a", "b"], ["x", "1, 2", "three"]])
    batch(folder, "in.csv", "o.jsonl", "-m", "my_models:shout", "--prompt", "{b}: {a}")
    assert lines(folder / "o.jsonl")[0]["text"] == "THREE: 1, 2"
    ran = batch(folder, "-", "p.jsonl", "-m", "my_models:shout", input='{"prompt": "hi"}\n')
    assert ran.returncode == 0, ran.stderr
    assert lines(folder / "p.jsonl")[0]["text"] == "HI"


def test_a_dry_run_asks_nothing(folder):
    written(folder, 7)
    with (folder / "in.jsonl").open("a") as file:
        file.write('{"id": "bad", "text": 3}\n')
    ran = batch(
        folder, "in.jsonl", "out.jsonl", "--dry-run", "-m", "my_models:stuck", "--system", "Be kind"
    )
    assert ran.returncode == 1
    assert "8 rows, about" in ran.stdout
    assert "system: Be kind" in ran.stdout
    assert "human: number 0" in ran.stdout
    assert "in.jsonl, line 8: 'text' is a number (3)" in ran.stdout
    assert not (folder / "out.jsonl").exists()
    assert not (folder / "begun").exists()


def test_a_sample_tells_what_all_take_and_counts(folder):
    written(folder, 200)
    asked = ("in.jsonl", "out.jsonl", "--sample", "20", "-m", "my_models:shout")
    ran = batch(folder, *asked)
    assert ran.returncode == 0, ran.stderr
    assert "nobody is here to ask: --yes goes on" in ran.stderr
    assert len(lines(folder / "out.jsonl")) == 20
    ran = batch(folder, *asked, "--yes")
    assert "by 20 rows, all 200 take about 600 tokens in and 200 out, 0.00 USD" in ran.stderr
    assert "20 rows were done before" in ran.stderr
    assert len(lines(folder / "out.jsonl")) == 200


def test_an_interrupt_lets_what_is_asked_end(folder):
    written(folder, 500)
    process = subprocess.Popen(
        command("in.jsonl", "out.jsonl", "-m", "my_models:slow", "--concurrency", "3"),
        cwd=folder,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )
    waited_for(folder / "begun")
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "what is being asked may end" in told
    assert "stopped: interrupted; the same command goes on from here" in told
    assert len(lines(folder / "out.jsonl")) == 3


def test_a_second_interrupt_ends_it_now(folder):
    written(folder, 50)
    process = subprocess.Popen(
        command("in.jsonl", "out.jsonl", "-m", "my_models:stuck"),
        cwd=folder,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )
    waited_for(folder / "begun")
    process.send_signal(signal.SIGINT)
    assert "interrupt again" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    (folder / "my_models.py").write_text(MODELS.replace("await asyncio.sleep(600)", "return 'ok'"))
    assert batch(folder, "in.jsonl", "out.jsonl", "-m", "my_models:stuck").returncode == 0
    assert len(lines(folder / "out.jsonl")) == 50


def test_a_full_disk_stops_it_and_what_was_written_stays(folder):
    written(folder, 400)
    small = 200 * 1024

    def quota():
        resource.setrlimit(resource.RLIMIT_FSIZE, (small, small))

    ran = batch(
        folder,
        "in.jsonl",
        "out.jsonl",
        "-m",
        "my_models:long",
        "--concurrency",
        "2",
        preexec_fn=quota,
    )
    assert ran.returncode == 1
    assert "results can't be written" in ran.stderr
    kept = lines(folder / "out.jsonl")
    assert 0 < len(kept) < 100
    ran = batch(folder, "in.jsonl", "out.jsonl", "-m", "my_models:long")
    assert ran.returncode == 0
    assert f"{len(kept)} rows were done before" in ran.stderr
    names = [each["id"] for each in lines(folder / "out.jsonl")]
    assert sorted(names) == sorted(f"r{n}" for n in range(400))


def test_a_folder_that_can_t_be_written_is_named(folder):
    written(folder, 1)
    (folder / "file").write_text("")
    ran = batch(folder, "in.jsonl", "file/out.jsonl", "-m", "my_models:shout")
    assert ran.returncode == 1
    assert re.search(r"chatwright: .*file", ran.stderr)
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["in.jsonl"], "it is: chatwright batch INPUT… OUTPUT"),
        (["in.jsonl", "o.jsonl", "--concurrency", "many"], "auto or a number, not 'many'"),
        (["in.jsonl", "o.jsonl", "--rate", "fast"], "--rate can be 600, 600/min"),
        (["in.jsonl", "o.jsonl", "--prompt", "{a.b!r}"], "only a column's name"),
        (["in.jsonl", "o.jsonl", "--schema", "in.jsonl"], "holds no JSON"),
        (["in.jsonl", "o.jsonl", "--format", "xml"], "form can be jsonl"),
        (["none.jsonl", "o.jsonl"], "none.jsonl"),
        (["in.jsonl", "o.jsonl", "--budget", "1"], "--max-tokens"),
    ],
)
def test_wrong_use_is_told(folder, arguments, told):
    written(folder, 2)
    ran = batch(folder, *arguments, "-m", "my_models:shout")
    assert ran.returncode in {1, 2}
    assert told in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_terminal_shows_how_far_it_has_come(folder):
    written(folder, 6)
    child = pexpect.spawn(
        sys.executable,
        command("in.jsonl", "out.jsonl", "-m", "my_models:slow", "--concurrency", "2")[1:],
        cwd=folder,
        env={**ENVIRONMENT, "TERM": "xterm"},
        dimensions=(24, 80),
        encoding="utf-8",
        timeout=60,
    )
    child.expect(r"\d+ of 6 rows")
    child.expect("2 in flight")
    child.expect("rows/s")
    child.expect("left")
    child.expect("6 answers in out.jsonl")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
