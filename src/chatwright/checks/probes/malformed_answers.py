"""Answers of LLMs that do badly: no JSON, half of it, a broken call beside a good one."""

from collections.abc import Iterator
from typing import Any

from chatwright.checks.outcome import expect
from chatwright.checks.probes.inspection import (
    ANSWERING,
    bound,
    calls_of,
    is_whole,
    parsed_or_none,
    pieces,
    said,
)
from chatwright.checks.probes.schemas import asks_for_json
from chatwright.checks.probes.tools import CLOCK
from chatwright.checks.trial import LOOK_UP, Trial
from chatwright.deltas import ToolCallDelta, Usage
from chatwright.testing import Received

__all__ = ["BAD", "bad_answer", "one_of_two"]

BAD = (
    "I don't know.",
    '{"name": "Zür',
    '{"name": "Zürich", "people": "many"}',
    '{"name": "Zürich"}',
)


def bad_answer(received: Received) -> Iterator[Any]:
    """Answer with what the prompt says; what a wire can't send as arguments is another bad answer.

    The prompt is the first message that is a user's: asking again adds others.
    """
    asked = received.asked
    if asked is None:
        return
    text = next((text for role, text in asked.messages if role == "user" and text in BAD), BAD[0])
    if not asked.tools or asks_for_json(received) or text == BAD[0]:
        yield from pieces(text)
    else:
        value = parsed_or_none(text)
        args = text if value is not None or not is_whole(received) else '{"people": "many"}'
        first, *rest = pieces(args)
        yield ToolCallDelta(0, "call_1", next(iter(asked.tools)), first)
        yield from (ToolCallDelta(0, args=each) for each in rest)
    yield Usage(9, 6)


def one_of_two(trial: Trial) -> None:
    """Fail where a broken call spoils the text before it, or the good one beside it."""
    good = ToolCallDelta(0, "call_1", "look_up", '{"word": "b"}')
    script = ["Look. ", good, ToolCallDelta(1, "call_2", "clock", "oops"), Usage(9, 6)]
    model = trial.model(script)
    for way in ANSWERING:
        if any(is_whole(each) for each in trial.call(way).received):
            continue
        call = trial.call(way, "Hi", model=bound(model, [LOOK_UP, CLOCK]))
        expect(call.error is None, f"{way}: {said(call)}", "one valid call, and an invalid one")
        message = call.message
        right = calls_of(message) == [("look_up", {"word": "b"})] and message.text == "Look. "
        right = right and len(message.invalid_tool_calls) == 1
        got = f"{way}, a good call and a broken one: {said(call)}, {message.invalid_tool_calls}"
        expect(right, got, "text, one valid call, and an invalid one")
