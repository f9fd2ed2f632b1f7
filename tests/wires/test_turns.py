"""Conversations that go on: what servers refuse is not sent, what they gave goes back."""

import json
import pickle

import pytest
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from chatwright import ContentError, Quirks
from chatwright.testing import Bytes, Cut, Refuse
from wires.test_clients import at, chunk, raw, sent


def calling(*names):
    calls = [{"name": name, "args": {}, "id": f"c{n}"} for n, name in enumerate(names)]
    return AIMessage("", tool_calls=calls)


def test_anthropics_results_of_one_turn_stand_in_one_message():
    talk = [
        HumanMessage("hi"),
        calling("a", "b"),
        ToolMessage("1", tool_call_id="c0"),
        ToolMessage("2", tool_call_id="c1", status="error"),
        HumanMessage("go on"),
    ]
    at(["ok"], "anthropic").invoke(talk)
    assert [each["role"] for each in sent()["messages"]] == ["user", "assistant", "user"]
    assert sent()["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "c0", "content": "1"},
        {"type": "tool_result", "tool_use_id": "c1", "content": "2", "is_error": True},
        {"type": "text", "text": "go on"},
    ]


def test_anthropic_gets_no_empty_answer_and_no_blanks_at_the_end():
    talk = [HumanMessage("hi"), AIMessage(" \n"), HumanMessage("go"), AIMessage("It is: \n")]
    at(["ok"], "anthropic").invoke(talk)
    first, last = sent()["messages"]
    assert [each["text"] for each in first["content"]] == ["hi", "go"]
    assert last == {"role": "assistant", "content": [{"type": "text", "text": "It is:"}]}


@pytest.mark.parametrize(("limit", "goes"), [(None, 9096), (1000, 6000), (5001, 5001)])
def test_a_thinking_budget_leaves_room_for_the_answer(limit, goes):
    thinking = {"type": "enabled", "budget_tokens": 5000}
    at(["ok"], "anthropic", max_tokens=limit).invoke("hi", thinking=thinking)
    assert sent()["max_tokens"] == goes


def test_anthropics_system_keeps_its_marks():
    mark = {"cache_control": {"type": "ephemeral"}}
    talk = [SystemMessage([{"type": "text", "text": "Long.", **mark}]), HumanMessage("hi")]
    at(["ok"], "anthropic").invoke(talk)
    assert sent()["system"] == [{"type": "text", "text": "Long.", **mark}]


def test_ollamas_results_name_their_tools_by_the_calls_ids():
    talk = [HumanMessage("hi"), calling("look"), ToolMessage("1", tool_call_id="c0")]
    at(["ok"], "ollama").invoke(talk)
    assert sent()["messages"][2]["tool_name"] == "look"


def thought(index, text, signature):
    begin = {"type": "thinking", "thinking": ""}
    return [
        {"type": "content_block_start", "index": index, "content_block": begin},
        {
            "type": "content_block_delta",
            "index": index,
            "delta": {"type": "thinking_delta", "thinking": text},
        },
        {
            "type": "content_block_delta",
            "index": index,
            "delta": {"type": "signature_delta", "signature": signature},
        },
    ]


def said(index, text):
    return [
        {
            "type": "content_block_start",
            "index": index,
            "content_block": {"type": "text", "text": ""},
        },
        {
            "type": "content_block_delta",
            "index": index,
            "delta": {"type": "text_delta", "text": text},
        },
    ]


INTERLEAVED = [
    *thought(0, "hm", "S0"),
    *said(1, "First."),
    *thought(2, "so", "S2"),
    {
        "type": "content_block_start",
        "index": 3,
        "content_block": {"type": "tool_use", "id": "t1", "name": "look", "input": {"a": 1}},
    },
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
    {"type": "message_stop"},
]


def again(message):
    return message


@pytest.mark.parametrize(
    "through", [again, lambda m: pickle.loads(pickle.dumps(m)), lambda m: loads(dumps(m))]
)
@pytest.mark.parametrize("streamed", [False, True])
def test_interleaved_thoughts_go_back_in_their_order(through, streamed):
    model = raw(*INTERLEAVED, done=False).model_copy(update={"wire": "anthropic"})
    if streamed:
        answer, *rest = model.stream("hi")
        for each in rest:
            answer += each
    else:
        answer = model.invoke("hi")
    talk = [HumanMessage("hi"), through(answer), ToolMessage("1", tool_call_id="t1")]
    at(["ok"], "anthropic").invoke(talk)
    assert sent()["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "S0"},
        {"type": "text", "text": "First."},
        {"type": "thinking", "thinking": "so", "signature": "S2"},
        {"type": "tool_use", "id": "t1", "name": "look", "input": {"a": 1}},
    ]


