"""Tools: how they are bound, chosen and called, and what comes of calls."""

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables.base import Runnable, RunnableBinding

from chatwright.checks.calls.modes import Call
from chatwright.checks.outcome import expect, fail, skip, warn
from chatwright.checks.probes.inspection import (
    ANSWERING,
    arrived,
    bound,
    calls_of,
    claims,
    defined,
    describes,
    forced,
    is_refusal,
    parsed_or_none,
    refs,
    requests,
    said,
    told,
    wire,
)
from chatwright.checks.probes.schemas import RESPONSE_FORMAT as FORMAT
from chatwright.checks.probes.schemas import conforming
from chatwright.checks.probes.tools import BOTH, CALLED, CLOCK, FORMS, TWO
from chatwright.checks.rulebook import rule
from chatwright.checks.trial import LOOK_UP, Trial
from chatwright.deltas import ToolCallDelta, Usage
from chatwright.testing import Received, little_llm

FORCING = ("any", "required", "clock")
CLOCK_ALONE = {"type": "function", "function": {"name": "clock"}}
"""The choice of a tool, as OpenAI has it."""
_TAKING = {True: r"\b(bool|True)\b", False: r"\b(dict|Dict|Mapping)\b"}
"""How `bind_tools` says that it takes True, and objects."""
TALK = "I would rather talk."


@rule(
    "T1",
    "`bind_tools` takes every form of a tool, and returns a Runnable that has them",
    fix="Convert each tool by `convert_to_openai_tool`, and return "
    "`self.bind(tools=converted, **kwargs)`.",
    needs=["tools"],
)
def every_form(trial: Trial) -> None:
    """LangChain tools, functions, pydantic classes, TypedDicts, JSON schemas and Runnables.

    Each is bound alone, and all together. Where the request can be seen, each tool's name,
    description and arguments have to be in it. Neither the tools nor the model may be changed. What
    is neither a RunnableBinding nor a copy of the model is a warning, and so is what binds another
    model, such as the one that a wrapper holds: agents would go round the wrapper.
    """
    model = trial.model(["no", Usage(9, 1)]) if trial.scripted else trial.model()
    made = {form: make() for form, (make, _, _) in FORMS.items()}
    hidden = ""
    before = {form: copy.deepcopy(each) for form, each in made.items() if isinstance(each, dict)}
    for forms in (*([form] for form in FORMS), [*FORMS]):
        asked = bound(model, [made[form] for form in forms])
        expect(isinstance(asked, Runnable), f"{forms[0]}: {type(asked).__name__}", "a Runnable")
        hidden = hidden or _odd(asked, model)
        if trial.scripted:
            call = trial.call("invoke", "Hi", model=asked)
            expect(call.error is None, f"{forms[0]}: {said(call)}", "an answer")
            for form in forms:
                _arrives(trial, call, form)
            names = {FORMS[form][1] for form in forms}
            for request in call.received[-1:]:
                more = {*(request.asked.tools if request.asked else ())} - names
                expect(not more, f"tools arrive that were not bound: {more}", f"{names}")
    changed = [form for form, each in before.items() if each != made[form]]
    expect(not changed, f"bind_tools changed the dict that was given: {changed}", "no change")
    if trial.scripted:
        left = trial.call("invoke", "Hi", model=model).received
        kept = left and FORMS["a function"][1] in arrived(left[-1])
        expect(not kept, "the model keeps tools that were bound to another", "a new Runnable")
    if hidden:
        warn(f"bind_tools returns {hidden}", "a RunnableBinding, or a copy, of the model")


def _odd(asked: Any, model: Any) -> str:
    """Return what is odd about what `bind_tools` returns; empty where nothing is."""
    below = asked
    while isinstance(below, RunnableBinding):
        below = below.bound
    kind = type(below).__name__
    if not isinstance(below, BaseChatModel):  # whoever looks for the model below it finds none
        return f"a {type(asked).__name__}"
    passed = type(model).__name__
    by = f"what binds a {kind}: what {passed} does itself is left out where tools are bound"
    return "" if isinstance(below, type(model)) else by


