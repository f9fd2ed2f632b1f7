"""What servers are sent beside text, and what comes from them beside it."""

import base64
import json

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from pydantic import BaseModel

from chatwright import ChatEndpoint, ContentError, Quirks
from chatwright.testing import Bytes, Cut, Refuse
from wires.test_answers import data
from wires.test_clients import at, chunk, raw, sent

PNG = {"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"}
INLINE = "data:image/png;base64,iVBORw0KGgo="
LINK = {"type": "image", "url": "http://x.example/a.png"}
PDF = {"type": "file", "base64": "JVBERi0=", "mime_type": "application/pdf"}
PDF_URL = "data:application/pdf;base64,JVBERi0="
BY_ID = {"type": "file", "file_id": "file_1"}
VIDEO = {"type": "video_url", "video_url": {"url": "http://x.example/a.mp4"}, "fps": 2}
MARK = {"cache_control": {"type": "ephemeral"}}


def content(*blocks, wire="openai", **fields):
    at(["ok"], wire, **fields).invoke([HumanMessage([*blocks])])
    (message,) = sent().get("messages") or sent()["input"]
    return message["content"]


def source(**fields):
    return {"type": "image", "source": fields}


# What is sent.


@pytest.mark.parametrize(
    ("block", "goes"),
    [
        (PNG, {"type": "image_url", "image_url": {"url": INLINE}}),
        (
            {"type": "image_url", "image_url": INLINE},
            {"type": "image_url", "image_url": {"url": INLINE}},
        ),
        (
            {**LINK, "extras": {"detail": "low"}, **MARK},
            {"type": "image_url", "image_url": {"url": LINK["url"], "detail": "low"}, **MARK},
        ),
        (
            {"type": "input_image", "image_url": LINK["url"], "detail": "low"},
            {"type": "image_url", "image_url": {"url": LINK["url"], "detail": "low"}},
        ),
        (
            {"type": "image", "source_type": "url", "url": "u", "metadata": {"detail": "high"}},
            {"type": "image_url", "image_url": {"url": "u", "detail": "high"}},
        ),
        (source(type="url", url="u"), {"type": "image_url", "image_url": {"url": "u"}}),
        (VIDEO, VIDEO),
        (
            {"type": "video", "base64": "AAAA", "mime_type": "video/mp4"},
            {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}},
        ),
        (
            {"type": "audio", "base64": "UklGRg==", "mime_type": "audio/x-wav"},
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        ),
        (
            {"type": "audio_url", "audio_url": {"url": "u"}},
            {"type": "audio_url", "audio_url": {"url": "u"}},
        ),
        (BY_ID, {"type": "file", "file": {"file_id": "file_1"}}),
        (
            PDF,
            {
                "type": "file",
                "file": {"filename": "file.pdf", "file_data": PDF_URL},
            },
        ),
        (
            {"type": "file", "file": {"file_data": "http://x.example/a.pdf", "filename": "a.pdf"}},
            {"type": "file", "file": {"file_data": "http://x.example/a.pdf", "filename": "a.pdf"}},
        ),
    ],
)
def test_openais_wire_takes_every_medium_in_every_form(block, goes):
    assert content(block) == [goes]


@pytest.mark.parametrize(
    ("block", "goes"),
    [
        (
            {**LINK, "extras": {"detail": "low"}},
            {"type": "input_image", "detail": "low", "image_url": LINK["url"]},
        ),
        (
            {"type": "image", "file_id": "f"},
            {"type": "input_image", "detail": "auto", "file_id": "f"},
        ),
        (BY_ID, {"type": "input_file", "file_id": "file_1"}),
        ({"type": "file", "url": "u"}, {"type": "input_file", "file_url": "u"}),
        (
            {**PDF, "extras": {"filename": "a.pdf"}},
            {
                "type": "input_file",
                "filename": "a.pdf",
                "file_data": PDF_URL,
            },
        ),
    ],
)
def test_responses_take_images_and_files(block, goes):
    assert content(block, wire="responses") == [goes]


