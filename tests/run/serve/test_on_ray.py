"""Models in replicas on a Ray cluster: a head, and two workers with two CPUs each."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from run.on_ray import cluster, environment
from run.serve.on_ray import running, started, text_of
from waiting import soon

from .conftest import Endless

pytest.importorskip("ray")
pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

MODELS = "run.serve.on_ray:{}"
SCRIPTED = MODELS.format("scripted")


@pytest.fixture(scope="module")
def ray():
    with cluster() as made:
        yield made


@pytest.fixture(scope="module")
def server(ray):
    """Return a server of two models, each in two replicas."""
    models = (f"steps={SCRIPTED}", MODELS.format("pid"))
    with running(*models, "--ray-address", ray.address, "--replicas", "2", "--cpus", "0.1") as it:
        it.model = "steps"
        yield it


def at(gate):
    """Return the numbers of the processes that wait for a file."""
    return [int(each.name.split(".")[1]) for each in gate.parent.glob(f"{gate.name}.*.at")]


def script(*steps):
    return json.dumps([str(each) for each in steps])


def test_it_says_what_it_needs(server):
    told = "".join(server.told)
    assert "2 replicas of steps, pid, with 0.1 CPUs each; the cluster has 4 CPUs" in told


def test_streams_stay_streams(server, tmp_path):
    with server.stream(script("begun", tmp_path / "go", "ended")) as events:
        for event in events:
            if "begun" in event:
                break
        (tmp_path / "go").touch()
        assert text_of(events) == ("ended", None, True)


def test_replicas_are_processes_of_their_own_and_all_of_them_answer(server, ray):
    heard = {server.says(f"hello {n}", model="pid").split()[0] for n in range(20)}
    assert {int(each) for each in heard} == {*ray.replicas("pid")}
    assert len(heard) == 2


@pytest.mark.parametrize("by", ["its beginning", "X-Session-Id", "prompt_cache_key"])
def test_a_session_stays_on_its_replica(server, by):
    def ask(session, turn):
        more = {}
        talk = [{"role": "user", "content": f"{by} {session if by == 'its beginning' else turn}"}]
        for each in range(turn):
            talk += [{"role": "assistant", "content": "yes"}]
            talk += [{"role": "user", "content": f"and {each}"}]
        if by == "X-Session-Id":
            more["headers"] = {by: f"{session}"}
        elif by == "prompt_cache_key":
            more[by] = f"{session}"
        told = server.says("", model="pid", messages=talk, **more).split()
        assert int(told[1]) == len(talk)
        return told[0]

    homes = [{ask(session, turn) for turn in range(6)} for session in range(12)]
    assert all(len(each) == 1 for each in homes)
    assert len(set.union(*homes)) == 2


def test_responses_go_on_from_one_another_whichever_replica_answers(server):
    before, length = None, 0
    for turn in range(8):
        body = {"model": "pid", "input": f"turn {turn}", "previous_response_id": before}
        headers = {"X-Session-Id": f"{turn}"}  # as if each were of another session
        told = httpx2.post(f"{server.url}/v1/responses", json=body, headers=headers, timeout=60)
        before = told.json()["id"]
        length = int(told.json()["output"][0]["content"][0]["text"].split()[1])
        assert length == 2 * turn + 1


def test_errors_of_a_model_are_those_of_the_wire(server):
    refused = server.ask(script("fail"))
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "7")
    assert "slower, please" in refused.json()["error"]["message"]
    with server.stream(script("begun", "fail")) as events:
        text, error, ended = text_of(events)
    assert (text, ended) == ("begun", True)
    assert "slower, please" in error["message"]
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "no"}}}
    assert server.ask(script("x"), response_format=schema).status_code == 400


def test_what_is_told_of_models_and_of_an_answer(server):
    told = httpx2.get(f"{server.url}/inspector/models").json()["models"]
    assert [(each["name"], each["class"]) for each in told] == [
        ("steps", "ChatFunction"),
        ("pid", "ChatFunction"),
    ]
    body = {"model": "steps", "messages": [{"role": "user", "content": script("a", "b")}]}
    asked = httpx2.post(f"{server.url}/inspector/answer", json=body, timeout=60).text
    events = [json.loads(each[6:]) for each in asked.splitlines() if each.startswith("data: ")]
    texts = [e["data"]["chunk"]["text"] for e in events if e.get("event") == "on_chat_model_stream"]
    assert "".join(texts) == "ab"
    assert events[-1]["type"] == "done"
    explained = httpx2.post(f"{server.url}/inspector/explain", json=body, timeout=60).json()
    assert script("a", "b") in json.dumps(explained, ensure_ascii=False).replace("\\", "")


def test_metrics_count_what_all_replicas_answer(server):
    def counted():
        text = httpx2.get(f"{server.url}/metrics").text
        found = re.search(r'chatwright_requests_total\{.*model="pid",outcome="ok"\} (\S+)', text)
        return float(found[1]) if found else 0.0

    before = counted()
    assert len({server.says(f"counted {n}", model="pid") for n in range(6)}) == 2
    assert counted() == before + 6


@pytest.mark.parametrize("first_after", [0, 60])
def test_a_client_that_goes_ends_the_generation(ray, serving, first_after):
    endless = Endless(first_after)
    upstream = serving(endless.model)
    with running(f"m={upstream.url}/v1#m", "--ray-address", ray.address) as server:
        with server.stream("x", model="m") as events:
            if first_after:
                assert endless.started.wait(30)
            else:
                assert any("word" in each for each in events)
        assert endless.closed.wait(20)


def ask_all(pool, server, prompts):
    """Have streams begin, each in a thread and of a session of its own; return their ends."""

    def ask(prompt):
        with server.stream(prompt, prompt_cache_key=os.urandom(8).hex()) as events:
            return text_of(events)

    return [pool.submit(ask, each) for each in prompts]


@pytest.mark.parametrize("source", ["function", "endpoint"])
def test_a_killed_replica_loses_nothing_that_had_not_begun(ray, serving, tmp_path, source):
    model = SCRIPTED
    if source == "endpoint":
        from run.serve.on_ray import scripted

        model = f"{serving({'scripted': scripted}).url}/v1#scripted"
    said, silent = tmp_path / "said", tmp_path / "silent"
    with (
        ThreadPoolExecutor(16) as pool,
        running(f"scripted={model}", "--ray-address", ray.address, *_TWO) as server,
    ):
        # A replica is given four at most: those that are asked at last wait for a place.
        begun = []
        for n in range(4):  # one after the other: two to each
            begun += ask_all(pool, server, [script("begun", said, "ended")])
            assert soon(lambda: len(at(said)) > n)
        mute = ask_all(pool, server, [script(silent, "late")] * 2)
        whole = [pool.submit(server.says, script(silent, "whole")) for _ in range(2)]
        assert soon(lambda: len(at(silent)) == 4)
        late = ask_all(pool, server, [script("queued")] * 4)
        victim, survivor = ray.replicas("scripted")
        os.kill(victim, signal.SIGKILL)
        silent.touch()
        assert [each.result(60) for each in mute] == [("late", None, True)] * 2
        assert [each.result(60) for each in whole] == ["whole"] * 2
        said.touch()
        ends = [each.result(60) for each in begun]
        assert [each.result(60) for each in late] == [("queued", None, True)] * 4
        lost = [each for each in ends if each[1]]
        assert len(lost) == 2
        assert ends.count(("begunended", None, True)) == 2
        for text, error, ended in lost:
            assert (text, ended) == ("begun", True)  # a frame of the wire's, and its end mark
            assert "is lost" in error["message"]
        # Another one takes its place.
        assert soon(lambda: len(ray.replicas("scripted")) == 2)
        assert survivor in ray.replicas("scripted")


_TWO = ("--replicas", "2", "--cpus", "1", "--ongoing", "2")


def test_weights_in_two_replicas_of_which_one_is_killed(ray):
    with (
        ThreadPoolExecutor(16) as pool,
        running("smollm2", "--ray-address", ray.address, *_TWO) as server,
    ):
        asked = {"model": "smollm2", "max_tokens": 120, "temperature": 0}
        count = httpx2.post(
            f"{server.url}/v1/messages/count_tokens",
            json={"model": "smollm2", "messages": [{"role": "user", "content": "hello"}]},
            timeout=60,
        )
        assert count.json()["input_tokens"] > 0
        prompts = [f"Write a long story about {n} cats." for n in range(9)]
        begun, first = [], threading.Semaphore(0)

        def ask(prompt):
            with server.stream(prompt, **asked) as events:
                told = next(each for each in events if '"content": "' in each or "content" in each)
                begun.append(prompt)
                first.release()
                text, error, ended = text_of([told, *events])
            return prompt, text, error, ended

        asked_for = [pool.submit(ask, each) for each in prompts]
        for _ in range(4):
            first.acquire(timeout=60)
        had_begun = {*begun}
        os.kill(ray.replicas("smollm2")[0], signal.SIGKILL)
        ends = [each.result(300) for each in asked_for]
        for prompt, text, error, ended in ends:
            assert ended, prompt
            assert text
            assert error is None or (prompt in had_begun and "is lost" in error["message"])
        assert any(error for _, _, error, _ in ends)


def test_a_worker_that_dies_takes_no_request_with_it_that_had_not_begun(ray, tmp_path):
    go = tmp_path / "go"
    with (
        ThreadPoolExecutor(16) as pool,
        running(SCRIPTED, "--ray-address", ray.address, *_TWO) as server,
    ):
        mute = ask_all(pool, server, [script(go, "late")] * 8)
        assert soon(lambda: len(at(go)) == 8)
        ray.kill_a_worker()
        try:
            go.touch()
            assert [each.result(120) for each in mute] == [("late", None, True)] * 8
        finally:
            ray.add_a_worker()
        assert soon(lambda: len(ray.replicas("scripted")) == 2)


def test_a_stream_is_taken_up_again(ray, tmp_path):
    go = tmp_path / "go"
    with running(SCRIPTED, "--ray-address", ray.address, *_TWO, "--resume", "60") as server:
        messages = [{"role": "user", "content": script("begun", go, "ended")}]
        body = {"model": "scripted", "messages": messages, "stream": True}
        with httpx2.stream("POST", f"{server.url}/v1/chat/completions", json=body) as answer:
            lines = answer.iter_lines()
            for line in lines:
                if line.startswith("id: "):
                    last = line[4:]
                if "begun" in line:
                    break
        go.touch()
        place = server.url + answer.headers["content-location"]
        rest = httpx2.get(place, headers={"Last-Event-ID": last}, timeout=60).text
    assert "ended" in rest
    assert "[DONE]" in rest


def test_replicas_scale_with_the_requests(ray, tmp_path):
    go = tmp_path / "go"
    fields = {"most": 2, "cpus": 0.5, "ongoing": 1, "up_seconds": 0, "down_seconds": 1}
    with (
        ThreadPoolExecutor(8) as pool,
        started(PROGRAM, ray.address, json.dumps(fields)) as server,
    ):
        assert len(ray.replicas("scripted")) == 1
        asked = ask_all(pool, server, [script(go, "said")] * 6)
        assert soon(lambda: len(ray.replicas("scripted")) == 2)
        assert soon(lambda: len(at(go)) == 4)
        assert len({*at(go)}) == 2
        go.touch()
        assert [each.result(60) for each in asked] == [("said", None, True)] * 6
        assert soon(lambda: len(ray.replicas("scripted")) == 1)
        assert server.says(script("still")) == "still"


PROGRAM = str(Path(__file__).with_name("on_ray.py"))


def test_a_cluster_may_grow_until_there_is_room(ray, server):
    fields = {"cpus": 2, "place_seconds": 120}  # two of each worker, of which `server` has some

    def heard(line):
        if "waiting for 120 s" in line:
            ray.add_a_worker()

    with started(PROGRAM, ray.address, json.dumps(fields), heard=heard) as other:
        assert other.says(script("here")) == "here"
    ray.kill_a_worker()


def test_a_cluster_without_room_is_told_so(ray):
    fields = json.dumps({"least": 30, "most": 30, "cpus": 2, "place_seconds": 1})
    done = subprocess.run(
        [sys.executable, PROGRAM, ray.address, fields],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment(),
    )
    *_, last = done.stderr.splitlines()
    assert "30 replicas need 60 CPUs; the cluster has " in last
    assert "has not given it within 1 s" in last


def test_a_server_that_ends_lets_answers_end_and_leaves_nothing(ray, tmp_path):
    go = tmp_path / "go"
    with (
        ThreadPoolExecutor(1) as pool,
        running(SCRIPTED, "--ray-address", ray.address) as server,
    ):
        (asked,) = ask_all(pool, server, [script("begun", go, "ended")])
        assert soon(lambda: at(go))
        server.process.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            server.process.wait(1)
        go.touch()
        assert asked.result(60) == ("begunended", None, True)
        assert server.end() == 128 + signal.SIGTERM
        assert ray.replicas("scripted") == []


def test_what_a_killed_server_has_left_does_not_block_its_restart(ray, server, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    full = ("--ray-address", ray.address, "--replicas", "2", "--cpus", "1", "--port", port)
    with ThreadPoolExecutor(1) as pool, running(SCRIPTED, *full) as killed:
        ask_all(pool, killed, [script("begun", tmp_path / "never", "ended")])
        assert soon(lambda: at(tmp_path / "never"))
        left = ray.replicas("scripted")
        killed.process.kill()
    assert ray.replicas("scripted") == left
    with running(SCRIPTED, *full) as again:
        assert "is left of another server" in "".join(again.told)
        assert again.says(script("here")) == "here"
        assert not {*left} & {*ray.replicas("scripted")}


def refused(*arguments):
    """Return what a server says that does not start."""
    command = [sys.executable, "-m", "chatwright", "serve", *arguments, "--port", "0"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=environment()
    )
    assert done.returncode == 1, done.stderr
    return done.stderr


def test_what_does_not_fit_is_refused_at_once():
    told = refused("--engine", "ray", "--cpus", "64000")
    assert "a replica needs 64000 CPUs; a machine of the cluster has" in told
    assert "Traceback" not in told


def test_a_model_that_is_not_there_is_told_in_its_own_words():
    told = refused("--engine", "ray", MODELS.format("no_such"))
    assert "no_such can't be started in a replica: LoadError: " in told
    assert "Traceback" not in told
    told = refused("--engine", "ray", MODELS.format("broken"))
    assert "broken can't be started in a replica: ZeroDivisionError: " in told


def test_an_address_where_nothing_is():
    told = refused("--engine", "ray", "--ray-address", "127.0.0.1:1")
    assert "127.0.0.1:1" in told.splitlines()[-1]
    assert "ray job submit" in refused("--engine", "ray", "--ray-address", "ray://127.0.0.1:1")
