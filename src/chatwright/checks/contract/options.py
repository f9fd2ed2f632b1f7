"""Options of tools: `strict` and `parallel_tool_calls`, on their way to the backend."""

import warnings
from collections.abc import Mapping
from typing import Any

from chatwright.checks.outcome import fail, skip, warn
from chatwright.checks.probes.inspection import (
    ANSWERING,
    bound,
    claims,
    describes,
    is_refusal,
    requests,
    told,
    wire,
)
from chatwright.checks.probes.tools import form_tool, other_tool
from chatwright.checks.rulebook import rule
from chatwright.checks.trial import Trial
from chatwright.deltas import Usage


@rule(
    "T14",
    "`strict` and `parallel_tool_calls` reach the backend",
    fix="Put `strict` into each tool's definition, and pass `parallel_tool_calls` on in the "
    "backend's own form.",
    scripted=True,
    needs=["calls"],
)
def passed_on(trial: Trial) -> None:
    """Who binds `strict=True` relies on arguments that conform; else the LLM is only asked to.

    Each stands where its wire wants it. Ollama's has neither; a model must not fall over them. That
    `strict` is lost fails on OpenAI's wires where `bind_tools` names it, unless `strict=False` is
    refused or warned of by name: it is always on then. Elsewhere it is a warning. So is either as a
    parameter of the whole request that the wire does not have, where `bind_tools` names no such
    argument and, of `strict`, the profile does not claim `structured_output`: the server is told,
    and may refuse it.
    """
    spoken = wire(trial)
    model: Any = trial.model(["fine", Usage(9, 1)])
    given, doubt = {"strict": True, "parallel_tool_calls": False}, ""
    for way in (*ANSWERING, *ANSWERING[:1]):
        try:
            asked = bound(model, [form_tool, other_tool], **given)
            call = trial.call(way, "Hi", model=asked)
            error = call.error
        except Exception as raised:  # noqa: BLE001  it is the model's
            error = raised
        if error is not None and (named := [each for each in given if is_refusal(error, each)]):
            doubt = f"{way}: {told(error)}"
            given = {each: value for each, value in given.items() if each not in named}
            continue
        if error is not None:
            fail(f"{way}: {told(error)}", "both are sent")
        if trial.over_http and spoken != "ollama":
            request = requests(trial, call)[0].body
            doubt = _misplaced(request, given, wire(trial, call), model, way) or doubt
    if doubt:
        warn(doubt, "both are sent")
    if not trial.over_http:
        skip("there is no request: how the source is told can't be seen")
    if spoken == "ollama":
        skip("Ollama's wire has neither")


def _misplaced(request: Any, given: Mapping[str, Any], spoken: str, model: Any, way: str) -> str:
    """Fail where an option is lost; return how one is misplaced that the model never took."""
    doubt = ""
    placed = _placed(request, spoken)
    for name in (each for each in given if not placed[each]):
        takes = describes(model.bind_tools, name)
        takes = takes or (name == "strict" and claims(model, "structured_output") is True)
        if name in request and not takes:
            doubt = f"{way}: {name} is a parameter of the whole request"
            continue
        named = describes(model.bind_tools, name) and spoken in {"openai", "responses"}
        if name == "strict" and named and _is_always_on(model, name):
            continue
        mild = name == "strict" and not named
        tell = warn if mild else fail
        tell(
            f"{way}: {name}={given[name]} is lost",
            "it stands where its wire wants it",
            sent=request,
        )
    return doubt


def _is_always_on(model: Any, name: str) -> bool:
    """Tell whether a model refuses to switch an option off, or warns that it can't, by its name."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            bound(model, [form_tool, other_tool], **{name: False}).invoke("Hi")
        except Exception as error:  # noqa: BLE001  it is the model's
            return is_refusal(error, name)
    return any(name in str(each.message) for each in heard)


def _placed(request: Any, spoken: str) -> dict[str, bool]:
    """Tell which options stand where a wire has them."""
    tools = request.get("tools") or []
    single = request.get("parallel_tool_calls") is False
    if spoken == "anthropic":
        single = (request.get("tool_choice") or {}).get("disable_parallel_tool_use") is True
    definitions = [each.get("function", each) for each in tools]
    strict = bool(tools) and all(each.get("strict") is True for each in definitions)
    return {"strict": strict and "strict" not in request, "parallel_tool_calls": single}
