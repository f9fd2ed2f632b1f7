"""Open Responses' own compliance suite, and Codex CLI, against a server: programs of Node's."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from run.serve.obliging import obliging

HERE = Path(__file__).parent / "openresponses"
NODE = Path(__file__).parents[3] / "build" / "node"
WITH_NODE = pytest.mark.skipif(
    shutil.which("npm") is None or not (NODE / ".made").exists(),
    reason="npm's programs are not installed: make build/node/.made",
)


@pytest.fixture
def program():
    """A function that returns a program of those that package.json names."""

    def find(name):
        found = NODE / "node_modules" / ".bin" / name
        assert found.exists(), f"{name} is missing: make build/node/.made"
        return found

    return find


def told(*command, **options):
    return subprocess.run(
        [*map(str, command)],
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
        stdin=subprocess.DEVNULL,
        **options,
    )


@pytest.mark.long
@WITH_NODE
def test_the_compliance_suite(serving, program, tmp_path):
    suite = tmp_path / "suite"
    shutil.copytree(HERE / "compliance", suite)
    (suite / "node_modules").symlink_to(NODE / "node_modules")
    url = f"{serving(obliging()).url}/v1"
    asked = [
        "bin/compliance-test.ts",
        "--base-url",
        url,
        "--api-key",
        "x",
        "--model",
        "m",
        "--json",
    ]
    done = told(program("tsx"), "--import", "./websocket.mjs", *asked, cwd=suite)
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    wrong = {
        each["name"]: each.get("errors") for each in report["results"] if each["status"] != "passed"
    }
    assert wrong == {}
    assert report["summary"] == {"passed": 17, "failed": 0, "skipped": 0, "total": 17}


@pytest.mark.long
@WITH_NODE
def test_codex_runs_a_tool_and_answers(serving, program, tmp_path):
    model = obliging()
    home, folder = tmp_path / "home", tmp_path / "folder"
    home.mkdir()
    folder.mkdir()
    provider = {
        "name": '"local"',
        "base_url": f'"{serving(model).url}/v1"',
        "env_key": '"LOCALKEY"',
        "wire_api": '"responses"',
    }
    told_of = "{" + ", ".join(f"{name}={value}" for name, value in provider.items()) + "}"
    settings = ["model_provider=local", "model=m", f"model_providers.local={told_of}"]
    done = told(
        program("codex"),
        *("exec", "--skip-git-repo-check", "--sandbox", "read-only"),
        *(part for each in settings for part in ("-c", each)),
        "What does the shell say?",
        cwd=folder,
        env={"HOME": str(home), "LOCALKEY": "x", "PATH": os.environ["PATH"]},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The tool says:" in done.stdout, done.stderr
    first, second = model.seen
    assert [first.messages[-1].type, second.messages[-1].type] == ["human", "tool"]
    assert first.messages[-1].text == "What does the shell say?"
    assert "forty-two" in second.messages[-1].text
    assert second.messages[-2].tool_calls[0]["args"] == {"cmd": "echo forty-two"}
