"""`recorded`: what a model answers is kept, and replayed in every way of asking."""

import asyncio
import copy
import itertools
import json
import pickle
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.globals import set_llm_cache
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import ConfigurableField
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from chatwright import (
    Block,
    Capabilities,
    CassetteError,
    ChatEndpoint,
    Finish,
    InterruptedAnswerError,
    ParameterError,
    RateLimitError,
    Reasoning,
    Refusal,
    SourceConnectionError,
    SourceError,
    ToolCallDelta,
    Usage,
    chat_model,
    check,
    recorded,
)
from chatwright.testing import Pause, Raise, Refuse, ScriptedModel, Upstream
from chatwright.wrap.recording import cassette
from wrap.runnable.inner import Native, Plain, Streaming

SCRIPT = [
    Reasoning("hm"),
    Reasoning(", so"),
    "Hel",
    "lo ",
    "there",
    ToolCallDelta(0, "c1", "weather", '{"city": '),
    ToolCallDelta(0, args='"Bern"}'),
    Usage(3, 2, {"cache_read": 1}, {"reasoning": 1}),
    Finish("stop", {"note": "é\u2028"}, {"kept": [1, None]}),
]


def scripted(script=SCRIPT, **fields):
    return ScriptedModel(script=script, can=Capabilities(tools=True), **fields)


def summed(chunks):
    total, *rest = chunks
    for each in rest:
        total += each
    return total


def invoked(model, **given):
    return model.invoke("hi", **given)


def streamed(model, **given):
    return summed(model.stream("hi", **given))


def batched(model, **given):
    return model.batch(["hi"], **given)[0]


def ainvoked(model, **given):
    return asyncio.run(model.ainvoke("hi", **given))


def astreamed(model, **given):
    async def read():
        return summed([each async for each in model.astream("hi", **given)])

    return asyncio.run(read())


def abatched(model, **given):
    return asyncio.run(model.abatch(["hi"], **given))[0]


def evented(model, **given):
    return model.stream_events("hi", version="v3", **given).output


def aevented(model, **given):
    async def read():
        return await (await model.astream_events("hi", version="v3", **given)).output

    return asyncio.run(read())


FACES = [invoked, streamed, batched, ainvoked, astreamed, abatched, evented, aevented]


def told(message):
    """Return all that a message says, but for its id and its class."""
    kwargs = {k: v for k, v in message.additional_kwargs.items() if v}
    return {
        "content": message.content_blocks,
        "calls": message.tool_calls,
        "invalid": message.invalid_tool_calls,
        "usage": message.usage_metadata,
        "kwargs": kwargs,
        "metadata": {k: v for k, v in message.response_metadata.items() if k != "output_version"},
    }


@pytest.fixture
def tape(tmp_path):
    return tmp_path / "made" / "cassette.jsonl"


@pytest.mark.parametrize("runs_async", [False, True])
@pytest.mark.parametrize("ask", FACES)
def test_each_face_records_and_replays_what_the_model_says_in_it(tape, ask, runs_async):
    bare = scripted(runs_async=runs_async)
    model = scripted(runs_async=runs_async)
    live = ask(recorded(model, tape))
    again = ask(recorded(model, tape))
    assert told(live) == told(ask(bare)) == told(again)
    assert len(model.requests) == 1


@pytest.mark.parametrize("replay", FACES)
@pytest.mark.parametrize("record", [invoked, astreamed])
def test_what_one_face_records_the_others_replay(tape, record, replay):
    record(recorded(scripted(), tape))
    silent = scripted()
    assert told(replay(recorded(silent, tape, mode="none"))) == told(replay(scripted()))
    assert not silent.requests


def test_a_stream_comes_in_the_recorded_pieces(tape):
    whole = [each.text for each in recorded(scripted(), tape).stream("hi")]
    assert [each.text for each in recorded(scripted(), tape).stream("hi")] == whole
    assert whole[2:5] == ["Hel", "lo ", "there"]


