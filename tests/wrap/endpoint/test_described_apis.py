"""Endpoint files for APIs that take the system's words, or the last message, apart."""

import json

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from chatwright import ChatEndpoint
from chatwright.testing import Refuse
from contract.subjects import serving, upstream

GEMINI = {
    "request": {
        "body": {
            "systemInstruction": {"parts": [{"text": "${system}"}]},
            "contents": "${messages}",
            "generationConfig": {"temperature": "${temperature}"},
        },
        "message": {"role": "${role}", "parts": [{"text": "${text}"}]},
        "roles": {"assistant": "model"},
    },
    "response": {
        "framing": "json",
        "text": "candidates[0].content.parts[].text",
        "finish_reason": "candidates[0].finishReason",
    },
}
COHERE = {
    "request": {
        "body": {"message": "${last}", "chat_history": "${messages}", "preamble": "${system}"},
        "message": {"role": "${role}", "message": "${text}"},
        "roles": {"user": "USER", "assistant": "CHATBOT"},
    },
    "response": {"framing": "json", "text": "text", "finish_reason": "finish_reason"},
}
ANTHROPIC = {
    "request": {
        "body": {"system": "${system}", "messages": "${messages}", "max_tokens": 9},
        "message": {"role": "${role}", "content": "${text}"},
    },
    "response": {"framing": "json", "text": "content[].text", "finish_reason": "stop_reason"},
}
TALK = [SystemMessage("Be kind."), HumanMessage("hi"), AIMessage("yes?"), HumanMessage("go")]


def asked(wire, reply, messages):
    """Return the answer to messages, and the body that asked for it."""
    url = serving(lambda _: [Refuse(200, body=json.dumps(reply).encode())])
    answer = ChatEndpoint(base_url=url, model="m", wire=wire, max_retries=0).invoke(messages)
    return answer, upstream().requests[-1].body


def geminis(text, reason):
    return {"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": reason}]}


def test_gemini():
    answer, body = asked(GEMINI, geminis("a", "MAX_TOKENS"), TALK)
    assert answer.text == "a"
    assert answer.response_metadata["normalized_finish_reason"] == "length"
    assert body["systemInstruction"] == {"parts": [{"text": "Be kind."}]}
    assert [each["role"] for each in body["contents"]] == ["user", "model", "user"]
    _, body = asked(GEMINI, geminis("a", "STOP"), "hi")
    assert body == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def test_cohere():
    _, body = asked(COHERE, {"text": "a", "finish_reason": "COMPLETE"}, TALK)
    assert body == {
        "message": "go",
        "preamble": "Be kind.",
        "chat_history": [
            {"role": "USER", "message": "hi"},
            {"role": "CHATBOT", "message": "yes?"},
        ],
    }


def test_anthropic():
    reply = {"content": [{"type": "text", "text": "a"}], "stop_reason": "end_turn"}
    _, body = asked(ANTHROPIC, reply, TALK)
    assert body["system"] == "Be kind."
    assert [each["role"] for each in body["messages"]] == ["user", "assistant", "user"]


def test_an_answer_that_was_blocked_is_empty_and_says_why():
    answer, _ = asked(GEMINI, {"candidates": [{"finishReason": "SAFETY"}]}, "hi")
    assert answer.text == ""
    assert answer.response_metadata["normalized_finish_reason"] == "content_filter"


@pytest.mark.parametrize("reply", [{"candidates": []}, geminis(None, "STOP"), {}])
def test_nothing_where_the_text_should_be_is_an_error(reply):
    with pytest.raises(Exception, match=r"candidates\[0\]"):
        asked(GEMINI, reply, "hi")
