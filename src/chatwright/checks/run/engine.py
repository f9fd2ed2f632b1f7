"""Tries rules on models: what `check` does."""

import functools
import os
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core._api.beta_decorator import LangChainBetaWarning
from langchain_core.language_models import BaseChatModel

from chatwright.checks.calls.causes import cause
from chatwright.checks.calls.event_loop import Background
from chatwright.checks.calls.evidence import masked, shown_error
from chatwright.checks.calls.limits import OVERTIME, Exceeded, guarded
from chatwright.checks.calls.modes import HOMES, Excess, Raised
from chatwright.checks.finding import Fault, Finding, Report, Severity, Verdict, versions
from chatwright.checks.outcome import Outcome, skip
from chatwright.checks.rulebook import Rule, rules
from chatwright.checks.run.langchain_tests import suites
from chatwright.checks.targets.backends import CANARY, Live, Substituted
from chatwright.checks.targets.constructor import key_given, maker, secrets_of
from chatwright.checks.targets.redirect import PointingError, staged
from chatwright.checks.trial import TIMEOUT, Budget, Shared, Trial, need

__all__ = ["MAX_CALLS", "SUITES", "Options", "Run", "check", "tried"]

SUITES = "suites"
"""What stands for langchain-tests' suites among the ids of rules."""
MAX_CALLS = 60
"""How often a live model is called, at most."""
MAX_TOKENS = 64
"""How long the answers of a live model may be, in tokens."""
LINK = "docs/reference/rules.md#"


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a model is checked; `check` says what each means."""

    upstream: str = "auto"
    only: Sequence[str] | None = None
    skip: Sequence[str] = ()
    declare: Sequence[str] = ()
    live: bool = False
    langchain_tests: bool | None = None
    whole: bool | None = None
    """Whether other processes try what `only` leaves out."""
    max_calls: int = MAX_CALLS
    max_tokens: int = MAX_TOKENS
    max_cost: float | None = None
    price: tuple[float, float] | None = None
    timeout: float = TIMEOUT

    def __post_init__(self) -> None:
        """Refuse what can't be.

        Raises:
            ValueError: A time without length.
        """
        if not self.timeout > 0:
            raise ValueError(f"timeout={self.timeout!r}: it is more than 0 seconds")

    def seconds(self, rule: Rule) -> float:
        """Return how long a rule may take: as much longer as its calls may."""
        return rule.seconds * self.timeout / TIMEOUT

    def all_rules(self) -> bool:
        """Tell whether all rules are tried, here or in processes beside this one."""
        return self.only is None if self.whole is None else self.whole

    def suites_too(self) -> bool:
        """Tell whether langchain-tests' suites run as well."""
        return self.only is None if self.langchain_tests is None else self.langchain_tests


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
            is, even where there is an upstream. `langchain_tests` (True, unless `only` is given),
            whether its suites run too, where it is installed. `timeout` (15), how long one call may
            take, in seconds; a rule may take as much longer, too. For live models: `max_calls`
            (60), how often one may be called; `max_tokens` (64), how long its answers may be, where
            it has such a field; `max_cost` (None: no limit), what all may cost, at a `price` per
            million input and output tokens, or what the model itself tells.

    Raises:
        PointingError: A class, or a function, that can't be pointed at the upstream.
        TypeError: It is none of these, or there is no such option.
        ValueError: There is no such rule, or no such upstream.
    """
    started = time.perf_counter()
    run = Run(model, kwargs, Options(**options))
    found = []
    for finding in run.findings():
        found.append(finding)
        if tell:
            tell(finding)
    seconds = time.perf_counter() - started
    return Report(run.made.name, found, run.calls, seconds, versions(run.made.package))


class Run:
    """One check of one model: an iterator of findings.

    Args:
        model: A chat model, a class of chat models, or a function that returns one.
        kwargs: Arguments for the class, or the function.
        options: How it is checked.

    Raises:
        TypeError: It is none of these.
        ValueError: There is no such rule.
    """

    def __init__(self, model: Any, kwargs: Mapping[str, Any] | None, options: Options) -> None:
        """Prepare; nothing is called yet."""
        self.made = maker(model, kwargs)
        instance = model if isinstance(model, BaseChatModel) and not kwargs else None
        self.rules = rules(options.only, options.skip)
        self._options = options
        self._instance = instance
        self._places: list[Shared] = []
        secrets = secrets_of(instance) if instance is not None else set()
        self._hidden = {CANARY, key_given(self.made), *secrets} - {""}
        self.before: Callable[[str], None] = lambda _: None
        self.allow: Callable[[int], None] = lambda _: None
        self.spent: Callable[[], None] = lambda: None
        self.divide: Callable[[], Collection[str]] = lambda: ()
        self._left_out: Collection[str] = ()

    @property
    def calls(self) -> int:
        """How often the model was called so far."""
        return sum(each.budget.calls for each in self._places)

    @property
    def cost(self) -> float:
        """What the calls have cost so far, as far as that is known."""
        return sum(each.budget.cost for each in self._places)

    def findings(self) -> Iterator[Finding]:
        """Yield what the rules find, one after the other.

        Raises:
            PointingError: The model can't be pointed at the upstream.
            ValueError: There is no such upstream.
        """
        try:
            for each in self.rules:
                if each.id not in self._left_out:
                    self.before(each.id)
                    yield self.try_rule(each)
            if self._options.all_rules() and isinstance(self._places[-1].stage, Substituted):
                yield OWN_SOURCE
            if self._options.suites_too() and SUITES not in self._left_out:
                self.before(SUITES)
                scripted = self._begun()[0]
                for finding in suites(scripted.stage, self.made, scripted.declared):
                    yield masked(finding, self._hidden)
        finally:
            self.close()

    def try_rule(self, rule: Rule) -> Finding:
        """Try one rule; whatever happens is a finding.

        Raises:
            PointingError: The model can't be pointed at the upstream.
        """
        scripted, as_it_is = self._begun()
        where = scripted if rule.scripted else as_it_is
        found = masked(tried(rule, where, self._options.seconds(rule)), self._hidden)
        if scripted.is_away():
            error = scripted.calls["invoke"].error
            told = f"{type(error).__name__}: {shown_error(error)}" if error else ""
            raise PointingError(
                f"nothing answers where {self.made.name} asks ({told}); start what does, or give "
                "its address by kwargs"
            )
        return found

    def close(self) -> None:
        """Release what the run holds."""
        for place in self._places:
            place.background.stop()
            place.stage.close()

    def _begun(self) -> tuple[Shared, Shared]:
        """Return where scripted rules are tried, and where others are; at first, begin."""
        if not self._places:
            options, made, instance = self._options, self.made, self._instance
            declared = frozenset(options.declare)
            stage = staged(made, instance, options.upstream)
            place = functools.partial(
                Shared, maker=made, declared=declared, patience=options.timeout
            )
            self._places = [place(stage)]
            if options.live and stage.layer != "live":
                self._places.append(place(Live(made, instance)))
            last = self._places[-1]
            if last.stage.layer == "live":
                limits = options.max_calls, options.max_cost, options.price
                last.budget = Budget(*limits, changed=self.spent)
                last.stage.limit(options.max_tokens)
                self.allow(options.max_calls)
            elif last.stage.over_http:  # a model of each process, and nothing is spent
                self._left_out = self.divide()
        return self._places[0], self._places[-1]


OWN_SOURCE = Finding(
    rule="live",
    title="The source that the author wrote",
    section="Your source",
    severity=Severity.ERROR,
    verdict=Verdict.SKIP,
    got="scripts took its place: --live calls your own code, too",
)


def tried(rule: Rule, shared: Shared, seconds: float) -> Finding:
    """Try one rule, for so many seconds at most; whatever happens is a finding."""
    trial = Trial(shared, seconds)
    raised: list[BaseException] = []
    error: BaseException | None = None
    pid = os.getpid()

    def attempt() -> None:
        try:
            _allow(rule, trial)
            rule.test(trial)
        except BaseException as error:  # noqa: BLE001  a finding
            raised.append(error)
        if os.getpid() != pid:  # the model has forked, and this is the copy
            os._exit(0)

    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LangChainBetaWarning)
        warnings.filterwarnings("ignore", "astream_events version='v1'")  # its users exist
        try:
            guarded(attempt, seconds=seconds + 2)
            error = raised[0] if raised else None
        except Exceeded as excess:
            error = Excess(str(excess))  # what its thread still raises is not asked for
    if not shared.background.alive():
        shared.background.stop()
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
    return finding if error is None else _found(finding, rule, trial, error)


def _allow(rule: Rule, trial: Trial) -> None:
    """Skip what can't be tested."""
    for ability in sorted(rule.needs):
        need(trial, ability)
    if rule.scripted and not trial.scripted:
        skip("it needs a backend that plays a script")
    trial.shared.budget.afford(rule.calls)


