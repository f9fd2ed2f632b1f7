"""What the providers' own clients read of an answer, whole and in pieces."""

import contextlib
import json

import anthropic
import ollama
import openai
import pytest
from pydantic import BaseModel

from chatwright import ToolCallDelta, chat_model
from run.serve.obliging import obliging

ASKED = [{"role": "user", "content": "hi"}]
TEXT = "The cat sät on 東京."
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
FUNCTION = {"name": "look", "description": "Looks.", "parameters": SCHEMA}
TOOL = {"type": "function", "function": FUNCTION}
CLAUDES = {"name": "look", "description": "Looks.", "input_schema": SCHEMA}


@pytest.fixture
def server(serving):
    return serving()


@pytest.fixture
def gpt(server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client.chat


@pytest.fixture
def claude(server):
    with anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0) as client:
        yield client.messages


@pytest.fixture
def llama(server):
    with contextlib.closing(ollama.Client(server.url)) as client:
        yield client


class TestChatCompletions:
    def test_whole(self, gpt):
        made = gpt.completions.create(model="m", messages=ASKED, temperature=0.5, user="me")
        choice = made.choices[0]
        assert (choice.message.content, choice.finish_reason) == (TEXT, "stop")
        assert choice.message.reasoning_content == "Hm. "
        assert (made.usage.prompt_tokens, made.usage.completion_tokens) == (7, 5)
        assert made.model == "m"

    @pytest.mark.parametrize("include_usage", [True, False])
    def test_streamed(self, gpt, include_usage):
        options = {"stream_options": {"include_usage": True}} if include_usage else {}
        chunks = [*gpt.completions.create(model="m", messages=ASKED, stream=True, **options)]
        told = [each.choices[0].delta.content for each in chunks if each.choices]
        assert "".join(filter(None, told)) == TEXT
        assert len([*filter(None, told)]) == 5
        assert len({each.id for each in chunks}) == 1
        usages = [each.usage for each in chunks if each.usage]
        assert [each.completion_tokens for each in usages] == ([5] if include_usage else [])

    def test_ids_differ(self, gpt):
        made = [gpt.completions.create(model="m", messages=ASKED).id for _ in range(3)]
        assert len({*made}) == 3

    def test_stop_is_left_out(self, gpt):
        for stop in ("on", ["x", "on"]):
            made = gpt.completions.create(model="m", messages=ASKED, stop=stop)
            assert made.choices[0].message.content == "The cat sät "
            assert made.choices[0].finish_reason == "stop"

    @pytest.mark.parametrize(
        "choice", ["auto", "required", {"type": "function", "function": {"name": "look"}}]
    )
    def test_a_loop_of_tools(self, gpt, choice):
        first = gpt.completions.create(
            model="m", messages=ASKED, tools=[TOOL], tool_choice=choice, parallel_tool_calls=False
        )
        call = first.choices[0].message.tool_calls[0]
        assert (first.choices[0].finish_reason, call.function.name) == ("tool_calls", "look")
        assert json.loads(call.function.arguments) == {"city": "Zürich"}
        result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
        history = [*ASKED, first.choices[0].message.model_dump(exclude_none=True), result]
        last = gpt.completions.create(model="m", messages=history, tools=[TOOL])
        assert last.choices[0].message.content == TEXT

    def test_allowed_tools_are_the_only_ones(self, gpt):
        other = {**TOOL, "function": {**FUNCTION, "name": "other"}}
        allowed = {
            "mode": "required",
            "tools": [{"type": "function", "function": {"name": "other"}}],
        }
        made = gpt.completions.create(
            model="m",
            messages=ASKED,
            tools=[TOOL, other],
            tool_choice={"type": "allowed_tools", "allowed_tools": allowed},
        )
        assert made.choices[0].message.tool_calls[0].function.name == "other"

    def test_streamed_calls(self, gpt):
        with gpt.completions.stream(model="m", messages=ASKED, tools=[TOOL]) as stream:
            done = stream.get_final_completion().choices[0]
        assert done.finish_reason == "tool_calls"
        assert json.loads(done.message.tool_calls[0].function.arguments) == {"city": "Zürich"}

    def test_parsed(self, gpt):
        class City(BaseModel):
            city: str

        made = gpt.completions.parse(model="m", messages=ASKED, response_format=City)
        assert made.choices[0].message.parsed == City(city="Zürich")

    def test_several_answers(self, gpt):
        made = gpt.completions.create(model="m", messages=ASKED, n=3)
        assert [each.message.content for each in made.choices] == [TEXT] * 3
        assert [each.index for each in made.choices] == [0, 1, 2]
        assert (made.usage.prompt_tokens, made.usage.completion_tokens) == (7, 15)

    def test_several_answers_streamed(self, gpt):
        texts = ["", "", ""]
        usage = None
        for chunk in gpt.completions.create(
            model="m", messages=ASKED, n=3, stream=True, stream_options={"include_usage": True}
        ):
            for choice in chunk.choices:
                texts[choice.index] += choice.delta.content or ""
            usage = chunk.usage or usage
        assert texts == [TEXT] * 3
        assert usage.completion_tokens == 15

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("logprobs", True),
            ("audio", {"voice": "alloy", "format": "wav"}),
            ("n", 99),
            ("temperature", 9),
            ("tool_choice", "required"),
            ("messages", []),
            ("messages", [{"role": "wizard", "content": "x"}]),
            ("messages", [{"role": "user", "content": [{"type": "smell"}]}]),
            ("tools", [{"type": "function", "function": {}}]),
            ("tool_choice", {"type": "allowed_tools", "allowed_tools": {"mode": "auto"}}),
        ],
    )
    def test_what_can_not_be_honoured_is_refused_by_name(self, server, field, value):
        refused = server.ask(**{field: value})
        assert refused.status_code == 400
        assert field in refused.json()["error"]["message"]

    def test_an_image_for_a_model_without_eyes(self, server):
        picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
        refused = server.ask(messages=[{"role": "user", "content": [picture]}])
        assert refused.status_code == 400
        assert "image" in refused.json()["error"]["message"]

    def test_completions(self, gpt):
        text = gpt._client.completions
        made = text.create(model="m", prompt="hi", stop="on")
        assert (made.choices[0].text, made.choices[0].finish_reason) == ("The cat sät ", "stop")
        chunks = text.create(model="m", prompt="hi", stream=True)
        assert "".join(each.choices[0].text for each in chunks) == TEXT
        assert text.create(model="m", prompt="hi").usage.completion_tokens == 5

    def test_models(self, gpt):
        models = gpt._client.models
        assert [each.id for each in models.list()] == ["m"]
        assert models.retrieve("m").id == "m"
        with pytest.raises(openai.NotFoundError):
            models.retrieve("other")


