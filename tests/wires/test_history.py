"""Histories that servers would refuse: broken calls, other models' answers, calls without ids."""

import json

import pytest
from langchain.agents import create_agent
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.checkpoint.memory import InMemorySaver

from chatwright import ParameterError, Quirks, Reasoning
from chatwright.testing import Refuse, Upstream
from chatwright.wires import WIRES as ALL
from chatwright.wires.keep import wire_id
from wires.test_clients import WIRES, at, chunk, raw, sent
from wires.test_turns import CALL, KEPT, calling, summed, went_back, whole


def messages(*talk, **fields):
    """Return how a conversation goes out."""
    at(["ok"], **fields).invoke([HumanMessage("hi"), *talk])
    return sent()["messages"][1:]


def called(*calls, **fields):
    return AIMessage("", tool_calls=[{"name": "look", **each} for each in calls], **fields)


BROKEN = {"name": "look", "args": '{"a', "id": "c1", "error": "cut", "type": "invalid_tool_call"}


def test_a_broken_call_without_a_result_gets_its_error_as_the_result():
    answer = called({"args": {}, "id": "c0"}, invalid_tool_calls=[BROKEN])
    talk = messages(answer, ToolMessage("1", tool_call_id="c0"), HumanMessage("go"))
    assert [each["role"] for each in talk] == ["assistant", "tool", "tool", "user"]
    assert [each["tool_call_id"] for each in talk[1:3]] == ["c0", "c1"]
    assert "cut" in talk[2]["content"]


def test_a_broken_call_that_has_a_result_gets_no_other():
    answer = AIMessage("", invalid_tool_calls=[BROKEN])
    talk = messages(answer, HumanMessage("wait"), ToolMessage("mine", tool_call_id="c1"))
    assert [each["content"] for each in talk if each["role"] == "tool"] == ["mine"]


@pytest.mark.parametrize("wire", WIRES)
def test_every_wire_tells_what_became_of_a_broken_call(wire):
    at(["ok"], wire).invoke([HumanMessage("hi"), AIMessage("", invalid_tool_calls=[BROKEN])])
    assert "can't be read: cut" in json.dumps(sent())


def test_calls_without_ids_and_their_results_get_the_same_ones_each_time():
    answer = called({"args": {"a": 1}, "id": None}, {"args": {"a": 2}, "id": ""})
    results = [ToolMessage(each, tool_call_id="") for each in "12"]
    said, *told = messages(answer, *results)
    ids = [each["id"] for each in said["tool_calls"]]
    assert len({*ids, ""}) == 3
    assert [each["tool_call_id"] for each in told] == ids
    assert messages(answer, *results) == [said, *told]


def test_a_broken_call_without_an_id_takes_the_result_that_has_none():
    answer = AIMessage("", invalid_tool_calls=[{**BROKEN, "id": None}])
    said, told, *rest = messages(answer, ToolMessage("1", tool_call_id=""))
    assert told["tool_call_id"] == said["tool_calls"][0]["id"]
    assert rest == []


@pytest.mark.parametrize(
    "args", [{"a": float("nan")}, {"a": [float("-inf")]}, '{"a": NaN}', "[1]", ""]
)
def test_arguments_go_out_as_a_json_object(args):
    if isinstance(args, str):
        answer = AIMessage("", invalid_tool_calls=[{**BROKEN, "args": args}])
    else:
        answer = called({"args": args, "id": "c1"})
    said, *_ = messages(answer, ToolMessage("1", tool_call_id="c1"))

    def refuse(constant):
        raise AssertionError(constant)

    written = said["tool_calls"][0]["function"]["arguments"]
    read = json.loads(written, parse_constant=refuse)
    assert read == {"invalid_arguments": args if isinstance(args, str) else json.dumps(args)}


def test_words_of_no_number_are_words():
    said, *_ = messages(called({"args": {"a": "NaN"}, "id": "c1"}))
    assert json.loads(said["tool_calls"][0]["function"]["arguments"]) == {"a": "NaN"}