def whole(message, reason="stop"):
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return at([Refuse(200, body=json.dumps({"id": "1", "choices": [choice]}).encode())])


def summed(chunks):
    answer, *rest = chunks
    for each in rest:
        answer += each
    return answer


def went_back(answer, *, wire="openai", **fields):
    """Return how an earlier answer goes back to a server."""
    results = [ToolMessage("1", tool_call_id=each["id"]) for each in answer.tool_calls]
    at(["ok"], wire, **fields).invoke([HumanMessage("hi"), answer, *results, HumanMessage("go")])
    return sent()["messages"][1]


CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"a": 1}'}}
SIGNED = {**CALL, "extra_content": {"google": {"thought_signature": "S"}}}
KEPT = [again, lambda m: pickle.loads(pickle.dumps(m)), lambda m: loads(dumps(m))]


@pytest.mark.parametrize("through", KEPT)
def test_what_a_server_put_beside_a_call_goes_back(through):
    answer = whole({"content": None, "tool_calls": [SIGNED]}, "tool_calls").invoke("hi")
    assert went_back(through(answer))["tool_calls"][0]["extra_content"] == SIGNED["extra_content"]
    parts = [chunk({"tool_calls": [{"index": 0, **SIGNED}]}), chunk({}, "tool_calls")]
    answer = summed(raw(*parts).stream("hi"))
    assert went_back(through(answer))["tool_calls"][0]["extra_content"] == SIGNED["extra_content"]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
@pytest.mark.parametrize("text", ["hm", ""])
def test_reasoning_goes_back_by_the_name_that_it_came_by(field, text):
    answer = whole({"content": "a", field: text}).invoke("hi")
    assert went_back(answer)[field] == text
    assert field not in went_back(answer, keep_reasoning=False)
    answer = summed(raw(chunk({field: text}), chunk({"content": "a"}, "stop")).stream("hi"))
    assert went_back(answer)[field] == text


def test_no_reasoning_is_sent_where_the_server_gave_none():
    answer = whole({"content": "a", "reasoning_content": None}).invoke("hi")
    assert went_back(answer).keys() == {"role", "content"}
    foreign = AIMessage([{"type": "thinking", "thinking": "hm", "signature": "S"}, "a"])
    assert went_back(foreign).keys() == {"role", "content"}


def test_reasoning_details_grow_and_go_back():
    parts = [
        chunk({"reasoning_details": [{"type": "reasoning.text", "index": 0, "text": "h"}]}),
        chunk({"reasoning_details": [{"type": "reasoning.text", "index": 0, "text": "m"}]}),
        chunk({"reasoning_details": [{"type": "reasoning.encrypted", "index": 1, "data": "E"}]}),
        chunk({"content": "a"}, "stop"),
    ]
    answer = summed(raw(*parts).stream("hi"))
    details = [
        {"type": "reasoning.text", "index": 0, "text": "hm"},
        {"type": "reasoning.encrypted", "index": 1, "data": "E"},
    ]
    assert went_back(answer)["reasoning_details"] == details
    assert "reasoning_details" not in went_back(answer, keep_reasoning=False)


def broken():
    call = {"name": "look", "args": '{"word": "a', "id": "c1", "error": "cut"}
    return AIMessage("", invalid_tool_calls=[call])


def test_a_call_that_could_not_be_read_goes_back_as_json():
    arguments = went_back(broken())["tool_calls"][0]["function"]["arguments"]
    assert json.loads(arguments) == {"invalid_arguments": '{"word": "a'}
    assert went_back(broken(), wire="anthropic")["content"][0]["input"] == json.loads(arguments)
    ollamas = went_back(broken(), wire="ollama")["tool_calls"][0]["function"]
    assert ollamas["arguments"] == json.loads(arguments)


def test_nothing_but_calls_has_no_content():
    assert went_back(calling("look"))["content"] is None


