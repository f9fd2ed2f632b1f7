"""Each call of a model is one span, and is measured: by OpenTelemetry's GenAI conventions."""

import asyncio
import gc
import json
import subprocess
import sys
import threading

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from openinference.instrumentation.langchain import LangChainInstrumentor
from openinference.instrumentation.langchain._tracer import OpenInferenceTracer
from opentelemetry import context, trace
from opentelemetry.instrumentation.langchain import LangchainInstrumentor
from opentelemetry.instrumentation.langchain.callback_handler import TraceloopCallbackHandler
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, StatusCode

from chatwright import (
    ChatEndpoint,
    ChatModel,
    Finish,
    Reasoning,
    ToolCallDelta,
    Usage,
    chat_model,
    run_batch,
)
from chatwright.errors import RateLimitError, SourceConnectionError
from chatwright.langchain import telemetry
from chatwright.langchain.conventions import CAPTURE, SECONDS, TOKENS, VERSION
from telemetry import Recorded

USAGE = Usage(12, 5, input_token_details={"cache_read": 4}, output_token_details={"reasoning": 2})


@chat_model
def words(messages):
    yield "It "
    yield "rains."
    yield USAGE
    yield Finish("stop", metadata={"id": "answer-1"})


@chat_model
async def awords(messages):
    yield "It "
    await asyncio.sleep(0)
    yield "rains."
    yield USAGE
    yield Finish("stop", metadata={"id": "answer-1"})


async def drained(stream):
    return [each async for each in stream]


async def _v3(model):
    return await drained(await model.astream_events("Hi", version="v3"))


def _batch(model):
    return model.batch(["Hi"])


WAYS = {
    "invoke": lambda model: model.invoke("Hi"),
    "stream": lambda model: [*model.stream("Hi")],
    "batch": _batch,
    "ainvoke": lambda model: asyncio.run(model.ainvoke("Hi")),
    "abatch": lambda model: asyncio.run(model.abatch(["Hi"])),
    "astream": lambda model: asyncio.run(drained(model.astream("Hi"))),
    "events v2": lambda model: asyncio.run(drained(model.astream_events("Hi", version="v2"))),
    "events v3": lambda model: asyncio.run(_v3(model)),
    "sync events v3": lambda model: [*model.stream_events("Hi", version="v3")],
    "in a chain": lambda model: (RunnableLambda(lambda text: text) | model).invoke("Hi"),
}
STREAMED = {"stream", "astream", "events v2", "events v3", "sync events v3"}


@pytest.mark.parametrize("model", [words, awords], ids=["sync", "async"])
@pytest.mark.parametrize("way", WAYS)
def test_a_call_is_one_span_in_every_way_of_asking(recorded, way, model):
    with recorded.tracers.get_tracer("app").start_as_current_span("app") as outer:
        WAYS[way](model)
    span, _ = recorded.spans
    assert span.name == f"chat {model.model_name}"
    assert span.kind is SpanKind.CLIENT
    assert span.parent.span_id == outer.get_span_context().span_id
    assert span.status.status_code is StatusCode.UNSET
    told = dict(span.attributes)
    assert told.pop("gen_ai.request.stream", False) == (way in STREAMED)
    assert (told.pop("gen_ai.response.time_to_first_chunk", 0) > 0) == (way in STREAMED)
    assert told == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "chatwright",
        "gen_ai.request.model": model.model_name,
        "gen_ai.response.model": model.model_name,
        "gen_ai.response.id": "answer-1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.reasoning.output_tokens": 2,
    }
    (scope,) = {each.instrumentation_scope for each in recorded.spans[:1]}
    assert (scope.name, scope.schema_url) == (
        "chatwright",
        f"https://opentelemetry.io/schemas/{VERSION}",
    )


@pytest.mark.parametrize("way", WAYS)
def test_a_call_is_measured_once(recorded, way):
    WAYS[way](words)
    measured = recorded.metrics
    (duration,) = measured["gen_ai.client.operation.duration"]
    assert (duration.count, duration.explicit_bounds) == (1, SECONDS)
    assert dict(duration.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "chatwright",
        "gen_ai.request.model": "words",
        "gen_ai.response.model": "words",
    }
    tokens = measured["gen_ai.client.token.usage"]
    assert {tuple(each.explicit_bounds) for each in tokens} == {TOKENS}
    assert recorded.tokens() == (12, 5)
    first = measured.get("gen_ai.client.operation.time_to_first_chunk", ())
    later = measured.get("gen_ai.client.operation.time_per_output_chunk", ())
    streamed = int(way in STREAMED)
    assert ([each.count for each in first], [each.count for each in later]) == (
        ([1], [1]) if streamed else ([], [])
    )


