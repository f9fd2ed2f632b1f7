"""Tries rules on models: what `check` does."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.language_models import BaseChatModel

from chatwright.check.evidence import shown_error
from chatwright.check.finding import Fault, Finding, Report, Verdict, versions
from chatwright.check.guard import Exceeded, guarded
from chatwright.check.making import Maker, maker, secrets_of
from chatwright.check.modes import Excess, Raised
from chatwright.check.rule import Outcome, Rule, rules, skip
from chatwright.check.stage import CANARY, Live, OnUpstream, Stage, Substituted
from chatwright.check.suites import suites
from chatwright.check.trial import HOMES, PROMPT, Background, Shared, Trial, need

__all__ = ["MAX_CALLS", "UPSTREAMS", "PointingError", "check", "findings", "staged"]

MAX_CALLS = 60
"""How often a live model is called, at most."""
UPSTREAMS = ("auto", "openai", "ollama", "anthropic", "none")
LINK = "https://github.com/chatwright/chatwright/blob/main/docs/reference/rules.md#"
POINTING_SECONDS = 20.0


class PointingError(ValueError):
    """The model can't be made to speak to the fake upstream."""


def check(
    model: Any,
    *,
    upstream: str = "auto",
    kwargs: Mapping[str, Any] | None = None,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    declare: Sequence[str] = (),
    live: bool = False,
    langchain_tests: bool = True,
    max_calls: int = MAX_CALLS,
    tell: Callable[[Finding], None] | None = None,
) -> Report:
    """Tell what holds of a chat model, rule by rule.

    Where it can be, the model is pointed at a fake upstream on loopback, so that nothing is spent
    and every rule can be tested. Else it is called as it is, and the rules that need a script are
    skipped.

    Args:
        model: A chat model, a class of chat models, or a function that returns one. A function
            takes what its signature names: `base_url`, `api_key`, `model`, `temperature`, ….
        upstream: The wire that the model speaks: `openai`, `ollama`, `anthropic`; `auto` finds it
            out; `none` tests the model as it is.
        kwargs: Arguments for the class, or the function.
        only: The ids, or first letters, of the rules that are wanted. Default: all.
        skip: The ids, or first letters, of the rules that are not.
        declare: What the model is said to support, so that its absence is a failure: `streaming`,
            `tools`, `structured`, `images`, `audio`, `files`.
        live: Whether rules that need no script are tried on the model as it is, even where there is
            an upstream.
        langchain_tests: Whether langchain-tests' suites run too, where it is installed.
        max_calls: How often a live model may be called.
        tell: Is given each finding as it is found.

    Returns:
        The report.

    Raises:
        PointingError: A class, or a function, that can't be pointed at the upstream.
        TypeError: It is none of these.
        ValueError: There is no such rule, or no such upstream.
    """
    made = maker(model, kwargs)
    instance = model if isinstance(model, BaseChatModel) and not kwargs else None
    started = time.perf_counter()
    found = []
    calls = [0]
    for finding in findings(
        made,
        instance,
        upstream=upstream,
        chosen=rules(only, skip),
        declare=declare,
        live=live,
        langchain_tests=langchain_tests and not only,
        max_calls=max_calls,
        calls=calls,
    ):
        found.append(finding)
        if tell:
            tell(finding)
    seconds = time.perf_counter() - started
    return Report(made.name, found, calls[0], seconds, versions(made.package))


def findings(
    made: Maker,
    instance: BaseChatModel | None,
    *,
    upstream: str,
    chosen: Sequence[Rule],
    declare: Sequence[str],
    live: bool,
    langchain_tests: bool,
    max_calls: int,
    calls: list[int],
) -> Iterator[Finding]:
    """Yield what rules find; `calls` is told how often the model was called."""
    stage = staged(made, instance, upstream)
    shared = Shared(stage, made, frozenset(declare))
    as_it_is = Shared(Live(made, instance), made, frozenset(declare)) if live else shared
    hidden = {CANARY} | (secrets_of(instance) if instance is not None else set())
    try:
        for each in chosen:
            where = shared if each.scripted else as_it_is
            finding = tried(each, where, max_calls=max_calls)
            calls[0] = shared.heard.calls + (as_it_is.heard.calls if live else 0)
            yield _masked(finding, hidden)
        if langchain_tests:
            for finding in suites(stage, made, frozenset(declare)):
                yield _masked(finding, hidden)
    finally:
        for place in {id(shared): shared, id(as_it_is): as_it_is}.values():
            place.background.stop()
        stage.close()


def staged(made: Maker, instance: BaseChatModel | None, upstream: str) -> Stage:
    """Return where a model is tried.

    Raises:
        PointingError: It should speak to the upstream, and can't be made to.
        ValueError: There is no such upstream.
    """
    if upstream not in UPSTREAMS:
        raise ValueError(f"there is no upstream {upstream!r}; there are {', '.join(UPSTREAMS)}")
    if upstream == "none":
        return Live(made, instance)
    why = f"{made.name} takes no address, such as base_url"
    if made.parameter("base_url"):
        stage = OnUpstream(made)
        try:
            wire, why = _pointed(stage, made.name)
            if wire and upstream not in ("auto", wire):
                why = f"{made.name} speaks {wire}, not {upstream}"
            elif wire:
                return stage
        except BaseException:
            stage.close()
            raise
        stage.close()
    if _is_own(made, instance):
        return Substituted(made)
    if upstream != "auto":
        raise PointingError(f"{why}; give a function that makes the model with base_url=…")
    if instance is None and made.parameter("base_url"):
        raise PointingError(
            f"{why}; set what is missing by kwargs, give a function that makes the model with "
            "base_url=…, or test it as it is: upstream='none'"
        )
    return Live(made, instance)


