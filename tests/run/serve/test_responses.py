"""OpenAI's Responses by real clients; each event and body by Open Responses' own document."""

import json
import logging

import openai
import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from chatwright import Finish, ParameterError, Reasoning, Refusal, ToolCallDelta, Usage, chat_model
from chatwright.run.serve.kept import KeptResponses, Owner
from chatwright.run.serve.keys import add_key
from chatwright.run.serve.limits import Limits
from chatwright.wires.responses import compact
from chatwright.wires.responses.server import Writer
from run.serve.obliging import obliging
from run.serve.schemas import valid, valid_event

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "name": "look", "description": "Looks.", "parameters": SCHEMA}
OTHER = {**TOOL, "name": "other"}


class City(BaseModel):
    city: str


@pytest.fixture(autouse=True)
def told(monkeypatch):
    """What the server has told, each of it valid: the kinds of events, and of bodies."""
    kinds = []
    encode, whole, summary = Writer.encode, Writer.whole, compact.Writer.whole

    def event(payload):
        kinds.append(payload["type"])
        return encode(valid_event(payload))

    def body(writer):
        kinds.append("response")
        return valid(whole(writer), "ResponseResource")

    def compacted(writer):
        kinds.append("response.compaction")
        return valid(summary(writer), "CompactResource")

    monkeypatch.setattr(Writer, "encode", staticmethod(event))
    monkeypatch.setattr(Writer, "whole", body)
    monkeypatch.setattr(compact.Writer, "whole", compacted)
    return kinds


@pytest.fixture
def model():
    return obliging()


@pytest.fixture
def server(serving, model):
    return serving(model)


@pytest.fixture
def gpt(server):
    with client(server) as made:
        yield made.responses


def client(server, key="none"):
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0)


def refused(answer, status=400):
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    valid({"param": None, **error}, "ErrorPayload")
    return error


class TestCreate:
    def test_whole(self, gpt, told):
        made = gpt.create(model="m", input="hi")
        thought, message = made.output
        assert made.output_text == "You said: hi"
        assert (thought.summary[0].text, message.status) == ("Hm. ", "completed")
        assert (made.usage.input_tokens, made.usage.output_tokens) == (7, 5)
        assert (made.status, made.model, told) == ("completed", "m", [*told[:-1], "response"])

    def test_it_tells_the_request_again(self, gpt):
        given = {
            "instructions": "Be brief.",
            "max_output_tokens": 50,
            "metadata": {"a": "b"},
            "parallel_tool_calls": False,
            "reasoning": {"effort": "low", "summary": "auto"},
            "store": False,
            "temperature": 0.5,
            "text": {"format": {"type": "text"}, "verbosity": "low"},
            "tool_choice": "none",
            "top_p": 0.25,
            "truncation": "auto",
        }
        made = gpt.create(model="m", input="hi", tools=[TOOL], **given).model_dump()
        for name, value in given.items():
            assert (
                {**made[name], **value} == made[name]
                if name == "reasoning"
                else (made[name] == value)
            )
        assert {**made["tools"][0], **TOOL} == made["tools"][0]

    def test_it_tells_what_holds_where_a_request_says_nothing(self, gpt):
        made = gpt.create(model="m", input="hi")
        assert (made.tool_choice, made.tools, made.store, made.truncation) == (
            *("auto", [], True, "disabled"),
        )
        assert (made.temperature, made.instructions, made.metadata) == (1.0, None, {})

    def test_streamed(self, gpt):
        events = [*gpt.create(model="m", input="a b c", stream=True)]
        last = events[-1].response
        assert [each.sequence_number for each in events] == [*range(len(events))]
        assert [each.type for each in events[:2]] == ["response.created", "response.in_progress"]
        deltas = [each.delta for each in events if each.type == "response.output_text.delta"]
        assert "".join(deltas) == last.output_text == "You said: a b c"
        assert len(deltas) == 5
        (done,) = [each for each in events if each.type == "response.output_text.done"]
        assert done.text == last.output_text
        ended = [each.item for each in events if each.type == "response.output_item.done"]
        assert ended == last.output
        names = {each.id for each in last.output}
        assert {each.item_id for each in events if hasattr(each, "item_id")} == names
        assert {each.response.id for each in events if hasattr(each, "response")} == {last.id}

    def test_streamed_by_the_clients_helper(self, gpt):
        with gpt.stream(model="m", input="hi", tools=[TOOL], text_format=City) as stream:
            assert stream.get_final_response().output_parsed == City(city="Zürich")

    def test_parsed(self, gpt, model):
        made = gpt.parse(model="m", input="hi", text_format=City)
        assert made.output_parsed == City(city="Zürich")
        assert model.seen[-1].response_format["json_schema"]["name"] == "City"

    def test_any_json(self, gpt, model):
        gpt.create(model="m", input="hi", text={"format": {"type": "json_object"}})
        assert model.seen[-1].response_format == {"type": "json_object"}

    def test_what_was_cut_is_incomplete(self, serving):
        @chat_model
        def cut(messages):
            yield "Half of"
            yield Finish("length")

        server = serving(cut)
        made = server.post("/v1/responses", input="hi").json()
        assert (made["status"], made["completed_at"]) == ("incomplete", None)
        assert made["incomplete_details"] == {"reason": "max_output_tokens"}
        assert made["output"][0]["status"] == "incomplete"
        streamed = events(server.post("/v1/responses", input="hi", stream=True))
        assert streamed[-1]["type"] == "response.incomplete"

    def test_a_refusal(self, serving):
        @chat_model
        def refusing(messages):
            yield Refusal("I won't.")

        (item,) = serving(refusing).post("/v1/responses", input="hi").json()["output"]
        assert item["content"] == [{"type": "refusal", "refusal": "I won't."}]

    def test_a_phase_that_the_model_tells(self, serving):
        @chat_model
        def phased(messages):
            yield "Done."
            yield Finish("stop", {"phase": "final_answer"})

        (item,) = serving(phased).post("/v1/responses", input="hi").json()["output"]
        assert item["phase"] == "final_answer"

    @pytest.mark.parametrize("pieces", [[], ["Hel", "lo"]])
    def test_a_failure_in_a_stream_ends_it_by_an_event(self, serving, pieces):
        @chat_model
        def failing(messages):
            yield from pieces
            raise ParameterError("too hot")

        answer = serving(failing).post("/v1/responses", input="hi", stream=True)
        if not pieces:
            assert "too hot" in refused(answer)["message"]
            return
        last = events(answer)[-1]
        assert last["type"] == "response.failed"
        assert last["response"]["status"] == "failed"
        assert "too hot" in last["response"]["error"]["message"]


