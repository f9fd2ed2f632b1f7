"""Streams that are taken up again after a lost connection."""

import json
import threading
import time

import httpx2
import pytest

from chatwright import chat_model
from chatwright.run.serve.keys import add_key
from chatwright.run.serve.limits import Limits
from chatwright.run.serve.resume import Resuming

from .conftest import Endless, eventually

ASKED = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True}
WORDS = [f"word{n} " for n in range(20)]


class Stepped:
    """A model that says its first words at once, and the others when it may."""

    def __init__(self):
        self.may, self.closed = threading.Event(), threading.Event()

        @chat_model
        def stepped(messages):
            try:
                yield from WORDS[:5]
                self.may.wait(30)
                yield from WORDS[5:]
            finally:
                self.closed.set()

        self.model = stepped


def events(text):
    """Return the events in a stream, each as its fields."""
    made = [each for each in text.split("\n\n") if each and not each.startswith(":")]
    return [dict(line.split(": ", 1) for line in each.split("\n")) for each in made]


def said(told):

    datas = [each["data"] for each in told if each["data"] != "[DONE]"]
    choices = [json.loads(each)["choices"][0] for each in datas]
    return "".join(each["delta"].get("content") or "" for each in choices)


def begun(server, until, **headers):
    """Ask, read until something has come, and be lost; return what came, and where it goes on."""
    with httpx2.Client(base_url=server.url, timeout=30, headers=headers) as client:
        with client.stream("POST", "/v1/chat/completions", json=ASKED) as answer:
            got = ""
            for part in answer.iter_text():
                got += part
                if until in got:
                    break
            return events(got), answer.headers["content-location"]