def _pointed(stage: OnUpstream, name: str) -> tuple[str | None, str]:
    """Return the wire by which a model has spoken to the upstream, or why it has not."""
    said: list[str] = []
    seen: list[Any] = []

    def ask() -> None:
        try:
            made = stage.make(None, {})
            seen.append(made.received)
            made.model.invoke(PROMPT)
        except BaseException as error:  # noqa: BLE001  it is the model's
            said.append(f"{type(error).__name__}: {shown_error(error)}")

    try:
        guarded(ask, seconds=POINTING_SECONDS)
    except Exceeded as error:
        said.append(str(error))
    if seen and seen[0]:
        return stage.wire_of(seen[0][0]), ""
    return None, f"{name} sent nothing to the upstream ({said[0] if said else 'nor did it fail'})"


def _is_own(made: Maker, instance: BaseChatModel | None) -> bool:
    """Tell whether a model is made of a source that a script can replace."""
    return hasattr(instance if instance is not None else made.build, "reply")


def tried(rule: Rule, shared: Shared, *, max_calls: int = MAX_CALLS) -> Finding:
    """Try one rule; whatever happens is a finding."""
    trial = Trial(shared, rule.seconds)
    outcome: list[BaseException] = []
    pid = os.getpid()

    def attempt() -> None:
        try:
            _allow(rule, trial, max_calls)
            rule.test(trial)
        except BaseException as error:  # noqa: BLE001  a finding
            outcome.append(error)
        if os.getpid() != pid:  # the model has forked, and this is the copy
            os._exit(0)

    started = time.perf_counter()
    try:
        guarded(attempt, seconds=rule.seconds + 2)
    except Exceeded as excess:
        outcome.append(Excess(str(excess)))
    if not shared.background.alive():
        shared.background = Background()
    finding = Finding(
        rule=rule.id,
        title=rule.title,
        section=rule.section,
        severity=rule.severity,
        verdict=Verdict.PASS,
        layer=shared.stage.layer,
        link=f"{LINK}{rule.id.lower()}",
        seconds=time.perf_counter() - started,
    )
    return finding if not outcome else _found(finding, rule, trial, outcome[-1])


def _allow(rule: Rule, trial: Trial, max_calls: int) -> None:
    """Skip what can't be tested."""
    if rule.scripted and not trial.scripted:
        skip("it needs a backend that plays a script")
    if not trial.scripted and trial.shared.heard.calls + rule.calls > max_calls:
        skip(f"the limit of {max_calls} calls was reached")
    for ability in sorted(rule.needs):
        need(trial, ability)


def _found(finding: Finding, rule: Rule, trial: Trial, error: BaseException) -> Finding:
    """Return what an exception makes of a finding."""
    outcome = _outcome(rule, error)
    wrong = outcome.verdict in (Verdict.FAIL, Verdict.WARN)
    return replace(
        finding,
        verdict=outcome.verdict,
        fault=outcome.fault,
        sent=outcome.sent or (repr(trial.made[-1].prompt)[:200] if wrong and trial.made else ""),
        got=outcome.got,
        expected=(outcome.expected or rule.title) if wrong else "",
        mend=rule.mend if wrong else "",
        exchanges=trial.exchanges() if wrong else (),
    )


def _outcome(rule: Rule, error: BaseException) -> Outcome:
    if isinstance(error, Outcome):
        return error
    if isinstance(error, Raised):
        call, said = error.call, shown_error(error.call.error or error)
        got = f"{call.way} raised {type(call.error).__name__}: {said}"
        home = HOMES[call.way]
        if call.shared and rule.id != home:
            return Outcome(Verdict.SKIP, f"{got} (see {home})", fault=None)
        return Outcome(Verdict.FAIL, got)
    said = f"{type(error).__name__}: {shown_error(error)}"
    if isinstance(error, Excess | TimeoutError):
        return Outcome(Verdict.FAIL, shown_error(error), "an end, within bounds")
    if _is_rules_own(rule, error):
        return Outcome(Verdict.SKIP, f"the rule crashed: {said}", fault=Fault.CHECK)
    return Outcome(Verdict.FAIL, f"it raised {said}")


def _is_rules_own(rule: Rule, error: BaseException) -> bool:
    """Tell whether an exception comes from the rule's own lines, not from the model's."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and last.tb_frame.f_code.co_filename == rule.test.__code__.co_filename


def _masked(finding: Finding, hidden: set[str]) -> Finding:
    """Keep keys out of a report."""

    def mask(value: Any) -> Any:
        if isinstance(value, str):
            for each in hidden:
                value = value.replace(each, "***")
        elif isinstance(value, dict):
            return {name: mask(each) for name, each in value.items()}
        elif isinstance(value, list | tuple):
            return type(value)(mask(each) for each in value)
        return value

    exchanges = [
        replace(
            each, request=mask(each.request), timeline=mask(each.timeline), error=mask(each.error)
        )
        for each in finding.exchanges
    ]
    return replace(
        finding,
        sent=mask(finding.sent),
        got=mask(finding.got),
        expected=mask(finding.expected),
        exchanges=exchanges,
    )
