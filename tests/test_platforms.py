"""What can be told of Windows, macOS and later Pythons on Linux: see docs/platforms.md."""

import ast
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WINDOWS = ROOT / "tests" / "windows"
PRELUDE = """\
import os, signal, sys
def ours(code):
    exec(code, {"__name__": "chatwright.example"})
"""


def run(code, *arguments, folder, **options):
    """Run code where Chatwright finds of the standard library what Windows has."""
    path = [str(WINDOWS), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, path))}
    command = [sys.executable, "-c", PRELUDE + textwrap.dedent(code), *arguments]
    return subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        timeout=200,
        **options,
    )


def said(code, *arguments, folder, **options):
    done = run(code, *arguments, folder=folder, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "line",
    [
        "import fcntl",
        "from pwd import getpwnam",
        "import os; os.killpg",
        "from os import fork",
        "import signal; signal.SIGKILL",
        "import select; select.poll",
    ],
)
def test_what_windows_lacks_is_hidden_from_us_and_from_nobody_else(line, tmp_path):
    said(line, folder=tmp_path)
    done = run(f"ours({line!r})", folder=tmp_path)
    assert done.returncode == 1
    assert (
        ("Windows has none" in done.stderr)
        or ("has no attribute" in done.stderr)
        or ("cannot import name" in done.stderr)
    )


def test_every_module_can_be_imported(tmp_path):
    code = """
        import importlib, pkgutil
        import chatwright
        extras = {"ray", "huggingface_hub", "genai_prices", "xllamacpp"}
        names = [each.name for each in pkgutil.walk_packages(chatwright.__path__, "chatwright.")]
        for name in names:
            if name == "chatwright.__main__":
                continue
            try:
                importlib.import_module(name)
            except ModuleNotFoundError as error:
                if error.name not in extras:
                    raise
        print(len(names))
    """
    assert int(said(code, folder=tmp_path)) > 300


def test_a_model_a_program_and_the_command_line_work(tmp_path):
    code = """
        import asyncio
        from chatwright import ChatCommand, chat_model
        from chatwright.cli import main
        hello = chat_model(lambda messages: "hello")
        print(hello.invoke("x").text, *(each.text for each in hello.stream("x")))
        print(asyncio.run(hello.ainvoke("x")).text)
        python = sys.executable
        slow = "import time; print('begun', flush=True); time.sleep(60)"
        print(ChatCommand([python, "-c", "print(input())"]).invoke("piped").text)
        for chunk in ChatCommand([python, "-u", "-c", slow]).stream("x"):
            print(chunk.text)
            break
        sys.argv = ["chatwright", "--help"]
        main()
    """
    told = said(code, folder=tmp_path)
    for each in ("hello hello", "piped", "begun", "doctor"):
        assert each in told


def test_a_model_is_checked_in_processes_and_a_file_is_answered(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"prompt": "one"}\n{"prompt": "two"}\n')
    (tmp_path / "mine.py").write_text(
        "from chatwright import chat_model\n"
        "upper = chat_model(lambda messages: messages[-1].text.upper())\n"
    )
    code = """
        from chatwright.cli import main
        if __name__ == "__main__":
            sys.argv = ["chatwright", *sys.argv[1:]]
            main()
    """
    checked = said(code, "check", "mine:upper", "--only", "B", folder=tmp_path)
    assert "rules hold" in checked
    said(code, "batch", "rows.jsonl", "out.jsonl", "-m", "mine:upper", folder=tmp_path)
    assert "ONE" in (tmp_path / "out.jsonl").read_text()
    assert said(code, "doctor", "--no-test", folder=tmp_path)


def test_reload_says_why_it_does_not_work(tmp_path):
    code = 'from chatwright.cli import main; sys.argv = ["chatwright", *sys.argv[1:]]; main()'
    done = run(code, "serve", "m:x", "--reload", folder=tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        "chatwright: --reload hands a socket on, which Windows does not\n",
    )


REMOVED = {
    *("asynchat", "asyncore", "distutils", "imp", "smtpd"),  # 3.12
    *("aifc", "audioop", "cgi", "cgitb", "chunk", "crypt", "imghdr", "lib2to3", "mailcap"),  # 3.13
    *("msilib", "nis", "nntplib", "ossaudiodev", "pipes", "sndhdr", "spwd", "sunau", "telnetlib"),
    *("uu", "xdrlib"),
}


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.partition(".")[0]


def test_nothing_is_imported_that_a_later_python_has_removed():
    trees = [ast.parse(each.read_text()) for each in (ROOT / "src" / "chatwright").rglob("*.py")]
    found = {name for tree in trees for name in imported(tree)}
    assert {"asyncio", "pydantic"} <= found
    assert found & REMOVED == set()
    assert "__future__" not in found  # annotations are evaluated already, which 3.14 puts off


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("platform", "version"),
    [
        ("win32", "3.11"),
        ("win32", "3.14"),
        ("darwin", "3.14"),
        ("linux", "3.12"),
        ("linux", "3.14"),
    ],
)
def test_types_fit_other_platforms_and_versions_and_no_call_is_deprecated(platform, version):
    command = ["-m", "mypy", "--platform", platform, "--python-version", version]
    command += ["--enable-error-code", "deprecated", "--no-incremental", "--cache-dir", os.devnull]
    done = subprocess.run(
        [sys.executable, *command, "src"], check=False, capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
