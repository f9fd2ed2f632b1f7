"""Programs, well-behaved and not."""

import asyncio
import gc
import pickle
import subprocess
import sys
import time

import psutil
import pytest

from chatwright import (
    ChatCommand,
    ContentError,
    EngineError,
    LoadError,
    ParameterError,
    SourceTimeoutError,
    Transcript,
)
from chatwright.checks.calls.modes import Recorder
from contract.subjects import MODES
from waiting import eventually, soon


def python(code, **fields):
    return ChatCommand([sys.executable, "-I", "-S", "-c", code], **fields)


def shell(script, **fields):
    return ChatCommand(["sh", "-c", script], **fields)


def alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def gone(log):
    """Wait until the processes have ended whose ids are in this file."""
    return soon(lambda: not any(alive(int(each)) for each in log.read_text().split()))


# Prompts.


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
async def test_the_prompt_goes_to_stdin(mode):
    assert (await mode(ChatCommand(["cat"]), "hello; echo $HOME `id`")).text == (
        "hello; echo $HOME `id`"
    )


def test_the_prompt_may_be_an_argument_and_no_shell_ever_sees_it():
    model = ChatCommand(["printf", "%s|%s|%s", "{prompt}", "{system}", "-m {model}"], model="tiny")
    answer = model.invoke([("system", "Be."), ("human", '\'; rm -rf "$HOME" #')])
    assert answer.text == ('Be.\n\nUser: \'; rm -rf "$HOME" #\n\nAssistant:|Be.|-m tiny')


def test_a_group_of_arguments_is_left_out_where_its_value_is_not_set():
    model = ChatCommand(["echo", "{last}", ["--temp", "{temperature}"], ["-n", "{max_tokens}"]])
    assert model.invoke("x").text == "x"
    assert model.invoke("x", temperature=0.5).text == "x --temp 0.5"
    with pytest.raises(ParameterError, match=r"needs temperature, which is not set.*\['\{temp"):
        ChatCommand(["echo", "{temperature}"]).invoke("x")


def test_braces_that_name_nothing_are_left_alone():
    assert ChatCommand(["echo", '{"a": {b}}']).invoke("x").text == '{"a": {b}}'


@pytest.mark.parametrize(
    ("transcript", "written"),
    [
        ("chatml", "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant"),
        ("plain", "User: hi\n\nAssistant:"),
        ("bare", "hi"),
        ("auto", "hi"),
        (Transcript(user="Q: {text}\n", end="A:"), "Q: hi\nA:"),
    ],
)
def test_a_transcript_writes_the_conversation(transcript, written):
    assert ChatCommand(["cat"], transcript=transcript).invoke("hi").text == written


def test_what_can_be_no_argument_is_an_error_that_says_so():
    model = ChatCommand(["echo", "{prompt}"])
    with pytest.raises(ContentError, match="NUL"):
        model.invoke("a\0b")
    with pytest.raises(ContentError, match=r"too long for an argument.*stdin"):
        model.invoke("x" * 10**7)


def test_a_command_is_a_list():
    with pytest.raises(ValueError, match="give the command as a list"):
        ChatCommand("echo hi")
    with pytest.raises(ValueError, match="at least 1 item"):
        ChatCommand([])
    with pytest.raises(ValueError, match="is empty"):
        ChatCommand([[]])
    with pytest.raises(ValueError, match="there is no transcript 'latin'"):
        ChatCommand(["cat"], transcript="latin")


# Output.


async def test_output_streams_as_it_comes(tmp_path):
    awaited = f"until [ -e {tmp_path}/$i ]; do sleep 0.02; done"
    model = shell(f"for i in 1 2 3; do echo $i; {awaited}; done")
    seen = []
    async for chunk in model.astream("x"):  # the program goes on once a line has been seen
        for line in chunk.text.split():
            seen.append(line)
            (tmp_path / line).touch()
    assert seen == ["1", "2", "3"]
    assert model.invoke("x").text == "1\n2\n3"


def test_half_a_character_is_waited_for_and_rubbish_is_replaced():
    code = (
        "import sys, time\n"
        "for b in (b'\\xe2', b'\\x82', b'\\xac ', b'\\xff'):\n"
        "    sys.stdout.buffer.write(b); sys.stdout.flush(); time.sleep(0.05)"
    )
    assert python(code).invoke("x").text == "\u20ac \ufffd"


def test_lines_of_json_are_read_by_their_description():
    lines = (
        r'printf \'{"t": "Hel"}\n\n{"t": "lo", "why": "end_turn"}\n{"in": 3, "out": 4}\n\''
    ).replace("\\'", "'")
    model = shell(
        lines,
        response={
            "framing": "ndjson",
            "text": "t",
            "finish_reason": "why",
            "usage": {"input_tokens": "in", "output_tokens": "out"},
        },
    )
    answer = model.invoke("x")
    assert answer.text == "Hello"
    assert answer.usage_metadata["total_tokens"] == 7


