"""What servers make of the wires."""

import json

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from chatwright import (
    ChatEndpoint,
    EngineError,
    OutputError,
    Quirks,
    RateLimitError,
    Reasoning,
    SourceConnectionError,
    ToolCallDelta,
    Usage,
)
from chatwright.testing import Bytes, Cut, Stall, Upstream
from contract.subjects import MODES, serving, upstream

WIRES = {"openai": "/v1", "ollama": "", "anthropic": "/v1", "responses": "/v1"}


def at(script, wire="openai", **fields):
    """Make a model of a server that answers with the script."""
    path = serving(lambda _: script) + WIRES[wire]
    return ChatEndpoint(**{"base_url": path, "model": "m", "wire": wire, **fields})


def sent():
    return upstream().requests[-1].body


def raw(*events, done=True):
    """Make a model of a server that sends these events and nothing else."""
    lines = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
    end = [b"data: [DONE]\n\n"] if done else []
    return at([Bytes(b"".join([*lines, *end])), Cut(politely=True)])


def chunk(delta=None, reason=None, **choice):
    return {"choices": [{"index": 0, "delta": delta or {}, "finish_reason": reason, **choice}]}


TALK = [
    SystemMessage("Be kind."),
    HumanMessage("weather?"),
    AIMessage("Let me see.", tool_calls=[{"name": "look", "args": {"city": "Bern"}, "id": "c1"}]),
    ToolMessage("rain", tool_call_id="c1", name="look"),
    HumanMessage(
        [
            {"type": "text", "text": "and this?"},
            {"type": "image", "base64": "aGk=", "mime_type": "image/png"},
        ]
    ),
]


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
@pytest.mark.parametrize("wire", WIRES)
async def test_everything_of_a_script_arrives_in_every_mode(wire, mode):
    script = [
        Usage(input_tokens=5),
        Reasoning("hm "),
        "Hel",
        "lo",
        ToolCallDelta(0, "c1", "add", '{"a": 1}'),
        ToolCallDelta(1, "c2", "add", '{"a": "\u20ac"}'),
        Usage(output_tokens=3),
    ]
    for stream in (True, False):
        answer = await mode(at(script, wire, quirks=Quirks(stream=stream)), "hi")
        assert answer.text == "Hello"
        assert [(each["name"], each["args"]) for each in answer.tool_calls] == [
            ("add", {"a": 1}),
            ("add", {"a": "\u20ac"}),
        ]
        assert answer.usage_metadata["total_tokens"] == 8
        assert answer.response_metadata["normalized_finish_reason"] == "tool_calls"
        assert "hm " in json.dumps([answer.additional_kwargs, answer.content])


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
async def test_a_server_that_answers_in_one_piece_after_all_is_read(wire, mode):
    with Upstream(["Hel", "lo", Usage(1, 2)], whole=True) as server:
        model = ChatEndpoint(base_url=server.url + WIRES[wire], model="m", wire=wire)
        answer = await mode(model, "hi")
    assert answer.text == "Hello"
    assert answer.usage_metadata["total_tokens"] == 3


def test_openai_conversations_are_written_as_its_reference_has_them():
    at(["ok"], quirks=Quirks(inputs={"image"}), keep_reasoning=True).invoke(TALK)
    assert sent()["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "weather?"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [
                {
                    "type": "function",
                    "id": "c1",
                    "function": {"name": "look", "arguments": '{"city": "Bern"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "and this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
            ],
        },
    ]


def test_anthropics_conversations_are_written_as_its_reference_has_them():
    at(["ok"], "anthropic", quirks=Quirks(inputs={"image"})).invoke(TALK, stop=["END"])
    body = sent()
    assert body["system"] == "Be kind."
    assert body["max_tokens"] == 4096
    assert body["stop_sequences"] == ["END"]
    assert body["messages"] == [
        {"role": "user", "content": "weather?"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "c1", "name": "look", "input": {"city": "Bern"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": "rain"},
                {"type": "text", "text": "and this?"},
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": "aGk="},
                },
            ],
        },
    ]
    headers = upstream().requests[-1].headers
    assert headers["anthropic-version"] == "2023-06-01"


def test_ollamas_conversations_are_written_as_its_reference_has_them():
    model = at(["ok"], "ollama", quirks=Quirks(inputs={"image"}), temperature=0.5, max_tokens=9)
    model.invoke(TALK, num_ctx=512)
    body = sent()
    assert body["options"] == {"temperature": 0.5, "num_predict": 9, "num_ctx": 512}
    assert body["messages"][2]["tool_calls"] == [
        {"function": {"name": "look", "arguments": {"city": "Bern"}}}
    ]
    assert body["messages"][3] == {"role": "tool", "content": "rain", "tool_name": "look"}
    assert body["messages"][4] == {"role": "user", "content": "and this?", "images": ["aGk="]}


