"""Callbacks and events: what those who watch a call see of it."""

import time
from collections.abc import Callable
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableLambda, RunnablePassthrough

from chatwright.checks.calls.lifecycle import run_violation, violation
from chatwright.checks.calls.modes import STREAMING, Call
from chatwright.checks.outcome import expect, fail, shown, warn
from chatwright.checks.probes.answers import (
    CALLING,
    V3,
    able,
    answering,
    need_streaming,
    streaming,
    streams_by,
)
from chatwright.checks.rulebook import rule
from chatwright.checks.trial import LOOK_UP, Trial
from chatwright.testing import Cut, Refuse

END_SECONDS = 0.3
"""How long the end of a run may be in coming: core shields that callback."""


@rule(
    "C1",
    "A call has one start, then exactly one end or error",
    fix="Leave the callbacks of start, end and error to core: don't call `on_llm_end` or "
    "`on_llm_error` yourself, and raise what went wrong instead of returning it.",
)
def one_start_one_end(trial: Trial) -> None:
    """Tracers keep a run open until it ends, and count one that ends twice as two.

    Each way of calling is tried, with a backend that answers, that refuses, and that is lost in the
    middle of its answer; with a stop sequence that comes; and streams are closed after their first
    chunk. Models that the model calls in turn may have runs of their own below it.
    """
    for way in able(trial):
        call = trial.call(way)
        _ = call.chunks  # a plain call that raises is another rule's
        _expect_one_run(call, f"{way}, an answer")
    if not trial.scripted:
        return
    troubles: dict[str, list[Any]] = {
        "refused": [Refuse(400)],
        "lost": ["The ", "cat ", Cut(reset=True)],
    }
    for name, script in troubles.items():
        model = trial.model(script)
        for way in able(trial):
            _expect_one_run(trial.call(way, "Hi", model=model), f"{way}, {name}")
    stops: list[dict[str, Any]] = [{}, {"stop": ["sat"]}] if trial.has("stop") else [{}]
    for stop in stops:
        for way in able(trial) if stop else ():
            _expect_one_run(trial.call(way, **stop), f"{way}, {stop}")
        for way in streaming(trial) if trial.has("streaming") else ():
            call = _left(trial, way, stop)
            _expect_one_run(call, f"{way}, closed after its first chunk, {stop or ''}", left=True)


def _left(trial: Trial, way: str, stop: dict[str, Any]) -> Call:
    """Return a call whose stream was closed after its first chunk."""
    model, call = trial.model(), Call(way, trial.prompt)
    config: Any = {"callbacks": [call.recorder]}

    async def read() -> None:
        stream: Any = model.astream(call.prompt, config, **stop)
        await anext(stream, None)
        await stream.aclose()

    if way == "astream":
        trial.run(read())
    else:
        stream: Any = model.stream(call.prompt, config, **stop)
        next(stream, None)
        stream.close()
    until = time.monotonic() + END_SECONDS
    while not call.recorder.ends() and time.monotonic() < until:
        time.sleep(0.01)
    trial.made.append(call)
    return call


def _expect_one_run(call: Call, what: str, *, left: bool = False) -> None:
    wrong = run_violation(call, left=left)
    expect(wrong is None, f"{what}: {wrong}", "one start, then one end or error")


@rule(
    "C2",
    "`on_llm_new_token` fires once per chunk, and passes a real `ChatGenerationChunk`",
    fix="Leave token callbacks to core; where `_stream` fires them itself, pass `chunk=` with the "
    "very `ChatGenerationChunk` that it yields.",
    needs=["streaming"],
)
def tokens_are_chunks(trial: Trial) -> None:
    """User interfaces and LangGraph take their chunks from this callback, not from the stream.

    Tried: `stream` and `astream`; `invoke` and `ainvoke` with `streaming=True`, where the
    constructor takes it, and does not hand it on to the server with whatever else it is given; and
    v3, where core fires none (`chat_models.py:718-737` of langchain-core 1.7.2), so that a model
    which does, and tells the text otherwise than once, by chunks, has a warning.
    """
    need_streaming(trial)
    for way in [each for each in STREAMING if streams_by(trial, each)]:
        call = trial.call(way)
        sent = _token_messages(call, way)
        got = f"{way}: {len(sent)} callbacks, {len(call.chunks)} parts"
        expect(len(sent) == len(call.chunks), got, "one per part")
        for token, part in zip(sent, call.chunks, strict=True):
            got = f"{way}: {token.content!r} was told, {part.content!r} yielded"
            expect(token.content == part.content, got, "the same")
    doubts = [_odd_in_v3(trial.call(way), way) for way in V3 if streams_by(trial, way)]
    if trial.scripted and trial.takes("streaming"):
        for way in ("invoke", "ainvoke"):
            if streams_by(trial, way):
                call = trial.call(way, fields={"streaming": True})
                if trial.over_http and any("streaming" in each.body for each in call.received):
                    continue  # to a function that takes anything, it is a parameter of requests
                text = call.message.text
                joined = "".join(each.text for each in _token_messages(call, way))
                got = f"{way}, streaming=True: the callbacks told {joined!r}"
                expect(joined == text, got, f"{text!r}, as the answer is")
    if told := [*filter(None, doubts)]:
        warn(told[0], "no callbacks, or one per chunk")


