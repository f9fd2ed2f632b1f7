"""Serialization and secrets: what is kept, what is copied, and what must never be shown."""

import base64
import contextlib
import functools
import os
import pickle
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumpd, dumps

from chatwright.checks.finding import Fault
from chatwright.checks.outcome import expect, fail, skip, warn
from chatwright.checks.probes.answers import able
from chatwright.checks.probes.captured_output import Said, listening, of_error
from chatwright.checks.rulebook import rule
from chatwright.checks.targets.backends import ANSWER, CANARY, OnUpstream
from chatwright.checks.targets.constructor import LONG, MODEL_NAME, key_given, secrets_of
from chatwright.checks.trial import LOOK_UP, Trial
from chatwright.testing import Cut, Pause, Refuse

OTHER_KEY = f"{CANARY}-other"
KEY, HEADER, PASSWORD = f"{CANARY}-key", f"{CANARY}-header", f"{CANARY}-password"
# The canary is in each: reports hide it.
_FAILING = ("invoke", "astream", "async_v3")
_ANSWERS: dict[str, Any] = {
    "": ANSWER,
    **{str(status): [Refuse(status)] for status in (401, 429, 500)},
    "an answer that is no JSON": [Refuse(200, body=b"<html>")],
    "a lost connection": ["half", Pause(0.02), Cut(reset=True)],
}
"""What the backend does, by its name."""
_NOWHERE = "http://user:{}@127.0.0.1:9/v1"


@rule(
    "K1",
    "No secret is shown anywhere",
    fix="Make keys, headers' values and URLs with passwords `SecretStr`, keep what can't be one "
    "out of `repr` and of serialization (`Field(repr=False, exclude=True)`), and mask what you log "
    "and raise.",
)
def nothing_is_shown(trial: Trial) -> None:
    """Traces, logs and errors are read by more people than may know a key.

    Canaries are planted: a key, a header's value where the constructor takes headers, and a
    password in the URL. They are sought in `repr`, `str`, `dumpd`, `dumps`, `_identifying_params`,
    what is traced, cache keys, the payloads of all callbacks, answers and events of every way of
    calling, logs of every level, warnings, what is printed, and errors with their arguments, notes,
    causes and contexts: the backend refuses with 401, 429 and 500, answers nonsense, breaks off, is
    not there, and the constructor is given nonsense; tools are bound. Core puts `repr(self)` of a
    model that is not serializable into every callback (`load/serializable.py:404`), headers
    included.

    A pickle of the model is left out: who makes one wants a model that works, key included (K4).
    Pickles of answers are looked into: LangGraph's checkpoints are made of them. A live model's own
    keys are sought in what it says without being called again. That a header, or the password of
    an address, is shown is a warning: they need not be secret. A constructor may refuse an address
    with a password.
    """
    found: dict[str, list[str]] = {}
    plain: list[str] = []
    subjects = [*_subjects(trial)]
    if not subjects:
        skip("it holds no key, and takes no key, headers or address")
    for what, needles, fields in subjects:
        for each in _leaks(trial, needles, fields, plain):
            found.setdefault(what, []).append(each)
    if found:
        told = [f"{what} is in {', '.join([*dict.fromkeys(at)][:6])}" for what, at in found.items()]
        (fail if {"the key", "its key"} & found.keys() else warn)("; ".join(told), "nowhere")
    if plain:
        warn(f"{plain[0]} holds the key as a plain str", "a SecretStr")
    if trial.over_http and trial.takes("api_key"):
        script = [Refuse(401, f"Incorrect API key provided: {KEY}")]
        call = trial.call("invoke", script=script, fields={"api_key": KEY})
        if call.error is not None and KEY in of_error(call.error):
            got = "where a server shows the key that it refuses, the error passes it on"
            warn(got, "it is masked", fault=Fault.UPSTREAM)


