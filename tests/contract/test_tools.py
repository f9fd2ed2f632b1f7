"""The contract's section Tools, over every source, in every mode."""

import functools
import itertools
import json
import operator
from typing import TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.load import dumps, loads
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    message_chunk_to_message,
)
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables.base import RunnableBinding
from langchain_core.tools import tool
from pydantic import BaseModel, Field
from pydantic.v1 import BaseModel as BaseModelV1

from chatwright import HERMES, Finish, MissingCallError, ParameterError, ToolCallDelta, chat_model
from chatwright.checks.calls.modes import Recorder
from chatwright.testing import ScriptedModel
from contract.scripted import NATIVE, NATIVE_SOURCES, TEXT_SOURCES, gguf
from contract.subjects import MODES, PROMPT, SMOLLM2, loaded, total


@tool
def look(city: str) -> str:
    """Look at the weather in a city."""
    return f"sunny in {city}"


@tool
def clock() -> str:
    """Tell the time."""
    return "noon"


def call_text(name, args):
    call = json.dumps({"name": name, "arguments": args}, ensure_ascii=False)
    return f"<tool_call>\n{call}\n</tool_call>"


LOOK = ("look", {"city": "Zürich 東京"})
CLOCK = ("clock", {})
TEXT = f"Let me look. {call_text(*LOOK)}\n{call_text(*CLOCK)}"
DELTAS = [
    *["Let me ", "look. "],
    ToolCallDelta(0, "a", "look", '{"city": '),
    ToolCallDelta(0, args='"Zürich 東京"}'),
    ToolCallDelta(1, "b", "clock", ""),
]


def pieces(text, size=3):
    return [text[at : at + size] for at in range(0, len(text), size)]


ANSWERS = [
    *((name, make, pieces(TEXT)) for name, make in {**TEXT_SOURCES, "gguf": gguf}.items()),
    *((name, make, DELTAS) for name, make in NATIVE_SOURCES.items()),
]


@pytest.fixture(params=ANSWERS, ids=lambda each: each[0])
def answering(request):
    _, make, script = request.param
    return lambda **fields: make(script, **fields).bind_tools([look, clock])


def calls(message):
    return [(each["name"], each["args"]) for each in message.tool_calls]


# What every source makes of calls.


async def test_T5_T8_T10_T11_calls_and_the_text_before_them_survive_in_every_mode(
    answering, mode, version
):
    message = await mode(answering(output_version=version), "x")
    assert message.text == "Let me look. "
    assert calls(message) == [LOOK, CLOCK]
    assert message.invalid_tool_calls == []
    assert message.response_metadata["normalized_finish_reason"] == "tool_calls"
    kinds = [block["type"] for block in message.content_blocks]
    assert kinds == ["text", "tool_call", "tool_call"]
    ids = [each["id"] for each in message.tool_calls]
    assert all(ids)
    assert len(set(ids)) == 2


async def test_T9_arguments_are_not_escaped(answering):
    chunks = list(answering().stream("x"))
    args = "".join(each["args"] for chunk in chunks for each in chunk.tool_call_chunks)
    assert "Zürich 東京" in args


async def test_T10_indexes_are_distinct_integers_that_no_text_block_has(answering, version):
    chunks = list(answering(output_version=version).stream("x"))
    indexes = {each["index"] for chunk in chunks for each in chunk.tool_call_chunks}
    assert len(indexes) == 2
    assert all(type(each) is int for each in indexes)
    if version == "v1":
        texts = {b["index"] for c in chunks for b in c.content if b["type"] == "text"}
        assert not texts & indexes


async def test_C2_tokens_and_calls_reach_the_callbacks(answering):
    recorder = Recorder()
    chunks = list(answering().stream("x", {"callbacks": [recorder]}))
    tokens = [kwargs["chunk"] for name, _, kwargs in recorder.calls if name == "on_llm_new_token"]
    assert len(tokens) == len(chunks)
    assert calls(total([each.message for each in tokens])) == [LOOK, CLOCK]


TRUNCATED = ['{"city": "Zür', '{"city": "Zürich"', '{"city', "{", '{"city": ["a"', '{"city": "a\\']