def test_a_call_says_what_was_asked_for(recorded):
    model = chat_model(lambda messages: "a", model_name="small", temperature=0.5, seed=7)
    config = {"configurable": {"session_id": "talk-1"}}
    model.bind(max_tokens=9, top_p=0.25).invoke("Hi", config, stop=["x"], temperature=1)
    told = recorded.span.attributes
    assert {key: each for key, each in told.items() if key.startswith("gen_ai.request.")} == {
        "gen_ai.request.model": "small",
        "gen_ai.request.temperature": 1.0,
        "gen_ai.request.seed": 7,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.top_p": 0.25,
        "gen_ai.request.stop_sequences": ("x",),
    }
    assert told["gen_ai.conversation.id"] == "talk-1"
    assert recorded.span.name == "chat small"


def test_a_model_of_another_make_has_its_own_provider_and_settings(recorded):
    from langchain_openai import ChatOpenAI

    inner = ChatOpenAI(
        model="gpt-4o",
        api_key="sk-1",
        base_url="http://127.0.0.1:9",
        temperature=0.25,
        max_retries=0,
    )
    with pytest.raises(Exception, match="onnect"):
        chat_model(inner).invoke("Hi")
    assert dict(recorded.span.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.temperature": 0.25,
        "error.type": "OpenAIConnectionError",
    }
    assert "sk-1" not in recorded.span.to_json()


def test_an_endpoint_says_where_it_is_and_not_how_to_get_in(recorded):
    model = ChatEndpoint("http://me:pass@127.0.0.1:9/v1?key=pass", max_retries=0, api_key="sk-1")
    with pytest.raises(SourceConnectionError):
        model.invoke("Hi")
    told = recorded.span.attributes
    assert (told["server.address"], told["server.port"]) == ("127.0.0.1", 9)
    assert "sk-1" not in recorded.span.to_json()
    assert "pass" not in recorded.span.to_json()


@pytest.mark.parametrize("way", ["sync", "async"])
def test_each_row_of_a_batch_is_a_span(recorded, tmp_path, way):
    rows = [{"text": str(number)} for number in range(20)]
    model = words if way == "sync" else awords
    run_batch(model, rows, tmp_path / "out.jsonl", prompt="{text}")
    assert [each.name for each in recorded.spans] == [f"chat {model.model_name}"] * 20
    assert recorded.tokens() == (240, 100)


def test_the_sampler_knows_the_model(recorded):
    seen = []

    class Sampler:
        def should_sample(self, context, trace_id, name, kind, attributes, *_, **__):
            from opentelemetry.sdk.trace.sampling import Decision, SamplingResult

            seen.append((name, dict(attributes)))
            return SamplingResult(Decision.DROP)

        def get_description(self):
            return "none"

    recorded.tracers = TracerProvider(sampler=Sampler())
    assert words.invoke("Hi").text == "It rains."
    (name, told), *_ = seen
    assert (name, told["gen_ai.request.model"]) == ("chat words", "words")
    assert recorded.metrics["gen_ai.client.operation.duration"]  # counted all the same


# What a source calls.


def current():
    return trace.get_current_span().get_span_context().span_id


@chat_model
def looks(messages):
    yield str(current())


@chat_model
async def alooks(messages):
    yield str(current())


@pytest.mark.parametrize("model", [looks, alooks], ids=["sync", "async"])
@pytest.mark.parametrize("way", ["invoke", "stream", "ainvoke", "astream"])
def test_what_a_source_does_is_inside_of_the_span(recorded, way, model):
    before = current()
    answer = WAYS[way](model)
    text = answer.text if isinstance(answer, AIMessage) else "".join(e.text for e in answer)
    assert text == str(recorded.span.get_span_context().span_id)
    assert current() == before


def test_between_two_chunks_the_reader_is_not_inside(recorded):
    seen = {current() for _ in words.stream("Hi")}
    assert seen == {0}


def test_concurrent_streams_keep_apart(recorded):
    async def both():
        return await asyncio.gather(drained(awords.astream("a")), drained(awords.astream("b")))

    asyncio.run(both())
    one, other = recorded.spans
    assert one.parent is other.parent is None
    assert one.context.trace_id != other.context.trace_id


