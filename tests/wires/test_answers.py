"""What servers answer, in all the forms that they have for it."""

import itertools
import json

import pytest

from chatwright.deltas import Finish, Usage
from chatwright.errors import OutputError, SourceConnectionError, SourceError, SourceTimeoutError
from chatwright.langchain.request import Request
from chatwright.testing import Bytes, Cut, Pause, Stall
from chatwright.wires import WIRES
from chatwright.wires.framing import ErrorPayload, SseDecoder
from chatwright.wires.quirks import Quirks
from chatwright.wires.wire import Ask
from chatwright.wrap.masking import Mask
from chatwright.wrap.reading import Reading
from wires.test_clients import at, chunk

DONE = b"data: [DONE]\n\n"


def data(*events):
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in events)


def reading(wire="openai", framing="sse"):
    ask = Ask("m", Request([]), {}, Quirks().over(WIRES[wire].quirks), "")
    return Reading(WIRES[wire].reader(ask), framing=framing, ends=True, name="m", mask=Mask())


def text_of(*pieces, wire="openai", framing="sse"):
    one = reading(wire, framing)
    deltas = [each for piece in pieces for each in one.feed(piece)]
    deltas += [*one.finish(), *one.end()]
    return "".join(each for each in deltas if isinstance(each, str))


def answered(*events, wire="openai", done=True):
    return at([Bytes(data(*events) + (DONE if done else b"")), Cut(politely=True)], wire).invoke(
        "x"
    )


def calls_of(answer):
    return [(each["name"], each["args"]) for each in answer.tool_calls], answer.invalid_tool_calls


# The end.


@pytest.mark.parametrize("reason", ["null", "", None])
def test_what_stands_in_the_place_of_a_reason_is_none(reason):
    one = reading()
    assert one.feed(data(chunk({"content": "a"}, reason))) != []
    assert not one.ended
    one.finish()
    with pytest.raises(SourceConnectionError, match="broke off"):
        one.end()


@pytest.mark.parametrize(
    "events",
    [
        [chunk({"content": "a"}, "stop")],
        [chunk({"role": "assistant", "content": ""}, "stop")],
        [chunk({"reasoning": "a"}, "stop"), chunk({"content": "b"}, "stop")],
        [chunk({"content": "a"}), chunk({}, "stop"), chunk({"content": "b"})],
        [chunk({"content": "a"}), chunk({}, "stop"), chunk({"content": "b"}), chunk({}, "stop")],
    ],
)
def test_a_reason_that_is_not_the_last_word_settles_nothing_until_usage_or_done(events):
    one = reading()
    one.feed(data(*events))
    assert not one.ended
    one.feed(data({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}))
    assert one.ended
    other = reading()
    other.feed(data(*events) + DONE)
    assert other.done
    last = reading()
    last.feed(data(*events))
    last.finish()
    last.end()  # the end of the bytes ends it, too


def test_a_reason_in_a_chunk_of_its_own_settles_the_answer():
    one = reading()
    one.feed(data(chunk({"content": "a"}), chunk({}, "stop")))
    assert one.ended


@pytest.mark.parametrize("reason", ["stop", "null"])
def test_a_pause_between_chunks_that_all_have_a_reason_cuts_nothing(reason, monkeypatch):
    monkeypatch.setattr("chatwright.wrap.endpoint.exchange.GRACE_SECONDS", 0.05)
    parts = [[Bytes(data(chunk({"content": each}, reason))), Pause(0.3)] for each in "abc"]
    script = [*itertools.chain(*parts), Bytes(DONE), Cut(politely=True)]
    assert at(script).invoke("x").text == "abc"


def test_a_server_that_stalls_after_a_reason_that_was_none_is_no_whole_answer():
    script = [Bytes(data(*(chunk({"content": each}, "stop") for each in "ab"))), Stall()]
    with pytest.raises(SourceTimeoutError) as caught:
        at(script, token_timeout=0.2).invoke("x")
    assert caught.value.partial_text == "ab"


# Noise.

