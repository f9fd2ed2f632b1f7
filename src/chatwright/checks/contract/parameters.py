"""Parameters, tracing, configuration: what is set, what is traced, what tells models apart."""

import time
from collections.abc import Callable
from importlib import metadata
from typing import Any, get_type_hints

from langchain_core.caches import InMemoryCache
from langchain_core.language_models import BaseLanguageModel, ModelProfile
from langchain_core.messages import HumanMessage
from langchain_core.runnables import ConfigurableField

from chatwright.checks.calls.modes import Call
from chatwright.checks.calls.offline import offline
from chatwright.checks.outcome import expect, fail, shown, skip, warn
from chatwright.checks.probes.answers import able
from chatwright.checks.probes.inspection import is_refusal, told
from chatwright.checks.probes.keys import (
    CALLED_WITH,
    OWN_VALUES,
    expect_apart,
    expect_uncached,
    has_cores_key,
    stale,
)
from chatwright.checks.probes.requests import (
    SENT_AS,
    Limiter,
    ask,
    asked_model,
    at_one_address,
    different,
    find,
    plain_fields,
    ports,
    sent,
)
from chatwright.checks.probes.traces import (
    OTHER_MODEL,
    expect_call_values,
    expect_named,
    expect_own_values,
    traced_of,
)
from chatwright.checks.rulebook import rule
from chatwright.checks.trial import Trial

OVERRIDDEN = (
    ("temperature", 0.9, 0.0),
    ("max_tokens", 77, 33),
    ("top_p", 0.875, 0.25),
    ("seed", 9, 0),
)
"""Parameters, a constructor's value and a call's."""
ASKED_OF_ALL = ("temperature", "max_tokens")
"""Those that every backend has a place for."""
CONFIGURED = {"temperature": 0.125, "top_p": 0.125, "seed": 7}
SLOW = 1.0
CORE = frozenset({"langchain-core", "langchain"})
"""Packages whose versions core adds itself."""


@rule(
    "R1",
    "Traces name the provider, the model and the parameters, a call's own included",
    fix="Override `_get_ls_params`: `ls_provider`, `ls_model_name`, `ls_model_type='chat'`, "
    "`ls_temperature`, `ls_max_tokens`, `ls_stop`, with the call's values before the model's.",
    severity="warning",
)
def traces_tell(trial: Trial) -> None:
    """LangSmith shows, filters and prices runs by these.

    What is looked at is what `on_chat_model_start` is given: of each plain call, of one with values
    in the constructor, and of one with values of its own. A call's `model` has to be named where it
    is the one that the backend was asked for. That the constructor's `stop` is not traced is a
    warning: core's own `_get_ls_params` (`chat_models.py:1508-1567`) traces a call's only.
    """
    for way in able(trial):
        call = trial.call(way)
        _ = call.chunks
        expect_named(call, way)
    if trial.scripted:
        expect_call_values(trial)
        expect_own_values(trial)


@rule(
    "R2",
    "A call's values override the constructor's",
    fix="Merge the call's `**kwargs` over the fields when you make the request, by `is None` and "
    "not by truth (0 is a temperature), and change no field.",
    scripted=True,
)
def calls_override(trial: Trial) -> None:
    """`model.bind(temperature=0)` and the like are how chains and agents set parameters.

    `temperature`, `max_tokens`, `top_p`, `seed` and `model` are set in the constructor, where it
    takes them, and by calls of each way. The request has to hold the call's value, the
    constructor's where the call has none, and that again afterwards. Zero is tried too. A model
    that refuses a parameter of a call, and says so, is a warning: nothing is lost silently.
    """
    refused: list[str] = []
    tried = False
    for name, own, called in OVERRIDDEN:
        parameter = trial.shared.maker.parameter(name)
        if parameter is not None and parameter not in trial.shared.maker.given:
            tried = True
            refused += _overridden(trial, name, parameter, own, called)
    if trial.takes("model"):
        tried = True
        model = trial.model()
        before = asked_model(trial.call("invoke", "Hi", model=model))
        refused += _called(trial, model, {"model": OTHER_MODEL}, asked_model)
        after = asked_model(trial.call("invoke", "Hi", model=model))
        expect(after == before, f"model={OTHER_MODEL!r} of a call stays: {after!r} was asked")
    if not tried:
        skip("the constructor takes no temperature, no max_tokens and no model")
    if refused:
        warn("; ".join(dict.fromkeys(refused)), "the call's value")