def test_half_a_character_in_arguments_stays_as_it_was_written():
    said, *_ = messages(called({"args": {"a": "\ud83d"}, "id": "c1"}))
    assert said["tool_calls"][0]["function"]["arguments"] == '{"a": "\\ud83d"}'


def test_a_sum_of_chunks_is_an_answer_like_any_other():
    search = {"type": "web_search_call", "id": "ws"}
    said = AIMessageChunk([search, {"type": "text", "text": "Bern."}], name="An Agent")
    assert messages(said) == [{"role": "assistant", "content": "Bern."}]


IMAGE = {"type": "image_url", "image_url": {"url": "http://x.example/a.png"}}


def test_images_that_a_model_has_made_are_left_out_where_the_server_reads_images():
    answer = AIMessage([{"type": "text", "text": "Here."}, IMAGE])
    assert messages(answer, quirks=Quirks(inputs={"image"})) == [
        {"role": "assistant", "content": "Here."}
    ]


MARKED = {"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}}
APART = {"type": "text", "text": "\n\n"}


def test_marks_stay_where_messages_become_one():
    more = {"type": "text", "text": "More."}
    talk = [SystemMessage([MARKED]), SystemMessage("More."), HumanMessage("hi")]
    at(["ok"], quirks=Quirks(system="first")).invoke(talk)
    assert sent()["messages"][0]["content"] == [MARKED, APART, more]
    at(["ok"], quirks=Quirks(system="user")).invoke(talk)
    (user,) = sent()["messages"]
    assert user["content"] == [MARKED, APART, more, APART, {"type": "text", "text": "hi"}]
    at(["ok"], quirks=Quirks(merge=True)).invoke([HumanMessage([MARKED]), HumanMessage("More.")])
    assert [each["content"] for each in sent()["messages"]] == [[MARKED, more]]


def test_answers_that_become_one_keep_what_is_known_of_them():
    one = whole({"content": "a", "reasoning_content": "h"}).invoke("hi")
    other = whole({"content": "b", "reasoning_content": "m"}).invoke("hi")
    (said, _) = messages(one, other, HumanMessage("go"), quirks=Quirks(merge=True))
    assert said == {"role": "assistant", "content": "a\n\nb", "reasoning_content": "hm"}


def test_marks_stay_on_media():
    marked = {**IMAGE, "cache_control": {"type": "ephemeral"}}
    content = [{"type": "text", "text": "This?"}, marked]
    (said,) = messages(HumanMessage(content), quirks=Quirks(inputs={"image"}))
    assert said["content"] == content


def both(message, *chunks, **fields):
    """Yield an answer whole, streamed and by events, in both forms of content."""
    for version in ("v0", "v1"):
        of = {"output_version": version, **fields}
        yield whole(message).model_copy(update=of).invoke("hi")
        model = raw(*[chunk(each) for each in chunks], chunk({}, "stop")).model_copy(update=of)
        yield summed(model.stream("hi"))
        yield model.stream_events("hi", version="v3").output


DETAILS = [
    {"type": "reasoning.text", "text": "hm", "signature": "S", "index": 0, "format": "f"},
    {"type": "reasoning.encrypted", "data": "E0", "id": "c0", "index": 0},
    {"type": "reasoning.encrypted", "data": "E1", "id": "c1", "index": 0},
]
OPAQUE = {
    "reasoning_details": (
        DETAILS,
        [{"type": "reasoning.text", "text": "h", "index": 0, "format": "f"}],
        [{"type": "reasoning.text", "text": "m", "index": 0}],
        [{"type": "reasoning.text", "signature": "S", "index": 0}],
        DETAILS[1:],
    ),
    "thinking_blocks": (
        [
            {"type": "thinking", "thinking": "hm", "signature": "S0"},
            {"type": "thinking", "thinking": "so", "signature": "S1"},
        ],
        [{"type": "thinking", "thinking": "h", "signature": None}],
        [{"type": "thinking", "thinking": "m", "signature": "S0"}],
        [{"type": "thinking", "thinking": "s"}],
        [{"type": "thinking", "thinking": "o"}],
        [{"type": "thinking", "signature": "S1"}],
    ),
    "reasoning_opaque": ("SECRET", "SECRET"),
    "extra_content": ({"google": {"thought_signature": "S"}},) * 2,
    "provider_specific_fields": (
        {"thought_signatures": ["S0", "S1"], "kind": "k"},
        {"thought_signatures": ["S0"]},
        {"thought_signatures": ["S0"], "kind": "k"},
        {"thought_signatures": ["S1"]},
    ),
}


@pytest.mark.parametrize("field", OPAQUE)
@pytest.mark.filterwarnings("ignore:The method")
def test_what_only_the_server_can_read_goes_back_as_it_came(field):
    value, *pieces = OPAQUE[field]
    chunks = [*({field: each} for each in pieces), {"content": "a"}]
    for answer in both({"content": "a", field: value}, *chunks):
        for through in KEPT:
            assert went_back(through(answer))[field] == value


def test_items_of_one_kind_in_a_whole_answer_stay_apart():
    details = [{"type": "reasoning.text", "text": each} for each in "ab"]
    answer = whole({"content": "a", "reasoning_details": details}).invoke("hi")
    assert went_back(answer)["reasoning_details"] == details


def test_pieces_of_items_may_alternate():
    given = [("a", 0), ("b", 1), ("c", 0), ("d", 1)]
    pieces = [
        chunk({"reasoning_details": [{"type": "reasoning.summary", "summary": text, "index": n}]})
        for text, n in given
    ]
    answer = summed(raw(*pieces, chunk({"content": "a"}, "stop")).stream("hi"))
    kept = went_back(answer)["reasoning_details"]
    assert [(each["summary"], each["index"]) for each in kept] == [("ac", 0), ("bd", 1)]


def test_pieces_without_an_index_go_on_with_the_last_item_only():
    details = [
        {"type": "reasoning.text", "text": "a"},
        {"type": "reasoning.encrypted", "data": "E"},
        {"type": "reasoning.text", "text": "b"},
    ]
    pieces = [chunk({"reasoning_details": [each]}) for each in details]
    answer = summed(raw(*pieces, chunk({"content": "a"}, "stop")).stream("hi"))
    assert went_back(answer)["reasoning_details"] == details


@pytest.mark.parametrize(
    "given",
    [
        {"reasoning_content": "hm"},
        {"reasoning_details": [DETAILS[1]]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]},
    ],
)
def test_what_a_server_gave_is_kept_of_an_answer_that_a_stop_sequence_ends(given):
    pieces = [{"role": "assistant", "content": ""}, given, {"content": "a. b"}]
    made = went_back(raw(*map(chunk, pieces)).invoke("hi", stop=["."]))
    said = {"type": "text", "text": "a."}
    wanted = {name: [*each, said] if name == "content" else each for name, each in given.items()}
    assert made == {"role": "assistant", "content": "a.", **wanted}