@pytest.mark.parametrize("source", [*TEXT_SOURCES, *NATIVE_SOURCES])
async def test_T7_truncated_arguments_are_never_a_valid_call(source, mode):
    for args in TRUNCATED:
        await truncated_arguments_are_no_call(source, args, mode)


async def truncated_arguments_are_no_call(source, args, mode):
    if source in TEXT_SOURCES:
        raw = f'<tool_call>{{"name": "look", "arguments": {args}'
        model = TEXT_SOURCES[source](pieces(raw, 4), tool_retries=0)
    else:
        deltas = [ToolCallDelta(0, "a", "look"), ToolCallDelta(0, args=args), Finish("length")]
        model = NATIVE_SOURCES[source](deltas)
    message = await mode(model.bind_tools([look]), "x")
    assert message.tool_calls == []
    (invalid,) = message.invalid_tool_calls
    assert invalid["name"] == "look"
    assert invalid["args"] == args
    assert message.text == (f"look {args}" if source in TEXT_SOURCES else "")


@pytest.mark.parametrize("source", [*TEXT_SOURCES, *NATIVE_SOURCES])
@pytest.mark.parametrize("args", ["{'city': 'Zürich'}", '{"city": Zürich}', "[1, 2]", '{"a": 1,}'])
async def test_T6_malformed_arguments_are_an_invalid_call_with_the_raw_text(source, args, mode):
    if source in TEXT_SOURCES:
        raw = f'<tool_call>{{"name": "look", "arguments": {args}}}</tool_call> ok'
        model = TEXT_SOURCES[source](pieces(raw, 4), tool_retries=0)
    else:
        model = NATIVE_SOURCES[source]([ToolCallDelta(0, "a", "look", args), "ok"])
    message = await mode(model.bind_tools([look]), "x")
    assert message.tool_calls == []
    (invalid,) = message.invalid_tool_calls
    assert invalid["args"] == args
    assert message.text.strip() == "ok"


UNREAD = '<tool_call>{"name": "look", "arguments": {"city": Bern}}</tool_call>'


async def test_T16_streamed_and_whole_agree_on_calls_that_cant_be_read(version):
    script = ["Hm. ", *pieces(f"{UNREAD}\n{call_text(*LOOK)}\n<tool_call>{{'name'}}</tool_call>")]
    model = ScriptedModel(script=script, output_version=version).bind_tools([look])
    whole = model.invoke("x")

    def told(message):  # core's v3 tells an empty name as None
        return [
            (each["name"] or "", each["args"], each["error"]) for each in message.invalid_tool_calls
        ]

    unread = told(whole)
    assert [(name, args) for name, args, _ in unread] == [
        ("look", '{"city": Bern}'),
        ("", "{'name'}"),
    ]
    assert all(error for _, _, error in unread)
    assert calls(whole) == [LOOK]
    kinds = [block["type"] for block in whole.content_blocks]
    for mode in MODES.values():
        message = await mode(model, "x")
        assert told(message) == unread
        assert calls(message) == [LOOK]
        if version == "v1":
            assert [block["type"] for block in message.content_blocks] == kinds


@pytest.mark.parametrize("cut", [*TRUNCATED, '{"city": "Bern"}'])
def test_T7_T16_however_chunks_are_added_up_a_cut_call_is_invalid(cut, version):
    script = ["Hm. ", f'<tool_call>{{"name": "look", "arguments": {cut}']
    model = ScriptedModel(script=script, tool_retries=0, output_version=version)
    bound, ended = model.bind_tools([look]), Recorder()
    first, *others = bound.stream("x", {"callbacks": [ended]})
    in_pairs = functools.reduce(operator.add, others, first)
    ((_, (result,), _),) = [each for each in ended.calls if each[0] == "on_llm_end"]
    streamed = model.model_copy(update={"streaming": True}).bind_tools([look]).invoke("x")
    at_once = first + others
    for message in (in_pairs, at_once, result.generations[0][0].message, streamed):
        assert message.tool_calls == []
        assert [each["args"] for each in message.invalid_tool_calls] == [cut]
        assert type(message) in {AIMessage, AIMessageChunk}
    strange = operator.add(
        AIMessageChunk(""), [first, *others]
    )  # past all that is ours: with an end of ours
    assert strange.tool_calls == []
    assert strange.invalid_tool_calls[0]["args"].startswith(cut)
    assert loads(dumps(in_pairs), allowed_objects="all").tool_calls == []
    assert isinstance(message_chunk_to_message(in_pairs), AIMessage)


