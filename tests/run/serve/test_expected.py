"""What clients of the original servers count on."""

import asyncio
import json

import anthropic
import ollama
import openai
import pytest
from langchain_openai import OpenAI

from chatwright import Finish, Reasoning, Refusal, Usage, chat_model
from chatwright.cli.serve import _named
from chatwright.langchain.validation import SchemaCheck
from chatwright.run.serve.limits import Limits
from chatwright.wires.framing import json_bytes

HI = [{"role": "user", "content": "hi"}]
APART = "a\x85b\u2028c\u2029d"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY}}


@chat_model
def echo(messages, *, temperature: float = 0.0):
    yield Reasoning("Hm. ")
    yield messages[-1].text
    yield Usage(3, 2)


@pytest.fixture
def server(serving):
    return serving(echo)


@pytest.fixture
def gpt(server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="k", max_retries=0) as made:
        yield made


@pytest.fixture
def claude(server):
    with anthropic.Anthropic(base_url=server.url, api_key="k", max_retries=0) as made:
        yield made


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/chat"])
def test_no_reader_of_lines_parts_a_line(server, path, stream):
    asked = [{"role": "user", "content": APART}]
    got = server.post(path, messages=asked, max_tokens=9, stream=stream).text
    assert not {*APART} & {*got} - {*"abcd"}
    assert "a\\u0085b\\u2028c\\u2029d" in got


def test_ollamas_own_client_reads_them(server):
    asked = [{"role": "user", "content": APART}]
    with ollama.Client(server.url) as client:
        said = [each.message.content for each in client.chat("m", asked, stream=True)]
    assert "".join(said) == APART


@pytest.mark.parametrize("stream", [False, True])
def test_half_of_a_surrogate_pair_is_no_error(server, stream):
    body = f'{{"model": "m", "stream": {json.dumps(stream)}, "messages": [{{"role": "user", '
    body += '"content": "a \\ud800 b"}]}'
    headers = {"Content-Type": "application/json"}
    got = server.client.post("/v1/chat/completions", content=body, headers=headers)
    assert got.status_code == 200
    assert "a \\ud800 b" in got.text
    assert json.loads(json_bytes("\udfff")) == "\udfff"


class TestJson:
    """An answer that was to be JSON by a schema conforms to it, or is an error."""

    @pytest.fixture
    def improves(self, serving):
        """Return a server whose model conforms when it is told what was wrong."""

        @chat_model
        def improves(messages):
            told = "does not conform" in messages[-1].text
            yield '{"city": "Bern"}' if told else "It is Bern."
            yield Usage(3, 2)

        return serving(improves)

    def test_a_whole_answer_is_asked_for_again(self, improves):
        got = improves.ask(response_format=FORMAT).json()
        assert json.loads(got["choices"][0]["message"]["content"]) == {"city": "Bern"}
        assert got["usage"]["completion_tokens"] == 4

    @pytest.mark.parametrize("wanted", [FORMAT, {"type": "json_object"}], ids=lambda x: x["type"])
    def test_a_whole_answer_that_never_conforms_is_an_error(self, serving, wanted, caplog):
        got = serving(chat_model(lambda messages: '{"city": "Bern" or so}')).ask(
            response_format=wanted
        )
        assert got.status_code == 502
        assert "does not conform" in got.json()["error"]["message"]
        assert "does not conform" in caplog.text
        assert "Bern" not in caplog.text

    def test_the_log_does_not_tell_what_was_wrong_in_it(self, serving, caplog):
        got = serving(chat_model(lambda messages: '{"city": 42}')).ask(response_format=FORMAT)
        assert "42 is not of type" in got.json()["error"]["message"]
        assert "42" not in caplog.text

    def test_a_stream_that_does_not_conform_ends_by_an_error(self, improves):
        got = improves.ask(response_format=FORMAT, stream=True).text
        assert "does not conform" in got
        assert '"finish_reason": "stop"' not in got
        assert got.endswith("data: [DONE]\n\n")

    @pytest.mark.parametrize("path", ["/api/chat", "/v1/responses"])
    def test_on_the_other_wires_too(self, serving, path):
        server = serving(chat_model(lambda messages: "It is Bern."))
        named = {"type": "json_schema", "name": "city", "schema": CITY}
        more = {"format": CITY, "messages": HI, "stream": False}
        if path == "/v1/responses":
            more = {"text": {"format": named}, "input": "hi"}
        assert server.post(path, **more).status_code == 502

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_refusal_is_none_of_it(self, serving, stream):
        @chat_model
        def refuses(messages):
            yield Refusal("No.")

        got = serving(refuses).ask(response_format=FORMAT, stream=stream)
        assert got.status_code == 200
        assert '"refusal": "No."' in got.text
        assert "does not conform" not in got.text

    def test_nor_is_an_answer_that_was_cut(self, serving):
        @chat_model
        def cut(messages):
            yield '{"city": "Be'
            yield Finish("length")

        choice = serving(cut).ask(response_format=FORMAT).json()["choices"][0]
        assert choice["finish_reason"] == "length"