def _overridden(trial: Trial, name: str, parameter: str, own: Any, called: Any) -> list[str]:
    def read(call: Call) -> Any:
        _ = call.chunks
        value = sent(call, name)  # 1e-08 is 0 to APIs that refuse that
        return round(value, 6) if isinstance(value, float) else value

    model: Any = None
    for value in (0.0, own) if name == "temperature" else (own,):
        fields: dict[str, Any] = {name: value}
        model = trial.model(**fields)
        for way in able(trial):
            call = trial.call(way, "Hi", model=model)
            if call.error is not None and is_refusal(call.error, name):
                return [f"the constructor's {name} is refused: {told(call.error)}"]
            found = read(call)
            if found is None and name not in ASKED_OF_ALL:
                return []  # the wire, or the source, has no place for it
            got = f"{way}, {name}={value} in the constructor: {found!r} was sent"
            expect(found == value, got, repr(value))
    refused = _called(trial, model, {parameter: called}, read)
    found = read(trial.call("invoke", "Hi", model=model))
    got = f"{found!r} was sent after a call with {parameter}={called}, {own} in the constructor"
    expect(found == own, got, repr(own))
    return refused


def _called(
    trial: Trial, model: Any, values: dict[str, Any], read: Callable[[Call], Any]
) -> list[str]:
    """Expect a call's value to be sent; return how it was refused."""
    ((name, value),) = values.items()
    refused = []
    for way in able(trial):
        call = trial.call(way, "Hi", model=model.bind(**values))
        if call.error is None:
            found = read(call)
            got = f"{way}({name}={value!r}): {found!r} was sent"
            expect(found == value, got, repr(value))
        else:
            refused.append(f"a call's {name} is refused: {type(call.error).__name__}")
    return refused


@rule(
    "R3",
    "The package's version is in the trace's metadata",
    fix='Call `self._add_version("my-package", __version__)` in a validator with a name of its '
    "own (`language_models/base.py:253-280` of langchain-core).",
    severity="warning",
)
def versions_are_traced(trial: Trial) -> None:
    """Who reads a trace of last month wants to know which version of the package made it.

    `lc_versions` in the metadata of the start has to hold, beside LangChain's own, a package that
    the class, or one of its bases, comes from, with the version that is installed. A class of no
    installed package, a script's say, has a warning where it names none.
    """
    bases = [each for each in type(trial.model()).__mro__ if issubclass(each, BaseLanguageModel)]
    names = {each.__module__.partition(".")[0].replace("_", "-") for each in bases}
    packages = {name: found for name in names - CORE if (found := _installed(name))}
    for way in able(trial):
        call = trial.call(way)
        _ = call.chunks
        told = traced_of(call).get("lc_versions") or {}
        own = {name: value for name, value in told.items() if name.replace("_", "-") not in CORE}
        if not own:
            got = f"{way}: lc_versions is {told!r}"
            warn(got, "the package's version") if not packages else fail(got, f"{packages}")
        for name, value in own.items():
            installed = _installed(name)
            got = f"{way}: {name} {value!r}; installed is {installed!r}"
            expect(value and installed in (None, value), got, "the version that is installed")


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except (metadata.PackageNotFoundError, ValueError):
        return None


@rule(
    "R4",
    "The profile has only known keys, and the user's profile wins",
    fix="Fill `profile` by `_resolve_model_profile`, with keys of `ModelProfile`, and only where "
    "the user gave none.",
    severity="warning",
)
def profiles_are_known(trial: Trial) -> None:
    """Agents read the profile to choose what they ask of a model; a misspelt key is never read.

    The keys are those of `langchain_core.language_models.ModelProfile`, and values are of its
    types. `profile=` in the constructor has to be what `model.profile` says then.
    """
    known = get_type_hints(ModelProfile)
    profile = getattr(trial.model(), "profile", None) or {}
    unknown = sorted(set(profile) - set(known))
    expect(not unknown, f"unknown keys: {unknown}", "keys of ModelProfile")
    for name, value in profile.items():
        if known[name] in (bool, int, str):
            got = f"{name} is {value!r}"
            expect(type(value) is known[name], got, known[name].__name__)
    own = {"max_input_tokens": 7, "tool_calling": False}
    became = getattr(trial.model(profile=own), "profile", None) or {}
    kept = {name: became.get(name) for name in own}
    expect(kept == own, f"profile={own} became {shown(became)}", "the user's")
    empty = getattr(trial.model(profile={}), "profile", None)
    expect(not empty, f"profile={{}} became {shown(empty)}", "the user's")