def test_tokens_of_models_inside_of_a_model_are_counted_once(recorded):
    inner = chat_model(lambda messages: iter(["x", Usage(3, 4)]), model_name="inner")
    outer = chat_model(inner | (lambda message: message.text), model_name="outer")
    outer.invoke("Hi")
    inside, outside = recorded.spans
    assert (inside.name, outside.name) == ("chat inner", "chat outer")
    assert inside.parent.span_id == outside.context.span_id
    assert outside.attributes["gen_ai.usage.input_tokens"] == 3
    assert recorded.tokens() == (3, 4)


def test_what_only_the_outer_model_knows_of_is_counted_there(recorded):
    inner = chat_model(lambda messages: iter(["x", Usage(3, 4)]), model_name="inner")

    @chat_model
    def outer(messages):
        yield inner.invoke(messages).text
        yield Usage(10, 5)

    outer.invoke("Hi")
    assert recorded.tokens() == (10, 5)


# How it ends.


@pytest.mark.parametrize("model", [words, awords], ids=["sync", "async"])
def test_a_stream_that_is_left_ends_its_span(recorded, model):
    stream = model.stream("Hi")
    next(stream)
    assert recorded.spans == ()
    stream.close()
    assert recorded.span.status.status_code is StatusCode.UNSET
    assert "error.type" not in recorded.span.attributes
    assert "gen_ai.usage.input_tokens" not in recorded.span.attributes
    (duration,) = recorded.metrics["gen_ai.client.operation.duration"]
    assert duration.count == 1


def test_an_async_stream_that_is_left_ends_its_span(recorded):
    async def leave():
        stream = awords.astream("Hi")
        await anext(stream)
        await stream.aclose()

    asyncio.run(leave())
    assert recorded.span.status.status_code is StatusCode.UNSET


def test_a_stream_that_is_forgotten_ends_its_span(recorded):
    for _ in words.stream("Hi"):
        break
    gc.collect()
    assert recorded.span


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
def test_a_call_that_is_cancelled_ends_its_span_by_that(recorded, way):
    begun = asyncio.Event()

    @chat_model
    async def waits(messages):
        yield "a"
        begun.set()
        await asyncio.sleep(60)

    async def cancel():
        call = waits.ainvoke("Hi") if way == "ainvoke" else drained(waits.astream("Hi"))
        task = asyncio.ensure_future(call)
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert recorded.span.attributes["error.type"] == "CancelledError"
    assert recorded.span.status.status_code is StatusCode.ERROR


@pytest.mark.parametrize("way", WAYS)
def test_a_call_that_fails_says_how_and_quotes_nothing(recorded, way):
    @chat_model
    def fails(messages):
        yield "It "
        raise RateLimitError(f"too much of {messages[-1].text}")

    with pytest.raises(RateLimitError):
        WAYS[way](fails)
    span = recorded.span
    assert span.attributes["error.type"] == "RateLimitError"
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert not span.events
    (duration,) = recorded.metrics["gen_ai.client.operation.duration"]
    assert duration.attributes["error.type"] == "RateLimitError"


def test_what_the_cache_answers_is_no_call(recorded):
    model = words.model_copy(update={"cache": InMemoryCache()})
    assert model.invoke("Hi").text == model.invoke("Hi").text
    assert recorded.span


def test_asking_a_source_again_is_the_same_call(recorded):
    told = iter(["I won't.", '<tool_call>{"name": "add", "arguments": {}}</tool_call>'])
    model = chat_model(lambda messages: next(told), model_name="learns")
    answer = model.bind_tools([TOOL], tool_choice="add").invoke("Hi")
    assert answer.tool_calls[0]["name"] == "add"
    assert recorded.span.attributes["chatwright.attempts"] == 2


# Content.

TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds.",
        "parameters": {"type": "object", "properties": {}},
    },
}
TALK = [
    SystemMessage("Be kind."),
    HumanMessage(
        [
            {"type": "text", "text": "What is this?"},
            {"type": "image", "base64": "aGVsbG8=", "mime_type": "image/png"},
            {"type": "image", "url": "https://example.com/a.png"},
        ]
    ),
    AIMessage("", tool_calls=[{"id": "1", "name": "add", "args": {"a": 1}}]),
    ToolMessage("2", tool_call_id="1"),
]


class Rich(ChatModel):
    def capabilities(self):
        from chatwright import Capabilities

        return Capabilities(tools=True, inputs=frozenset({"image"}))

    def reply(self, request):
        yield Reasoning("hm")
        yield "It is "
        yield "two."
        yield ToolCallDelta(0, id="2", name="add", args='{"a": 2}')
        yield Usage(3, 4)


