"""Stop sequences: respected, included, and no text lost by them."""

import time
from typing import Any

from chatwright.checks.contract.streaming import ATTEMPTS, LONG, PAUSE_SECONDS, early_text
from chatwright.checks.outcome import expect, skip, warn
from chatwright.checks.probes.answers import able, streaming
from chatwright.checks.probes.inspection import is_refusal, told
from chatwright.checks.rulebook import rule
from chatwright.checks.trial import Trial
from chatwright.deltas import Finish, Usage
from chatwright.testing import Pause

SCRIPT = ["The ", "cat ", "sat ", "on ", "the ", "mat.", Usage(9, 6)]
WAYS = ("invoke", "ainvoke", "stream", "astream")
ODD_STOPS = (
    *(("one. two. three", "."), ("END two", "END"), ("one END two END", "END"), ("the end", "END")),
    *(("it sat", "\n\n"), ("one\n\ntwo", "\n\n")),
)
"""Texts, and sequences: as of an expression, at the start, twice, in capitals, white space."""
HALT_SECONDS = 3.0


def upto(trial: Trial, text: str, stop: str, whole: str, how: str) -> bool:
    """Fail unless a text ends at a stop sequence; return whether that is included."""
    head = whole[: whole.index(stop)]
    if text == head + stop:
        return True
    expect(text == head, f"{how}: {text!r}", repr(head + stop), sent=trial.prompt)
    return False


def _said(script: list[Any]) -> str:
    return "".join(each for each in script if isinstance(each, str))


@rule(
    "P1",
    "A stop sequence is respected, and included at the end of the text",
    fix="Cut the text right behind the first stop sequence, in `_generate` and in `_stream`. "
    "LangChain's guide wants the sequence in the text.",
    calls=6,
)
def stop_is_respected(trial: Trial) -> None:
    """The guide: "the output should include the stop sequence". Most providers leave it out.

    LangChain's classic ReAct and SQL chains, which stop at a line that begins with "Observation" or
    "SQLResult:", read it as input where it is included: they need a model that can leave it out,
    such as Chatwright's with `include_stop=False`.

    Text behind the sequence is a failure; a text that ends before it is a warning, and so is an
    error that says that stop sequences are not supported: nothing is lost silently.
    """
    if not trial.scripted:
        _live_stop(trial)
        return
    if why := trial.lacks("stop"):
        warn(why, "sequences that are respected")
    included = []
    for way in WAYS:
        text = trial.call(way, script=SCRIPT, stop=["sat"]).message.text
        included.append(upto(trial, text, "sat", _said(SCRIPT), way))
    if not all(included):
        warn("the text ends before the stop sequence, as providers do", "'The cat sat'")


def _live_stop(trial: Trial) -> None:
    _expect_own_words_to_stop(trial)
    call = trial.call("invoke", "Write exactly this: one two three four five six", stop=["four"])
    text = call.message.text
    expect("four" not in text.removesuffix("four"), repr(text), "nothing behind 'four'")
    if "four" not in text:
        skip(f"the LLM may not have written it, or it was left out: {text!r}")


def _expect_own_words_to_stop(trial: Trial) -> None:
    """Stop a model as it is at a word of its own answer, if it has one with more behind it."""
    words = trial.call("invoke").message.text.split()
    stop = max(words[1:-1], key=len, default="")
    for way in WAYS if stop else ():
        call = trial.call(way, stop=[stop])
        if call.error is not None and is_refusal(call.error, "stop"):
            warn(f"{way}: {told(call.error)}", "sequences that are respected")
        text = call.message.text
        behind = text.partition(stop)[2]
        expect(not behind, f"{way}: {text!r}", f"nothing behind {stop!r}", sent=f"stop={[stop]}")


@rule(
    "P2",
    "The earliest of several stop sequences wins",
    fix="Look for all of them, and cut at the smallest index; not at the first of the list.",
    scripted=True,
    needs=["stop"],
)
def the_earliest_wins(trial: Trial) -> None:
    """Order in the list must not matter, nor which of them is longer.

    Sequences that mean something in regular expressions, that come at the start, or twice, that are
    white space, or differ in capitals only, are tried as well.
    """
    for way in WAYS:
        for script in (SCRIPT, [_said(SCRIPT), Usage(9, 6)]):
            for stops in (["mat", "cat"], ["cat", "mat"], ["on the mat", "cat", "sat"]):
                text = trial.call(way, script=script, stop=stops).message.text
                upto(trial, text, "cat", _said(SCRIPT), f"{way}, stop={stops}, {len(script)} parts")
        for whole, stop in ODD_STOPS:
            text = trial.call(
                way, script=[whole, Usage(9, 6)], stop=[stop, "(", "never"]
            ).message.text
            how = f"{way}, stop={stop!r} of {whole!r}"
            if stop in whole:
                upto(trial, text, stop, whole, how)
            else:
                expect(text == whole, f"{how}: {text!r}", repr(whole))


