"""Endings: why an answer ended, and refusals."""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage

from chatwright.checks.outcome import expect, skip, warn
from chatwright.checks.probes.inspection import ANSWERING, is_accident, said, speaks_v3, wire
from chatwright.checks.rulebook import rule
from chatwright.checks.trial import Trial
from chatwright.deltas import Finish, Refusal, Usage

REFUSED = "I can't help with that."
REFUSING: Sequence[Any] = (Refusal("I can't "), Refusal("help with that."), Usage(9, 6))
STATES = {"stop": "completed", "length": "incomplete"}


@rule(
    "S15",
    "Why an answer ended has one name, whatever the backend calls it",
    fix="Set `response_metadata['normalized_finish_reason']` to `stop`, `length`, `tool_calls`, "
    "`content_filter` or `refusal`, and `finish_state` to `completed`, `incomplete` or `refused`, "
    "on the chunk that ends a stream as well; leave `finish_reason` as it came.",
    section="Streaming",
    severity="warning",
    scripted=True,
)
def one_name(trial: Trial) -> None:
    """Each backend has its own words for it: `length`, `max_tokens`, `MAX_TOKENS`.

    Code for several models asks for the name that they share (langchain-ai/langchain#34307). The
    backend answers once whole and once cut, in every mode. A model that tells no such name anywhere
    is not tested; one that tells a wrong one, or not in every mode, fails.
    """
    told: dict[str, Any] = {}
    for reason, state in STATES.items():
        model = trial.model(["Hi ", "there.", Usage(9, 6), Finish(reason)])
        for way in (*ANSWERING, *speaks_v3(trial)):
            call = trial.call(way, "Hi", model=model)
            expect(call.error is None, f"{way}: {said(call)}", "an answer")
            metadata = call.message.response_metadata
            found = metadata.get("normalized_finish_reason")
            told[f"{way}, {reason}"] = found
            got = f"{way}: an answer that ended by {reason!r} is said to end by {found!r}"
            expect(found in {None, reason}, got, reason)
            kept = metadata.get("finish_state")
            got = f"{way}: the state of an answer that ended by {reason!r} is {kept!r}"
            expect(kept in {None, state}, got, state)
    if not any(told.values()):
        skip("the model tells no normalized_finish_reason")
    missing = [where for where, name in told.items() if not name]
    expect(not missing, f"there is no normalized_finish_reason by {missing}", "in every mode")


@rule(
    "M8",
    "A refusal is told beside the text, in every mode, and never as the text",
    fix="Put what the backend says in `refusal` into a block of the type `refusal`, or into "
    "`additional_kwargs['refusal']`, piece by piece in `_stream` as well.",
    scripted=True,
)
def refusal(trial: Trial) -> None:
    """Who takes a refusal for an answer parses it, asks again, and pays again.

    The backend refuses as OpenAI's two APIs do, in a field of its own; core raises
    `ModelRefusalError` for such blocks from langchain-core 1.8 on. The words are looked for in
    `content_blocks` and `additional_kwargs`, in every mode. A model that shows none anywhere has a
    warning; one that shows them in some modes only fails, and so does one whose text they are.
    """
    if trial.over_http and wire(trial) not in {"openai", "responses"}:
        skip("on this wire a refusal has no field of its own")
    model = trial.model(REFUSING)
    shown: dict[str, bool] = {}
    for way in (*ANSWERING, *speaks_v3(trial)):
        call = trial.call(way, "Hi", model=model)
        if call.error is not None and not is_accident(call.error, "refus"):  # it is no answer
            warn(f"{way}: {said(call)}", "a refusal block")
        expect(call.error is None, f"{way}: {said(call)}", "a refusal")
        message = call.message
        expect(not message.text, f"{way}: the text is {message.text!r}", "no text")
        words = _words(message)
        expect(words in ("", REFUSED), f"{way}: the refusal is {words!r}", REFUSED)
        shown[way] = bool(words)
    missing = [way for way, there in shown.items() if not there]
    if len(missing) == len(shown):
        warn("the refusal that the backend sends is not shown", "a refusal block")
    expect(not missing, f"there is no refusal by {missing}", "the same in every mode")


def _words(message: AIMessage) -> str:
    """Return the words of a refusal. Core's v3 knows none, so that its block may be in another."""
    blocks: list[Any] = [each.get("value", each) for each in message.content_blocks]
    words = [each["refusal"] for each in blocks if each.get("type") == "refusal"]
    return "".join(words) or str(message.additional_kwargs.get("refusal") or "")
