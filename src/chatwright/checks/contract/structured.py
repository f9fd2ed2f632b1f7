"""Structured output: answers that conform to a schema."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableSequence
from pydantic import BaseModel

from chatwright.checks.calls.modes import STREAMING, Call
from chatwright.checks.finding import Fault
from chatwright.checks.outcome import expect, fail, skip, warn
from chatwright.checks.probes.inspection import (
    ANSWERING,
    arrived,
    bound,
    claims,
    is_refusal,
    parsed_or_none,
    pieces,
    structured,
    told,
)
from chatwright.checks.probes.malformed_answers import BAD, bad_answer
from chatwright.checks.probes.schemas import (
    CITY_JSON,
    CITY_SCHEMA,
    CITY_VALUE,
    QUESTION,
    RESPONSE_FORMAT,
    City,
    asks_for_json,
    conforming,
    grown,
    lost_strict,
    schemas,
)
from chatwright.checks.probes.tools import form_tool
from chatwright.checks.rulebook import rule
from chatwright.checks.trial import Trial
from chatwright.deltas import Usage
from chatwright.testing import Received

METHODS = ("json_schema", "function_calling", "json_mode")


def _last(call: Call) -> Any:
    """Return what a call came to; the last partial of a stream."""
    parts = call.chunks
    return parts[-1] if parts else None


def _asked(call: Call) -> str:
    return told(call.error) if call.error else repr(call.parts[-1:])


def _same(got: Any, expected: Any) -> bool:
    if isinstance(expected, Mapping):
        return isinstance(got, Mapping) and dict(got) == dict(expected)
    return type(got) is type(expected) and got == expected


@rule(
    "O1",
    "`with_structured_output` takes every kind of schema, in every way",
    fix="Convert the schema by `convert_to_json_schema`, or bind it as a tool; of a class give "
    "instances, else dicts.",
    needs=["structured"],
    calls=2,
)
def every_schema(trial: Trial) -> None:
    """Pydantic classes of v2 and v1, TypedDicts and JSON schemas; by invoke, stream and async.

    The backend answers what the request asks for. Of a class comes an instance of just that class,
    of the others a dict, with the values that the backend sent. A live LLM whose answer does not
    conform has a warning, and so has a model that refuses a kind of schema by name, but not all.
    """
    if not trial.scripted:
        _live(trial)
        return
    model = trial.model(conforming)
    _expect_wanted(trial)
    refused = []
    for kind, schema, expected in schemas():
        try:
            asked = structured(model, schema)
        except (NotImplementedError, TypeError, ValueError) as error:
            got = f"{kind} is refused: {told(error)}"
            expect(is_refusal(error, "schema", "v1", "TypedDict"), got, "a Runnable")
            refused.append(got)
            continue
        for way in ANSWERING:
            call = trial.call(way, QUESTION, model=asked)
            _is_result(trial, call, asked, expected, f"{way}, {kind}")
    if refused:
        (fail if len(refused) == len([*schemas()]) else warn)("; ".join(refused[:2]), "a Runnable")


class Place(BaseModel):
    """A place, and the city it is in."""

    city: City


def _expect_wanted(trial: Trial) -> None:
    """Expect nested schemas to be whole, bad answers not to pass, and the model to stay as is."""
    model = trial.model(bad_answer)
    try:
        asked, nested = structured(model, City), structured(model, Place)
    except (NotImplementedError, TypeError, ValueError):
        return  # what takes no class is told below
    wrong = trial.call("invoke", BAD[2], model=asked)
    if wrong.error is None:
        value = _last(wrong)
        odd = isinstance(value, City) and not isinstance(value.people, int)
        expect(not odd, f"invoke: {value!r} is no City", "an error", sent=BAD[2])
    trial.call("invoke", "Hi", model=nested)
    for request in trial.received(model)[-1:] if trial.over_http else ():
        text = arrived(request)
        expect('"people' in text.replace("\\", ""), "a nested class is not sent", sent=text)
    plain = trial.call("invoke", "Hi", model=model)
    for request in plain.received[-1:]:
        names = ("response_format", "format", "tools", "tool_choice")
        left = [each for each in names if request.body.get(each)]
        expect(not left, f"{left} is sent by the model itself afterwards", "a new Runnable")


def _is_result(trial: Trial, call: Call, asked: Any, expected: Any, where: str) -> None:
    """Fail unless a call came to a result; core's parsers yield nothing of whole messages."""
    cores = isinstance(asked, RunnableSequence) and not trial.has("streaming")
    if cores and call.way in STREAMING and call.error is None and not call.parts:
        warn(f"{where}: nothing came: core's parser streams nothing of a model that does not")
    right = call.error is None and _same(_last(call), expected)
    expect(right, f"{where}: {_asked(call)}", repr(expected))


