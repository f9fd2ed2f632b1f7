"""Basics: what goes in, what comes out, and what is left alone."""

import copy
import uuid
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.prompt_values import ChatPromptValue

from chatwright.checks.outcome import Outcome, expect, fail, skip, warn
from chatwright.checks.probes.conversations import ODD_TALK, expect_all, history
from chatwright.checks.probes.inspection import is_accident, numbered, repeats, wire
from chatwright.checks.rulebook import rule
from chatwright.checks.trial import LOOK_UP, Trial
from chatwright.deltas import Finish, Refusal, ToolCallDelta, Usage
from chatwright.testing import Pause, Raise, Received, Refuse

BOUND = 2
"""How many calls may run at once where that is bounded."""


@rule(
    "B1",
    "Str, tuples, dicts, messages and prompt values all give an `AIMessage` whose text is a str",
    fix="Leave `invoke` as it is, and return `ChatResult(generations=[ChatGeneration(message="
    "AIMessage(content=text))])` from `_generate`.",
    calls=5,
)
def every_input_gives_a_message(trial: Trial) -> None:
    """Chains hand over prompt values, people write strings and tuples, agents keep messages.

    Sync code and async code both do. A model that says by `NotImplementedError` that async code
    alone can call it has a warning here, and is tried by async calls from here on.
    """
    if trial.shared.stage.only_async:
        warn(
            "invoke is not implemented: only async code gets answers", "answers for sync code, too"
        )
    said = trial.prompt
    prompts: list[Any] = [
        said,
        [("system", "Be brief."), ("human", said)],
        [{"role": "user", "content": said}],
        [SystemMessage("Be brief."), HumanMessage(said)],
        ChatPromptValue(messages=[HumanMessage(said)]),
    ]
    trial.call("invoke").message  # noqa: B018  it raises where a plain call does
    for prompt in prompts:
        for way in ("invoke", "ainvoke") if trial.scripted else ("invoke",):
            answer = trial.call(way, prompt, model=trial.model()).message
            kind = type(prompt).__name__
            expect(isinstance(answer, AIMessage), f"{way}({kind}): {type(answer).__name__}")
            expect(isinstance(answer.text, str), f"{way}({kind}): text is {answer.text!r}")
            if trial.scripted:
                expect(answer.text == "The cat sat on the mat.", f"{way}({kind}): {answer.text!r}")


@rule(
    "B2",
    "`_llm_type` is set, and `_identifying_params` holds the model's name",
    fix="Return a short name from `_llm_type`, and `{'model_name': self.model_name, ...}` from "
    "`_identifying_params`.",
)
def it_has_a_name(trial: Trial) -> None:
    """Traces, caches and monitoring tell models apart by these two; the guide asks for both.

    That the second lacks the name is a warning: what has to be in it is nowhere said.
    """
    model: Any = trial.model()
    kind = model._llm_type  # noqa: SLF001  the rule is about it
    expect(isinstance(kind, str) and kind.strip(), f"_llm_type is {kind!r}", "a short name")
    params = model._identifying_params  # noqa: SLF001  the rule is about it
    if not isinstance(params, dict) or not (params.get("model_name") or params.get("model")):
        warn(f"_identifying_params is {params!r}", "a dict with model_name")
    if not params.get("model_name"):
        warn(f"_identifying_params has 'model', not 'model_name': {sorted(params)}")


STANDARD = {"temperature": 0.25, "max_tokens": 77, "stop": ["never said"]}
"""The parameters that change an answer, with values that are easy to find again."""
PLUMBING: dict[str, Any] = {
    "timeout": 33.0,
    "max_retries": 1,
    "streaming": False,
    "api_key": "sk-canary-b3",
}