def test_ids_of_other_providers_fit_anthropics_and_results_follow():
    call = {"name": "look", "args": {}, "id": "functions.look:0"}
    talk = [HumanMessage("hi"), AIMessage("", tool_calls=[call])]
    at(["ok"], "anthropic").invoke([*talk, ToolMessage("1", tool_call_id="functions.look:0")])
    _, said, result = sent()["messages"]
    used = said["content"][0]["id"]
    assert used.replace("_", "").replace("-", "").isalnum()
    assert result["content"][0]["tool_use_id"] == used


def test_names_are_cleaned_or_left_out():
    talk = [
        HumanMessage("hi", name="Ann Bee"),
        AIMessage("a", name="User Onboarding Agent"),
        HumanMessage("go"),
    ]
    at(["ok"]).invoke(talk)
    assert [each.get("name") for each in sent()["messages"]] == ["Ann_Bee", None, None]


def test_four_stop_sequences_go_out_and_all_hold():
    stops = ["1", "2", "3", "4", "5"]
    model = at(["a5b"], quirks=Quirks(stop="kept"))
    assert model.invoke("hi", stop=stops).text == "a5"
    assert sent()["stop"] == stops[:4]


def test_marks_stay_on_the_wire():
    part = {"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}}
    at(["ok"]).invoke([HumanMessage([part])])
    assert sent()["messages"][0]["content"] == [part]


def test_what_another_model_said_its_own_way_is_left_out():
    search = {"type": "web_search_call", "id": "ws", "status": "completed"}
    answer = AIMessage([search, {"type": "text", "text": "Bern."}])
    assert went_back(answer)["content"] == "Bern."
    with pytest.raises(ContentError, match="web_search_call"):
        at(["ok"]).invoke([HumanMessage([search])])


def test_what_a_tool_gives_in_a_form_of_its_own_is_told():
    result = ToolMessage([{"type": "json", "json": {"a": "found"}}], tool_call_id="c0")
    at(["ok"]).invoke([HumanMessage("hi"), calling("look"), result])
    assert "found" in sent()["messages"][2]["content"]


def test_encrypted_reasoning_goes_back_at_its_place():
    first = {"type": "reasoning", "id": "rs1", "summary": [], "encrypted_content": "E1"}
    second = {**first, "id": "rs2", "encrypted_content": "E2"}
    said = {"type": "message", "content": [{"type": "output_text", "text": "First."}]}
    call = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"}
    output = [first, said, second, call]
    reply = {"id": "r", "object": "response", "status": "completed", "output": output}
    model = at([Refuse(200, body=json.dumps(reply).encode())], "responses")
    answer = model.invoke("hi")
    at(["ok"], "responses").invoke(
        [HumanMessage("hi"), answer, ToolMessage("1", tool_call_id="c1")]
    )
    sorts = [each.get("encrypted_content") or each["type"] for each in sent()["input"][1:]]
    assert sorts == ["E1", "message", "E2", "function_call", "function_call_output"]


@pytest.mark.parametrize("streamed", [False, True])
def test_thoughts_are_kept_where_a_stop_sequence_ends_the_answer(streamed):
    model = raw(*thought(0, "hm", "S0"), *said(1, "One. END two"), done=False)
    model = model.model_copy(update={"wire": "anthropic"})
    bound = model.bind(stop=["END"])
    answer = summed(bound.stream("hi")) if streamed else bound.invoke("hi")
    assert answer.text == "One. END"
    assert went_back(answer, wire="anthropic")["content"][0]["signature"] == "S0"


def test_ollamas_thinking_is_kept_where_a_stop_sequence_ends_the_answer():
    lines = [{"thinking": "hm"}, {"content": "One. END two"}]
    data = b"".join(json.dumps({"message": each}).encode() + b"\n" for each in lines)
    model = at([Bytes(data), Cut(politely=True)], "ollama")
    answer = summed(model.stream("hi", stop=["END"]))
    assert went_back(answer, wire="ollama")["thinking"] == "hm"


def test_a_server_that_refuses_stop_sequences_gets_none():
    model = at(["a5b"], quirks=Quirks(max_stops=0), include_stop=False)
    assert model.invoke("hi", stop=["5"]).text == "a"
    assert "stop" not in sent()
