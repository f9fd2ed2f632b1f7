"""A request is a span in its client's trace, and the model's span is inside of it."""

import asyncio

import httpx2
import pytest
from opentelemetry import trace
from opentelemetry.propagate import inject
from opentelemetry.trace import SpanKind, StatusCode

from chatwright import chat_model
from waiting import soon

ASKED = {"model": "m", "messages": [{"role": "user", "content": "What is a secret?"}]}


def by_kind(recorded):
    return {each.kind: each for each in recorded.spans}


def ended(recorded, count):
    """Wait for so many spans: the server's may end after the client has its answer."""
    assert soon(lambda: len(recorded.spans) >= count)
    return by_kind(recorded)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", ASKED),
        ("/v1/messages", {**ASKED, "max_tokens": 50}),
        ("/api/chat", ASKED),
        ("/v1/responses", {"model": "m", "input": "What is a secret?"}),
    ],
)
def test_a_request_is_a_span_between_its_clients_and_the_models(
    recorded, serving, path, body, stream
):
    server = serving()
    with recorded.tracers.get_tracer("app").start_as_current_span("client") as client:
        headers = {}
        inject(headers)
        answer = server.client.post(
            f"{path}?key=sk-1", json={**body, "stream": stream}, headers=headers
        )
        assert answer.status_code == 200
        answer.read()
    spans = ended(recorded, 3)
    request, model = spans[SpanKind.SERVER], spans[SpanKind.CLIENT]
    assert request.parent.span_id == client.get_span_context().span_id
    assert model.parent.span_id == request.context.span_id
    assert request.name == f"POST {path}"
    told = dict(request.attributes)
    assert told.pop("user_agent.original").startswith("python-httpx2")
    assert told == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": path,
        "url.path": path,
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "server.address": "127.0.0.1",
        "server.port": int(server.url.rpartition(":")[2]),
        "client.address": "127.0.0.1",
    }
    assert request.status.status_code is StatusCode.UNSET
    assert model.attributes.get("gen_ai.request.stream", False) is stream
    everything = "".join(each.to_json() for each in recorded.spans)
    assert "secret" not in everything
    assert "sk-1" not in everything


def test_a_request_without_a_trace_begins_one(recorded, serving):
    serving().ask()
    spans = ended(recorded, 2)
    assert spans[SpanKind.SERVER].parent is None
    assert spans[SpanKind.CLIENT].parent.span_id == spans[SpanKind.SERVER].context.span_id


def test_a_streams_span_lasts_until_its_end(recorded, serving):
    @chat_model
    async def slow(messages):
        yield "a"
        await asyncio.sleep(0.3)
        yield "b"

    server = serving(slow)
    with server.client.stream("POST", "/v1/chat/completions", json={**ASKED, "stream": True}) as it:
        for _ in it.iter_lines():
            pass
    span = ended(recorded, 2)[SpanKind.SERVER]
    assert (span.end_time - span.start_time) / 1e9 >= 0.3


def test_a_client_that_goes_away_ends_both_spans(recorded, serving):
    @chat_model
    async def endless(messages):
        while True:
            yield "a "
            await asyncio.sleep(0.01)

    server = serving(endless)
    with server.client.stream("POST", "/v1/chat/completions", json={**ASKED, "stream": True}) as it:
        next(it.iter_lines())
    spans = ended(recorded, 2)
    assert spans[SpanKind.CLIENT].parent.span_id == spans[SpanKind.SERVER].context.span_id
    assert "http.response.status_code" in spans[SpanKind.SERVER].attributes


