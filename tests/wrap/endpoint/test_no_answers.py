"""Servers that answer 200 and no answer: an error with their words, never an empty answer."""

import json

import pytest
from langchain_core.caches import InMemoryCache

from chatwright import ChatEndpoint, ChatwrightError, EngineError, OutputError, RateLimitError
from chatwright.testing import Bytes, Cut, Refuse
from contract.subjects import serving, upstream

REPORTS = {
    "object": {"object": "error", "message": "WORDS", "code": 400},
    "code and msg": {"code": 1001, "msg": "WORDS"},
    "detail": {"detail": "WORDS"},
    "detail of FastAPI": {"detail": [{"loc": ["body"], "msg": "WORDS"}]},
    "base_resp": {"base_resp": {"status_code": 1004, "status_msg": "WORDS"}, "choices": None},
    "errors": {"success": False, "errors": [{"message": "WORDS"}]},
    "error_code": {"text": "WORDS", "error_code": 50001},
    "no choices": {"id": "", "choices": None, "message": "WORDS"},
    "list": [{"error": {"message": "WORDS", "code": 400}}],
}


def sse(*events):
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in events)


def answering(*data, wire="openai", **fields):
    url = serving(lambda _: [Bytes(b"".join(data)), Cut(politely=True)])
    return ChatEndpoint(base_url=f"{url}/v1", model="m", wire=wire, max_retries=0, **fields)


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
@pytest.mark.parametrize("before", [[], [{"choices": [{"delta": {"content": "a"}}]}]])
def test_failures_are_told_in_any_shape(report, before):
    with pytest.raises(ChatwrightError, match="WORDS"):
        answering(sse(*before, report), b"data: [DONE]\n\n").invoke("hi")


def test_a_code_inside_counts_as_the_status():
    with pytest.raises(RateLimitError, match="slow down"):
        answering(sse({"code": 429, "msg": "slow down"})).invoke("hi")


@pytest.mark.parametrize(
    "page", [b"<html>Sign in</html>", b"Sign in", json.dumps({"hello": "Sign in"}).encode()]
)
def test_what_is_no_answer_is_shown(page):
    url = serving(lambda _: [Refuse(200, body=page)])
    with pytest.raises((EngineError, OutputError), match="Sign in"):
        ChatEndpoint(base_url=f"{url}/v1", model="m", max_retries=0).invoke("hi")


def test_an_empty_answer_is_an_answer():
    reply = sse({"choices": [{"delta": {"content": ""}, "finish_reason": "stop"}]})
    assert answering(reply, b"data: [DONE]\n\n").invoke("hi").text == ""


def test_base_resp_of_a_good_answer_is_no_failure():
    reply = sse(
        {"choices": [{"delta": {"content": "a"}}], "base_resp": {"status_code": 0}},
        {"choices": [], "base_resp": {"status_code": 0, "status_msg": ""}},
    )
    assert answering(reply, b"data: [DONE]\n\n").invoke("hi").text == "a"


def test_a_calls_headers_have_answers_of_their_own():
    url = serving(lambda asked: [asked.headers.get("x-tenant", "none")])
    model = ChatEndpoint(base_url=f"{url}/v1", model="m", cache=InMemoryCache())
    said = [model.invoke("hi", headers={"X-Tenant": each}).text for each in "aba"]
    assert said == ["a", "b", "a"]
    assert len(upstream().requests) >= 2


def test_a_path_that_leads_to_nothing_is_named():
    url = serving(lambda _: [Refuse(200, body=b'{"reply": "a"}')])
    wire = {
        "request": {"body": {"q": "${last}"}},
        "response": {"framing": "json", "text": "answer"},
    }
    model = ChatEndpoint(base_url=url, model="m", wire=wire, max_retries=0)
    with pytest.raises(OutputError, match=r"'answer'.*reply"):
        model.invoke("hi")


@pytest.mark.parametrize("fast", [False, True])
def test_a_key_in_the_query_stays_out_of_errors(fast):
    url = serving(lambda _: [Refuse(401, body=b"KEY%2F1234 is wrong, and so is KEY/1234")])
    model = ChatEndpoint(
        base_url=f"{url}/v1?key=KEY/1234",
        model="m",
        max_retries=0,
        fast=fast,
    )
    with pytest.raises(ChatwrightError) as caught:
        model.invoke("hi")
    assert "1234" not in str(caught.value)
