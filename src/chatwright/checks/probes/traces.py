"""What traces tell of a call: which model it was, and with which parameters."""

from typing import Any

from chatwright.checks.calls.modes import Call
from chatwright.checks.outcome import expect, warn
from chatwright.checks.probes.requests import asked_model, sent
from chatwright.checks.trial import Trial

__all__ = ["OTHER_MODEL", "expect_call_values", "expect_named", "expect_own_values", "traced_of"]

OTHER_MODEL = "another-model"
WARM = 0.375


def traced_of(call: Call) -> dict[str, Any]:
    """Return the metadata that the callback of the start was given."""
    starts = call.recorder.of("on_chat_model_start")
    return (starts[0][1].get("metadata") if starts else None) or {}


def expect_named(call: Call, way: str) -> None:
    """Fail unless a call's trace names the provider, and the model that was asked."""
    traced = traced_of(call)
    for name in ("ls_provider", "ls_model_name"):
        value = traced.get(name)
        expect(isinstance(value, str) and value, f"{way}: {name} is {value!r}", "a name")
    got = f"{way}: ls_model_type is {traced.get('ls_model_type')!r}"
    expect(traced.get("ls_model_type") == "chat", got, "'chat'")
    asked = asked_model(call)
    named = str(traced["ls_model_name"])
    same = asked is None or asked in named or named in asked  # routers take a prefix off
    expect(same, f"{way}: ls_model_name is {named!r}; {asked!r} was asked", "the same")


def expect_own_values(trial: Trial) -> None:
    """Fail unless the constructor's values are traced."""
    wanted = {"temperature": 0.25, "max_tokens": 77, "stop": ["never there"]}
    fields = {name: value for name, value in wanted.items() if trial.takes(name)}
    call = trial.call("invoke", fields=fields)
    traced = traced_of(call)
    for name in ("temperature", "max_tokens"):
        if name in fields:
            got = f"ls_{name} is {traced.get(f'ls_{name}')!r}"
            expect(traced.get(f"ls_{name}") == wanted[name], got, repr(wanted[name]))
    if "temperature" in fields:
        warmth = traced_of(trial.call("invoke", fields={"temperature": 0.0})).get("ls_temperature")
        none = warmth is not None and round(warmth, 6) == 0  # 1e-08 is, to APIs that refuse 0
        expect(none, f"temperature=0.0: ls_temperature is {warmth!r}", "0.0")
    if "stop" in fields:
        both = traced_of(trial.call("invoke", fields=fields, stop=["a call's"])).get("ls_stop")
        got = f"a call's stop over the constructor's: ls_stop is {both!r}"
        expect([*(both or ())] == ["a call's"], got, "the call's")
    if "stop" in fields and not traced.get("ls_stop"):
        warn("the constructor's stop is not traced", "ls_stop")


def expect_call_values(trial: Trial) -> None:
    """Fail unless a call's values are traced."""
    other: Any = trial.model().bind(model=OTHER_MODEL)
    for way in ("invoke", "astream"):
        traced = traced_of(trial.call(way, stop=["never there"]))
        got = f"{way}(stop=['never there']): ls_stop is {traced.get('ls_stop')!r}"
        expect([*(traced.get("ls_stop") or ())] == ["never there"], got, "the call's stop")
        call = trial.call(way, "Hi", temperature=0.375)
        warmth = traced_of(call).get("ls_temperature")
        got = f"{way}(temperature={WARM}): ls_temperature is {warmth!r}"
        expect(sent(call, "temperature") != WARM or warmth == WARM, got, "the call's")
        call = trial.call(way, "Hi", model=other)
        if asked_model(call) == OTHER_MODEL:  # else it is R2's
            named = traced_of(call).get("ls_model_name")
            got = f"{way}(model={OTHER_MODEL!r}): ls_model_name is {named!r}"
            expect(named == OTHER_MODEL, got, "the call's model")