def test_failures_and_unknown_paths(recorded, serving):
    @chat_model
    def fails(messages):
        raise RuntimeError("a secret")

    server = serving(fails)
    assert server.ask().status_code == 500
    spans = ended(recorded, 2)
    request, model = spans[SpanKind.SERVER], spans[SpanKind.CLIENT]
    assert (request.attributes["error.type"], request.status.status_code) == (
        "500",
        StatusCode.ERROR,
    )
    assert model.attributes["error.type"] == "RuntimeError"
    recorded.exporter.clear()
    server.client.get("/no/such/path")
    server.post("/v1/chat/completions", model="none")
    ended(recorded, 2)
    assert {each.name for each in recorded.spans} == {"GET", "POST /v1/chat/completions"}
    assert {each.status.status_code for each in recorded.spans} == {StatusCode.UNSET}


def test_paths_with_parameters_have_one_name(recorded, serving):
    server = serving()
    server.client.get("/v1/models/m")
    (span,) = ended(recorded, 1).values()
    assert span.name == "GET /v1/models/{name}"
    assert span.attributes["http.route"] == "/v1/models/{name}"
    assert span.attributes["url.path"] == "/v1/models/m"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_what_is_asked_by_the_minute_is_no_span(recorded, serving, path):
    server = serving()
    server.client.get(path)
    server.client.get("/v1/models")
    ended(recorded, 1)
    assert [each.name for each in recorded.spans] == ["GET /v1/models"]


def test_one_place_measures_for_prometheus_and_opentelemetry(recorded, serving):
    server = serving()
    server.ask(stream=True)
    server.ask()
    assert soon(lambda: sum(e.count for e in points(recorded, "request.duration")) == 2)
    told = server.client.get("/metrics").text
    for name, count in (("request.duration", 2), ("time_to_first_token", 1)):
        (point,) = points(recorded, name)
        assert point.count == count
        assert dict(point.attributes) == {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "chatwright",
            "gen_ai.request.model": "m",
        }
        theirs = f"gen_ai_server_{name.replace('.', '_')}_seconds_count"
        assert (
            f'{theirs}{{gen_ai_operation_name="chat",gen_ai_request_model="m"}} {count}.0' in told
        )
    assert recorded.tokens() == (14, 10)  # of two calls: the models' own, not the server's again


def points(recorded, name):
    return recorded.metrics.get(f"gen_ai.server.{name}", ())


def test_a_failure_is_measured_as_one(recorded, serving):
    @chat_model
    def fails(messages):
        raise RuntimeError("no")

    serving(fails).ask()
    (point,) = points(recorded, "request.duration")
    assert point.attributes["error.type"] == "500"
    assert points(recorded, "time_to_first_token") == ()


async def test_an_application_that_traces_its_requests_itself_is_left_to_it(recorded):
    from chatwright import create_app

    inner = create_app({"m": chat_model(lambda messages: "a")}, hosts=None)

    async def app(scope, receive, send):
        with recorded.tracers.get_tracer("theirs").start_as_current_span(
            "theirs", kind=SpanKind.SERVER
        ):
            await inner(scope, receive, send)

    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.post("/v1/chat/completions", json=ASKED)).status_code == 200
    model, theirs = recorded.spans
    assert theirs.name == "theirs"
    assert model.parent.span_id == theirs.context.span_id


def test_concurrent_requests_keep_their_traces_apart(recorded, serving):
    server = serving()
    tracer = recorded.tracers.get_tracer("app")

    async def ask(client):
        with tracer.start_as_current_span("client") as span:
            headers = {}
            inject(headers)
            await client.post("/v1/chat/completions", json=ASKED, headers=headers)
        return span.get_span_context().trace_id

    async def ask_all():
        async with httpx2.AsyncClient(base_url=server.url, timeout=30) as client:
            return await asyncio.gather(*(ask(client) for _ in range(8)))

    traces = asyncio.run(ask_all())
    ended(recorded, 24)
    for number in traces:
        kinds = sorted(each.kind.name for each in recorded.spans if each.context.trace_id == number)
        assert kinds == ["CLIENT", "INTERNAL", "SERVER"]


def test_without_an_sdk_nothing_is_made(serving):
    assert serving().ask().status_code == 200
    assert not trace.get_current_span().is_recording()