class TestReasoning:
    """Reasoning comes where a client has asked for it, on the wires on which clients ask."""

    @pytest.mark.parametrize("thinking", [None, {"type": "disabled"}])
    @pytest.mark.parametrize("stream", [False, True])
    def test_messages_have_none_unasked(self, server, thinking, stream):
        more = {"thinking": thinking} if thinking else {}
        got = server.post("/v1/messages", messages=HI, max_tokens=9, stream=stream, **more)
        assert "Hm. " not in got.text

    def test_they_have_it_where_it_is_enabled(self, claude):
        thinking = {"type": "enabled", "budget_tokens": 1024}
        made = claude.messages.create(model="m", messages=HI, max_tokens=2048, thinking=thinking)
        assert [each.type for each in made.content] == ["thinking", "text"]

    @pytest.mark.parametrize(("think", "shown"), [(False, False), (True, True), (None, True)])
    def test_ollamas_think(self, server, think, shown):
        got = server.post("/api/chat", messages=HI, think=think, stream=False).json()
        assert (got["message"].get("thinking") == "Hm. ") is shown


@pytest.mark.parametrize(
    ("keep_alive", "told"), [(0, "unload"), ("0s", "unload"), ("10m", "load"), (None, "load")]
)
@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_a_request_that_asks_nothing_loads_or_unloads(server, path, keep_alive, told):
    got = server.post(path, keep_alive=keep_alive, stream=False).json()
    assert got["done_reason"] == told


class TestSeveralPrompts:
    def test_each_has_its_answers(self, gpt):
        made = gpt.completions.create(model="m", prompt=["one", "two"], n=2)
        told = [(each.index, each.text) for each in made.choices]
        assert told == [(0, "one"), (1, "one"), (2, "two"), (3, "two")]
        assert (made.usage.prompt_tokens, made.usage.completion_tokens) == (6, 8)

    def test_streamed(self, gpt):
        said = {}
        for chunk in gpt.completions.create(model="m", prompt=["one", "two"], stream=True):
            for each in chunk.choices:
                said[each.index] = said.get(each.index, "") + each.text
        assert said == {0: "one", 1: "two"}

    def test_langchains_batches(self, server):
        llm = OpenAI(model="m", base_url=f"{server.url}/v1", api_key="k")
        made = llm.generate(["one", "two", "three"])
        assert [each[0].text for each in made.generations] == ["one", "two", "three"]

    def test_some_are_made_at_once(self, serving):
        running = []

        @chat_model
        async def busy(messages):
            running.append(running[-1] + 1 if running else 1)
            await asyncio.sleep(0.05)
            yield "x"
            running.append(running[-1] - 1)

        got = serving(busy).post("/v1/completions", prompt=["x"] * 20, n=2).json()
        assert len(got["choices"]) == 40
        assert max(running) == 8

    @pytest.mark.parametrize("prompts", [[], ["x"] * 33])
    def test_no_more_than_some(self, server, prompts):
        got = server.post("/v1/completions", prompt=prompts)
        assert got.status_code == 400
        assert "up to 32" in got.json()["error"]["message"]


