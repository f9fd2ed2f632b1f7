"""Errors name what fixes them."""

import json
import re

import pytest
import trustme
from langchain_core import exceptions as core

from chatwright import (
    ChatEndpoint,
    EngineError,
    InvalidRequestError,
    NotFoundError,
    ParameterError,
    PromptTooLongError,
    RateLimitError,
    SourceConnectionError,
    SourceError,
    chat_model,
)
from chatwright.testing import Bytes, Refuse, Stall, Upstream
from chatwright.wires.quirks import Quirks
from chatwright.wrap.hints import _HINTS
from contract.subjects import MODES
from wrap.endpoint.conftest import Carrier
from wrap.endpoint.raw import Raw
from wrap.endpoint.test_access import tls

pytestmark = pytest.mark.usefixtures("carrier")


def model(server, **fields):
    given = {"model": "m", "max_retries": 0, "fast": Carrier.fast, **fields}
    return ChatEndpoint(f"{server.url}/v1", **given)


def refused(server, status, said, headers=None, **fields):
    """Return the error for a body."""
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    server.script = [Refuse(status, body=body, headers=headers or {})]
    with pytest.raises(SourceError) as caught:
        model(server, **fields).invoke("x")
    return caught.value


def message(text, **more):
    return {"error": {"message": text, **more}}


# Prompts that are too long.

GROQ = "Please reduce the length of the messages or completion."
TGI = "Input validation error: `inputs` tokens + `max_new_tokens` must be <= {}. Given: {}"


@pytest.mark.parametrize(
    ("status", "said", "lengths"),
    [
        (400, message("Too much.", code="context_length_exceeded"), (None, None)),
        (400, message("No.", type="exceed_context_size_error"), (None, None)),
        (
            422,
            {"error": TGI.format(4096, "4000 `inputs` tokens and 200 `max_new_tokens`")},
            (4000, 4096),
        ),
        (422, {"error": "`inputs` must have less than 1024 tokens. Given: 1100"}, (1100, 1024)),
        (
            400,
            [
                message(
                    "The input token count (9) exceeds the maximum number of tokens allowed (5)."
                )
            ],
            (9, 5),
        ),
        (400, message("The input token count exceeds the maximum number of tokens"), (None, None)),
        (400, message(GROQ), (None, None)),
        (413, message(GROQ, code="x"), (None, None)),
        (400, message("prompt is too long: 210,000 tokens > 200000 maximum"), (210000, 200000)),
        (
            400,
            message("Prompt contains 9000 tokens, too large for model with 8192 maximum context"),
            (9000, 8192),
        ),
        (
            400,
            message("This model's maximum prompt length is 5 but the request contains 9 tokens."),
            (9, 5),
        ),
        (
            400,
            message("The input (9 tokens) is longer than the model's context length (5 tokens)."),
            (9, 5),
        ),
        (400, message("prompt token count of 9 exceeds the limit of 5"), (9, 5)),
        (400, message("Input is too long for requested model."), (None, None)),
    ],
)
def test_a_prompt_that_is_too_long_is_told_in_every_servers_words(server, status, said, lengths):
    error = refused(server, status, said)
    assert isinstance(error, PromptTooLongError)
    assert isinstance(error, core.ContextOverflowError)
    assert (error.prompt_tokens, error.context_tokens) == lengths


def test_a_prompt_that_is_too_long_is_told_inside_of_an_answer_too(server):
    said = {"error": {"message": "Too much.", "code": "context_length_exceeded"}}
    server.script = [Bytes(f"data: {json.dumps(said)}\n\n".encode()), Stall()]
    with pytest.raises(PromptTooLongError):
        model(server).invoke("x")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, "max_tokens exceeds the maximum value of 4096"),
        (400, "Request exceeded the allowed number of images"),
        (413, "Request too large: tokens per minute (TPM): Limit 6000, Requested 7000"),
        (400, "string too long; reduce the length of the name"),
    ],
)
def test_what_is_another_limit_is_no_prompt_that_is_too_long(server, status, said):
    assert not isinstance(refused(server, status, message(said)), PromptTooLongError)