def _arrives(trial: Trial, call: Call, form: str) -> None:
    _, name, description = FORMS[form]
    for request in requests(trial, call):
        text = arrived(request)
        expect(name in text, f"{form}: its name {name} is not in the request", sent=text)
        expect(description in text, f"{form}: its description is not in the request", sent=text)
        schema = request.asked.tools.get(name) if request.asked else None
        if schema is None:
            expect('city\\"' in text or '"city"' in text, f"{form}: its argument is not", sent=text)
        else:
            has = "city" in (schema.get("properties") or {}) and "city" in schema.get(
                "required", ()
            )
            expect(has, f"{form}: its arguments are {schema}", "a required city")
            free = {"count", "measure"} & {*schema.get("required", ())}
            expect(not free, f"{form}: {free} must be given: {schema}", "defaults that hold")
            kind = schema["properties"]["city"].get("type")
            expect(kind == "string", f"{form}: city is of the type {kind!r}", "'string'")
            lost = [each for each in refs(schema) if each not in defined(schema)]
            expect(not lost, f"{form}: {lost} is not defined: {schema}", "all that is referred to")


@rule(
    "T2",
    "`tool_choice` forces a call, or leaves or denies the choice",
    fix="Translate `any`, `required` and a tool's name into the backend's own form, and bind "
    "that; `auto` and None force nothing, and with `none` no tool may be called.",
    needs=["tools"],
    calls=1,
)
def choices(trial: Trial) -> None:
    """Agents and structured output force calls by `any`, `required` or a tool's name.

    The backend plays an LLM that only calls a tool where it has to. On a wire that has no
    `tool_choice`, Ollama's, a model that can't force a call has a warning; and so has one that
    refuses all choices. True, with one tool, and OpenAI's object that names a tool force a call as
    well where `bind_tools` says that it takes such values, or are refused by an error that names
    `tool_choice`: a warning. Where it does not say so, an error is a warning, and what is dropped
    without a word fails. A tool's name may be refused by such an error as well, or, where
    `bind_tools` documents that it can't force one of several, force any: warnings. A live LLM that
    does not call has a warning too.
    """
    if not trial.scripted:
        _live(trial)
        return
    model = trial.model(_talker)
    refused = 0
    problems: list[str] = []
    doubts: list[str] = []
    for choice in (*FORCING, True, CLOCK_ALONE):
        tools = [CLOCK] if choice is True else BOTH  # of several, some take no True
        try:
            asked = bound(model, tools, tool_choice=choice)
        except (NotImplementedError, TypeError, ValueError) as error:
            refused += choice in FORCING
            mild = is_refusal(error, "tool_choice") or not _takes(model, choice)
            mild = mild and choice not in FORCING[:2]  # agents ask for these
            (doubts if mild else problems).append(f"{choice!r} is refused: {told(error)}")
            continue
        problems += _unforced(trial, asked, choice, doubts, model)
    _free(trial, model)
    _denied(trial)
    if problems:
        tell = warn if refused == len(FORCING) or wire(trial) == "ollama" else fail
        tell("; ".join(problems[:3]), "a call, of the tool that is named")
    if doubts:
        warn("; ".join(doubts), "a call, of the tool that is named")


def _live(trial: Trial) -> None:
    call, refused = forced(trial, [LOOK_UP])
    if call is None:
        warn(f"'any' is refused: {refused}", "a call")
    if not call.message.tool_calls:
        warn(said(call), "a call", sent="tool_choice='any'")


def _talker(received: Received) -> Iterator[Any]:
    """Talk, unless a call is forced, or asked for again: an LLM that likes no tools."""
    asked = received.asked
    if asked is None:
        return
    forced = isinstance(asked.tool_choice, dict) or asked.tool_choice in {"any", "required"}
    again = any(TALK in text for _, text in asked.messages)
    if forced or again or asked.schema is not None:
        yield from little_llm(received)
    else:
        yield from (TALK, Usage(9, 6))


def _takes(model: Any, choice: Any) -> bool:
    """Tell whether `bind_tools` says that it takes a choice; all have to take texts."""
    words = _TAKING[choice is True]
    return isinstance(choice, str) or describes(model.bind_tools, "tool_choice", words)