@rule(
    "P3",
    "A stop sequence across chunks leaks nothing, and no more is held back than may be its begin",
    fix="Hold back the longest end of the text that begins a stop sequence, and nothing else; "
    "give it out when the next chunk shows that it was none.",
    scripted=True,
    needs=["stop", "streaming"],
)
def stop_across_chunks(trial: Trial) -> None:
    """Tokens cut sequences anywhere.

    The backend sends "END" in pieces, and things that look like its begin; then it pauses behind a
    text that can't begin a stop sequence, which has to be there before the pause is over. Who holds
    a few characters back at any time, as many as the sequence has but one, has a warning.
    """
    held = ""
    cases: list[tuple[list[Any], str]] = [
        (["one E", "N", "D two"], "END"),
        (["one ", "EN", "EN", "D", " two"], "END"),
        (["E", "N", "D"], "END"),
        (["END", " two"], "END"),
        (["a", "\n\n", "\nHu", "man: b"], "\n\nHuman"),
        (["so (a", ") c", ". d"], "."),
        (["a\n", "\n", "b"], "\n\n"),
    ]
    for script, stop in cases:
        for way in streaming(trial):
            text = trial.call(way, script=[*script, Usage(5, 5)], stop=[stop]).message.text
            upto(trial, text, stop, _said(script), f"{way}, {script}")
    for way in streaming(trial):
        text = trial.call(
            way, script=["it EN", "ds E", "N", Usage(5, 5)], stop=["END"]
        ).message.text
        expect(text == "it ENds EN", f"{way}: {text!r}", "'it ENds EN': no stop sequence is there")
        script = ["a ##", "#END two", Usage(5, 5)]
        text = trial.call(way, script=script, stop=["ZZ", "###END"]).message.text
        upto(trial, text, "###END", _said(script), f"{way}, {script}")
        held = held or _held_back(trial, way)
    if held:
        warn(held, "all of it: no end of it begins the sequence")


def _held_back(trial: Trial, way: str) -> str:
    """Return what is held back of a text that ends in nothing that may begin the sequence."""
    stop, script = "END", [*LONG, Pause(PAUSE_SECONDS), "EN", "D", Usage(5, 5)]
    plain = early_text(trial.call(way, script=script))
    held = plain
    for _attempt in range(ATTEMPTS):
        early = early_text(trial.call(way, script=script, stop=[stop]))
        held = min(held, plain[len(early) :], key=len)
        if not held:
            return ""
    got = f"{way}: {held!r:.200} did not come before the pause"
    expect(len(held) < len(stop), got, "nothing that is held back for nothing")
    return got


@rule(
    "P4",
    "A constructor's `stop` is applied, and a call's takes its place",
    fix="Use `self.stop if stop is None else stop`, on every path.",
    scripted=True,
    needs=["stop"],
)
def stop_of_the_constructor(trial: Trial) -> None:
    """A model is set up once, and a chain asks for its own sequences.

    Whether an empty list takes the constructor's away is where opinions differ: a warning. So is a
    model that refuses to take both, by an error that names `stop`.
    """
    whole, kept = _said(SCRIPT), []
    for way in WAYS:
        text = trial.call(way, script=SCRIPT, fields={"stop": ["sat"]}).message.text
        upto(trial, text, "sat", whole, f"{way}, constructor")
        call = trial.call(way, script=SCRIPT, fields={"stop": ["sat"]}, stop=["mat"])
        if call.error is not None and is_refusal(call.error, "stop"):
            warn(f"{way}: {told(call.error)}", "the call's takes the constructor's place")
        upto(trial, call.message.text, "mat", whole, f"{way}, call's in place of constructor's")
        model = trial.model(SCRIPT, stop=["sat"])
        trial.call(way, "Hi", model=model, stop=["cat"])
        text = trial.call(way, "Hi", model=model).message.text
        upto(trial, text, "sat", whole, f"{way}, constructor's after a call's")
        text = trial.call(way, script=SCRIPT, fields={"stop": ["sat"]}, stop=[]).message.text
        if text != whole:
            kept.append(way)
        model = trial.model(SCRIPT)
        trial.call(way, "Hi", model=model, stop=["sat"])
        text = trial.call(way, "Hi", model=model).message.text
        expect(text == whole, f"{way}, after a call with a stop: {text!r}", repr(whole))
    for way in [each for each in able(trial) if each.endswith("v3")]:
        text = trial.call(way, script=SCRIPT, fields={"stop": ["sat"]}).message.text
        upto(trial, text, "sat", whole, f"{way}, constructor")
    if kept:
        warn(f"{', '.join(kept)}: stop=[] leaves the constructor's in force", "none at all")


