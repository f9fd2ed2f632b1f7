"""`chatwright serve`, as a process of its own."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import httpx2
import pytest
from typer.testing import CliRunner

from chatwright.cli import app

MODELS = """
import asyncio
from chatwright import chat_model

@chat_model
def shout(messages):
    for word in messages[-1].text.split():
        yield word.upper() + " "

@chat_model
async def slow(messages):
    yield "begun "
    await asyncio.sleep(1)
    yield "ended"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "my_models.py").write_text(MODELS)
    return tmp_path


@pytest.fixture
def start(folder):
    """Return a function that starts a server, and returns its process and its address."""
    started = []

    def begin(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "chatwright", "serve", *arguments, "--port", "0"],
            cwd=folder,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        started.append(process)
        told = []
        for line in process.stderr:
            told.append(line)
            if found := re.search(r"OpenAI +(http://\S+)/v1", line):
                threading.Thread(target=process.stderr.read, daemon=True).start()
                return process, found[1]
        raise AssertionError("".join(told))

    yield begin
    for process in started:
        process.terminate()
        process.wait(60)
        process.stderr.close()


def ask(url, model, stream=False, **headers):
    body = {"model": model, "messages": [{"role": "user", "content": "a b"}], "stream": stream}
    return httpx2.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=30)


def says(url, expected, seconds=60):
    """Wait for an answer; a connection that a server has just taken ends with it."""
    limit = time.monotonic() + seconds
    heard = None
    while heard != expected:
        assert time.monotonic() < limit, heard
        time.sleep(0.05)
        with contextlib.suppress(httpx2.TransportError):
            heard = said(ask(url, "shout"))


def said(answer):
    return answer.json()["choices"][0]["message"]["content"]


def test_the_page_is_there_unless_it_is_not_wanted(start):
    _, url = start("my_models:shout")
    assert httpx2.get(f"{url}/page/inspector.js").status_code == 200
    (model,) = httpx2.get(f"{url}/inspector/models").json()["models"]
    assert (model["name"], model["checkable"]) == ("shout", True)
    _, url = start("my_models:shout", "--no-page")
    assert httpx2.get(f"{url}/page/inspector.js").status_code == 404
    assert httpx2.get(f"{url}/inspector/models").status_code == 404


def test_a_served_model_is_checked(start):
    _, url = start("my_models:shout")
    with httpx2.stream(
        "POST", f"{url}/inspector/check", json={"model": "shout"}, timeout=60
    ) as told:
        objects = (json.loads(each[6:]) for each in told.iter_lines() if each.startswith("data: "))
        finding = next(each for each in objects if each["type"] == "finding")
    assert (finding["rule"], finding["verdict"], finding["layer"]) == ("B1", "PASS", "scripted")


def test_models_by_their_names(start):
    _, url = start("my_models:shout", "calm=my_models:slow")
    told = httpx2.get(f"{url}/v1/models").json()["data"]
    assert [each["id"] for each in told] == ["shout", "calm"]
    assert said(ask(url, "shout")) == "A B "


def test_a_signal_lets_answers_end(start):
    process, url = start("my_models:slow")
    body = {"model": "slow", "messages": [{"role": "user", "content": "x"}], "stream": True}
    with httpx2.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=30) as answer:
        pieces = answer.iter_text()
        got = next(pieces)
        process.send_signal(signal.SIGTERM)
        got += "".join(pieces)
    assert "ended" in got
    assert "[DONE]" in got
    assert process.wait(20) in {0, -signal.SIGTERM, 128 + signal.SIGTERM}


def test_files_that_change_make_a_new_server(start, folder):
    process, url = start("my_models:slow", "my_models:shout", "--reload")
    body = {"model": "slow", "messages": [{"role": "user", "content": "x"}], "stream": True}
    with httpx2.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=30) as answer:
        pieces = answer.iter_text()
        got = next(pieces)
        (folder / "notes.txt").write_text("of no concern")
        (folder / "my_models.py").write_text(MODELS.replace(".upper()", " * 2"))
        says(url, "aa bb ")
        got += "".join(pieces)
    assert "ended" in got
    assert "[DONE]" in got
    (folder / "my_models.py").write_text("is no Python")
    (folder / "my_models.py").write_text(MODELS.replace(".upper()", ""))
    says(url, "a b ")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    with pytest.raises(httpx2.ConnectError):
        ask(url, "shout")


def test_a_program_beside_it_and_reload_do_not_go_together():
    refused = CliRunner().invoke(app, ["serve", "my_models:shout", "--reload", "--", "true"])
    assert refused.exit_code == 2
    assert "--reload" in refused.stderr


def test_keys(start, folder):
    added = CliRunner().invoke(
        app, ["serve", "keys", "add", "ann", "--api-keys", str(folder / "keys.json")]
    )
    key = added.stdout.strip()
    process, url = start("my_models:shout", "--api-keys", "keys.json")
    assert ask(url, "shout").status_code == 401
    assert ask(url, "shout", Authorization=f"Bearer {key}").status_code == 200
    told = json.loads((folder / "keys.json").read_text())
    (folder / "keys.json").write_text(json.dumps({"bob": told["ann"] | {"sha256": "0" * 64}}))
    process.send_signal(signal.SIGHUP)
    for _ in range(200):
        if ask(url, "shout", Authorization=f"Bearer {key}").status_code == 401:
            break
    else:
        raise AssertionError("the old key is still good")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.org"])
def test_other_machines_need_keys(host):
    refused = CliRunner().invoke(app, ["serve", "my_models:shout", "--host", host])
    assert refused.exit_code == 2
    assert "keys" in refused.stderr


def test_a_program_beside_it(folder):
    asks = (
        "import json, os, urllib.request as u; "
        "base = os.environ['OPENAI_BASE_URL']; "
        "body = {'model': os.environ['OPENAI_MODEL'], "
        "'messages': [{'role': 'user', 'content': 'x y'}]}; "
        "r = u.Request(base + '/chat/completions', json.dumps(body).encode(), "
        "{'Content-Type': 'application/json'}); "
        "print(json.load(u.urlopen(r))['choices'][0]['message']['content']); raise SystemExit(7)"
    )
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "chatwright", "serve", "my_models:shout"),
            *("--", sys.executable, "-c", asks),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert (ended.stdout, ended.returncode) == ("X Y \n", 7), ended.stderr


@pytest.mark.parametrize("sent", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_reaches_the_program_which_ends_and_the_server_with_it(folder, sent):
    waits = (
        f"import signal, sys, time; signal.signal(signal.{sent}, lambda *_: sys.exit(9)); "
        "print('begun', flush=True); time.sleep(300)"
    )
    running = subprocess.Popen(
        [
            *(sys.executable, "-m", "chatwright", "serve", "my_models:shout"),
            *("--", sys.executable, "-c", waits),
        ],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    with running:
        assert running.stdout.readline() == b"begun\n"
        running.send_signal(getattr(signal, sent))
        assert running.wait(60) == 9


def test_a_program_that_is_not_there(folder):
    result = CliRunner().invoke(app, ["serve", "chatwright.wrap.echo:x", "--", "no-such-program"])
    assert result.exit_code == 1
