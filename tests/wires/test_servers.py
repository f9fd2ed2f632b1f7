"""The servers' ends, by the judgement of the providers' own clients and of OpenAI's schemas."""

import json
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from chatwright import (
    Block,
    ContentError,
    Finish,
    OutputError,
    Reasoning,
    Refusal,
    Request,
    Text,
    ToolCallDelta,
    Usage,
)
from chatwright.core.finish import normalized_reason
from chatwright.testing import Bytes, Pause, Refuse, Upstream
from chatwright.wires import DIALECTS, WIRES
from chatwright.wires.wire import Ask
from wires.providers import CLIENTS, TOOL

CALLS = [
    ToolCallDelta(0, "c1", "look", '{"city"'),
    ToolCallDelta(0, args=': "Zürich"}'),
    ToolCallDelta(1, "c2", "look", {"city": "Bern"}),
]
READ = (("c1", "look", {"city": "Zürich"}), ("c2", "look", {"city": "Bern"}))


@pytest.fixture(params=CLIENTS)
def wire(request):
    return request.param


@pytest.fixture(params=["stream", "whole"])
def heard(request, wire):
    """A function that has a script played, and returns what the provider's client hears of it."""

    def hear(script, **asked):
        with Upstream(script) as server:
            with closing(CLIENTS[wire](server.url)) as client:
                said = getattr(client, request.param)(**asked)
            hear.asked = server.requests[-1].asked
        return said

    return hear


def called(wire):
    return tuple((None if wire == "ollama" else given, name, args) for given, name, args in READ)


def test_text_arrives(wire, heard):
    said = heard(["Hel", Text("lo, "), "Zürich €"])
    assert said.text == "Hello, Zürich €"
    assert said.reason == CLIENTS[wire].reasons["stop"]
    assert (said.reasoning, said.calls, said.refusal) == ("", (), None)


def test_reasoning_arrives_apart_from_the_text(heard):
    said = heard([Reasoning("hm"), Reasoning(", so"), "Hel", "lo"])
    assert (said.reasoning, said.text) == ("hm, so", "Hello")


def test_calls_arrive_after_text_and_alone(wire, heard):
    for script in (CALLS, ["Let me see.", *CALLS]):
        said = heard(script, tools=True)
        assert said.calls == called(wire)
        assert said.reason == CLIENTS[wire].reasons["tool_calls"]
        assert said.text == "".join(each for each in script if isinstance(each, str))
    assert heard.asked.tools == {"look": TOOL["parameters"]}


def test_calls_whose_pieces_alternate_arrive_whole(wire, heard):
    first, rest, second = CALLS
    said = heard([first, second, "beside", rest], tools=True)
    assert said.calls == called(wire)


def test_everything_arrives_at_once(wire, heard):
    script = [Usage(5), Reasoning("hm"), "Hello", *CALLS, Usage(output_tokens=3)]
    said = heard(script, tools=True)
    assert (said.reasoning, said.text, said.calls) == ("hm", "Hello", called(wire))
    assert said.tokens == (5, 3)


def test_counts_arrive(wire, heard):
    assert heard(["x", Usage(9, 6)]).tokens == (9, 6)
    # Where nothing is known, Anthropic's wire alone tells counts: it has no way to leave them out.
    assert heard(["x"]).tokens == ((0, 0) if wire == "anthropic" else None)


def test_details_of_counts_arrive(wire, heard):
    said = heard(["x", Usage(9, 6, {"cache_read": 7}, {"reasoning": 3})])
    match wire:
        case "openai":
            assert said.raw.prompt_tokens_details.cached_tokens == 7
            assert said.raw.completion_tokens_details.reasoning_tokens == 3
        case "responses":
            assert said.raw.input_tokens_details.cached_tokens == 7
            assert said.raw.output_tokens_details.reasoning_tokens == 3
        case "anthropic":  # its input leaves out what came of the cache
            assert (said.raw.input_tokens, said.raw.cache_read_input_tokens) == (2, 7)
    assert said.tokens == ((2, 6) if wire == "anthropic" else (9, 6))


def test_an_answer_that_was_cut_says_so(wire, heard):
    said = heard(["Hel", Finish("length")])
    assert (said.text, said.reason) == ("Hel", CLIENTS[wire].reasons["length"])


