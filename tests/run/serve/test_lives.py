"""How requests live and end: lost clients, queues, heartbeats, limits."""

import socket
import threading

import httpx2
import pytest

from chatwright.run.serve.limits import Limits

from .conftest import Endless, eventually

HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
)


def leave(server, stream, after):
    """Ask, wait for something, and go away without a word."""
    with httpx2.Client(base_url=server.url, timeout=30) as client:
        body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": stream}
        if stream and after == "token":
            with client.stream("POST", "/v1/chat/completions", json=body) as answer:
                next(answer.iter_bytes())
            return
        with pytest.raises(httpx2.TimeoutException):
            client.post("/v1/chat/completions", json=body, timeout=0.5)


@pytest.mark.parametrize(
    ("stream", "after", "first_after"),
    [(True, "token", 0), (True, "nothing", 60), (False, "nothing", 0), (False, "nothing", 60)],
)
def test_a_client_that_goes_ends_the_generation(serving, stream, after, first_after):
    endless = Endless(first_after)
    leave(serving(endless.model), stream, after)
    assert endless.started.is_set()
    assert endless.closed.wait(10)


def test_a_client_that_goes_while_it_waits_is_never_answered(serving):
    endless = Endless()
    server = serving(endless.model, limits=Limits(concurrency=1, queue=1))
    with server.client.stream("POST", "/v1/chat/completions", json=_asks(stream=True)) as first:
        pieces = first.iter_bytes()  # its end would be the stream's
        next(pieces)
        endless.started.clear()
        leave(server, stream=False, after="nothing")
        eventually(lambda: _metric(server, "chatwright_requests_waiting") == 0)
    assert endless.closed.wait(10)
    assert not endless.started.is_set()
    eventually(lambda: _metric(server, "chatwright_requests_running") == 0)


def test_a_full_queue_is_told_so(serving):
    endless = Endless()
    server = serving(endless.model, limits=Limits(concurrency=1, queue=0))
    with server.client.stream("POST", "/v1/chat/completions", json=_asks(stream=True)) as first:
        pieces = first.iter_bytes()  # its end would be the stream's
        next(pieces)
        refused = server.ask()
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1


def test_heartbeats_until_the_first_token(serving):
    server = serving(Endless(first_after=0.5).model, limits=Limits(heartbeat=0.05))
    for path, more, beat in (
        ("/v1/chat/completions", {}, b": wait"),
        ("/v1/messages", {"max_tokens": 9}, b": wait"),
        ("/api/chat", {}, b'"content": ""'),
    ):
        with server.client.stream("POST", path, json=_asks(stream=True, **more)) as answer:
            got = b""
            for part in answer.iter_bytes():
                got += part
                if b"word2" in got:
                    break
        assert answer.headers["x-accel-buffering"] == "no"
        before, _, after = got.partition(b"word1")
        assert before.count(beat) >= 2, got
        assert b": wait" not in after


def test_a_body_that_is_too_long_or_no_json(serving):
    server = serving(limits=Limits(body=1000))
    assert server.ask(messages=[{"role": "user", "content": "x" * 2000}]).status_code == 413
    for data in (b"{", b"[1]", b"null", b"\xff"):
        headers = {"Content-Type": "application/json"}
        refused = server.client.post("/v1/chat/completions", content=data, headers=headers)
        assert refused.status_code == 400
        assert refused.json()["error"]["message"]


def test_a_body_that_does_not_come(serving):
    server = serving(limits=Limits(body_seconds=0.2))
    with socket.create_connection(("127.0.0.1", httpx2.URL(server.url).port)) as raw:
        raw.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        raw.settimeout(20)
        assert b" 408 " in raw.recv(4096)


def test_a_head_that_is_too_long(serving):
    server = serving()
    with socket.create_connection(("127.0.0.1", httpx2.URL(server.url).port)) as raw:
        raw.settimeout(20)
        try:
            for _ in range(200):
                raw.sendall(HEAD if _ == 0 else b"X-More: " + b"a" * 1000 + b"\r\n")
            got = raw.recv(4096)
        except (ConnectionError, BrokenPipeError):
            got = b""
    assert got == b""
    assert server.ask().status_code == 200


def test_a_client_that_reads_nothing_is_let_go(serving):
    from chatwright import chat_model

    closed = threading.Event()

    @chat_model
    async def floods(messages):
        try:
            while True:
                yield "x" * 100_000
        finally:
            closed.set()

    server = serving(floods, limits=Limits(reader_seconds=0.3, heartbeat=0.1))
    with socket.create_connection(("127.0.0.1", httpx2.URL(server.url).port)) as raw:
        import json

        body = json.dumps(_asks(stream=True)).encode()
        raw.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert closed.wait(20)


def test_unknown_paths_and_methods(serving):
    server = serving()
    assert server.client.get("/nowhere").status_code == 404
    refused = server.client.get("/v1/chat/completions")
    assert refused.status_code == 405
    assert refused.headers["allow"] == "POST"
    assert server.client.get("/healthz").json() == {"status": "ok"}
    assert server.client.get("/readyz").json()["models"] == ["m"]


@pytest.mark.parametrize("path", ["/v1/responses", "/responses", "/v1/chat/completions"])
def test_what_is_refused_at_the_door_has_the_apis_own_form(serving, path):
    refused = serving().client.post(path, content=b"{}", headers={"Content-Type": "text/plain"})
    assert refused.status_code == 415
    assert refused.json()["error"].keys() == {"message", "type", "param", "code"}


def test_metrics(serving):
    server = serving()
    server.ask()
    server.ask(stream=True)
    server.ask(messages=[])
    server.ask(n=2)
    shown = server.client.get("/metrics").text
    labels = 'gen_ai_operation_name="chat",gen_ai_request_model="m"'
    assert f'chatwright_requests_total{{{labels},outcome="ok"}} 3.0' in shown
    assert f"gen_ai_server_time_to_first_token_seconds_count{{{labels}}} 1.0" in shown
    tokens = f'gen_ai_client_token_usage_sum{{{labels},gen_ai_token_type="output"}} 20.0'
    assert tokens in shown


def test_many_at_once_are_not_mixed_up(serving):
    import asyncio

    from chatwright import chat_model

    @chat_model
    async def echo(messages):
        for word in messages[-1].text.split():
            yield f"{word} "
            await asyncio.sleep(0.001)

    server = serving(echo, limits=Limits(concurrency=20, queue=200))

    async def ask(client, n):
        text = " ".join(f"n{n}-{k}" for k in range(20)) + " "
        body = _asks(stream=False, content=text)
        answer = await client.post("/v1/chat/completions", json=body)
        return answer.json()["choices"][0]["message"]["content"] == text

    async def all_of_them():
        async with httpx2.AsyncClient(base_url=server.url, timeout=60) as client:
            return await asyncio.gather(*(ask(client, n) for n in range(100)))

    assert all(asyncio.run(all_of_them()))


def _asks(content="x", **more):
    return {"model": "m", "messages": [{"role": "user", "content": content}], **more}


def _metric(server, name):
    lines = server.client.get("/metrics").text.splitlines()
    return float(next(each for each in lines if each.startswith(f"{name} ")).split()[1])
