"""Agents that speak the Agent Client Protocol: a scripted one on its own library, and no agents."""

import asyncio
import contextlib
import logging
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool

from chatwright import (
    AuthenticationError,
    ChatCommand,
    ContentError,
    EngineError,
    LoadError,
    MissingExtraError,
    OutputError,
    SourceTimeoutError,
    load,
)
from chatwright.wrap.acp import kept
from chatwright.wrap.acp.permission import is_allowed
from chatwright.wrap.acp.prompt import prompt_of
from chatwright.wrap.acp.updates import Updates
from contract.subjects import MODES
from waiting import eventually, soon

AGENT = str(Path(__file__).with_name("acp_agent.py"))
PIXEL = "iVBORw0KGgo="


def agent(*options, **fields):
    return ChatCommand([sys.executable, "-I", AGENT, *options], protocol="acp", **fields)


def program(code, **fields):
    return ChatCommand([sys.executable, "-I", "-S", "-c", code], protocol="acp", **fields)


def thread(name):
    return {"configurable": {"thread_id": name}}


def reasoning(message):
    return message.additional_kwargs["reasoning_content"]


def alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def keeps():
    """Give models whose sessions end with the test."""
    made = []

    def make(*options, **fields):
        made.append(agent(*options, **fields))
        return made[-1]

    yield make
    for each in made:
        each.close()


# An answer.

ALL = """think Let me see.
tool Read file | read | completed
plan
say Hello,
say \tyou.
usage 30 10 5 3 10 5
stop max_tokens"""
THOUGHT = """Let me see.
Read file (read): pending
Read file (read): completed
Plan:
- [x] look
- [ ] act
"""


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
async def test_text_is_the_answer_and_steps_are_reasoning_in_every_mode(mode):
    answer = await mode(agent(), ALL)
    assert answer.text == "Hello,\tyou."
    told = answer.additional_kwargs.get("reasoning_content")
    if told is None:  # v1 content, as v3 has it
        told = "".join(each["reasoning"] for each in answer.content if each["type"] == "reasoning")
    assert told == THOUGHT
    assert answer.response_metadata["finish_reason"] == "length"
    assert answer.response_metadata["stop_reason"] == "max_tokens"
    assert answer.usage_metadata["input_tokens"] == 25
    assert answer.usage_metadata["input_token_details"] == {"cache_read": 10, "cache_creation": 5}
    assert answer.usage_metadata["output_token_details"] == {"reasoning": 3}


async def test_pieces_come_while_the_agent_is_at_work(tmp_path):
    go = tmp_path / "go"
    seen = []
    async for chunk in agent().astream(f"say one\nthink two\nwait {go}\nsay three"):
        seen.append(chunk.text or reasoning(chunk) if chunk.additional_kwargs else chunk.text)
        if "two" in seen:
            assert go.exists() or "three" not in seen
            go.touch()
    assert [each for each in seen if each] == ["one", "two", "three"]


def test_messages_that_a_step_parts_are_parted_by_an_empty_line():
    assert agent().invoke("say Let me look.\ntool x | read | failed\nsay It is 3.").text == (
        "Let me look.\n\nIt is 3."
    )
    assert agent().invoke("say a\nthink b\nsay c").text == "ac"


def test_an_image_is_a_block_of_the_answer():
    (block,) = agent().invoke("image").content_blocks
    assert (block["type"], block["base64"]) == ("image", "iVBO")


@pytest.mark.parametrize(
    ("told", "finish"),
    [("end_turn", "stop"), ("max_turn_requests", "length"), ("refusal", "refusal")],
)
def test_stop_reasons_are_finish_reasons(told, finish):
    answer = agent().invoke(f"say x\nstop {told}")
    assert answer.response_metadata["finish_reason"] == finish
    assert answer.response_metadata["stop_reason"] == told


def test_an_answer_that_the_agent_cancels_is_no_answer():
    with pytest.raises(EngineError, match="was cancelled") as caught:
        agent().invoke("say half\nstop cancelled")
    assert caught.value.partial_text == "half"