def events(answer):
    assert answer.headers["content-type"].startswith("text/event-stream")
    *lines, end = [each for each in answer.text.splitlines() if each.startswith("data: ")]
    assert end == "data: [DONE]"
    return [json.loads(each.removeprefix("data: ")) for each in lines]


class TestTools:
    @pytest.mark.parametrize("by_id", [True, False])
    def test_the_whole_loop(self, gpt, model, by_id):
        made = gpt.create(model="m", input="Where?", tools=[TOOL])
        call = made.output[-1]
        assert (call.type, call.name, json.loads(call.arguments)) == (
            *("function_call", "look", {"city": "Zürich"}),
        )
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "By the lake."}
        if by_id:
            going_on = {"input": [result], "previous_response_id": made.id}
        else:
            said = [each.model_dump() for each in made.output]
            going_on = {"input": [{"role": "user", "content": "Where?"}, *said, result]}
        assert gpt.create(model="m", tools=[TOOL], **going_on).output_text == (
            "The tool says: By the lake."
        )
        asked, answered, tool = model.seen[-1].messages
        assert (asked.text, answered.text) == ("Where?", "Let me look. ")
        assert [each["id"] for each in answered.tool_calls] == [tool.tool_call_id]

    def test_a_call_is_streamed(self, gpt):
        seen = [*gpt.create(model="m", input="Where?", tools=[TOOL], stream=True)]
        pieces = [e.delta for e in seen if e.type == "response.function_call_arguments.delta"]
        (done,) = [e for e in seen if e.type == "response.function_call_arguments.done"]
        call = seen[-1].response.output[-1]
        assert "".join(pieces) == done.arguments == call.arguments
        assert done.item_id == call.id

    def test_calls_side_by_side_have_ids_of_their_own(self, serving):
        @chat_model
        def calling(messages, tools=None):
            yield ToolCallDelta(0, None, "look", {"city": "a"})
            yield ToolCallDelta(1, None, "look", {"city": "b"})

        made = serving(calling).post("/v1/responses", input="hi", tools=[TOOL]).json()["output"]
        assert len({each["call_id"] for each in made}) == len({each["id"] for each in made}) == 2
        assert all(each["call_id"] for each in made)

    def test_tools_that_a_server_would_run_are_left_out_and_told(self, gpt, caplog):
        with caplog.at_level(logging.INFO, "chatwright.serve"):
            tools = [
                *({"type": "web_search"}, {"type": "namespace", "name": "x", "tools": []}, TOOL),
                {"type": "custom", "name": "patch"},
            ]
            made = gpt.create(model="m", input="hi", tools=tools)
        assert [each.name for each in made.tools] == ["look"]
        for each in ("tools.0 (web_search)", "tools.1 (namespace)", "tools.3 (custom)"):
            assert each in caplog.text

    def test_a_choice(self, gpt, model):
        choice = {"type": "function", "name": "other"}
        made = gpt.create(model="m", input="hi", tools=[TOOL, OTHER], tool_choice=choice)
        assert model.seen[-1].tool_choice == {"type": "function", "function": {"name": "other"}}
        assert made.tool_choice.model_dump() == choice

    def test_tools_that_are_not_allowed_are_kept_from_the_model(self, gpt, model):
        choice = {"type": "allowed_tools", "mode": "required", "tools": [named("other")]}
        made = gpt.create(model="m", input="hi", tools=[TOOL, OTHER], tool_choice=choice)
        (tool,) = model.seen[-1].tools
        assert (tool["function"]["name"], model.seen[-1].tool_choice) == ("other", "required")
        assert [each.name for each in made.tools] == ["look", "other"]
        assert made.tool_choice.model_dump() == choice