def test_the_recorded_times_are_kept_and_taken_again_if_wanted(tape, monkeypatch):
    recorded(scripted(["a", Pause(0.25), "b", Usage(1, 1)]), tape).invoke("hi")
    (seconds,) = [json.loads(x)["seconds"] for x in tape.read_text().splitlines() if "seconds" in x]
    assert seconds[1] >= 0.25
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    recorded(scripted(), tape).invoke("hi")
    assert sum(slept) == 0
    recorded(scripted(), tape, timing=True).invoke("hi")
    assert slept[-len(seconds) :] == seconds


def test_an_error_takes_its_time_again_too(tape, monkeypatch):
    with pytest.raises(OSError, match="x"):
        recorded(scripted(["a", Pause(0.25), Raise(OSError("x"))]), tape).invoke("hi")
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    with pytest.raises(OSError, match="x"):
        recorded(scripted(), tape, timing=True).invoke("hi")
    assert slept[-1] >= 0.25


# Errors.


class NobodysError(Exception):
    def __init__(self, *, needed):
        super().__init__(f"needs {needed}")
        self.needed = needed


def rate_limit():
    error = RateLimitError("slow down")
    error.status, error.retry_after = 429, 2.5
    return error


@pytest.mark.parametrize("ask", FACES)
@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (rate_limit, RateLimitError),
        (lambda: ConnectionError("gone"), SourceConnectionError),
        (lambda: ZeroDivisionError("a bug"), ZeroDivisionError),
        (lambda: NobodysError(needed={1, 2}), NobodysError),
        (lambda: FileNotFoundError(2, "No such file", "x"), FileNotFoundError),
    ],
)
def test_an_error_is_raised_again_where_it_was(tape, ask, before, make, kind):
    error = make()
    script = ["a"] * before + [Raise(error)]
    for answer, mode in ((script, "once"), (SCRIPT, "none")):
        with pytest.raises(kind) as caught:
            ask(recorded(scripted(answer), tape, mode=mode))
        assert type(caught.value) is kind
        assert str(error) in str(caught.value)
        for field in ("status", "retry_after"):
            assert getattr(caught.value, field, None) == getattr(error, field, None)
        if isinstance(caught.value, SourceError):
            assert caught.value.partial_text == "a" * before


def test_what_came_before_an_error_comes_again(tape):
    for model in (scripted(["a", "b", Raise(OSError("x"))]), scripted()):
        seen = []
        with pytest.raises(OSError, match="x"):
            seen += (each.text for each in recorded(model, tape).stream("hi"))
        stream = recorded(scripted(), tape, mode="none").stream("hi")
        assert [next(stream).text, next(stream).text] == ["a", "b"]


def test_an_error_of_a_class_that_is_not_there_says_which(tape):
    with pytest.raises(NobodysError):
        recorded(scripted([Raise(NobodysError(needed=1))]), tape).invoke("hi")
    tape.write_text(tape.read_text().replace("NobodysError", "GoneError"))
    with pytest.raises(SourceError, match=r"GoneError was raised.*needs 1"):
        recorded(scripted(), tape).invoke("hi")


class FromFieldError(Exception):
    def __str__(self):
        return f"told by {self.response}"


def test_an_error_that_would_say_something_else_is_not_made(tape):
    error = FromFieldError()
    error.response = {1, 2}
    with pytest.raises(FromFieldError):
        recorded(scripted([Raise(error)]), tape).invoke("hi")
    with pytest.raises(SourceError, match=r"FromFieldError was raised.*told by \{1, 2\}"):
        recorded(scripted(), tape).invoke("hi")


def test_openais_own_errors_are_its_own_again(tape):
    import openai

    with Upstream(script=[Refuse(429, "slow down")]) as server:
        fields = {"base_url": f"{server.url}/v1", "api_key": "sk-one-two-three", "max_retries": 0}
        model = ChatOpenAI(model="m", **fields)
        for mode in ("once", "none"):
            with pytest.raises(openai.RateLimitError, match="slow down") as caught:
                recorded(model, tape, mode=mode).invoke("hi")
            assert caught.value.status_code == 429
        assert len(server.requests) == 1


# Modes.