def test_conversations_of_responses_are_written_as_its_reference_has_them():
    model = at(["ok"], "responses", quirks=Quirks(inputs={"image"}), max_tokens=9)
    model.invoke(TALK)
    body = sent()
    assert body["max_output_tokens"] == 9
    assert body["store"] is False
    assert body["input"][2:5] == [
        {
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}],
        },
        {
            "type": "function_call",
            "call_id": "c1",
            "name": "look",
            "arguments": '{"city": "Bern"}',
        },
        {"type": "function_call_output", "call_id": "c1", "output": "rain"},
    ]
    assert body["input"][5]["content"][1] == {
        "type": "input_image",
        "detail": "auto",  # vLLM wants one
        "image_url": "data:image/png;base64,aGk=",
    }


def test_parameters_go_by_the_names_that_the_server_has_for_them():
    quirks = Quirks(max_tokens="max_completion_tokens", parameters={"temperature": "", "seed": "s"})
    model = at(["ok"], quirks=quirks, temperature=0.3, max_tokens=5, seed=7, extra_body={"a": 1})
    model.invoke("x", top_k=3, extra_body={"b": 2})
    body = sent()
    assert body["max_completion_tokens"] == 5
    assert (body["s"], body["top_k"], body["a"], body["b"]) == (7, 3, 1, 2)
    assert not {"temperature", "max_tokens", "seed", "headers"} & body.keys()


def test_a_parameter_that_no_wire_knows_is_refused():
    with pytest.raises(TypeError, match="takes no parameter 'heat'"):
        at(["ok"]).invoke("x", heat=1)


def test_without_a_model_the_body_names_none():
    ChatEndpoint(base_url=serving(lambda _: ["ok"]) + "/v1").invoke("x")
    assert "model" not in sent()
    ChatEndpoint(base_url=serving(lambda _: ["ok"]) + "/v1#tiny").invoke("x")
    assert sent()["model"] == "tiny"


# OpenAI's wire, as servers have it.


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_content": "hm"},
        {"reasoning": "hm"},
        {"reasoning": "hm", "reasoning_content": "hm"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]},
    ],
)
def test_reasoning_comes_by_every_name_and_once(delta):
    answer = raw(chunk(delta), chunk({"content": "hi"}), chunk(reason="stop")).invoke("x")
    assert answer.additional_kwargs["reasoning_content"] == "hm"
    assert answer.text == "hi"


def test_null_and_empty_choices_and_keep_alive_are_nothing():
    events = [
        {"choices": None},
        {"choices": []},
        {"id": "1", "object": "ping"},
        chunk({"role": "assistant", "content": None, "tool_calls": None}),
        chunk({"content": "hi"}),
        {"choices": [{"index": 1, "delta": {"content": "another"}}]},
        {**chunk(reason="stop"), "usage": None},
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}},
    ]
    answer = raw(*events).invoke("x")
    assert answer.text == "hi"
    assert answer.usage_metadata["total_tokens"] == 7


def test_details_of_usage_go_by_langchains_names():
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 6},
        "completion_tokens_details": {"reasoning_tokens": 15},
    }
    answer = raw(chunk({"content": "x"}), {**chunk(reason="stop"), "usage": usage}).invoke("x")
    assert answer.usage_metadata["input_token_details"] == {"cache_read": 6}
    assert answer.usage_metadata["output_token_details"] == {"reasoning": 15}


def test_usage_with_every_chunk_is_counted_once():
    events = [
        {**chunk({"content": each}), "usage": {"prompt_tokens": 3, "completion_tokens": n}}
        for n, each in enumerate("abc", 1)
    ]
    assert raw(*events, chunk(reason="stop")).invoke("x").usage_metadata["total_tokens"] == 6


def test_a_refusal_is_a_block_and_no_text():
    answer = raw(chunk({"refusal": "I "}), chunk({"refusal": "won't."}, "stop")).invoke("x")
    assert answer.text == ""
    (block,) = answer.content_blocks
    assert (block["type"], block["refusal"]) == ("refusal", "I won't.")
    told = answer.response_metadata
    assert (told["normalized_finish_reason"], told["finish_state"]) == ("refusal", "refused")


