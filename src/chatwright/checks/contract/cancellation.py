"""Cancellation and concurrency: what is left behind, and what gets mixed up."""

import asyncio
import itertools
import json
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from chatwright.checks.calls.modes import MODES, Call, Recorder
from chatwright.checks.contract.asynchrony import native
from chatwright.checks.outcome import expect, fail, warn
from chatwright.checks.probes.answers import streaming
from chatwright.checks.probes.inspection import (
    answer_id,
    arrived,
    bound,
    calls_of,
    numbered,
    repeats,
    strings,
    ways,
)
from chatwright.checks.probes.requests import asked_by, different, fresh
from chatwright.checks.rulebook import rule
from chatwright.checks.trial import LOOK_UP, Trial
from chatwright.deltas import ToolCallDelta, Usage
from chatwright.testing import Pause, Received

WAYS = ("invoke", "ainvoke", "stream", "astream")
GONE_SECONDS = 3.0
"""How long a busy machine may take over what is done at once; the long answer takes longer."""
OPEN_SECONDS = 1.0
"""How long a run may stay open that core leaves open anyway."""
SENT_SECONDS = 3.0
"""How long a client may take to send its first request: some load much before."""
ATTEMPTS = 3
"""How often a task has to go on after it was cancelled, before that is a fault."""
AT_ONCE = 12


@rule(
    "E4",
    "Closing and cancelling stop the backend, end the run, and leave the model usable",
    fix="Close the backend's stream in a `finally`, and let `GeneratorExit` and `CancelledError` "
    "through.",
    scripted=True,
    seconds=40,
)
def cancelling(trial: Trial) -> None:
    """People press stop, and close the page; a backend that goes on is paid for, or holds a slot.

    Streams are closed, and tasks cancelled, in the middle of a long answer; within seconds the
    backend must see it, the run must have ended once, and the next call must work. Core leaves the
    run of a cancelled `ainvoke` open (`chat_models.py:1851` of langchain-core 1.7.2), and runs
    what has no `_agenerate` in a thread that can't be cancelled: these are warnings.
    """
    ways = {"stream": [_close_stream], "astream": [_close_astream, _cancel_astream]}
    has = streaming(trial) if trial.has("streaming") else []
    streams = [each for way in has for each in ways[way]]
    near = []
    for end in (*streams, _cancel_ainvoke):
        name = end.__name__.removeprefix("_").replace("_", " of ")
        model, recorder = _left(trial, end)
        received = trial.received(model)
        expect(received, f"{name}: no request was seen")
        written = native(model, NEEDED[end.__name__]) if end.__name__ in NEEDED else True
        if not _gone(received[-1]):
            got = f"{name}: the backend goes on {GONE_SECONDS:g} s later"
            expect(not written, got, "halted")
            near.append(f"{got}: the class has no {NEEDED[end.__name__]}")
        ends = _ends(recorder, OPEN_SECONDS if end is _cancel_ainvoke else GONE_SECONDS)
        expect(len(ends) < 2, f"{name}: the run ended {len(ends)} times: {ends}", "once")  # noqa: PLR2004
        if not ends:
            expect(end is _cancel_ainvoke, f"{name}: the run is still open", "ended once")
            near.append(f"{name}: the run is left open, as core does")
        again = trial.call(name.rpartition(" ")[2], "Again", model=model)
        expect(again.error is None, f"after {name}: {again.error!r}", "the model can be used")
        expect(again.message.text == "fine", f"after {name}: {again.message.text!r}", "'fine'")
    if near:
        warn("; ".join(near))


NEEDED = {
    "_close_astream": "_astream",
    "_cancel_astream": "_astream",
    "_cancel_ainvoke": "_agenerate",
}
"""What a class has to have written for an async call to reach its backend when it is left."""


def _long_then_short() -> Callable[[Received], list[Any]]:
    """Return a script that is long for the first request, and short for the next ones."""
    asked = itertools.count()

    def answer(_: Received) -> list[Any]:
        if next(asked):
            return ["fine", Usage(1, 1)]
        return ["a", *[Pause(0.02), "b"] * 250, Usage(5, 5)]

    return answer


