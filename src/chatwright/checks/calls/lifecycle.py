"""How runs, and the events of v3, have to begin, go on and end."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chatwright.checks.calls.modes import Call

__all__ = ["run_violation", "violation"]


def run_violation(call: Call, *, left: bool = False) -> str | None:
    """Return what is wrong with the callbacks of a call, or None.

    There has to be one run, of one start and then one end or error, whichever the caller saw. Runs
    below it, of models that the model calls, have to be whole as well.

    Args:
        call: The call.
        left: Whether the caller went away in the middle, so that either end will do.
    """
    runs: dict[Any, list[str]] = {}
    parents: dict[Any, Any] = {}
    for name, _, kwargs in call.recorder.calls:
        run = kwargs.get("run_id")
        runs.setdefault(run, []).append(name)
        parents.setdefault(run, kwargs.get("parent_run_id"))
    started = [run for run, names in runs.items() if "on_chat_model_start" in names]
    roots = [run for run in started if parents[run] not in started]
    if len(roots) != 1:
        return f"{len(roots)} runs were started"
    for run in started:
        if wrong := _run_violation(runs[run]):
            return wrong
    said = "an answer came" if call.error is None else f"{type(call.error).__name__} was raised"
    end = runs[roots[0]][-1]
    expected = "on_llm_end" if call.error is None else "on_llm_error"
    return None if left or end == expected else f"{said}, but the run ended by {end}"


def _run_violation(names: Sequence[str]) -> str | None:
    starts = names.count("on_chat_model_start")
    ends = [each for each in names if each in {"on_llm_end", "on_llm_error"}]
    if starts != 1 or names[0] != "on_chat_model_start":
        return f"{starts} starts, and {names[0]} came first"
    if len(ends) != 1:
        return f"the run ended by {ends or 'nothing'}"
    return None if names[-1] == ends[0] else f"{names[-1]} came after {ends[0]}"


def violation(events: Sequence[Any]) -> str | None:
    """Return what is wrong with the events of one message, or None.

    That is what `assert_valid_event_stream` of langchain-tests asserts
    (`utils/stream_lifecycle.py` of 1.1.9), and further that there is an end, and that no event is
    handed out twice: core keeps them by reference.

    Args:
        events: The events, as `stream_events(version="v3")` yields them.
    """
    if not events:
        return "there are no events"
    if wrong := [each for each in events if not isinstance(each, Mapping) or "event" not in each]:
        return f"{wrong[0]!r} is no event"
    if len({id(each) for each in events}) < len(events):
        return "one dict is handed out as several events: core keeps them by reference"
    names = [each["event"] for each in events]
    if names[0] != "message-start" or names.count("message-start") != 1:
        return f"message-start has to come first, and once; the events are {_shown(names)}"
    if names[-1] != "message-finish" or names.count("message-finish") != 1:
        return f"message-finish has to come last, and once; the events are {_shown(names)}"
    blocks = _Blocks()
    for at, each in enumerate(events):
        if wrong_block := blocks.feed(each):
            return f"event {at}: {wrong_block}"
    return None


def _shown(names: Sequence[str]) -> str:
    return ", ".join([*names[:3], "…", *names[-2:]] if len(names) > 5 else names)  # noqa: PLR2004


@dataclass
class _Blocks:
    """The blocks of a message: their numbers, and what their deltas have said so far."""

    open: dict[int, dict[str, str]] = field(default_factory=dict)
    begun: int = 0

    def feed(self, event: Mapping[str, Any]) -> str | None:
        """Take an event; return what is wrong with it."""
        name, index = event["event"], event.get("index")
        if name == "message-finish" and self.open:
            return f"the message ends, and the blocks {[*self.open]} don't"
        if name not in {"content-block-start", "content-block-delta", "content-block-finish"}:
            return None  # the protocol may grow
        if not isinstance(index, int) or isinstance(index, bool):
            return f"{name} has the index {index!r}, which is no whole number"
        if name == "content-block-start":
            return self._start(index)
        if index not in self.open:
            return f"{name} for the block {index}, which is not open"
        if name == "content-block-delta":
            self._grow(self.open[index], event.get("delta") or {})
            return None
        return _difference(index, self.open.pop(index), _content(event))

    def _start(self, index: int) -> str | None:
        if index != self.begun:
            return f"the block {index} begins where {self.begun} was due"
        self.open[index] = {}
        self.begun += 1
        return None

    @staticmethod
    def _grow(said: dict[str, str], delta: Mapping[str, Any]) -> None:
        for kind, key in (("text", "text"), ("reasoning", "reasoning"), ("data", "data")):
            if delta.get("type") == f"{kind}-delta":
                said[key] = said.get(key, "") + str(delta.get(key) or "")
        fields = delta.get("fields")
        if delta.get("type") == "block-delta" and isinstance(fields, Mapping):
            # These hold the arguments of a call as they are so far, and not what is new.
            said |= {"args": fields["args"]} if isinstance(fields.get("args"), str) else {}


def _content(event: Mapping[str, Any]) -> Mapping[str, Any]:
    content = event.get("content") or event.get("content_block")
    return content if isinstance(content, Mapping) else {}


def _difference(index: int, said: Mapping[str, str], content: Mapping[str, Any]) -> str | None:
    """Return how a block's end differs from what its deltas said."""
    for key in ("text", "reasoning", "data"):
        if key in said and (content.get(key) or "") != said[key]:
            return f"the block {index} ends as {content.get(key)!r}; its deltas said {said[key]!r}"
    if "args" in said and content.get("type") in {"tool_call", "server_tool_call"}:
        try:
            parsed = json.loads(said["args"] or "{}")
        except ValueError:
            parsed = None
        if content.get("args") != parsed:
            shown = f"{content.get('args')!r}; its deltas said {said['args']!r}"
            return f"the call {index} ends with the arguments {shown}"
    return None
