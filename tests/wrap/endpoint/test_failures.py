"""Time, failure and cancelling, against a server that misbehaves on purpose."""

import asyncio
import email.utils
import gc
import json
import logging
import pickle
import re
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from langchain_core import exceptions as core
from langchain_core.load import dumps
from langchain_core.messages import HumanMessage

from chatwright import (
    AuthenticationError,
    ChatEndpoint,
    EngineError,
    InvalidRequestError,
    NotFoundError,
    OutputError,
    ParameterError,
    PermissionDeniedError,
    PromptTooLongError,
    RateLimitError,
    SourceConnectionError,
    SourceTimeoutError,
)
from chatwright.checks.calls.modes import Recorder
from chatwright.testing import Bytes, Cut, Pause, Refuse, Stall
from chatwright.wrap.failure import retry_after
from chatwright.wrap.masking import Mask
from contract.subjects import MODES
from waiting import eventually, soon
from wrap.endpoint.conftest import Carrier

CANARY = "sk-canary-4711"

pytestmark = pytest.mark.usefixtures("carrier")


def model(server, **fields):
    given = {
        "base_url": f"{server.url}/v1",
        "model": "m",
        "max_retries": 0,
        "fast": Carrier.fast,
        **fields,
    }
    return ChatEndpoint(**given)


def in_turn(*scripts):
    """Answer each request by the next script; the last one goes on."""
    left = [*scripts]
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


# Errors.


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
@pytest.mark.parametrize(
    ("status", "ours", "theirs"),
    [
        (400, InvalidRequestError, core.ModelInvalidRequestError),
        (401, AuthenticationError, core.ModelAuthenticationError),
        (403, PermissionDeniedError, core.ModelPermissionDeniedError),
        (404, NotFoundError, core.ModelNotFoundError),
        (408, SourceTimeoutError, core.ModelTimeoutError),
        (422, InvalidRequestError, core.ModelInvalidRequestError),
        (429, RateLimitError, core.ModelRateLimitError),
        (500, EngineError, core.ModelAPIError),
        (529, EngineError, core.ModelAPIError),
        (504, SourceTimeoutError, core.ModelTimeoutError),
    ],
)
async def test_E1_a_status_becomes_langchains_error(server, mode, status, ours, theirs):
    server.script = [Refuse(status, f"no, {CANARY}!", {"x-request-id": "r-17"})]
    with pytest.raises(ours) as caught:
        await mode(model(server, api_key=CANARY), "x")
    error = caught.value
    assert isinstance(error, theirs)
    assert (error.status, error.request_id) == (status, "r-17")
    assert "no, ***!" in str(error)
    assert "no, ***!" in error.body
    assert CANARY not in repr(error) + error.body + repr(error.__cause__) + repr(error.__context__)
    assert pickle.loads(pickle.dumps(error)).status == status


def test_E1_a_body_is_shown_up_to_two_kilobytes(server):
    server.script = [Refuse(500, body=b"x" * 10**6)]
    with pytest.raises(EngineError) as caught:
        model(server).invoke("x")
    assert caught.value.body == "x" * 2048
    assert len(str(caught.value)) < 2200


@pytest.mark.parametrize(
    ("said", "lengths"),
    [
        ("request (3031 tokens) exceeds the available context size (1024 tokens)", (3031, 1024)),
        (
            "maximum context length is 4096 tokens, but your messages resulted in 5,000 tokens",
            (5000, 4096),
        ),
        ("prompt is too long: 210000 tokens > 200000 maximum", (210000, 200000)),
        ("context_length_exceeded", (None, None)),
    ],
)
def test_E1_a_prompt_that_is_too_long_is_told_by_what_the_server_says(server, said, lengths):
    server.script = [Refuse(400, said)]
    with pytest.raises(PromptTooLongError) as caught:
        model(server).invoke("x")
    assert (caught.value.prompt_tokens, caught.value.context_tokens) == lengths