@pytest.mark.parametrize(
    ("block", "goes"),
    [
        (BY_ID, {"type": "document", "source": {"type": "file", "file_id": "file_1"}}),
        (source(type="file", file_id="f"), source(type="file", file_id="f")),
        (
            {"type": "file", "base64": "JVBERi0="},
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
            },
        ),
        (
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "Rain."},
                "title": "T",
                "citations": {"enabled": True},
                **MARK,
            },
            ...,
        ),
    ],
)
def test_anthropics_wire_takes_images_and_documents(block, goes):
    assert content(block, wire="anthropic") == [block if goes is ... else goes]


def test_ollama_takes_images_in_base64_only():
    content({"type": "text", "text": "hi"}, PNG, wire="ollama")
    assert sent()["messages"][0]["images"] == [PNG["base64"]]
    with pytest.raises(ContentError, match="takes images as base64 only"):
        content(LINK, wire="ollama")


@pytest.mark.parametrize(
    ("wire", "block"),
    [
        ("anthropic", {"type": "audio", "base64": "AA", "mime_type": "audio/wav"}),
        ("responses", VIDEO),
        ("ollama", PDF),
    ],
)
@pytest.mark.parametrize("inputs", [None, {"audio", "file", "image", "video"}])
def test_what_a_wire_has_no_form_for_is_refused_whatever_the_quirks_say(wire, block, inputs):
    with pytest.raises(ContentError, match="does not take"):
        content(block, wire=wire, quirks=Quirks(inputs=inputs))


@pytest.mark.parametrize("wire", ["openai", "anthropic", "responses", "ollama"])
def test_no_inputs_means_none_in_results_of_tools_too(wire):
    none = Quirks(inputs=[])
    call = AIMessage("", tool_calls=[{"name": "look", "args": {}, "id": "c1"}])
    for talk in ([HumanMessage([PNG])], ["hi", call, ToolMessage([PNG], tool_call_id="c1")]):
        with pytest.raises(ContentError, match="does not take 'image' content"):
            at(["ok"], wire, quirks=none).invoke(talk)


@pytest.mark.parametrize("block", [{"type": "image"}, {"type": "file", "filename": "a"}])
def test_a_medium_that_is_nowhere_is_refused(block):
    with pytest.raises(ContentError, match="without any of base64, file_id, url"):
        content(block)


def test_data_that_nothing_says_the_type_of_is_refused():
    with pytest.raises(ContentError, match="has no mime_type"):
        content({"type": "audio", "base64": "AAAA"})


def test_text_in_base64_is_text():
    text = {"type": "text-plain", "base64": "UmFpbi4=", "mime_type": "text/plain"}
    assert content(text) == "Rain."


def described(body, message):
    """Make a model of a server that is described, and read images."""
    request = {"body": body, "message": message}
    wire = {"request": request, "response": {"framing": "json", "text": "text"}}
    quirks = Quirks(inputs={"image"})
    return ChatEndpoint(base_url="http://x.example", model="m", wire=wire, quirks=quirks)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"talk": "${messages}"}, {"what": "${text}"}),
        ({"ask": "${prompt}"}, {"what": "${content}"}),
        ({"talk": "${messages}", "ask": "${last}"}, {"what": "${content}"}),
    ],
)
def test_a_description_without_a_place_for_images_refuses_them(body, message):
    with pytest.raises(ContentError, match="has no place for 'image' content"):
        described(body, message).explain([HumanMessage([PNG])])
    described(body, message).explain("hi")


def test_a_description_carries_what_its_quirks_say():
    shown = described({"talk": "${messages}"}, {"what": "${content}"}).explain(
        [HumanMessage([PNG])]
    )
    image = {"type": "image_url", "image_url": {"url": INLINE}}
    assert shown["body"] == {"talk": [{"what": [image]}]}


def test_a_profile_claims_nothing_that_is_not_known():
    def profile(base_url="http://localhost/v1", **fields):
        return ChatEndpoint(base_url=base_url, model="m", **fields).profile

    assert not [name for name in profile() if name in {"image_inputs", "pdf_inputs"}]
    known = profile(quirks=Quirks(inputs={"image"}))
    assert (known["image_inputs"], known["audio_inputs"]) == (True, False)
    known = profile("https://api.deepseek.com/v1")
    assert (known["image_inputs"], known["pdf_inputs"]) == (True, False)