@pytest.mark.parametrize("way", ["GET", "POST"])
def test_a_stream_is_taken_up_again_after_the_last_event(serving, way):
    stepped = Stepped()
    server = serving(stepped.model, limits=Limits(resume_seconds=30))
    first, place = begun(server, "word4")
    stepped.may.set()
    headers = {"Last-Event-ID": first[-1]["id"]}
    if way == "GET":
        answer = server.client.get(place, headers=headers)
    else:
        answer = server.client.post("/v1/chat/completions", json=ASKED, headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    rest = events(answer.text)
    assert said(first + rest) == "".join(WORDS)
    assert rest[-1]["data"] == "[DONE]"
    numbers = [int(each["id"].rpartition(":")[2]) for each in first + rest]
    assert numbers == sorted(set(numbers))
    again = events(server.client.get(place).text)  # all of it, once it has ended
    assert said(again) == "".join(WORDS)


@pytest.mark.parametrize(
    ("path", "asked", "last"),
    [
        ("/v1/messages", {"messages": ASKED["messages"], "max_tokens": 9}, "message_stop"),
        ("/v1/responses", {"input": "x"}, "[DONE]"),
    ],
)
def test_events_with_names_have_ids_too(serving, path, asked, last):
    server = serving(limits=Limits(resume_seconds=30))
    answer = server.post(path, stream=True, **asked)
    told = events(answer.text)
    assert last in told[-1]["data"]
    assert all(each["id"].partition(":")[0] in answer.headers["content-location"] for each in told)
    rest = server.client.get(
        answer.headers["content-location"], headers={"Last-Event-ID": told[3]["id"]}
    )
    assert events(rest.text) == told[4:]


def test_without_it_a_lost_client_ends_the_generation(serving):
    endless = Endless()
    server = serving(endless.model)
    with server.client.stream("POST", "/v1/chat/completions", json=ASKED) as answer:
        assert "content-location" not in answer.headers
        assert b"id:" not in next(answer.iter_bytes())
    assert endless.closed.wait(10)


def test_whoever_does_not_come_again_ends_the_generation(serving):
    endless = Endless()
    server = serving(endless.model, limits=Limits(resume_seconds=0.3))
    _, place = begun(server, "word3")
    assert endless.closed.wait(20)
    eventually(lambda: server.client.get(place).status_code == 404)


def test_who_comes_again_keeps_it_going(serving):
    endless = Endless()
    server = serving(endless.model, limits=Limits(resume_seconds=30))
    first, place = begun(server, "word3")
    headers = {"Last-Event-ID": first[-1]["id"]}
    with server.client.stream("GET", place, headers=headers) as answer:
        got = ""
        for part in answer.iter_text():
            got += part
            if "word40 " in got:
                break
    assert not endless.closed.is_set()
    assert "word3 " not in got


@pytest.fixture
def timers(monkeypatch):
    """Return what is to be done once a stream's time is over: it is, when the test says so."""
    made = []
    monkeypatch.setattr(Resuming, "_later", lambda self, do: made.append(do))
    return made


def test_the_time_counts_from_the_last_loss(serving, timers):
    endless = Endless()
    server = serving(endless.model, limits=Limits(resume_seconds=30))
    first, place = begun(server, "word3")
    eventually(lambda: len(timers) == 1)
    again = {"Last-Event-ID": first[-1]["id"]}
    with server.client.stream("GET", place, headers=again) as answer:
        next(answer.iter_text())
    eventually(lambda: len(timers) == 2)
    timers[0]()
    assert not endless.closed.wait(0.5)
    timers[1]()
    assert endless.closed.wait(20)


def test_what_has_ended_is_kept_for_its_time(serving, timers):
    server = serving(limits=Limits(resume_seconds=30))
    place = server.ask(stream=True).headers["content-location"]
    eventually(lambda: timers)
    assert server.client.get(place).status_code == 200
    timers[0]()
    assert server.client.get(place).status_code == 404


def test_what_has_ended_gives_way_first(serving):
    stepped = Stepped()
    models = {"m": stepped.model, "short": chat_model(lambda messages: "x")}
    server = serving(models, limits=Limits(resume_seconds=30, resume_streams=1))
    asked = {**ASKED, "model": "short"}
    ended = server.client.post("/v1/chat/completions", json=asked).headers["content-location"]
    first, place = begun(server, "word4")
    assert server.client.get(ended).status_code == 404
    stepped.may.set()
    rest = server.client.get(place, headers={"Last-Event-ID": first[-1]["id"]})
    assert said(first + events(rest.text)) == "".join(WORDS)


def test_comments_have_no_ids(serving):
    endless = Endless(first_after=0.3)
    limits = Limits(resume_seconds=30, heartbeat=0.05)
    server = serving(endless.model, limits=limits)
    with server.client.stream("POST", "/v1/chat/completions", json=ASKED) as answer:
        got = ""
        for part in answer.iter_text():
            got += part
            if "word3" in got:
                break
    comments = [each for each in got.split("\n\n") if ": wait" in each]
    assert comments
    assert all(each.startswith(":") for each in comments)


def test_a_model_runs_no_further_ahead_than_its_reader(serving):
    made = []

    @chat_model
    async def long(messages):
        while len(made) < 1000:  # some 64 MiB: more than lie in sockets
            made.append(1)
            yield "x" * 2**16

    server = serving(long, limits=Limits(resume_seconds=30, resume_bytes=2**30))
    with server.client.stream("POST", "/v1/chat/completions", json=ASKED) as answer:
        parts = answer.iter_raw()  # it is held: without it, the connection is closed
        next(parts)

        def is_still():
            before = len(made)
            time.sleep(0.5)
            return len(made) == before

        eventually(is_still)
        assert len(made) < 1000


def test_a_stream_is_its_keys_own(serving, tmp_path):
    path = tmp_path / "keys.json"
    ann, bob = (f"Bearer {add_key(path, name)}" for name in ("ann", "bob"))
    stepped = Stepped()
    server = serving(stepped.model, limits=Limits(resume_seconds=30), api_keys=path)
    first, place = begun(server, "word4", Authorization=ann)
    stepped.may.set()
    told = {"Last-Event-ID": first[-1]["id"]}
    for more in ({}, told):
        assert server.client.get(place, headers={"Authorization": bob, **more}).status_code == 404
        assert server.client.get(place, headers=more).status_code == 401
    rest = server.client.get(place, headers={"Authorization": ann, **told})
    assert said(first + events(rest.text)) == "".join(WORDS)


@pytest.mark.parametrize("last", ["nonsense", "abc:1", "NAME:99999", "NAME:x", "other:1"])
def test_an_event_that_there_was_not(serving, last):
    stepped = Stepped()
    server = serving(stepped.model, limits=Limits(resume_seconds=30))
    _, place = begun(server, "word4")
    stepped.may.set()
    name = place.rpartition("/")[2]
    refused = server.client.get(place, headers={"Last-Event-ID": last.replace("NAME", name)})
    assert refused.status_code == 404
    assert "Last-Event-ID" in refused.json()["error"]["message"]


@pytest.mark.parametrize("limit", [{"resume_bytes": 2000}, {"resume_streams": 0}])
def test_what_is_too_much_ends_with_its_client_and_the_log_says_so(serving, limit, caplog):
    endless = Endless()
    server = serving(endless.model, limits=Limits(resume_seconds=60, **limit))
    _, place = begun(server, "word50 ")
    assert endless.closed.wait(20)
    assert server.client.get(place).status_code == 404
    assert "can't be taken up again" in caplog.text


def test_whole_answers_and_failures_are_as_ever(serving):
    @chat_model
    def fails(messages):
        raise RuntimeError("no")
        yield

    server = serving({"m": fails, "ok": Stepped().model}, limits=Limits(resume_seconds=60))
    refused = server.ask(stream=True)
    assert refused.status_code == 500
    assert "content-location" not in refused.headers
    assert server.ask(messages=[]).status_code == 400
    endless = Endless()
    server = serving(endless.model, limits=Limits(resume_seconds=60))
    with pytest.raises(httpx2.TimeoutException):
        server.client.post("/v1/chat/completions", json={**ASKED, "stream": False}, timeout=0.5)
    assert endless.closed.wait(10)
