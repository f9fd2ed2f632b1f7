"""Calls that nobody listens to are answered as those that somebody listens to."""

import contextvars
import uuid

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler, get_usage_metadata_callback
from langchain_core.language_models import BaseChatModel
from langchain_core.rate_limiters import InMemoryRateLimiter

from chatwright import ChatModel, Finish, Reasoning, ToolCallDelta, Usage, chat_model
from chatwright.langchain import unheard


class Listens(BaseCallbackHandler):
    def __init__(self):
        self.heard = []

    def on_chat_model_start(self, serialized, messages, *, tags=None, metadata=None, **kwargs):
        self.heard.append((tags, metadata))


@chat_model
async def rich(messages):
    yield Reasoning("hm")
    yield "It is "
    yield f"{len(messages)}."
    yield ToolCallDelta(0, id="c", name="add", args='{"a": 1}')
    yield Usage(3, 4)
    yield Finish("tool_calls")


@chat_model
def plain(messages):
    return messages[-1].text.upper()


@pytest.fixture
def left_out(monkeypatch):
    """Count the calls for which core's work for listeners was left out."""
    counted = []
    made = unheard.unheard

    def count(*args):
        found = made(*args)
        counted.append(found is not None)
        return found

    monkeypatch.setattr("chatwright.langchain.model.unheard", count)
    return counted


def known(message):
    return message.model_dump(exclude={"id"})


@pytest.mark.parametrize("model", [rich, plain])
async def test_an_answer_is_the_same_whether_anybody_listens(model, left_out):
    config = {"callbacks": [Listens()]}
    alone = [model.invoke("hello"), await model.ainvoke("hello")]
    heard = [model.invoke("hello", config), await model.ainvoke("hello", config)]
    assert left_out == [True, True, False, False]
    assert [known(each) for each in alone] == [known(each) for each in heard]
    assert all(each.id.startswith("lc_run--") for each in alone + heard)


async def test_a_run_id_is_the_message_s(left_out):
    run_id = uuid.uuid4()
    for message in (
        plain.invoke("a", {"run_id": run_id}),
        await plain.ainvoke("a", {"run_id": run_id}),
    ):
        assert message.id.startswith(f"lc_run--{run_id}")
    assert left_out == [True, True]


def test_whoever_listens_is_told_wherever_it_is_set(left_out):
    in_config, on_model = Listens(), Listens()
    plain.invoke("a", {"callbacks": [in_config]})
    plain.model_copy(update={"callbacks": [on_model]}).invoke("a")
    plain.with_config(callbacks=[in_config]).invoke("a")
    assert (len(in_config.heard), len(on_model.heard)) == (2, 1)
    with get_usage_metadata_callback() as spent:
        rich.invoke("a")
    assert spent.usage_metadata["rich"]["total_tokens"] == 7
    assert not any(left_out)


def test_tracing_is_heard(left_out, monkeypatch):
    from langsmith import Client
    from langsmith.run_helpers import tracing_context

    seen = []
    monkeypatch.setattr(Client, "create_run", lambda self, *args, **kwargs: seen.append(args))
    monkeypatch.setattr(Client, "update_run", lambda self, *args, **kwargs: None)
    client = Client(api_url="http://127.0.0.1:9", api_key="k", auto_batch_tracing=False)

    def traced():
        with tracing_context(enabled=True, client=client):
            plain.invoke("a")

    contextvars.copy_context().run(traced)  # langsmith does not put all back
    assert seen
    assert left_out == [False]


@pytest.mark.parametrize("name", ["invoke", "generate", "generate_prompt"])
def test_code_in_the_place_of_core_s_own_is_called(name, monkeypatch, left_out):
    cores, seen = getattr(BaseChatModel, name), []

    def instead(self, *args, **kwargs):
        seen.append(name)
        return cores(self, *args, **kwargs)

    monkeypatch.setattr(BaseChatModel, name, instead)
    assert plain.invoke("a").text == "A"
    assert seen == [name]


@pytest.mark.parametrize("name", ["ainvoke", "agenerate", "agenerate_prompt"])
async def test_async_code_in_the_place_of_core_s_own_is_called(name, monkeypatch):
    cores, seen = getattr(BaseChatModel, name), []

    async def instead(self, *args, **kwargs):
        seen.append(name)
        return await cores(self, *args, **kwargs)

    monkeypatch.setattr(BaseChatModel, name, instead)
    assert (await plain.ainvoke("a")).text == "A"
    assert seen == [name]


def test_a_subclass_that_overrides_generate_is_asked(monkeypatch):
    seen = []

    class Own(type(plain)):
        def generate(self, *args, **kwargs):
            seen.append(1)
            return super().generate(*args, **kwargs)

    assert Own(function=plain.function).invoke("a").text == "A"
    assert seen == [1]


def test_runs_inside_are_children_with_tags_and_metadata_and_count(left_out):
    inner = Listens()

    @chat_model
    def outer(messages):
        yield rich.model_copy(update={"callbacks": [inner]}).invoke(messages).text

    config = {"tags": ["t"], "metadata": {"k": "v"}}
    message = outer.invoke("a", config)
    assert left_out[0]
    assert message.usage_metadata["total_tokens"] == 7
    [(tags, metadata)] = inner.heard
    assert tags == ["t"]
    assert metadata["k"] == "v"


def test_what_is_for_traces_alone_does_not_reach_the_source(left_out):
    schema = {"title": "N", "type": "object", "properties": {"n": {"type": "integer"}}}

    @chat_model
    def model(messages, response_format=None):
        return '{"n": 1}'

    assert model.with_structured_output(schema).invoke("a") == {"n": 1}
    assert left_out == [True]


