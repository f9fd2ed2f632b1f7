"""Batches that ask a server: what it says of its load is kept to, and nobody else asks again."""

import json
import threading
import time

from werkzeug import Response

from chatwright import ChatEndpoint
from chatwright.batch import run_batch


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
