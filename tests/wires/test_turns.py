"""Conversations that go on: what servers refuse is not sent, what they gave goes back."""

import pickle

import pytest
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from wires.test_clients import at, raw, sent


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
