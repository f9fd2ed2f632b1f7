"""Async: native, equal to sync, and fit for any loop."""

import asyncio
import re
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from chatwright.checks.calls.modes import MODES, Call
from chatwright.checks.contract.basics import most_at_once
from chatwright.checks.outcome import expect, fail, warn
from chatwright.checks.probes.requests import asked_by, different, fresh
from chatwright.checks.rulebook import rule
from chatwright.checks.trial import LOOK_UP, Trial, overrides
from chatwright.deltas import ToolCallDelta, Usage
from chatwright.testing import Pause

TICK_SECONDS = 0.005
PAUSE_SECONDS = 0.3
ATTEMPTS = 5
AT_ONCE = 40
CROWD = 24
"""How many calls wait for each other where a model lets a few in at a time."""
OVERLAPS = 3
METHODS = {"ainvoke": "_agenerate", "astream": "_astream"}
OWN: Mapping[str, Any] = {"temperature": 0.25, "max_tokens": 77}
TALK = (SystemMessage("Be brief."), HumanMessage("Hi"), AIMessage("Hello."), HumanMessage("Go on"))


def native(model: BaseChatModel, name: str) -> bool:
    """Tell whether a class has written an async method itself."""
    return overrides(type(model), name)


@rule(
    "A1",
    "Async is native: the event loop stays responsive, and no thread works per chunk",
    fix="Write `_agenerate` and `_astream` with an async client; where the source is sync, read "
    "it in one thread per answer and hand over what has piled up.",
    scripted=True,
)
def async_is_native(trial: Trial) -> None:
    """A blocked loop stops every other request of a server.

    The evidence is what happens, not how the code reads: a task ticks every 5 ms while the backend
    pauses in the middle of its answer, and what is given to threads is counted. A class without
    `_agenerate` is run by core in a thread for each call, and without `_astream` in one for each
    chunk: that works, and is a warning. It is tried plainly, and with tools and a stop sequence.
    """
    lacking = []
    for way, method in METHODS.items():
        if way == "astream" and not trial.has("streaming"):
            continue
        model = trial.model(["The ", "cat ", Pause(PAUSE_SECONDS), *"sat on the mat", Usage(9, 6)])
        written = native(model, method) or (way == "ainvoke" and native(model, "_astream"))
        hops = _free(trial, way, model, {})
        stop: dict[str, Any] = {"stop": ["never there"]} if trial.has("stop") else {}
        bound: Any = model
        bound = bound.bind_tools([LOOK_UP]) if trial.has("tools") else model
        if stop or bound is not model:
            hops = max(hops, _free(trial, way, bound, stop))
        if not written:
            lacking.append(f"{method} is not written: {way} gave {hops} jobs to threads")
        elif hops > 5:  # noqa: PLR2004  an answer of some 15 chunks
            fail(f"{way} gave {hops} jobs to threads for one answer", "none, or one per answer")
    if lacking:
        warn("; ".join(lacking), "native async")


def _free(trial: Trial, way: str, model: Any, stop: Mapping[str, Any]) -> int:
    """Fail where the loop stood still; return how many jobs were given to threads."""
    gap, hops, left = PAUSE_SECONDS, 0, ATTEMPTS
    while gap >= PAUSE_SECONDS / 2 and left:
        gap, hops = trial.run(_watching(trial, way, model, stop))
        left -= 1
    more = "" if isinstance(model, BaseChatModel) else " with tools"
    got = f"{way}{more}{dict(stop) or ''}: the event loop stood still for {gap * 1000:.0f} ms"
    expect(gap < PAUSE_SECONDS / 2, got, "free while waiting")
    return hops


async def _watching(
    trial: Trial, way: str, model: BaseChatModel, stop: Mapping[str, Any]
) -> tuple[float, int]:
    """Return the longest time for which the loop stood still, and the jobs given to threads."""
    loop = asyncio.get_running_loop()
    given, jobs = loop.run_in_executor, []
    longest = [0.0]

    async def tick() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.perf_counter()
            longest[0] = max(longest[0], now - last)
            last = now

    def counted(executor: Any, function: Any, *args: Any) -> Any:
        jobs.append(function)
        return given(executor, function, *args)

    if not stop:  # what is set up once is not counted
        await MODES[way](Call(way, "Hi"), model, {}, {})
    ticking = asyncio.create_task(tick())
    await asyncio.sleep(TICK_SECONDS)
    loop.run_in_executor = counted  # type: ignore[assignment,method-assign]
    try:
        again = Call(way, "Hi")
        await MODES[way](again, model, {}, stop)
        await asyncio.sleep(TICK_SECONDS)
    finally:
        del loop.run_in_executor
        ticking.cancel()
    trial.made.append(again)
    return longest[0], len(jobs)


