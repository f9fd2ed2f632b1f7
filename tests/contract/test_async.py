import asyncio
import functools
import subprocess
import sys
import threading

import pytest
from blockbuster import blockbuster_ctx
from langgraph.graph import END, START, MessagesState, StateGraph

from chatwright import Usage, chat_model
from chatwright.langchain import prices
from chatwright.testing import ScriptedModel
from contract.subjects import MODES, SUBJECTS
from waiting import PATIENCE


async def test_A1_an_async_source_is_driven_on_the_callers_loop_and_thread():
    seen = []

    @chat_model
    async def where(messages):
        seen.append((threading.get_ident(), id(asyncio.get_running_loop())))
        yield "ok"

    before = threading.active_count()
    await where.ainvoke("x")
    assert [each.text async for each in where.astream("x")] == ["ok", ""]
    assert set(seen) == {(threading.get_ident(), id(asyncio.get_running_loop()))}
    assert threading.active_count() == before


async def test_A1_a_sync_source_takes_one_thread_a_stream_and_the_loop_stays_responsive():
    seen, turned = set(), threading.Event()

    @chat_model
    def slow(messages):
        for _ in range(20):
            seen.add(threading.get_ident())
            turned.clear()
            assert turned.wait(PATIENCE)  # the loop goes on while this waits
            yield "x"

    async def turn():
        while True:
            await asyncio.sleep(0.001)
            turned.set()

    turning = asyncio.create_task(turn())
    assert len([each async for each in slow.astream("x")]) == 21
    turning.cancel()
    assert len(seen) == 1
    assert threading.get_ident() not in seen


async def test_A1_nothing_blocks_the_loop(subject):
    model = subject.make()
    await model.ainvoke(subject.prompt)  # weights are loaded, modules imported
    with blockbuster_ctx():
        assert (await model.ainvoke(subject.prompt)).text == subject.text
        assert "".join([e.text async for e in model.astream(subject.prompt)]) == subject.text
        stream = await model.astream_events(subject.prompt, version="v3")
        assert await stream.text == subject.text


async def test_A1_the_first_price_is_looked_up_off_the_loop(monkeypatch):
    monkeypatch.setattr(prices, "_genai_prices", functools.cache(prices._genai_prices.__wrapped__))
    for module in [each for each in sys.modules if each.partition(".")[0] == "genai_prices"]:
        monkeypatch.delitem(sys.modules, module)
    priced = ScriptedModel(script=["a", Usage(1_000_000, 0)], runs_async=True, model_name="gpt-4o")
    with blockbuster_ctx():
        answer = await priced.ainvoke("x")
    assert answer.response_metadata["cost"]["input"] == 2.5


@pytest.mark.parametrize("way", ["ainvoke", "astream", "async_v3"])
async def test_A1_a_tokenizer_is_asked_off_the_loop(way):
    asked = set()

    def tokenizer(text):
        asked.add(threading.get_ident())
        return [*text]

    for usage in ([], [Usage(3)], [Usage(3, 1)]):
        script = ["a", *usage]
        model = ScriptedModel(script=script, runs_async=True, custom_get_token_ids=tokenizer)
        assert (await MODES[way](model, "abc")).usage_metadata["total_tokens"] == 4
    assert asked
    assert threading.get_ident() not in asked


def test_A1_nothing_is_left_to_import_once_prices_are_ready():
    code = (
        "import sys; from chatwright.langchain import prices; prices._genai_prices(); "
        "assert prices.ready() and 'genai_prices.data' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_A2_sync_and_async_results_are_identical(subject, mode):
    model = subject.make()
    answer, other = await mode(model, subject.prompt), model.invoke(subject.prompt)
    assert answer.text == other.text
    for key in ("input_tokens", "output_tokens", "total_tokens"):
        assert answer.usage_metadata[key] == other.usage_metadata[key]


@pytest.mark.parametrize("runs_async", [False, True])
@pytest.mark.parametrize("way", ["ainvoke", "astream", "async_v3"])
async def test_A3_concurrent_calls_overlap(runs_async, way):
    all_there, came = threading.Barrier(8), []

    @chat_model
    def sync(messages):
        all_there.wait(PATIENCE)
        yield "a"

    @chat_model
    async def asynchronous(messages):
        came.append(1)
        while len(came) < 8:
            await asyncio.sleep(0.001)
        yield "a"

    model = asynchronous if runs_async else sync
    answers = await asyncio.gather(*[MODES[way](model, "x") for _ in range(8)])
    assert [each.text for each in answers] == ["a"] * 8


async def test_A3_gguf_answers_grow_at_once():
    (gguf,) = [each for each in SUBJECTS if each.name == "gguf"]
    model = gguf.make()
    answers = await asyncio.gather(*[model.ainvoke(gguf.prompt) for _ in range(8)])
    assert {each.text for each in answers} == {gguf.text}


async def test_A4_v3_works_sync_and_async(subject):
    model = subject.make()
    assert str(model.stream_events(subject.prompt, version="v3").text) == subject.text
    stream = await model.astream_events(subject.prompt, version="v3")
    assert await stream.text == subject.text


def test_A5_one_instance_works_across_loops_and_threads(subject):
    model = subject.make()
    for _ in range(2):
        assert asyncio.run(model.ainvoke(subject.prompt)).text == subject.text
    texts = []

    def ask():
        texts.append(model.invoke(subject.prompt).text)
        texts.append(asyncio.run(model.ainvoke(subject.prompt)).text)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == [subject.text] * 6


async def test_A5_sync_calls_work_inside_a_running_loop(subject):
    model = subject.make()
    assert model.invoke(subject.prompt).text == subject.text
    assert "".join(each.text for each in model.stream(subject.prompt)) == subject.text


@pytest.mark.parametrize("runs_async", [False, True])
async def test_A5_a_source_may_ask_another_model_synchronously(mode, runs_async):
    inner = ScriptedModel(script=["deep"], runs_async=True)

    if runs_async:

        @chat_model
        async def outer(messages):
            yield inner.invoke(messages).text
    else:

        @chat_model
        def outer(messages):
            yield inner.invoke(messages).text

    assert (await mode(outer, "x")).text == "deep"


async def test_A5_a_graph_may_be_run_either_way(subject):
    model = subject.make()
    graph = StateGraph(MessagesState)
    graph.add_node("ask", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_edge(START, "ask")
    graph.add_edge("ask", END)
    app = graph.compile()
    state = {"messages": list(subject.prompt)}
    assert app.invoke(state)["messages"][-1].text == subject.text
    assert (await app.ainvoke(state))["messages"][-1].text == subject.text