@pytest.mark.parametrize(
    ("numbers", "counted"),
    [
        ("15 10 5", (10, 5)),
        ("15 10 5 3 8 1", (10, 5)),  # all of it within the two
        ("24 10 5 0 8 1", (19, 5)),  # the cache beside them
        ("27 10 5 3 8 1", (19, 8)),
        ("18 10 5 3 8 1", (10, 8)),
    ],
)
def test_tokens_are_those_of_the_whole_prompt_and_answer(numbers, counted):
    usage = agent().invoke(f"say x\nusage {numbers}").usage_metadata
    assert (usage["input_tokens"], usage["output_tokens"]) == counted


def test_stop_sequences_and_bound_tools_are_done_for_it():
    @tool
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    assert agent().invoke("say 1 2 3 4\nsleep", stop=["3"]).text == "1 2 3"
    call = 'say <tool_call>{"name": "add", "arguments": {"a": 1, "b": 2}}</tool_call>'
    answer = agent().bind_tools([add]).invoke(call)
    assert [each["args"] for each in answer.tool_calls] == [{"a": 1, "b": 2}]


# Prompts.


def test_the_last_message_goes_as_it_is_behind_the_rest():
    history = [
        SystemMessage("Be."),
        HumanMessage("Hi."),
        AIMessage("Hello."),
        HumanMessage("prompt"),
    ]
    before, last = prompt_of(history, {}, "x")
    assert last["text"] == "prompt"
    assert (
        agent().invoke(history).text
        == before["text"] + last["text"]
        == (
            "Be.\n\nThe conversation so far:\n\nUser: Hi.\n\nAssistant: Hello.\n\n"
            "What is said now:\n\nprompt"
        )
    )


def test_a_conversation_that_ends_with_an_answer_is_gone_on_with():
    before, last = prompt_of([HumanMessage("Hi."), AIMessage("He")], {}, "x")
    assert before["text"].endswith("Assistant: He\n\nWhat is said now:\n\n")
    assert last["text"] == "Go on from there."
    with pytest.raises(ContentError, match="nothing to ask"):
        prompt_of([HumanMessage("")], {}, "x")


def test_images_and_files_go_where_the_agent_takes_them():
    image = {"type": "image", "base64": PIXEL, "mime_type": "image/png"}
    file = {"type": "file", "base64": PIXEL, "mime_type": "application/pdf"}
    link = {"type": "file", "url": "https://x.example/a.pdf"}
    text = {"type": "text", "text": "blocks"}

    def ask(model, *blocks):
        return model.invoke([HumanMessage([*blocks, text])]).text

    assert ask(agent("image", "embedded"), image, file, link) == "image,resource,resource_link,text"
    assert ask(agent(), link) == "resource_link,text"
    with pytest.raises(ContentError, match="promptCapabilities lack 'image'"):
        ask(agent(), image)
    with pytest.raises(ContentError, match="lack 'embeddedContext'"):
        ask(agent("image"), file)
    with pytest.raises(ContentError, match="'image' content in this form"):
        ask(agent("image"), {"type": "image", "url": "https://x.example/a.png"})
    with pytest.raises(ContentError, match="does not take 'video'"):
        ask(agent("image"), {"type": "video", "base64": PIXEL, "mime_type": "video/mp4"})


def test_explain_shows_the_prompt():
    told = agent().explain("hi")
    assert [{"type": "text", "text": "hi"}] in told.values() or "hi" in str(told)


# Permissions.


def test_what_is_not_allowed_is_denied_and_told(caplog):
    with caplog.at_level(logging.WARNING):
        answer = agent().invoke("ask Run ls | execute")
    assert answer.text == "<reject_once>"
    assert "Permission denied: Run ls" in reasoning(answer)
    assert "allow=['Run ls'] or allow=['execute'] would allow it" in caplog.text