def _token_messages(call: Call, what: str) -> list[BaseMessage]:
    """Return the chunks of the token callbacks, as messages."""
    found: list[Any] = [kwargs.get("chunk") for _, kwargs in call.recorder.of("on_llm_new_token")]
    wrong = [type(each).__name__ for each in found if not isinstance(each, ChatGenerationChunk)]
    expect(not wrong, f"{what}: chunk= is {wrong[:3]}", "a ChatGenerationChunk")
    return [each.message for each in found]


def _odd_in_v3(call: Call, way: str) -> str:
    """Return how the token callbacks of v3, if there are any, don't tell the text once."""
    found: list[Any] = [kwargs.get("chunk") for _, kwargs in call.recorder.of("on_llm_new_token")]
    if not found:
        return ""
    if wrong := [type(x).__name__ for x in found if not isinstance(x, ChatGenerationChunk)]:
        return f"{way}: chunk= is {wrong[:3]}"
    joined = "".join(each.message.text for each in found)
    return "" if joined == call.message.text else f"{way}: the callbacks told {joined!r}"


@rule(
    "C3",
    "Plain `invoke` fires no token callback",
    fix="Don't hand `run_manager` on from `_generate` to `_stream`, and fire no tokens there: "
    "core streams behind `invoke` by itself where somebody wants tokens.",
    severity="warning",
)
def invoke_is_silent(trial: Trial) -> None:
    """Whoever calls `invoke` wants no tokens; a handler on the application would show them twice.

    Tried with `ainvoke` too, with a stop sequence, and with tools where the model takes them. With
    `streaming=True` in the constructor tokens are wanted, and are a warning at most.
    """
    kinds: list[tuple[Any, dict[str, Any]]] = [(None, {})]
    if trial.scripted:
        kinds.append((None, {"stop": ["never there"]}))
        if trial.has("calls"):
            bound: Any = trial.model().bind_tools([LOOK_UP])
            kinds.append((bound, {}))
    cases = [(way, *kind) for kind in kinds for way in ("invoke", "ainvoke")]
    for way, model, kwargs in cases:
        call = trial.call(way, model=model, **kwargs)
        if model is None and not kwargs:
            _ = call.chunks  # a plain call that raises is another rule's
        tokens = len(call.recorder.of("on_llm_new_token"))
        got = f"{way}{' with tools' if model else ''}{kwargs or ''}: {tokens} token callbacks"
        if tokens and getattr(trial.model(), "streaming", None) is True:
            warn(f"{got}: streaming=True by default", "none")
        expect(not tokens, got, "none")


@rule(
    "C4",
    "`astream_events` v1 tells start, chunks, end",
    fix="Leave `astream_events` and `stream` to core, and write `_stream` or `_astream`.",
)
def events_v1(trial: Trial) -> None:
    """Old user interfaces read these events: a start, each chunk, and an end with the whole."""
    _expect_events(trial, trial.call("events_v1"), "v1", [])