# Asked again.


async def test_T15_a_call_that_cant_be_read_is_asked_for_again_with_what_was_wrong(mode):
    def learns(messages):
        yield from pieces(call_text(*LOOK) if "read" in messages[-1].text else f"Hm. {UNREAD}")

    model = chat_model(learns).bind_tools([look])
    message = await mode(model, "x")
    assert calls(message) == [LOOK]
    if mode not in (MODES["v3"], MODES["async_v3"]):  # a block that has begun can't be taken back
        assert message.invalid_tool_calls == []
    assert message.text == "Hm. "
    assert message.response_metadata["attempts"] == 2


def test_T15_what_was_wrong_is_told_with_the_call_as_it_was_written():
    model = ScriptedModel(script=[f"Hm. {UNREAD}"])
    model.bind_tools([look]).invoke("x")
    _, again = model.requests
    *_, said, asked = again.messages
    assert (said.type, said.text) == (
        "ai",
        "Hm. \n" + UNREAD.replace(">{", ">\n{").replace("}<", "}\n<"),
    )
    assert asked.text.startswith("Your call of look can't be read: Expecting value")
    cut = ScriptedModel(script=[UNREAD[:-20], Finish("length")])
    cut.bind_tools([look]).invoke("x")
    assert "be brief" in cut.requests[1].messages[-1].text


async def test_T15_what_stays_unreadable_keeps_its_text(mode):
    model = ScriptedModel(script=pieces(UNREAD), tool_retries=2).bind_tools([look])
    message = await mode(model, "x")
    assert message.text == 'look {"city": Bern}'
    assert {each["args"] for each in message.invalid_tool_calls} == {'{"city": Bern}'}
    assert message.response_metadata["attempts"] == 3


async def test_T15_the_texts_of_attempts_are_set_apart(mode):
    model = ScriptedModel(script=["Let me ", "look. ", UNREAD]).bind_tools([look])
    message = await mode(model, "x")
    assert message.text == "Let me look. \n\nLet me look. "


def messages_of(model):
    """Return what the source was given: the model is a ScriptedModel."""
    return model.requests[-1].messages


# What can be bound.


class Look(BaseModel):
    """Look at the weather."""

    city: str = Field(description="the city")


class LookV1(BaseModelV1):
    """Look at the weather."""

    city: str


class LookDict(TypedDict):
    """Look at the weather."""

    city: str


def look_function(city: str) -> str:
    """Look at the weather.

    Args:
        city: the city
    """