BESIDE = {
    "extra_content": {"google": {"thought_signature": "S"}},
    "provider_specific_fields": {"thought_signature": "S"},
}


@pytest.mark.parametrize("ids", [("c0", "c1"), ("", ""), ("same", "same")])
@pytest.mark.filterwarnings("ignore:The method")
def test_each_call_keeps_what_stood_beside_it(ids):
    function = {"name": "look", "arguments": '{"a": 1}', "thought": "F"}
    calls = [
        {**CALL, "id": ids[0], "index": 0},
        {**CALL, **BESIDE, "id": ids[1], "index": 1, "function": function},
    ]
    late = [{"index": 1, "extra_content": BESIDE["extra_content"]}]
    early = [calls[0], {**calls[1], "extra_content": None}]
    pieces = [*({"tool_calls": [each]} for each in early), {"tool_calls": late}]
    for answer in both({"content": None, "tool_calls": calls}, *pieces):
        for through in KEPT:
            first, second = went_back(through(answer))["tool_calls"]
            assert first.keys() == {"id", "type", "function"}
            assert {name: second[name] for name in BESIDE} == BESIDE
            assert second["function"] == {**function, "arguments": '{"a": 1}'}


@pytest.mark.filterwarnings("ignore:The method")
def test_reasoning_in_parts_of_the_content_goes_back_in_parts():
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    said = {"type": "text", "text": "a"}
    for answer in both({"content": [thought, said]}, {"content": [thought]}, {"content": [said]}):
        assert answer.text == "a"
        assert went_back(answer)["content"] == [thought, said]
        assert went_back(answer, keep_reasoning=False)["content"] == "a"


