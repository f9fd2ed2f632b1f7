"""Which ways of calling a model are open to it, and answers to try them with."""

from typing import Any

from chatwright.checks.calls.modes import MODES, STREAMING
from chatwright.checks.outcome import skip
from chatwright.checks.trial import LOOK_UP, Trial, overrides
from chatwright.deltas import Finish, Reasoning, ToolCallDelta, Usage

__all__ = ["CALLING", "V3", "able", "answering", "need_streaming", "streaming", "streams_by"]

V3 = ("v3", "async_v3")
"""The ways of the streaming protocol v3."""
_SOURCES = {
    "v3": ("_stream", "_stream_chat_model_events"),
    "async_v3": ("_stream", "_astream", "_astream_chat_model_events"),
    **dict.fromkeys(("invoke", "stream"), ("_stream",)),
    **dict.fromkeys(("ainvoke", "astream"), ("_stream", "_astream")),
}
"""What a class has to have so that core can stream by these ways."""
_CALL = ToolCallDelta(0, "call_1", "look_up", '{"word": "cät"}')
_TELLING: dict[str, list[Any]] = {
    "text": ["The cät ", "sat\n", "", " on 日本.", Usage(9, 6)],
    "cut text": ["Cut in the mid", Finish("length"), Usage(9, 6)],
    "reasoning": [Reasoning("hm, "), Reasoning("so"), "The mat.", Usage(9, 6)],
}
CALLING: dict[str, list[Any]] = {
    "a call": [_CALL, Usage(9, 6)],
    "text and calls": [
        *("Let me ", "look.", _CALL),
        *(ToolCallDelta(1, "call_2", "look_up", '{"word": "mat"}'), Usage(9, 6)),
    ],
}
"""Answers with calls of `LOOK_UP`."""


def streams_by(trial: Trial, way: str) -> bool:
    """Tell whether core can stream by a way: without `_stream`, there is no sync v3, say."""
    cls = type(trial.model())
    names = _SOURCES.get(way, ())
    return not names or any(overrides(cls, each) for each in names)


def streaming(trial: Trial) -> list[str]:
    """Return the ways by which chunks come as they are made: a live model is called once."""
    found = [way for way in STREAMING if streams_by(trial, way)]
    return found if trial.scripted else found[:1]


def able(trial: Trial) -> list[str]:
    """Return the ways by which the model can be called."""
    return [way for way in MODES if way not in V3 or streams_by(trial, way)]


def need_streaming(trial: Trial) -> None:
    """Skip the rule where streaming is switched off: by the class on purpose, or by the user."""
    model = trial.model()
    if model.disable_streaming is True:
        skip("streaming is switched off: disable_streaming=True")
    by_user = trial.shared.maker.given.get("streaming") is False or not trial.scripted
    if by_user and getattr(model, "streaming", None) is False:
        skip("streaming is switched off: streaming=False")


def answering(trial: Trial) -> list[tuple[str, Any]]:
    """Return names and models of all kinds of answers; one without a model, where it is live."""
    if not trial.scripted:
        return [("a plain answer", None)]
    found: list[tuple[str, Any]] = [(name, trial.model(each)) for name, each in _TELLING.items()]
    if trial.has("calls"):
        found += [(name, trial.model(each).bind_tools([LOOK_UP])) for name, each in CALLING.items()]
    return found