SCHEMA = {
    "title": "look_schema",
    "description": "Look at the weather.",
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
RUNNABLE = (ChatPromptTemplate.from_template("{city}") | (lambda x: x)).as_tool(
    name="look_runnable", description="Look at the weather."
)
FORMS = [look, Look, LookV1, LookDict, look_function, SCHEMA, RUNNABLE]


@pytest.mark.parametrize("form", FORMS, ids=lambda each: getattr(each, "__name__", "look"))
@pytest.mark.parametrize("can", [NATIVE, None])
def test_T1_every_form_of_a_tool_can_be_bound(form, can):
    model = ScriptedModel(script=["no"], **({"can": can} if can else {}))
    bound = model.bind_tools([form])
    assert isinstance(bound, RunnableBinding)
    bound.invoke("x")
    (request,) = model.requests
    if can:
        (given_tool,) = request.tools
        function = given_tool["function"]
        assert function["name"].lower().startswith("look")
        assert function["parameters"]["required"] == ["city"]
        assert function["parameters"]["properties"]["city"]["type"] == "string"
    else:
        assert request.tools is None
        assert '"city"' in request.messages[0].text


@pytest.mark.parametrize("form", [3, "look", {"type": "function"}, int])
def test_T1_what_is_no_tool_is_refused(form):
    model = ScriptedModel(script=["no"])
    with pytest.raises(ParameterError, match="tool"):
        model.bind_tools([form]).invoke("x")


def test_T1_a_changed_tool_is_converted_anew():
    @tool
    def changing(city: str) -> str:
        """Before."""

    model = ScriptedModel(script=["x"], can=NATIVE)
    model.bind_tools([changing]).invoke("x")
    changing.description = "After."
    model.bind_tools([changing]).invoke("x")
    said = [request.tools[0]["function"]["description"] for request in model.requests]
    assert said == ["Before.", "After."]


# Choices.


@pytest.mark.parametrize("choice", ["any", "required", True, "look", {"name": "look"}])
@pytest.mark.parametrize("make", TEXT_SOURCES.values(), ids=TEXT_SOURCES)
def test_T2_a_forced_call_that_does_not_come_is_asked_for_again(make, choice):
    asked = []

    def first_talks(messages):
        asked.append(messages)
        yield call_text(*LOOK) if len(asked) > 1 else "I would rather talk."

    for runs in ("invoke", "stream"):
        asked.clear()
        model = chat_model(first_talks).bind_tools([look, clock], tool_choice=choice)
        message = model.invoke("x") if runs == "invoke" else total(list(model.stream("x")))
        assert calls(message) == [LOOK]
        assert message.response_metadata["attempts"] == 2
        assert len(asked) == 2
        assert "must call" in asked[1][-1].text
        assert asked[1][-2].text == "I would rather talk."
    # Every kind of source, with nothing but talk: bounded, and an error.
    for retries in (2, 0):
        talks = make(["I won't."], tool_retries=retries).bind_tools([look], tool_choice=choice)
        with pytest.raises(MissingCallError, match=r"must call .*I won't\.") as missing:
            talks.invoke("x")
        assert missing.value.partial_text == "I won't."
        assert f"asked {retries + 1} times" in str(missing.value)


async def test_T2_text_before_a_forced_call_is_text_and_reasoning_streams(mode):
    script = ["<think>hm</think>Let me ", f"look. {call_text(*LOOK)}"]
    message = await mode(ScriptedModel(script=script).bind_tools([look], tool_choice="any"), "x")
    assert (message.text, calls(message)) == ("Let me look. ", [LOOK])
    assert message.content_blocks[0]["reasoning"] == "hm"


async def test_T2_a_forced_call_that_never_came_is_an_error_in_every_mode(mode):
    model = ScriptedModel(script=["I ", "won't."]).bind_tools([look], tool_choice="look")
    with pytest.raises(MissingCallError, match="the tool look"):
        await mode(model, "x")
    stopped = ScriptedModel(script=["I won't."]).bind_tools([look], tool_choice="look")
    with pytest.raises(MissingCallError, match="I won"):
        await mode(stopped.bind(stop=["won"]), "x")


@pytest.mark.parametrize("retries", [0, 1])
def test_T2_nothing_of_a_refused_call_streams(retries):
    model = ScriptedModel(script=["I ", "won't."], tool_retries=retries)
    chunks = []
    with pytest.raises(MissingCallError):
        chunks += model.bind_tools([look], tool_choice="any").stream("x")
    assert chunks == []


async def test_T2_usage_of_all_attempts_is_added_up():
    from chatwright import Usage

    unread = '<tool_call>{"name": "look"'
    model = ScriptedModel(script=[unread, Usage(3, 2)]).bind_tools([look], tool_choice="any")
    for mode in MODES.values():
        assert (await mode(model, "x")).usage_metadata["total_tokens"] == 10


@pytest.mark.parametrize("choice", ["auto", None, False])
def test_T2_a_free_choice_asks_once(choice):
    model = ScriptedModel(script=["talk"])
    assert model.bind_tools([look], tool_choice=choice).invoke("x").text == "talk"
    assert len(model.requests) == 1


def test_T2_none_teaches_no_tool_and_parses_no_call():
    model = ScriptedModel(script=[TEXT])
    message = model.bind_tools([look], tool_choice="none").invoke("x")
    assert message.tool_calls == []
    assert message.text == TEXT
    assert "look" not in "".join(each.text for each in messages_of(model))


def test_T2_a_named_tool_is_the_only_one_that_is_taught():
    model = ScriptedModel(script=[call_text(*CLOCK)])
    model.bind_tools([look, clock], tool_choice="clock").invoke("x")
    taught = messages_of(model)[0].text
    assert "clock" in taught
    assert "look" not in taught


def test_T2_an_unknown_choice_is_refused_when_it_is_bound():
    with pytest.raises(ParameterError, match=r"tool_choice='nope'.*look, clock"):
        ScriptedModel(script=["x"]).bind_tools([look, clock], tool_choice="nope")
    with pytest.raises(ParameterError, match="none"):
        ScriptedModel(script=["x"]).bind_tools([], tool_choice="any")


def test_T2_a_native_source_is_given_the_choice_in_openais_form():
    model = ScriptedModel(script=["x"], can=NATIVE)
    named = {"type": "function", "function": {"name": "look"}}
    for choice, openai in (
        ("any", "required"),
        ("auto", "auto"),
        ("none", "none"),
        ("look", named),
    ):
        model.bind_tools([look], tool_choice=choice).invoke("x")
        assert model.requests[-1].tool_choice == openai


def test_T2_a_native_source_that_takes_no_choice_is_given_the_tools_that_the_choice_leaves():
    from chatwright import Capabilities

    model = ScriptedModel(script=["talk"], can=Capabilities(tools=True))
    with pytest.raises(MissingCallError):
        model.bind_tools([look, clock], tool_choice="clock").invoke("x")
    first, again = model.requests
    assert [each["function"]["name"] for each in first.tools] == ["clock"]
    assert first.tool_choice is None
    assert "must call the tool clock" in again.messages[-1].text
    model.bind_tools([look], tool_choice="none").invoke("x")
    assert model.requests[-1].tools is None


def test_T3_no_tools_and_a_response_format_can_be_bound():
    wanted = {"type": "json_object"}
    for make in TEXT_SOURCES.values():
        bound = make(['Sure: {"a": 1} bye']).bind_tools([], response_format=wanted)
        assert bound.invoke("x").text == '{"a": 1}'


def test_T4_built_in_tools_pass_through_to_a_source_that_reads_tools():
    built_in = [{"type": "web_search"}, {"google_search": {}}]
    model = ScriptedModel(script=["x"], can=NATIVE)
    model.bind_tools([*built_in, look]).invoke("x")
    assert model.requests[0].tools[:2] == built_in


def test_T4_a_built_in_tool_is_refused_where_nobody_could_run_it():
    bound = ScriptedModel(script=["x"]).bind_tools([{"type": "web_search"}])
    with pytest.raises(ParameterError, match=r"no built-in tool 'web_search'"):
        bound.invoke("x")


# Histories.

HISTORY = [
    HumanMessage("weather?"),
    AIMessage(
        [
            {"type": "text", "text": "Let me see."},
            {"type": "tool_use", "id": "1", "name": "look", "input": {"city": "Bern"}},
        ],
        tool_calls=[{"name": "look", "args": {"city": "Bern"}, "id": "1"}],
    ),
    ToolMessage("no signal", tool_call_id="1", status="error", artifact={"secret": 1}),
    HumanMessage("and now?"),
]


@pytest.mark.parametrize("make", TEXT_SOURCES.values(), ids=TEXT_SOURCES)
def test_T12_T13_histories_of_every_form_are_accepted(make):
    before = [each.model_copy(deep=True) for each in HISTORY]
    bound = make(["fine"]).bind_tools([look])
    assert bound.invoke(HISTORY).text == "fine"
    assert before == HISTORY
    asked = json.dumps(bound.explain(HISTORY))
    assert "no signal" in asked
    assert "secret" not in asked
    assert "Let me see." in asked
    assert "tool_use" not in asked


def test_T12_T13_results_go_back_in_the_protocol():
    model = ScriptedModel(script=["fine"])
    model.bind_tools([look]).invoke(HISTORY)
    taught, human, said, result, asked = messages_of(model)
    assert isinstance(taught, SystemMessage)
    assert human.text == "weather?"
    assert said.text == f"Let me see.\n{call_text('look', {'city': 'Bern'})}"
    assert said.tool_calls == []
    assert result.text == (
        '<tool_response>\n{"name": "look", "content": "Error: no signal"}\n</tool_response>'
    )
    assert isinstance(result, HumanMessage)
    assert asked.text == "and now?"


def test_T12_a_native_source_is_given_results_without_artifacts():
    model = ScriptedModel(script=["fine"], can=NATIVE)
    model.bind_tools([look]).invoke(HISTORY)
    _, said, result, _ = messages_of(model)
    assert said.text == "Let me see."
    assert said.tool_calls[0]["name"] == "look"
    assert result.status == "error"
    assert result.artifact is None


def test_T13_anthropics_results_in_a_user_message_become_tool_messages():
    model = ScriptedModel(script=["fine"], can=NATIVE)
    block = {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "ok"}]}
    model.invoke([*HISTORY[:2], HumanMessage([block, {"type": "text", "text": "and?"}])])
    _, _, result, human = messages_of(model)
    assert (result.content, result.tool_call_id) == ("ok", "1")
    assert human.text == "and?"


