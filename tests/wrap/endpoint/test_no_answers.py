"""Servers that answer 200 and no answer: an error with their words, never an empty answer."""

import json

import pytest
from langchain_core.caches import InMemoryCache

from chatwright import (
    ChatEndpoint,
    ChatwrightError,
    EngineError,
    OutputError,
    Quirks,
    RateLimitError,
    SourceConnectionError,
)
from chatwright.testing import Bytes, Cut, Refuse
from contract.subjects import serving, upstream

REPORTS = {
    "error": {"error": "WORDS"},
    "object": {"object": "error", "message": "WORDS", "code": 40001},
    "code and msg": {"code": 1001, "msg": "WORDS"},
    "detail": {"detail": "WORDS"},
    "detail of FastAPI": {"detail": [{"loc": ["body"], "msg": "WORDS"}]},
    "base_resp": {"base_resp": {"status_code": 1004, "status_msg": "WORDS"}, "choices": None},
    "errors": {"success": False, "errors": [{"message": "WORDS"}]},
    "errors, bare": {"errors": ["WORDS"]},
    "error_code": {"text": "WORDS", "error_code": 50001},
    "errcode": {"errcode": 1, "errmsg": "WORDS"},
    "no choices": {"id": "", "choices": None, "message": "WORDS"},
    "list": [{"error": {"message": "WORDS"}}],
    "message": {"message": "WORDS"},
    "success": {"success": False, "reason": "WORDS"},
    "type": {"type": "error", "message": "WORDS"},
    "fault": {"fault": {"faultstring": "WORDS", "detail": {"errorcode": "x"}}},
    "with usage": {
        "object": "error",
        "message": "WORDS",
        "usage": {"prompt_tokens": 1, "input_tokens": 1},
    },
}
BEGUN = {
    "openai": [{"choices": [{"delta": {"content": "a"}}]}],
    "anthropic": [
        {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 1}}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}},
    ],
    "ollama": [{"message": {"role": "assistant", "content": "a"}, "done": False}],
    "responses": [{"type": "response.output_text.delta", "item_id": "i", "delta": "a"}],
}
DONE = b"data: [DONE]\n\n"


def sse(*events):
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in events)


def lines(*events):
    return b"".join(json.dumps(each).encode() + b"\n" for each in events)


def failing(*data, wire="openai", **fields):
    """Return the error of a call that is answered by these bytes, and how often it was asked."""
    script = [Refuse(200, body=b"".join(data))]
    asked = []
    url = serving(lambda received: asked.append(received) or script)
    given = {"max_retries": 2, "retry_after_limit": 0.01, **fields}
    model = ChatEndpoint(base_url=f"{url}/v1", model="m", wire=wire, **given)
    with pytest.raises(ChatwrightError) as caught:
        model.invoke("hi")
    return caught.value, len(asked)


def answering(*data, wire="openai", **fields):
    url = serving(lambda _: [Bytes(b"".join(data)), Cut(politely=True)])
    return ChatEndpoint(base_url=f"{url}/v1", model="m", wire=wire, max_retries=0, **fields)


@pytest.mark.parametrize("begun", [False, True], ids=["at the start", "in the middle"])
@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
@pytest.mark.parametrize("wire", BEGUN)
def test_failures_are_told_in_any_shape(wire, report, begun):
    write = lines if wire == "ollama" else sse
    error, asked = failing(write(*(BEGUN[wire] if begun else []), report), wire=wire)
    assert "WORDS" in str(error)
    assert "HTTP 200, " in str(error)
    assert "/v1/" in str(error)
    assert asked == 1


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
@pytest.mark.parametrize("wire", BEGUN)
def test_failures_are_told_in_place_of_whole_answers(wire, report):
    quirks = Quirks(stream=False)
    error, asked = failing(json.dumps(report).encode(), wire=wire, quirks=quirks)
    assert "WORDS" in str(error)
    assert asked == 1


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_the_mark_of_the_end_makes_no_answer_of_a_failure(report):
    for before in ([], BEGUN["openai"]):
        error, _ = failing(sse(*before, report), DONE)
        assert "WORDS" in str(error)


@pytest.mark.parametrize("report", [each for name, each in REPORTS.items() if name != "message"])
def test_no_end_makes_an_answer_of_a_failure(report):
    end = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
    error, asked = failing(sse(*BEGUN["openai"], report, end), DONE)
    assert "WORDS" in str(error)
    assert asked == 1


def test_an_error_line_is_read():
    error, _ = failing(b'error: {"code": 429, "message": "WORDS"}\n\n')
    assert type(error) is RateLimitError


