import asyncio
import threading
import time

import pytest
from langchain_core.exceptions import (
    ContextOverflowError,
    ModelConnectionError,
    ModelError,
    ModelTimeoutError,
)
from langchain_core.messages import HumanMessage

from chatwright import ChatwrightError, InvalidRequestError, OutputError, chat_model
from chatwright.checks.calls.modes import Recorder
from chatwright.testing import Pause, Raise, ScriptedModel
from contract.subjects import MODES, SMOLLM2
from waiting import eventually

COLOURS = pytest.mark.parametrize("runs_async", [False, True])


ENDLESS = ["a", *([Pause(0.01), "b"] * 50_000)]


async def has_ended(model, answers):
    """Wait until so many answers have ended; return whether so many did, and not by themselves."""
    return (
        await eventually(lambda: model.closed == answers) and len(model.yielded) < len(ENDLESS) / 2
    )


@COLOURS
@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (TimeoutError("late"), ModelTimeoutError),
        (ConnectionResetError("gone"), ModelConnectionError),
    ],
)
async def test_E1_failures_become_langchains(mode, runs_async, raised, expected):
    model = ScriptedModel(script=["a", Raise(raised)], runs_async=runs_async)
    with pytest.raises(expected) as caught:
        await mode(model, "x")
    assert isinstance(caught.value, ChatwrightError)
    assert isinstance(caught.value, ModelError)
    assert caught.value.is_retryable
    assert "ScriptedModel.reply" in str(caught.value)


@COLOURS
async def test_E1_what_a_function_raises_is_passed_on_as_it_is(mode, runs_async):
    error = KeyError("mine")
    model = ScriptedModel(script=["a", Raise(error)], runs_async=runs_async)
    with pytest.raises(KeyError) as caught:
        await mode(model, "x")
    assert caught.value is error


async def test_E1_a_prompt_that_is_too_long_says_both_numbers(mode):
    with pytest.raises(ContextOverflowError, match=r"\d{4} tokens.*1024") as caught:
        await mode(SMOLLM2(), "hi " * 2000)
    assert caught.value.prompt_tokens > caught.value.context_tokens == 1024


async def test_E1_a_request_that_llama_cpp_refuses_is_invalid(mode, capfd):
    with pytest.raises(InvalidRequestError, match="grammar"):
        await mode(SMOLLM2(), "hi", grammar="root ::= (")
    capfd.readouterr()  # llama.cpp prints the grammar's fault


@COLOURS
@pytest.mark.parametrize("wrong", [3, ["a"], {"a": 1}, b"a", object()])
async def test_E1_a_wrong_item_names_the_source_and_the_value(mode, runs_async, wrong):
    model = ScriptedModel(script=["a", wrong], runs_async=runs_async)
    with pytest.raises(OutputError, match=r"ScriptedModel\.reply gave"):
        await mode(model, "x")


@COLOURS
async def test_E1_a_source_that_gives_nothing_is_an_error(mode, runs_async):
    model = ScriptedModel(script=[], runs_async=runs_async)
    with pytest.raises(OutputError, match=r"ScriptedModel\.reply"):
        await mode(model, "x")


@COLOURS
@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_E2_the_error_callback_gets_the_partial_text(runs_async, way):
    model = ScriptedModel(script=["half ", "an", Raise(KeyError("gone"))], runs_async=runs_async)
    recorder = Recorder()
    with pytest.raises(KeyError):
        await MODES[way](model, "x", {"callbacks": [recorder]})
    (response,) = [k["response"] for name, _, k in recorder.calls if name == "on_llm_error"]
    assert response.generations[0][0].text == "half an"


@COLOURS
async def test_E3_a_failure_before_the_first_chunk_lets_fallbacks_work(runs_async):
    failing = ScriptedModel(script=[Raise(ConnectionError("no"))], runs_async=runs_async)
    spare = ScriptedModel(script=["spare"])
    either = failing.with_fallbacks([spare])
    assert "".join(each.text for each in either.stream("x")) == "spare"
    assert "".join([each.text async for each in either.astream("x")]) == "spare"
    assert either.invoke("x").text == "spare"