@pytest.mark.parametrize("allow", ["run LS", "Run*", "execute", "*"])
def test_what_is_allowed_by_name_title_or_kind_is_allowed_once(allow):
    answer = agent(allow=["other", allow]).invoke("ask Run ls | execute")
    assert answer.text == "<allow_once>"
    assert "Permission given: Run ls" in reasoning(answer)


def test_a_name_allows_itself_and_nothing_longer():
    assert is_allowed(["git status"], ["git status"])
    assert not is_allowed(["git status; rm -rf /"], ["git status"])
    assert not is_allowed(["git"], ["git status", ""])


def test_without_an_option_to_choose_the_request_is_cancelled():
    model = agent("choices=allow_once")
    assert model.invoke("ask x").text == "<cancelled>"
    model = agent("choices=reject_always", allow=["x"])
    answer = model.invoke("ask x")
    assert answer.text == "<reject_always>"
    assert "no option of the agent's allows it" in reasoning(answer)


def test_files_and_terminals_are_refused():
    assert agent().invoke("files").text == "<-32601><-32601>"


# Failure.


def test_who_has_to_log_in_first_is_told_how():
    with pytest.raises(AuthenticationError, match=r"Log in: Run `agent login`.*variables="):
        agent("auth").invoke("x")


def test_another_version_of_the_protocol_is_named():
    with pytest.raises(EngineError, match=r"speaks version 7 .* Chatwright version 1"):
        agent("version=7").invoke("x")


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
async def test_a_failure_by_the_protocol_has_its_code_and_words(mode):
    model = agent(variables={"TOKEN": "sk-canary-9"}, environment=[])
    with pytest.raises(EngineError, match=r"No luck: \*\*\* \(JSON-RPC error -32603\)") as caught:
        await mode(model, "say half\nfail -32603 No luck")
    assert "sk-canary-9" not in str(caught.value) + caught.value.body
    assert caught.value.partial_text == "half"


def test_an_agent_that_dies_is_an_error_with_the_end_of_its_stderr():
    with pytest.raises(EngineError, match=r"exit status 3: .*the reason") as caught:
        agent().invoke("say half\ndie 3")
    assert caught.value.partial_text == "half"
    with pytest.raises(EngineError, match="ended before it had answered: the reason"):
        agent().invoke("die 0")


ECHO = "import sys\nfor line in sys.stdin: print(line, flush=True)"
WRONG = """
import time
print('{"jsonrpc": "2.0", "id": 0, "result": {"a": 1}}', flush=True)
time.sleep(9)
"""


@pytest.mark.parametrize(
    ("code", "error", "told"),
    [
        ("print('usage: prog')", EngineError, r"ended before .*belong: usage: prog \(is it a pro"),
        ("import sys; sys.exit('no such flag')", EngineError, r"status 1: no such flag \(is it"),
        ("import os, time; os.close(1); time.sleep(9)", EngineError, "closed its output before"),
        (
            ECHO,
            EngineError,
            "Method not found",
        ),
        ("print('{nonsense')", EngineError, r"ended before .*belong: \{nonsense"),
        ("print('{\"jsonrpc\": nonsense', flush=True)", OutputError, "no JSON"),
        (
            WRONG,
            OutputError,
            "not of the Ag",
        ),
    ],
)
def test_a_program_that_is_no_agent_is_told(code, error, told):
    with pytest.raises(error, match=told):
        program(code).invoke("x")


def test_a_program_that_hangs_is_given_up():
    code = "import sys, time; print('loading', file=sys.stderr, flush=True); time.sleep(60)"
    with pytest.raises(SourceTimeoutError, match=r"not ready in 1 s \(start_timeout\): loading"):
        program(code, start_timeout=1).invoke("x")


def test_endless_output_is_bounded():
    with pytest.raises(EngineError, match="wrote more than 100000 bytes"):
        program("while True: print('y')", max_output_bytes=100000).invoke("x")
    with pytest.raises(EngineError, match="wrote more than 9999 bytes"):
        agent(max_output_bytes=9999).invoke("say x\n" * 1000)