NOISE = [
    b"data:\n\n",
    b"data: null\n\n",
    b"event: ping\ndata: ping\n\n",
    b"data: ping\n\n",
    b'event: ping\ndata: {"type": "ping"}\n\n',
    b": hello\n\n",
    b"event: keep-alive\ndata: 12:30\r\n\r\n",
]


@pytest.mark.parametrize("noise", NOISE)
def test_noise_between_events_is_nothing(noise):
    events = [data(chunk({"content": each})) for each in "abc"]
    raw = noise.join([b"", *events, data(chunk({}, "stop")), b"", DONE])
    assert text_of(raw) == text_of(*(bytes([each]) for each in raw)) == "abc"


@pytest.mark.parametrize("done", [b" [DONE] ", b"[done]", b'"[DONE]"', b"[DONE]\t"])
def test_the_mark_of_the_end_is_read_however_it_is_written(done):
    one = reading()
    one.feed(data(chunk({"content": "a"})) + b"data: " + done + b"\n\n")
    assert one.done
    one.finish()
    one.end()


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_events_that_one_line_end_parts_are_two(end):
    events = [json.dumps(each).encode() for each in (chunk({"content": "a"}), chunk({}, "stop"))]
    raw = b"".join(b"data: " + each + end for each in [*events, b"[DONE]"])
    assert text_of(b"\xef\xbb\xbf" + raw) == "a"
    named = b"".join(b"event: x" + end + b"data: " + each + end for each in [*events, b"[DONE]"])
    assert text_of(named) == "a"


def test_the_name_of_an_event_is_not_that_of_the_one_before():
    decoder = SseDecoder()
    first, second = decoder.feed(b"data: {}\nevent: error\ndata: {}\n\n")
    assert (type(first), type(second)) == (bytes, ErrorPayload)


def test_json_over_many_lines_of_data_is_one_event():
    lines = json.dumps(chunk({"content": "a"}), indent=1).splitlines()
    raw = b"".join(b"data: " + each.encode() + b"\n" for each in lines) + b"\n" + DONE
    assert text_of(raw) == "a"


def test_garbage_within_an_answer_is_an_error_and_behind_it_nothing():
    good, end = data(chunk({"content": "a"})), data(chunk({}, "stop"))
    assert text_of(good + end + b"data: bye!\n\n") == "a"
    with pytest.raises(OutputError, match="bye!"):
        text_of(good + b"data: bye!\n\n" + end)


# Text.


@pytest.mark.parametrize(
    ("delta", "text"),
    [
        ({"content": ["a", "b"]}, "ab"),
        ({"content": {"type": "text", "text": "ab"}}, "ab"),
        ({"content": [{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "ab"}]}, "ab"),
        ({"content": None, "reasoning": "hm"}, ""),
        ({"thinking": "hm", "content": "a"}, "a"),
        (None, ""),
    ],
)
@pytest.mark.parametrize("place", ["delta", "message"])
def test_content_comes_in_many_forms(delta, text, place):
    choice = {"index": 0, place: delta, "finish_reason": "stop"}
    if place == "delta":
        assert text_of(data({"choices": [choice]}) + DONE) == text
    else:
        assert text_of(json.dumps({"choices": [choice]}).encode(), framing="json") == text


def test_thinking_is_reasoning():
    answer = answered(chunk({"thinking": "hm"}), chunk({"content": "a"}, "stop"))
    assert answer.additional_kwargs["reasoning_content"] == "hm"


def test_a_choice_of_another_number_is_the_answer_where_it_is_the_only_one():
    assert text_of(data(chunk({"content": "a"}, index=1), chunk({}, "stop", index=1))) == "a"


@pytest.mark.parametrize("size", [1, 10_000])
@pytest.mark.parametrize("name", ["content", "reasoning"])
def test_a_character_that_two_chunks_share_is_one(name, size):
    parts = [b"a\\ud83d", b"\\ude00b", b"\\ud83d"]
    events = [
        b'data: {"choices": [{"delta": {"%b": "%b"}}]}\n\n' % (name.encode(), each)
        for each in parts
    ]
    raw = b"".join(events) + data(chunk({}, "stop"))
    one = reading()
    deltas = [each for n in range(0, len(raw), size) for each in one.feed(raw[n : n + size])]
    deltas += [*one.finish(), *one.end()]
    said = "".join(getattr(each, "text", each if isinstance(each, str) else "") for each in deltas)
    assert said == "a\U0001f600b\ufffd"