@COLOURS
async def test_E4_closing_a_stream_stops_the_source_and_ends_the_run(runs_async):
    model = ScriptedModel(script=ENDLESS, runs_async=runs_async)
    recorder = Recorder()
    config = {"callbacks": [recorder]}
    stream = model.stream("x", config)
    next(stream)
    stream.close()
    assert await has_ended(model, 1)
    astream = model.astream("x", config)
    await anext(astream)
    await astream.aclose()
    assert await has_ended(model, 2)
    v3 = await model.astream_events("x", config, version="v3")
    await anext(aiter(v3.text))
    await v3.aclose()
    assert await has_ended(model, 3)
    assert recorder.ends() == ["on_llm_error"] * 3
    assert ScriptedModel(script=["ok"]).invoke("x").text == "ok"


@COLOURS
@pytest.mark.parametrize("way", ["ainvoke", "astream", "events_v2", "async_v3"])
async def test_E4_cancelling_stops_the_source_and_ends_the_run_once(runs_async, way):
    model = ScriptedModel(script=ENDLESS, runs_async=runs_async)
    recorder = Recorder()
    task = asyncio.create_task(MODES[way](model, "x", {"callbacks": [recorder]}))
    assert await eventually(lambda: model.yielded)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await has_ended(model, 1)
    assert recorder.ends() == ["on_llm_error"]


@COLOURS
async def test_E4_a_cancelled_ainvoke_that_streams_behind_ends_its_run_too(runs_async):
    model = ScriptedModel(script=ENDLESS, runs_async=runs_async, streaming=True)
    recorder = Recorder()
    task = asyncio.create_task(model.ainvoke("x", {"callbacks": [recorder]}))
    assert await eventually(lambda: model.yielded)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recorder.ends() == ["on_llm_error"]


@COLOURS
async def test_E4_a_source_that_cancels_itself_is_an_error_not_a_cancel(mode, runs_async):
    model = ScriptedModel(script=[Raise(asyncio.CancelledError())], runs_async=runs_async)
    recorder = Recorder()
    with pytest.raises(ModelError, match="cancelled itself"):
        await mode(model, "x", {"callbacks": [recorder]})
    assert recorder.ends() == ["on_llm_error"]


async def test_E4_a_cancelled_gguf_answer_frees_its_slot():
    model = SMOLLM2(n_parallel=1, max_tokens=400)
    started = time.perf_counter()
    await model.ainvoke("Write a long story.")
    whole = time.perf_counter() - started
    task = asyncio.create_task(model.ainvoke("Write a long story."))
    await asyncio.sleep(whole / 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    started = time.perf_counter()
    await model.ainvoke("hi", max_tokens=1)
    assert time.perf_counter() - started < whole / 2
    assert model.queue_size == 0


def test_E5_threads_do_not_mix(subject):
    prompts = [[HumanMessage(f"say: {word}")] for word in ("alpha", "beta", "gamma", "delta")]
    model = subject.make()
    expected = [model.invoke(each).text for each in prompts]
    got: dict[int, str] = {}

    def ask(number):
        got[number] = "".join(each.text for each in model.stream(prompts[number]))

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [got[n] for n in range(4)] == expected


async def test_E5_tasks_do_not_mix(subject):
    prompts = [[HumanMessage(f"say: {word}")] for word in ("alpha", "beta", "gamma", "delta")]
    model = subject.make()
    expected = [model.invoke(each).text for each in prompts]
    answers = await asyncio.gather(*[MODES["astream"](model, each) for each in prompts])
    assert [each.text for each in answers] == expected


async def test_E5_context_variables_reach_the_source(mode):
    import contextvars

    who = contextvars.ContextVar("who", default="nobody")

    @chat_model
    def sync(messages):
        yield who.get()

    @chat_model
    async def asynchronous(messages):
        yield who.get()

    token = who.set("me")
    try:
        assert (await mode(sync, "x")).text == "me"
        assert (await mode(asynchronous, "x")).text == "me"
    finally:
        who.reset(token)