def _left(trial: Trial, end: Callable[[Trial, Any, Recorder], bool]) -> tuple[Any, Recorder]:
    """Leave a call in the middle, and return the model and what its run told.

    A task that goes on is cancelled anew, of another model, before that is held against it: on a
    busy machine a cancel comes late, and before Python 3.12 `asyncio.wait_for` may lose one
    (python/cpython#86296).
    """
    for _attempt in range(ATTEMPTS):
        model, recorder = trial.model(_long_then_short()), Recorder()
        if end(trial, model, recorder):
            break
    else:
        fail(f"{end.__name__.rpartition('_')[2]}: a cancelled task went on", "CancelledError")
    return model, recorder


def _gone(received: Received) -> bool:
    """Wait a moment for the backend to be left."""
    until = time.monotonic() + GONE_SECONDS
    while not received.ended_at and time.monotonic() < until:
        time.sleep(0.01)
    return bool(received.ended_at)


def _ends(recorder: Recorder, seconds: float) -> list[str]:
    """Wait a moment for the run to be ended; core shields that callback."""
    until = time.monotonic() + seconds
    while not recorder.ends() and time.monotonic() < until:
        time.sleep(0.01)
    return recorder.ends()


def _close_stream(trial: Trial, model: Any, recorder: Recorder) -> bool:
    del trial
    stream = model.stream("Hi", {"callbacks": [recorder]})
    next(stream, None)
    next(stream, None)
    stream.close()
    return True


def _close_astream(trial: Trial, model: Any, recorder: Recorder) -> bool:
    async def read() -> None:
        stream = model.astream("Hi", {"callbacks": [recorder]})
        await anext(stream, None)
        await anext(stream, None)
        await stream.aclose()

    trial.run(read())
    return True


def _cancel_astream(trial: Trial, model: Any, recorder: Recorder) -> bool:
    return trial.run(_cancelled(trial, model, "astream", recorder))


def _cancel_ainvoke(trial: Trial, model: Any, recorder: Recorder) -> bool:
    return trial.run(_cancelled(trial, model, "ainvoke", recorder))


async def _cancelled(trial: Trial, model: Any, way: str, recorder: Recorder) -> bool:
    """Cancel a call in the middle, and return whether it ends."""
    call = Call(way, "Hi")
    task = asyncio.ensure_future(MODES[way](call, model, {"callbacks": [recorder]}, {}))
    until = time.monotonic() + SENT_SECONDS
    while not (trial.received(model) or task.done() or time.monotonic() > until):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.15)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=GONE_SECONDS)
    if not done:
        return False
    if not task.cancelled():
        error = task.exception()
        got = f"became {type(error).__name__}" if error else "was swallowed"
        fail(f"{way}: the cancellation {got}", "CancelledError")
    return True


@rule(
    "E5",
    "Calls at the same time don't mix",
    fix="Keep nothing of a call on `self`: buffers, counters and the current stream belong into "
    "local variables.",
    scripted=True,
)
def no_crosstalk(trial: Trial) -> None:
    """Twelve questions are asked at once, by threads, by tasks, streamed and whole.

    The backend repeats the question, in pieces and slowly, so that a shared buffer shows.
    """
    model = trial.model(_slowly)
    questions = numbered(AT_ONCE)
    for way in WAYS:
        if way.startswith("a"):
            texts = trial.run(_gathered(model, way, questions))
        else:
            texts = _in_threads(model, way, questions)
        for question, text in zip(questions, texts, strict=True):
            own = repeats([question], [text])
            expect(own, f"{way}: {question!r} got {text!r}", "its own answer")
    _expect_nothing_kept(trial)
    if trial.has("calls"):
        asked = bound(trial.model(_slow_call), [LOOK_UP])
        calls = [Call("astream", each) for each in questions]
        trial.run(_all(asked, calls))
        for question, call in zip(questions, calls, strict=True):
            found = calls_of(call.message)
            got = f"astream: {question!r} got {found}"
            expect(repeats([question], [str(found)]), got, "a call of its own")


