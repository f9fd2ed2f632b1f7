"""Histories that servers would refuse: broken calls, other models' answers, calls without ids."""

import json

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage

from chatwright import Quirks
from wires.test_clients import WIRES, at, sent


def messages(*talk, **fields):
    """Return how a conversation goes out."""
    at(["ok"], **fields).invoke([HumanMessage("hi"), *talk])
    return sent()["messages"][1:]


def called(*calls, **fields):
    return AIMessage("", tool_calls=[{"name": "look", **each} for each in calls], **fields)


BROKEN = {"name": "look", "args": '{"a', "id": "c1", "error": "cut", "type": "invalid_tool_call"}


def test_a_broken_call_without_a_result_gets_its_error_as_the_result():
    answer = called({"args": {}, "id": "c0"}, invalid_tool_calls=[BROKEN])
    talk = messages(answer, ToolMessage("1", tool_call_id="c0"), HumanMessage("go"))
    assert [each["role"] for each in talk] == ["assistant", "tool", "tool", "user"]
    assert [each["tool_call_id"] for each in talk[1:3]] == ["c0", "c1"]
    assert "cut" in talk[2]["content"]


def test_a_broken_call_that_has_a_result_gets_no_other():
    answer = AIMessage("", invalid_tool_calls=[BROKEN])
    talk = messages(answer, HumanMessage("wait"), ToolMessage("mine", tool_call_id="c1"))
    assert [each["content"] for each in talk if each["role"] == "tool"] == ["mine"]


@pytest.mark.parametrize("wire", WIRES)
def test_every_wire_tells_what_became_of_a_broken_call(wire):
    at(["ok"], wire).invoke([HumanMessage("hi"), AIMessage("", invalid_tool_calls=[BROKEN])])
    assert "can't be read: cut" in json.dumps(sent())


def test_calls_without_ids_and_their_results_get_the_same_ones_each_time():
    answer = called({"args": {"a": 1}, "id": None}, {"args": {"a": 2}, "id": ""})
    results = [ToolMessage(each, tool_call_id="") for each in "12"]
    said, *told = messages(answer, *results)
    ids = [each["id"] for each in said["tool_calls"]]
    assert len({*ids, ""}) == 3
    assert [each["tool_call_id"] for each in told] == ids
    assert messages(answer, *results) == [said, *told]


def test_a_broken_call_without_an_id_takes_the_result_that_has_none():
    answer = AIMessage("", invalid_tool_calls=[{**BROKEN, "id": None}])
    said, told, *rest = messages(answer, ToolMessage("1", tool_call_id=""))
    assert told["tool_call_id"] == said["tool_calls"][0]["id"]
    assert rest == []


@pytest.mark.parametrize(
    "args", [{"a": float("nan")}, {"a": [float("-inf")]}, '{"a": NaN}', "[1]", ""]
)
def test_arguments_go_out_as_a_json_object(args):
    if isinstance(args, str):
        answer = AIMessage("", invalid_tool_calls=[{**BROKEN, "args": args}])
    else:
        answer = called({"args": args, "id": "c1"})
    said, *_ = messages(answer, ToolMessage("1", tool_call_id="c1"))

    def refuse(constant):
        raise AssertionError(constant)

    written = said["tool_calls"][0]["function"]["arguments"]
    read = json.loads(written, parse_constant=refuse)
    assert read == {"invalid_arguments": args if isinstance(args, str) else json.dumps(args)}


def test_words_of_no_number_are_words():
    said, *_ = messages(called({"args": {"a": "NaN"}, "id": "c1"}))
    assert json.loads(said["tool_calls"][0]["function"]["arguments"]) == {"a": "NaN"}


def test_half_a_character_in_arguments_stays_as_it_was_written():
    said, *_ = messages(called({"args": {"a": "\ud83d"}, "id": "c1"}))
    assert said["tool_calls"][0]["function"]["arguments"] == '{"a": "\\ud83d"}'


def test_a_sum_of_chunks_is_an_answer_like_any_other():
    search = {"type": "web_search_call", "id": "ws"}
    said = AIMessageChunk([search, {"type": "text", "text": "Bern."}], name="An Agent")
    assert messages(said) == [{"role": "assistant", "content": "Bern."}]


IMAGE = {"type": "image_url", "image_url": {"url": "http://x.example/a.png"}}


def test_images_that_a_model_has_made_are_left_out_where_the_server_reads_images():
    answer = AIMessage([{"type": "text", "text": "Here."}, IMAGE])
    assert messages(answer, quirks=Quirks(inputs={"image"})) == [
        {"role": "assistant", "content": "Here."}
    ]


def test_marks_stay_on_media():
    marked = {**IMAGE, "cache_control": {"type": "ephemeral"}}
    content = [{"type": "text", "text": "This?"}, marked]
    (said,) = messages(HumanMessage(content), quirks=Quirks(inputs={"image"}))
    assert said["content"] == content
