"""Copies: what comes back of a model that was serialized, pickled or copied."""

import copy
import json
import pickle
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.load import dumpd, load
from langchain_core.load.serializable import Serializable
from pydantic import SecretStr

from chatwright.checks.outcome import expect, fail, skip, warn
from chatwright.checks.probes.requests import ask, ask_whole, different, plain_fields
from chatwright.checks.rulebook import rule
from chatwright.checks.trial import Trial

NAMELESS = "pickle can't be tried: the class can't be imported by its name; copies work"
GIVEN: Mapping[str, Any] = {
    "temperature": 0.25,
    "max_tokens": 77,
    "headers": {"X-Checked": "yes"},
    "default_query": {"checked": "yes"},
    "organization": "checked",
}
"""What a model is given before it is copied: all of it has to arrive of the copy, too."""


@rule(
    "K3",
    "`load(dumpd(model))` gives the model again",
    fix="Take every field in the constructor by the name that `dumpd` gives it, and name the "
    "variables of secrets in `lc_secrets`.",
)
def serialized_and_back(trial: Trial) -> None:
    """Prompts, chains and agents are stored with their models in them.

    The class has to be the same, and each field of a plain value; over HTTP, the request and its
    key too. Secrets are handed to `load` by the names of `lc_secrets`. Skipped where
    `is_lc_serializable` is False, which is core's default, where `dumpd` says that this model can't
    be stored, and where the class can't be imported.
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
    held = ((name, _bare(getattr(each, field, None))) for each, field, name in needed)
    secrets = {name: value for name, value in held if value}  # aliases of fields hold nothing
    data = json.loads(json.dumps(dumpd(model)))
    if data["type"] == "not_implemented":
        skip("dumpd says that this model can't be stored")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # core's: it is in beta
        try:
            again = load(
                data,
                allowed_objects=[type(each) for each in stored],
                valid_namespaces=[each.get_lc_namespace()[0] for each in stored],
                secrets_map=secrets,
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
        _expect_same_request([ask(trial, model)], ask(trial, again), "the loaded model")


def _is_importable(cls: type) -> bool:
    return getattr(sys.modules.get(cls.__module__), cls.__name__, None) is cls


def _bare(value: Any) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else ""


def _expect_same_request(asked: Sequence[Any], after: Any, what: str) -> None:
    """Fail where a request differs from the model's; what those differ in themselves is new."""
    before = asked[0]
    if before is None or after is None:
        fail(f"{'the model' if before is None else what} asked nothing, or failed", "the answer")
    fresh = {name for each in asked[1:] for name in different(before, each or {})}
    changes = [name for name in different(before, after) if name not in fresh]
    expect(not changes, f"{what} sends another {', '.join(changes)}", "the same request")


@rule(
    "K4",
    "A used model pickles, and copies in every way",
    fix="Keep clients, locks and engines outside the instance, or leave them out by "
    "`__getstate__` and make them anew where they are missing.",
    calls=4,
)
def used_models_copy(trial: Trial) -> None:
    """Process pools, Spark and Ray pickle models; chains and agents copy them.

    A model that has answered by invoke and by stream, async too, is copied by `copy`, `deepcopy`,
    `model_copy` (deep, too) and pickle; each copy has to answer as the model does, with the same
    request, headers that the constructor was given included, and the model as before. That a copy
    is refused is a warning: nothing goes wrong in silence. Where the class can't be imported by
    its name, pickle can't be tried.
    """
    takes = trial.shared.maker.takes or ()
    given = {name: value for name, value in GIVEN.items() if takes and trial.takes(name)}
    model = trial.model(**given) if trial.scripted else trial.model()
    for way in ("invoke", "astream", "stream", "ainvoke") if trial.scripted else ("invoke",):
        _ = trial.call(way).chunks
        if given:
            _ = trial.call(way, model=model).chunks
    asked = [ask_whole(trial, model) for _ in range(2)] if trial.scripted else []
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
    refused = [_copied(trial, model, name, copied, asked) for name, copied in ways.items()]
    if trial.scripted:
        _expect_same_request(asked, ask_whole(trial, model), "the model that was copied")
    if told := [each for each in refused if each not in {"", NAMELESS}]:
        warn("; ".join(told), "copies")
    if NAMELESS in refused:
        skip(NAMELESS)


def _copied(
    trial: Trial, model: Any, name: str, way: Callable[[Any], Any], asked: Sequence[Any]
) -> str:
    """Expect a copy to do as the model does; return how it is refused."""
    cls = type(model)
    try:
        made = way(model)
    except Exception as error:  # noqa: BLE001  a finding
        if name == "pickle" and not _is_importable(cls):
            return NAMELESS
        return f"{name} raised {type(error).__name__}: {error}"
    expect(type(made) is cls, f"{name} gives a {type(made).__name__}", cls.__name__)
    call = trial.call("invoke", model=made)
    if call.error is not None:
        fail(f"a copy by {name} raised {type(call.error).__name__}: {call.error}", "an answer")
    if trial.scripted:
        text, whole = call.message.text, trial.call("invoke").message.text
        expect(text == whole, f"a copy by {name} answers {text!r}, the model {whole!r}", "the same")
        _expect_same_request(asked, ask_whole(trial, made), f"a copy by {name}")
    return ""