CALLS = AIMessage(
    "", tool_calls=[{"name": "look", "args": {}, "id": each} for each in ("c1", "c2")]
)
RESULTS = [
    ToolMessage([{"type": "text", "text": "This:"}, PNG], tool_call_id="c1"),
    ToolMessage([PNG], tool_call_id="c2"),
]


@pytest.mark.parametrize("merge", [False, True])
def test_images_of_tools_stand_in_a_users_message_behind_all_results(merge):
    talk = [HumanMessage("hi"), CALLS, *RESULTS, HumanMessage("and?")]
    at(["ok"], quirks=Quirks(merge=merge)).invoke(talk)
    _, _, one, two, *users = sent()["messages"]
    assert one["content"] == "This:"
    assert two["content"] == "The result is attached to the next message."
    image = {"type": "image_url", "image_url": {"url": INLINE}}
    said = []
    for call in ("c1", "c2"):
        text = f"Attached to the result of the tool call {call}:"
        said += [{"type": "text", "text": text}, image]
    if merge:
        assert users == [{"role": "user", "content": [*said, {"type": "text", "text": "and?"}]}]
    else:
        assert users == [{"role": "user", "content": said}, {"role": "user", "content": "and?"}]
    at(["ok"]).invoke(talk[:-1])
    assert sent()["messages"][-1] == {"role": "user", "content": said}


def test_other_wires_have_the_images_of_tools_in_their_results():
    at(["ok"], "responses").invoke(["hi", CALLS, *RESULTS])
    image = {"type": "input_image", "detail": "auto", "image_url": INLINE}
    outputs = [each["output"] for each in sent()["input"] if "output" in each]
    assert outputs == [[{"type": "input_text", "text": "This:"}, image], [image]]
    at(["ok"], "anthropic").invoke(["hi", CALLS, *RESULTS])
    results = sent()["messages"][-1]["content"]
    assert [each["content"][-1]["type"] for each in results] == ["image", "image"]


def test_marks_of_calls_and_of_results_reach_anthropics_wire():
    use = {"type": "tool_use", "id": "c1", "name": "look", "input": {}, **MARK}
    result = {"type": "tool_result", "tool_use_id": "c1", "content": "rain", **MARK}
    at(["ok"], "anthropic").invoke(["hi", AIMessage([use]), HumanMessage([result])])
    _, said, told = sent()["messages"]
    assert said["content"] == [use]
    text = {"type": "text", "text": "rain"}
    assert told["content"] == [{**result, "content": [text]}]
    marked = ToolMessage([{**text, **MARK}], tool_call_id="c1")
    at(["ok"], "anthropic").invoke(["hi", AIMessage([use]), marked])
    assert sent()["messages"][-1]["content"] == [{**result, "content": [text]}]


# What comes.


def both(message, *events):
    """Return an answer of OpenAI's wire whole, and streamed."""
    whole = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    script = [Refuse(200, body=json.dumps(whole).encode())]
    yield at(script, quirks=Quirks(stream=False)).invoke("x")
    yield raw(*events, chunk({}, "stop")).invoke("x")


CITED = {"url": "http://x.example", "title": "X", "start_index": 0, "end_index": 2}
CITATION = {"type": "citation", **CITED}


def annotations(answer):
    return [
        cited
        for each in answer.content_blocks
        if each["type"] == "text"
        for cited in each.get("annotations", ())
    ]


def test_citations_stand_on_the_text_once():
    given = {"type": "url_citation", "url_citation": CITED}
    message = {"content": "Rain.", "annotations": [given]}
    events = [chunk({"annotations": [given]}), chunk({"content": "Ra"})]
    events += [chunk({"content": "in.", "annotations": [given]})]
    for answer in both(message, *events):
        assert answer.text == "Rain."
        assert annotations(answer) == [CITATION]