# The model.


@pytest.mark.parametrize(
    ("wire", "events"),
    [
        ("openai", [{**chunk({"content": "a END"}), "model": "m-7"}]),
        (
            "anthropic",
            [
                {
                    "type": "message_start",
                    "message": {"id": "i", "model": "m-7", "usage": {"output_tokens": 1}},
                },
                {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a END"}},
            ],
        ),
        (
            "responses",
            [
                {"type": "response.created", "response": {"model": "m-7"}},
                {"type": "response.output_text.delta", "delta": "a END"},
            ],
        ),
    ],
)
def test_what_is_known_of_an_answer_comes_before_its_text_which_may_end_it(wire, events):
    deltas = reading(wire).feed(data(*events))
    assert deltas[-1] == "a END"
    (finish,) = (each for each in deltas if isinstance(each, Finish))
    assert finish.metadata["model_name"] == "m-7"
    # What stands in the place of a count is none.
    assert all(each.output_tokens is None for each in deltas if isinstance(each, Usage))


# Calls.

AB = ([("look", {"w": "a"}), ("look", {"w": "b"})], [])
A = AB[0][:1], []


def part(args, id=None, name=None, **more):  # noqa: A002
    function = {"arguments": args} | ({} if name is None else {"name": name})
    return {"function": function, **({} if id is None else {"id": id}), **more}


@pytest.mark.parametrize(
    ("parts", "wanted"),
    [
        (
            [
                part("", "1", "look", index=0),
                part('{"w":"a"}', index=0),
                part('{"w":"a"}', index=0),
            ],
            A,
        ),
        (
            [
                part("", "1", "look", index=0),
                part('{"w"', index=0),
                part(':"a"}', index=0),
                part('{"w": "a"}', "1", "look", index=0),
            ],
            A,
        ),
        ([part("{}", "1", "look", index=0), part('{"w":"a"}', index=0)], A),
        ([part({"w": "a"}, "1", "look")], A),
        ([part(json.dumps('{"w":"a"}'), "1", "look", index=0)], A),
        ([part('"{\\"w\\":', "1", "look", index=0), part('\\"a\\"}"', "", "", index=0)], A),
        ([part('{"w":', "1", "look", index=0), part('"a"}', None, "null", index=0)], A),
        ([part('{"w":"a"}', "1", "look", index=0), part('{"w":"b"}', "1", "look", index=1)], AB),
        ([part('{"w":"a"}', "1", "look"), part('{"w":"b"}', "1", "look")], AB),
        (
            [
                part("", "1", "look", index=0),
                part("", "1", "look", index=1),
                part('{"w":"a"}', index=0),
                part('{"w":"b"}', index=1),
            ],
            AB,
        ),
        (
            [part('{"w"', "1", "look"), part(':"a"}', "1", "look"), part('{"w":"b"}', "2", "look")],
            AB,
        ),
        ([part('{"w":"a"}', None, "look"), part('{"w":"b"}', None, "look")], AB),
        ([part([], "1", "look", index=0)], ([("look", {})], [])),
        ([part("", "1", "look", index=0)], ([("look", {})], [])),
        ([part("", "", "", index=0)], ([], [])),
    ],
)
def test_fragments_of_calls_find_their_calls(parts, wanted):
    events = [chunk({"tool_calls": [each]}) for each in parts]
    assert calls_of(answered(*events, chunk({}, "tool_calls"))) == wanted


def test_arguments_may_hold_null_and_objects_in_pieces_of_their_own():
    pieces = ['{"a":', "null", ',"b":', "{}", ',"c":', '"x"', "}"]
    events = [chunk({"tool_calls": [part(each, index=0)]}) for each in pieces]
    first = chunk({"tool_calls": [part("", "1", "look", index=0)]})
    wanted = {"a": None, "b": {}, "c": "x"}
    assert calls_of(answered(first, *events, chunk({}, "stop"))) == ([("look", wanted)], [])


@pytest.mark.parametrize("args", ['{"w":', "7", '"x"'])
def test_what_are_no_arguments_make_no_valid_call(args):
    answer = answered(chunk({"tool_calls": [part(args, "1", "look")]}), chunk({}, "stop"))
    assert (answer.tool_calls, len(answer.invalid_tool_calls)) == ([], 1)


def test_an_empty_function_call_beside_text_is_none():
    answer = answered(
        chunk({"content": "a", "function_call": {"name": "", "arguments": ""}}, "stop")
    )
    assert (answer.text, calls_of(answer)) == ("a", ([], []))


def event(kind, **fields):
    return {"type": f"response.{kind}", **fields}


CALL = {"type": "function_call", "id": "fc", "call_id": "c", "name": "look"}
FULL = {**CALL, "arguments": '{"w": "a"}'}
EMPTY = {**CALL, "arguments": ""}
END = event("completed", response={"status": "completed"})


@pytest.mark.parametrize(
    "events",
    [
        [event("output_item.added", output_index=0, item=FULL), END],
        [
            event("output_item.added", item=FULL),
            event("function_call_arguments.delta", item_id="fc", delta='{"w": "a"}'),
            END,
        ],
        [
            event("output_item.added", output_index=0, item=EMPTY),
            event("output_item.done", output_index=0, item=FULL),
            END,
        ],
        [event("output_item.done", output_index=0, item=FULL), END],
        [
            event("output_item.added", output_index=0, item=FULL),
            event("output_item.done", output_index=0, item=EMPTY),
            END,
        ],
        [
            event("output_item.added", output_index=3, item=EMPTY),
            event("completed", response={"output": [FULL]}),
        ],
        [event("completed", response={"output": [FULL]})],
        [
            event(
                "function_call_arguments.done", item_id="fc", name="look", arguments='{"w": "a"}'
            ),
            event("completed", response={"output": [FULL]}),
        ],
        [{"object": "response", "status": "completed", "output": [FULL]}],
    ],
)
def test_arguments_of_responses_count_wherever_they_stand_and_once(events):
    assert calls_of(answered(*events, wire="responses", done=False)) == A


TEXT = {"type": "output_text", "text": "Hello"}
ITEM = {"type": "message", "id": "i", "content": [TEXT]}
SAID = [
    event("output_text.delta", item_id="i", output_index=0, content_index=0, delta="Hel"),
    event("output_text.delta", item_id="i", output_index=0, content_index=0, delta="lo"),
    event("output_text.done", item_id="i", output_index=0, content_index=0, text="Hello"),
    event("content_part.done", item_id="i", output_index=0, content_index=0, part=TEXT),
    event("output_item.done", output_index=0, item=ITEM),
    event("completed", response={"status": "completed", "output": [ITEM]}),
]


@pytest.mark.parametrize(
    "given", [each for n in range(3) for each in itertools.combinations(range(2, 6), n + 1)]
)
@pytest.mark.parametrize("deltas", [[], [0], [0, 1]])
def test_text_of_responses_counts_wherever_it_stands_and_once(deltas, given):
    events = [SAID[n] for n in (*deltas, *given)]
    assert answered(*events, END, wire="responses", done=False).text == "Hello"


def test_ids_that_change_with_each_event_repeat_nothing():
    events = [{**each, "item_id": str(n)} for n, each in enumerate(SAID[:4])]
    for each in events:
        del each["output_index"]
    last = [event("output_item.done", item={**ITEM, "id": "9"}), SAID[5]]
    assert answered(*events, *last, wire="responses", done=False).text == "Hello"


@pytest.mark.parametrize("status", ["failed", "queued", "in_progress", "cancelled"])
def test_a_response_that_is_no_answer_is_an_error(status):
    with pytest.raises(SourceError, match=status):
        at(
            [Bytes(data({"object": "response", "status": status, "output": []}))],
            "responses",
            max_retries=0,
        ).invoke("x")


# Counts.


def counted(usage, wire="openai", **more):
    end = {**chunk({}, "stop"), **({"usage": usage} if usage else {}), **more}
    return answered(chunk({"content": "a"}), end).usage_metadata


@pytest.mark.parametrize(
    ("usage", "spent", "made"),
    [
        ({"prompt_tokens": "3", "completion_tokens": "2"}, 3, 2),
        ({"prompt_tokens": 3.0, "completion_tokens": 2.0, "total_tokens": "5"}, 3, 2),
        ({"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109}, 35, 74),
        (
            {
                "prompt_tokens": 3,
                "completion_tokens": 2,
                "completion_tokens_details": {"reasoning_tokens": 9},
            },
            3,
            11,
        ),
        (
            {
                "prompt_tokens": 3,
                "completion_tokens": 2,
                "prompt_tokens_details": {"cached_tokens": 7},
            },
            10,
            2,
        ),
        ({"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": None}, 3, 2),
    ],
)
def test_counts_are_whole_numbers_that_hold_their_parts(usage, spent, made):
    told = counted(usage)
    assert (told["input_tokens"], told["output_tokens"], told["total_tokens"]) == (
        spent,
        made,
        spent + made,
    )
    for side in ("input", "output"):
        assert all(
            each <= told[f"{side}_tokens"]
            for each in told.get(f"{side}_token_details", {}).values()
        )


@pytest.mark.parametrize("bad", [-1, None, True, "many", [], "nan", float("inf")])
def test_what_is_no_count_is_not_known(bad):
    assert counted({"prompt_tokens": bad, "completion_tokens": 2}) is None


def test_counts_stand_in_more_than_one_place():
    usage = {"prompt_tokens": 30, "completion_tokens": 2, "prompt_cache_hit_tokens": 6}
    wanted = counted(usage)
    assert wanted["input_token_details"] == {"cache_read": 6}
    assert counted(None, x_groq={"usage": usage}) == wanted
    assert counted(None, choices=[{"delta": {}, "finish_reason": "stop", "usage": usage}]) == wanted
    written = {**usage, "prompt_tokens_details": {"cache_write_tokens": 4}}
    assert counted(written)["input_token_details"] == {"cache_read": 6, "cache_creation": 4}


@pytest.mark.parametrize("last", [{"input_tokens": 0}, {}, {"input_tokens": 10}])
def test_anthropics_counts_add_up(last):
    first = {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 1}
    details = {"output_tokens_details": {"thinking_tokens": 5}}
    events = [
        {"type": "message_start", "message": {"usage": first}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {**last, **details, "output_tokens": 7},
        },
        {"type": "message_stop"},
    ]
    told = answered(*events, wire="anthropic", done=False).usage_metadata
    assert (told["input_tokens"], told["output_tokens"], told["total_tokens"]) == (100, 7, 107)
    assert told["input_token_details"] == {"cache_read": 90}
    assert told["output_token_details"] == {"reasoning": 5}


def test_a_message_beside_an_empty_delta_is_read_once():
    both = {"message": {"role": "assistant", "content": "a"}}
    assert text_of(data(chunk({"role": "assistant", "content": ""}, "stop", **both)), DONE) == "a"
    grown = [
        chunk({"content": "a"}, message={"content": "a"}),
        chunk({"content": "b"}, message={"content": "ab"}),
        chunk({"content": ""}, "stop", message={"content": "ab"}),
    ]
    assert text_of(data(*grown), DONE) == "ab"


def test_a_call_that_stands_in_no_list_is_read():
    call = {"index": 0, "id": "1", "function": {"name": "look", "arguments": '{"a": 1}'}}
    answer = answered(chunk({"tool_calls": call}, "stop"))
    assert calls_of(answer) == ([("look", {"a": 1})], [])


@pytest.mark.parametrize("framing", ["sse", "json"])
def test_json_that_ends_in_its_middle_is_a_lost_answer(framing):
    start = b"data: " if framing == "sse" else b""
    with pytest.raises(SourceConnectionError, match="broke off"):
        text_of(start + b'{"id": "1", "choices": [{"index": 0, "del', framing=framing)