def test_an_error_is_the_same(left_out):
    @chat_model
    def model(messages):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        model.invoke("a")
    assert left_out == [True]


async def chunks_of(model, config=None, **parameters):
    sync = [*model.stream("hello you", config, **parameters)]
    return sync, [each async for each in model.astream("hello you", config, **parameters)]


@pytest.mark.parametrize("model", [rich, plain])
async def test_a_stream_is_the_same_whether_anybody_listens(model):
    alone = await chunks_of(model)
    heard = await chunks_of(model, {"callbacks": [Listens()]})
    for quiet, told in zip(alone, heard, strict=True):
        assert [known(each) for each in quiet] == [known(each) for each in told]
        assert len({each.id for each in quiet}) == 1
        assert quiet[0].id.startswith("lc_run--")
        assert quiet[-1].chunk_position == "last"


@pytest.fixture
def quiet(monkeypatch):
    """Count the streams for which core's work for listeners was left out."""
    counted = []
    made = unheard.UnheardStream.of

    def count(*args, **kwargs):
        found = made(*args, **kwargs)
        counted.append(found is not None)
        return found

    monkeypatch.setattr(unheard.UnheardStream, "of", count)
    return counted


async def test_streams_that_somebody_hears_or_that_core_forms_are_core_s(quiet):
    heard = Listens()
    await chunks_of(plain)
    assert quiet == [True, True]
    await chunks_of(plain, {"callbacks": [heard]})
    await chunks_of(plain.model_copy(update={"output_version": "v1"}))
    await chunks_of(plain.model_copy(update={"disable_streaming": True}))
    assert quiet == [True, True] + [False] * 6
    assert len(heard.heard) == 2


@pytest.mark.parametrize("name", ["stream", "astream"])
async def test_code_in_the_place_of_core_s_streams_is_called(name, monkeypatch, quiet):
    cores, seen = getattr(BaseChatModel, name), []

    def instead(self, *args, **kwargs):
        seen.append(name)
        return cores(self, *args, **kwargs)

    monkeypatch.setattr(BaseChatModel, name, instead)
    await chunks_of(plain)
    assert seen == [name]
    assert quiet == [False, False]


async def test_a_stream_without_chunks_is_the_same_error(monkeypatch, quiet):
    monkeypatch.setattr(type(plain), "_stream", lambda *args, **kwargs: iter(()))
    for config in (None, {"callbacks": [Listens()]}):
        with pytest.raises(ValueError, match="No generation chunks were returned"):
            [*plain.stream("a", config)]
    assert quiet == [True, False]


async def test_a_stream_that_is_left_closes_its_source(quiet):
    closed = []

    @chat_model
    def sync(messages):
        try:
            yield "a"
            yield "b"
        finally:
            closed.append("sync")

    @chat_model
    async def other(messages):
        try:
            yield "a"
            yield "b"
        finally:
            closed.append("async")

    stream = sync.stream("x")
    next(stream)
    stream.close()
    astream = other.astream("x")
    await anext(astream)
    await astream.aclose()
    assert closed == ["sync", "async"]
    assert quiet == [True, True]


OVERRIDDEN = "_generate", "_agenerate", "_generate_with_cache", "_agenerate_with_cache"


@pytest.mark.parametrize("name", OVERRIDDEN)
@pytest.mark.parametrize("patched", ["a subclass", "Chatwright's own"])
async def test_whoever_overrides_what_core_calls_is_asked(name, patched, monkeypatch):
    counted = []
    theirs = getattr(ChatModel, name)

    def wrapped(self, *args, **kwargs):
        counted.append(name)
        return theirs(self, *args, **kwargs)

    class Plain(ChatModel):
        def reply(self, request):
            return "hello"

    monkeypatch.setattr(Plain if patched == "a subclass" else ChatModel, name, wrapped)
    model = Plain()
    if name.startswith("_a"):
        assert (await model.ainvoke("x")).content == "hello"
    else:
        assert model.invoke("x").content == "hello"
    assert counted


class Limits(InMemoryRateLimiter):
    taken = 0

    def acquire(self, *, blocking=True):
        self.taken += 1
        return True

    async def aacquire(self, *, blocking=True):
        return self.acquire()


class Empty(InMemoryCache):
    def __len__(self):
        return 0


def test_whoever_converts_the_input_is_asked():
    class Converts(ChatModel):
        def reply(self, request):
            return request.messages[-1].text

        def _convert_input(self, model_input):
            return super()._convert_input(f"{model_input}!")

    assert Converts().invoke("x").text == "x!"
    assert "".join(each.text for each in Converts().stream("x")) == "x!"


async def test_caches_and_rate_limits_hold_where_nobody_listens():
    asked = []

    class Counts(ChatModel):
        def reply(self, request):
            asked.append(request)
            return "hello"

    limits = Limits()
    model = Counts(rate_limiter=limits)
    model.invoke("x")
    await model.ainvoke("x")
    assert limits.taken == 2
    cached = Counts(cache=InMemoryCache(), cache_key="counts")
    asked.clear()
    for _ in range(2):
        cached.invoke("x")
        await cached.ainvoke("x")
    assert len(asked) == 1
    empty = Counts(cache=Empty(), cache_key="empty")
    asked.clear()
    for _ in range(2):
        empty.invoke("x")
    assert len(asked) == 1
    model.bind(stream=True).invoke("x")
    assert asked[-1].streamed
    Counts(disable_streaming=True).invoke("x")
    assert not asked[-1].streamed