class TestRequestIds:
    def test_anthropics_client_knows_its_requests(self, claude):
        made = claude.messages.create(model="m", messages=HI, max_tokens=9)
        assert made._request_id.startswith("req_")
        with pytest.raises(anthropic.NotFoundError) as raised:
            claude.messages.create(model="nobody", messages=HI, max_tokens=9)
        assert raised.value.request_id == raised.value.body["request_id"]

    def test_openais_does_too(self, gpt):
        made = gpt.chat.completions.create(model="m", messages=HI)
        assert made._request_id.startswith("req_")

    def test_counting_tokens_fails_in_its_own_form(self, server):
        got = server.post("/v1/messages/count_tokens", messages=HI)
        assert got.status_code == 404
        assert got.json()["type"] == "error"
        assert got.json()["request_id"] == got.headers["request-id"]


@pytest.mark.parametrize(
    ("told", "name", "model"),
    [
        ("acme/echo-7b=models:echo", "acme/echo-7b", "models:echo"),
        ("llama3.2:3b=models:echo", "llama3.2:3b", "models:echo"),
        ("my model=a.toml", "my model", "a.toml"),
        ("models:echo", "echo", "models:echo"),
        ("http://127.0.0.1:9/v1?x=y#m", "m", "http://127.0.0.1:9/v1?x=y#m"),
        ("near=http://127.0.0.1:9/v1?x=y#m", "near", "http://127.0.0.1:9/v1?x=y#m"),
        ("folder/acme.toml", "acme", "folder/acme.toml"),
    ],
)
def test_names_of_models(told, name, model):
    assert _named(told) == (name, model)


def test_a_file_with_an_equals_sign_is_a_file(tmp_path):
    path = tmp_path / "a=b.toml"
    path.touch()
    assert _named(f"{path}") == ("a=b", f"{path}")


def test_a_call_that_was_cut_is_not_made_again_in_the_same_stream(serving):
    tries = []

    @chat_model
    def cut_once(messages):
        tries.append(messages)
        yield '<tool_call>{"name": "look", "arguments": {"word": "a'
        if len(tries) > 1:
            yield '"}}</tool_call>'
        else:
            yield Finish("length")

    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    got = serving(cut_once).ask(tools=[tool], tool_choice="required", stream=True).text
    chunks = [json.loads(each[6:]) for each in got.split("\n\n") if each.startswith("data: {")]
    choices = [choice for each in chunks for choice in each["choices"]]
    calls = [call for each in choices for call in each["delta"].get("tool_calls", ())]
    assert {call["index"] for call in calls} == {0}
    assert choices[-1]["finish_reason"] == "length"
    assert len(tries) == 1


class TestSchemas:
    """A schema that can't be honoured is refused before the model is asked; nothing is fetched."""

    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize(
        ("schema", "said"),
        [
            ({"type": "nope"}, "malformed at $.type"),
            ({"type": "object", "properties": {"a": {"$ref": "#/$defs/x"}}}, "not in the schema"),
            ({"properties": {"a": {"pattern": "("}}}, "'(' is not a 'regex'"),
            ([1], "it has to be an object"),
        ],
    )
    def test_what_is_wrong_is_told(self, server, schema, said, stream):
        wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        got = server.ask(response_format=wanted, stream=stream)
        assert got.status_code == 400
        assert said in got.json()["error"]["message"]

    def test_nothing_is_fetched(self, server, httpserver):
        httpserver.expect_request("/x.json").respond_with_json({})
        schema = {"$ref": httpserver.url_for("/x.json")}
        wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        assert server.ask(response_format=wanted).status_code == 400
        assert not SchemaCheck(schema).conforms("{}")
        assert httpserver.log == []

    def test_the_root_may_be_a_list_where_the_wire_has_that(self, serving):
        server = serving(chat_model(lambda messages: "[1]"))
        asked = {"messages": HI, "stream": False, "format": {"type": "array"}}
        assert server.post("/api/chat", **asked).json()["message"]["content"] == "[1]"


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/chat/completions", {"messages": HI, "max_completion_tokens": 11}),
        ("/v1/completions", {"prompt": "hi", "max_tokens": 11}),
        ("/v1/responses", {"input": "hi", "max_output_tokens": 11}),
        ("/v1/messages", {"messages": HI, "max_tokens": 11}),
        ("/api/chat", {"messages": HI, "options": {"num_predict": 11}}),
    ],
)
def test_no_more_tokens_are_asked_for_than_the_server_allows(serving, path, asked):
    server = serving(echo, limits=Limits(tokens=10))
    got = server.post(path, **asked)
    assert got.status_code == 400
    assert "max_tokens: 10 are the limit" in got.text