def test_a_name_that_says_something_comes_before_one_that_does_not():
    given = {"reasoning_content": "", "reasoning": "hm", "content": "a"}
    assert went_back(whole(given).invoke("hi"))["reasoning"] == "hm"
    pieces = [chunk({"reasoning_content": ""}), chunk({"reasoning": "hm"}), chunk({}, "stop")]
    assert went_back(summed(raw(*pieces).stream("hi")))["reasoning"] == "hm"


def elsewhere(answer, **fields):
    """Return how an answer goes to another server."""
    with Upstream(["ok"]) as server:
        model = at([], **{"base_url": f"{server.url}/v1", **fields})
        model.invoke([HumanMessage("hi"), answer, HumanMessage("go")])
        return server.requests[-1].body["messages"][1]


def test_what_one_server_gave_is_not_sent_to_another_of_another_model():
    given = {"content": "a", "reasoning_content": "hm", "reasoning_details": DETAILS}
    answer = whole({**given, "tool_calls": [{**CALL, **BESIDE}]}).invoke("hi")
    assert answer.response_metadata["model_name"] == "m"
    other = elsewhere(answer, model="other")
    assert other.keys() == {"role", "content", "tool_calls"}
    assert other["tool_calls"] == [CALL]
    assert elsewhere(answer)["reasoning_content"] == "hm"
    told = elsewhere(answer, model="other", keep_reasoning=True)
    assert told["reasoning_content"] == "hm"


def test_what_another_wire_gave_is_not_sent():
    with Upstream([Reasoning("hm"), "a"]) as server:
        answer = at([], "ollama", base_url=server.url).invoke("hi")
    assert answer.additional_kwargs["reasoning_content"] == "hm"
    assert went_back(answer).keys() == {"role", "content"}


def test_no_reasoning_means_none_of_it():
    given = {"content": "a", "reasoning": "hm"} | {name: each[0] for name, each in OPAQUE.items()}
    made = went_back(whole(given).invoke("hi"), keep_reasoning=False)
    assert made.keys() == {"role", "content", "extra_content", "provider_specific_fields"}


@pytest.mark.parametrize(
    ("given", "goes"),
    [("x" * 40, True), ("functions.look:0", True), ("x" * 41, False), ("call_a|fc_b" * 9, False)],
)
def test_ids_of_other_servers_fit_and_results_follow(given, goes):
    said, told = messages(called({"args": {}, "id": given}), ToolMessage("1", tool_call_id=given))
    used = said["tool_calls"][0]["id"]
    assert (used == given) is goes
    assert len(used) <= 40
    assert told["tool_call_id"] == used


def test_a_servers_own_ids_stay_as_they_are():
    call = {**CALL, "id": "call_1__thought__" + "S" * 200}
    answer = whole({"content": None, "tool_calls": [call]}).invoke("hi")
    assert went_back(answer)["tool_calls"][0]["id"] == call["id"]
    assert sent()["messages"][2]["tool_call_id"] == call["id"]


def test_ids_take_the_form_that_a_server_wants():
    quirks = Quirks(call_ids="[A-Za-z0-9]{9}")
    answer = called(*({"args": {}, "id": each} for each in ("call_1", "call_2", "abcdef123")))
    results = [ToolMessage("1", tool_call_id=each["id"]) for each in answer.tool_calls]
    said, *told = messages(answer, *results, quirks=quirks)
    ids = [each["id"] for each in said["tool_calls"]]
    assert all(len(each) == 9 and each.isalnum() for each in ids)
    assert len({*ids}) == 3
    assert ids[2] == "abcdef123"
    assert [each["tool_call_id"] for each in told] == ids