def test_what_is_told_of_an_answer_is_kept():
    beside = {
        "citations": ["http://x.example"],
        "search_results": [{"title": "X"}],
        "provider": "P",
        "model": "other",
    }
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "cost": 0.5, "cost_details": {"a": 1}}
    whole = {
        "choices": [{"message": {"content": "Rain."}, "finish_reason": "stop"}],
        "usage": usage,
        **beside,
    }
    events = [{**chunk({"content": "Rain."}), **beside}, {**chunk({}, "stop"), "usage": usage}]
    streamed = data(*({**each, **beside} for each in events))
    for body, stream in ((json.dumps(whole).encode(), False), (streamed, True)):
        script = [Bytes(body), Cut(politely=True)] if stream else [Refuse(200, body=body)]
        told = at(script, quirks=Quirks(stream=stream)).invoke("x").response_metadata
        assert told["model_name"] in {"other", "m"}
        wanted = {**beside, "cost": 0.5, "cost_details": {"a": 1}}
        wanted = {name: each for name, each in wanted.items() if name != "model"}
        if not stream:
            assert {name: told.get(name) for name in wanted} == wanted
        assert told["cost"] == 0.5


def test_sources_above_an_answer_are_its_citations_where_it_has_no_others():
    sources = {
        "citations": ["http://x.example", "http://y.example"],
        "search_results": [{"title": "X", "url": "http://x.example"}],
    }
    whole = {
        "choices": [{"message": {"content": "Rain[1]."}, "finish_reason": "stop"}],
        **sources,
    }
    last = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
    events = [chunk({"content": "Rain"}), chunk({"content": "[1]."}), chunk({}, "stop"), last]
    streamed = data(*({**each, **sources} for each in events))
    for body, stream in ((json.dumps(whole).encode(), False), (streamed, True)):
        script = [Bytes(body), Cut(politely=True)] if stream else [Refuse(200, body=body)]
        answer = at(script, quirks=Quirks(stream=stream)).invoke("x")
        assert answer.text == "Rain[1]."
        assert annotations(answer) == [
            {"type": "citation", "url": "http://x.example", "title": "X"},
            {"type": "citation", "url": "http://y.example"},
        ]


def test_a_summary_among_the_parts_of_content_is_reasoning():
    thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Two."}]}
    parts = [thought, {"type": "text", "text": "Rain."}]
    for answer in both({"content": parts}, *(chunk({"content": [each]}) for each in parts)):
        assert answer.text == "Rain."
        assert answer.additional_kwargs["reasoning_content"] == "Two."


IMAGES = [{"type": "image_url", "image_url": {"url": INLINE}, "index": 0}]


def test_images_come_once():
    for answer in both(
        {"content": "Here.", "images": IMAGES},
        chunk({"content": "Here.", "images": IMAGES}),
        chunk({"images": IMAGES}),
    ):
        blocks = [each for each in answer.content_blocks if each["type"] == "image"]
        assert [(each["base64"], each["mime_type"]) for each in blocks] == [
            ("iVBORw0KGgo=", "image/png")
        ]


def test_speech_comes_whole_and_goes_back_in_words():
    one, two = (base64.b64encode(each).decode() for each in (b"a", b"bc"))
    whole = {"id": "a1", "data": base64.b64encode(b"abc").decode(), "transcript": "Rain."}
    for answer in both(
        {"content": None, "audio": whole},
        chunk({"audio": {"id": "a1", "transcript": "Ra"}}),
        chunk({"audio": {"data": one, "transcript": "in."}}),
        chunk({"audio": {"data": two, "expires_at": None}}),
    ):
        (block,) = answer.content_blocks
        assert (block["type"], block["base64"]) == ("audio", whole["data"])
        assert block["extras"] == {"id": "a1", "transcript": "Rain."}
        at(["ok"]).invoke(["hi", answer, "and?"])
        assert sent()["messages"][1] == {"role": "assistant", "content": "Rain."}


def test_tools_that_a_server_runs_itself_are_told():
    tool = {"index": 0, "type": "search", "arguments": "{}", "output": "rain"}
    for answer in both(
        {"content": "Rain.", "executed_tools": [tool]},
        chunk({"executed_tools": [{"index": 0, "type": "search", "arguments": "{}"}]}),
        chunk({"content": "Rain.", "executed_tools": [{"index": 0, "output": "rain"}]}),
    ):
        kinds = {each["type"]: each for each in answer.content_blocks}
        assert kinds["server_tool_call"]["name"] == "search"
        assert kinds["server_tool_result"]["output"] == "rain"


