import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableLambda
from langchain_tests.utils.stream_lifecycle import assert_valid_event_stream
from langgraph.graph import END, START, MessagesState, StateGraph

from chatwright import ToolCallDelta, Usage
from chatwright.checks.calls.modes import Recorder
from chatwright.testing import Raise, ScriptedModel
from contract.subjects import MODES, total


async def test_C1_one_start_then_exactly_one_end(subject, mode):
    recorder = Recorder()
    await mode(subject.make(), subject.prompt, {"callbacks": [recorder]})
    assert recorder.names().count("on_chat_model_start") == 1
    assert recorder.names()[0] == "on_chat_model_start"
    assert recorder.ends() == ["on_llm_end"]
    assert recorder.names()[-1] == "on_llm_end"


@pytest.mark.parametrize("runs_async", [False, True])
@pytest.mark.parametrize("script", [[], ["a"]], ids=["at once", "after text"])
async def test_C1_or_exactly_one_error(mode, runs_async, script):
    model = ScriptedModel(script=[*script, Raise(KeyError("gone"))], runs_async=runs_async)
    recorder = Recorder()
    with pytest.raises(KeyError):
        await mode(model, "x", {"callbacks": [recorder]})
    assert recorder.ends() == ["on_llm_error"]


async def test_C2_a_token_callback_fires_per_chunk_with_a_real_chunk(subject):
    model, recorder = subject.make(), Recorder()
    chunks = list(model.stream(subject.prompt, {"callbacks": [recorder]}))
    tokens = [kwargs for name, _, kwargs in recorder.calls if name == "on_llm_new_token"]
    assert len(tokens) == len(chunks)
    assert all(type(each["chunk"]) is ChatGenerationChunk for each in tokens)
    assert "".join(each["chunk"].text for each in tokens) == subject.text
    recorder = Recorder()
    chunks = [e async for e in model.astream(subject.prompt, {"callbacks": [recorder]})]
    assert recorder.names().count("on_llm_new_token") == len(chunks)


async def test_C3_plain_invoke_fires_no_token_callback(subject):
    recorder = Recorder()
    subject.make().invoke(subject.prompt, {"callbacks": [recorder]})
    await subject.make().ainvoke(subject.prompt, {"callbacks": [recorder]})
    assert "on_llm_new_token" not in recorder.names()


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_C4_C5_events_are_start_stream_end(subject, version):
    events = [e async for e in subject.make().astream_events(subject.prompt, version=version)]
    names = [each["event"] for each in events]
    streamed = names[1:-1]
    assert names[0] == "on_chat_model_start"
    assert set(streamed) == {"on_chat_model_stream"}
    assert names[-1] == "on_chat_model_end"
    assert len({each["run_id"] for each in events}) == 1
    text = "".join(e["data"]["chunk"].text for e in events[1:-1])
    assert text == subject.text
    assert all(each["parent_ids"] == [] for each in events)


async def test_C5_only_start_and_end_when_streaming_is_disabled(subject):
    model = subject.make(disable_streaming=True)
    events = [e["event"] async for e in model.astream_events(subject.prompt, version="v2")]
    assert events == ["on_chat_model_start", "on_chat_model_end"]


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_C6_invoke_inside_a_chain_streams_under_astream_events(streaming, way):
    model = streaming.make()

    async def ask(prompt):
        return await MODES[way](model, prompt)

    chain = RunnableLambda(ask)
    events = [e async for e in chain.astream_events(list(streaming.prompt), version="v2")]
    streamed = [e for e in events if e["event"] == "on_chat_model_stream"]
    assert len(streamed) > 2
    assert "".join(e["data"]["chunk"].text for e in streamed) == streaming.text


async def test_C7_v3_is_a_valid_event_stream_of_v1_content(subject):
    model = subject.make()
    stream = model.stream_events(subject.prompt, version="v3")
    events = list(stream)
    assert_valid_event_stream(events)
    assert stream.output.response_metadata["output_version"] == "v1"
    astream = await model.astream_events(subject.prompt, version="v3")
    assert [e["event"] async for e in astream] == [e["event"] for e in events]
    assert_valid_event_stream([e async for e in astream])


@pytest.mark.parametrize("runs_async", [False, True])
async def test_C7_C8_calls_and_usage_equal_streams_in_v3(runs_async):
    script = [
        *["look ", ToolCallDelta(0, "a", "one", '{"x"'), ToolCallDelta(1, "b", "two", "{}")],
        *[ToolCallDelta(0, args=": 1}"), Usage(3, 4, {"cache_read": 2})],
    ]
    model = ScriptedModel(script=script, runs_async=runs_async)
    streamed = total(list(model.stream("x")))
    stream = model.stream_events("x", version="v3")
    assert_valid_event_stream(list(stream))
    for other in (stream.output, await MODES["async_v3"](model, "x")):
        assert other.text == streamed.text
        assert other.tool_calls == streamed.tool_calls
        assert other.usage_metadata == streamed.usage_metadata


async def test_C8_v3_text_and_usage_equal_streams(subject):
    model = subject.make()
    streamed = await MODES["stream"](model, subject.prompt)
    for way in ("v3", "async_v3"):
        other = await MODES[way](model, subject.prompt)
        assert other.text == streamed.text
        for key in ("input_tokens", "output_tokens"):
            assert other.usage_metadata[key] == streamed.usage_metadata[key]


async def test_C9_the_end_callbacks_message_equals_the_sum_of_the_chunks(subject):
    model, recorder = subject.make(), Recorder()
    chunks = list(model.stream(subject.prompt, {"callbacks": [recorder]}))
    (ended,) = [args[0] for name, args, _ in recorder.calls if name == "on_llm_end"]
    assert ended.generations[0][0].message == chunks[0] + chunks[1:]


def graph_of(model, **config):
    async def ask(state):
        return {"messages": [await model.ainvoke(state["messages"], config or None)]}

    graph = StateGraph(MessagesState)
    graph.add_node("ask", ask)
    graph.add_edge(START, "ask")
    graph.add_edge("ask", END)
    return graph.compile()


async def test_C10_langgraph_messages_mode_has_one_id_and_no_duplicate(streaming):
    app = graph_of(streaming.make())
    state = {"messages": list(streaming.prompt)}
    seen = [message async for message, _ in app.astream(state, stream_mode="messages")]
    assert {type(each) for each in seen} == {AIMessageChunk}
    assert len(seen) > 2
    assert len({each.id for each in seen}) == 1
    assert "".join(each.text for each in seen) == streaming.text


async def test_C10_nostream_is_honoured(streaming):
    app = graph_of(streaming.make(), tags=["nostream"])
    state = {"messages": list(streaming.prompt)}
    seen = [message async for message, _ in app.astream(state, stream_mode="messages")]
    assert [type(each) for each in seen] == [AIMessage]  # the state's own, not streamed


async def test_C11_langgraph_v3_messages_work(streaming):
    app = graph_of(streaming.make())
    run = await app.astream_events({"messages": list(streaming.prompt)}, version="v3")
    texts = [await message.text async for message in run.messages]
    assert texts == [streaming.text]