@pytest.mark.parametrize(
    "event",
    [
        b'error: {"code": 40001, "message": "WORDS"}\n\n',
        b"event: error\ndata: WORDS\n\n",
        b'event: error\ndata: {"foo": "WORDS"}\n\n',
        b"data: WORDS\n\n",
        b"WORDS\n\n",
        b"<html><body><p>WORDS</p></body></html>",
    ],
)
@pytest.mark.parametrize("begun", [False, True])
def test_failures_are_told_by_events_and_text(event, begun):
    error, asked = failing(sse(*(BEGUN["openai"] if begun else [])), event)
    assert "WORDS" in str(error)
    assert "<p>" not in str(error)
    assert asked == 1


@pytest.mark.parametrize(
    ("report", "kind", "status"),
    [
        ({"code": 429, "msg": "WORDS"}, RateLimitError, 429),
        ({"errors": [{"code": "529", "message": "WORDS"}]}, EngineError, 529),
        ({"code": 1302, "msg": "Rate limit reached"}, RateLimitError, 429),
        ({"message": "The model is overloaded"}, EngineError, 503),
        ({"__type": "ThrottlingException", "message": "WORDS"}, RateLimitError, 429),
        ({"title": "WORDS", "status": 503}, EngineError, 503),
    ],
)
def test_a_code_inside_counts_as_the_status_and_so_do_words(report, kind, status):
    error, asked = failing(sse(report))
    assert (type(error), error.status, asked) == (kind, status, 3)


def test_what_has_to_be_paid_for_first_is_asked_for_once():
    report = {"error": {"code": 429, "message": "You exceeded your current quota"}}
    error, asked = failing(sse(report))
    assert (type(error), error.is_retryable, asked) == (RateLimitError, False, 1)


@pytest.mark.parametrize("body", [b"", b"\n", b"{}", b"[]", b"null", DONE])
@pytest.mark.parametrize("wire", BEGUN)
@pytest.mark.parametrize("stream", [False, True])
def test_nothing_is_no_answer(body, wire, stream):
    error, asked = failing(body, wire=wire, quirks=Quirks(stream=stream))
    assert type(error) is OutputError
    assert "nothing of an answer" in str(error)
    assert asked == 1


def test_another_wires_answer_is_none():
    said = {"choices": [{"message": {"role": "assistant", "content": "WORDS"}}]}
    for wire in ("anthropic", "ollama", "responses"):
        error, asked = failing(json.dumps(said).encode(), wire=wire, quirks=Quirks(stream=False))
        assert "WORDS" in str(error)
        assert "wire" in str(error)
        assert asked == 1


@pytest.mark.parametrize("told", [{"error": {"code": 40001, "message": "WORDS"}}, {}])
def test_an_answer_that_ended_by_an_error_is_one(told):
    choice = {"message": {"content": "a"}, "finish_reason": "error", **told}
    error, _ = failing(json.dumps({"choices": [choice]}).encode(), quirks=Quirks(stream=False))
    assert type(error) is EngineError
    assert not told or "WORDS" in str(error)


def test_a_lost_connection_before_the_text_is_asked_for_again():
    error, asked = failing(sse({"choices": [{"delta": {"role": "assistant", "content": ""}}]}))
    assert (type(error), asked) == (SourceConnectionError, 3)


@pytest.mark.parametrize(
    "page", [b"<html>Sign in</html>", b"Sign in", json.dumps({"hello": "Sign in"}).encode()]
)
def test_what_is_no_answer_is_shown(page):
    error, asked = failing(page)
    assert "Sign in" in str(error)
    assert asked == 1


def test_an_empty_answer_is_an_answer():
    reply = sse({"choices": [{"delta": {"content": ""}, "finish_reason": "stop"}]})
    assert answering(reply, b"data: [DONE]\n\n").invoke("hi").text == ""


def test_base_resp_of_a_good_answer_is_no_failure():
    reply = sse(
        {"choices": [{"delta": {"content": "a"}}], "base_resp": {"status_code": 0}},
        {"choices": [], "base_resp": {"status_code": 0, "status_msg": ""}},
    )
    assert answering(reply, b"data: [DONE]\n\n").invoke("hi").text == "a"


def test_the_titles_of_sources_are_no_failure():
    sources = {"search_results": [{"title": "Errors", "url": "http://x.example"}]}
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    reply = sse(
        {"choices": [{"delta": {"content": "a"}}], **sources},
        {"choices": [], "usage": usage, **sources},
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
    with pytest.raises(OutputError, match=r"reply.*'answer'"):
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
