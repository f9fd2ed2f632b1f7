"""How bytes come and go: stale connections, long heads, proxies, encodings, sockets, headers."""

import asyncio
import contextvars
import gzip
import json
import socket
import threading
import time
import zlib

import pytest

from chatwright import (
    AuthenticationError,
    ChatEndpoint,
    EngineError,
    ParameterError,
    SourceConnectionError,
)
from chatwright.testing import Refuse, Upstream
from chatwright.wrap.endpoint import http, transport
from chatwright.wrap.endpoint.aside import given_by
from chatwright.wrap.endpoint.transport import is_excepted
from waiting import eventually, soon
from wrap.endpoint.conftest import Carrier
from wrap.endpoint.raw import EVENTS, Raw, answer

pytestmark = pytest.mark.usefixtures("carrier")


def model(server, **fields):
    given = {"model": "m", "max_retries": 0, "fast": Carrier.fast, **fields}
    return ChatEndpoint(f"{server.url}/v1", **given)


# Connections that are used again.


def unread(connection, number):
    """Answer once, and close the connection while the next request lies there unread."""
    connection.request()
    connection.send(answer())
    connection.is_asked()


def test_a_request_of_which_the_server_has_read_nothing_is_sent_again_at_once():
    with Raw(unread) as server:
        endpoint = model(server)
        for _ in range(5):
            assert endpoint.invoke("x").text == "fine"
        assert server.read == 5
        assert server.connections == 5


@pytest.mark.parametrize("streaming", [True, False])
def test_an_answer_that_is_sent_twice_is_nobody_else_s(streaming):
    def twice(connection, number):
        while True:
            asked = connection.body()["messages"][-1]["content"]
            choice = {"index": 0, "message": {"content": asked}, "finish_reason": "stop"}
            choice |= {"delta": choice["message"]}
            whole = json.dumps({"choices": [choice]}).encode()
            if streaming:
                whole = b"data: %b\n\ndata: [DONE]\n\n" % whole
                connection.send(2 * answer(whole))
            else:
                connection.send(2 * answer(whole, {"Content-Type": "application/json"}))

    with Raw(twice) as server:
        endpoint = model(server, streaming=streaming, max_retries=1)
        asked = [f"question {number}" for number in range(8)]
        if streaming:
            said = ["".join(each.text for each in endpoint.stream(one)) for one in asked]
        else:
            said = [endpoint.invoke(one).text for one in asked]
        assert said == asked


def test_an_answer_that_comes_once_more_between_two_calls_is_nobody_s():
    sent = threading.Semaphore(0)

    def again(connection, number):
        while True:
            asked = connection.body()["messages"][-1]["content"]
            choice = {"index": 0, "message": {"content": asked}, "finish_reason": "stop"}
            whole = json.dumps({"choices": [choice]}).encode()
            one = answer(whole, {"Content-Type": "application/json"})
            connection.send(one)
            connection.is_answered()
            connection.send(one)
            sent.release()

    with Raw(again) as server:
        endpoint = model(server, streaming=False, max_retries=1)
        for asked in ("first", "second", "third"):
            assert endpoint.invoke(asked).text == asked
            server.answered.set()
            assert sent.acquire(timeout=60)


def test_a_connection_that_is_closed_after_each_answer_is_noticed():
    def closing(connection, number):
        connection.request()
        connection.send(answer())

    with Raw(closing) as server:
        endpoint = model(server)
        for _ in range(40):
            assert endpoint.invoke("x").text == "fine"

        async def several():
            for _ in range(40):
                assert (await endpoint.ainvoke("x")).text == "fine"

        asyncio.run(several())
        assert server.read == 80


def test_a_request_on_a_new_connection_is_sent_once():
    with Raw(lambda connection, number: connection.request()) as server:
        with pytest.raises(SourceConnectionError, match=r"the connection was lost to 127\.0\.0\.1"):
            model(server).invoke("x")
        assert server.read == 1