# What is asked again.


def in_turn(*scripts):
    left = [*scripts]
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


@pytest.mark.parametrize(
    ("said", "headers", "requests"),
    [
        (message("No.", code="insufficient_quota"), {}, 1),
        (message("No.", type="insufficient_quota"), {}, 1),
        (message("No.", code="billing_hard_limit_reached"), {}, 1),
        (message("Your account is not active, please check your billing details."), {}, 1),
        (message("Your credit balance is too low. Go to Plans & Billing."), {}, 1),
        (message("No."), {"x-should-retry": "false"}, 1),
        (message("No."), {"x-should-retry": "true"}, 2),
        (message("No."), {}, 2),
        (message("You exceeded your current quota. Please retry in 0.1s."), {}, 2),
    ],
)
def test_what_asking_again_can_not_help_is_not_asked_again(server, said, headers, requests):
    refusal = Refuse(429, body=json.dumps(said).encode(), headers=headers)
    server.script = in_turn([refusal], ["fine"])
    if requests == 1:
        with pytest.raises(RateLimitError):
            model(server, max_retries=1).invoke("x")
    else:
        assert model(server, max_retries=1).invoke("x").text == "fine"
    assert len(server.requests) == requests


def test_a_server_may_ask_to_be_asked_again(server):
    refusal = Refuse(400, headers={"x-should-retry": "true"})
    server.script = in_turn([refusal], ["fine"])
    assert model(server, max_retries=1).invoke("x").text == "fine"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "Retry-After": "2"}, 1.5),
        ({"retry-after-ms": "soon", "Retry-After": "2"}, 2.0),
        ({"Retry-After": "3600"}, 3600.0),
        ({}, None),
    ],
)
def test_the_time_to_wait_is_told(server, headers, seconds):
    error = refused(server, 429, message("No."), headers)
    assert error.retry_after == seconds
    told = re.findall(r"\(it asks to try again after (\S+) s\)", str(error))
    assert told == ([] if seconds is None else [f"{seconds:g}"])


# Quirks.

PYDANTIC = {
    "detail": [
        {
            "type": "extra_forbidden",
            "loc": ["body", "stream_options"],
            "msg": "Extra inputs are not",
        }
    ]
}
AUTO = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
ROLES = "Conversation roles must alternate user/assistant/user/assistant/..."


