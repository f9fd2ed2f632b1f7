"""What LangChain's paths cost per chunk and per call, against the guide's code and core's own."""

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from benchmarks.harness import Row, timed, turns
from benchmarks.peers import Finished, Guide
from chatwright import ChatModel, Request, chat_model

N = 2000
CALLS = 200
ROUNDS = 15
PROMPT = "x" * N


@chat_model
def sync_source(messages):  # type: ignore[no-untyped-def]
    yield from messages[-1].text


@chat_model
async def async_source(messages):  # type: ignore[no-untyped-def]
    for token in messages[-1].text:
        yield token


@chat_model
async def async_function(messages):  # type: ignore[no-untyped-def]
    return messages[-1].text


@chat_model
def sync_function(messages):  # type: ignore[no-untyped-def]
    return messages[-1].text


class Native(ChatModel):
    def reply(self, request: Request) -> Iterator[str]:
        yield from request.messages[-1].text


class Bridged(Native):
    pass


class NativeAsync(ChatModel):
    async def reply(self, request: Request) -> AsyncIterator[str]:
        for token in request.messages[-1].text:
            yield token


class BridgedAsync(NativeAsync):
    pass


for bridged in (Bridged, BridgedAsync):  # core looks for the hooks on the class
    bridged._stream_chat_model_events = None
    bridged._astream_chat_model_events = None


def stream(model: Any) -> Callable[[], float]:
    return timed(lambda: [*model.stream(PROMPT)], N)


def astream(model: Any) -> Callable[[], float]:
    async def work() -> None:
        async for _ in model.astream(PROMPT):
            pass

    return timed(lambda: asyncio.run(work()), N)


def v3(model: Any) -> Callable[[], float]:
    return timed(lambda: [*model.stream_events(PROMPT, version="v3")], N)


def av3(model: Any) -> Callable[[], float]:
    async def work() -> None:
        async for _ in await model.astream_events(PROMPT, version="v3"):
            pass

    return timed(lambda: asyncio.run(work()), N)


def invoke(model: Any) -> Callable[[], float]:
    return timed(lambda: [model.invoke("hello") for _ in range(CALLS)], CALLS)


def ainvoke(model: Any) -> Callable[[], float]:
    async def work() -> None:
        for _ in range(CALLS):
            await model.ainvoke("hello")

    return timed(lambda: asyncio.run(work()), CALLS)


def rows() -> list[Row]:
    warnings.simplefilter("ignore")
    guide, finished = Guide(n=N, model_name="guide"), Finished()
    own, bridge = "the guide's own code", "core's bridge over the same source"
    core = "a finished result"
    plan = [
        ("`stream`, per chunk", stream(sync_source), stream(guide), 0.6, own),
        ("`astream` over a sync generator", astream(sync_source), astream(guide), 0.1, own),
        ("`astream` over an async generator", astream(async_source), astream(guide), 0.06, own),
        ("v3 events, per chunk", v3(Native()), v3(Bridged()), 0.25, bridge),
        ("async v3 events, per chunk", av3(NativeAsync()), av3(BridgedAsync()), 0.25, bridge),
        ("`invoke` of a function", invoke(sync_function), invoke(finished), 1.15, core),
        ("`invoke` of an async function", invoke(async_function), invoke(finished), 1.15, core),
        ("`ainvoke` of an async function", ainvoke(async_function), ainvoke(finished), 1.1, core),
    ]
    return [
        *(_row(*each) for each in plan),
        _added("a model inside, `stream`: added per chunk", stream, Native()),
        _added("a model inside, `astream`: added per chunk", astream, NativeAsync()),
    ]


def _added(work: str, way: Callable[[Any], Callable[[], float]], inner: Any) -> Row:
    outer = chat_model(inner, include_stop=False)
    mine, theirs, _ = turns(way(outer), way(inner), ROUNDS)
    added = mine - theirs
    return Row(work, added, 12.0, "µs", added / 12.0, ("<=", 1.0), "the bound")


def _row(
    work: str, ours: Callable[[], float], peer: Callable[[], float], bound: float, name: str
) -> Row:
    mine, theirs, ratio = turns(ours, peer, ROUNDS)
    return Row(work, mine, theirs, "µs", ratio, ("<=", bound), name)