@rule(
    "B3",
    "The constructor takes the standard parameters",
    fix="Give the class fields `temperature`, `max_tokens`, `timeout`, `max_retries`, `stop`, "
    "`streaming` and `api_key` (an alias will do), and send the first two with each request.",
)
def standard_parameters(trial: Trial) -> None:
    """`temperature`, `max_tokens`, `timeout`, `max_retries`, `stop`, `streaming`, `api_key`.

    A class that drops an unknown parameter without a word is worse than one that refuses it: its
    users think that it is in force. So the values are looked for at the backend, where there is
    one to look at. Those that it has no name for are a warning: not all backends know all of them.
    What a factory does not name can't be judged.
    """
    maker = trial.shared.maker
    if maker.takes is None or not isinstance(getattr(maker.build, "func", maker.build), type):
        named = {name for name in STANDARD if maker.takes and name in maker.takes}
    else:
        named = {*STANDARD}
    if not named:
        skip("what makes the model names none of them")
    missing = [name for name in STANDARD if name in named and not _knows(trial, name)]
    fields: dict[str, Any] = {
        name: STANDARD[name] for name in ("temperature", "max_tokens") if name in named - {*missing}
    }
    call = trial.call("invoke", fields=fields)
    expect(call.error is None, call.error, f"a model made with {fields}")
    for name, value in fields.items():
        if call.received and not _holds(call.received[-1].body, value):
            fail(f"{name}={value} did not reach the backend", sent=call.received[-1].body)
    for name, value in PLUMBING.items() if trial.over_http else ():
        if _knows(trial, name):
            try:
                trial.model(**{name: value})
            except Exception as error:  # noqa: BLE001  it is the constructor's
                fail(f"{name}={value!r}: {error!r}", "it is taken")
    absent = [*missing, *(name for name in PLUMBING if not _knows(trial, name))]
    if absent:
        warn(f"the constructor has no {', '.join(absent)}")


def _knows(trial: Trial, name: str) -> bool:
    takes = trial.shared.maker.takes
    return takes is None or name in takes


def _holds(body: Any, value: Any) -> bool:
    """Tell whether a value stands anywhere in a request."""
    if isinstance(body, dict):
        return any(_holds(each, value) for each in body.values())
    if isinstance(body, list):
        return any(_holds(each, value) for each in body)
    return bool(body == value and type(body) is not bool)


_MESSAGES = ("ainvoke", "stream", "astream")


@rule(
    "B4",
    "Consecutive messages of one role, and names, are accepted, and all of them arrive",
    fix="Merge consecutive messages of a role where the backend wants them to alternate, and drop "
    "`name` where it has no place for it.",
    calls=1,
)
def any_order_of_messages(trial: Trial) -> None:
    """Agents, and people who correct themselves, make such conversations.

    At the backend every text must have arrived, in order.
    """
    for way in ("invoke", "astream") if trial.scripted else ("invoke",):
        call = trial.call(way, copy.deepcopy(ODD_TALK))
        expect(call.error is None, f"{way}: {call.error!r}", "an answer")
        expect_all(call)


@rule(
    "B5",
    "What is handed over is never changed",
    fix="Build the request's messages anew; don't append to, merge into, or edit what came in.",
    calls=1,
)
def inputs_are_left_alone(trial: Trial) -> None:
    """The messages belong to the caller, who goes on with them: a changed history is sent twice.

    The list, its messages and the list of stop sequences are compared before and after.
    """
    every = ("invoke", "ainvoke", "stream", "astream", "v3") if trial.scripted else ("invoke",)
    short = [SystemMessage("a"), HumanMessage("b"), HumanMessage("c")]
    if trial.scripted:
        _expect_unchanged(trial, every, short)
    for way in every:
        talk, stop = history(with_tools=trial.has("tools")), ["x", "never said", "but now"]
        before = copy.deepcopy(talk)
        given: dict[str, Any] = {"stop": stop} if trial.has("stop") else {}
        call = trial.call(way, talk, **given)
        expect(call.error is None or way == "v3", call.error, "an answer")
        expect(stop == ["x", "never said", "but now"], f"{way}: stop became {stop}")
        expect(len(talk) == len(before), f"{way}: {len(before)} messages became {len(talk)}")
        for old, new in zip(before, talk, strict=True):
            expect(old.model_dump() == new.model_dump(), f"{way}: {new!r}", repr(old))


def _expect_unchanged(trial: Trial, ways: Sequence[str], messages: list[Any]) -> None:
    before = copy.deepcopy(messages)
    for way in ways:
        trial.call(way, messages)
        expect(messages == before, f"{way}: {before!r} became {messages!r}", "no change")


