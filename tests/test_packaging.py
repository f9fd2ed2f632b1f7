"""The wheel, as a user installs it."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"


def call(*command, **options):
    done = subprocess.run(
        [*map(str, command)], check=False, capture_output=True, text=True, timeout=300, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--outdir", out, ROOT)
    return out


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """An environment with the wheel and its dependencies, no extra."""
    venv = tmp_path_factory.mktemp("venv")
    call(sys.executable, "-m", "venv", "--without-pip", venv)
    (wheel,) = built.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--python", venv / "bin" / "python"]
    call(*pip, "install", "--quiet", "--no-compile", "-c", ROOT / "constraints.txt", wheel)
    return venv / "bin"


def test_wheel_and_sdist_hold_what_they_should(built):
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    names = zipfile.ZipFile(wheel).namelist()
    assert "chatwright/py.typed" in names
    page = {name.partition("/run/serve/page/")[2] for name in names}
    assert {"inspector.js", "inspector.css", "check.js", "vendor/uplot/LICENSE"} <= page
    template = [each for each in (SOURCE / "chatwright/new/template").rglob("*") if each.is_file()]
    assert {each.relative_to(SOURCE).as_posix() for each in template} <= {*names}
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert all(name.startswith("chatwright") for name in names)
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "copier.yml",
        "src/chatwright/__init__.py",
    } <= inside


def test_help_works_without_any_extra(installed, tmp_path):
    assert "chat" in call(installed / "chatwright", "--help", cwd=tmp_path)
    assert "needs [gguf]" in call(installed / "chatwright", "models", cwd=tmp_path)


def test_a_missing_extra_is_one_line_that_names_the_command(installed, tmp_path):
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    done = subprocess.run(
        [installed / "chatwright", "chat", "hi", "-m", "gguf:x.gguf"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "chatwright: xllamacpp is not installed; fix it with: pip install 'chatwright[gguf]'\n"
    )


def test_a_function_model_works_without_any_extra(installed, tmp_path):
    code = (
        "from chatwright import chat_model\n"
        "hello = chat_model(lambda messages: 'hello')\n"
        "print(hello.invoke('x').text, ''.join(c.text for c in hello.stream('x')))"
    )
    assert call(installed / "python", "-c", code, cwd=tmp_path) == "hello hello\n"
