"""Each extra alone, in an environment that was empty before; and none.

`extras/NAME.py` is the smallest example that can't do without it. `RAY=1` tries that one, too.
"""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "tests" / "extras"
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = [*sorted({*PROJECT["optional-dependencies"]} - {"bench", "docs", "fuzz", "test"})]
WITH = {"ray": ["chatwright[batch]"], "otel": ["opentelemetry-sdk"]}
"""What an example needs besides: the application's own, or what it is that goes to the cluster."""
SILENT = {"otel": "No module named 'opentelemetry'", "prices": "KeyError: 'cost'"}
"""Extras without which nothing is wrong: there are no spans, no prices. `doctor` names them."""


def run(*command, **options):
    """Run a command without our own environment's variables for Python."""
    environment = {name: text for name, text in os.environ.items() if name[:6] != "PYTHON"}
    return subprocess.run(
        [*map(str, command)],
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
        env=environment,
        stdin=subprocess.DEVNULL,
        **options,
    )


def call(*command, **options):
    done = run(*command, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--wheel", "--outdir", out, ROOT)
    (made,) = out.glob("*.whl")
    return made


def environment(folder, wheel, *extras):
    """Make an environment with the wheel, some extras, and what pip finds that they need."""
    call(sys.executable, "-m", "venv", "--without-pip", folder)
    python = Path(folder) / "bin" / "python"
    ours = [each.removeprefix("chatwright") for each in extras if each.startswith("chatwright")]
    beside = [each for each in extras if not each.startswith("chatwright")]
    install = [*PIP, "--python", python, "install", "--no-compile"]
    wanted = [f"{wheel}{each}" for each in ours or [""]]
    call(*install, "-c", ROOT / "constraints.txt", *wanted, *beside)
    call(*PIP, "--python", python, "check")
    return python


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The Python of an environment without any extra."""
    return environment(tmp_path_factory.mktemp("venv"), wheel)


def test_each_extra_has_an_example():
    assert sorted(each.stem for each in EXAMPLES.glob("*.py")) == EXTRAS


def test_each_extra_that_is_named_is_there():
    """In messages and in the documentation."""
    pages = [*(ROOT / "src").rglob("*.py"), *(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    named = set()
    for each in pages:
        text = each.read_text()
        named.update(re.findall(r"chatwright\[([a-z,]+)\]", text))
        named.update(re.findall(r"MissingExtraError\([^\n]+, \"([a-z,]+)\"\)", text))
    assert {extra for each in named for extra in each.split(",")} >= {*EXTRAS} - {"prices"}
    assert {extra for each in named for extra in each.split(",")} <= {*EXTRAS}


@pytest.mark.release
@pytest.mark.timeout(900)
@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_alone_is_enough_for_its_example(extra, wheel, tmp_path):
    if extra == "ray" and not os.environ.get("RAY"):
        pytest.skip("300 MB: RAY=1 tries it")
    with tempfile.TemporaryDirectory() as folder:
        python = environment(folder, wheel, f"chatwright[{extra}]", *WITH.get(extra, []))
        call(python, "-I", EXAMPLES / f"{extra}.py", cwd=tmp_path)
        told = call(python, "-Im", "chatwright", "doctor", "--no-test", cwd=tmp_path)
        assert f"✓ {extra}: " in told


@pytest.mark.release
@pytest.mark.parametrize("extra", [each for each in EXTRAS if each != "ray"])
def test_without_it_the_line_that_installs_it_is_named(extra, installed, tmp_path):
    done = run(installed, "-I", EXAMPLES / f"{extra}.py", cwd=tmp_path)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    if extra in SILENT:
        assert SILENT[extra] in last
    else:
        assert f"pip install 'chatwright[{extra}]'" in last.replace('"', "'")


@pytest.mark.release
def test_without_any_the_rest_works(installed, tmp_path):
    code = (
        "import asyncio, chatwright\n"
        "for name in chatwright.__all__: getattr(chatwright, name)\n"
        "hello = chatwright.chat_model(lambda messages: 'hello')\n"
        "print(hello.invoke('x').text, ''.join(c.text for c in hello.stream('x')))\n"
        "print(asyncio.run(hello.ainvoke('x')).text)"
    )
    warned = call(installed, "-IWerror", "-c", code, cwd=tmp_path)
    assert warned == "hello hello\nhello\n"
    chatwright = installed.with_name("chatwright")
    assert "doctor" in call(chatwright, "--help", cwd=tmp_path)
    told = call(chatwright, "doctor", "--no-test", cwd=tmp_path)
    assert re.findall(r"pip install 'chatwright\[(.+)\]'", told) == EXTRAS