def test_a_redirect_is_not_followed_with_a_key_but_named(server):
    server.script = [Refuse(307, headers={"Location": "http://elsewhere.example/v1"})]
    with pytest.raises(InvalidRequestError, match=r"sends on .*http://elsewhere\.example/v1"):
        model(server, api_key=CANARY).invoke("x")


def test_no_server_there_is_an_error_that_names_the_host():
    nobody = ChatEndpoint(base_url="http://127.0.0.1:9/v1", max_retries=0)
    with pytest.raises(SourceConnectionError, match=r"127\.0\.0\.1:9: no connection"):
        nobody.invoke("x")


@pytest.mark.parametrize("url", ["ftp://x", "localhost:8000", "", "http://", 3])
def test_an_address_that_is_none_is_refused_at_once(url):
    with pytest.raises(ValueError, match="base_url"):
        ChatEndpoint(base_url=url)


# Lost peers.


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
@pytest.mark.parametrize("cut", [Cut(), Cut(reset=True), Cut(politely=True)], ids=str)
async def test_E2_a_lost_peer_is_an_error_with_the_partial_text(server, mode, cut):
    server.script = ["half ", "an answer", Pause(0.05), cut]
    with pytest.raises(SourceConnectionError) as caught:
        await mode(model(server, max_retries=3), "x")
    assert caught.value.partial_text == "half an answer"
    assert len(server.requests) == 1  # never once a piece has been handed out


def test_half_a_line_at_the_end_is_a_lost_peer(server):
    server.script = ["one", Bytes(b'data: {"choices": [{"delta": {"con'), Cut()]
    with pytest.raises(SourceConnectionError) as caught:
        model(server).invoke("x")
    assert caught.value.partial_text == "one"


def test_E3_what_fails_before_the_first_piece_lets_fallbacks_work(server):
    server.script = in_turn([Refuse(500)], ["spare"])
    either = model(server).with_fallbacks([model(server)])
    assert "".join(each.text for each in either.stream("x")) == "spare"


# Retries.


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_what_may_pass_is_asked_again(server, status):
    server.script = in_turn([Refuse(status)], ["fine"])
    assert model(server, max_retries=1).invoke("x").text == "fine"
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_will_not_pass_is_not_asked_again(server, status):
    server.script = in_turn([Refuse(status)], ["fine"])
    with pytest.raises(core.ModelError):
        model(server, max_retries=3).invoke("x")
    assert len(server.requests) == 1


def test_a_lost_connection_and_an_overload_inside_the_answer_are_asked_again(server):
    overloaded = Bytes(b'event: error\ndata: {"error": {"type": "overloaded_error"}}\n\n')
    server.script = in_turn([Cut()], [Cut(reset=True)], [overloaded, Stall()], ["fine"])
    assert model(server, max_retries=3).invoke("x").text == "fine"
    assert len(server.requests) == 4


def test_retries_come_to_an_end(server):
    server.script = [Refuse(503)]
    with pytest.raises(EngineError):
        model(server, max_retries=2).invoke("x")
    assert len(server.requests) == 3


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured(server, form):
    in_a_second = datetime.now(UTC) + timedelta(seconds=2)
    after = "1" if form == "seconds" else email.utils.format_datetime(in_a_second, usegmt=True)
    server.script = in_turn([Refuse(429, headers={"Retry-After": after})], ["fine"])
    assert model(server, max_retries=1).invoke("x").text == "fine"
    first, second = server.requests
    assert 0.9 < second.at - first.at < 20


def test_a_server_that_asks_for_an_hour_is_not_waited_for(server):
    server.script = [Refuse(429, headers={"Retry-After": "3600"})]
    with pytest.raises(RateLimitError) as caught:
        model(server, max_retries=3).invoke("x")
    assert caught.value.retry_after == 3600
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("1.5", 1.5),
        ("-3", 0),
        ("nan", 0),
        ("Wed, 21 Oct 2015 07:28:10 GMT", 10),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0),
    ],
)
def test_retry_after_comes_in_two_forms(value, seconds):
    now = datetime(2015, 10, 21, 7, 28, tzinfo=UTC)
    assert retry_after(value, now) == seconds