def _names_none(model: Any) -> bool:
    """Tell whether `bind_tools` documents that the backend can't force one of several tools."""
    said = " ".join((model.bind_tools.__doc__ or "").split())
    return re.search(r"(can't|cannot) force (one|a) (particular|specific|single)", said) is not None


def _unforced(
    trial: Trial, asked: Any, choice: Any, doubts: list[str], model: Any
) -> Iterator[str]:
    """Yield how a choice did not force a call; what is refused by name is a doubt.

    So is the error of a choice that the model does not say it takes.
    """
    for way in ANSWERING if choice in FORCING else ANSWERING[::3]:
        call = trial.call(way, "Hi", model=asked)
        names = [] if call.error else [name for name, _ in calls_of(call.message)]
        error = call.error if choice not in FORCING else None
        if error and (not _takes(model, choice) or is_refusal(error, "tool_choice")):
            doubts.append(f"{way}, {choice!r}: {said(call)}")
        elif not names:
            yield f"{way}, {choice!r}: {said(call)}"
        elif choice not in FORCING[:2] and {*names} != {"clock"}:
            if not _names_none(model):
                yield f"{way}, {choice!r}: {said(call)}"
            doubts.append(f"{way}, {choice!r}: {said(call)}")
    raw = call.received[0].asked.tool_choice if call.received else None
    if isinstance(raw, dict) and wire(trial, call) == "openai" and raw.get("type") != "function":
        yield f"{choice!r} goes out as {raw}: OpenAI's wire wants type 'function'"
    # OpenAI's API and what is like it know `required`; some providers know `any` as well.
    if raw == "any" and wire(trial, call) == "openai":
        yield "`any` goes out as it is; OpenAI's wire calls it `required`"


def _chosen(model: Any, choice: str | None) -> Any:
    """Bind tools with a choice; a refusal by name is a warning."""
    try:
        return bound(model, BOTH, tool_choice=choice)
    except NotImplementedError as error:
        warn(f"{choice!r} is refused: {told(error)}", "it is taken")


def _free(trial: Trial, model: Any) -> None:
    for choice in ("auto", None):
        asked = _chosen(model, choice)
        for way in ANSWERING:
            call = trial.call(way, "Hi", model=asked)
            free = call.error is None and call.message.text == TALK and len(call.received) == 1
            forced = call.received and call.received[0].asked.tool_choice not in (None, "auto")
            expect(free and not forced, f"{way}, {choice!r}: {said(call)}", "a free choice")


def _denied(trial: Trial) -> None:
    model = trial.model(little_llm)
    asked = _chosen(model, "none")
    for way in ANSWERING:
        call = trial.call(way, "Hi", model=asked)
        expect(call.error is None, f"{way}, 'none': {said(call)}", "an answer")
        if calls_of(call.message):
            tell = warn if wire(trial) == "ollama" else fail
            tell(f"{way}, 'none': {said(call)}", "no call")


@rule(
    "T3",
    "`bind_tools([], response_format=...)` works",
    fix="Take any keyword arguments in `bind_tools`, and bind `tools` only where there are some.",
    scripted=True,
    needs=["tools"],
)
def no_tools(trial: Trial) -> None:
    """Agents without tools bind an empty list, and the format of their answer with it.

    An empty list that is sent on OpenAI's wire is a warning: its API refuses it. So is a format
    that is lost or refused by a model whose profile does not claim `structured_output`: agents give
    it none.
    """
    model = trial.model(conforming)
    for way in ANSWERING:
        call = trial.call(way, "Hi", model=bound(model, []))
        expect(call.error is None, f"{way}: {said(call)}", "an answer")
    asked = bound(model, [], response_format=FORMAT)
    sent = [each.body.get("tools") for each in call.received]
    for way in ANSWERING:
        call = trial.call(way, "How many are in 'Zürich'? 447082?", model=asked)
        value = None if call.error else parsed_or_none(call.message.text)
        if value is None:
            tell = fail if claims(model, "structured_output") else warn
            tell(f"{way}: {said(call)}", "JSON", sent=f"response_format={FORMAT}")
        sent += [each.body.get("tools") for each in call.received]
    if [] in sent and wire(trial) in {"openai", "responses"}:
        warn("`tools: []` is sent, which OpenAI's API refuses", "no `tools`")