def test_a_request_at_which_the_server_may_have_worked_is_sent_once(monkeypatch):
    monkeypatch.setattr(transport, "STALE_SECONDS", 0)
    with Raw(unread) as server:
        endpoint = model(server)
        endpoint.invoke("x")
        with pytest.raises(SourceConnectionError):
            endpoint.invoke("x")
        assert server.connections == 1


def test_a_request_whose_answer_is_no_http_is_sent_once():
    def nonsense(connection, number):
        connection.request()
        connection.send(answer())
        connection.request()
        connection.send(b"HTTP/7 what?\r\n\r\n")

    with Raw(nonsense) as server:
        endpoint = model(server)
        endpoint.invoke("x")
        with pytest.raises(SourceConnectionError, match="no HTTP that can be read comes from 127"):
            endpoint.invoke("x")
        assert server.read == 2


# Heads.


@pytest.mark.parametrize(("size", "fits"), [(8_191, True), (90_000, True), (300_000, False)])
def test_a_long_head_is_read_up_to_the_same_length(size, fits):
    def long(connection, number):
        connection.request()
        connection.send(answer(headers={"X-Long": "x" * size}))

    with Raw(long) as server:
        if fits:
            assert model(server).invoke("x").text == "fine"
            return
        with pytest.raises(SourceConnectionError, match="no HTTP that can be read comes from"):
            model(server).invoke("x")


# Proxies.