@pytest.mark.parametrize(
    ("limit", "steps"),
    [
        ({"first_token_timeout": 0.2}, "sleep"),
        ({"token_timeout": 0.2}, "say x\nsleep"),
        ({"timeout": 0.2}, "say x\nsleep"),
    ],
)
def test_every_time_limit_holds(limit, steps):
    with pytest.raises(SourceTimeoutError, match=next(iter(limit))):
        agent(**limit).invoke(steps)


def test_noise_between_messages_is_no_matter_but_half_a_message_is():
    assert agent("greet").invoke("noise\nsay a\nnewer\nsay b").text == "ab"
    with pytest.raises(OutputError, match="no JSON"):
        agent().invoke("say a\nbroken\nsay b")


def test_a_log_on_stdout_is_no_message():
    assert agent().invoke('say a\nprint {"level": "info"}\nprint {broken\nsay b').text == "ab"


def test_a_turn_that_ends_without_a_word_is_an_error():
    with pytest.raises(OutputError, match="said nothing"):
        agent().invoke("print nothing")
    assert agent().invoke("think Hm.").text == ""


def test_a_program_that_is_not_there_is_named(tmp_path):
    with pytest.raises(LoadError, match="'no-such-agent' can't be run"):
        load("acp:no-such-agent").invoke("x")
    with pytest.raises(LoadError, match="can't be run in cwd="):
        agent(cwd=str(tmp_path / "no")).invoke("x")


def test_fields_of_the_other_protocol_are_refused():
    with pytest.raises(ValueError, match="allow is an agent's"):
        ChatCommand(["cat"], allow=["x"])
    with pytest.raises(ValueError, match="transcript is no agent's"):
        agent(transcript="plain")
    with pytest.raises(ValueError, match="by the protocol alone"):
        ChatCommand(["x", "{prompt}"], protocol="acp")