@rule(
    "R5",
    "`configurable_fields` changes nothing but what is configured",
    fix="Let fields be set by their own names too (`populate_by_name=True`), let `streaming` "
    "default to None, and keep engines outside the instance.",
)
def configured_models_are_whole(trial: Trial) -> None:
    """Core makes the model anew for each configured call, from its fields by their own names.

    So values of aliased fields may be lost, private attributes start afresh, and a default
    `streaming=False` counts as set, which switches streaming off
    (`runnables/configurable.py:449-455`, `chat_models.py:585` of langchain-core 1.7.2). The fields
    of the model that core makes are compared, and over HTTP what is asked, with which key, and how
    many chunks come. That it streams no more is a warning, as core does that; and so is that it
    takes more than a second to make, as where an engine is loaded again.
    """
    own: dict[str, Any] = {"max_tokens": 77} if trial.takes("max_tokens") else {}
    model: Any = trial.model(**own)
    found = [each for each in CONFIGURED if each in type(model).model_fields and each not in own]
    if not found:
        skip(f"the class has no field {' or '.join(CONFIGURED)}")
    name = found[0]
    flexible: Any = model.configurable_fields(**{name: ConfigurableField(id="checked")})
    config = {"configurable": {"checked": CONFIGURED[name]}}
    made, seconds = _configured(flexible, config)
    got = f"{name} is {getattr(made, name, None)!r}, {CONFIGURED[name]!r} was configured"
    expect(getattr(made, name, None) == CONFIGURED[name], got)
    for field, value in plain_fields(model).items():
        now = getattr(made, field, None)
        expect(now == value or field == name, f"{field}: {value!r} became {now!r}", "as it was")
    if trial.over_http:
        _expect_same_calls(trial, model, flexible.with_config(config), name)
    disabled = [getattr(each, "_streaming_disabled", bool)() for each in (model, made)]
    if disabled[0] != disabled[1]:
        warn("streaming is switched off", "as it was")
    if seconds > SLOW and min(_configured(flexible, config)[1] for _ in range(2)) > SLOW:
        warn(f"each configured call makes the model anew, for {seconds:.1f} s", "no engine is")


def _configured(flexible: Any, config: Any) -> tuple[Any, float]:
    started = time.perf_counter()
    made, _ = flexible.prepare(config)
    return made, time.perf_counter() - started


def _expect_same_calls(trial: Trial, model: Any, configured: Any, name: str) -> None:
    before, after = ask(trial, model), ask(trial, configured)
    if before is None or after is None:
        fail(f"{'the' if before is None else 'the configured'} model asked nothing, or failed")
    changes = [each for each in different(before, after) if each not in (*SENT_AS[name], "options")]
    expect(not changes, f"{changes} changed in the request", f"{name} only")
    expect(find(after, name) == CONFIGURED[name], f"{name} {find(after, name)!r} was sent")
    counts = [len(trial.call("stream", "Hi", model=each).chunks) for each in (model, configured)]
    if counts[0] != counts[1]:
        warn(f"stream gave {counts[1]} chunks, not {counts[0]}", "as many")