@pytest.mark.parametrize(
    ("entry", "host", "port", "excepted"),
    [
        ("10.0.0.0/8", "10.1.2.3", None, True),
        ("10.0.0.0/8", "11.1.2.3", None, False),
        ("10.1.2.3/8", "10.9.9.9", None, True),
        ("10.0.0.0/8", "ten.example", None, False),
        ("192.168.0.1", "192.168.0.1", 8000, True),
        ("192.168.0.1:8000", "192.168.0.1", 8000, True),
        ("192.168.0.1:8000", "192.168.0.1", 9000, False),
        ("fd00::/8", "fd00::1", None, True),
        ("[::1]", "::1", None, True),
        ("::1", "::2", None, False),
        ("acme.example", "acme.example", None, True),
        ("acme.example", "llm.acme.example", None, True),
        ("acme.example", "noacme.example", None, False),
        (".acme.example", "llm.acme.example", 443, True),
        ("*.acme.example", "llm.acme.example", None, True),
        ("Acme.Example:8443", "acme.example", 8443, True),
        ("acme.example:8443", "acme.example", None, False),
        ("other.example, 10.0.0.0/8 ,", "10.0.0.1", None, True),
        ("*", "acme.example", None, True),
        ("", "acme.example", None, False),
    ],
)
def test_no_proxy_excepts_hosts_addresses_and_networks(entry, host, port, excepted, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    assert is_excepted(host, port, {"no": entry}) is excepted


def test_a_network_in_no_proxy_is_reached_without_it(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with Upstream(["fine"]) as server:
        monkeypatch.setenv("NO_PROXY", "10.0.0.0/8")
        with pytest.raises(SourceConnectionError, match=r"no connection to 127\.0\.0\.1:9:"):
            asyncio.run(model(server).ainvoke("x"))
        monkeypatch.setenv("NO_PROXY", "10.0.0.0/8,127.0.0.0/8")
        assert asyncio.run(model(server).ainvoke("x")).text == "fine"


def test_a_proxy_that_is_away_is_named_without_its_password():
    with Upstream(["fine"]) as server:
        with pytest.raises(SourceConnectionError) as caught:
            model(server, proxy="http://me:pw-pw-pw@127.0.0.1:9").invoke("x")
        assert "the proxy gives no connection" in str(caught.value)
        assert "no connection to 127.0.0.1:9" in str(caught.value)
        assert "pw-pw" not in str(caught.value)


# Content encodings that nobody asked for.


def deflated(data):
    return zlib.compress(data)


@pytest.mark.parametrize(
    ("name", "encode"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("GZip", gzip.compress),
        ("deflate", deflated),
        ("identity, gzip", gzip.compress),
        ("identity", bytes),
        ("Identity", bytes),
        ("utf-8", bytes),
        ("", bytes),
    ],
)
def test_a_content_encoding_is_decoded(name, encode):
    def encoded(connection, number):
        connection.request()
        connection.send(answer(encode(EVENTS), {"Content-Encoding": name}))

    with Raw(encoded) as server:
        assert model(server).invoke("x").text == "fine"


@pytest.mark.parametrize("name", ["br", "zstd", "compress"])
def test_a_content_encoding_that_can_not_be_decoded_is_named(name, monkeypatch):
    monkeypatch.setattr(http, "_decompressed", lambda: frozenset({"gzip", "deflate"}))

    def encoded(connection, number):
        connection.request()
        connection.send(answer(b"\x1b\x00\x80", {"Content-Encoding": name}))

    with Raw(encoded) as server, pytest.raises(EngineError, match=f"the content encoding '{name}'"):
        model(server).invoke("x")


def test_a_body_that_is_not_of_its_encoding_is_an_error_that_says_so():
    def encoded(connection, number):
        connection.request()
        connection.send(answer(EVENTS, {"Content-Encoding": "gzip"}))

    with Raw(encoded) as server, pytest.raises(EngineError, match="can't be decompressed"):
        model(server).invoke("x")


def test_a_failure_whose_body_can_not_be_decoded_is_told_by_its_status(monkeypatch):
    monkeypatch.setattr(http, "_decompressed", lambda: frozenset({"gzip"}))

    def encoded(connection, number):
        connection.request()
        connection.send(answer(b"\x1b", {"Content-Encoding": "br"}, "401 No"))

    with Raw(encoded) as server, pytest.raises(AuthenticationError, match="HTTP 401"):
        model(server).invoke("x")


# Sockets.


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux has these options")
async def test_a_connection_is_kept_alive_as_chatopenais_is(monkeypatch):
    from langchain_openai.chat_models._client_utils import _default_socket_options

    seen = []
    tuned = http.Opened.on

    def on(self, made):
        tuned(self, made)
        seen.append(made)

    monkeypatch.setattr(http.Opened, "on", on)
    with Upstream(["fine"]) as server:
        await model(server).ainvoke("x")
        (made,) = seen
        wanted = _default_socket_options()
        assert len(wanted) == 5
        assert [(*each[:2], made.getsockopt(*each[:2])) for each in wanted] == [*wanted]


# Headers of answers.


@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_the_headers_of_an_answer_are_in_its_metadata_on_request(way):
    def told(connection, number):
        while True:
            connection.request()
            headers = {"X-Request-Id": "r-1", "X-Echo": "sk-canary-1", "X-Left": "9"}
            connection.send(answer(headers=headers))

    with Raw(told) as server:
        asked = model(server, include_response_headers=True, api_key="sk-canary-1")
        if way == "invoke":
            message = asked.invoke("x")
        else:
            first, *rest = asked.stream("x")
            message = sum(rest, first)
        headers = message.response_metadata["headers"]
        assert (headers["x-request-id"], headers["x-left"]) == ("r-1", "9")
        assert headers["x-echo"] == "***"
        assert message.response_metadata["finish_reason"] == "stop"
        stopped = asked.invoke("x", stop=["in"])
        assert stopped.response_metadata["headers"]["x-request-id"] == "r-1"
        assert "headers" not in model(server).invoke("x").response_metadata
        with pytest.raises(ParameterError, match="include_response_headers"):
            model(server).invoke("x", include_response_headers=True)


# Functions that give keys and headers.


async def ten_at_once(endpoint):
    return await asyncio.gather(*[endpoint.ainvoke("x") for _ in range(10)])


@pytest.mark.parametrize("field", ["api_key", "headers"])
async def test_a_function_that_blocks_is_called_aside_and_once_for_all_who_wait(field):
    calls, meanwhile = [], asyncio.Event()
    loop = asyncio.get_running_loop()

    def blocking():
        calls.append(threading.get_ident())
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(60)  # the loop goes on
        time.sleep(0.1)  # so that all of them wait
        loop.call_soon_threadsafe(meanwhile.set)
        return "sk-1" if field == "api_key" else {"Authorization": "Bearer sk-1"}

    with Upstream(["fine"]) as server:
        answers = await ten_at_once(model(server, **{field: blocking}))
        assert {each.text for each in answers} == {"fine"}
        assert {each.headers["authorization"] for each in server.requests} == {"Bearer sk-1"}
        assert len(calls) == 1
        assert threading.get_ident() not in calls
        assert meanwhile.is_set()
        await model(server, **{field: blocking}).ainvoke("x")
        assert len(calls) == 2


tenant = contextvars.ContextVar("tenant")


async def test_a_function_that_looks_at_context_variables_gives_each_its_own():
    def of_the_tenant():
        time.sleep(0.05)
        return f"sk-{tenant.get()}"

    with Upstream(lambda got: [got.headers["authorization"]]) as server:
        endpoint = model(server, api_key=of_the_tenant)

        async def ask(name):
            tenant.set(name)
            return (await endpoint.ainvoke("x")).text

        names = [f"t{number}" for number in range(5)]
        assert await asyncio.gather(*map(ask, names)) == [f"Bearer sk-{each}" for each in names]


async def test_a_function_that_looks_at_the_config_gives_each_its_own():
    from langchain_core.runnables.config import ensure_config

    def of_the_user():
        time.sleep(0.05)
        return {"X-User": ensure_config()["configurable"]["user"]}

    with Upstream(lambda got: [got.headers["x-user"]]) as server:
        endpoint = model(server, headers=of_the_user)
        configs = [{"configurable": {"user": f"u{number}"}} for number in range(5)]
        answers = await asyncio.gather(*[endpoint.ainvoke("x", each) for each in configs])
        assert [each.text for each in answers] == [f"u{number}" for number in range(5)]


async def test_a_refused_key_is_asked_for_again_by_all_who_had_it():
    keys = iter(["old", "new"])
    lock = threading.Lock()

    def give():
        time.sleep(0.05)
        with lock:
            return next(keys)

    def script(got):
        return ["fine"] if got.headers["authorization"] == "Bearer new" else [Refuse(401)]

    with Upstream(script) as server:
        answers = await ten_at_once(model(server, api_key=give))
        assert {each.text for each in answers} == {"fine"}


@pytest.mark.parametrize("error", [RuntimeError("no token"), StopIteration()])
def test_what_a_function_raises_is_raised(error):
    def failing():
        raise error

    with Upstream(["fine"]) as server, pytest.raises(RuntimeError, match=r"no token|nothing more"):
        model(server, api_key=failing).invoke("x")


async def test_whoever_goes_away_does_not_take_the_others_with_him():
    go = threading.Event()
    started = threading.Event()

    def slow():
        started.set()
        go.wait(60)
        return "sk-1"

    with Upstream(["fine"]) as server:
        endpoint = model(server, api_key=slow)
        first = asyncio.create_task(endpoint.ainvoke("x"))
        await asyncio.to_thread(started.wait, 60)
        second = asyncio.create_task(endpoint.ainvoke("x"))
        await asyncio.sleep(0.05)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        go.set()
        assert (await second).text == "fine"
        assert soon(lambda: len(server.requests) == 1)


# Headers that are left out.


@pytest.mark.parametrize("wire", ["openai", "anthropic"])
def test_a_header_of_none_is_left_out(wire):
    with Upstream(["fine"]) as server:
        endpoint = model(
            server,
            wire=wire,
            api_key="sk-1",
            headers={"X-None": None, "User-Agent": None, "ACCEPT-ENCODING": None, "X-Team": "red"},
            query={"a": "1", "b": None},
        )
        endpoint.invoke("x")
        got = server.requests[-1]
        assert not {"x-none", "user-agent", "accept-encoding"} & got.headers.keys()
        assert got.headers["x-team"] == "red"
        assert got.path.endswith("?a=1")
        key = "x-api-key" if wire == "anthropic" else "authorization"
        assert got.headers[key].endswith("sk-1")
        endpoint.invoke("x", headers={"x-team": None, key.title(): None})
        assert not {"x-team", key} & server.requests[-1].headers.keys()
        endpoint.bind(headers={"X-Team": None}).invoke("x")
        assert "x-team" not in server.requests[-1].headers
        shown = endpoint.explain("x")
        assert "X-None" not in shown["headers"]
        assert shown["headers"]["X-Team"] == "***"
        assert shown["url"].endswith("?a=***")


# Addresses.


@pytest.mark.parametrize(
    ("path", "wire", "wanted"),
    [
        ("/v1", None, "/v1/chat/completions"),
        ("/v1/chat/completions", None, "/v1/chat/completions"),
        ("/v1/chat/completions/", "openai", "/v1/chat/completions"),
        ("/v1/responses", None, "/v1/responses"),
        ("/v1/responses", "responses", "/v1/responses"),
        ("/v1/messages", None, "/v1/messages"),
        ("/api/chat", None, "/api/chat"),
        ("/v1/chat/completions?api-version=1", None, "/v1/chat/completions?api-version=1"),
    ],
)
def test_an_address_may_be_pasted_with_what_the_wire_appends(path, wire, wanted):
    given = {} if wire is None else {"wire": wire}
    with Upstream(["fine"]) as server:
        fields = {"model": "m", "max_retries": 0, "fast": Carrier.fast, **given}
        assert ChatEndpoint(f"{server.url}{path}", **fields).invoke("x").text == "fine"
        moved = ChatEndpoint("http://127.0.0.1:9/v1", **fields)
        moved.base_url = f"{server.url}{path if '?' in path else path + '/'}"
        assert moved.invoke("x").text == "fine"
        copied = ChatEndpoint("http://127.0.0.1:9/v1", **fields)
        copied = copied.model_copy(update={"base_url": f"{server.url}{path}"})
        assert copied.invoke("x").text == "fine"
        assert [each.path for each in server.requests] == [wanted] * 3


def test_an_address_of_another_wire_than_the_named_one_is_refused():
    with pytest.raises(
        ValueError, match=r"ends in /responses, .* 'responses', and not of 'openai'"
    ):
        ChatEndpoint("http://x/v1/responses", wire="openai")


def test_what_is_secret_in_an_address_that_is_set_later_is_moved_too():
    endpoint = ChatEndpoint("http://x/v1", model="m")
    endpoint.base_url = "http://me:pw-pw-pw@y/v1/?key=k-k-k-k"
    assert endpoint.base_url == "http://y/v1"
    assert endpoint.query["key"].get_secret_value() == "k-k-k-k"
    assert "pw-pw" not in repr(endpoint)
    assert "k-k-k" not in repr(endpoint)
    endpoint.base_url = "http://you:pw-2-pw-2@y/v1?key=k-2-k-2"
    assert endpoint.query["key"].get_secret_value() == "k-2-k-2"
    assert endpoint.auth is not None
    with pytest.raises(ValueError, match="base_url has to begin"):
        endpoint.base_url = "y/v1"


def test_a_model_that_nobody_has_named_is_not_named_after_another_address():
    with Upstream(["fine"]) as server:
        endpoint = ChatEndpoint("http://127.0.0.1:9/v1", fast=Carrier.fast)
        endpoint.base_url = f"{server.url}/v1"
        endpoint.invoke("x")
        assert "model" not in server.requests[-1].body
        endpoint.base_url = f"{server.url}/v1#mine"
        endpoint.invoke("x")
        assert server.requests[-1].body["model"] == "mine"


async def test_whoever_was_refused_does_not_wait_for_what_was_asked_for_before_that():
    calls, go = [], threading.Event()

    def give():
        calls.append(None)
        go.wait(60)
        return "sk-1"

    first = asyncio.create_task(given_by(give))
    assert await eventually(lambda: len(calls) == 1)
    second = asyncio.create_task(given_by(give, "sk-0"))
    third = asyncio.create_task(given_by(give, "sk-0"))
    assert await eventually(lambda: len(calls) == 2)
    go.set()
    assert await asyncio.gather(first, second, third) == ["sk-1"] * 3
    assert len(calls) == 2