# Time limits.


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
@pytest.mark.parametrize(
    ("script", "limit", "named"),
    [
        ([Stall()], {"first_token_timeout": 0.2}, "first_token_timeout"),
        (["one", Stall()], {"token_timeout": 0.2}, "token_timeout"),
        (["one", *[Pause(0.05), "x"] * 4000], {"timeout": 0.8}, "timeout"),
        ([Bytes(b": keep-alive\n\n"), Pause(0.05)] * 4000, {"first_token_timeout": 0.3}, "first"),
        (["one", *[Bytes(b": wait\n\n"), Pause(0.05)] * 4000], {"token_timeout": 0.3}, "token"),
    ],
)
async def test_every_time_limit_holds(server, way, script, limit, named):
    server.script = script
    with pytest.raises(SourceTimeoutError, match=named) as caught:
        await MODES[way](model(server, **limit), "x")
    begun = "one" if script[0] == "one" else ""
    assert re.fullmatch(f"{begun}x*", caught.value.partial_text)
    assert isinstance(caught.value, TimeoutError)


def test_a_slow_server_within_its_limits_is_no_fault(server):
    server.script = ["a", Pause(2.2), "b"]
    assert model(server, token_timeout=60, first_token_timeout=2).invoke("x").text == "ab"


async def test_a_slow_reader_is_not_taken_for_a_slow_server(server):
    server.script = ["a", "b", "c"]
    text = ""
    async for chunk in model(server, token_timeout=1.5).astream("x"):
        if not text:
            await asyncio.sleep(1.7)
        text += chunk.text
    assert text == "abc"


def test_a_server_that_keeps_the_connection_open_after_the_end_is_not_waited_for(server):
    end = b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
    server.script = ["hi", Bytes(end), Stall()]
    assert model(server).invoke("x").text == "hi"


async def test_the_time_limit_of_an_own_task_is_not_mistaken_for_ours(server):
    server.script = [Stall()]
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.2):
            await model(server).ainvoke("x")
    assert not isinstance(caught.value, SourceTimeoutError)


# Cancelling.


ENDLESS = [Pause(0.01), "b"] * 50_000


def ended(server):
    """Return how the answers ended."""
    soon(lambda: all(each.ended for each in server.requests))
    return [each.ended for each in server.requests]


@pytest.mark.parametrize("script", [[Stall()], ["a", *ENDLESS]])
async def test_E4_cancelling_closes_the_connection(server, script):
    server.script = script
    for number, way in enumerate(("ainvoke", "astream", "events_v2", "async_v3"), 1):
        recorder = Recorder()
        task = asyncio.create_task(MODES[way](model(server), "x", {"callbacks": [recorder]}))
        assert await eventually(lambda: len(server.requests) == number)
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(ended, server) == ["lost"] * len(server.requests)
        assert recorder.ends() == ["on_llm_error"]
    server.script = ["fine"]
    assert (await model(server).ainvoke("x")).text == "fine"


def test_E4_closing_a_stream_closes_the_connection(server):
    server.script = ["a", *ENDLESS]
    stream = model(server).stream("x")
    next(stream)
    stream.close()
    assert ended(server) == ["lost"]


def test_P6_a_stop_sequence_halts_the_server(server):
    server.script = ["one ", "END", *ENDLESS]
    assert model(server).invoke("x", stop=["END"]).text == "one END"
    assert ended(server) == ["lost"]


# Loops, threads and connections.