def named(name):
    return {"type": "function", "name": name}


USER = {"role": "user", "content": "hi"}
ORPHAN = {"type": "function_call_output", "call_id": "c9", "output": "x"}
REFUSED = {
    "background": {"background": True},
    "conversation": {"conversation": "conv_1"},
    "prompt": {"prompt": {"id": "pmpt_1"}},
    "top_logprobs": {"top_logprobs": 3},
    "include": {"include": ["message.output_text.logprobs"]},
    "item_reference": {"input": [{"type": "item_reference", "id": "msg_1"}]},
    "input.1.type": {"input": [USER, {"type": "thing"}]},
    "input.0.call_id": {"input": [ORPHAN]},
    "input.0.content": {"input": [{"role": "user", "content": ["x"]}]},
    "input.0.content.0.type": {"input": [{"role": "user", "content": [{"type": "input_smell"}]}]},
    "input.0.role": {"input": [{"role": "robot", "content": "x"}]},
    "input.0.phase": {"input": [{"role": "assistant", "content": "x", "phase": "x"}]},
    "input: Field required": {"input": None},
    "tools.0.name": {"tools": [{"type": "function"}]},
    "tools.0.type": {"tools": [{"name": "x"}]},
    "tool_choice": {"tools": [TOOL], "tool_choice": {"type": "web_search"}},
    "tool_choice.tools": {
        "tools": [TOOL],
        "tool_choice": {"type": "allowed_tools", "tools": [named("none")]},
    },
    "text.format": {"text": {"format": {"type": "json_schema"}}},
    "temperature": {"temperature": 3},
    "previous_response_id": {"previous_response_id": 3},
    "encrypted_content": {"input": [{"type": "compaction", "encrypted_content": "gAAA"}]},
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", REFUSED)
def test_what_cant_be_honoured_is_refused_by_name(server, name, stream):
    body = {"input": "hi", "stream": stream, **REFUSED[name]}
    assert name in refused(server.post("/v1/responses", **body))["message"]


def test_records_of_tools_that_others_ran_are_left_out_and_told(server, model, caplog):
    items = [{"type": "web_search_call", "id": "ws_1"}, {"type": "mcp_list_tools"}, USER]
    with caplog.at_level(logging.INFO, "chatwright.serve"):
        assert server.post("/v1/responses", input=items).status_code == 200
    assert [each.text for each in model.seen[-1].messages] == ["hi"]
    assert "input.0 (web_search_call)" in caplog.text
    assert "input.1 (mcp_list_tools)" in caplog.text


class TestKept:
    def test_a_conversation_goes_on_from_a_response(self, gpt, model):
        name = None
        for n in range(3):
            made = gpt.create(
                model="m", input=f"{n}", previous_response_id=name, instructions=f"rule {n}"
            )
            assert made.previous_response_id == name
            name = made.id
        assert [each.text for each in model.seen[-1].messages] == [
            *("rule 2", "0", "You said: 0", "1", "You said: 1", "2"),
        ]

    def test_a_streamed_one_is_kept_too(self, gpt):
        *_, last = gpt.create(model="m", input="hi", stream=True)
        assert gpt.retrieve(last.response.id) == last.response

    def test_what_is_not_to_be_stored_is_not(self, server, gpt):
        made = gpt.create(model="m", input="hi", store=False)
        body = {"input": "more", "previous_response_id": made.id}
        error = refused(server.post("/v1/responses", **body))
        assert (error["code"], error["param"]) == (
            *("previous_response_not_found", "previous_response_id"),
        )
        assert refused(server.client.get(f"/v1/responses/{made.id}"), 404)

    def test_a_kept_one_is_deleted(self, server, gpt):
        made = gpt.create(model="m", input="hi")
        assert server.client.delete(f"/v1/responses/{made.id}").json()["deleted"] is True
        with pytest.raises(openai.NotFoundError):
            gpt.retrieve(made.id)
        with pytest.raises(openai.NotFoundError):
            gpt.delete(made.id)

    def test_a_kept_one_comes_whole(self, server, gpt):
        made = gpt.create(model="m", input="hi")
        refused(server.client.get(f"/v1/responses/{made.id}?stream=true"))

    def test_its_input_comes_in_pages(self, gpt, server):
        said = [{"role": "user", "content": f"{n}"} for n in range(5)]
        made = gpt.create(model="m", input=[*said, {"role": "assistant", "content": "x"}])
        listed = [*gpt.input_items.list(made.id, limit=2, order="asc")]
        assert [each.content[0].text for each in listed] == ["0", "1", "2", "3", "4", "x"]
        assert [*gpt.input_items.list(made.id)] == listed[::-1]
        for each in listed:
            valid(each.model_dump(exclude_none=True), "ItemField")
        for query in ("limit=0", "limit=x", "order=up", "after=none"):
            refused(server.client.get(f"/v1/responses/{made.id}/input_items?{query}"))

    def test_it_is_nobody_elses(self, serving, tmp_path, model):
        path = tmp_path / "keys.json"
        ann, bob = (add_key(path, name) for name in ("ann", "bob"))
        server = serving(model, api_keys=path)
        with client(server, ann) as hers, client(server, bob) as his:
            made = hers.responses.create(model="m", input="secret")
            assert hers.responses.retrieve(made.id).id == made.id
            with pytest.raises(openai.NotFoundError):
                his.responses.retrieve(made.id)
            with pytest.raises(openai.NotFoundError):
                his.responses.delete(made.id)
            with pytest.raises(openai.BadRequestError, match="not found"):
                his.responses.create(model="m", input="what?", previous_response_id=made.id)


def response(name, before=None):
    return {"id": name, "previous_response_id": before, "output": [{"said": name}]}


class TestBounds:
    ANN = Owner("ann")

    def kept(self, **limits):
        return KeptResponses(Limits(**limits))

    def test_of_number_the_one_used_longest_ago_goes(self):
        kept = self.kept(kept=2)
        for name in ("a", "b"):
            kept.keep(self.ANN, response(name), [])
        kept.conversation("a", self.ANN)
        kept.keep(self.ANN, response("c"), [])
        assert [bool(kept.find(each, self.ANN)) for each in "abc"] == [True, False, True]

    def test_of_size(self):
        kept = self.kept(kept_bytes=900)
        for name in ("a", "b", "c"):
            kept.keep(self.ANN, response(name), [{"text": "x" * 400}])
        assert [bool(kept.find(each, self.ANN)) for each in "abc"] == [False, False, True]

    def test_one_that_is_too_large_drives_none_out(self, caplog):
        kept = self.kept(kept_bytes=1000)
        kept.keep(self.ANN, response("a"), [])
        kept.keep(self.ANN, response("b"), [{"text": "x" * 2000}])
        assert kept.find("a", self.ANN)
        assert kept.find("b", self.ANN) is None
        assert "kept_bytes" in caplog.text

    def test_of_age(self):
        kept = self.kept(kept_seconds=-1)
        kept.keep(self.ANN, response("a"), [])
        assert kept.find("a", self.ANN) is None
        assert len(kept) == 0

    def test_a_conversation_that_is_not_kept_whole_is_not_gone_on_from(self):
        kept = self.kept()
        kept.keep(self.ANN, response("a"), [{"n": 1}])
        kept.keep(self.ANN, response("b", "a"), [{"n": 2}])
        assert kept.conversation("b", self.ANN) == [
            {"n": 1},
            {"said": "a"},
            {"n": 2},
            {"said": "b"},
        ]
        kept.drop("a")
        with pytest.raises(Exception, match="not found"):
            kept.conversation("b", self.ANN)


class TestCompact:
    SAID = (
        {"role": "user", "content": "The word is slate."},
        {"role": "assistant", "content": "OK."},
    )

    def test_a_summary_takes_the_place_of_a_conversation(self, gpt, server, model, told):
        made = gpt.compact(model="m", input=[*self.SAID])
        assert told == ["response.compaction"]
        assert [each.text for each in model.seen[-1].messages[:2]] == ["The word is slate.", "OK."]
        assert "Summarize" in model.seen[-1].messages[-1].text
        (item,) = made.output
        assert (item.type, made.usage.input_tokens) == ("compaction", 7)
        gpt.create(model="m", input=[item.model_dump(exclude_none=True), USER])
        summary, asked = model.seen[-1].messages
        assert summary.text.startswith("Summary of the conversation so far:\n\nYou said: Summarize")
        assert asked.text == "hi"

    def test_of_a_kept_response(self, gpt, model):
        made = gpt.create(model="m", input="first")
        gpt.compact(model="m", previous_response_id=made.id)
        assert [each.text for each in model.seen[-1].messages[:2]] == ["first", "You said: first"]

    def test_what_is_missing_is_refused(self, server):
        error = refused(server.client.post("/v1/responses/compact", json={"input": "x"}))
        assert "model" in error["message"]
        refused(server.post("/v1/responses/compact"))

    @pytest.mark.parametrize("answer", [["Half", Finish("length")], ["  "]])
    def test_no_whole_summary_is_an_error(self, serving, answer):
        @chat_model
        def poor(messages):
            yield from answer
            yield Usage(1, 1)

        answer = serving(poor).post("/v1/responses/compact", input="x")
        assert "summary" in refused(answer, 500)["message"]


class TestLangChain:
    @pytest.fixture
    def chat(self, server):
        return ChatOpenAI(
            model="m",
            base_url=f"{server.url}/v1",
            api_key="none",
            use_responses_api=True,
            max_retries=0,
        )

    def test_whole_and_streamed(self, chat):
        assert chat.invoke("hi").text == "You said: hi"
        chunks = [*chat.stream("a b")]
        assert "".join(each.text for each in chunks) == "You said: a b"
        total = chunks[0]
        for each in chunks[1:]:
            total += each
        assert total.usage_metadata["total_tokens"] == 12
        assert total.response_metadata["status"] == "completed"

    def test_structured(self, chat):
        assert chat.with_structured_output(City).invoke("hi") == City(city="Zürich")

    @pytest.mark.parametrize("by_id", [True, False])
    def test_an_agent(self, chat, model, by_id):
        def look(city: str) -> str:
            """Look."""
            return f"{city} lies by the lake."

        chat.use_previous_response_id = by_id
        agent = create_agent(chat, [look])
        said = agent.invoke({"messages": [HumanMessage("Where?")]})["messages"][-1]
        assert said.text == "The tool says: Zürich lies by the lake."
        assert [each.type for each in model.seen[-1].messages] == ["human", "ai", "tool"]

    def test_a_failure_is_one(self, serving):
        @chat_model
        def failing(messages):
            yield Reasoning("Hm.")
            yield "Hel"
            raise ParameterError("too hot")

        chat = ChatOpenAI(
            model="m",
            base_url=f"{serving(failing).url}/v1",
            api_key="none",
            use_responses_api=True,
            max_retries=0,
        )
        with pytest.raises(ValueError, match="too hot"):
            list(chat.stream("hi"))