def test_a_refusal_arrives_as_one_where_the_wire_has_one(wire, heard):
    said = heard([Refusal("I "), Refusal("won't.")])
    if wire == "ollama":
        assert (said.text, said.refusal) == ("I won't.", None)
    else:
        assert (said.text, said.refusal) == ("", "I won't.")


def test_stop_sequences_are_read_and_reported_where_the_wire_can(wire, heard):
    said = heard(["one E", "ND two", Usage(1, 2)], stop=["NEVER", "END"])
    if wire == "responses":  # it has none
        assert heard.asked.stop == ()
        return
    assert heard.asked.stop == ["NEVER", "END"]
    reports = WIRES[wire].quirks.stop == "reported"
    assert reports is (wire == "anthropic")
    assert said.text == ("one " if reports else "one END two")
    assert said.stop == ("END" if reports else None)
    assert said.tokens == (1, 2)
    if reports:
        assert said.reason == "stop_sequence"
        assert heard(["one"], stop=["END"]).reason == "end_turn"


def test_an_empty_answer_is_one(wire, heard):
    said = heard([])
    assert (said.text, said.calls) == ("", ())
    assert said.reason == CLIENTS[wire].reasons["stop"]


@pytest.mark.parametrize("status", [400, 401, 404, 422, 429, 500, 503])
def test_errors_arrive_as_the_clients_own(wire, heard, status):
    kinds = CLIENTS[wire].kinds
    kind = kinds.get(status, kinds[500] if status > 500 else Exception)
    with pytest.raises(kind, match="no such thing") as caught:
        heard([Refuse(status, "no such thing")])
    assert caught.value.status_code == status
    if errors := WIRES[wire].errors:  # Ollama's has words only
        error = caught.value
        named = {error.type, getattr(error, "code", None)} & errors.keys()
        usual = 400 if status < 500 else 500
        assert (status if status in errors.values() else usual) in {errors[each] for each in named}


def test_ollamas_times_are_times(heard, wire):
    said = heard(["x"])
    if wire == "ollama":
        assert datetime.fromisoformat(said.raw).tzinfo is not None


@pytest.mark.parametrize("first", [Pause(0), Bytes(b"")])
def test_what_stands_before_an_answer_goes_out_once(wire, first):
    with Upstream([first, "a", first, "b"]) as server:
        with closing(CLIENTS[wire](server.url)) as client:
            assert client.stream().text == "ab"


@pytest.mark.parametrize("way", ["stream", "whole"])
def test_a_script_that_no_wire_can_play_ends_the_connection(wire, way, caplog):
    with Upstream([Block({"type": "image", "url": "x"})]) as server:
        with closing(CLIENTS[wire](server.url)) as client:
            with pytest.raises(Exception, match=r"(?i)connection|disconnect|peer closed"):
                getattr(client, way)()
    assert "no wire has a form" in caplog.text


# One delta in, its pieces out.


def writer(wire, **body):
    wire = WIRES.get(wire) or DIALECTS[wire]
    body = {"model": "m", "messages": [], "input": [], **body}
    return wire.server.writer(wire.server.read(body))


@pytest.mark.parametrize("name", [*WIRES, *DIALECTS])
def test_a_delta_goes_out_when_it_comes(name):
    writes = writer(name)
    writes.begin()
    assert writes.begin() == []
    for text in ("one", "two"):
        (*_, piece) = writes.feed(text)
        assert text.encode() in piece
    assert writes.end()


@pytest.mark.parametrize("name", [*WIRES, *DIALECTS])
def test_what_no_wire_has_a_form_for_is_refused(name):
    for take in (writer(name).feed, writer(name).add):
        with pytest.raises(ContentError, match="no wire has a form"):
            take(Block({"type": "image", "url": "x"}))


@pytest.mark.parametrize("name", ["anthropic", "ollama"])
def test_arguments_that_are_no_json_are_no_object(name):
    writes = writer(name)
    writes.add(ToolCallDelta(0, "c", "look", "oops"))
    with pytest.raises(OutputError, match="'look' can't be sent"):
        writes.whole()


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls"])
@pytest.mark.parametrize("name", WIRES)
def test_the_reasons_of_both_directions_agree(name, reason):
    wire, writes = WIRES[name], writer(name)
    writes.add(Finish(reason))
    reader = wire.reader(Ask("m", Request([]), {}, wire.quirks, ""))
    deltas = [*reader.read(writes.whole()), *reader.flush()]
    told = next(each.reason for each in deltas if isinstance(each, Finish))
    said_by_calls = name in ("ollama", "responses") and reason == "tool_calls"
    assert normalized_reason(told) == ("stop" if said_by_calls else reason)