@pytest.mark.parametrize(
    ("said", "quirks"),
    [
        (message("Unrecognized request argument supplied: stream_options"), ["stream_usage=False"]),
        (message("Unknown parameter: 'stream_options'."), ["stream_usage=False"]),
        (message("stream_options: Extra inputs are not permitted"), ["stream_usage=False"]),
        (PYDANTIC, ["stream_usage=False"]),
        (
            message("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
            ["max_tokens='max_completion_tokens'"],
        ),
        (message("registry.ollama.ai/library/m does not support tools"), ["tools=False"]),
        (message("This model doesn't support function calling"), ["tools=False"]),
        (message(AUTO), ["tools=False", "--enable-auto-tool-choice"]),
        (message(ROLES), ["merge=True", "system='first'"]),
        ({"object": "error", "message": f"After the optional system message, {ROLES}"}, ["merge="]),
        (message("System role not supported"), ["system='user'"]),
        (message("'developer' is not one of ['system', 'user']"), ["developer='system'"]),
        (message("Unsupported parameter: 'stop' is not supported"), ["max_stops=0"]),
        (message("This response_format type is unavailable now"), ["response_format="]),
        (message("Cannot use tools with stream"), ["stream_tools=False"]),
        (message("streaming with tools is not supported; set stream to false"), ["stream_tools="]),
        (message("json mode cannot be combined with tool calling"), ["tools_with_format=False"]),
        (message("Cannot use custom grammar constraints with tools."), ["tools_with_format="]),
        (message("m is not a multimodal model"), ["inputs=[]"]),
        (message("unknown variant `image_url`, expected `text`"), ["inputs=[]"]),
        (message("No endpoints found that support image input"), ["inputs=[]"]),
        ({"detail": [{"loc": ["TextContentPart"], "msg": "Input should be 'text'"}]}, ["inputs="]),
    ],
)
@pytest.mark.parametrize("status", [400, 500])
def test_a_refusal_of_what_a_quirk_changes_names_the_quirk_and_the_probe(
    server, said, quirks, status
):
    error = refused(server, status, said)
    for each in [*quirks, "chatwright probe"]:
        assert each in str(error)
    assert str(error).count("chatwright probe") == 1


def test_a_quirk_is_named_for_a_refusal_inside_of_an_answer_too(server):
    said = message("registry.ollama.ai/library/m does not support tools")
    server.script = [Bytes(f"data: {json.dumps(said)}\n\n".encode()), Stall()]
    with pytest.raises(EngineError, match="set the quirk tools=False"):
        model(server).invoke("x")


def test_every_quirk_that_is_named_is_one():
    named = {
        name
        for each in _HINTS
        if "quirk" in each.fix
        for name in re.findall(r"(\w+)=", each.fix.partition("quirk")[2])
    }
    assert len(named) > 6
    assert named <= Quirks.model_fields.keys()


@pytest.mark.parametrize(
    "said",
    [
        "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
        "Invalid value for temperature",
        "You must not support the enemy",
        "tool not found",
    ],
)
def test_no_fix_is_named_that_the_words_do_not_fit(server, said):
    assert str(refused(server, 400, message(said))).endswith(said)


# Models that are not there.


@pytest.mark.parametrize(
    "said",
    [
        message("The model `foo` does not exist."),
        message("The model `foo` does not exist or you do not have access to it."),
        message("model: claude-foo", type="not_found_error"),
        message("Nope.", code="model_not_found"),
    ],
)
def test_a_model_that_does_not_exist_does_not_blame_the_address(server, said):
    error = refused(server, 404, said)
    assert isinstance(error, NotFoundError)
    assert "the server has no such model" in str(error)
    assert "address" not in str(error)
    assert "ollama" not in str(error)


@pytest.mark.parametrize(
    "said",
    ["model 'foo:7b' not found", 'model "foo:7b" not found, try pulling it first'],
)
@pytest.mark.parametrize("wire", ["openai", "ollama"])
def test_a_model_that_ollama_has_not_is_one_to_pull(server, said, wire):
    body = {"error": said} if wire == "ollama" else message(said, type="not_found_error")
    assert "`ollama pull foo:7b`" in str(refused(server, 404, body, wire=wire))


def test_an_address_that_is_not_there_is_blamed(server):
    assert "is the address right?" in str(refused(server, 404, {"detail": "Not Found"}))


# Parameters.


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
async def test_a_parameter_that_is_not_known_goes_into_extra_body(server, mode):
    with pytest.raises(ParameterError, match=r"no parameter 'mirostat'; .* put it into extra_body"):
        await mode(model(server).bind(mirostat=2), "x")


def test_a_field_that_there_is_not_goes_into_extra_body_too(server):
    with pytest.raises(ValueError, match=r"mirostat\n.*goes into extra_body") as caught:
        model(server, mirostat="sk-canary-1")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("default_headers", "headers"),
        ("model_kwargs", "extra_body"),
        ("max_completion_tokens", "max_tokens"),
        ("openai_api_key", "api_key"),
        ("openai_api_base", "base_url"),
        ("request_timeout", "timeout"),
        ("default_query", "query"),
        ("http_async_client", "http_client"),
        ("use_responses_api", "wire='responses'"),
    ],
)
def test_chatopenais_names_name_ours(server, theirs, ours):
    with pytest.raises(ValueError, match=f"{theirs} is {ours}") as caught:
        model(server, **{theirs: "sk-canary-1"})
    assert "canary" not in str(caught.value)
    with pytest.raises(ParameterError, match=f"{theirs} is {ours}"):
        model(server).invoke("x", **{theirs: 1})


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
async def test_metadata_is_the_configs_and_for_the_server_extra_bodys(server, mode):
    with pytest.raises(ParameterError, match=r"extra_body.*config=\{'metadata': …\}"):
        await mode(model(server).bind(metadata={"a": "b"}), "x")
    with pytest.raises(ParameterError) as caught:
        model(server).invoke("x", nonsense=1)
    assert "metadata" not in str(caught.value)
    server.script = ["fine"]
    asked = model(server, extra_body={"metadata": {"a": "b"}})
    asked.invoke("x", {"metadata": {"c": "d"}})
    assert server.requests[-1].body["metadata"] == {"a": "b"}