@rule(
    "R6",
    "The cache key changes with every parameter, stop and tool",
    fix="Put all that changes answers into `_identifying_params`; where `is_lc_serializable` is "
    "True, override `_get_llm_string` too: core makes it of `_serialized`, which goes stale.",
    scripted=True,
)
def keys_tell_models_apart(trial: Trial) -> None:
    """Where two models share a key, one gets the other's answers from the cache.

    What has to change the key: a call's stop, temperature, tools and tool choice; the
    constructor's parameters; and each field of a number or a switch that changes the request, by
    `model_copy` and by assignment, after the key was asked for once: core keeps `_serialized` over
    both (langchain-ai/langchain#39598), and what that alone keeps is a warning. It must be the same
    where nothing changes. A field that need not change the answer, `keep_alive` for one, is a
    warning. That the constructor's `stop` is not in it is a warning where the key is
    core's: it puts the call's in its place, None too (`chat_models.py:1541`). A model that says by
    an error that it has no key passes over the rule if it answers beside a cache, and stays out.
    """
    model: Any = trial.model()
    key = model._get_llm_string  # noqa: SLF001  no other way
    try:
        key()
    except Exception as error:  # noqa: BLE001  the model's own
        expect_uncached(trial, error)
    expect(key() == key(), "the same model has two keys", "one")
    one_address = at_one_address(trial)
    twins = [trial.model(**one_address) for _ in range(2)]
    alike = {each._get_llm_string() for each in twins}  # noqa: SLF001
    expect(len(alike) == 1, "two models that were made alike have two keys", "one")
    expect_apart([(f"a call's {each or 'nothing'}", key(**each)) for each in CALLED_WITH])
    address, given, near = at_one_address(trial), trial.shared.maker.given, ""
    for name, one, other in OWN_VALUES:
        if trial.takes(name) and trial.shared.maker.parameter(name) not in given:
            pair = [trial.model(**{**address, name: each}) for each in (one, other)]
            asked = [ask(trial, each) for each in pair]
            if name == "stop" or asked[0] != asked[1]:
                keys = [each._get_llm_string() for each in pair]  # noqa: SLF001
                if name == "stop" and keys[0] == keys[1] and has_cores_key(model):
                    near = "the constructor's stop is not in the key: core overwrites it"
                    continue
                named = [f"{name}={each!r}" for each in (one, other)]
                expect_apart([*zip(named, keys, strict=True)])
    for is_fault, got in stale(trial, model):
        (fail if is_fault else warn)(got, "another key")
    if near:
        warn(near, "two keys; override _get_llm_string")


@rule(
    "R7",
    "The rate limiter is acquired once per uncached call",
    fix="Leave `rate_limiter` to core: don't acquire it in `_generate` or `_stream`, and don't "
    "override `generate`, `invoke` or `stream`.",
    calls=2,
)
def limited_once(trial: Trial) -> None:
    """Twice halves the rate that the user pays for; never gets the user locked out.

    Tried by every way of calling, and with a cache, whose answers cost the backend nothing.
    """
    limiter = Limiter()
    model = trial.model(rate_limiter=limiter)
    for way in able(trial) if trial.scripted else ("invoke", "stream"):
        before = limiter.asked
        _ = trial.call(way, "Hi", model=model).chunks
        got = f"{way}: acquired {limiter.asked - before} times"
        expect(limiter.asked == before + 1, got, "once")
    if trial.scripted:
        limiter = Limiter()
        model = trial.model(rate_limiter=limiter, cache=InMemoryCache())
        for _ in range(3):
            _ = trial.call("invoke", "Hi", model=model).chunks
        asked = len(trial.received(model))
        got = f"three calls, {asked} of them uncached: acquired {limiter.asked} times"
        expect(limiter.asked == asked or asked > 1, got, f"{asked} times")


@rule(
    "R8",
    "Tokens are counted offline",
    fix="Override `get_num_tokens` or `get_token_ids`: by the model's own tokenizer, or by an "
    "estimate. Core's takes GPT-2's, which it downloads.",
    severity="warning",
)
def tokens_are_counted_offline(trial: Trial) -> None:
    """`trim_messages` and memories count tokens all the time, in places without a network too.

    `get_num_tokens` and `get_num_tokens_from_messages` are called without a network, the fake
    upstream included; what they say has to be above zero, and more for more text. Core's default
    (`language_models/base.py`) downloads GPT-2's tokenizer by transformers, or raises without it: a
    warning, as is a count that the model says it does not have.
    """
    model = trial.model()
    cls, core = type(model), BaseLanguageModel
    cores = (cls.get_token_ids, cls.get_num_tokens) == (core.get_token_ids, core.get_num_tokens)
    if cores and model.custom_get_token_ids is None:
        warn("it is core's own: GPT-2's tokenizer, downloaded", "a count of the model's own")
    words = "hello world, said the cat"
    with offline(ports(trial)) as asked:
        try:
            counts = [model.get_num_tokens(words), model.get_num_tokens(words * 20)]
            counts.append(model.get_num_tokens_from_messages([HumanMessage(words)]))
        except NotImplementedError as error:
            warn(f"NotImplementedError: {error}", "a count")
        except Exception as error:
            if not asked:
                raise
            fail(f"{asked[0]} was asked for, and then {type(error).__name__}", "no network")
    expect(not asked, f"{asked[:1]} was asked for", "no network")
    good = all(type(each) is int and each > 0 for each in counts) and counts[1] > counts[0]
    expect(good, f"{counts} for a short text, a long one, and messages", "counts that grow")