@pytest.mark.parametrize("way", ["invoke", "stream"])
@pytest.mark.parametrize("asked", ["true", "SPAN_ONLY", "span_and_event"])
def test_content_is_recorded_where_it_is_asked_for(recorded, monkeypatch, way, asked):
    monkeypatch.setenv(CAPTURE, asked)
    model = Rich().bind_tools([TOOL])
    model.invoke(TALK) if way == "invoke" else [*model.stream(TALK)]
    told = recorded.span.attributes
    assert json.loads(told["gen_ai.input.messages"]) == [
        {"role": "system", "parts": [{"type": "text", "content": "Be kind."}]},
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": "What is this?"},
                {
                    "type": "blob",
                    "modality": "image",
                    "mime_type": "image/png",
                    "content": "",
                    "left_out": 8,
                },
                {"type": "uri", "modality": "image", "uri": "https://example.com/a.png"},
            ],
        },
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "1", "name": "add", "arguments": {"a": 1}}],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "response": "2"}]},
    ]
    assert json.loads(told["gen_ai.output.messages"]) == [
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "hm"},
                {"type": "text", "content": "It is two."},
                {"type": "tool_call", "id": "2", "name": "add", "arguments": {"a": 2}},
            ],
            "finish_reason": "tool_calls",
        }
    ]
    assert json.loads(told["gen_ai.tool.definitions"]) == [{"type": "function", **TOOL["function"]}]


@pytest.mark.parametrize("asked", [None, "", "false", "no_content", "event_only", "NO_CONTENT"])
def test_no_content_is_recorded_otherwise(recorded, monkeypatch, asked):
    if asked is not None:
        monkeypatch.setenv(CAPTURE, asked)
    Rich(api_key="secret-key").bind_tools([TOOL]).invoke(TALK)
    told = recorded.span.to_json() + str(recorded.reader.get_metrics_data())
    for content in ("Be kind", "What is this", "example.com", "It is", "hm", "Adds", "secret-key"):
        assert f'"{content}' not in told and f" {content}" not in told


def test_no_secret_is_recorded_with_the_content(recorded, monkeypatch):
    monkeypatch.setenv(CAPTURE, "true")
    Rich(api_key="secret-key").invoke(TALK)
    assert "secret-key" not in recorded.span.to_json()


def test_content_that_can_not_be_told_spoils_no_call(recorded, monkeypatch, caplog):
    monkeypatch.setenv(CAPTURE, "true")
    monkeypatch.setattr(telemetry, "said", lambda *_: 1 / 0)
    assert words.invoke("Hi").text == "It rains."
    assert recorded.span
    assert "is not in its span" in caplog.text


def test_a_failure_is_quoted_with_the_content(recorded, monkeypatch):
    monkeypatch.setenv(CAPTURE, "true")

    @chat_model
    def fails(messages):
        raise ValueError(f"what is {messages[-1].text}?")

    with pytest.raises(ValueError):
        fails.invoke("Hi")
    assert recorded.span.status.description == "what is Hi?"
    assert "gen_ai.output.messages" not in recorded.span.attributes


# Never twice.


@pytest.fixture
def openinference(recorded):
    made = LangChainInstrumentor()
    made.instrument(tracer_provider=recorded.tracers, skip_dep_check=True)
    yield
    made.uninstrument()


@pytest.fixture
def traceloop(recorded, monkeypatch):
    from langchain_core.callbacks import BaseCallbackManager

    monkeypatch.setattr(BaseCallbackManager, "__init__", BaseCallbackManager.__init__)
    made = LangchainInstrumentor(disable_trace_context_propagation=True)
    monkeypatch.setattr(made, "_wrap_langgraph_components", lambda tracer: None)
    made.instrument(
        tracer_provider=recorded.tracers, meter_provider=recorded.meters, skip_dep_check=True
    )
    yield
    made._is_instrumented_by_opentelemetry = False


def scopes(recorded):
    return {each.instrumentation_scope.name for each in recorded.spans}


@pytest.mark.parametrize("way", WAYS)
def test_openinference_makes_the_spans_where_it_is_active(recorded, openinference, way):
    WAYS[way](words)
    assert scopes(recorded) == {"openinference.instrumentation.langchain"}
    assert "gen_ai.client.operation.duration" not in recorded.metrics