def test_logprobs_are_kept():
    token = {"token": "hi", "logprob": -0.1}
    answer = raw(chunk({"content": "hi"}, "stop", logprobs={"content": [token]})).invoke("x")
    assert answer.response_metadata["logprobs"] == {"content": [token]}


def test_tool_fragments_without_index_and_the_older_function_call_are_read():
    look = {"id": "a", "function": {"name": "look", "arguments": '{"x"'}}
    more = {"function": {"arguments": ": 1}"}}
    other = {"id": "b", "function": {"name": "see", "arguments": "{}"}}
    events = [chunk({"tool_calls": [each]}) for each in (look, more, other)]
    answer = raw(*events, chunk(reason="tool_calls")).invoke("x")
    assert [(c["name"], c["args"]) for c in answer.tool_calls] == [("look", {"x": 1}), ("see", {})]
    call = {"function_call": {"name": "look", "arguments": "{}"}}
    answer = raw(chunk(call), chunk(reason="function_call")).invoke("x")
    assert answer.tool_calls[0]["name"] == "look"
    assert answer.response_metadata["normalized_finish_reason"] == "tool_calls"


def test_a_missing_done_is_no_fault():
    assert (
        raw(chunk({"content": "hi"}), chunk(reason="length"), done=False).invoke("x").text == "hi"
    )


def test_a_missing_end_is_a_lost_answer_unless_the_server_never_marks_it():
    model = raw(chunk({"content": "hi"}), done=False)
    with pytest.raises(SourceConnectionError, match="broke off") as caught:
        model.invoke("x")
    assert caught.value.partial_text == "hi"
    model.quirks = Quirks(ends=False)
    assert model.invoke("x").text == "hi"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"error": {"message": "slow down", "code": 429}}, RateLimitError),
        ({"error": {"message": "boom", "type": "server_error"}}, EngineError),
        ({"error": "boom"}, EngineError),
        ({"error": {"type": "overloaded_error", "message": "busy"}}, EngineError),
    ],
)
def test_an_error_inside_a_good_answer_is_raised(error, kind):
    with pytest.raises(kind, match="reports in its answer") as caught:
        raw(chunk({"content": "half "}), error).invoke("x")
    assert caught.value.partial_text == "half "


@pytest.mark.parametrize("event", [[1, 2], 3, {"choices": 3}, {"choices": ["x"]}])
def test_an_odd_shape_is_an_error_that_shows_it(event):
    with pytest.raises(OutputError, match=r"m: the answer can't be read"):
        raw(event).invoke("x")


@pytest.mark.parametrize(
    ("quirk", "include", "sends"),
    [
        ("dropped", True, False),
        ("dropped", False, True),
        ("kept", True, True),
        ("reported", True, True),
    ],
)
def test_stop_is_sent_only_where_that_loses_no_text(quirk, include, sends):
    model = at(["one END two"], quirks=Quirks(stop=quirk), include_stop=include)
    assert model.invoke("x", stop=["END"]).text == ("one END" if include else "one ")
    assert ("stop" in sent()) is sends


def test_a_stop_that_the_server_reports_is_put_back():
    events = [chunk({"content": "one "}), chunk(reason="stop", stop_reason="END")]
    model = raw(*events)
    model.quirks = Quirks(stop="reported")
    answer = model.invoke("x", stop=["END"])
    assert answer.text == "one END"
    assert answer.response_metadata["stop_sequence"] == "END"
    answer = model.invoke("x", stop=["END"], include_stop=False)
    assert (answer.text, answer.response_metadata["stop_sequence"]) == ("one ", "END")


def test_anthropics_stop_is_put_back():
    answer = at(["one END two"], "anthropic").invoke("x", stop=["END"])
    assert answer.text == "one END"
    assert answer.response_metadata["stop_sequence"] == "END"


@pytest.mark.parametrize("wire", ["openai", "anthropic", "responses"])
def test_tools_and_choices_go_in_the_wires_own_form(wire):
    def look(city: str) -> str:
        """Looks."""

    script = [ToolCallDelta(0, "a", "look", '{"city": "x"}')]
    model = at(script, wire).bind_tools([look], tool_choice="look", parallel_tool_calls=False)
    assert model.invoke("x").tool_calls[0]["args"] == {"city": "x"}
    asked = upstream().requests[-1].asked
    assert asked.tools["look"]["properties"]["city"] == {"type": "string"}
    assert asked.tool_choice == {"type": "function", "function": {"name": "look"}}
    body = sent()
    if wire == "anthropic":
        assert body["tool_choice"]["disable_parallel_tool_use"] is True
    else:
        assert body["parallel_tool_calls"] is False