def counted():
    """Return a model that says how often it was asked, and its count."""
    count = [0]

    @chat_model
    def counter(messages):
        count[0] += 1
        return f"{messages[-1].text} {count[0]}"

    return counter, count


def test_equal_requests_are_replayed_in_their_order(tape):
    model, count = counted()
    live = recorded(model, tape)
    assert [live.invoke("a").text for _ in range(3)] == ["a 1", "a 2", "a 3"]
    live.invoke("b")
    again = recorded(model, tape)
    assert [again.invoke(each).text for each in "abaa"] == ["a 1", "b 4", "a 2", "a 3"]
    with pytest.raises(CassetteError, match=r"holds this request 3 times.*once more.*'a'"):
        again.invoke("a")
    assert count == [4]


def test_none_never_asks(tape):
    model, count = counted()
    with pytest.raises(CassetteError, match=r"no cassette .* mode='once'"):
        recorded(model, tape, mode="none")
    recorded(model, tape).invoke("a")
    with pytest.raises(CassetteError, match="does not hold this request"):
        recorded(model, tape, mode="none").invoke("b")
    assert count == [1]


def test_once_does_not_add_to_what_was_there(tape):
    model, count = counted()
    recorded(model, tape).invoke("a")
    with pytest.raises(CassetteError):
        recorded(model, tape).invoke("b")
    assert count == [1]


def test_new_adds_what_is_not_there(tape):
    model, _ = counted()
    recorded(model, tape).invoke("a")
    more = recorded(model, tape, mode="new")
    assert [more.invoke(each).text for each in "aab"] == ["a 1", "a 2", "b 3"]
    again = recorded(model, tape, mode="none")
    assert [again.invoke(each).text for each in "aab"] == ["a 1", "a 2", "b 3"]


def test_all_asks_anew_and_keeps_what_is_not_asked(tape):
    model, _ = counted()
    for each in "aab":
        recorded(model, tape, mode="new").invoke(each)
    model, _ = counted()
    anew = recorded(model, tape, mode="all")
    assert [anew.invoke("a").text for _ in range(2)] == ["a 1", "a 2"]
    again = recorded(model, tape)
    assert [again.invoke("a").text for _ in range(2)] == ["a 1", "a 2"]
    assert again.invoke("b").text == "b 2"


def test_another_mode_is_refused(tape):
    with pytest.raises(CassetteError, match=r"mode='ones'.*none, once, new or all"):
        recorded(scripted(), tape, mode="ones")


# Requests.


