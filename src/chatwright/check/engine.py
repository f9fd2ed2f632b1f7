"""Tries rules on models: what `check` does."""

import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core._api.beta_decorator import LangChainBetaWarning
from langchain_core.language_models import BaseChatModel

from chatwright.check.evidence import masked, shown_error
from chatwright.check.finding import Fault, Finding, Report, Verdict, versions
from chatwright.check.guard import Exceeded, guarded
from chatwright.check.making import Maker, maker, secrets_of
from chatwright.check.modes import Excess, Raised
from chatwright.check.pointing import staged
from chatwright.check.rule import Outcome, Rule, rules, skip
from chatwright.check.stage import CANARY, Live
from chatwright.check.suites import suites
from chatwright.check.trial import HOMES, Background, Shared, Trial, need

__all__ = ["MAX_CALLS", "Options", "Run", "check", "tried"]

MAX_CALLS = 60
"""How often a live model is called, at most."""
LINK = "https://github.com/chatwright/chatwright/blob/main/docs/reference/rules.md#"


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a model is checked; `check` says what each means."""

    upstream: str = "auto"
    only: Sequence[str] = ()
    skip: Sequence[str] = ()
    declare: Sequence[str] = ()
    live: bool = False
    langchain_tests: bool = True
    max_calls: int = MAX_CALLS
    max_cost: float | None = None


def check(
    model: Any,
    *,
    kwargs: Mapping[str, Any] | None = None,
    tell: Callable[[Finding], None] | None = None,
    **options: Any,
) -> Report:
    """Tell what holds of a chat model, rule by rule.

    Where it can be, the model is pointed at a fake upstream on loopback, so that nothing is spent
    and every rule can be tested. Else it is called as it is, and the rules that need a script are
    skipped.

    Args:
        model: A chat model, a class of chat models, or a function that returns one. A function
            takes what its signature names: `base_url`, `api_key`, `model`, `temperature`, ….
        kwargs: Arguments for the class, or the function.
        tell: Is given each finding as it is found.
        **options: `upstream`, the wire that the model speaks: `openai`, `ollama`, `anthropic`;
            `auto` (the default) finds it out, `none` tests the model as it is. `only` and `skip`,
            the ids, or first letters, of rules. `declare`, what the model is said to support, so
            that its absence is a failure: `streaming`, `tools`, `structured`, `images`, `audio`,
            `files`. `live` (False), whether rules that need no script are tried on the model as it
            is, even where there is an upstream. `langchain_tests` (True), whether its suites run
            too, where it is installed. `max_calls` (60) and `max_cost` (None: no limit), how often
            a live model may be called, and what that may cost, in the currency of its prices.

    Raises:
        PointingError: A class, or a function, that can't be pointed at the upstream.
        TypeError: It is none of these, or there is no such option.
        ValueError: There is no such rule, or no such upstream.
    """
    made = maker(model, kwargs)
    instance = model if isinstance(model, BaseChatModel) and not kwargs else None
    started = time.perf_counter()
    run = Run(made, instance, Options(**options))
    found = []
    for finding in run.findings():
        found.append(finding)
        if tell:
            tell(finding)
    seconds = time.perf_counter() - started
    return Report(made.name, found, run.calls, seconds, versions(made.package))


class Run:
    """One check of one model: an iterator of findings.

    Args:
        made: Makes the models.
        instance: The model itself, where there is one.
        options: How it is checked.

    Raises:
        ValueError: There is no such rule.
    """

    def __init__(self, made: Maker, instance: BaseChatModel | None, options: Options) -> None:
        """Prepare; nothing is called yet."""
        self.rules = rules(options.only, options.skip)
        self._options = options
        self._made = made
        self._instance = instance
        self._places: list[Shared] = []

    @property
    def calls(self) -> int:
        """How often the model was called so far."""
        return sum(each.heard.calls for each in self._places)

    def findings(self) -> Iterator[Finding]:
        """Yield what the rules find, one after the other.

        Raises:
            PointingError: The model can't be pointed at the upstream.
            ValueError: There is no such upstream.
        """
        options, made, instance = self._options, self._made, self._instance
        declared = frozenset(options.declare)
        stage = staged(made, instance, options.upstream)
        shared = as_it_is = Shared(stage, made, declared)
        if options.live and stage.layer != "live":
            as_it_is = Shared(Live(made, instance), made, declared)
        self._places = [shared] if as_it_is is shared else [shared, as_it_is]
        hidden = {CANARY} | (secrets_of(instance) if instance is not None else set())
        try:
            for each in self.rules:
                where = shared if each.scripted else as_it_is
                yield masked(tried(each, where, max_calls=options.max_calls), hidden)
            if options.langchain_tests and not options.only:
                for finding in suites(stage, made, declared):
                    yield masked(finding, hidden)
        finally:
            for place in self._places:
                place.background.stop()
            stage.close()


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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LangChainBetaWarning)
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