@rule(
    "A2",
    "Sync and async give the same answers",
    fix="Share one implementation: two copies drift apart.",
    scripted=True,
)
def async_is_the_same(trial: Trial) -> None:
    """Text, tool calls, usage and the reason of the end are compared between all ways.

    So is what the backend is asked, of a conversation, and with the constructor's values.
    """
    for way in ("ainvoke", "astream"):
        trial.call(way).message  # noqa: B018  it raises where a plain call does
    scripts: list[list[Any]] = [["The cät ", "sat", "\n 日本", Usage(9, 6)]]
    if trial.has("calls"):
        scripts.append([ToolCallDelta(0, "call_1", "look_up", '{"word": "cat"}'), Usage(9, 6)])
    for script in scripts:
        model: Any = trial.model(script)
        asked = model.bind_tools([LOOK_UP]) if isinstance(script[0], ToolCallDelta) else model
        for sync, other in (("invoke", "ainvoke"), ("stream", "astream")):
            one = trial.call(sync, "Hi", model=asked).message
            two = trial.call(other, "Hi", model=asked).message
            for name in ("text", "tool_calls", "usage_metadata", "additional_kwargs"):
                first, second = _told(getattr(one, name)), _told(getattr(two, name))
                got = f"{name}: {sync} {first!r}, {other} {second!r}"
                expect(first == second, got, "the same")
            kinds = [type(each.content).__name__ for each in (one, two)]
            expect(kinds[0] == kinds[1], f"{other}: content is {kinds[1]}, {sync}: {kinds[0]}")
            keys = {*one.response_metadata} ^ {*two.response_metadata}
            expect(not keys, f"response_metadata: only one of {sync} and {other} has {keys}")
    _expect_same_requests(trial)


def _expect_same_requests(trial: Trial) -> None:
    """Expect the same of a conversation, and of the constructor's values, to be asked for."""
    fields = {name: value for name, value in OWN.items() if trial.takes(name)}
    model = trial.model(["fine", Usage(9, 1)], **fields)
    for sync, other in (("invoke", "ainvoke"), ("stream", "astream")):
        calls = [trial.call(each, TALK, model=model) for each in (sync, other)]
        if all(call.received for call in calls):
            one, two = (asked_by(call.received[-1]) for call in calls)
            odd = [name for name in different(one, two) if name not in fresh(trial)]
            expect(
                not odd, f"{other} sends another {', '.join(odd)} than {sync}", "the same request"
            )


def _told(value: Any) -> Any:
    """Return a value without the ids that some models make up for calls."""
    if isinstance(value, list):
        return [{key: each[key] for key in each if key != "id"} for each in value]
    return value


@rule(
    "A3",
    "Concurrent async calls overlap",
    fix="Hold no lock around a call, and use an async client without a small pool.",
    scripted=True,
)
def calls_overlap(trial: Trial) -> None:
    """Forty calls start at once, by `ainvoke` and by `astream`.

    The backend tells how many were open together.

    One after the other is a failure. A class without `_agenerate` has as many as core's pool has
    threads, which is a warning.
    """
    few = ""
    for way in ("ainvoke", *(("astream",) if trial.has("streaming") else ())):
        most = 0
        for attempt in range(1, OVERLAPS + 1):
            # Longer each time, for a machine that is slow to begin them; a queue of one is no less.
            pause = Pause(0.1 if most == 1 else 0.1 * attempt)
            model = trial.model([pause, "Hi", Usage(1, 1)])
            trial.run(_together(model, way))
            most = max(most, most_at_once(trial.received(model)))
            if most >= AT_ONCE // 2 or (most > 1 and not native(model, METHODS[way])):
                break
        expect(most > 1, f"{way}: of {AT_ONCE} calls, {most} was open at a time", "they overlap")
        if most < AT_ONCE // 2:
            few = few or f"{way}: of {AT_ONCE} calls, {most} were open at once"
    if few:
        warn(few, "nearly all")


