"""Serialization and secrets: what is kept, what is copied, and what must never be shown."""

import base64
import contextlib
import copy
import functools
import json
import os
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumpd, dumps, load
from langchain_core.load.serializable import Serializable
from pydantic import SecretStr

from chatwright.checks.finding import Fault
from chatwright.checks.outcome import expect, fail, skip, warn
from chatwright.checks.probes.answers import able
from chatwright.checks.probes.captured_output import Said, listening, of_error
from chatwright.checks.probes.requests import ask, different, plain_fields
from chatwright.checks.rulebook import rule
from chatwright.checks.targets.backends import ANSWER, CANARY, OnUpstream
from chatwright.checks.targets.constructor import MODEL_NAME, secrets_of
from chatwright.checks.trial import LOOK_UP, Trial
from chatwright.testing import Cut, Pause, Refuse

OTHER_KEY = f"{CANARY}-other"
KEY, HEADER, PASSWORD = f"{CANARY}-key", f"{CANARY}-header", f"{CANARY}-password"
# The canary is in each: reports hide it.
_LONG = 8
"""How long a secret has to be to be looked for: `none` or `test` is in any text."""
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
    mend="Make keys, headers' values and URLs with passwords `SecretStr`, keep what can't be one "
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
        held = [each for each in secrets_of(trial.model()) if len(each) >= _LONG]
        if held:
            yield "its key", held, {}
        return
    if trial.takes("api_key"):
        given = trial.shared.maker.given.get(trial.shared.maker.parameter("api_key") or "")
        own = [given] if isinstance(given, str) and len(given) >= _LONG else []
        yield "the key", [KEY, KEY[8:-4], *own], {"api_key": KEY}
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
    mend='Let the field default to `secret_from_env("MY_API_KEY")`, and name the variable in '
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
    things: dict[str, Any] = maker.accepted(model=MODEL_NAME, max_retries=0)
    if isinstance(stage, OnUpstream):
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


@rule(
    "K3",
    "`load(dumpd(model))` gives the model again",
    mend="Take every field in the constructor by the name that `dumpd` gives it, and name the "
    "variables of secrets in `lc_secrets`.",
)
def serialized_and_back(trial: Trial) -> None:
    """Prompts, chains and agents are stored with their models in them.

    The class has to be the same, and each field of a plain value; over HTTP, the request and its
    key too. Secrets are handed to `load` by the names of `lc_secrets`. Skipped where
    `is_lc_serializable` is False, which is core's default, and where the class can't be imported.
    """
    wanted: dict[str, Any] = {"temperature": 0.25, "max_tokens": 77, "stop": ["never there"]}
    own = {name: value for name, value in wanted.items() if trial.takes(name)}
    model = trial.model(**own) if trial.scripted else trial.model()
    cls = type(model)
    if not cls.is_lc_serializable():
        skip("is_lc_serializable() is False")
    # A model around another one is stored with it.
    stored = [model, *(each for each in vars(model).values() if isinstance(each, Serializable))]
    needed = [(each, *pair) for each in stored for pair in each.lc_secrets.items()]
    secrets = {name: _bare(getattr(each, field, None)) for each, field, name in needed}
    data = json.loads(json.dumps(dumpd(model)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # core's: it is in beta
        try:
            again = load(
                data,
                allowed_objects=[type(each) for each in stored],
                valid_namespaces=[each.get_lc_namespace()[0] for each in stored],
                secrets_map={name: each for name, each in secrets.items() if each},
            )
        except Exception:
            if not _is_importable(cls):
                skip("the class can't be imported by its name")
            raise
    expect(type(again) is cls, f"it is a {type(again).__name__}", cls.__name__)
    for name, value in plain_fields(model).items():
        now = getattr(again, name, None)
        expect(now == value, f"{name}: {value!r} became {now!r}", "as it was")
    if trial.over_http:
        _expect_same_request(trial, model, again, "the loaded model")


def _is_importable(cls: type) -> bool:
    return getattr(sys.modules.get(cls.__module__), cls.__name__, None) is cls


def _bare(value: Any) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else ""


def _expect_same_request(trial: Trial, model: Any, other: Any, what: str) -> None:
    before, after = ask(trial, model), ask(trial, other)
    if before is None or after is None:
        fail(f"{'the model' if before is None else what} asked nothing, or failed", "the answer")
    changes = different(before, after)
    expect(not changes, f"{what} sends another {', '.join(changes)}", "the same request")


@rule(
    "K4",
    "A used model pickles, and copies in every way",
    mend="Keep clients, locks and engines outside the instance, or leave them out by "
    "`__getstate__` and make them anew where they are missing.",
    calls=4,
)
def used_models_copy(trial: Trial) -> None:
    """Process pools, Spark and Ray pickle models; chains and agents copy them.

    A model that has answered by invoke and by stream, async too, is copied by `copy`, `deepcopy`,
    `model_copy` (deep, too) and pickle; each copy has to answer as the model does, with the same
    request, and the model as before. That a copy is refused is a warning: nothing goes wrong in
    silence. Where the class can't be imported by its name, pickle can't be tried.
    """
    model = trial.model()
    for way in ("invoke", "astream", "stream", "ainvoke") if trial.scripted else ("invoke",):
        _ = trial.call(way).chunks
    ways: dict[str, Callable[[Any], Any]] = {
        "deepcopy": copy.deepcopy,
        "model_copy": lambda each: each.model_copy(),
        "pickle": lambda each: pickle.loads(pickle.dumps(each)),  # noqa: S301  our own
    }
    if trial.scripted:
        ways = {
            "copy": copy.copy,
            "model_copy(deep=True)": lambda each: each.model_copy(deep=True),
            **ways,
        }
    for name, copied in ways.items():
        _expect_a_copy(trial, model, name, copied)


def _expect_a_copy(trial: Trial, model: Any, name: str, way: Callable[[Any], Any]) -> None:
    cls = type(model)
    try:
        made = way(model)
    except Exception as error:  # noqa: BLE001  a finding
        if (
            name == "pickle"
            and getattr(sys.modules.get(cls.__module__), cls.__name__, None) is not cls
        ):
            skip("pickle can't be tried: the class can't be imported by its name; copies work")
        warn(f"{name} raised {type(error).__name__}: {error}", "a copy")
    expect(type(made) is cls, f"{name} gives a {type(made).__name__}", cls.__name__)
    call = trial.call("invoke", model=made)
    if call.error is not None:
        fail(f"a copy by {name} raised {type(call.error).__name__}: {call.error}", "an answer")
    if trial.scripted:
        text, whole = call.message.text, trial.call("invoke").message.text
        expect(text == whole, f"a copy by {name} answers {text!r}, the model {whole!r}", "the same")
        _expect_same_request(trial, model, made, f"a copy by {name}")