@rule(
    "C5",
    "`astream_events` v2 tells start, chunks, end, and the parents of the run",
    fix="Leave `astream_events` and `stream` to core; in `_generate`, fire no token callbacks.",
    calls=2,
)
def events_v2(trial: Trial) -> None:
    """User interfaces read these events, and tell by `parent_ids` where in a chain they are.

    Tried: the model alone, in a chain, and with `disable_streaming`, where there is a start and an
    end and nothing between.
    """
    _expect_events(trial, trial.call("events_v2"), "v2", [])
    chain: Any = RunnablePassthrough() | trial.model()
    call = trial.call("events_v2", model=chain)
    _expect_events(trial, call, "v2 in a chain", [call.chunks[0]["run_id"]])
    call = trial.call("events_v2", fields={"disable_streaming": True})
    # A model within may have events of its own.
    names = [each["event"] for each in call.chunks if each["run_id"] == call.chunks[0]["run_id"]]
    wanted = ["on_chat_model_start", "on_chat_model_end"]
    expect(names == wanted, f"v2, disable_streaming: {names[:5]}", "start and end only")


def _expect_events(trial: Trial, call: Call, what: str, parents: list[str]) -> None:
    events = [each for each in call.chunks if each["event"].startswith("on_chat_model")]
    expect(events, f"{what}: no event of the model's")
    events = [each for each in events if each["run_id"] == events[0]["run_id"]]
    names = [each["event"] for each in events]
    between = {*names[1:-1]} - {"on_chat_model_stream"}
    ends = (names[0], names[-1]) == ("on_chat_model_start", "on_chat_model_end")
    expect(ends and not between, f"{what}: {[*dict.fromkeys(names)]}", "start, stream, …, end")
    wrong = [each for each in (event.get("parent_ids") for event in events) if each != parents]
    expect(not wrong, f"{what}: parent_ids {wrong[:1]}", f"{parents}")
    output = events[-1]["data"].get("output")
    if not isinstance(output, BaseMessage):
        fail(f"{what}: the end's output is {type(output).__name__}", "the message")
    parts: list[Any] = [each["data"].get("chunk") for each in events[1:-1]]
    text = "".join(each.text for each in parts if isinstance(each, BaseMessage))
    expect(not parts or text == output.text, f"{what}: streamed {text!r}, ended {output.text!r}")
    if trial.scripted and trial.has("streaming"):
        count = len(trial.call("astream").chunks)
        got = f"{what}: {len(parts)} stream events, astream gives {count} parts"
        expect(len(parts) == count or count == 1, got, "one per part")


@rule(
    "C6",
    "`invoke` inside a chain streams under `astream_events`",
    fix="Leave `invoke` to core, and let `streaming` default to None: a default of False that "
    "counts as set switches streaming off.",
    needs=["streaming"],
    calls=2,
)
def invoke_streams_under_events(trial: Trial) -> None:
    """Most chains call `invoke`; their users see tokens because core streams behind it.

    It does so where a handler wants tokens (`chat_models.py:_should_stream`), unless `streaming` is
    False and set. Tried: a function that calls `invoke`, and a coroutine that calls `ainvoke`.
    """
    need_streaming(trial)
    model: Any = trial.model()

    def ask(prompt: Any) -> Any:
        return model.invoke(prompt)

    async def ask_async(prompt: Any) -> Any:
        return await model.ainvoke(prompt)

    chains: dict[str, Any] = {"invoke": ask, "ainvoke": ask_async}
    for way, function in chains.items():
        if not streams_by(trial, way):
            continue
        chain: Any = RunnableLambda(function)
        call = trial.call("events_v2", model=chain)
        parts = [e["data"]["chunk"] for e in call.chunks if e["event"] == "on_chat_model_stream"]
        expect(len(parts) > 1, f"{way}: {len(parts)} stream events", "as many as chunks")
        text = "".join(each.text for each in parts)
        whole = getattr(call.output, "text", None)
        expect(text == whole, f"{way}: streamed {text!r}, the end has {whole!r}", "the same")


@rule(
    "C7",
    "v3's events are a valid stream, and its output is v1 content",
    fix="Leave v3 to core, or have your hook yield a new dict for each event: `message-start`, "
    "blocks with whole numbers from 0 that start, grow and finish, `message-finish`.",
    needs=["streaming"],
)
def v3_is_valid(trial: Trial) -> None:
    """v3 is what LangGraph's new streams are made of; who reads it relies on its order.

    Text, reasoning, one call and several are streamed, sync and async. What order is right is what
    langchain-tests asserts: its `utils/stream_lifecycle.py`.
    """
    ways = [way for way in V3 if streams_by(trial, way)]
    for way in ways:
        _ = trial.call(way).chunks
    for name, model in answering(trial):
        for way in ways:
            call = trial.call(way) if model is None else trial.call(way, "Hi", model=model)
            wrong = violation(call.chunks)
            expect(wrong is None, f"{way}, {name}: {wrong}", "a valid stream of events")
            content, metadata = call.message.content, call.message.response_metadata
            blocks = isinstance(content, list) and all(isinstance(e, dict) for e in content)
            got = f"{way}, {name}: content is {shown(content)[:200]}, {metadata}"
            expect(blocks and metadata.get("output_version") == "v1", got, "v1 content")