def test_T14_strict_and_parallel_calls_reach_the_backend():
    model = ScriptedModel(script=["x"], can=NATIVE)
    model.bind_tools([look], strict=True, parallel_tool_calls=False).invoke("x")
    (request,) = model.requests
    assert request.tools[0]["function"]["strict"] is True
    assert request.parameters["parallel_tool_calls"] is False


def test_T14_one_call_of_a_text_only_source_is_taken_where_one_is_wanted():
    model = ScriptedModel(script=pieces(TEXT))
    message = model.bind_tools([look, clock], parallel_tool_calls=False).invoke("x")
    assert calls(message) == [LOOK]
    assert message.text == "Let me look. "


# What backends get wrong, repaired at the border.

CLOCK_CALL = ToolCallDelta(0, None, "clock", "")
REPAIRS = {
    "no ids": [ToolCallDelta(0, None, "look", '{"city": "a"}'), ToolCallDelta(1, None, "clock")],
    "empty ids": [ToolCallDelta(0, "", "look", '{"city": "a"}'), ToolCallDelta(1, "", "clock")],
    "one id twice": [
        ToolCallDelta(0, "1", "look", '{"city": "a"}'),
        ToolCallDelta(1, "1", "clock"),
    ],
    "an object": [ToolCallDelta(0, "1", "look", {"city": "a"}), ToolCallDelta(1, "2", "clock", {})],
    "names again": [
        ToolCallDelta(0, "1", "look", '{"city"'),
        ToolCallDelta(0, "1", "look", ': "a"}'),
        ToolCallDelta(1, "2", "clock"),
        ToolCallDelta(1, "2", "clock"),
    ],
    "a late name": [
        ToolCallDelta(0, "1", None, '{"city"'),
        ToolCallDelta(0, None, "look", ': "a"}'),
        ToolCallDelta(1, "2", "clock"),
    ],
    "one number": [ToolCallDelta(0, "1", "look", '{"city": "a"}'), ToolCallDelta(0, "2", "clock")],
    "odd numbers": [ToolCallDelta(7, "1", "look", '{"city": "a"}'), ToolCallDelta(3, "2", "clock")],
    "none at all": [
        ToolCallDelta(None, "1", "look", '{"city": "a"}'),
        ToolCallDelta(None, "2", "clock", None),
    ],
}