@pytest.mark.parametrize(
    ("name", "end"),
    [("responses", b"response.output_item.done"), ("anthropic", b"content_block_stop")],
)
def test_a_call_that_was_cut_ends_all_the_same(name, end):
    writes = writer(name)
    writes.feed(ToolCallDelta(0, "c", "look", '{"ci'))
    writes.feed(Finish("length"))
    assert any(end in piece for piece in writes.end())


# Dialects.


def chunks(name, script):
    writes = writer(name)
    pieces = [piece for each in script for piece in writes.feed(each)] + writes.end()
    return [each.decode().removeprefix("data: ").strip() for each in pieces]


@pytest.mark.parametrize(("name", "place"), [("mistral", ["usage"]), ("groq", ["x_groq", "usage"])])
def test_dialects_send_calls_whole_and_counts_at_the_end(name, place):
    *before, last, done = chunks(name, [*CALLS, Usage(5, 3)])
    assert done == "[DONE]"
    calls = [
        call
        for each in before
        for choice in json.loads(each)["choices"]
        for call in choice["delta"].get("tool_calls") or ()
    ]
    assert [json.loads(each["function"]["arguments"]) for each in calls] == [
        {"city": "Zürich"},
        {"city": "Bern"},
    ]
    told = json.loads(last)
    assert told["choices"][0]["finish_reason"] == "tool_calls"
    for key in place:
        told = told[key]
    assert told["total_tokens"] == 8


def test_a_dialect_is_told_by_its_name_in_the_path():
    with Upstream(["x", Usage(1, 2)]) as server:
        with closing(CLIENTS["openai"](f"{server.url}/groq")) as client:
            client.stream()
        assert server.requests[-1].wire is DIALECTS["groq"]


# OpenAI's own schemas.

SCHEMAS = json.loads((Path(__file__).parent / "openai-schemas.json").read_text())
SCRIPTS = {
    "everything": [Usage(5), Reasoning("hm"), "Hello", *CALLS, Usage(None, 3, {"cache_read": 2})],
    "cut": ["Hel", Finish("length"), Usage(1, 1)],
    "filtered": ["Hel", Finish("content_filter")],
    "refused": ["Well. ", Refusal("No.")],
    "empty": [],
}


def faults(name, value):
    validator = Draft202012Validator({**SCHEMAS, "$ref": f"#/$defs/{name}"})
    return [
        f"{name}: {[*each.absolute_path]}: {each.message}" for each in validator.iter_errors(value)
    ]


def events_of(name):
    kinds = {
        definition["properties"]["type"]["enum"][0]: each
        for each, definition in SCHEMAS["$defs"].items()
        if each.endswith("Event")
    }
    return (
        (lambda _: "CreateChatCompletionStreamResponse")
        if name == "openai"
        else (lambda value: kinds[value["type"]])
    )


@pytest.mark.parametrize("name", ["openai", "responses"])
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_answers_conform_to_openais_schemas(name, script):
    tools = [{"type": "function", "name": "look", "parameters": {}, "function": TOOL}]
    streams, wholes = writer(name, tools=tools), writer(name, tools=tools)
    pieces = [piece for each in script for piece in streams.feed(each)] + streams.end()
    found = []
    schema = events_of(name)
    for piece in pieces:
        data = piece.decode().partition("data: ")[2].strip()
        if data != "[DONE]":
            found += faults(schema(json.loads(data)), json.loads(data))
    for each in script:
        wholes.add(each)
    whole = "Response" if name == "responses" else "CreateChatCompletionResponse"
    found += faults(whole, json.loads(json.dumps(wholes.whole())))
    assert found == []


@pytest.mark.parametrize("status", [400, 401, 429, 500, 529])
def test_errors_conform_to_openais_schema(status):
    for name in ("openai", "responses"):
        assert faults("ErrorResponse", WIRES[name].server.error(status, "x")) == []