def _expect_nothing_kept(trial: Trial) -> None:
    """Expect a call to ask, and to give, what it does on a fresh model, whatever came before."""
    script: list[Any] = []
    model: Any = trial.model(lambda _: [*script, Usage(1, 1)])
    script[:] = ["said before"]
    stop: dict[str, Any] = {"stop": ["END"]} if trial.has("stop") else {}
    for way in WAYS:
        trial.call(way, "Before", model=model, **stop)
    if trial.has("calls"):
        script[:] = [ToolCallDelta(0, "call_1", "look_up", '{"word": "a"}')]
        for way in WAYS:
            trial.call(way, "Before", model=bound(model, [LOOK_UP]))
    script[:] = ["fine"]
    alone: Any = trial.model(["fine", Usage(1, 1)])
    for way in WAYS:
        call, other = trial.call(way, "Now", model=model), trial.call(way, "Now", model=alone)
        expect(call.error is None, f"{way}, after other calls: {call.error!r}", "an answer")
        answer = call.message
        got = f"{way}, after other calls: text {answer.text!r}, calls {calls_of(answer)}"
        expect((answer.text, calls_of(answer)) == ("fine", []), got, "'fine'")
        if trial.over_http and call.received and other.received:
            one, two = (asked_by(each.received[-1]) for each in (call, other))
            odd = {*different(one, two)} - {"path"} - fresh(trial)
            expect(not odd, f"{way}, after other calls: another {odd} is sent", "as at first")


@rule(
    "E7",
    "A call knows nothing of the calls before it",
    fix="Keep no conversation on the model, nor in its engine's session: send the messages that "
    "the call was given, all of them, and start the engine afresh.",
    calls=2,
)
def nothing_is_remembered(trial: Trial) -> None:
    """One instance serves many users: what one of them wrote is not for the next one.

    A word that nobody can guess is told in one conversation, and asked for in another, which must
    neither send it, where that can be seen, nor have it in its answer. Nor may it send the id of
    the other's answer, by which servers go on with a conversation. Live models are tried, too.
    """
    model = trial.model()
    for way in ways(trial):
        word = f"w{uuid.uuid4().hex[:10]}"
        before = trial.call(way, f"My password is {word}. Say only: yes.", model=model)
        told = {answer_id(received) for received in before.received} - {""}
        call = trial.call("invoke", "What is my password? Say it, or say: unknown.", model=model)
        for received in call.received:
            sent = arrived(received)
            got = f"after {way}: the next conversation's request has what was said in the last one"
            expect(word not in sent, got, "its own messages", sent=sent)
            got = f"after {way}: the id of its answer is sent with the next conversation"
            expect(not told & {*strings(received.body)}, got, "its own messages", sent=sent)
        text = call.message.text
        expect(word not in text, f"after {way}: {text!r}, of another conversation", "unknown")


def _slow_call(received: Received) -> list[Any]:
    args = json.dumps({"word": received.asked.messages[-1][1] if received.asked else ""})
    call = ToolCallDelta(0, "call_1", "look_up", args[:12])
    return [call, Pause(0.03), ToolCallDelta(0, args=args[12:]), Usage(1, 1)]


async def _all(model: Any, calls: list[Call]) -> None:
    await asyncio.gather(*[MODES[each.way](each, model, {}, {}) for each in calls])


def _slowly(received: Received) -> list[Any]:
    question = received.asked.messages[-1][1].upper() if received.asked else ""
    middle = len(question) // 2
    return [question[:middle], Pause(0.03), question[middle:], Usage(1, 1)]


async def _gathered(model: Any, way: str, questions: list[str]) -> list[str]:
    calls = [Call(way, each) for each in questions]
    await asyncio.gather(*[MODES[way](each, model, {}, {}) for each in calls])
    return [each.message.text for each in calls]


def _in_threads(model: Any, way: str, questions: list[str]) -> list[str]:
    texts: dict[str, str] = {}

    def ask(question: str) -> None:
        try:
            if way == "invoke":
                texts[question] = model.invoke(question).text
            else:
                texts[question] = "".join(each.text for each in model.stream(question))
        except Exception as error:  # noqa: BLE001  it is the model's
            texts[question] = repr(error)

    threads = [threading.Thread(target=ask, args=(each,), daemon=True) for each in questions]
    for each in threads:
        each.start()
    for each in threads:
        each.join(10)
    return [texts.get(each, "no answer") for each in questions]
