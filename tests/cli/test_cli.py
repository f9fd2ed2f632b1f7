"""The command line as a user meets it: real processes, pipes and a real terminal."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
import typer
from platformdirs import user_cache_path
from typer.testing import CliRunner

from chatwright import Quirks
from chatwright.cli import app
from chatwright.testing import Refuse, Upstream

HERE = Path(__file__).parent
CHATWRIGHT = str(Path(sys.executable).parent / "chatwright")


@pytest.fixture
def env(tmp_path):
    kept = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")}
    cache = str(user_cache_path())  # where make test has put the weights
    screen = {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    return {**kept, "HOME": str(tmp_path), "XDG_CACHE_HOME": cache, **screen}


def run(env, *arguments, piped=None, **options):
    return subprocess.run(
        [CHATWRIGHT, *arguments],
        check=False,
        capture_output=True,
        timeout=200,
        cwd=HERE,
        env=env,
        **{"text": True, **options},
        **({"stdin": subprocess.DEVNULL} if piped is None else {"input": piped}),
    )


def within(*arguments):
    """Run a command inside this process, where a process of its own would show nothing more."""
    with contextlib.chdir(HERE):
        return CliRunner().invoke(app, arguments)


def shell(env, command):
    return subprocess.run(
        ["bash", "-c", command],
        check=False,
        capture_output=True,
        text=True,
        cwd=HERE,
        env=env,
        timeout=200,
    )


def test_help_and_version(env):
    done = run(env, "--help")
    assert done.returncode == 0
    for command in ("chat", "explain", "models", "probe", "pull"):
        assert command in done.stdout
    assert run(env, "--version").stdout == "chatwright 0.2.0\n"


def test_the_module_runs_as_the_program_does(env):
    command = [sys.executable, "-m", "chatwright", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=True)
    assert done.stdout == "chatwright 0.2.0\n"


def test_an_answer_goes_to_a_pipe_as_plain_text(env):
    done = run(env, "chat", "hello", "-m", "models:echo", "-t", "0.5", "-s", "be kind")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "**hello** (0.5, be kind)\n"


def test_piped_input_is_appended(env):
    done = run(env, "chat", "Say:", "-m", "models:echo", piped="this\n")
    assert done.stdout.startswith("**Say:\n\nthis**")
    assert run(env, "chat", "-m", "models:echo", piped="alone").stdout.startswith("**alone**")


def test_stop_is_included(env):
    done = run(env, "chat", "a b", "-m", "models:echo", "--stop", "b")
    assert done.stdout == "**a b\n"


def test_json_is_one_object(env):
    done = run(env, "chat", "hello", "-m", "models:echo", "--json")
    answer = json.loads(done.stdout)
    assert answer["text"].startswith("**hello**")
    assert answer["model"] == "echo"
    assert answer["usage"]["total_tokens"] == 5
    assert answer["cost"]["currency"] == "EUR"
    assert answer["finish_reason"] == "stop"


def test_the_real_model_answers(env):
    done = run(env, "chat", "What is the capital of France?", "--max-tokens", "20")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Paris" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["chat", "x", "-m", "nonsense"], 1, "'nonsense' names no model"),
        (["chat", "x", "-m", "models:missing"], 1, "is not there"),
        (["chat", "x", "-m", "models:broken"], 1, "the cable is out"),
        (["chat", "x", "-m", "models:buggy"], 1, "ZeroDivisionError: a bug"),
        (["chat", "x", "-m", "gguf:missing.gguf"], 1, "missing.gguf"),
        (["chat"], 2, "nothing to say"),
        (["chat", "--nonsense"], 2, "No such option"),
        (["pull", "nonsense"], 1, "no weights are named 'nonsense'"),
        (["nonsense"], 2, "No such command"),
    ],
)
def test_errors_are_one_line_and_an_exit_code(arguments, code, says):
    done = within(*arguments)
    assert done.exit_code == code
    assert says in done.stderr
    if code == 1:
        assert len(done.stderr.splitlines()) == 1


def test_a_bug_of_ours_is_reported_with_all_that_a_report_needs(capsys):
    from chatwright.cli import handled

    @handled
    def command():
        raise ZeroDivisionError("ours")

    with pytest.raises(typer.Exit) as caught:
        command()
    assert caught.value.exit_code == 3
    err = capsys.readouterr().err
    assert "ZeroDivisionError: ours" in err
    assert "this is a bug" in err
    assert "chatwright 0.2.0" in err


def test_no_standard_input_at_all_is_no_bug(env):
    command = f"{CHATWRIGHT} chat hello -m models:echo <&-; {CHATWRIGHT} chat -m models:echo <&-"
    done = shell(env, command)
    assert done.stdout.startswith("**hello**")
    assert (done.returncode, "nothing to say" in done.stderr) == (2, True)


@pytest.fixture
def server():
    with Upstream(["1, 2, 3, 4, 5, 6, 7, 8, 9, 10"]) as upstream:
        yield upstream


def test_two_commands_lead_from_a_url_to_a_chat(env, server, tmp_path):
    path = tmp_path / "endpoint.toml"
    probed = run(env, "probe", f"{server.url}/v1", "-m", "tiny", "-o", str(path))
    assert probed.returncode == 0, probed.stderr
    assert "could not be told" in path.read_text()
    assert f"chatwright chat --model {path}" in probed.stdout
    untold = {
        "call_ids",
        "ends",
        "parameters",
        "stream_tools",
        "stream_usage",
        "tool_choice",
        "tools_with_format",
    }  # of what can't stream, or call
    for name in Quirks.model_fields.keys() - untold:
        assert name in probed.stdout
    done = run(env, "chat", "Count.", "-m", str(path))
    assert (done.returncode, done.stdout) == (0, "1, 2, 3, 4, 5, 6, 7, 8, 9, 10\n")


def test_probe_replaces_no_file_unasked_and_says_what_is_wrong(tmp_path, server):
    path = tmp_path / "endpoint.toml"
    path.write_text("mine")
    done = within("probe", server.url, "-o", str(path))
    assert (done.exit_code, path.read_text()) == (2, "mine")
    assert "--force replaces it" in done.stderr
    done = within("probe", "http://127.0.0.1:9/v1", "-o", str(tmp_path / "other.toml"))
    assert done.exit_code == 1
    assert done.stderr.startswith("chatwright: 127.0.0.1:9: no connection")
    done = within("probe", "nonsense", "-o", str(tmp_path / "other.toml"))
    assert done.exit_code == 1
    assert "has to begin with http" in done.stderr


def test_a_curl_command_leads_to_a_chat_without_its_key_anywhere(env, tmp_path):
    def script(received):
        if received.body is None or received.headers.get("x-api-key") != "sk-canary-31":
            return [Refuse(401)]
        asked = received.body.get("ask", "")
        found = re.search(r"the word (\w+)", asked)
        said = json.dumps({"said": found[1] if found else f"{len(asked)} letters"})
        return [Refuse(200, body=said.encode())]

    with Upstream(script) as server:
        path = tmp_path / "made.toml"
        command = f"""$ curl {server.url}/x -H 'X-Api-Key: sk-canary-31' -d '{{"ask": "hi"}}'"""
        for given, piped in ((command, None), ("-", command)):
            made = run(env, "probe", "--curl", given, "-o", str(path), "--force", piped=piped)
            assert made.returncode == 0, made.stderr
            shown = made.stdout + made.stderr + path.read_text()
            assert "sk-canary" not in shown
            assert "export LLM_KEY=" in made.stdout
            assert "a model of it answers" in made.stdout
        known = {**env, "LLM_KEY": "sk-canary-31"}
        assert "letters" in run(known, "chat", "Hello", "-m", str(path)).stdout
        assert "LLM_KEY is not set" in run(env, "chat", "Hello", "-m", str(path)).stderr


def test_probe_wants_one_way_to_the_server(tmp_path):
    for arguments in ((), ("http://127.0.0.1:9", "--curl", "curl x")):
        done = within("probe", *arguments, "-o", str(tmp_path / "other.toml"))
        assert (done.exit_code, "a URL, or --curl" in done.stderr) == (2, True)
    for given, said in (
        ("crul -H sk-canary-31", "takes a curl command, a file with one"),
        ("x=$(curl -sH sk-canary-31 http://127.0.0.1:9)", "a header without a colon"),
    ):
        done = within("probe", "--curl", given, "-o", str(tmp_path / "other.toml"))
        assert done.exit_code == 1
        assert said in done.stderr
        assert "sk-canary" not in done.stderr


def test_explain_prints_the_request_and_sends_none(server, monkeypatch):
    monkeypatch.setenv("CHATWRIGHT_API_KEY", "sk-canary-8")
    done = within("explain", f"{server.url}/v1#tiny", "Hello", "-t", "0.5", "-s", "Be.")
    assert done.exit_code == 0, done.output
    shown = json.loads(done.stdout)
    assert shown["url"] == f"{server.url}/v1/chat/completions"
    assert shown["headers"]["Authorization"] == "***"
    assert shown["body"]["messages"][0] == {"role": "system", "content": "Be."}
    assert shown["body"]["temperature"] == 0.5
    assert not server.requests
    done = within("explain", "langchain_core.language_models.fake_chat_models:FakeChatModel", "x")
    assert json.loads(done.stdout)["messages"] == [{"role": "user", "content": "x"}]


def test_models_are_listed(env):
    done = run(env, "models")
    assert re.search(r"^smollm2 .* installed$", done.stdout, re.MULTILINE)


def test_pull_prints_where_the_weights_are(env):
    done = run(env, "pull", "smollm2")
    assert done.stdout.strip().endswith(".gguf")
    assert Path(done.stdout.strip()).is_file()


def test_a_closed_pipe_is_no_error(env):
    command = f"{CHATWRIGHT} chat x -m models:slow < /dev/null | head -c 4"
    done = shell(env, f"set -o pipefail; {command}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 1 ", "")


ANSWER = "Zürich — 東京 😀 Genève"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8"])
def test_nothing_of_an_answer_is_lost_where_it_can_not_be_shown(env, encoding):
    env |= {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    options = {"encoding": encoding}
    done = run(env, "chat", "Genève", "-m", "models:accents", **options)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.encode(encoding) == f"{ANSWER}\n".encode(encoding, "backslashreplace")
    done = run(env, "chat", "Genève", "-m", "models:accents", "--json", **options)
    assert json.loads(done.stdout)["text"] == ANSWER
    done = run(env, "explain", "models:accents", ANSWER, **options)
    assert json.loads(done.stdout)["messages"][-1]["content"] == ANSWER
    assert run(env, "--help", **options).returncode == 0


def test_a_report_stays_of_its_format_where_it_can_not_be_shown(capsysbinary, monkeypatch):
    from chatwright.cli import streams

    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    for form in ("json", "junit"):
        streams.say("ü東😀", form)
    assert stream.buffer.getvalue().split() == [
        b"\\u00fc\\u6771\\ud83d\\ude00",
        b"&#252;&#26481;&#128512;",
    ]


def test_input_of_another_encoding_is_one_line(env):
    env |= {"PYTHONIOENCODING": "ascii"}
    done = run(env, "chat", "-m", "models:echo", piped="Zürich", encoding="utf-8")
    assert done.returncode == 1
    assert done.stderr.startswith("chatwright: standard input is not ascii")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    ["chat x -m models:broken", "chat x -m models:echo --json", "models", "--version", "--help"],
)
def test_a_closed_standard_output_is_one_line_and_nothing_is_asked(env, arguments):
    done = shell(env, f"{CHATWRIGHT} {arguments} </dev/null >&-")
    assert done.returncode == 1
    assert done.stderr == (
        "chatwright: standard output is closed: there is no place for the answer\n"
    )


def test_a_closed_standard_error_loses_nothing(env):
    done = shell(env, f"{CHATWRIGHT} chat x -m models:accents </dev/null 2>&-")
    assert (done.returncode, done.stdout) == (0, "Zürich — 東京 😀 x\n")


def test_check_calls_a_model_by_its_name():
    done = within("check", "models:echo", "--only", "B2", "--format", "json")
    assert json.loads(done.stdout)["model"] == "echo"


@pytest.fixture
def terminal(env):
    children = []

    def start(*arguments):
        child = pexpect.spawn(
            CHATWRIGHT, ["chat", *arguments], cwd=str(HERE), env=env, timeout=120, encoding="utf-8"
        )
        child.setwinsize(24, 80)
        children.append(child)
        return child

    yield start
    for child in children:
        child.close(force=True)


def plain(text):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_on_a_terminal_markdown_is_rendered_and_a_dim_line_follows(terminal):
    child = terminal("hello", "-m", "models:echo")
    child.expect(pexpect.EOF)
    shown = child.before
    assert "**" not in shown
    assert "\x1b[1mhello" in shown
    assert "\x1b[2m" in shown
    assert re.search(r"first token \d\.\d\d s · \d+ tokens/s · 0\.000005 EUR", plain(shown))


def test_a_terminal_that_is_not_utf8_shows_all_of_an_answer(env):
    env |= {"PYTHONIOENCODING": "ascii"}
    child = pexpect.spawn(
        CHATWRIGHT, ["chat", "x", "-m", "models:accents"], cwd=str(HERE), env=env, timeout=30
    )
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert rb"Z\xfcrich \u2014" in child.before


@pytest.mark.parametrize(
    ("model", "opening"),
    [
        ("models:echo", "echo, from models:echo"),
        ("http://127.0.0.1:9/v1#tiny", "tiny, from http://127.0.0.1:9/v1"),
        ("smollm2", r"smollm2, from .*\.gguf"),
    ],
)
def test_a_conversation_opens_with_the_models_name_and_where_it_comes_from(
    terminal, model, opening
):
    child = terminal("-m", model)
    child.expect(opening)
    child.expect_exact("> ")
    child.sendeof()
    child.expect(pexpect.EOF)


def test_a_conversation_has_commands_and_a_history(terminal, tmp_path):
    child = terminal("-m", "models:echo", "-s", "be kind")
    child.expect_exact("> ")
    child.sendline("one")
    child.expect("one.*be kind.*first token")
    child.expect_exact("> ")
    child.sendline("/system be brief")
    child.expect_exact("be brief")
    child.expect_exact("> ")
    child.sendline("/retry")
    child.expect("one.*be brief.*first token")
    child.expect_exact("> ")
    child.sendline(f"/save {tmp_path}/talk.json")
    child.expect_exact("saved to")
    child.expect_exact("> ")
    child.sendline("/nonsense")
    child.expect_exact("is no command")
    child.expect_exact("> ")
    child.sendline("/help")
    child.expect_exact("/retry")
    child.expect_exact("> ")
    child.sendline("/reset")
    child.expect_exact("> ")
    child.send("\x1b[A\x1b[A\x1b[A")  # the line editor's history: three up is /nonsense
    child.expect_exact("nonsense")
    child.send("\x15")
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    roles = [each["role"] for each in json.loads((tmp_path / "talk.json").read_text())]
    assert roles == ["system", "user", "assistant"]
    assert [*tmp_path.rglob("history")]


def test_ctrl_c_stops_the_answer_and_not_the_program(terminal):
    child = terminal("-m", "models:slow")
    child.expect_exact("> ")
    child.sendline("count")
    child.expect_exact("10")
    child.sendintr()
    child.expect_exact("(stopped)")
    child.expect_exact("> ")
    child.sendintr()
    child.expect_exact("> ")
    child.sendline("/exit")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_ctrl_c_ends_a_single_answer_with_130(terminal):
    child = terminal("x", "-m", "models:slow")
    child.expect_exact("10")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130


def test_an_error_does_not_end_a_conversation(terminal):
    child = terminal("-m", "models:broken")
    child.expect_exact("> ")
    child.sendline("x")
    child.expect_exact("the cable is out")
    child.expect_exact("> ")
    child.sendeof()
    child.expect(pexpect.EOF)