BUILT_IN: Mapping[str, Mapping[str, Any]] = {
    "anthropic": {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
    "": {"type": "web_search", "search_context_size": "low"},
}


@rule(
    "T4",
    "Built-in tools of the provider reach it as they are",
    fix="Leave dicts that are no functions alone: `{'type': 'web_search'}` is the provider's.",
    scripted=True,
    needs=["tools"],
)
def built_in(trial: Trial) -> None:
    """A provider's own tools, such as its web search, are dicts that only it understands.

    One is bound beside a function. That it does not arrive with all its keys is a warning, for not
    all backends have such tools; that the function beside it is lost fails.
    """
    spoken = wire(trial)
    given = BUILT_IN.get(spoken, BUILT_IN[""])
    model = trial.model(["no", Usage(9, 1)])
    for way in ANSWERING:
        try:
            call = trial.call(way, "Hi", model=bound(model, [dict(given), LOOK_UP]))
            error = call.error
        except Exception as raised:  # noqa: BLE001  it is the model's
            error = raised
        else:
            if error and spoken == "anthropic" and not call.received:
                skip("the fake upstream can't read such a tool on Anthropic's wire")
        if error is not None:
            if trial.over_http or not is_refusal(error, given["type"]):
                warn(f"{way}: {told(error)}", "the tool, or a refusal by name", sent=given)
            continue
        tools = call.received[-1].body.get("tools") or [] if call.received else []
        whole = any(isinstance(each, dict) and given.items() <= each.items() for each in tools)
        if not whole and spoken == "ollama":
            skip(f"Ollama has no built-in tools, and the model sends {tools}")
        if not whole:
            warn(f"{way}: {tools} arrived", f"{given} as it is", sent=given)
        both = "look_up" in call.received[-1].asked.tools
        expect(both, f"{way}: the function beside it is lost: {tools}", "both tools")


@rule(
    "T5",
    "Every call has an id of its own",
    fix="Keep the backend's ids, and make one (`uuid4`) where none comes or it is not the first.",
    scripted=True,
    needs=["calls"],
)
def ids(trial: Trial) -> None:
    """Results are matched with calls by ids: LangGraph's ToolNode loses those that share one.

    The backend's own ids have to be kept. Ollama sends none, and other sources need not: there the
    model makes them, and never the same twice. On wires whose servers have to send some, a model
    that does not fix those that don't has a warning.
    """
    spoken = wire(trial)
    model = trial.model(TWO)
    for way in ANSWERING:
        call = trial.call(way, "Hi", model=bound(model, BOTH))
        found = _ids(call)
        right = len(found) == len({*found}) == len(CALLED) and all(found)
        expect(right, f"{way}: {found}", "three ids, none like another")
        if spoken and spoken != "ollama":
            expect(found == ["call_1", "call_2", "call_3"], f"{way}: {found}", "the backend's ids")
    args = '{"word": "a"}'
    for what, one, two in (("none", None, None), ("empty ones", "", ""), ("one twice", "x", "x")):
        if what == "one twice" and spoken == "ollama":
            continue  # it has no ids at all
        script = [ToolCallDelta(0, one, "look_up", args), ToolCallDelta(1, two, "clock", "{}")]
        model = trial.model([*script, Usage(9, 6)])
        found = []
        for way in (*ANSWERING, "invoke"):
            call = trial.call(way, "Hi", model=bound(model, BOTH))
            mine = [None] if call.error else _ids(call)
            found += (
                mine if what != "one twice" else [f"{way} {len(found)} {each}" for each in mine]
            )
        if len({*found}) < 10 or not all(found):  # noqa: PLR2004  two of each way
            tell = fail if not spoken or spoken == "ollama" else warn
            tell(f"the backend sends {what}, and the ids are {found}", "ids made for them")


def _ids(call: Call) -> list[Any]:
    return [each.get("id") for each in call.message.tool_calls]