def test_parts_of_content_that_are_no_text_are_kept():
    reference = {"type": "reference", "reference_ids": [1]}
    for answer in both(
        {"content": ["Rain", reference, ".", IMAGES[0]]},
        chunk({"content": ["Rain", reference, ".", IMAGES[0]]}),
    ):
        assert answer.text == "Rain."
        assert {"type": "non_standard", "value": reference} in [
            {k: v for k, v in each.items() if k != "index"}
            for each in answer.content
            if isinstance(each, dict)
        ]
        assert "iVBORw0KGgo=" in json.dumps(answer.content)


def events(wire, whole, *parts):
    """Return an answer of a wire whole, and in events."""
    script = [Refuse(200, body=json.dumps(whole).encode())]
    yield at(script, wire, quirks=Quirks(stream=False)).invoke("x")
    yield at([Bytes(data(*parts)), Cut(politely=True)], wire).invoke("x")


SEARCH = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"q": "rain"}}
FOUND = {
    "type": "web_search_tool_result",
    "tool_use_id": "s1",
    "content": [{"type": "web_search_result", "url": "http://x.example", "encrypted_content": "E"}],
}
LOCATION = {
    "type": "web_search_result_location",
    "url": "http://x.example",
    "cited_text": "wet",
    "title": "X",
}


def block(index, start, *deltas):
    yield {"type": "content_block_start", "index": index, "content_block": start}
    for each in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": each}
    yield {"type": "content_block_stop", "index": index}


def test_anthropics_tools_and_citations_are_kept_and_go_back():
    say = [{"type": "text", "text": "I look."}, SEARCH, FOUND]
    say += [{"type": "text", "text": "So: "}]
    say += [{"type": "text", "text": "Rain.", "citations": [LOCATION]}]
    whole = {"type": "message", "content": say, "stop_reason": "end_turn", "model": "m"}
    parts = [
        {"type": "message_start", "message": {"model": "m", "content": []}},
        *block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "I look."}),
        *block(
            1,
            {**SEARCH, "input": {}},
            {"type": "input_json_delta", "partial_json": '{"q": "rain"}'},
        ),
        *block(2, FOUND),
        *block(3, {"type": "text", "text": ""}, {"type": "text_delta", "text": "So: "}),
        *block(
            4,
            {"type": "text", "text": "", "citations": []},
            {"type": "citations_delta", "citation": LOCATION},
            {"type": "text_delta", "text": "Rain."},
        ),
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop"},
    ]
    for answer in events("anthropic", whole, *parts):
        assert answer.text == "I look.So: Rain."
        (cited,) = annotations(answer)
        assert cited["url"] == "http://x.example"
        assert "So: Rain."[cited["start_index"] : cited["end_index"]] == "Rain."
        kinds = {each["type"]: each for each in answer.content_blocks}
        assert kinds["server_tool_call"]["args"] == {"q": "rain"}
        assert kinds["server_tool_result"]["output"] == FOUND["content"]
        assert not answer.tool_calls
        at(["ok"], "anthropic").invoke(["hi", answer, "and?"])
        assert sent()["messages"][1]["content"] == [
            say[0],
            SEARCH,
            FOUND,
            {"type": "text", "text": "So: Rain."},
        ]


CALL = {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"query": "rain"}}


def said(text, phase, *cited):
    part = {"type": "output_text", "text": text, "annotations": [*cited]}
    more = {"id": text, "phase": phase}
    return {"type": "message", "role": "assistant", "content": [part], **more}