def test_an_error_in_lines_of_json_is_raised():
    model = shell(
        """echo '{"error": "out of luck"}'""", response={"framing": "ndjson", "text": "t"}
    )
    with pytest.raises(EngineError, match="out of luck"):
        model.invoke("x")


def test_no_output_is_an_empty_answer():
    assert ChatCommand(["true"]).invoke("x").text == ""


def test_a_program_that_does_not_read_its_prompt_is_no_fault():
    assert ChatCommand(["echo", "hi"]).invoke("x" * 10**6).text == "hi"


# Failure.


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
async def test_an_exit_status_is_an_error_with_the_end_of_stderr(mode):
    model = shell(
        "printf half; i=0; while [ $i -lt 999 ]; do echo noise >&2; i=$((i+1)); done; "
        "echo why >&2; exit 3"
    )
    with pytest.raises(EngineError, match=r"sh ended with exit status 3: (?s:.*)why$") as caught:
        await mode(model, "x")
    assert caught.value.partial_text == "half"
    assert len(caught.value.body) <= 2048


def test_a_signal_is_an_error_that_names_it():
    with pytest.raises(EngineError, match="was ended by SIGKILL"):
        shell("kill -9 $$").invoke("x")


def test_a_program_that_is_not_there_is_named(tmp_path):
    for cwd, why in (("no/such/folder", "No such file"), (__file__, "Not a directory")):
        with pytest.raises(LoadError, match=rf"cat can't be run in cwd='.*{cwd}': {why}"):
            ChatCommand(["cat"], cwd=cwd).invoke("x")
    with pytest.raises(LoadError, match="'no-such-program' can't be run: No such file"):
        ChatCommand(["no-such-program"]).invoke("x")
    (tmp_path / "data").write_text("x")
    with pytest.raises(LoadError, match="Permission denied"):
        ChatCommand([str(tmp_path / "data")]).invoke("x")


def test_endless_output_is_bounded():
    with pytest.raises(EngineError, match="yes wrote more than 100000 bytes"):
        ChatCommand(["yes"], max_output_bytes=100000).invoke("x")


@pytest.mark.parametrize(
    ("script", "limit", "named"),
    [
        ("sleep 600", {"first_token_timeout": 0.2}, "first_token_timeout"),
        ("echo a; sleep 600", {"token_timeout": 0.2}, "token_timeout"),
        ("while true; do echo a; sleep 0.05; done", {"timeout": 0.4}, "timeout"),
        ("exec >&-; sleep 600", {"token_timeout": 0.2}, "timeout"),
    ],
)
def test_every_time_limit_holds(script, limit, named):
    with pytest.raises(SourceTimeoutError, match=named):
        shell(script, **limit).invoke("x")


def test_secrets_are_masked_in_what_it_says():
    model = shell("echo $TOKEN >&2; exit 1", variables={"TOKEN": "sk-canary-9"})
    with pytest.raises(EngineError, match=r"\*\*\*") as caught:
        model.invoke("x")
    assert "sk-canary-9" not in str(caught.value) + repr(model)


def test_the_environment_is_an_allow_list(monkeypatch):
    monkeypatch.setenv("SECRET_OF_OURS", "x")
    shown = ChatCommand(["env"], variables={"MINE": "1"}).invoke("x").text
    names = {line.partition("=")[0] for line in shown.splitlines()}
    assert "MINE" in names
    assert "PATH" in names
    assert "SECRET_OF_OURS" not in names


# The end.

FAMILY = """
import os, signal, subprocess, sys, time
{ignore}
child = subprocess.Popen([sys.executable, "-S", "-c", '''{ignore}
import signal, time; time.sleep(60)'''])
print(os.getpid(), child.pid, flush=True)
time.sleep(60)
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"


@pytest.mark.parametrize("ignore", ["", STUBBORN], ids=["obedient", "stubborn"])
@pytest.mark.parametrize("way", ["stream", "astream", "ainvoke"])
async def test_E4_the_whole_group_is_ended(ignore, way, tmp_path):
    log = tmp_path / "pids"
    code = FAMILY.format(ignore=ignore).replace(
        "print(os.getpid(), child.pid, flush=True)",
        f"time.sleep(0.2); log = open({str(log)!r} + '.new', 'w')\n"
        "log.write(f'{os.getpid()} {child.pid}'); log.close()\n"
        f"os.rename(log.name, {str(log)!r}); print('up', flush=True)",
    )
    model = python(code, grace=0.5)
    recorder = Recorder()
    config = {"callbacks": [recorder]}
    if way == "stream":
        stream = model.stream("x", config)
        await asyncio.to_thread(next, stream)
        await asyncio.to_thread(stream.close)
    elif way == "astream":
        stream = model.astream("x", config)
        await anext(stream)
        await stream.aclose()
    else:
        task = asyncio.create_task(model.ainvoke("x", config))
        assert await eventually(log.exists)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await asyncio.to_thread(gone, log)
    assert recorder.ends() == ["on_llm_error"]


LEFT = """
import asyncio, sys
from chatwright import ChatCommand