@rule(
    "B6",
    "Every result is a fresh object, and its id embeds the run's",
    fix="Make a new `AIMessage` for each call, and leave `id` unset: core sets the run's.",
    calls=2,
)
def fresh_results(trial: Trial) -> None:
    """LangGraph's `add_messages` replaces a message by another one with the same id."""
    model = trial.model()
    run_ids = [uuid.uuid4(), uuid.uuid4()]
    answers = [
        trial.call("invoke", trial.prompt, model=model, config={"run_id": each}).message
        for each in run_ids
    ]
    expect(answers[0] is not answers[1], "two calls gave the same object")
    ids = [each.id for each in answers]
    expect(all(ids), f"an answer has no id: {ids}")
    expect(ids[0] != ids[1], f"two answers have the same id, {ids[0]}")
    if trial.scripted:
        more = [trial.call(way, model=model).message for way in _MESSAGES for _ in range(2)]
        twice = [each for each, n in Counter(each.id for each in more).items() if n > 1]
        expect(not twice, f"several answers have the ids {twice}", "one each")
        one, other = _batched(trial, model, "batch", [trial.prompt] * 2)
        expect(one is not other, "a batch of one question twice gave one object", "two")
    strangers = [each for each, run in zip(ids, run_ids, strict=True) if str(run) not in each]
    if strangers:
        warn(f"the id {strangers[0]!r} is the backend's", f"lc_run--{run_ids[0]}")


@rule(
    "B7",
    "Where the backend sends null for the content, the text is empty",
    fix="Write `content=answer['content'] or ''`: core refuses a message with None for content.",
    scripted=True,
)
def null_is_empty(trial: Trial) -> None:
    """OpenAI's wire sends `"content": null` where an answer is nothing but tool calls.

    It is tried without calls as well, as refusals come; there, an error of the model's own that
    tells so is right, too, and whether the words of the refusal may be the text is M8's.
    """
    if not trial.over_http:
        skip("there is no JSON here that could hold a null")
    scripts: list[list[Any]] = [[Refusal("I can't."), Usage(3, 1)]]
    if wire(trial) not in {"openai", "responses"}:  # there is no field for it
        scripts = [[Usage(3, 1)]]
    if trial.has("calls"):
        scripts.append([ToolCallDelta(0, "call_1", "look_up", '{"word": "cat"}'), Usage(3, 1)])
    for script in scripts:
        for way in ("invoke", "ainvoke", "stream", "astream"):
            call = trial.call(way, script=script)
            told = call.error is not None and not is_accident(call.error, "refus")
            if told and isinstance(script[0], Refusal):
                continue
            expect(call.error is None, f"{way}: {call.error!r}", "an empty text")
            text = call.message.text
            kept = isinstance(script[0], Refusal) and text == script[0].text
            expect(kept or text == "", f"{way}: {text!r}", "an empty text")


@rule(
    "B8",
    "Messages of the developer role arrive",
    fix="Read `additional_kwargs['__openai_role__']` of a system message, and send it as "
    "`developer`, or as `system` where the backend has no such role.",
    severity="warning",
    scripted=True,
)
def developers_are_heard(trial: Trial) -> None:
    """LangChain keeps OpenAI's developer role in a system message's `additional_kwargs`."""
    rules = SystemMessage("Obey me.", additional_kwargs={"__openai_role__": "developer"})
    call = trial.call("invoke", [rules, HumanMessage("Hi")])
    expect(call.error is None, call.error, "an answer")
    if not call.received or call.received[-1].asked is None:
        skip("no request was seen")
    found = [role for role, text in call.received[-1].asked.messages if "Obey me." in text]
    expect(found, "it did not arrive", "a developer's, or a system, message")
    if not {"developer", "system"} & {*found}:
        warn(f"it arrived as {found[0]!r}", "developer, or system")


@rule(
    "B9",
    "A result survives being dumped and loaded",
    fix="Put only JSON's types into `response_metadata` and `additional_kwargs`.",
    calls=1,
)
def results_can_be_stored(trial: Trial) -> None:
    """Checkpoints and histories store messages with `langchain_core.load.dumps`, field by field."""
    models: list[Any] = [trial.model()]
    if trial.scripted:
        models.append(trial.model(["Cut in the", Finish("length"), Usage(9, 6)]))
    if trial.scripted and trial.has("calls"):
        call = ToolCallDelta(0, "call_1", "look_up", '{"word": "cat"}')
        calling: Any = trial.model([call, Usage(9, 6)])
        models.append(calling.bind_tools([LOOK_UP]))
    for model in models:
        for way in ("invoke", *_MESSAGES) if trial.scripted else ("invoke",):
            answer = trial.call(way, model=model).message
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                again = loads(dumps(answer))
            names = type(answer).model_fields
            one, other = ([getattr(x, name, x) for name in names] for x in (again, answer))
            expect(one == other, f"{way}: {again!r}", repr(answer))


