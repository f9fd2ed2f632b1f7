"""What a rule is given: a model, in whatever way it can be had, and ways to call it."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from langchain_core.language_models import BaseChatModel

from chatwright.checks.calls.causes import is_lost, own_files
from chatwright.checks.calls.event_loop import Background
from chatwright.checks.calls.evidence import exchange
from chatwright.checks.calls.modes import IN_ASYNC_CODE, MODES, Call
from chatwright.checks.finding import Exchange
from chatwright.checks.outcome import skip
from chatwright.checks.targets.backends import ANSWER, PROMPT, Made, Script, Stage
from chatwright.checks.targets.constructor import Maker

__all__ = ["LOOK_UP", "TIMEOUT", "WORD", "Budget", "Shared", "Trial", "overrides"]

T = TypeVar("T")

WORD = {
    "type": "object",
    "properties": {"word": {"type": "string"}},
    "required": ["word"],
}
LOOK_UP = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Looks a word up.",
        "parameters": WORD,
    },
}
"""A tool, in OpenAI's form."""
LIVE_PROMPT = "Name three colours, in one short line."
TIMEOUT = 15.0
"""How long one call may take, in seconds, before it is taken for hung."""
_PLAIN = (str, int, float, list)
HUNG_SECONDS = 2.0
"""How long one may take once another one has hung."""
KEPT_CALLS = 4
"""How many calls a finding shows: the last ones."""


@dataclass
class Budget:
    """How often models may be called, and what they may cost; no limits where both are None.

    Args:
        max_calls: How many calls may be made.
        max_cost: What they may cost.
        price: What a million input, and output, tokens cost; None where only the model knows.
        changed: Is called before calls are made, and after.
        calls: How many calls were made.
        cost: What they cost so far, as far as that is known.
    """

    max_calls: int | None = None
    max_cost: float | None = None
    price: tuple[float, float] | None = None
    changed: Callable[[], None] = lambda: None
    calls: int = 0
    cost: float = 0.0

    def afford(self, calls: int) -> None:
        """Skip the rule where that many calls more would go beyond a limit."""
        if self.max_calls is not None and self.calls + calls > self.max_calls:
            skip("it would take more calls than are allowed (max_calls)")
        if calls and self.max_cost is not None and self.cost >= self.max_cost:
            skip(f"no more cost is allowed (max_cost): {self.cost:g} is spent")

    def claim(self, calls: int = 1) -> None:
        """Count calls that are about to be made; skip the rule where they are too many."""
        self.afford(calls)
        self.calls += calls
        self.changed()

    def spend(self, call: Call) -> None:
        """Add what a call has cost."""
        answer = None if call.error is not None else call.message
        usage = getattr(answer, "usage_metadata", None) or {}
        told = (getattr(answer, "response_metadata", None) or {}).get("cost")
        if self.price is not None:
            spent = zip(self.price, ("input_tokens", "output_tokens"), strict=True)
            self.cost += sum(price * (usage.get(name) or 0) / 1e6 for price, name in spent)
        elif isinstance(told, Mapping) and isinstance(told.get("total"), int | float):
            self.cost += told["total"]
        self.changed()


@dataclass
class Shared:
    """What the rules of one run share.

    Args:
        stage: Makes models.
        maker: Says what the model's constructor takes.
        declared: What the model is said to support, such as `images`.
        background: Where async code runs.
        calls: Plain calls, by their ways.
        budget: How often the model was called, and may be.
        made: The model that plain calls are made of.
        reused: Models of other scripts, by their fields.
        lacking: Why the model has not an ability, by its name; empty where it has.
        streams: Streams of other answers than plain ones, by what they are.
        fresh: What is new in each request, such as an id of its own; None where nobody has looked.
        patience: How long one call may take, in seconds.
        has_hung: Whether one took longer: others are given less time since.
    """

    stage: Stage
    maker: Maker
    declared: frozenset[str] = frozenset()
    background: Background = field(default_factory=Background)
    calls: dict[str, Call] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)
    made: Made | None = None
    reused: dict[str, Made] = field(default_factory=dict)
    lacking: dict[str, str] = field(default_factory=dict)
    fresh: frozenset[str] | None = None
    streams: dict[str, Call] = field(default_factory=dict)
    patience: float = TIMEOUT
    has_hung: bool = False

    def is_away(self) -> bool:
        """Tell whether nothing answers where a live model asks."""
        plain = self.calls.get("invoke") if self.stage.layer == "live" else None
        return plain is not None and plain.error is not None and is_lost(plain.error)


