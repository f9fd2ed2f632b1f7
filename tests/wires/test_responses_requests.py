"""Requests of Responses, as a server reads them: items become messages."""

import json

import pytest

from chatwright import InvalidRequestError, ToolCallDelta, Usage
from chatwright.wires import WIRES
from chatwright.wires.asked import Asked
from chatwright.wires.responses import compact
from chatwright.wires.responses.request import Compact, Responses
from run.serve.schemas import valid, valid_event
from wires.test_servers import SCRIPTS

SERVER = WIRES["responses"].server


def messages(*items, **body):
    return prompt(*items, **body).messages


def prompt(*items, **body):
    return Responses.read({"model": "m", "input": [*items], **body}).prompt()


def said(text, **fields):
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "role": "assistant", "content": [part], **fields}


def thought(text):
    return {"type": "reasoning", "summary": [{"type": "summary_text", "text": text}]}


def call(name, args="{}"):
    return {"type": "function_call", "call_id": name, "name": "look", "arguments": args}


def result(name, output="x"):
    return {"type": "function_call_output", "call_id": name, "output": output}


USER = {"role": "user", "content": "hi"}


def test_instructions_stand_first():
    read = messages({"role": "developer", "content": "d"}, USER, instructions="i")
    assert [(each.type, each.text) for each in read] == [
        *(("system", "i"), ("system", "d"), ("human", "hi")),
    ]
    assert read[1].additional_kwargs == {"__openai_role__": "developer"}


def test_what_a_model_said_in_one_go_is_one_message():
    read = messages(
        *(USER, thought("Hm. "), said("Let me "), call("a", '{"n": 1}'), thought("And.")),
        *(said("see."), call("b"), result("a"), result("b"), said("Done.")),
    )
    assert [each.type for each in read] == ["human", "ai", "tool", "tool", "ai"]
    _, answer, first, second, last = read
    assert answer.text == "Let me see."
    assert answer.additional_kwargs["reasoning_content"] == "Hm. And."
    assert [(each["id"], each["args"]) for each in answer.tool_calls] == [
        ("a", {"n": 1}),
        ("b", {}),
    ]
    assert (first.tool_call_id, second.tool_call_id, last.text) == ("a", "b", "Done.")


def test_answers_without_calls_are_apart():
    first, second = messages(
        said("I look.", phase="commentary"), thought("Ah."), said("Four.", phase="final_answer")
    )
    assert [each.response_metadata["phase"] for each in (first, second)] == [
        *("commentary", "final_answer"),
    ]
    assert second.additional_kwargs["reasoning_content"] == "Ah."
    assert [each.text for each in messages(said("a"), said("b"))] == ["a", "b"]