def test_the_extra_is_named_where_it_lacks(monkeypatch):
    monkeypatch.delitem(sys.modules, "chatwright.wrap.acp.kept")
    monkeypatch.delattr("chatwright.wrap.acp.kept", raising=False)
    monkeypatch.setitem(sys.modules, "chatwright.wrap.acp.session", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'chatwright\[acp\]'"):
        agent()


# Loading.


def test_a_string_names_an_agent():
    model = load(f"acp:{sys.executable} '{AGENT}' greet", allow=["x"])
    assert model.command == [sys.executable, AGENT, "greet"]
    assert model.invoke("say hi").text == "hi"
    assert pickle.loads(pickle.dumps(model)).invoke("say hi").text == "hi"
    for string, told in (("acp:", "names no command"), ("acp:x 'y", "can't be split")):
        with pytest.raises(LoadError, match=told):
            load(string)


# The end.


@pytest.mark.parametrize("way", ["stream", "astream", "ainvoke", "stop"])
async def test_leaving_an_answer_cancels_it_and_ends_the_group(way, tmp_path):
    log = tmp_path / "cancelled"
    model = agent(f"log={log}", grace=1.0)
    said = "child\nsleep"
    if way == "stream":
        stream = model.stream(said)
        pids = await asyncio.to_thread(lambda: next(each.text for each in stream if each.text))
        await asyncio.to_thread(stream.close)
    elif way == "astream":
        stream = model.astream(said)
        async for chunk in stream:
            if pids := chunk.text:
                break
        await stream.aclose()
    elif way == "ainvoke":
        told = tmp_path / "pids"
        task = asyncio.ensure_future(model.ainvoke(f"child\nwait {told}\nsleep"))
        me = psutil.Process()
        await eventually(lambda: len(me.children(recursive=True)) >= 2)
        pids = " ".join(str(each.pid) for each in me.children(recursive=True))
        await asyncio.sleep(0.3)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    else:
        pids = (await model.ainvoke("child\nsay  END\nsleep", stop=["END"])).text.split("END")[0]
    assert await eventually(lambda: not any(alive(int(each)) for each in pids.split()))
    assert log.read_text() == "s0"


def test_nothing_of_it_is_left_after_an_answer():
    pids = agent().invoke("child").text.split()
    assert soon(lambda: not any(alive(int(each)) for each in pids))


async def test_many_at_once_have_sessions_of_their_own():
    model = agent()
    answers = await asyncio.gather(*(model.ainvoke(f"say {n}\npid") for n in range(6)))
    assert [each.text[0] for each in answers] == [*"012345"]
    assert len({each.text[1:] for each in answers}) == 6


# Threads.


def test_a_thread_keeps_its_session_and_is_told_what_is_new(keeps):
    model = keeps()
    config = thread("kept")
    history = [HumanMessage("turns")]
    for turn in range(1, 4):
        answer = model.invoke(history, config)
        assert answer.text == f"s0 {turn} 1"
        history += [answer, HumanMessage("turns")]
    assert model.invoke(history, thread("another")).text == "s0 1 2"
    assert model.invoke(history).text == "s0 1 2"


async def test_a_thread_is_one_for_sync_and_async_code_and_for_all_loops(keeps):
    model = keeps()
    config = thread("loops")
    history = [HumanMessage("pid")]
    pids = []

    def by_loop():
        return asyncio.run(model.ainvoke(history, config))

    for ask in (
        lambda: model.invoke(history, config),
        by_loop,
        by_loop,
        lambda: model.bind(temperature=0.5).invoke(history, config),
    ):
        answer = await asyncio.to_thread(ask)
        pids.append(answer.text)
        history += [answer, HumanMessage("pid")]
    async for chunk in model.astream(history, config):
        pids[-1:] = [*pids[-1:], chunk.text] if chunk.text else pids[-1:]
    assert len({*pids}) == 1


@pytest.mark.parametrize(
    "history",
    [
        [HumanMessage("other"), AIMessage("{0}"), HumanMessage("pid")],
        [HumanMessage("pid"), AIMessage("other"), HumanMessage("pid")],
        [SystemMessage("Be."), HumanMessage("pid"), AIMessage("{0}"), HumanMessage("pid")],
        [HumanMessage("pid"), AIMessage("{0}"), SystemMessage("Be."), HumanMessage("pid")],
        [HumanMessage("pid"), AIMessage("{0}"), AIMessage("more"), HumanMessage("pid")],
        [HumanMessage("pid")],
    ],
)
def test_a_history_that_differs_gets_a_new_session(history, keeps):
    model = keeps()
    first = model.invoke("pid", thread("differs"))
    told = [type(each)(each.text.replace("{0}", first.text)) for each in history]
    second = model.invoke(told, thread("differs"))
    assert second.text != first.text
    assert soon(lambda: not alive(int(first.text)))
    assert alive(int(second.text))


def test_an_answer_that_is_left_or_fails_or_is_refused_ends_the_session(keeps):
    model = keeps()
    for steps in ("pid\nsay  \nsleep", "pid\nfail -32603 no", "pid\nstop refusal"):
        pids = []
        with contextlib.suppress(EngineError):
            for chunk in model.stream(steps, thread("left")):
                if chunk.text:
                    pids.append(int(chunk.text))
                    if "sleep" in steps:
                        break
        assert soon(lambda pids=pids: not alive(pids[0]))


def test_an_agent_that_has_died_meanwhile_is_started_anew(keeps):
    model = keeps()
    first = model.invoke("pid", thread("died"))
    psutil.Process(int(first.text)).kill()
    assert soon(lambda: not alive(int(first.text)))
    time.sleep(0.4)  # for its pipes to close
    answer = model.invoke([HumanMessage("pid"), first, HumanMessage("pid")], thread("died"))
    assert alive(int(answer.text))


def test_a_kept_session_ends_after_a_while_and_at_close(keeps):
    model = keeps(idle_timeout=0.2)
    pid = int(model.invoke("pid", thread("idle")).text)
    assert soon(lambda: not alive(pid))
    model = keeps()
    pid = int(model.invoke("pid", thread("idle")).text)
    assert alive(pid)
    model.close()
    assert soon(lambda: not alive(pid))
    assert not kept._places


def test_a_session_that_is_too_many_ends(keeps, monkeypatch):
    monkeypatch.setattr(kept, "MOST", 2)
    model = keeps()
    pids = [int(model.invoke("pid", thread(f"many {n}")).text) for n in range(3)]
    assert soon(lambda: not alive(pids[0]))
    assert all(map(alive, pids[1:]))


def test_kept_sessions_end_with_the_interpreter():
    code = (
        "import sys\nfrom chatwright import ChatCommand\n"
        f"model = ChatCommand([sys.executable, '-I', {AGENT!r}], protocol='acp')\n"
        "print(model.invoke('child', {'configurable': {'thread_id': 1}}).text)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert soon(lambda: not any(alive(int(each)) for each in done.stdout.split()))


async def test_a_thread_gives_one_answer_at_a_time(keeps, tmp_path):
    model = keeps(first_token_timeout=20)
    go = tmp_path / "go"
    first = asyncio.ensure_future(model.ainvoke(f"say 1\nwait {go}", thread("turns")))
    await asyncio.sleep(1.0)
    second = asyncio.ensure_future(model.ainvoke("say 2", thread("turns")))
    await asyncio.sleep(0.5)
    assert not second.done()
    go.touch()
    assert [(await each).text for each in (first, second)] == ["1", "2"]
    slow = model.astream("say 1\nsleep", thread("turns"))
    await anext(slow)
    hasty = keeps(first_token_timeout=0.2)
    with pytest.raises(SourceTimeoutError, match="'turns' is still at another answer"):
        await hasty.ainvoke("x", thread("turns"))
    await slow.aclose()


def test_threads_of_python_share_the_sessions(keeps):
    model = keeps()
    answers = {}

    def ask(n):
        answers[n] = model.invoke(f"say {n}", thread(f"python {n}")).text

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert answers == {n: str(n) for n in range(4)}


# Updates.


def test_updates_are_read_leniently_but_never_guessed_at():
    updates = Updates()
    chunk = {"sessionUpdate": "agent_message_chunk"}
    assert updates.read({"sessionUpdate": "tomorrow's", "x": 1}) == []
    call = {"sessionUpdate": "tool_call", "toolCallId": "1", "title": "T", "kind": "new kind"}
    assert [each.text for each in updates.read(call)] == ["T (new kind): pending\n"]
    assert updates.read({**call, "content": []}) == []  # nothing that is told has changed
    one = {**chunk, "messageId": "1", "content": {"type": "text", "text": "a"}}
    two = {**chunk, "messageId": "2", "content": {"type": "text", "text": "b"}}
    assert [each for update in (one, one, two) for each in updates.read(update)] == [
        *("a", "a", "\n\n", "b"),
    ]
    assert updates.read({"new": 1}) == []
    for bad in (chunk, {**chunk, "content": {"type": "text"}}, {**chunk, "content": None}):
        with pytest.raises(OutputError, match="can't be read"):
            updates.read(bad)


@pytest.mark.parametrize(
    ("content", "block"),
    [
        ({"type": "audio", "data": "AA", "mimeType": "audio/wav"}, "audio"),
        ({"type": "resource_link", "uri": "https://x.example/a", "name": "a"}, "file"),
        ({"type": "resource", "resource": {"uri": "u", "text": "t"}}, "text-plain"),
        ({"type": "resource", "resource": {"uri": "u", "blob": "AA"}}, "file"),
        ({"type": "tomorrow's"}, "non_standard"),
    ],
)
def test_content_beside_text_is_a_block(content, block):
    (read,) = Updates().read({"sessionUpdate": "agent_message_chunk", "content": content})
    assert read.block["type"] == block