def _found(finding: Finding, rule: Rule, trial: Trial, error: BaseException) -> Finding:
    """Return what an exception makes of a finding."""
    outcome = _outcome(rule, error)
    raised = _raised(outcome, trial, error)
    if outcome.verdict is Verdict.FAIL and trial.shared.is_away():
        told = (
            f"{outcome.got}: nothing answers there; start what does, or give its address by kwargs"
        )
        outcome, raised = Outcome(Verdict.SKIP, told, fault=None), None
    if outcome.verdict is Verdict.FAIL and _was_cut_short(outcome, trial):
        told = f"{outcome.got}: a call hung before, and others were given less time since"
        outcome, raised = Outcome(Verdict.SKIP, told, fault=None), None
    if isinstance(error, Excess) and OVERTIME in outcome.got and trial.is_under_way():
        told = f"{outcome.got}: no call hung, but {len(trial.made)} of them took all of its time"
        outcome, raised = Outcome(Verdict.SKIP, told, fault=None), None
    if trial.shared.stage.only_async and rule.id != HOMES["invoke"] and _refused(outcome, raised):
        outcome = Outcome(Verdict.SKIP, f"{outcome.got} (see {HOMES['invoke']})", fault=None)
        raised = None
    reason = "" if raised is None else cause(raised, trial.own_files)
    if raised is not None and rule.id != (home := HOMES["invoke"]) and _always(trial, reason):
        outcome = Outcome(Verdict.SKIP, f"{outcome.got} (see {home})", fault=None)
    wrong = outcome.verdict in (Verdict.FAIL, Verdict.WARN)
    doubt = rule.severity is Severity.WARNING or rule.is_view
    irritates = outcome.verdict is Verdict.FAIL and doubt
    return replace(
        finding,
        verdict=Verdict.WARN if irritates else outcome.verdict,
        fault=outcome.fault,
        sent=outcome.sent or (repr(trial.made[-1].prompt)[:200] if wrong and trial.made else ""),
        got=outcome.got,
        expected=(outcome.expected or rule.title) if wrong else "",
        fix=rule.fix if wrong else "",
        exchanges=trial.exchanges() if wrong else (),
        cause=reason if wrong else "",
    )