class Trial:
    """What a rule is given.

    Args:
        shared: What the rules of one run share.
        seconds: How long the rule may take.
    """

    def __init__(self, shared: Shared, seconds: float = 20.0) -> None:
        """Start with no calls."""
        self.shared = shared
        self.deadline = time.monotonic() + seconds
        self.is_hurried = shared.has_hung
        self.active = time.perf_counter()
        self.made: list[Call] = []
        self._received: dict[int, tuple[BaseChatModel, Any]] = {}

    @property
    def scripted(self) -> bool:
        """Whether the model's backend plays scripts."""
        return self.shared.stage.layer == "scripted"

    @property
    def own_files(self) -> frozenset[str]:
        """The files that the model is written in."""
        return own_files(type(self.model()))

    @property
    def over_http(self) -> bool:
        """Whether the backend is an HTTP server, whose requests can be looked at."""
        return self.shared.stage.over_http

    @property
    def prompt(self) -> str:
        """What is said where nothing else is."""
        return PROMPT if self.scripted else LIVE_PROMPT

    def model(self, script: Script | None = None, **fields: Any) -> BaseChatModel:
        """Return a model.

        Args:
            script: What its backend answers: deltas (`str`, `Reasoning`, `ToolCallDelta`, `Usage`,
                `Finish`) and `chatwright.testing`'s `Pause`, `Cut`, `Stall`, `Refuse`; or a
                function of a `Received` that returns them. Default: a short text with usage.
            **fields: The model's fields. The rule is skipped where its constructor does not take
                one of them.
        """
        if script is None and not fields:
            if self.shared.made is None:
                self.shared.made = self.shared.stage.make(None, {})
            made = self.shared.made
        else:
            made = self.shared.stage.make(script, fields)
        self._received[id(made.model)] = (made.model, made.received)
        return made.model

    def _again(self, script: Script | None, fields: Mapping[str, Any]) -> BaseChatModel:
        """Return a model that is made once for all calls with the same plain fields: it is slow."""
        if script is None and not fields:
            return self.model()
        if not all(isinstance(each, _PLAIN) for each in fields.values()):
            return self.model(script, **fields)
        key = repr(sorted(fields.items()))
        made = self.shared.reused.get(key)
        if made is None:
            made = self.shared.reused[key] = self.shared.stage.make(script, fields)
        made.script = ANSWER if script is None else script
        self._received[id(made.model)] = (made.model, made.received)
        return made.model

    def takes(self, name: str) -> bool:
        """Tell whether the model's constructor takes a thing, such as `headers`."""
        return self.shared.maker.parameter(name) is not None

    def received(self, model: Any) -> list[Any]:
        """Return what arrived at the backend of a model that `model` returned, tools bound or not.

        Each is a `chatwright.testing.Received`: `.asked` is what it asks, whatever its wire. Of a
        copy of a model, or of what was made of one, it is all that arrived at this trial's models.
        """
        while model is not None and id(model) not in self._received:
            model = getattr(model, "bound", None)
        if model is not None:
            own: list[Any] = self._received[id(model)][1]
            return own
        lists = {id(received): received for _, received in self._received.values()}
        return sorted((each for found in lists.values() for each in found), key=_arrival)

    def has(self, ability: str) -> bool:
        """Tell whether the model has an ability: `streaming`, `tools`, `structured`, …."""
        return ability in self.shared.declared or not self.lacks(ability)

    def lacks(self, ability: str) -> str:
        """Return why the model has not an ability; empty where it has."""
        if ability not in self.shared.lacking:
            self.shared.lacking[ability] = self._why_not(ability)
        return self.shared.lacking[ability]

    def _why_not(self, ability: str) -> str:
        model: Any = self.model()
        if ability in {"calls", "stop"}:
            return self._why_no_calls() if ability == "calls" else self._why_no_stop()
        if not _has(type(model), ability):
            return REASONS.get(ability, f"{ability} are not declared")
        try:
            if ability == "tools":
                model.bind_tools([LOOK_UP])
            elif ability == "structured":
                model.with_structured_output({"title": "Word", **WORD})
        except NotImplementedError as error:
            return f"the model refuses {ability}: {error}"
        except Exception:  # noqa: BLE001  a rule finds it
            return ""
        return ""

    def _why_no_calls(self) -> str:
        """Return why a backend's own calls can't be tried: none are asked for where it is told."""
        if not self.has("tools"):
            return self.lacks("tools")
        if self.over_http:
            model: Any = self.model()
            call = self.call("invoke", self.prompt, model=model.bind_tools([LOOK_UP]))
            asked = call.received[-1].asked if call.received else None
            bare = asked and not call.error and not asked.tools
            if bare and asked and any("look_up" in text for _, text in asked.messages):
                return "the request names no tools: calls are made by the prompt"
        return ""

    def _why_no_stop(self) -> str:
        if not self.scripted:
            return ""
        error = self.call("invoke", stop=["sat"]).error
        honest = (
            isinstance(error, ValueError | NotImplementedError) and "stop" in str(error).lower()
        )
        return f"the model refuses stop sequences: {error}" if honest else ""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the run's event loop, and return what it returns.

        Raises:
            TimeoutError: The rule's time is over.
        """
        left = max(0.1, self.deadline - time.monotonic())
        return self.shared.background.run(work, min(left, self.shared.patience))

    def call(
        self,
        way: str = "invoke",
        prompt: Any = None,
        *,
        model: Any = None,
        script: Script | None = None,
        fields: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Call:
        """Call a model, and return all that came of it; what it raises is kept, not raised.

        A plain call, without any of the keyword arguments, is made once for all rules.

        Args:
            way: How to call it: a key of `MODES`.
            prompt: What to say. Default: a short question.
            model: The model, or a runnable made of it. Default: one is made.
            script: What its backend answers.
            fields: The model's fields.
            config: LangChain's config of the call; a recorder is added to its callbacks.
            **kwargs: The call's parameters.
        """
        if self.shared.stage.only_async:  # which is a finding of its own
            way = IN_ASYNC_CODE.get(way, way)
        plain = prompt is None and model is None and script is None
        shared = plain and not (fields or config or kwargs)
        if shared and way in self.shared.calls:
            call = self.shared.calls[way]
            self.made.append(call)
            return call
        self.shared.budget.claim()
        call = Call(way, self.prompt if prompt is None else prompt, shared=shared)
        asked = self._again(script, fields or {}) if model is None else model
        before = len(self.received(asked))
        given = {**(config or {})}
        started = self.active = time.perf_counter()
        given["callbacks"] = [*(given.get("callbacks") or ()), call.recorder]
        try:
            self.run(_caught(MODES[way](call, asked, given, kwargs), call))
        except BaseException as error:  # noqa: BLE001  it is the model's, and a finding
            call.error = error
            if isinstance(error, TimeoutError):
                # It will do so again.
                self.shared.patience = min(HUNG_SECONDS, self.shared.patience)
                self.shared.has_hung = True
        self.active = time.perf_counter()
        call.seconds = self.active - started
        call.received = self.received(asked)[before:]
        self.made.append(call)
        self.shared.budget.spend(call)
        if shared:
            self.shared.calls[way] = call
        return call

    def is_under_way(self) -> bool:
        """Tell whether calls began, or ended, within the time that one may take."""
        return bool(self.made) and time.perf_counter() - self.active < self.shared.patience

    def exchanges(self) -> list[Exchange]:
        """Return the calls of this rule, for the report."""
        return [exchange(each) for each in self.made[-KEPT_CALLS:]]


def _arrival(received: Any) -> float:
    return float(getattr(received, "at", 0.0))


async def _caught(work: Coroutine[Any, Any, None], call: Call) -> None:
    """Keep what a model raises; SystemExit and KeyboardInterrupt would end the loop."""
    try:
        await work
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001  it is a finding
        call.error = error


def _has(cls: type[BaseChatModel], ability: str) -> bool:
    """Tell whether a class overrides what core does not do by itself."""
    overridden = {
        "streaming": ("_stream", "_astream", "_stream_chat_model_events"),
        "tools": ("bind_tools",),
        "structured": ("bind_tools", "with_structured_output"),
        "async": ("_agenerate", "_astream"),
    }
    names = overridden.get(ability, ())
    return any(overrides(cls, each) for each in names)


def overrides(cls: type, name: str) -> bool:
    """Tell whether a class has a method that core does not write: SimpleChatModel's are core's."""
    made = getattr(cls, name, None)
    cores = (None, getattr(BaseChatModel, name, None))
    return made not in cores and getattr(made, "__module__", "") != BaseChatModel.__module__


REASONS = {
    "streaming": "the class has no _stream and no _astream: core gives the whole answer",
    "tools": "the class has no bind_tools",
    "structured": "the class has neither bind_tools nor with_structured_output",
}


def need(trial: Trial, ability: str) -> None:
    """Skip the rule where the model has not an ability."""
    if not trial.has(ability):
        skip(trial.lacks(ability))
