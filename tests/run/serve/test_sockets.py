"""Responses over WebSockets; each event by Open Responses' own document."""

import contextlib
import json
import logging

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from chatwright import ParameterError, chat_model
from chatwright.run.serve import keys
from chatwright.run.serve.keys import add_key
from chatwright.run.serve.limits import Limits
from run.serve.conftest import Endless
from run.serve.obliging import obliging
from run.serve.schemas import valid, valid_event
from waiting import soon

ENDS = {"response.completed", "response.incomplete", "response.failed", "error"}


class Socket:
    """A WebSocket of a client's."""

    def __init__(self, socket):
        self.socket = socket

    def send(self, **body):
        body = {"type": "response.create", "model": "m", **body}
        self.socket.send(json.dumps(body))

    def read(self):
        """Return the events of an answer, each of them valid."""
        read = []
        while not read or read[-1]["type"] not in ENDS:
            event = json.loads(self.socket.recv(timeout=30))
            of_error = event["type"] == "error"
            read.append(valid(event, "WebSocketErrorEvent") if of_error else valid_event(event))
        return read

    def ask(self, said, **body):
        self.send(input=said, **body)
        return self.read()[-1]


@pytest.fixture
def open_to():
    """A function that opens a WebSocket to a server; it is closed with the test."""
    with contextlib.ExitStack() as stack:

        def opened(server, **headers):
            address = f"{server.url.replace('http', 'ws')}/v1/responses"
            made = connect(address, additional_headers=headers, open_timeout=30)
            return Socket(stack.enter_context(made))

        yield opened


@pytest.fixture
def model():
    return obliging()


@pytest.fixture
def server(serving, model):
    return serving(model)


@pytest.fixture
def socket(server, open_to):
    return open_to(server)


def test_an_answer(socket):
    socket.send(input="a b")
    events = socket.read()
    assert [each["sequence_number"] for each in events] == [*range(len(events))]
    assert events[0]["type"] == "response.created"
    words = [each["delta"] for each in events if each["type"] == "response.output_text.delta"]
    assert "".join(words) == "You said: a b"
    assert events[-1]["response"]["output"][-1]["content"][0]["text"] == "You said: a b"


def test_requests_are_answered_one_after_the_other(socket):
    for said in ("one", "two", "three"):
        socket.send(input=said)
    answers = [socket.read() for _ in range(3)]
    for said, events in zip(("one", "two", "three"), answers, strict=True):
        assert len({each["response"]["id"] for each in events if "response" in each}) == 1
        assert events[-1]["response"]["output"][-1]["content"][0]["text"] == f"You said: {said}"


def test_what_is_not_stored_is_gone_on_from_here_alone(server, socket, open_to, model):
    name = socket.ask("one", store=False)["response"]["id"]
    assert server.client.get(f"/v1/responses/{name}").status_code == 404
    other = open_to(server)
    assert missing(other.ask("two", store=False, previous_response_id=name))
    second = socket.ask("two", store=False, previous_response_id=name)
    third = socket.ask("three", previous_response_id=second["response"]["id"])
    assert third["type"] == "response.completed"
    assert [each.text for each in model.seen[-1].messages][::2] == ["one", "two", "three"]


def missing(event):
    return event["type"] == "error" and (event["status"], event["error"]["code"]) == (
        *(400, "previous_response_not_found"),
    )


def test_what_is_stored_is_gone_on_from_anywhere(server, socket, open_to):
    name = socket.ask("one")["response"]["id"]
    assert server.client.get(f"/v1/responses/{name}").json()["id"] == name
    assert open_to(server).ask("two", previous_response_id=name)["type"] == "response.completed"


@pytest.mark.parametrize("store", [True, False])
def test_what_a_failed_request_goes_on_from_is_let_go_of_unless_stored(socket, store):
    name = socket.ask("one", store=store)["response"]["id"]
    orphan = [{"type": "function_call_output", "call_id": "none", "output": "x"}]
    failed = socket.ask(orphan, store=store, previous_response_id=name)
    assert (failed["type"], failed["status"]) == ("error", 400)
    again = socket.ask("two", store=store, previous_response_id=name)
    assert again["type"] == "response.completed" if store else missing(again)


def test_so_it_is_where_the_model_fails(serving, open_to):
    @chat_model
    def failing(messages):
        yield "Hel"
        if len(messages) > 1:
            raise ParameterError("too hot")

    socket = open_to(serving(failing))
    name = socket.ask("one", store=False)["response"]["id"]
    failed = socket.ask("two", store=False, previous_response_id=name)
    assert failed["type"] == "response.failed"
    assert "too hot" in failed["response"]["error"]["message"]
    assert missing(socket.ask("three", store=False, previous_response_id=name))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"type": "response.cancel"}, "response.create"),
        ({"stream": True}, "stream"),
        ({"stream_options": {}}, "stream_options"),
        ({"background": False}, "background"),
        ({"model": "none"}, "no model"),
        ({"generate": False}, "generate"),
        ({"input": 3}, "input"),
    ],
)
def test_what_is_no_request_is_refused_and_the_socket_lives_on(socket, body, why):
    socket.send(**{"input": "x", **body})
    (event,) = socket.read()
    assert event["type"] == "error"
    assert why in event["error"]["message"]
    assert event["error"]["code"]
    assert socket.ask("hi")["type"] == "response.completed"