def _raised(outcome: Outcome, trial: Trial, error: BaseException) -> BaseException | None:
    """Return what the model raised, where that is what a finding tells."""
    if outcome.verdict is not Verdict.FAIL or outcome.fault is not Fault.MODEL:
        return None
    if isinstance(error, Raised):
        return error.call.error
    if not isinstance(error, Outcome):
        return None if isinstance(error, Excess | TimeoutError) else error
    told = [each.error for each in reversed(trial.made) if each.error is not None]
    return next((each for each in told if type(each).__name__ in outcome.got), None)


def _refused(outcome: Outcome, raised: BaseException | None) -> bool:
    """Tell whether a rule fails because the model is there for async code alone."""
    told = outcome.verdict is Verdict.FAIL and NotImplementedError.__name__ in outcome.got
    return told or isinstance(raised, NotImplementedError)


def _was_cut_short(outcome: Outcome, trial: Trial) -> bool:
    """Tell whether a call had less time because of one of another rule, which has its finding."""
    errors = (each.error for each in trial.made if isinstance(each.error, TimeoutError))
    told = [outcome.got, *map(shown_error, errors)]
    return trial.is_hurried and any(f"ended after {trial.shared.patience:g} s" in x for x in told)


def _always(trial: Trial, reason: str) -> bool:
    """Tell whether the plainest call fails by a cause, so that all that hangs on it is known."""
    if not trial.scripted:
        return False
    plain = trial.call("invoke").error
    return plain is not None and cause(plain, trial.own_files) == reason


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
