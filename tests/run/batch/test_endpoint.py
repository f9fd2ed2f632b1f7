"""Batches that ask a server: what it says of its load is kept to, and nobody else asks again."""

import json
import random
import threading
import time
from collections import Counter

import pytest
from werkzeug import Response

from chatwright import ChatEndpoint
from chatwright.batch import run_batch
from wrap.endpoint.raw import Raw, answer


def completion(text):
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    body = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
    return Response(
        json.dumps({**body, "choices": [choice], "usage": usage}), content_type="application/json"
    )


def test_a_server_s_429_is_kept_to_and_each_row_answered(httpserver, tmp_path):
    seen, lock = [], threading.Lock()

    def answer(request):
        text = request.json["messages"][-1]["content"]
        with lock:
            seen.append((time.monotonic(), text))
            count = len(seen)
        if count == 5:
            return Response("{}", 429, {"Retry-After": "1"}, content_type="application/json")
        return completion(text.upper())

    httpserver.expect_request("/v1/chat/completions").respond_with_handler(answer)
    model = ChatEndpoint(httpserver.url_for("/v1"), model="m", max_retries=9)
    rows = [{"id": f"r{n}", "prompt": f"row {n}"} for n in range(40)]
    summary = run_batch(model, rows, tmp_path / "o.jsonl", concurrency=1)
    assert (summary.answers, summary.failed) == (40, 0)
    assert seen[5][0] - seen[4][0] >= 0.99
    assert len(seen) == 41
    found = {
        each["id"]: each
        for each in map(json.loads, (tmp_path / "o.jsonl").read_bytes().splitlines())
    }
    assert {name: each["text"] for name, each in found.items()} == {
        f"r{n}": f"ROW {n}" for n in range(40)
    }
    assert found["r0"]["usage"]["input_tokens"] == 3


def test_a_server_s_refusals_are_the_row_s_and_its_faults_are_asked_again(httpserver, tmp_path):
    times, lock = {}, threading.Lock()

    def answer(request):
        text = request.json["messages"][-1]["content"]
        with lock:
            times[text] = times.get(text, 0) + 1
            count = times[text]
        if text == "row 3":
            error = {"error": {"message": "that is too much", "type": "invalid_request_error"}}
            return Response(json.dumps(error), 400, content_type="application/json")
        if text == "row 4" and count < 3:
            return Response("oops", 500)
        return completion("ok")

    httpserver.expect_request("/v1/chat/completions").respond_with_handler(answer)
    model = ChatEndpoint(httpserver.url_for("/v1"), model="m")
    rows = [{"id": f"r{n}", "prompt": f"row {n}"} for n in range(6)]
    summary = run_batch(model, rows, tmp_path / "o.jsonl")
    assert (summary.answers, summary.failed) == (5, 1)
    [failed] = map(json.loads, summary.failures.read_bytes().splitlines())
    assert failed["error"]["status"] == 400
    assert "that is too much" in failed["error"]["message"]
    assert times["row 3"] == 1
    assert times["row 4"] == 3


@pytest.mark.parametrize("fast", [True, False])
def test_of_calls_that_fail_hang_or_are_answered_twice_each_row_gets_its_own(fast, tmp_path):
    """Three calls in ten: a 503, silence until the time is up, and an answer that is sent twice."""
    chance, lock = random.Random(7), threading.Lock()
    met = Counter()

    def serve(connection, number):
        while True:
            asked = connection.body()["messages"][-1]["content"]
            with lock:
                way = chance.choices(["well", "fails", "hangs", "twice"], [7, 1, 1, 1])[0]
                met[way] += 1
            if way == "hangs":
                gone.wait()
                return
            if way == "fails":
                connection.send(answer(b"", status="503 Busy"))
                continue
            whole = answer(completion(asked.upper()).data, {"Content-Type": "application/json"})
            connection.send(whole * 2 if way == "twice" else whole)

    gone = threading.Event()
    rows = [{"id": f"r{n}", "prompt": f"row {n}"} for n in range(200)]
    with Raw(serve) as server:
        model = ChatEndpoint(server.url, model="m", fast=fast, streaming=False, timeout=1.5)
        summary = run_batch(model, rows, tmp_path / "o.jsonl", concurrency=64, max_retries=20)
        gone.set()
    assert (summary.answers, summary.failed) == (200, 0)
    lines = [*map(json.loads, (tmp_path / "o.jsonl").read_bytes().splitlines())]
    assert len(lines) == 200
    assert {each["id"]: each["text"] for each in lines} == {f"r{n}": f"ROW {n}" for n in range(200)}
    assert min(met[way] for way in ("fails", "hangs", "twice")) > 5