def test_a_form_that_no_id_can_take_is_refused():
    with pytest.raises(ParameterError, match="call_ids="):
        wire_id("call_1", "[!]+")
    with pytest.raises(ValueError, match="no regular expression"):
        Quirks(call_ids="[")


def test_mistrals_servers_are_known():
    quirks = ALL["openai"].quirks_at("http://api.mistral.ai/v1")
    assert wire_id("call_1", quirks.call_ids).isalnum()
    assert quirks.names == frozenset()
    assert ALL["openai"].quirks_at("http://localhost/v1").call_ids is None
    assert at([], base_url="http://api.mistral.ai/v1").known_quirks.names == frozenset()


def test_names_go_where_servers_take_them():
    talk = [
        AIMessage("a", name="Bot"),
        HumanMessage("b", name="李"),
        HumanMessage("c", name="x" * 65),
        called({"args": {}, "id": "c1"}),
        ToolMessage("1", tool_call_id="c1", name="look"),
    ]
    names = [each.get("name") for each in messages(*talk)]
    assert names == [None, None, "x" * 64, None, None]
    quirks = Quirks(names={"assistant", "tool"})
    names = [each.get("name") for each in messages(*talk, quirks=quirks)]
    assert names == ["Bot", None, None, None, "look"]


@pytest.mark.parametrize(
    ("name", "goes"), [("my tool!", "my_tool_"), ("", "unknown"), ("mcp.look", "mcp_look")]
)
def test_a_call_of_a_tool_that_nobody_knows_has_a_name_that_servers_take(name, goes):
    said, *_ = messages(AIMessage("", invalid_tool_calls=[{**BROKEN, "name": name}]))
    assert said["tool_calls"][0]["function"]["name"] == goes


def test_a_call_of_a_known_tool_keeps_its_name():
    tool = {"type": "function", "function": {"name": "mcp.look", "parameters": {}}}
    model = at(["ok"]).bind_tools([tool])
    model.invoke([HumanMessage("hi"), calling("mcp.look"), ToolMessage("1", tool_call_id="c0")])
    assert sent()["messages"][1]["tool_calls"][0]["function"]["name"] == "mcp.look"


def test_a_server_that_takes_more_stop_sequences_gets_them():
    stops = [*"123456"]
    at(["ok"], quirks=Quirks(stop="kept", max_stops=5)).invoke("hi", stop=stops)
    assert sent()["stop"] == stops[:5]


def test_an_agent_goes_on_where_a_server_wants_its_own_back():
    """As Gemini 3, DeepSeek and Kimi refuse what is missing."""
    details = [{"type": "reasoning.encrypted", "data": "E"}]
    given = {"content": None, "reasoning_content": "", "reasoning_details": details}

    def play(received):
        said = [each for each in received.body["messages"] if each["role"] == "assistant"]
        if not said:
            call = {**CALL, **BESIDE}
            choice = {"index": 0, "message": {**given, "tool_calls": [call]}}
            return [Refuse(200, body=json.dumps({"choices": [choice]}).encode())]
        kept = all(said[0][name] == each for name, each in given.items())
        kept = kept and said[0]["tool_calls"][0] == {**CALL, **BESIDE}
        return ["done"] if kept else [Refuse(400, "missing")]

    def look(a: int) -> str:
        """Look."""
        return str(a)

    with Upstream(play) as server:
        model = at([], base_url=f"{server.url}/v1")
        agent = create_agent(model, [look], checkpointer=InMemorySaver())
        config = {"configurable": {"thread_id": "1"}}
        agent.invoke({"messages": ["hi"]}, config)
        assert agent.invoke({"messages": ["go on"]}, config)["messages"][-1].text == "done"