def _live(trial: Trial) -> None:
    for schema, kind in ((City, City), (dict(CITY_SCHEMA), dict)):
        call = trial.call("invoke", QUESTION, model=structured(trial.model(), schema))
        if call.error is not None or not isinstance(_last(call), kind):
            warn(_asked(call), f"a {kind.__name__}", fault=Fault.LLM)


@rule(
    "O2",
    "The three methods are accepted, each strict or not, and an unknown one is refused",
    fix="Take `method` and `strict`; raise a ValueError that names the method where there is no "
    "such.",
    scripted=True,
    needs=["structured"],
)
def methods(trial: Trial) -> None:
    """`json_schema`, `function_calling` and `json_mode`, with strict None, True and False.

    A refusal that names what it does not support is honest, and a warning. So is an unknown method
    that is ignored, or falls over: the type says that there is none. On OpenAI's wires,
    `strict=True` has to stand beside the schema, or with the tool: else the LLM is only asked to
    conform. Core's own drops it, a warning.
    """
    model = trial.model(conforming)
    refused, lost = [], list[str]()
    expected = City(**CITY_VALUE)
    for method in METHODS:
        for strict in (None, True, False):
            given = {"method": method, **({} if strict is None else {"strict": strict})}
            try:
                asked = structured(model, City, **given)
            except (NotImplementedError, TypeError, ValueError) as error:
                honest = is_refusal(error, method, "strict")
                expect(honest, f"{given}: {told(error)}", "a Runnable, or a refusal by name")
                refused.append(f"{given}: {told(error)}")
                continue
            before = len(trial.received(model))
            for way in ANSWERING:
                call = trial.call(way, QUESTION, model=asked)
                _is_result(trial, call, asked, expected, f"{way}, {given}")
            if trial.over_http:
                lost += lost_strict(trial.received(model)[before:], given)
    unknown = _unknown(model)
    if lost:
        (warn if _is_cores(model) else fail)(lost[0], "it is")
    if refused:
        warn("; ".join(refused[:3]), "all of them")
    if unknown:
        warn(unknown, "a ValueError that names it", sent="method='no_such_method'")


def _is_cores(model: Any) -> bool:
    return type(model).with_structured_output is BaseChatModel.with_structured_output


