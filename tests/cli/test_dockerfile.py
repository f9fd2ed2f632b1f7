"""The Dockerfile: built where there is a Docker, linted by hadolint, and its commands tried."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chatwright import chat_model
from chatwright.cli import app
from run.serve.conftest import serving

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
HADOLINT = ROOT / ".venv-clients" / "bin" / "hadolint"

__all__ = ["serving"]


HEALTH = r"HEALTHCHECK [^\n]*\\\n +CMD"


def command(instruction):
    return json.loads(re.search(rf"^{instruction} (\[.*\])$", DOCKERFILE, re.MULTILINE)[1])


def ran(*arguments):
    return subprocess.run(
        [*map(str, arguments)], check=False, capture_output=True, text=True, timeout=280
    )


def has_docker():
    return shutil.which("docker") is not None and ran("docker", "info").returncode == 0


def test_the_health_check_tells_whether_the_server_answers(serving, unused_tcp_port):
    @chat_model
    def any_model(messages):
        return "hi"

    python, flag, code = command(HEALTH)
    assert (python, flag) == ("python", "-c")
    url = serving(any_model).url
    assert "http://127.0.0.1:8000/" in code
    assert ran(sys.executable, "-c", code.replace("http://127.0.0.1:8000", url)).returncode == 0
    closed = code.replace(":8000", f":{unused_tcp_port}")
    assert ran(sys.executable, "-c", closed).returncode != 0


def test_it_serves_nobody_without_keys():
    name, *arguments = command("ENTRYPOINT")
    assert name == "chatwright"
    refused = CliRunner().invoke(app, [*arguments, "smollm2"])
    assert refused.exit_code == 2
    assert "keys" in refused.stderr


def test_it_is_no_roots():
    (user,) = re.findall(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)
    assert int(user) > 0
    assert f"--uid {user} " in DOCKERFILE


@pytest.mark.long
@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint is missing: make .venv-clients/.made")
def test_hadolint_has_no_complaint():
    linted = ran(HADOLINT, "--no-color", ROOT / "Dockerfile")
    assert (linted.stdout, linted.returncode) == ("", 0)


@pytest.mark.long
def test_it_is_built():
    if not has_docker():
        pytest.skip("there is no Docker that runs")
    built = ran("docker", "build", "--quiet", "--tag", "chatwright-test", ROOT)
    assert built.returncode == 0, built.stderr
    helped = ran("docker", "run", "--rm", "chatwright-test")
    assert "--api-keys" in helped.stdout, helped.stderr


def test_what_it_copies_is_enough_to_build_the_wheel(tmp_path):
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for copied in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.MULTILINE):
        for each in copied.split():
            assert f"!{each}" in ignored
            if (ROOT / each).is_dir():
                shutil.copytree(ROOT / each, tmp_path / each)
            else:
                shutil.copy(ROOT / each, tmp_path)
    built = ran(sys.executable, "-m", "build", "--wheel", tmp_path)
    assert built.returncode == 0, built.stderr