@pytest.mark.parametrize(
    ("asked", "given", "differs"),
    [
        ("hello", {}, r"messages\[0\]\.content: recorded 'hi', asked 'hello'"),
        ("hi", {"temperature": 0.5}, r"temperature: recorded nothing, asked 0\.5"),
        ("hi", {"stop": ["x"]}, r"stop: recorded nothing, asked \['x'\]"),
        ("hi", {"model": "m2"}, "model: recorded 'ScriptedModel', asked 'm2'"),
        ([SystemMessage("s"), HumanMessage("hi")], {}, r"messages\[1\]: recorded nothing, asked"),
        ("hi", {"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools: recorded no"),
        ("hi", {"response_format": {"type": "json_object"}}, "response_format: recorded nothing"),
    ],
)
def test_a_request_that_is_not_there_says_what_differs(tape, asked, given, differs):
    recorded(scripted(), tape).invoke("hi")
    with pytest.raises(CassetteError, match=differs) as caught:
        recorded(scripted(), tape).invoke(asked, **given)
    assert "line 2" in str(caught.value)


def test_the_nearest_recorded_request_is_told(tape):
    live = recorded(scripted(), tape)
    for each in ("Name three rivers.", "What is the capital of France?", "Hello"):
        live.invoke(each)
    with pytest.raises(CassetteError) as caught:
        recorded(scripted(), tape).invoke("What is the capital of Spain?")
    assert "France" in str(caught.value)
    assert "rivers" not in str(caught.value)


def test_another_packages_sampling_parameters_are_compared(tape):
    with Upstream(script=["yes"]) as server:
        fields = {"base_url": f"{server.url}/v1", "api_key": "k", "model": "m"}
        recorded(ChatOpenAI(temperature=0.1, **fields), tape).invoke("hi")
        again = recorded(ChatOpenAI(temperature=0.9, **fields), tape)
        with pytest.raises(CassetteError, match=r"temperature: recorded 0\.1, asked 0\.9"):
            again.invoke("hi")
        bound = recorded(ChatOpenAI(temperature=0.1, **fields).bind(seed=1), tape)
        with pytest.raises(CassetteError, match="seed: recorded nothing, asked 1"):
            bound.invoke("hi")


def test_ids_of_calls_are_no_part_of_a_request(tape):
    def conversation(name):
        call = {"name": "f", "args": {}, "id": name, "type": "tool_call"}
        result = {"role": "tool", "content": "1", "tool_call_id": name}
        return [HumanMessage("hi"), AIMessage("", tool_calls=[call]), result]

    recorded(scripted(["a"]), tape).invoke(conversation("by-chance-1"))
    silent = scripted()
    assert recorded(silent, tape, mode="none").invoke(conversation("other")).text == "a"
    assert "by-chance" not in tape.read_text()


def test_a_parameter_that_no_model_takes_is_refused_in_a_replay_too(tape):
    recorded(scripted(), tape).invoke("hi")
    with pytest.raises(ParameterError, match="heat"):
        recorded(scripted(), tape).invoke("hi", heat=3)


def test_what_no_cassette_can_hold_is_named(tape):
    odd = Finish("stop", {"made": {"at": object()}})
    with pytest.raises(CassetteError, match=r"finish\.metadata\.made\.at is <object"):
        recorded(scripted(["a", odd]), tape).invoke("hi")
    assert not tape.exists()


# What is recorded.


def weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"Sunny in {city}."


def caller(given_id):
    """Return a model that calls a tool and says what came, and how often it was asked."""
    asked = [0]

    @chat_model
    def calls(messages, tools=None):
        asked[0] += 1
        if messages[-1].type == "tool":
            yield f"It is {messages[-1].text}"
        else:
            yield ToolCallDelta(0, given_id, "weather", '{"city": ')
            yield ToolCallDelta(0, args='"Bern"}')

    return calls, asked


@pytest.mark.parametrize("given_id", [None, "c1"])
@pytest.mark.parametrize("is_async", [False, True])
def test_an_agent_on_a_recorded_model(tape, given_id, is_async):
    model, asked = caller(given_id)

    def answer(mode):
        agent = create_agent(recorded(model, tape, mode=mode), [weather])
        asking = {"messages": [HumanMessage("Bern?")]}
        done = asyncio.run(agent.ainvoke(asking)) if is_async else agent.invoke(asking)
        return done["messages"]

    live, again = answer("once"), answer("none")
    assert [told(each) for each in live if each.type == "ai"] == [
        told(each) for each in again if each.type == "ai"
    ]
    assert again[-1].text == "It is Sunny in Bern."
    assert asked == [2]


@pytest.mark.parametrize("ask", FACES)
def test_an_agent_is_recorded_as_a_whole(tape, ask):
    agent = create_agent(caller(None)[0], [weather])
    live = ask(recorded(agent, tape))
    with_silent = create_agent(scripted([Raise(AssertionError())]), [weather])
    with_silent.name = agent.name
    again = ask(recorded(with_silent, tape, mode="none"))
    assert told(again) == told(live)
    assert live.text


@pytest.mark.parametrize("ask", FACES)
@pytest.mark.parametrize("inner", [Plain, Streaming, Native])
def test_other_packages_models_are_recorded_as_chat_model_makes_them(tape, inner, ask):
    live = ask(recorded(inner(), tape))
    assert told(live) == told(ask(chat_model(inner())))
    silent = inner()
    assert told(ask(recorded(silent, tape, mode="none"))) == told(live)
    assert not silent.seen


def test_a_chain_is_recorded_with_the_usage_of_what_it_calls(tape):
    chain = ChatPromptTemplate([("human", "{text}")]) | Plain() | StrOutputParser()
    live = recorded(chain, tape).invoke("hi")
    assert live.usage_metadata["input_tokens"] == 3
    assert told(recorded(chain, tape).invoke("hi")) == told(live)


def test_runs_inside_are_children_of_the_recorded_models_run(tape):
    class Heard(BaseCallbackHandler):
        def __init__(self):
            self.parents, self.tokens = {}, []

        def on_chat_model_start(self, serialized, messages, *, run_id, parent_run_id, **kwargs):
            self.parents[run_id] = parent_run_id

        def on_llm_new_token(self, token, **kwargs):
            self.tokens.append(token)

    live, again = Heard(), Heard()
    for heard in (live, again):
        assert [*recorded(Streaming(), tape).stream("hi", config={"callbacks": [heard]})]
    outer, inner = live.parents
    assert live.parents == {outer: None, inner: outer}
    assert len(again.parents) == 1
    assert again.tokens == live.tokens


@pytest.mark.parametrize("ask", FACES)
def test_stop_sequences_hold(tape, ask):
    for fields in ({}, {"include_stop": False}):
        script = ["one two", " three", Usage(1, 2)]
        live = ask(recorded(scripted(script, **fields), tape, mode="all"), stop=["two"])
        assert told(live) == told(ask(scripted(script, **fields), stop=["two"]))
        again = ask(recorded(scripted(**fields), tape, mode="none"), stop=["two"])
        assert told(again) == told(live)
    assert len(cassette.read(tape)) == 2  # whether the sequence is included is asked, too
    assert all("finish" in each.answer[-1] for each in cassette.read(tape))


def test_taught_tools_and_schemas_are_the_inner_models(tape):
    class City(BaseModel):
        name: str

    @chat_model
    def text(messages):
        taught = any("weather" in each.text for each in messages)
        call = '<tool_call>{"name": "weather", "arguments": {"city": "Bern"}}</tool_call>'
        return call if taught else '{"name": "Bern"}'

    for mode in ("once", "none"):
        model = recorded(text, tape, mode=mode)
        assert model.with_structured_output(City).invoke("Where?") == City(name="Bern")
        call = model.bind_tools([weather], tool_choice="weather").invoke("hi").tool_calls[0]
        assert (call["name"], call["args"]) == ("weather", {"city": "Bern"})


def test_calls_that_were_asked_for_again_are_recorded_as_they_became(tape):
    asked = [0]

    @chat_model
    def stumbles(messages):
        asked[0] += 1
        args = '{"city": "Bern"}' if asked[0] > 1 else '{"city": '
        yield f'Well. <tool_call>{{"name": "weather", "arguments": {args}}}</tool_call>'

    bare = summed(stumbles.bind_tools([weather]).stream("hi"))
    asked[0] = 0
    model = recorded(stumbles, tape).bind_tools([weather])
    live = summed(model.stream("hi"))
    assert asked == [2]
    assert told(live)["invalid"] == told(bare)["invalid"] == []
    assert told(live)["content"] == told(bare)["content"] or live.text == bare.text
    again = recorded(stumbles, tape, mode="none").bind_tools([weather])
    assert [call["args"] for call in live.tool_calls] == [{"city": "Bern"}]
    assert told(summed(again.stream("hi"))) == told(live)


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_blocks_and_refusals_are_kept(tape, version):
    image = {"type": "image", "url": "https://example.org/a.png"}
    script = ["see ", Block(image), "that", Refusal("no"), Usage(1, 1)]
    model = scripted(script, output_version=version)
    live = recorded(model, tape).invoke("hi")
    assert told(live) == told(model.invoke("hi"))
    assert recorded(model, tape).invoke("hi").content == live.content


def test_an_interrupt_is_raised_again_with_its_value(tape):
    class Interrupt:
        value, id = {"ask": "ok?"}, "i1"

    error = InterruptedAnswerError("waits", [Interrupt()])
    for script in ([Raise(error)], []):
        with pytest.raises(InterruptedAnswerError, match="waits") as caught:
            recorded(scripted(script), tape).invoke("hi")
        assert caught.value.value == {"ask": "ok?"}


# Readers who go.


def test_a_stream_that_was_left_is_replayed_as_far_as_it_was_read(tape):
    stream = recorded(scripted(["a", "b", "c"]), tape).stream("hi")
    assert [next(stream).text, next(stream).text] == ["a", "b"]
    stream.close()
    again = recorded(scripted(), tape).stream("hi")
    assert [next(again).text, next(again).text] == ["a", "b"]
    with pytest.raises(CassetteError, match=r"line 2, was not read to its end.*mode='all'"):
        next(again)


async def test_a_cancelled_task_leaves_a_cassette_that_says_so(tape):
    begun = asyncio.Event()

    @chat_model
    async def stalls(messages):
        yield "a"
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(recorded(stalls, tape).ainvoke("hi"))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(CassetteError, match="not read to its end"):
        await recorded(stalls, tape, mode="none").ainvoke("hi")


async def test_what_was_left_before_anything_came_is_not_recorded(tape):
    begun = asyncio.Event()

    @chat_model
    async def stalls(messages):
        begun.set()
        await asyncio.Event().wait()
        yield "a"

    task = asyncio.create_task(recorded(stalls, tape).ainvoke("hi"))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not tape.exists()


# Threads, tasks, copies.


def test_many_threads_and_tasks_record_and_replay_at_once(tape):
    @chat_model
    def echo(messages):
        yield from (messages[-1].text, "!")

    async def ask(model):
        return await asyncio.gather(*(model.ainvoke(f"t{n}") for n in range(20)))

    for mode in ("new", "none"):
        model = recorded(echo, tape, mode=mode)
        with ThreadPoolExecutor(8) as pool:
            found = [*pool.map(lambda n, model=model: model.invoke(str(n % 10)).text, range(40))]
        assert found == [f"{n % 10}!" for n in range(40)]
        assert [each.text for each in asyncio.run(ask(model))] == [f"t{n}!" for n in range(20)]
    lines = tape.read_text().splitlines()
    assert len(lines) == 1 + 3 * 60
    requests = [each for each in lines if each.startswith('{"request')]
    assert requests == sorted(requests)


def test_two_recordings_at_once_lose_nothing_of_each_other(tape):
    @chat_model
    def echo(messages):
        return messages[-1].text

    models = [recorded(echo, tape, mode="new") for _ in range(4)]

    def ask(at):
        for n in range(10):
            models[at].invoke(f"{at} {n}")

    threads = [threading.Thread(target=ask, args=(at,)) for at in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    again = recorded(echo, tape, mode="none")
    assert {again.invoke(f"{at} {n}").text for at in range(4) for n in range(10)}


def test_what_is_made_of_a_model_shares_its_place(tape):
    model, _ = counted()
    for _ in range(3):
        recorded(model, tape, mode="new").invoke("a")
        recorded(model, tape, mode="all").invoke("b")
    live = recorded(model, tape, mode="new")
    for _ in range(3):
        live.invoke("a")
    again = recorded(model, tape, mode="none")
    texts = [each.invoke("a").text for each in (again, copy.deepcopy(again), again.bind())]
    assert len({*texts}) == 3


def test_a_pickled_model_replays_elsewhere(tape):
    model = recorded(Plain(), tape)
    live = model.invoke("hi")
    again = pickle.loads(pickle.dumps(recorded(Plain(), tape)))
    assert told(again.invoke("hi")) == told(live)


def test_what_is_set_later_reaches_the_inner_model(tape):
    @chat_model
    def echo(messages, *, temperature: float = 0.0, stop=None):
        return f"{temperature} {len(stop or ())}"

    model = recorded(echo, tape, mode="new")
    assert model.temperature == 0.0
    assert model.invoke("hi").text == "0.0 0"
    model.temperature, model.stop = 0.5, ["zz"]
    assert model.invoke("hi").text == "0.5 1"
    assert model.model_copy(update={"temperature": 0.7}).invoke("hi").text == "0.7 1"
    field = ConfigurableField(id="heat")
    chosen = model.configurable_fields(temperature=field).with_config(configurable={"heat": 0.9})
    assert chosen.invoke("hi").text == "0.9 1"
    assert len(cassette.read(tape)) == 4


def test_content_that_openai_has_no_form_for_is_compared_as_it_is(tape):
    def asked(value):
        return [HumanMessage([{"type": "guard_content", "guard": value}])]

    recorded(Plain(), tape).invoke(asked("a"))
    assert recorded(Plain(), tape).invoke(asked("a")).text
    with pytest.raises(CassetteError, match=r"guard: recorded 'a', asked 'b'"):
        recorded(Plain(), tape).invoke(asked("b"))


def test_the_model_is_asked_whole_or_in_pieces_as_the_caller_asks(tape):
    model = scripted()
    recorded(model, tape, mode="new").invoke("a")
    assert [*recorded(model, tape, mode="new").stream("b")]
    assert [each.streamed for each in model.requests] == [False, True]


def test_an_estimate_is_one_again(tape):
    model = scripted(["ab"], custom_get_token_ids=list)
    live = recorded(model, tape).invoke("hi")
    assert live.response_metadata["usage_estimated"]
    assert told(recorded(scripted(), tape).invoke("hi")) == told(live)


def test_the_cost_is_the_recorded_one(tape):
    live = recorded(scripted(price=(1, 1, "EUR")), tape).invoke("hi")
    assert live.response_metadata["cost"]["currency"] == "EUR"
    again = recorded(scripted(price=(2, 2, "USD")), tape).invoke("hi")
    assert told(again) == told(live)


def test_what_lacks_in_a_recording_inside_is_not_recorded_outside(tape):
    inner = tape.with_name("inner.jsonl")
    recorded(scripted(), inner).invoke("other")
    agent = create_agent(recorded(scripted(), inner, mode="none"), [weather])
    with pytest.raises(CassetteError, match="does not hold"):
        recorded(agent, tape).invoke("hi")
    assert not tape.exists()


def test_rates_are_kept_while_it_is_recorded_alone(tape):
    class Counting(InMemoryRateLimiter):
        count = 0

        def acquire(self, *, blocking=True):
            self.count += 1
            return True

        async def aacquire(self, *, blocking=True):
            return self.acquire()

    limiter = Counting()
    for mode, count in (("new", 2), ("none", 2)):
        model = recorded(scripted(rate_limiter=limiter), tape, mode=mode)
        model.invoke("a")
        ainvoked(model)
        assert limiter.count == count


@chat_model
def echo(messages):
    return messages[-1].text


def test_a_cache_hides_nothing_from_a_recording(tape):
    set_llm_cache(InMemoryCache())
    try:
        model = recorded(echo, tape)
        assert [model.invoke("a").text for _ in range(2)] == ["a", "a"]
    finally:
        set_llm_cache(None)
    assert len(cassette.read(tape)) == 2


@pytest.mark.long
def test_a_recorded_endpoint_holds_to_the_contract(tmp_path):
    numbers = itertools.count()

    def made(base_url="http://localhost/v1", **fields):
        endpoint = ChatEndpoint(base_url, **{"model_name": "m", **fields})
        return recorded(endpoint, tmp_path / f"{next(numbers)}.jsonl", mode="all")

    assert not check(made).of("FAIL")


def test_it_is_known_by_the_inner_model(tape):
    model = recorded(Native(), tape)
    bare = chat_model(Native())
    assert model.model_name == bare.model_name
    assert model.profile == bare.profile
    assert model._get_ls_params() == bare._get_ls_params()
    assert model.explain("hi") == {
        "model": "plain-1",
        "messages": [{"role": "user", "content": "hi"}],
    }


def test_a_result_that_does_not_name_its_tool_is_that_of_the_call(tmp_path):
    @chat_model
    def asked(messages, tools=None):
        return "done"

    def history(**named):
        call = {"id": uuid.uuid4().hex, "name": "weather", "args": {}}
        result = ToolMessage("sunny", tool_call_id=call["id"], **named)
        return [HumanMessage("?"), AIMessage("", tool_calls=[call]), result]

    cassette = tmp_path / "c.jsonl"
    assert recorded(asked, cassette).invoke(history(name="weather")).text == "done"
    assert recorded(asked, cassette, mode="none").invoke(history()).text == "done"