def test_a_profile_knows_the_context():
    model = at([], quirks=Quirks(context_tokens=4096, inputs={"image"}))
    assert model.profile["max_input_tokens"] == 4096
    assert model.profile["image_inputs"] is True


def test_reasoning_goes_back_by_the_servers_name_for_it():
    said = AIMessage("4", additional_kwargs={"reasoning_content": "2+2"})
    talk = [HumanMessage("x"), said, HumanMessage("y")]
    at(["ok"], keep_reasoning=True, quirks=Quirks(reasoning="reasoning")).invoke(talk)
    assert sent()["messages"][1]["reasoning"] == "2+2"
    at(["ok"]).invoke(talk)
    assert "2+2" not in json.dumps(sent())


def test_usage_and_id_are_known_where_a_stop_sequence_ends_a_whole_answer():
    for quirk in ("kept", "reported"):
        model = at(["one END", Usage(5, 42)], quirks=Quirks(stream=False, stop=quirk))
        answer = model.invoke("x", stop=["END"])
        assert answer.usage_metadata["total_tokens"] == 47
        assert answer.response_metadata["id"].startswith("chatcmpl-")


def test_usage_is_known_where_anthropic_reports_a_stop_sequence():
    answer = at(["one END two", Usage(5, 42)], "anthropic").invoke("x", stop=["END"])
    assert answer.usage_metadata["output_tokens"] == 42


def test_reasoning_details_count_beside_an_empty_reasoning():
    details = {"reasoning": "", "reasoning_details": [{"text": "hm"}]}
    answer = raw(chunk(details), chunk({"content": "x"}, "stop")).invoke("x")
    assert answer.additional_kwargs["reasoning_content"] == "hm"


def test_a_character_cut_in_half_does_not_lose_the_answer():
    lines = b'data: {"choices": [{"delta": {"content": "a\\ud83d"}}]}\n\n'
    end = b'data: {"choices": [{"delta": {"content": "b"}, "finish_reason": "stop"}]}\n\n'
    assert at([Bytes(lines + end), Cut(politely=True)]).invoke("x").text == "a\ufffdb"


def test_whole_numbers_of_any_size_are_written():
    call = {"name": "look", "args": {"n": 10**30}, "id": "c"}
    at(["ok"], "anthropic").invoke([HumanMessage("x"), AIMessage("", tool_calls=[call])])
    assert sent()["messages"][1]["content"][0]["input"] == {"n": 10**30}


def test_arguments_that_responses_send_only_whole_are_read():
    events = [
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {"type": "function_call", "call_id": "c", "name": "look"},
        },
        {
            "type": "response.function_call_arguments.done",
            "output_index": 0,
            "arguments": '{"x": 1}',
        },
        {"type": "response.completed", "response": {"status": "completed"}},
    ]
    lines = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in events)
    answer = at([Bytes(lines), Cut(politely=True)], "responses").invoke("x")
    assert answer.tool_calls[0]["args"] == {"x": 1}


def test_an_error_event_of_responses_is_raised():
    line = b'data: {"type": "error", "code": "rate_limit_exceeded", "message": "slow"}\n\n'
    with pytest.raises(RateLimitError, match="slow"):
        at([Bytes(line), Stall()], "responses", max_retries=0).invoke("x")


def test_anthropics_signed_thoughts_go_back_as_they_came():
    events = [
        {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking"}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "thinking_delta", "thinking": "hm"},
        },
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "signature_delta", "signature": "s1g"},
        },
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "tool_use", "id": "c", "name": "look", "input": {}},
        },
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {}},
        {"type": "message_stop"},
    ]
    lines = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in events)
    model = at([Bytes(lines), Cut(politely=True)], "anthropic")
    answer = model.invoke("x")
    model.invoke([HumanMessage("x"), answer, ToolMessage("ok", tool_call_id="c")])
    assert sent()["messages"][1]["content"][0] == {
        "type": "thinking",
        "thinking": "hm",
        "signature": "s1g",
    }


@pytest.mark.parametrize("wire", ["openai", "responses"])
def test_without_tools_nothing_is_said_of_them(wire):
    bound = at(["ok"], wire).bind_tools([], tool_choice="auto", parallel_tool_calls=False)
    bound.invoke("x")
    assert not {"tool_choice", "parallel_tool_calls", "tools"} & sent().keys()