# The other wires have no way to say such things: a call's name begins it there.
IRREGULAR = {
    name: make for name, make in NATIVE_SOURCES.items() if name not in {"anthropic", "responses"}
}


@pytest.mark.parametrize("script", REPAIRS.values(), ids=REPAIRS)
@pytest.mark.parametrize("make", IRREGULAR.values(), ids=IRREGULAR)
async def test_T5_irregular_calls_are_repaired(script, make, mode):
    message = await mode(make(script).bind_tools([look, clock]), "x")
    assert calls(message) == [("look", {"city": "a"}), CLOCK]
    ids = [each["id"] for each in message.tool_calls]
    assert all(ids)
    assert len(set(ids)) == 2


async def test_S11_a_backend_that_cannot_stream_with_tools_gives_one_chunk(answering):
    model = answering(disable_streaming="tool_calling")
    (chunk,) = model.stream("x")
    assert calls(chunk) == [LOOK, CLOCK]
    (chunk,) = [each async for each in model.astream("x")]
    assert calls(chunk) == [LOOK, CLOCK]


@given(st.data())
def test_S2_any_split_of_the_stream_gives_the_same_message(data):
    text = f"<think>hm `x`</think>\n\nSee ```\n<think>\n``` {TEXT} and more"
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text) - 1), max_size=12)))
    parts = [text[a:b] for a, b in itertools.pairwise([0, *cuts, len(text)])]
    whole, split = (
        total(list(ScriptedModel(script=script).bind_tools([look, clock]).stream("x")))
        for script in ([text], parts)
    )
    assert split.content == whole.content
    assert calls(split) == calls(whole) == [LOOK, CLOCK]
    assert split.additional_kwargs == whole.additional_kwargs == {"reasoning_content": "hm `x`"}