@rule(
    "B10",
    "`batch` and `abatch` keep the order, and honour `return_exceptions` and `max_concurrency`",
    fix="Leave `batch` and `abatch` as they are: core runs `invoke` and `ainvoke` for each input.",
    calls=2,
)
def batches_keep_order(trial: Trial) -> None:
    """Answers belong to questions by their places.

    The backend repeats the question, fails for one of four where exceptions are asked for, and
    tells how many requests were open at once.
    """
    if not trial.scripted:
        trial.shared.budget.claim(2)
        answers = trial.model().batch([trial.prompt] * 2)
        expect(len(answers) == 2, f"{len(answers)} answers to 2 questions")  # noqa: PLR2004
        return
    for name in ("batch", "abatch"):
        model: Any = trial.model(_echo)
        questions = numbered(6)
        texts = [each.text for each in _batched(trial, model, name, questions)]
        expect(repeats(questions, texts), f"{name}: {texts}", "the answers' own order")
        some = [questions[0], "fail", questions[2]]
        mixed = _batched(trial, model, name, some, return_exceptions=True)
        kinds = [isinstance(each, BaseException) for each in mixed]
        expect(kinds == [False, True, False], f"{name}, return_exceptions: {mixed}")
        texts = [mixed[0].text, mixed[2].text]
        expect(repeats(some[::2], texts), f"{name}, return_exceptions: {texts}", "both answers")
        none = _batched(trial, model, name, [])
        expect(none == [], f"{name} of nothing gave {none!r}", "[]")
        if trial.has("stop"):
            cut = _batched(trial, model, name, ["a cat sat"], stop=["CAT"])[0].text
            expect("SAT" not in cut, f"{name}(stop=['CAT']): {cut!r}", "'A CAT'")
        _expect_raised(trial, model, name)
        model = trial.model(_slow_echo)
        alone = trial.call("invoke", "alone", model=model).received
        each_sends = max(1, len(alone))  # for several answers, some ask several times
        bounded = _batched(trial, model, name, questions, {"max_concurrency": BOUND})
        texts = [each.text for each in bounded]
        expect(repeats(questions, texts), f"{name}, max_concurrency: {texts}", "their own order")
        open_at_once = most_at_once(trial.received(model))
        got = f"{name}, max_concurrency={BOUND}: {open_at_once} at once"
        expect(open_at_once <= BOUND * each_sends, got)


def _batched(
    trial: Trial, model: Any, name: str, questions: list[str], config: Any = None, **kwargs: Any
) -> list[Any]:
    try:
        if name == "abatch":
            return trial.run(model.abatch(questions, config, **kwargs))
        return model.batch(questions, config, **kwargs)  # type: ignore[no-any-return]
    except Outcome:
        raise
    except Exception as error:  # noqa: BLE001  it is the model's
        fail(f"{name} raised {error!r}")


def _expect_raised(trial: Trial, model: Any, name: str) -> None:
    try:
        if name == "abatch":
            trial.run(model.abatch(["a", "fail"]))
        else:
            model.batch(["a", "fail"])
    except Exception:  # noqa: BLE001  as it should
        return
    fail(f"{name} swallowed an exception", "it is raised where no exceptions are asked for")


def _echo(received: Received) -> list[Any]:
    question = received.asked.messages[-1][1] if received.asked else ""
    if "fail" in question:
        return [Refuse(400, "no")] if received.path else [Raise(ValueError("no"))]
    return [question.upper(), Usage(1, 1)]


def _slow_echo(received: Received) -> list[Any]:
    return [Pause(0.03), *_echo(received)]


def most_at_once(received: list[Received]) -> int:
    """Return how many requests were open at once, at most."""
    times = [(each.at, 1) for each in received]
    times += [(each.ended_at, -1) for each in received if each.ended_at]
    at_once = most = 0
    for _, change in sorted(times):
        at_once += change
        most = max(most, at_once)
    return most