def _subjects(trial: Trial) -> Iterator[tuple[str, list[str], dict[str, Any]]]:
    """Yield names of secrets, the secrets, and the fields that they are put into."""
    if not trial.scripted:
        held = [each for each in secrets_of(trial.model()) if len(each) >= LONG]
        if held:
            yield "its key", held, {}
        return
    if trial.takes("api_key"):
        own = key_given(trial.shared.maker)
        yield "the key", [KEY, KEY[8:-4], *([own] if own else [])], {"api_key": KEY}
    if trial.takes("headers"):
        yield "the header", [HEADER], {"headers": {"X-Canary": HEADER}}
    if isinstance(trial.shared.stage, OnUpstream):
        basic = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
        yield "the URL's password", [PASSWORD, basic], {"base_url": _NOWHERE.format(PASSWORD)}


def _leaks(
    trial: Trial, needles: list[str], fields: Mapping[str, Any], plain: list[str]
) -> Iterator[str]:
    """Yield where one of the secrets is shown."""

    def hide(text: str) -> str:
        return functools.reduce(lambda done, each: done.replace(each, "***"), needles, text)

    said = Said(hide)
    with listening(said):
        if trial.scripted:
            _work(trial, fields, said)
        else:
            _look(trial.model(), said)
            for way in able(trial):
                call = trial.call(way)
                said.add(f"{way}'s callbacks", call.recorder.calls)
                said.add(f"{way}'s answer", call.parts)
    for where, text in said.texts:
        if any(each in text for each in needles):
            yield where
    if "api_key" in fields:
        with contextlib.suppress(Exception):
            model = trial.model(**fields)
            plain += [each for each, value in model.__dict__.items() if value == needles[0]]


def _work(trial: Trial, fields: Mapping[str, Any], said: Said) -> None:
    """Have models with these fields made, called, refused and misused, and keep what is said."""
    answers = _ANSWERS if trial.over_http else {name: _ANSWERS[name] for name in ("", "500")}
    state = [""]
    try:
        model: Any = _made(trial, lambda _: answers[state[0]], fields)
    except Exception as error:  # noqa: BLE001  what it says is what is looked at
        if "base_url" not in fields:  # who typed the password is told that it can't be there
            said.add("the constructor's error", of_error(error))
        return
    _look(model, said)
    if trial.has("calls"):
        _call(trial, "invoke", model.bind_tools([LOOK_UP]), said, " with tools")
    for state[0] in answers:
        for way in able(trial) if not state[0] else _FAILING:
            if way in able(trial):
                _call(trial, way, model, said, f" after {state[0]}" if state[0] else "")
    _misuse(trial, fields, said)


def _misuse(trial: Trial, fields: Mapping[str, Any], said: Said) -> None:
    """Keep what is said where nobody listens, and of values that can't be."""
    if trial.over_http:
        nowhere = {"base_url": _NOWHERE.format("nobody"), **fields}
        with contextlib.suppress(Exception):  # the constructor may refuse an address like that
            _call(trial, "invoke", trial.model(**nowhere), said, " where nobody listens")
    for wrong in ({"temperature": "hot"}, {"max_retries": "many"}, {"max_tokens": "many"}):
        if all(trial.takes(each) for each in wrong):
            try:
                trial.model(**{**fields, **wrong})
            except Exception as error:  # noqa: BLE001  as above
                said.add(f"the error of {wrong}", of_error(error))


def _made(trial: Trial, script: Any, fields: Mapping[str, Any]) -> BaseChatModel:
    """Return a model; a password goes into the address of the fake upstream."""
    stage = trial.shared.stage
    if "base_url" not in fields or not isinstance(stage, OnUpstream):
        return trial.model(script, **fields)
    address = stage.address(script, []).replace("://", f"://user:{PASSWORD}@", 1)
    return trial.model(script, **{**fields, "base_url": address})


def _call(trial: Trial, way: str, model: Any, said: Said, when: str) -> None:
    call = trial.call(way, "Hi", model=model)
    said.add(f"{way}'s callbacks{when}", call.recorder.calls)
    said.add(f"{way}'s answer{when}", call.parts)
    for _, kwargs in call.recorder.of("on_llm_error"):
        said.add(f"{way}'s on_llm_error{when}", kwargs.get("response"))
    for args, _ in call.recorder.of("on_llm_error"):
        said.add(f"{way}'s on_llm_error{when}", of_error(args[0] if args else None))
    said.add(f"{way}'s error{when}", of_error(call.error))
    with contextlib.suppress(Exception):
        said.add("a pickle of the answer", pickle.dumps(call.output).decode("latin-1"))