@pytest.mark.parametrize("tools", [(), [look]])
async def test_T15_harmonys_channels_are_told_apart_with_tools_and_without(mode, tools):
    said = (
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hi."
    )
    model = ScriptedModel(script=pieces(said), tool_protocol="harmony")
    message = await mode(model.bind_tools(tools) if tools else model, "x")
    assert message.text == "Hi."
    assert message.content_blocks[0]["reasoning"] == "Hm."


def test_T15_a_protocol_has_its_own_reasoning():
    said = "<|channel>thought\nHm.<channel|>Hi."
    message = ScriptedModel(script=pieces(said), tool_protocol="gemma4").invoke("x")
    assert (message.text, message.additional_kwargs["reasoning_content"]) == ("Hi.", "Hm.")


# The real engine: SmolLM2's template knows no tools; a grammar makes it call them all the same.


@pytest.fixture(scope="module")
def smollm2():
    loaded()
    return SMOLLM2(max_tokens=None)


WEATHER = [PROMPT[0], HumanMessage("What is the weather in Paris?")]


async def test_T2_gguf_calls_what_it_has_to(smollm2, mode):
    message = await mode(smollm2.bind_tools([look], tool_choice="any"), WEATHER)
    ((name, args),) = calls(message)
    assert name == "look"
    assert args.keys() == {"city"}
    assert message.text == ""
    assert message.tool_calls[0]["id"]
    assert message.response_metadata["normalized_finish_reason"] == "tool_calls"


def test_T2_gguf_calls_the_tool_that_is_named_and_no_other(smollm2):
    for name in ("look", "clock"):
        message = smollm2.bind_tools([look, clock], tool_choice=name).invoke(WEATHER)
        assert [each for each, _ in calls(message)] == [name]


async def test_T7_gguf_calls_that_are_cut_are_invalid(smollm2, mode):
    model = smollm2.bind_tools([look], tool_choice="any", max_tokens=12)
    message = await mode(model, WEATHER)
    assert message.tool_calls == []
    assert message.invalid_tool_calls
    assert message.response_metadata["normalized_finish_reason"] == "length"


def test_T12_T13_gguf_accepts_histories(smollm2):
    bound = smollm2.bind_tools([look], max_tokens=5)
    assert bound.invoke(HISTORY).usage_metadata["output_tokens"] <= 5
    prompt = bound.explain(HISTORY)["prompt"]
    assert "<tool_response>" in prompt
    assert "no signal" in prompt


def test_gguf_says_in_its_explanation_what_its_template_makes_of_tools(smollm2):
    explained = smollm2.bind_tools([look]).explain(WEATHER)
    assert "<tools>" in explained["prompt"]
    assert explained["prompt"].endswith("<|im_start|>assistant\n")
    assert "tools" not in explained


GEMMAS = (
    "{% for m in messages %}<start_of_turn>{{ m.role }}\n{{ m.content }}<end_of_turn>\n"
    "{% endfor %}<start_of_turn>model\n"
)


def test_T15_gguf_speaks_of_tools_as_its_template_does(smollm2):
    assert smollm2.spoken_protocol() is HERMES
    gemma = smollm2.model_copy(update={"chat_template": GEMMAS}).bind_tools([look, clock])
    assert "```tool_code" in gemma.explain("Hi")["prompt"]
    # A grammar can describe JSON only.
    assert "<tool_call>" in gemma.explain("Hi", tool_choice="look")["prompt"]
    assert calls(gemma.invoke(WEATHER, tool_choice="clock")) == [CLOCK]
    other = smollm2.model_copy(update={"chat_template": GEMMAS, "tool_protocol": "hermes"})
    assert other.spoken_protocol() is HERMES