@pytest.mark.parametrize("path", ["/v1/completions", "/api/generate"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_call_that_a_wire_has_no_form_for_is_an_error(serving, path, stream):
    @chat_model
    def calls(messages, tools=None):
        yield ToolCallDelta(0, "call_1", "look", "{}")

    refused = serving(calls).post(path, prompt="hi", stream=stream)
    assert refused.status_code >= 400
    assert "'look'" in refused.text


@pytest.mark.parametrize(
    ("path", "asked", "effort"),
    [
        ("/v1/chat/completions", {"messages": ASKED}, {"reasoning_effort": "none"}),
        ("/v1/responses", {"input": "hi"}, {"reasoning": {"effort": "none"}}),
        (
            "/v1/messages",
            {"messages": ASKED, "max_tokens": 9, "thinking": {"type": "adaptive"}},
            {"output_config": {"effort": "none"}},
        ),
    ],
)
def test_the_effort_of_reasoning_reaches_a_model_that_takes_it(serving, path, asked, effort):
    server = serving(obliging())
    assert "Hm. " in server.post(path, **asked).text
    assert "Hm. " not in server.post(path, **asked, **effort).text


class TestMessages:
    def test_whole(self, claude):
        asked = {"messages": ASKED, "max_tokens": 99, "system": "Be kind."}
        made = claude.create(model="m", thinking={"type": "adaptive"}, **asked)
        assert [each.type for each in made.content] == ["thinking", "text"]
        assert (made.content[1].text, made.stop_reason) == (TEXT, "end_turn")
        assert (made.usage.input_tokens, made.usage.output_tokens) == (7, 5)

    def test_streamed(self, claude):
        with claude.stream(model="m", messages=ASKED, max_tokens=99) as stream:
            assert "".join(stream.text_stream) == TEXT
            assert stream.get_final_message().usage.output_tokens == 5

    def test_the_stop_sequence_is_told(self, claude):
        made = claude.create(model="m", messages=ASKED, max_tokens=9, stop_sequences=["on"])
        assert made.content[-1].text == "The cat sät "
        assert (made.stop_reason, made.stop_sequence) == ("stop_sequence", "on")

    def test_a_loop_of_tools(self, claude):
        asked = {"model": "m", "max_tokens": 99, "tools": [CLAUDES]}
        first = claude.create(messages=ASKED, tool_choice={"type": "any"}, **asked)
        call = first.content[-1]
        assert (first.stop_reason, call.input) == ("tool_use", {"city": "Zürich"})
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
        history = [
            *ASKED,
            {"role": "assistant", "content": first.content},
            {"role": "user", "content": [result]},
        ]
        assert claude.create(messages=history, **asked).content[-1].text == TEXT

    def test_tokens_are_not_counted_without_a_tokenizer(self, claude):
        with pytest.raises(anthropic.NotFoundError, match="tokenizer"):
            claude.count_tokens(model="m", messages=ASKED)

    def test_refused(self, claude):
        with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
            claude.create(model="m", messages=ASKED, max_tokens=0)
        with pytest.raises(anthropic.NotFoundError, match="other"):
            claude.create(model="other", messages=ASKED, max_tokens=1)


class TestOllama:
    def test_whole(self, llama):
        made = llama.chat("m", ASKED, options={"temperature": 0.5, "num_predict": -1})
        assert (made.message.content, made.message.thinking) == (TEXT, "Hm. ")
        assert (made.prompt_eval_count, made.eval_count, made.done_reason) == (7, 5, "stop")
        assert made.total_duration > 0

    def test_streamed(self, llama):
        said = [*llama.chat("m", ASKED, stream=True, options={"stop": ["on"]})]
        assert "".join(each.message.content for each in said) == "The cat sät "
        assert said[-1].done

    def test_a_loop_of_tools(self, llama):
        first = llama.chat("m", ASKED, tools=[TOOL])
        assert first.message.tool_calls[0].function.arguments == {"city": "Zürich"}
        result = {"role": "tool", "tool_name": "look", "content": "sunny"}
        assert (
            llama.chat("m", [*ASKED, first.message, result], tools=[TOOL]).message.content == TEXT
        )

    def test_format(self, llama):
        for wanted in ("json", SCHEMA):
            made = llama.chat("m", ASKED, format=wanted)
            assert json.loads(made.message.content) == {"city": "Zürich"}

    @pytest.mark.parametrize("options", [{"num_predict": "x"}, {"stop": 5}, {"seed": [1]}])
    def test_options_of_another_kind(self, server, options):
        refused = server.post("/api/chat", messages=ASKED, options=options)
        assert refused.status_code == 400
        assert f"options.{next(iter(options))}" in refused.json()["error"]

    def test_generate(self, llama):
        assert llama.generate("m", "hi").response == TEXT
        assert "".join(each.response for each in llama.generate("m", "hi", stream=True)) == TEXT

    def test_a_request_that_asks_nothing_loads_the_model(self, llama):
        for answer in (llama.chat("m"), llama.generate("m"), [*llama.chat("m", stream=True)][-1]):
            assert (answer.done, answer.done_reason) == (True, "load")

    def test_listings(self, llama):
        assert [each.model for each in llama.list().models] == ["m"]
        assert "tools" in llama.show("m").capabilities
        with pytest.raises(ollama.ResponseError, match="other"):
            llama.chat("other", ASKED)


def test_a_failure_before_the_first_token_has_its_status_and_no_inside(serving):
    @chat_model
    def fails(messages):
        raise RuntimeError("/etc/secret")
        yield

    server = serving(fails)
    for path, more in (
        ("/v1/chat/completions", {}),
        ("/v1/messages", {"max_tokens": 9}),
        ("/api/chat", {}),
    ):
        for stream in (True, False):
            refused = server.post(path, messages=ASKED, stream=stream, **more)
            assert refused.status_code == 500
            assert "secret" not in refused.text
            assert "RuntimeError" in refused.text


class TestAFailureInAStream:
    @pytest.fixture
    def server(self, serving):
        @chat_model
        def breaks(messages):
            yield "half "
            raise RuntimeError("/etc/secret")

        return serving(breaks)

    def test_ends_it_in_each_wires_own_form(self, gpt, claude, llama):
        with pytest.raises(openai.APIError, match="RuntimeError"):
            [*gpt.completions.create(model="m", messages=ASKED, stream=True)]
        with pytest.raises(anthropic.APIStatusError, match="RuntimeError"):
            [*claude.create(model="m", messages=ASKED, max_tokens=9, stream=True)]
        with pytest.raises(ollama.ResponseError, match="RuntimeError"):
            [*llama.chat("m", ASKED, stream=True)]

    def test_has_the_end_mark_and_no_inside(self, server):
        raw = server.ask(stream=True).text
        assert raw.endswith("data: [DONE]\n\n")
        assert "secret" not in raw


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (TimeoutError("slow"), 504),
        (ConnectionError("gone"), 502),
        (FileNotFoundError("/etc/secret"), 500),
    ],
)
def test_a_models_own_lost_connection_is_no_lost_client(serving, error, status, stream):
    @chat_model
    async def fails(messages):
        raise error
        yield

    server = serving(fails)
    refused = server.ask(stream=stream)
    assert refused.status_code == status
    assert refused.json()["error"]["message"]
    assert "secret" not in refused.text
    assert f'outcome="{status}"' in server.client.get("/metrics").text