def _look(model: Any, said: Said) -> None:
    """Keep all that a model says of itself."""
    views: dict[str, Callable[[], Any]] = {
        "repr": lambda: repr(model),
        "str": lambda: str(model),
        "dumpd": lambda: dumpd(model),
        "dumps": lambda: dumps(model),
        "_identifying_params": lambda: model._identifying_params,  # noqa: SLF001
        "_get_ls_params": model._get_ls_params,  # noqa: SLF001
        "invocation params": model._get_invocation_params,  # noqa: SLF001
        "the cache key": lambda: model._get_llm_string(stop=["a"]),  # noqa: SLF001
        "the metadata": lambda: model.metadata,
    }
    for where, view in views.items():
        try:
            said.add(where, view())
        except Exception as error:  # noqa: BLE001  it may show something as well
            said.add(f"the error of {where}", of_error(error))


@rule(
    "K2",
    "The key may come from the environment",
    fix='Let the field default to `secret_from_env("MY_API_KEY")`, and name the variable in '
    "`lc_secrets`.",
    severity="warning",
    scripted=True,
)
def keys_from_the_environment(trial: Trial) -> None:
    """Deployments set keys by the environment, and code that holds none can be shared.

    The variable that `lc_secrets` names for the key is set, and a model made without one: it has to
    hold the key, and over HTTP to send it. Skipped where the constructor takes no key, the class
    names no variable, or a function that makes the model has a key of its own.
    """
    maker, stage = trial.shared.maker, trial.shared.stage
    parameter = maker.parameter("api_key")
    if parameter is None:
        skip("the constructor takes no key")
    if parameter in maker.given:
        skip("the key was given")
    variables = [*trial.model().lc_secrets.values()]
    if not variables:
        skip("lc_secrets names no variable")
    received: list[Any] = []
    things: dict[str, Any] = maker.accepted(model=MODEL_NAME)
    if isinstance(stage, OnUpstream):
        things |= maker.accepted(max_retries=0)
        things["base_url"] = stage.address(None, received)
    named = {maker.parameter(name) or name: value for name, value in things.items()}
    if _has_own_key(trial, parameter, named):
        skip("the function that makes the model has a key of its own")
    with mock.patch.dict(os.environ, dict.fromkeys(variables, KEY)):
        model = _without(trial, parameter)(**named)
        held = secrets_of(model)
        expect(KEY in held, f"{variables} set: the model holds {len(held)} keys, not this one")
        if trial.over_http:
            call = trial.call("invoke", "Hi", model=model)
            _ = call.chunks
            sent = any(KEY in value for each in received for value in each.headers.values())
            expect(sent, f"{variables} set: no header of the request has the key")
        held = secrets_of(trial.model(api_key=OTHER_KEY))
        got = f"{variables} set: a model that was given another key holds the variable's"
        expect(OTHER_KEY in held, got, "the one that was given")


def _has_own_key(trial: Trial, parameter: str, named: Mapping[str, Any]) -> bool:
    """Tell whether a function makes models with a key where it is given none."""
    build = trial.shared.maker.build
    if isinstance(build, type | functools.partial):
        return False
    with contextlib.suppress(Exception):  # it may want one
        return bool(secrets_of(_without(trial, parameter)(**named)))
    return False


def _without(trial: Trial, parameter: str) -> Callable[..., BaseChatModel]:
    """Return what makes models without a key: of an instance, what made that, but the key."""
    maker = trial.shared.maker
    build = maker.build
    if not isinstance(build, functools.partial):
        return functools.partial(build, **maker.given)
    found: BaseChatModel = build.args[0]
    fields = type(found).model_fields
    values = {
        fields[name].alias or name: getattr(found, name)
        for name in found.model_fields_set & fields.keys()
        if parameter not in (name, fields[name].alias)
    }
    return lambda **changed: type(found)(**{**values, **changed})
