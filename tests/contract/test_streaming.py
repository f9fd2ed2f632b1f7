import threading

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk

from chatwright import Finish, Reasoning, Text, ToolCallDelta, Usage, chat_model
from chatwright.checks.calls.modes import Recorder
from chatwright.testing import ScriptedModel
from contract.subjects import MODES, total
from waiting import PATIENCE, eventually

VERSIONS = pytest.mark.parametrize("version", [None, "v1"])
COLOURS = pytest.mark.parametrize("runs_async", [False, True])


async def streamed(model, prompt, **kwargs):
    """Return the chunks by both colours; they have to be alike."""
    sync = list(model.stream(prompt, **kwargs))
    asynchronous = [each async for each in model.astream(prompt, **kwargs)]
    assert [each.content for each in sync] == [each.content for each in asynchronous]
    return sync


@VERSIONS
async def test_S1_streams_yield_only_chunks(subject, version):
    chunks = await streamed(subject.make(output_version=version), subject.prompt)
    assert {type(each) for each in chunks} == {AIMessageChunk}


async def test_S2_chunks_add_up_to_what_invoke_gives(subject, mode):
    model = subject.make()
    whole, other = model.invoke(subject.prompt), await mode(model, subject.prompt)
    assert other.text == whole.text == subject.text
    assert other.tool_calls == whole.tool_calls
    for key in ("finish_reason", "model_name", "model_provider"):
        assert other.response_metadata[key] == whole.response_metadata[key]


@VERSIONS
async def test_S3_exactly_one_chunk_is_the_last_and_the_model_sends_it(subject, version):
    model = subject.make(output_version=version)
    chunks = await streamed(model, subject.prompt)
    assert [each.chunk_position for each in chunks] == [None] * (len(chunks) - 1) + ["last"]
    own = list(model._stream(list(subject.prompt)))
    assert own[-1].message.chunk_position == "last"
    assert len(own) == len(chunks)


async def test_S4_all_chunks_share_one_id(subject):
    model = subject.make()
    for chunks in (
        list(model.stream(subject.prompt)),
        [each async for each in model.astream(subject.prompt)],
    ):
        assert len({each.id for each in chunks}) == 1
        assert chunks[0].id


@VERSIONS
@COLOURS
async def test_S5_content_is_of_one_kind_within_a_stream(version, runs_async):
    script = [Reasoning("hm"), "a", ToolCallDelta(0, "1", "look", "{}"), "b", Finish()]
    model = ScriptedModel(script=script, runs_async=runs_async, output_version=version)
    chunks = await streamed(model, "x")
    assert {type(each.content) for each in chunks} == {list if version else str}


async def test_S6_the_last_chunk_carries_the_metadata(subject):
    chunks = await streamed(subject.make(), subject.prompt)
    assert chunks[-1].response_metadata["normalized_finish_reason"] in {"stop", "length"}
    assert chunks[-1].response_metadata["model_name"] == subject.make().model_name


@VERSIONS
async def test_S7_S8_no_metadata_stands_on_two_chunks(subject, version):
    chunks = await streamed(subject.make(output_version=version), subject.prompt)
    keys = [key for each in chunks for key in each.response_metadata if key != "output_version"]
    assert len(keys) == len(set(keys))
    assert keys


@COLOURS
@pytest.mark.parametrize("way", ["stream", "astream", "v3", "async_v3"])
async def test_S9_the_first_chunk_arrives_before_the_source_is_done(runs_async, way):
    seen = threading.Event()

    @chat_model
    def sync(messages):
        yield "a"
        assert seen.wait(PATIENCE)
        yield "b"

    @chat_model
    async def asynchronous(messages):
        yield "a"
        assert await eventually(seen.is_set)
        yield "b"

    model = asynchronous if runs_async else sync
    if way == "stream":
        first = next(stream := model.stream("x")).text
        seen.set()
        stream.close()
    elif way == "astream":
        first = (await anext(stream := model.astream("x"))).text
        seen.set()
        await stream.aclose()
    elif way == "v3":
        first = next(iter(model.stream_events("x", version="v3").text))
        seen.set()
    else:
        stream = await model.astream_events("x", version="v3")
        first = await anext(aiter(stream.text))
        seen.set()
        await stream.aclose()
    assert first == "a"


