"""Packages that `chatwright new` makes, as their users install them."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from chatwright.new import KINDS, create
from chatwright.testing import Upstream, little_llm

ROOT = Path(__file__).parents[2]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
OWN = """\
url = "${env:ACME_URL}/ask"
key_env = "ACME_SECRET"

[request]
body = { question = "${prompt}" }

[response]
framing = "json"
text = "answer"
"""


def call(*command, **options):
    options |= {"check": False, "capture_output": True, "text": True, "timeout": 600}
    done = subprocess.run([*map(str, command)], **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Chatwright's own wheel."""
    out = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--wheel", "--outdir", out, ROOT)
    (made,) = out.glob("*.whl")
    return made


@pytest.fixture
def installed(request, wheel, tmp_path):
    """A package, its tests away from its source, and the commands of an environment of its own."""
    kind, text = request.param
    endpoint = tmp_path / "own.toml"
    endpoint.write_text(text)
    options = {"endpoint": endpoint} if text else {}
    folder = create("langchain-made", kind=kind, folder=tmp_path / "made", author="Ann", **options)
    call(sys.executable, "-m", "build", "--wheel", folder)
    (made,) = folder.glob("dist/*.whl")
    tests = tmp_path / "elsewhere"
    tests.mkdir()
    shutil.copy(folder / "pyproject.toml", tests)
    shutil.copytree(folder / "tests", tests / "tests")
    with tempfile.TemporaryDirectory() as venv:
        call(sys.executable, "-m", "venv", "--without-pip", venv)
        into = [*PIP, "--python", Path(venv) / "bin" / "python", "install", "--no-compile"]
        call(*into, "-c", ROOT / "constraints.txt", wheel, f"{made}[test]")
        yield folder, tests, Path(venv) / "bin"


def environment(bin_folder, **variables):
    """Return the environment of whoever has activated that of the package."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "PATH": f"{bin_folder}:{os.environ['PATH']}", **variables}


WAYS = [pytest.param((kind, ""), id=kind) for kind in KINDS]
WAYS.append(pytest.param(("endpoint", OWN), id="endpoint file"))


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("installed", WAYS, indirect=True)
def test_an_untouched_package_passes_its_own_tests_and_every_rule(installed):
    folder, tests, commands = installed
    alone = environment(commands)
    code = "import langchain_made; print(langchain_made.__file__)"
    where = call(commands / "python", "-c", code, cwd=tests, env=alone)
    assert "site-packages" in where
    assert "langchain_made:ChatMade" in call(
        commands / "chatwright", "models", cwd=tests, env=alone
    )
    for command in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]):
        call(commands / command[0], *command[1:], cwd=folder, env=alone)
    assert " failed" not in call(commands / "pytest", "-q", cwd=tests, env=alone)
    variables = {"ACME_URL": "https://acme.example"}  # as the package's workflow sets it
    report = tests / "report.json"
    call(
        *(commands / "chatwright", "check", "langchain_made:ChatMade", "--strict"),
        *("--format", "json", "--output", report),
        cwd=tests,
        env=alone | variables,
    )
    verdicts = [each["verdict"] for each in json.loads(report.read_text())["findings"]]
    assert {*verdicts} == {"PASS", "SKIP"}
    assert verdicts.count("PASS") > 130


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("installed", [WAYS[KINDS.index("endpoint")]], indirect=True)
def test_its_integration_tests_call_the_llm(installed):
    folder, _, commands = installed
    with Upstream(little_llm) as upstream:
        file = folder / "langchain_made" / "endpoint.toml"
        text = file.read_text()
        file.write_text(text.replace("https://made.example/v1", f"{upstream.url}/v1"))
        assert file.read_text() != text
        said = call(
            commands / "pytest",
            *("-q", "tests/integration_tests"),
            cwd=folder,
            env=environment(commands, MADE_API_KEY="sk-1", PYTHONPATH=str(folder)),
        )
    assert " failed" not in said
    assert int(said.split(" passed")[0].split()[-1]) > 25
