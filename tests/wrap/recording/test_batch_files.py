"""Cassettes to OpenAI's batch files and back."""

import json

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from openai.types.chat import ChatCompletion

from chatwright import (
    Block,
    Capabilities,
    CassetteError,
    ChatEndpoint,
    ContentError,
    RateLimitError,
    Reasoning,
    ToolCallDelta,
    Usage,
    recorded,
)
from chatwright.testing import Raise, ScriptedModel
from chatwright.wrap.recording import cassette
from chatwright.wrap.recording.batch_files import exchanges, rows

SCRIPT = [
    Reasoning("hm"),
    *("It ", "is"),
    ToolCallDelta(0, "c1", "f", '{"a": '),
    ToolCallDelta(0, args="1}"),
    Usage(3, 2, {"cache_read": 1}),
]


def model(script=SCRIPT, **fields):
    return ScriptedModel(script=script, can=Capabilities(tools=True), model_name="m", **fields)


def limit():
    error = RateLimitError("slow down")
    error.status = 429
    return error


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "c.jsonl"
    call = {"name": "f", "args": {}, "id": "c9", "type": "tool_call"}
    asked = [
        HumanMessage("hi"),
        AIMessage("", tool_calls=[call]),
        ToolMessage("1", tool_call_id="c9"),
    ]
    live = recorded(model(include_stop=False), path, mode="new")
    live.invoke(asked, temperature=0.5, stop=["x"], tools=[tool()])
    live.invoke("twice")
    live.invoke("twice")
    with pytest.raises(RateLimitError):
        recorded(model([Raise(limit())]), path, mode="new").invoke("fails")
    recorded(model(), path, mode="new").stream("left").__next__()
    return path


def tool():
    return {
        "type": "function",
        "function": {"name": "f", "parameters": {"type": "object", "properties": {}}},
    }


def test_requests_and_answers_are_openais(path):
    made = [*rows(cassette.read(path))]
    requests = [json.loads(each.request) for each in made]
    assert len({each["custom_id"] for each in requests}) == len(requests) == 5
    assert not [each for each in requests if "include_stop" in each["body"]]
    assert {each["url"] for each in requests} == {"/v1/chat/completions"}
    (asked,) = [each["body"] for each in requests if "tools" in each["body"]]
    assert asked["messages"][1]["tool_calls"][0]["id"] == asked["messages"][2]["tool_call_id"]
    assert (asked["temperature"], asked["stop"], asked["tools"]) == (0.5, ["x"], [tool()])

    answers = [json.loads(each.answer) for each in made if each.answer]
    assert len(answers) == 4  # and none of the one that was left
    assert {each["custom_id"] for each in answers} < {each["custom_id"] for each in requests}
    failed = [each for each in answers if each["response"]["status_code"] != 200]
    assert [each["response"]["status_code"] for each in failed] == [429]
    for each in answers:
        if each not in failed:
            (choice,) = ChatCompletion.model_validate(each["response"]["body"]).choices
            assert choice.message.content == "It is"
            assert choice.message.tool_calls[0].function.arguments == '{"a": 1}'


def test_they_are_the_same_each_time(path):
    assert [*rows(cassette.read(path))] == [*rows(cassette.read(path))]


def test_batch_files_become_a_cassette_that_replays(path, tmp_path):
    made = [*rows(cassette.read(path))]
    again = tmp_path / "again.jsonl"
    found = [*exchanges((each.request for each in made), (each.answer for each in made))]
    cassette.extend(again, found)
    live = recorded(model(), again, mode="none")
    message = live.invoke("twice")
    assert message.text == live.invoke("twice").text == "It is"
    assert message.additional_kwargs["reasoning_content"] == "hm"
    assert [(call["name"], call["args"], call["id"]) for call in message.tool_calls] == [
        ("f", {"a": 1}, "c1")
    ]
    assert message.usage_metadata["input_tokens"] == 3
    assert message.response_metadata["model_name"] == "m"
    assert "cost" not in message.response_metadata
    with pytest.raises(RateLimitError, match="slow down") as caught:
        live.invoke("fails")
    assert caught.value.status == 429
    with pytest.raises(CassetteError):
        live.invoke("left")
    asked = [each.key.replace('"include_stop": false, ', "") for each in cassette.read(path)]
    asked = [each for each in asked if '"left"' not in each]
    assert sorted(asked) == [each.key for each in cassette.read(again)]


def test_files_as_openai_writes_them(tmp_path):
    body = {
        "model": "gpt-4o-mini",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        ],
        "max_tokens": 10,
    }
    line = {"custom_id": "r1", "method": "POST", "url": "/v1/chat/completions", "body": body}
    completion = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello.", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
    }
    told = {"status_code": 200, "request_id": "x", "body": completion}
    answer = {"id": "batch_req_1", "custom_id": "r1", "response": told, "error": None}
    late = {"custom_id": "r2", "response": None, "error": {"code": "batch_expired"}}
    requests = [json.dumps(line).encode(), json.dumps({**line, "custom_id": "r2"}).encode()]
    answers = [json.dumps(answer).encode(), b"", json.dumps(late).encode()]
    path = tmp_path / "c.jsonl"
    cassette.extend(path, exchanges(requests, answers))
    asked = ChatEndpoint("http://127.0.0.1:1/v1#gpt-4o-mini", max_tokens=10)
    message = recorded(asked, path, mode="none").invoke([("system", "Be brief."), ("user", "Hi")])
    assert message.text == "Hello."
    assert message.response_metadata["model_name"] == "gpt-4o-mini-2024-07-18"
    assert message.usage_metadata["total_tokens"] == 11
    assert "cost" not in message.response_metadata  # a batch has another price


@pytest.mark.parametrize(
    ("requests", "answers", "said"),
    [
        ([b"x"], [], "line 1 of the requests is no request"),
        ([b'{"custom_id": "a", "body": {"input": "x"}}'], [], "line 1 of the requests"),
        ([], [b'{"custom_id": "a", "error": null}'], "no request has the custom_id 'a'"),
        ([], [b"", b"[]"], "line 2 of the answers"),
    ],
)
def test_other_files_are_refused(requests, answers, said):
    with pytest.raises(CassetteError, match=said):
        [*exchanges(requests, answers)]


def test_what_openais_form_has_no_place_for_is_told(tmp_path):
    path = tmp_path / "c.jsonl"
    recorded(model([Block({"type": "image", "url": "x"})]), path).invoke("hi")
    with pytest.raises(ContentError, match="line 2 of the cassette"):
        [*rows(cassette.read(path))]