@pytest.mark.parametrize("way", WAYS)
def test_traceloop_makes_the_spans_where_it_is_active(recorded, traceloop, way):
    WAYS[way](words)
    assert scopes(recorded) == {"opentelemetry.instrumentation.langchain"}
    assert recorded.metrics.keys() <= {
        "gen_ai.client.operation.duration",
        "gen_ai.client.token.usage",
    }
    assert recorded.tokens() == (12, 5)


def test_a_handler_that_makes_spans_silences_what_is_inside_too(recorded):
    inner = chat_model(lambda messages: "x", model_name="inner")
    outer = chat_model(inner | (lambda message: message.text), model_name="outer")
    for handler in (
        TraceloopCallbackHandler(recorded.tracers.get_tracer("theirs"), *[Histogram()] * 2),
        OpenInferenceTracer(recorded.tracers.get_tracer("theirs"), False),
    ):
        outer.invoke("Hi", {"callbacks": [handler]})
        [*outer.stream("Hi", {"callbacks": [handler]})]
    assert scopes(recorded) == {"theirs"}


class Histogram:
    def record(self, *args, **kwargs):
        pass


def test_langsmiths_own_spans_silence_ours(recorded):
    from langchain_core.callbacks import BaseCallbackHandler

    class Client:
        otel_exporter = None

    class Tracer(BaseCallbackHandler):
        client = Client()

    words.invoke("Hi", {"callbacks": [Tracer()]})
    assert len(recorded.spans) == 1
    Client.otel_exporter = object()
    words.invoke("Hi", {"callbacks": [Tracer()]})
    assert len(recorded.spans) == 1


def test_other_handlers_silence_nothing(recorded):
    from langchain_core.callbacks import get_usage_metadata_callback

    with get_usage_metadata_callback():
        words.invoke("Hi")
    assert recorded.span


# Off.


def test_it_can_be_switched_off_for_a_while(recorded):
    with suppress_instrumentation():
        words.invoke("Hi")
    token = context.attach(context.set_value(telemetry.SUPPRESSED, True))
    words.invoke("Hi")
    context.detach(token)
    assert recorded.spans == ()
    assert recorded.metrics == {}


def test_the_sdk_can_be_switched_off(recorded, monkeypatch):
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    disabled = Recorded()
    recorded.tracers, recorded.meters = disabled.tracers, disabled.meters
    words.invoke("Hi")
    assert telemetry.instruments() is None
    assert disabled.spans == ()


def test_an_api_that_is_too_old_spoils_no_call(recorded, monkeypatch, caplog):
    meter = type(recorded.meters.get_meter("any"))
    monkeypatch.setattr(meter, "create_histogram", lambda self, name, unit="", description="": None)
    assert words.invoke("Hi").text == words.invoke("Hi").text
    assert recorded.spans == ()
    assert caplog.text.count("older than 1.30") == 1


def test_without_an_sdk_a_call_is_not_watched():
    assert trace.get_tracer_provider().__class__.__name__ == "ProxyTracerProvider"
    assert telemetry.instruments() is None


def test_only_spans_or_only_metrics_are_enough(recorded, monkeypatch):
    from opentelemetry import metrics

    meters = metrics.NoOpMeterProvider()
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: meters)
    words.invoke("Hi")
    assert recorded.span
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: recorded.meters)
    tracers = trace.NoOpTracerProvider()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: tracers)
    words.invoke("Hi")
    assert len(recorded.spans) == 1
    assert recorded.metrics["gen_ai.client.operation.duration"]


WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(name)

import chatwright
assert not [each for each in sys.modules if each.startswith("opentelemetry")]
sys.meta_path.insert(0, Absent())
from chatwright import chat_model

model = chat_model(lambda messages: "a")
assert model.invoke("Hi").text == "a"
assert "".join(each.text for each in model.stream("Hi")) == "a"
assert not [each for each in sys.modules if each.startswith("opentelemetry")]
"""


def test_nothing_is_imported_and_nothing_is_missed_where_it_is_not_installed():
    subprocess.run([sys.executable, "-c", WITHOUT], check=True, timeout=60)


def test_threads_have_the_parent_of_their_context(recorded):
    with recorded.tracers.get_tracer("app").start_as_current_span("app") as outer:
        words.batch(["a", "b", "c"], {"max_concurrency": 3})
    own = outer.get_span_context().span_id
    assert [each.parent.span_id for each in recorded.spans[:3]] == [own] * 3
    thread = threading.Thread(target=words.invoke, args=("Hi",))
    thread.start()
    thread.join()
    assert recorded.spans[-1].parent is None