@rule(
    "C8",
    "v3's text, tool calls and usage equal the stream's",
    fix="Make both of one stream; send usage with one chunk, and each call with an index of its "
    "own.",
    scripted=True,
    needs=["streaming"],
)
def v3_equals_stream(trial: Trial) -> None:
    """Who moves from `stream` to v3 must not lose anything.

    Chunks are summed, but in v3 the last value wins (`_compat_bridge.py:487-496` of langchain-core
    1.7.2): usage that comes in parts differs.
    """
    pairs, ids = {"v3": "stream", "async_v3": "astream"}, list[Any]()
    for name, model in answering(trial):
        for way, other in pairs.items():
            if not streams_by(trial, way):
                continue
            got, streamed = (trial.call(each, "Hi", model=model).message for each in (way, other))
            _expect_same(f"{name}: {way}", got, other, streamed)
            ids.append(got.id)
    expect(len({*ids}) == len(ids) or None in ids, f"v3's ids are {ids}", "one each")


_COMPARED: dict[str, Callable[[Any], Any]] = {
    "text": lambda message: message.text,
    "tool calls": lambda message: [(each["name"], each["args"]) for each in message.tool_calls],
    "usage": lambda message: _told(message.usage_metadata),
    "finish reason": lambda message: message.response_metadata.get("finish_reason"),
}


def _expect_same(way: str, one: Any, other_way: str, other: Any) -> None:
    for name, read in _COMPARED.items():
        values = read(one), read(other)
        got = f"{way} has {name} {values[0]!r}, {other_way} {values[1]!r}"
        expect(values[0] == values[1], got, "the same")


def _told(usage: Any) -> Any:
    """Return usage without details that are empty: they say nothing."""
    return usage and {name: value for name, value in usage.items() if value != {}}


@rule(
    "C9",
    "The message of `on_llm_end` equals what the caller got",
    fix="Leave `on_llm_end` to core, yield a new chunk each time, and don't change it afterwards.",
)
def the_end_has_the_answer(trial: Trial) -> None:
    """Tracers, and usage and cost handlers, see this message only.

    Each way of calling is tried; with streams, the sum of the chunks is compared: content, calls,
    usage, metadata and id. Under v1, core leaves the calls of a model unparsed there that does not
    send the last chunk itself (`chat_models.py:861-875` of langchain-core 1.7.2): a warning.
    """
    for way in able(trial):
        if way not in {"events_v1", "events_v2"}:
            call = trial.call(way)
            _expect_same(f"{way}'s on_llm_end", _ended(call, way), "the answer", call.message)
            for name in (
                ("content", "response_metadata", "additional_kwargs", "id")
                if way in STREAMING
                else ()
            ):
                values = getattr(_ended(call, way), name), getattr(call.message, name)
                got = f"{way}: {name} {values[0]!r} in on_llm_end, {values[1]!r} for the caller"
                expect(values[0] == values[1], got, "the same")
    if not (trial.scripted and trial.has("calls") and trial.has("streaming")):
        return
    for version in ("v0", "v1"):
        model: Any = trial.model(CALLING["text and calls"], output_version=version)
        for way in STREAMING:
            call = trial.call(way, "Hi", model=model.bind_tools([LOOK_UP]))
            ended = _ended(call, way)
            _expect_same(f"{way}'s on_llm_end", ended, "the sum of the chunks", call.message)
            if version == "v1" and ended.content != call.message.content:
                got = f"{way}, v1: {shown(ended.content)[:300]} in on_llm_end"
                warn(got, f"as the chunks add up to: {shown(call.message.content)[:300]}")


def _ended(call: Call, way: str) -> Any:
    _ = call.chunks
    ends = call.recorder.of("on_llm_end")
    try:
        return ends[-1][0][0].generations[0][0].message
    except (AttributeError, IndexError):
        fail(f"{way}: on_llm_end had {shown(ends)[:200]}", "a result with the message")