@pytest.mark.parametrize("name", ["callbacks", "metadata", "run_id", "run_name", "tags"])
def test_what_is_the_configs_is_told_for_every_model(name):
    with pytest.raises(ParameterError, match=f"config={{'{name}': …}}"):
        chat_model(lambda messages, **more: "fine").invoke("x", **{name: None})


# Connections.


def test_a_server_that_is_away_is_named():
    class Away:
        url = "http://127.0.0.1:9"

    with pytest.raises(SourceConnectionError, match=r"no connection to 127\.0\.0\.1:9: "):
        model(Away).invoke("x")


def test_a_certificate_that_is_not_trusted_names_ca_file():
    ca = trustme.CA()
    with Upstream(["fine"], tls=tls(ca)) as server:
        with pytest.raises(SourceConnectionError, match=r"no connection to localhost:\d+.*ca_file"):
            model(server).invoke("x")


def test_a_certificate_of_another_host_names_the_host_and_not_ca_file(tmp_path):
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    with Upstream(["fine"], tls=tls(ca)) as server:
        server_at = type("At", (), {"url": server.url.replace("localhost", "127.0.0.1")})
        with pytest.raises(SourceConnectionError, match="another host's") as caught:
            model(server_at, ca_file=str(tmp_path / "ca.pem")).invoke("x")
        assert "ca_file" not in str(caught.value)


def test_a_server_that_speaks_no_tls_is_told():
    def plain(connection, number):
        connection.some()
        connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with Raw(plain) as server:
        server.url = server.url.replace("http://", "https://")
        with pytest.raises(SourceConnectionError, match="may have to begin with http://"):
            model(server).invoke("x")


def test_an_invalid_request_stays_one(server):
    assert type(refused(server, 400, message("No."))) is InvalidRequestError


# What is not the API's own.


def test_a_page_in_place_of_an_answer_tells_the_address(server):
    error = refused(server, 413, b"<html><h1>Too Large</h1></html>", {"Content-Type": "text/html"})
    where = f"HTTP 413, text/html, {server.url}/v1/chat/completions"
    assert str(error) == f"m: {where}: Too Large"
    assert str(refused(server, 400, message("no"))) == "m: HTTP 400: no"


def test_a_page_tells_the_proxy_that_it_came_by(server):
    server.script = [Refuse(503, body=b"Service Unavailable")]
    proxy = server.url.replace("://", "://me:pw-pw-pw@")
    with pytest.raises(EngineError) as caught:
        ChatEndpoint(
            "http://llm.example/v1", model="m", max_retries=0, fast=Carrier.fast, proxy=proxy
        ).invoke("x")
    place = server.url.removeprefix("http://")
    by = f"http://llm.example/v1/chat/completions by way of the proxy {place}"
    assert by in str(caught.value)
    assert "pw-pw-pw" not in str(caught.value)


WHOLE = b'{"choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}]}'


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
async def test_an_answer_tells_the_name_that_its_request_has(server, mode):
    server.script = ["fine"]
    assert "request_id" not in (await mode(model(server), "x")).response_metadata
    server.script = [Refuse(200, body=WHOLE, headers={"x-request-id": "req-1"})]
    assert (await mode(model(server), "x")).response_metadata["request_id"] == "req-1"