def test_reasoning_in_its_own_words_counts_where_there_is_no_summary():
    bare = {
        "type": "reasoning",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "w"}],
    }
    (answer,) = messages(bare, said("x"))
    assert answer.additional_kwargs["reasoning_content"] == "w"
    sealed = {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"}
    (answer,) = messages(sealed, said("x"))
    assert "reasoning_content" not in answer.additional_kwargs


def test_arguments_that_are_no_json_are_told_as_such():
    (answer,) = messages(call("a", '{"n": '))
    assert answer.invalid_tool_calls[0]["args"] == '{"n": '


def test_calls_of_custom_tools_are_calls():
    made = {"type": "custom_tool_call", "call_id": "c", "name": "patch", "input": "*** Begin"}
    answer, tool = messages(made, {**result("c"), "type": "custom_tool_call_output"})
    assert answer.tool_calls[0]["args"] == {"input": "*** Begin"}
    assert tool.tool_call_id == "c"


def test_pictures_and_files_in_what_is_said_and_in_results():
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"}
    file = {
        "type": "input_file",
        "filename": "a.pdf",
        "file_data": "data:application/pdf;base64,BB",
    }
    user = {"role": "user", "content": [{"type": "input_text", "text": "Look."}, picture, file]}
    human, _, tool = messages(user, call("a"), result("a", [picture]))
    assert [each["type"] for each in human.content] == ["text", "image", "file"]
    assert human.content[1]["base64"] == "AAAA"
    assert tool.content[0]["mime_type"] == "image/png"


def test_an_answer_with_a_picture_is_refused():
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
    with pytest.raises(InvalidRequestError, match=r"input\.0\.content"):
        messages({"role": "assistant", "content": [picture]})


def test_parameters_by_langchains_names():
    read = prompt(
        USER,
        max_output_tokens=5,
        temperature=0,
        reasoning={"effort": "high"},
        text={"verbosity": "low"},
        parallel_tool_calls=False,
    )
    assert read.parameters == {
        "max_tokens": 5,
        "temperature": 0,
        "reasoning_effort": "high",
        "verbosity": "low",
    }
    tools = [{"type": "function", "name": "look"}]
    assert prompt(USER, tools=tools, parallel_tool_calls=False).parameters == {
        "parallel_tool_calls": False
    }


def test_a_form_as_chat_completions_have_it():
    told = {"name": "n", "schema": {"type": "object"}, "strict": True, "description": "d"}
    read = prompt(USER, text={"format": {"type": "json_schema", **told}})
    assert read.response_format == {"type": "json_schema", "json_schema": told}
    assert prompt(USER, text={"format": {"type": "text"}}).response_format is None


def test_fields_without_effect_are_told():
    include = ["reasoning.encrypted_content", "web_search_call.action.sources"]
    read = prompt(USER, thing=1, include=include, service_tier="flex", metadata={"a": "b"})
    assert read.ignored == ["thing", "include (web_search_call.action.sources)"]


def test_what_was_said_before_stands_first_and_places_are_the_requests_own():
    read = Responses.read({"model": "m", "input": [USER, {"type": "thing"}]})
    with pytest.raises(InvalidRequestError, match=r"input\.1\.type"):
        read.prompt([call("a"), result("a")])
    read = Responses.read({"model": "m", "input": [result("a")]})
    assert [each.type for each in read.prompt([call("a")]).messages] == ["ai", "tool"]


def test_a_summary_is_told_where_it_comes_back():
    writer = compact.Writer(Asked("m", (), number=1))
    for each in ("The word ", "is slate.", Usage(3, 4)):
        writer.add(each)
    whole = valid(writer.whole(), "CompactResource")
    (told,) = messages(*whole["output"])
    assert (told.type, told.text) == (
        *("human", "Summary of the conversation so far:\n\nThe word is slate."),
    )
    asked = Compact.read({"model": "m", "input": [USER], "instructions": "i"}).prompt().messages
    assert [each.type for each in asked] == ["system", "human", "human"]


@pytest.mark.parametrize("content", [None, "gAAAA", "chatwright1.%%", "chatwright1./w=="])
def test_a_summary_of_another_servers_is_refused(content):
    with pytest.raises(InvalidRequestError, match="did not make it"):
        messages({"type": "compaction", "encrypted_content": content})


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_answers_conform_to_open_responses(script):
    body = {
        "model": "m",
        "input": "hi",
        "tools": [{"type": "function", "name": "look", "parameters": {}}],
        "tool_choice": {"type": "allowed_tools", "tools": [{"type": "function", "name": "look"}]},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
    }
    writer = SERVER.writer(SERVER.read(body))
    *pieces, end = [piece for each in script for piece in writer.feed(each)] + writer.end()
    assert end == b"data: [DONE]\n\n"
    events = [json.loads(piece.decode().partition("data: ")[2]) for piece in pieces]
    for each in events:
        valid_event(each)
    whole = SERVER.writer(SERVER.read(body))
    for each in script:
        whole.add(each)
    valid(whole.whole(), "ResponseResource")


def test_a_piece_of_no_text_makes_no_item():
    writer = SERVER.writer(Asked("m", ()))
    for each in ("", ToolCallDelta(0, "c", "look", "{}"), ""):
        writer.add(each)
    assert [each["type"] for each in writer.whole()["output"]] == ["function_call"]


def test_a_call_without_an_id_gets_one():
    writer = SERVER.writer(Asked("m", ()))
    for n in range(2):
        writer.add(ToolCallDelta(n, None, "look", "{}"))
    first, second = (each["call_id"] for each in writer.whole()["output"])
    assert first
    assert first != second


def test_a_failure_conforms_to_open_responses_before_and_after_the_first_piece():
    for script in ([], ["Hel"]):
        writer = SERVER.writer(SERVER.read({"model": "m", "input": "hi"}))
        begun = [piece for each in script for piece in writer.feed(each)]
        *pieces, end = [*begun, *writer.fail(500, "no")]
        assert end == b"data: [DONE]\n\n"
        events = [json.loads(piece.decode().partition("data: ")[2]) for piece in pieces]
        assert [valid_event(each)["sequence_number"] for each in events] == [*range(len(events))]
        assert events[-1]["response"]["error"] == {"code": "server_error", "message": "no"}