model = ChatCommand(["sh", "-c", sys.argv[1]], grace=0.3)

async def first():
    async for _ in model.astream("x"):
        break

asyncio.run(first())
"""


def test_E4_nothing_outlives_a_loop(tmp_path):
    log = tmp_path / "pid"
    script = f"echo $$ > {log}; trap '' TERM; echo up; sleep 60"
    # In a process of its own: asyncio warns of what its loop did not live to close.
    subprocess.run([sys.executable, "-c", LEFT, script], check=True)
    assert gone(log)


def test_A5_a_loop_that_ends_at_once_leaves_no_program_unaccounted_for(monkeypatch):
    complaints = []
    monkeypatch.setattr(sys, "unraisablehook", lambda each: complaints.append(each.exc_value))
    model = ChatCommand(["echo", "hi"])
    for _ in range(50):  # it ends by itself, while the stop sequence has it ended
        assert asyncio.run(model.ainvoke("x", stop=["h"])).text == "h"
    gc.collect()
    assert complaints == []


def test_E4_a_second_cancel_leaves_no_program_unaccounted_for(monkeypatch, tmp_path):
    complaints = []
    monkeypatch.setattr(sys, "unraisablehook", lambda each: complaints.append(each.exc_value))
    model = shell(f"trap '' TERM; touch {tmp_path}/up; sleep 600", grace=0.5)

    async def cancelled_twice():
        call = asyncio.create_task(model.ainvoke("x"))
        assert await eventually((tmp_path / "up").exists)
        for _ in range(2):  # as anyio's scopes do
            call.cancel()
            await asyncio.sleep(0.03)
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(cancelled_twice())
    gc.collect()
    assert complaints == []


def test_P6_a_stop_sequence_ends_the_program(tmp_path):
    log = tmp_path / "pid"
    model = shell(f"echo $$ > {log}; echo one END two; sleep 60")
    assert model.invoke("x", stop=["END"]).text == "one END"
    assert gone(log)


def test_a_command_pickles_and_explains_itself():
    model = ChatCommand(["cat", "{model}"], model="m", variables={"A": "b"})
    assert pickle.loads(pickle.dumps(model)) == model
    explained = model.explain("hi")
    assert explained["command"] == ["cat", "m"]
    assert explained["stdin"] == "hi\n"
    assert "A" in explained["environment"]


async def test_A3_programs_run_side_by_side(tmp_path):
    all_there = f"set -- {tmp_path}/*; until [ $# = 20 ]; do sleep 0.1; set -- {tmp_path}/*; done"
    model = shell(f"touch {tmp_path}/$$; {all_there}; cat")
    answers = await asyncio.gather(*[model.ainvoke(f"n{n}") for n in range(20)])
    assert [each.text for each in answers] == [f"n{n}" for n in range(20)]


@pytest.mark.parametrize(
    "script",
    [
        "echo hi; sleep 90 >/dev/null & sleep .2; exec >&-; sleep .05; exit 0",
        "echo hi; sleep 90 >/dev/null & exit 0",
        "echo hi; sleep 90 & exit 0",
    ],
)
def test_a_child_that_holds_the_pipes_does_not_hold_the_answer(script):
    started = time.monotonic()
    assert shell(script).invoke("x").text == "hi"
    assert time.monotonic() - started < 80


async def test_E4_cancelling_while_a_program_starts_does_not_wait_for_it():
    others = {*psutil.Process().children()}  # multiprocessing's, for one
    for n in range(12):
        task = asyncio.create_task(shell("sleep 600; true").ainvoke("x"))
        await asyncio.sleep(0.0002 * n)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await eventually(lambda: {*psutil.Process().children()} <= others)
    await asyncio.sleep(0.3)  # for asyncio to see the last of them end


def test_secrets_are_masked_before_what_shows_them_is_cut():
    code = "import os, sys; sys.stderr.write(os.environ['TOKEN'] + 'y' * 2040); sys.exit(2)"
    with pytest.raises(EngineError) as caught:
        python(code, variables={"TOKEN": "sk-canary-9"}).invoke("x")
    assert "canary" not in str(caught.value)
    assert "ary-9" not in str(caught.value)