@rule(
    "P5",
    "`stop=[]` is none at all, and an empty stop sequence is refused",
    fix="Treat an empty list as None; raise ValueError for an empty str: it is in every text.",
    scripted=True,
    needs=["stop"],
)
def empty_stops(trial: Trial) -> None:
    """An empty str is found at the begin of every text, so that the answer is lost.

    Who passes it on to a backend that ignores it loses nothing: a warning.
    """
    whole, taken = _said(SCRIPT), []
    for way in WAYS:
        text = trial.call(way, script=SCRIPT, stop=[]).message.text
        expect(text == whole, f"{way}, stop=[]: {text!r}", repr(whole))
        call = trial.call(way, script=SCRIPT, stop=[""])
        if call.error is None:
            text = call.message.text
            expect(text == whole, f"{way}, stop=['']: {text!r}", "an error")
            taken.append(way)
        call = trial.call(way, script=SCRIPT, stop=["", "mat"])
        if call.error is None:
            upto(trial, call.message.text, "mat", whole, f"{way}, stop=['', 'mat']")
    if taken:
        warn(f"stop=[''] was taken by {', '.join(taken)}", "an error that names it")


@rule(
    "P6",
    "The text is the same in every way of calling, and the backend is halted at the stop",
    fix="Apply the same filter on every path, and close the backend's stream when it has matched.",
    scripted=True,
    needs=["stop"],
)
def the_same_everywhere(trial: Trial) -> None:
    """A backend that goes on costs money, or holds a slot, for text that nobody sees."""
    ways = [way for way in able(trial) if not way.startswith("events")]
    texts = {}
    for way in ways:
        texts[way] = trial.call(way, script=SCRIPT, stop=["sat"]).message.text
    expect(len({*texts.values()}) == 1, f"{texts}", "one text")
    if not trial.has("streaming"):
        return
    for way in streaming(trial):
        script = ["one ", "END", *[Pause(0.02), "two "] * 250, Usage(5, 5)]
        model = trial.model(script)
        trial.call(way, "Hi", model=model, stop=["END"])
        (received, *_) = trial.received(model) or [None]
        if received is None:
            skip("no request was seen")
        until = time.monotonic() + HALT_SECONDS
        while received.ended_at == 0 and time.monotonic() < until:
            time.sleep(0.01)
        expect(received.ended_at, f"{way}: the backend goes on {HALT_SECONDS:g} s later", "halted")
        # A backend that honours the sequence ends by itself; else the caller has to leave it.
        halted = received.ended == "lost" or bool(received.asked and received.asked.stop)
        expect(halted, f"{way}: the answer was read to its end, behind the stop", "halted")


@rule(
    "P7",
    "`response_metadata` says that a stop sequence ended the answer, and which",
    fix="Set `finish_reason='stop'` and `stop_sequence` to the one that matched.",
    severity="warning",
    scripted=True,
    needs=["stop"],
)
def the_reason_is_told(trial: Trial) -> None:
    """Code that asks several questions in one prompt has to know at which mark the answer ended.

    Providers rarely say which sequence it was: that is a warning.
    """
    silent = []
    for way in WAYS:
        metadata = trial.call(way, script=SCRIPT, stop=["never", "sat"]).message.response_metadata
        names = ("finish_reason", "stop_reason", "done_reason")
        reason = next((metadata[each] for each in names if metadata.get(each)), None)
        got = f"{way}: {reason!r} in {metadata}"
        expect(reason in {"stop", "stop_sequence", "end_turn"}, got, "finish_reason='stop'")
        if "sat" not in [each for each in metadata.values() if isinstance(each, str)]:
            silent.append(way)
        cut = [*SCRIPT[:3], Finish("length"), Usage(9, 6)]
        metadata = trial.call(way, script=cut, stop=["never"]).message.response_metadata
        told = [each for each in metadata.values() if isinstance(each, str)]
        got = f"{way}, cut by its length before any stop sequence: {metadata}"
        expect("never" not in told, got, "no stop_sequence")
        reason = next((metadata[each] for each in names if metadata.get(each)), None)
        expect(reason not in {"stop", "stop_sequence", "end_turn"}, got, "finish_reason='length'")
    if silent:
        warn(f"{', '.join(silent)}: nothing says which sequence it was", "stop_sequence='sat'")