def _unknown(model: Any) -> str:
    """Return what becomes of a method that there is not; nothing if it is refused by name."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            structured(model, City, method="no_such_method").invoke(QUESTION)
        except Exception as error:  # noqa: BLE001  it is the model's
            return "" if is_refusal(error, "no_such_method", "method") else told(error)
    is_told = any("method" in str(each.message) for each in heard)
    return "" if is_told else "method='no_such_method' is accepted"


@rule(
    "O3",
    "The schema is traced, and the trace never reaches the backend",
    fix="Bind `ls_structured_output_format={'kwargs': {...}, 'schema': ...}`; core takes it out "
    "before `_generate` and `_stream`.",
    severity="warning",
    scripted=True,
    needs=["structured"],
)
def traced(trial: Trial) -> None:
    """LangSmith shows what was asked for, from `options` of `on_chat_model_start`.

    Servers refuse fields that they don't know: what is for the trace must not be in the request.
    """
    tried = False
    model = trial.model(conforming)
    for given in ({}, *({"method": method} for method in METHODS)):
        try:
            asked = structured(model, City, **given)
        except (NotImplementedError, TypeError, ValueError):
            continue  # O2 tells
        tried = True
        for way in ANSWERING if not given else ("invoke", "stream"):
            before = len(trial.received(model))
            call = trial.call(way, QUESTION, model=asked)
            for request in trial.received(model)[before:]:
                sent = arrived(request)
                clean = "structured_output_format" not in sent
                expect(clean, f"{way}, {given}: the trace is in the request", sent=sent)
            starts = call.recorder.of("on_chat_model_start")[:1]  # a model within may have its own
            options = [kwargs.get("options") or {} for _, kwargs in starts]
            traces = [each.get("ls_structured_output_format") or {} for each in options]
            schemas = [each.get("schema") if isinstance(each, Mapping) else None for each in traces]
            whole = [isinstance(each, Mapping) and "people" in repr(each) for each in schemas]
            expect(whole and all(whole), f"{way}, {given}: {options}", "the schema, in options")
    if not tried:
        skip("no method is taken (see O2)")


@rule(
    "O4",
    "`include_raw` tells what was wrong, and does not raise",
    fix="Catch what parsing raises, and give `raw`, `parsed=None` and the exception as "
    "`parsing_error`.",
    scripted=True,
    needs=["structured"],
)
def never_raises(trial: Trial) -> None:
    """Who asks for the raw message wants to handle bad answers: each has to come out as a value.

    The backend answers with no JSON, JSON that was cut, a wrong type, and a missing field; and with
    what is right. Core's parsers tell nothing where there is no valid call, and streamed they never
    do (langchain-core 1.7.2): of a model that relies on them, these are warnings. So is the refusal
    of `include_raw` by name.
    """
    silent = []
    model = trial.model(bad_answer)
    try:
        asked = structured(model, City, include_raw=True)
    except (NotImplementedError, TypeError, ValueError) as error:
        (warn if is_refusal(error, "include_raw") else fail)(told(error), "it is taken")
    for way in ANSWERING:
        for bad in BAD:
            call = trial.call(way, bad, model=asked)
            sent = f"the answer {bad}"
            if call.error is not None and way in STREAMING and isinstance(asked, RunnableSequence):
                silent.append(f"{way}, {sent}")  # core's, too
                continue
            expect(call.error is None, f"{way}: {_asked(call)}", "a parsing_error", sent=sent)
            got = grown(call)
            raw = got.get("raw")
            expect(isinstance(raw, BaseMessage), f"{way}: {got}", "raw", sent=sent)
            expect(got.get("parsed") is None, f"{way}: {got}", "parsed=None", sent=sent)
            if not isinstance(got.get("parsing_error"), BaseException):
                by_call = any(each.asked.tools for each in trial.received(model)[-1:])
                lost = way in STREAMING or (by_call and not getattr(raw, "tool_calls", None))
                cores = lost and isinstance(asked, RunnableSequence)
                expect(cores, f"{way}: {got}", "a parsing_error", sent=sent)
                silent.append(f"{way}, {sent}")
    _never_by_any_method(model)
    good = structured(trial.model(conforming), City, include_raw=True)
    for way in ANSWERING if trial.has("streaming") else ANSWERING[:2]:
        call = trial.call(way, QUESTION, model=good)
        got = {} if call.error else grown(call)
        right = _same(got.get("parsed"), City(**CITY_VALUE)) and got.get("parsing_error") is None
        expect(right and isinstance(got.get("raw"), BaseMessage), f"{way}: {_asked(call)}")
    if silent:
        warn(f"there is no parsing_error by {silent[:3]}", "a parsing_error")


def _never_by_any_method(model: Any) -> None:
    """Fail where a method, or a schema that is a dict, lets an error out."""
    for method in METHODS:
        for schema in (City, dict(CITY_SCHEMA)):
            try:
                asked = structured(model, schema, include_raw=True, method=method)
            except (NotImplementedError, TypeError, ValueError):
                continue  # O2 tells
            for bad in BAD[:2]:
                try:
                    got = asked.invoke(bad)
                except Exception as error:  # noqa: BLE001  it is the model's
                    fail(f"invoke, {method}: {told(error)}", "a parsing_error", sent=bad)
                whole = isinstance(got, Mapping) and isinstance(got.get("raw"), BaseMessage)
                expect(whole, f"invoke, {method}: {got}", "the raw message", sent=bad)


@rule(
    "O5",
    "The last partial of a stream equals invoke's result",
    fix="Build the last partial of the whole answer, as `invoke` does.",
    scripted=True,
    needs=["structured"],
)
def last_partial(trial: Trial) -> None:
    """User interfaces show partials as they grow; the last one has to be the result.

    It is tried with a pydantic class and a JSON schema, by every method that the model has.
    No partial may hold keys that the result has not.
    """
    tried = False
    model = trial.model(conforming)
    for kind, schema, _ in [*schemas()][:3:2]:
        for given in ({}, *({"method": method} for method in METHODS)):
            try:
                asked = structured(model, schema, **given)
            except (NotImplementedError, TypeError, ValueError):
                continue  # O2 tells
            tried = True
            whole = trial.call("invoke", QUESTION, model=asked)
            where = f"{kind}, {given or 'by default'}"
            expect(whole.error is None, f"invoke, {where}: {_asked(whole)}", "a result")
            for way in STREAMING:
                call = trial.call(way, QUESTION, model=asked)
                _is_result(trial, call, asked, _last(whole), f"{way}, {where}")
                odd = [each for each in call.parts if not _keys(each) <= _keys(_last(whole))]
                expect(not odd, f"{way}, {where}: a partial is {odd[:1]}", f"{_last(whole)!r}")
    if not tried:
        skip("no method is taken (see O2)")


def _keys(value: Any) -> set[str]:
    if isinstance(value, BaseModel):
        return {*value.model_fields_set}
    return {*value} if isinstance(value, Mapping) else set()


@rule(
    "O6",
    "With `response_format` the text is pure JSON",
    fix="Send `response_format`, and give the text as it comes; or say in the profile that there "
    "is no `structured_output`.",
    scripted=True,
    needs=["structured"],
)
def pure_json(trial: Trial) -> None:
    """Agents bind a `response_format` where the profile says `structured_output`.

    They parse the text as it is: a fence, or a word of greeting, breaks them. The backend answers
    with JSON where the request asks for it, else with JSON amidst talk. It is tried with tools and
    without. Models whose profile claims nothing are not accused.
    """
    model = trial.model(_talks_around)
    claimed = claims(model, "structured_output")
    wanted: dict[str, Any] = {"response_format": RESPONSE_FORMAT}
    for name, tools in (("no tools", ()), ("tools", (form_tool,))):
        for way in ANSWERING:
            if tools and not trial.has("tools"):
                continue
            text, error = _text(trial, way, model, tools, wanted)
            if parsed_or_none(text) == CITY_VALUE:
                continue
            got = f"{way}, {name}: {told(error) if error else repr(text)}"
            if not claimed:
                skip(f"the profile does not claim structured_output; {got}")
            fail(got, CITY_JSON, sent=wanted)


def _text(
    trial: Trial, way: str, model: Any, tools: Sequence[Any], wanted: Mapping[str, Any]
) -> tuple[str, BaseException | None]:
    """Return the text of an answer, and what was raised instead; agents bind tools strictly."""
    try:
        asked = bound(model, tools, strict=True, **wanted) if tools else model.bind(**wanted)
    except Exception as error:  # noqa: BLE001  it is the model's
        return "", error
    call = trial.call(way, QUESTION, model=asked)
    return ("", call.error) if call.error else (call.message.text, None)


def _talks_around(received: Received) -> Sequence[Any]:
    text = (
        CITY_JSON if asks_for_json(received) else f"Sure:\n```json\n{CITY_JSON}\n```\nIs that so?"
    )
    return [*pieces(text), Usage(9, 6)]