# events v1 and v3: core itself passes another argument of that name and fails.
@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream", "events_v2"])
async def test_S10_stream_among_the_parameters_is_tolerated(subject, way):
    answer = await MODES[way](subject.make(), subject.prompt, stream=True)
    assert answer.text == subject.text


@pytest.mark.parametrize(
    "fields", [{"disable_streaming": True}, {"streaming": False}], ids=lambda f: next(iter(f))
)
async def test_S11_streaming_can_be_disabled(subject, fields):
    model = subject.make(**fields)
    recorder = Recorder()
    config = {"callbacks": [recorder]}
    sync = list(model.stream(subject.prompt, config))
    asynchronous = [each async for each in model.astream(subject.prompt, config)]
    assert [type(each) for each in sync + asynchronous] == [AIMessage, AIMessage]
    assert sync[0].text == subject.text
    assert "on_llm_new_token" not in recorder.names()


async def test_S11_streaming_can_be_disabled_for_calls_with_tools():
    def lookup(word: str) -> str:
        """Look a word up."""

    model = ScriptedModel(script=["a", "b"], disable_streaming="tool_calling")
    assert len(list(model.stream("x"))) == 3
    assert len(list(model.stream("x", tools=[lookup]))) == 1


@COLOURS
@VERSIONS
async def test_S12_an_empty_completion_still_yields_a_chunk(runs_async, version):
    model = ScriptedModel(script=[""], runs_async=runs_async, output_version=version)
    (chunk,) = await streamed(model, "x")
    assert chunk.text == ""
    assert chunk.chunk_position == "last"
    for mode in MODES.values():
        assert (await mode(model, "x")).text == ""


async def test_S13_under_v1_the_text_is_one_block(subject):
    model = subject.make(output_version="v1")
    for whole in (
        total(list(model.stream(subject.prompt))),
        total([each async for each in model.astream(subject.prompt)]),
        model.invoke(subject.prompt),
    ):
        assert [block["type"] for block in whole.content] == ["text"]
        assert whole.content[0]["text"] == subject.text


@COLOURS
async def test_S2_under_v1_blocks_keep_their_order_in_every_mode(mode, runs_async):
    script = ["a", Reasoning("r"), "b", ToolCallDelta(0, "1", None), ToolCallDelta(0, name="f")]
    model = ScriptedModel(script=script, runs_async=runs_async, output_version="v1")
    answer = await mode(model, "x")
    kinds = [block["type"] for block in answer.content_blocks]
    assert kinds == ["text", "reasoning", "text", "tool_call"]
    assert answer.tool_calls[0]["name"] == "f"


async def test_nulls_inside_deltas_are_empty(mode):
    script = [Text(None), Reasoning(None), "a", ToolCallDelta(0, "1", "f", None)]
    answer = await mode(ScriptedModel(script=script), "x")
    assert answer.text == "a"
    assert answer.tool_calls[0]["args"] == {}


@COLOURS
async def test_reasoning_text_and_calls_survive_in_every_mode(mode, runs_async):
    script = [
        *[Reasoning("first "), Reasoning("think")],
        *["then ", "speak"],
        *[ToolCallDelta(0, "c1", "look", '{"at": '), ToolCallDelta(0, args='"sky"}')],
        ToolCallDelta(1, None, "wait"),
        Usage(1, 2),
        Finish("tool_calls"),
    ]
    for version in (None, "v1"):
        model = ScriptedModel(script=script, runs_async=runs_async, output_version=version)
        answer = await mode(model, "x")
        assert answer.text == "then speak"
        assert [c["name"] for c in answer.tool_calls] == ["look", "wait"]
        assert [c["args"] for c in answer.tool_calls] == [{"at": "sky"}, {}]
        assert answer.tool_calls[0]["id"] == "c1"
        assert answer.tool_calls[1]["id"]
        blocks = [block["type"] for block in answer.content_blocks]
        assert blocks == ["reasoning", "text", "tool_call", "tool_call"]
        assert answer.content_blocks[0]["reasoning"] == "first think"
        assert answer.usage_metadata["total_tokens"] == 3
        assert answer.response_metadata["normalized_finish_reason"] == "tool_calls"