@pytest.mark.parametrize("message", ["no JSON", "[]", b"\xff\xfe", "[" * 100_000])
def test_garbage_is_refused_too(socket, message):
    socket.socket.send(message)
    (event,) = socket.read()
    assert (event["type"], event["status"]) == ("error", 400)
    assert socket.ask("hi")["type"] == "response.completed"


def test_bytes_are_taken_as_text(socket):
    socket.socket.send(json.dumps({"type": "response.create", "model": "m", "input": "é"}).encode())
    assert socket.read()[-1]["type"] == "response.completed"


def test_it_is_open_for_so_long(serving, model, open_to):
    socket = open_to(serving(model, limits=Limits(socket_seconds=0.2)))
    (event,) = socket.read()
    assert event["error"]["code"] == "websocket_connection_limit_reached"
    with pytest.raises(ConnectionClosed):
        socket.socket.recv(timeout=30)


@pytest.mark.parametrize("limits", [{"socket_queue": 2}, {"socket_queue": 1000, "body": 2000}])
def test_too_much_that_waits_ends_it_and_the_answer(serving, open_to, limits):
    endless = Endless()
    socket = open_to(serving(endless.model, limits=Limits(**limits)))
    socket.send(input="x")
    assert endless.started.wait(30)
    with pytest.raises(ConnectionClosed):
        for _ in range(100):
            socket.send(input="x" * 100)
        while True:
            socket.socket.recv(timeout=30)
    assert soon(endless.closed.is_set)


def test_a_client_that_goes_before_the_first_piece_ends_the_answer(serving, open_to):
    endless = Endless(first_after=600)
    socket = open_to(serving(endless.model))
    socket.send(input="x")
    assert endless.started.wait(30)
    socket.socket.close()
    assert soon(endless.closed.is_set)


def test_a_key_is_needed(serving, model, open_to, tmp_path):
    path = tmp_path / "keys.json"
    key = add_key(path, "ann")
    server = serving(model, api_keys=path)
    with pytest.raises(Exception, match="403"):
        open_to(server)
    socket = open_to(server, Authorization=f"Bearer {key}")
    assert socket.ask("hi")["type"] == "response.completed"


def test_each_request_counts_against_its_keys_limits(serving, model, open_to, tmp_path):
    path = tmp_path / "keys.json"
    key = add_key(path, "ann")
    told = json.loads(path.read_text())
    told["ann"]["per_minute"] = 1
    path.write_text(json.dumps(told))
    socket = open_to(serving(model, api_keys=path), Authorization=f"Bearer {key}")
    assert socket.ask("one")["type"] == "response.completed"
    refused = socket.ask("two")
    assert (refused["type"], refused["status"]) == ("error", 429)
    assert "a minute" in refused["error"]["message"]


def test_a_key_that_is_taken_away_opens_nothing_more(
    serving, model, open_to, tmp_path, monkeypatch
):
    made = []

    class Watched(keys.Keys):
        def __init__(self, path):
            super().__init__(path)
            made.append(self)

    monkeypatch.setattr(keys, "Keys", Watched)
    path = tmp_path / "keys.json"
    key = add_key(path, "ann")
    socket = open_to(serving(model, api_keys=path), Authorization=f"Bearer {key}")
    made[0].reread()
    assert socket.ask("one")["type"] == "response.completed"
    path.write_text("{}")
    made[0].reread()
    refused = socket.ask("two")
    assert (refused["status"], refused["error"]["code"]) == (401, "invalid_api_key")


def test_pages_of_other_origins_are_refused(server, open_to):
    with pytest.raises(Exception, match="403"):
        open_to(server, Origin="https://evil.example")


def test_what_a_socket_alone_may_use_goes_with_it(serving, model, open_to, monkeypatch):
    from chatwright.run.serve import responses

    made = []

    class Watched(responses.KeptResponses):
        def __init__(self, limits):
            super().__init__(limits)
            made.append(self)

    monkeypatch.setattr(responses, "KeptResponses", Watched)
    socket = open_to(serving(model))
    socket.ask("kept")
    socket.ask("not kept", store=False)
    assert [len(each) for each in made] == [2]
    socket.socket.close()
    assert soon(lambda: len(made[0]) == 1)


def test_a_log_tells_nothing_of_what_was_said(socket, caplog):
    with caplog.at_level(logging.INFO, "chatwright.serve"):
        socket.ask("a secret", stream_options={})
        socket.ask("a secret", user="x", thing=1)
    assert "secret" not in caplog.text
    assert "thing" in caplog.text