def test_the_tools_the_citations_and_the_phases_of_responses_are_kept_and_go_back():
    flat = {"type": "url_citation", **CITED}
    output = [said("I look.", "commentary"), CALL, said("Rain.", "final_answer", flat)]
    whole = {"object": "response", "status": "completed", "model": "m", "output": output}
    parts = [{"type": "response.created", "response": {"model": "m"}}]
    for index, item in enumerate(output):
        began = {**item, "content": []} if "content" in item else item
        parts.append({"type": "response.output_item.added", "output_index": index, "item": began})
        if "content" in item:
            delta = {"output_index": index, "content_index": 0, "delta": item["id"]}
            parts.append({"type": "response.output_text.delta", **delta})
        parts.append({"type": "response.output_item.done", "output_index": index, "item": item})
    parts.append({"type": "response.completed", "response": whole})
    for answer in events("responses", whole, *parts):
        assert answer.text == "I look.Rain."
        assert annotations(answer) == [CITATION]
        kinds = [each["type"] for each in answer.content_blocks]
        assert (kinds.count("server_tool_call"), kinds.count("server_tool_result")) == (1, 1)
        assert answer.response_metadata["phase"] == "final_answer"
        at(["ok"], "responses").invoke(["hi", answer, "and?"])
        one, call, two = sent()["input"][1:4]
        assert (one["phase"], one["content"][0]["text"]) == ("commentary", "I look.")
        assert call == CALL
        assert (two["phase"], two["content"][0]["text"]) == ("final_answer", "Rain.")


def test_an_image_that_responses_made_comes_as_an_image():
    made = {"type": "image_generation_call", "id": "ig", "status": "completed", "result": "AAAA"}
    whole = {"object": "response", "status": "completed", "output": [made]}
    for answer in events("responses", whole, {"type": "response.completed", "response": whole}):
        (image,) = [each for each in answer.content_blocks if each["type"] == "image"]
        assert (image["base64"], image["mime_type"]) == ("AAAA", "image/png")
        assert "AAAA" not in json.dumps(answer.response_metadata)


@pytest.mark.parametrize("wire", ["anthropic", "responses"])
def test_what_one_server_signed_is_not_sent_to_another_of_another_model(wire):
    if wire == "anthropic":
        thought = {"type": "thinking", "thinking": "hm", "signature": "SIGN"}
        content = [thought, {"type": "text", "text": "ok"}]
        whole = {"type": "message", "content": content, "model": "m", "stop_reason": "end_turn"}
    else:
        item = {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "SIGN"}
        whole = {"object": "response", "status": "completed", "output": [item, said("ok", None)]}
        whole["model"] = "m"
    answer = next(events(wire, whole))
    for model, base_url, goes in (
        ("m", "http://elsewhere.example/v1", True),
        ("n", "http://elsewhere.example/v1", False),
    ):
        other = ChatEndpoint(base_url=base_url, model=model, wire=wire)
        assert ("SIGN" in json.dumps(other.explain(["hi", answer, "and?"])["body"])) is goes


def test_an_id_that_comes_late_is_the_calls_own():
    first = {"index": 0, "function": {"name": "add", "arguments": '{"a"'}}
    late = {"index": 0, "id": "late", "function": {"arguments": ": 1}"}}
    model = raw(*(chunk({"tool_calls": [each]}) for each in (first, late)), chunk({}, "tool_calls"))
    (call,) = model.invoke("x").tool_calls
    assert (call["id"], call["args"]) == ("late", {"a": 1})


class City(BaseModel):
    name: str


def test_json_that_came_as_reasoning_only_is_the_answer():
    model = raw(chunk({"reasoning_content": '{"name": "Bern"}'}), chunk({}, "stop"))
    assert model.with_structured_output(City, retries=0).invoke("x") == City(name="Bern")
    assert model.bind(response_format=City).invoke("x").text == '{"name": "Bern"}'
    assert model.invoke("x").text == ""


@pytest.mark.parametrize("text", ['```json\n{"name": "Bern"}\n```', 'It is {"name": "Bern"}. Bye.'])
def test_a_schemas_answer_in_a_fence_or_in_prose_is_read(text):
    model = raw(chunk({"content": text}), chunk({}, "stop"))
    assert model.with_structured_output(City, retries=0).invoke("x") == City(name="Bern")


def test_true_names_the_only_tool():
    def tool(name):
        return {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}

    model = at(["ok"])
    choice = model.bind_tools([tool("a")], tool_choice=True).kwargs["tool_choice"]
    assert choice == {"type": "function", "function": {"name": "a"}}
    choices = [[tool("a"), tool("b")], [{"type": "web_search"}]]
    for tools in choices:
        assert model.bind_tools(tools, tool_choice=True).kwargs["tool_choice"] == "required"