def test_A5_one_instance_works_in_loop_after_loop_and_leaves_nothing_behind(server, recwarn):
    server.script = ["fine"]
    endpoint = model(server)
    for _ in range(5):
        assert asyncio.run(endpoint.ainvoke("x")).text == "fine"
        assert endpoint.invoke("x").text == "fine"
    gc.collect()
    assert not [each for each in recwarn if issubclass(each.category, ResourceWarning)]
    assert server.connections <= 6  # one for each loop, one for all code without async


async def test_A5_it_works_inside_a_running_loop(server):
    server.script = ["fine"]
    assert model(server).invoke("x").text == "fine"


async def test_A3_forty_calls_overlap(server):
    def once_all_have_asked(received):
        while len(server.requests) < 40:
            yield Pause(0.02)
        yield "fine"

    server.script = once_all_have_asked
    answers = await asyncio.gather(*[model(server).ainvoke("x") for _ in range(40)])
    assert {each.text for each in answers} == {"fine"}


def test_a_connection_is_used_again(server):
    server.script = ["fine"]
    for _ in range(5):
        model(server).invoke("x")
    assert server.connections == 1


def test_a_connection_that_the_server_has_closed_meanwhile_is_no_fault(server):
    server.script = in_turn(["fine"], [Cut()], ["fine"])
    endpoint = model(server, max_retries=1)
    endpoint.invoke("x")
    assert endpoint.invoke("x").text == "fine"


def test_A5_threads_share_it(server):
    server.script = lambda received: [received.asked.messages[-1][1]]
    endpoint, got = model(server), {}

    def ask(n):
        got[n] = endpoint.invoke([HumanMessage(f"n{n}")]).text

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(20)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert got == {n: f"n{n}" for n in range(20)}


# Secrets.


def test_K1_no_secret_of_an_endpoint_is_shown_anywhere(server, caplog):
    caplog.set_level(logging.DEBUG)
    server.script = in_turn(["fine"], [Refuse(500, f"{CANARY}-2 {CANARY}-3 {CANARY}-4 {CANARY}-5")])
    url = f"{server.url}/v1?key={CANARY}-2".replace("//", f"//me:{CANARY}-5@")
    endpoint = ChatEndpoint(
        base_url=url, model="m", max_retries=0, headers={"X-Key": f"{CANARY}-3"}
    )
    recorder = Recorder()
    config = {"callbacks": [recorder]}
    bound = endpoint.bind(headers={"X-Own": f"{CANARY}-4"})
    bound.invoke("x", config)
    (received,) = server.requests
    assert received.headers["x-key"] == f"{CANARY}-3"
    assert received.headers["x-own"] == f"{CANARY}-4"
    assert received.headers["authorization"].startswith("Basic ")
    assert received.path == f"/v1/chat/completions?key={CANARY}-2"
    with pytest.raises(EngineError) as caught:
        endpoint.invoke("x", config, headers={"X-Own": f"{CANARY}-4"})
    error = caught.value
    shown = [
        repr(endpoint),
        repr(bound),
        json.dumps(endpoint.explain("x")),
        repr(recorder.calls),
        caplog.text,
        endpoint._get_llm_string(headers={"X-Own": f"{CANARY}-4"}),
        f"{error!r} {error.body} {error.__cause__!r} {error.__context__!r}",
    ]
    assert not [each for each in shown if CANARY in each]


def test_a_mask_hides_the_longest_first_and_leaves_short_words():
    mask = Mask(["Bearer abcdef", "abcdefgh", "red"])
    assert mask("abcdefgh Bearer abcdef red Bearer") == "*** *** red Bearer"


