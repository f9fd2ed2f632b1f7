"""Calls whose arguments are broken: they are never valid, never lost, and never raise."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from chatwright.checks.calls.modes import STREAMING
from chatwright.checks.outcome import expect, skip, warn
from chatwright.checks.probes.inspection import (
    ANSWERING,
    bound,
    is_whole,
    said,
)
from chatwright.checks.probes.malformed_answers import one_of_two
from chatwright.checks.rulebook import rule
from chatwright.checks.trial import LOOK_UP, Trial
from chatwright.deltas import Finish, ToolCallDelta, Usage
from chatwright.testing import Received

BROKEN = ("{'word': 'cat'}", '{"word": cat}', "no JSON at all")
CUT = ('{"word": "ca', '{"word": "cat"', '{"word', "{", '{"word": ["a"', '{"word": "a\\')


@rule(
    "T6",
    "Malformed arguments are an invalid call, with their text kept",
    fix="Put calls whose arguments are no JSON object into `invalid_tool_calls`, with the text "
    "that came as `args`; `json.loads` decides, not a lenient parser.",
    scripted=True,
    needs=["calls"],
)
def malformed(trial: Trial) -> None:
    """LLMs write broken JSON; it must neither raise, nor be run, nor get lost.

    The arguments that the backend sends are in single quotes, or unquoted, or no JSON; that a list
    raises is a warning.
    Wires that send arguments as objects can't express them: Ollama's, and Anthropic's unless it is
    streamed.
    """
    _bad_calls(trial, BROKEN, "tool_calls")
    one_of_two(trial)
    call = trial.call(
        "invoke", "[1, 2]", model=bound(trial.model(_said_back("tool_calls")), [LOOK_UP])
    )
    if not any(is_whole(each) for each in call.received) and call.error is not None:
        warn(f"a list as arguments: {said(call)}", "an invalid call")


@rule(
    "T7",
    "Arguments that were cut are never a valid call",
    fix="Parse a call's arguments strictly once the answer has ended. Core adds chunks up by a "
    'lenient parser that completes `{"a": "b`: end such a call with a piece that breaks it.',
    scripted=True,
    needs=["calls"],
)
def cut(trial: Trial) -> None:
    r"""An answer that ends by its length may end in a call: `{"path": "/tmp` must not be run.

    Core's sum of chunks completes such arguments (`parse_partial_json`, in `AIMessageChunk`'s
    `init_tool_calls`, of langchain-core 1.7.2), and so a stream gives a valid call that nobody
    made, unless the model prevents that: a warning, for it is core that does so.
    """
    _bad_calls(trial, CUT, "length", cores=True)


def _bad_calls(trial: Trial, arguments: Sequence[str], reason: str, *, cores: bool = False) -> None:
    model = trial.model(_said_back(reason))
    tried = 0
    for way in ANSWERING:
        if any(is_whole(each) for each in trial.call(way).received):
            continue
        for args in arguments:
            tried += 1
            call = trial.call(way, args, model=bound(model, [LOOK_UP]))
            sent = f"arguments {args}"
            expect(call.error is None, f"{way}: {said(call)}", "an invalid call", sent=sent)
            message = call.message
            if cores and way in STREAMING and message.tool_calls:
                warn(f"{way}: core's sum of chunks: {said(call)}", "no valid call", sent=sent)
            expect(not message.tool_calls, f"{way}: {said(call)}", "no valid call", sent=sent)
            invalid = message.invalid_tool_calls
            kept = len(invalid) == 1 and args in str(invalid[0].get("args"))
            kept = kept and invalid[0].get("name") == "look_up"
            expect(kept, f"{way}: invalid_tool_calls {invalid}", "the call and its text", sent=sent)
    if not tried:
        skip("the wire sends arguments as objects: malformed ones can't be sent")


def _said_back(reason: str) -> Callable[[Received], Iterator[Any]]:
    """Return a script that calls with the prompt's text as arguments, in pieces."""

    def play(received: Received) -> Iterator[Any]:
        args = received.asked.messages[-1][1] if received.asked else ""
        yield ToolCallDelta(0, "call_1", "look_up", args[:4])
        if args[4:]:
            yield ToolCallDelta(0, args=args[4:])
        yield from (Finish(reason), Usage(9, 6))

    return play