async def _together(model: BaseChatModel, way: str) -> None:
    calls = [Call(way, f"question {n}") for n in range(AT_ONCE)]
    await asyncio.gather(*[MODES[way](each, model, {}, {}) for each in calls])


@rule(
    "A4",
    "The streaming protocol v3 works, sync and async",
    fix="Write `_stream` and `_astream`; core makes v3 of them.",
    calls=2,
)
def v3_works(trial: Trial) -> None:
    """`stream_events(version="v3")` and its async twin are what new user interfaces read.

    Core makes them of `_stream` and `_astream`. A class without both has no v3, which is a warning.
    """
    for way in ("v3", "async_v3"):
        call = trial.call(way)
        if isinstance(call.error, NotImplementedError) and not trial.has("streaming"):
            warn(f"{way}: the class has no _stream", "v3")
        answer = call.message
        expect(getattr(answer, "text", None), f"{way}: {answer!r}", "a message with a text")


@rule(
    "A5",
    "One instance works in loop after loop, in threads, and inside a running loop",
    fix="Keep one async client per event loop (or open one per call), and no lock or queue that "
    "belongs to a loop.",
    calls=5,
)
def any_loop_will_do(trial: Trial) -> None:
    """Scripts call `asyncio.run` more than once, servers use threads, notebooks have a loop.

    The same instance is used in two loops one after the other, in two at once, and synchronously
    inside a running one. Many calls are made at once in the first two, of a backend that costs
    nothing: a lock or a semaphore belongs to the loop in which somebody has to wait for it first.
    A model that answers only because it tries again, call by call, has a warning: a connection that
    its first loop has left behind is lost, and the next one holds. So has one that refuses sync
    calls inside a running loop, and says that async ones are to be used.
    """
    script = [Pause(0.02), "The cat sat.", Usage(3, 3)] if trial.scripted else None
    wrong = _in_loops(trial, trial.model(script), CROWD if trial.scripted else 1)
    # A lock of another loop fails in a crowd alone; each retry uses up one lost connection.
    crowd = CROWD if "different event loop" in wrong else 1
    patient = wrong and trial.scripted and trial.takes("max_retries")
    for _attempt in range(OVERLAPS if patient else 0):
        if not _in_loops(trial, trial.model(script, max_retries=2), crowd):
            warn(f"{wrong}; with retries it answers", "an answer")
    tells = re.search(r"^sync, inside.*\buse\b[^.]*\basync\b", wrong, re.IGNORECASE)
    if tells:
        warn(wrong, "an answer")
    expect(not wrong, wrong, "an answer")


def _in_loops(trial: Trial, model: Any, at_once: int) -> str:
    """Use an instance in several loops, with so many calls in each; return what went wrong."""

    async def ask() -> str:
        return str((await model.ainvoke(trial.prompt)).text)

    async def crowd() -> str:
        texts = await asyncio.gather(*[ask() for _ in range(at_once)])
        return min(texts, key=len)

    async def inside() -> str:
        return str(model.invoke(trial.prompt).text)

    for name, works in (
        ("in a loop", [crowd]),
        ("in a second loop, after the first", [crowd]),
        ("in two loops at once", [ask, ask]),
        ("sync, inside a running loop", [inside]),
    ):
        trial.shared.budget.claim(len(works))
        results = in_threads(works)
        if bad := [repr(each) for each in results if not isinstance(each, str) or not each]:
            return f"{name}: {bad[0]}"
    return ""


def in_threads(works: Sequence[Callable[[], Awaitable[str]]]) -> list[Any]:
    """Run coroutine functions, each in a thread and a loop of its own; errors are returned."""
    results: list[Any] = []

    async def awaited(work: Callable[[], Awaitable[str]]) -> str:
        return await work()

    def run(work: Callable[[], Awaitable[str]]) -> None:
        try:
            results.append(asyncio.run(awaited(work)))
        except BaseException as error:  # noqa: BLE001  it is the model's, and a finding
            results.append(error)

    threads = [threading.Thread(target=run, args=(each,), daemon=True) for each in works]
    for each in threads:
        each.start()
    for each in threads:
        each.join(10)
    return results + [TimeoutError("no answer")] * (len(works) - len(results))