@pytest.mark.parametrize("wire", ["openai", "responses", "anthropic"])
def test_K1_a_key_that_a_server_echoes_in_its_answer_is_masked(server, wire):
    said = {"error": {"message": f"bad key {CANARY}", "type": "server_error"}}
    event = said if wire != "responses" else {"type": "response.failed", "response": said}
    long = {"error": "x" * 180 + CANARY}
    for payload in (event, long):
        server.script = [Bytes(f"data: {json.dumps(payload)}\n\n".encode()), Stall()]
        with pytest.raises(EngineError) as caught:
            model(server, wire=wire, api_key=CANARY).invoke("x")
        assert "sk-can" not in str(caught.value) + caught.value.body
    server.script = [Bytes(b"data: {" + b"x" * 190 + CANARY.encode() + b"\n\n"), Stall()]
    with pytest.raises(OutputError) as caught:
        model(server, wire=wire, api_key=CANARY).invoke("x")
    assert "sk-can" not in str(caught.value)


@pytest.mark.parametrize("key", [f"{CANARY}\n", f" {CANARY} "])
def test_K1_a_key_from_a_file_is_taken_without_its_white_space(server, key):
    server.script = ["fine"]
    model(server, api_key=key).invoke("x")
    assert server.requests[0].headers["authorization"] == f"Bearer {CANARY}"


@pytest.mark.parametrize(
    "fields",
    [
        {"api_key": f"{CANARY}\u20ac"},
        {"api_key": f"{CANARY}\nX: y"},
        {"api_key": lambda: None},
        {"headers": {"X-Key": f"{CANARY}\u20ac"}},
        {"headers": {"X-Key": f"{CANARY}\r\nX: y"}},
        {"headers": lambda: "nonsense"},
    ],
)
def test_K1_what_can_not_be_sent_is_an_error_that_does_not_show_it(server, fields):
    with pytest.raises((AuthenticationError, ParameterError)) as caught:
        model(server, **fields).invoke("x")
    assert CANARY not in f"{caught.value!r}{caught.value.__cause__!r}{caught.value.__context__!r}"
    assert not server.requests


def test_K1_headers_that_are_bound_later_stay_secret_too(server):
    server.script = ["fine"]

    def look() -> str:
        """Looks."""

    bound = model(server).bind(temperature=0.5).bind(headers={"X-Key": CANARY})
    assert CANARY not in repr(bound) + dumps(bound)
    bound = bound.bind_tools([look]).bind(seed=7)
    assert CANARY not in repr(bound)
    bound.invoke("x")
    assert server.requests[0].headers["x-key"] == CANARY
    assert server.requests[0].body["temperature"] == 0.5


def test_a_header_of_the_users_takes_the_place_of_ours(server):
    server.script = ["fine"]
    headers = {"USER-AGENT": "mine", "Anthropic-Version": "2099-01-01"}
    model(server, wire="anthropic", headers=headers).invoke("x")
    got = server.requests[0].headers
    assert (got["user-agent"], got["anthropic-version"]) == ("mine", "2099-01-01")
    assert got["accept-encoding"] == "identity"


def test_a_whole_answer_whose_connection_is_lost_behind_it_is_no_failure(server):
    end = Bytes(b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n')
    for cut in (Cut(), Cut(reset=True)):
        server.script = ["whole", end, Pause(0.05), cut]
        assert model(server).invoke("x").text == "whole"


@pytest.mark.parametrize("status", [429, 403])
def test_too_many_tokens_a_minute_is_not_a_prompt_that_is_too_long(server, status):
    server.script = [Refuse(status, "Too many tokens, please wait before trying again.")]
    with pytest.raises((RateLimitError, PermissionDeniedError)):
        model(server).invoke("x")


def test_time_that_a_reader_takes_does_not_count(server):
    server.script = ["a", *[Pause(0.1), "b"] * 10]
    stream = model(server, token_timeout=2.0).stream("x")
    next(stream)
    time.sleep(2.3)
    assert "".join(each.text for each in stream) == "b" * 10


async def test_a_header_function_is_under_the_time_limit(server):
    async def made():
        await asyncio.sleep(5)

    with pytest.raises(SourceTimeoutError):
        await model(server, headers=made, timeout=0.2).ainvoke("x")
