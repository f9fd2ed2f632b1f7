"""What a rule is, and which there are."""

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from string import ascii_letters
from typing import Any

from chatwright.checks.changes import version_of
from chatwright.checks.finding import Severity
from chatwright.checks.sources import SOURCES
from chatwright.checks.trial import Trial
from chatwright.core.plugins import RULES, loaded, plugins

__all__ = ["SECTIONS", "Rule", "known", "local", "rule", "rules"]

SECTIONS = {
    "basics": "Basics",
    "roles": "Basics",
    "streaming": "Streaming",
    "framing": "Streaming",
    "asynchrony": "Async",
    "stop": "Stop",
    "callbacks": "Callbacks and events",
    "graphs": "Callbacks and events",
    "usage": "Usage",
    "tools": "Tools",
    "broken_calls": "Tools",
    "calls": "Tools",
    "options": "Tools",
    "structured": "Structured output",
    "content": "Content",
    "media": "Content",
    "endings": "Content",
    "secrets": "Serialization and secrets",
    "copies": "Serialization and secrets",
    "parameters": "Parameters, tracing, configuration",
    "errors": "Errors, cancellation, concurrency",
    "retries": "Errors, cancellation, concurrency",
    "cancellation": "Errors, cancellation, concurrency",
}
"""The modules of our own rules, and the sections of the contract that they are."""

OURS = "chatwright.checks.contract"


@dataclass(frozen=True)
class Rule:
    """A rule of the contract.

    Args:
        id: Its number, such as `P3`.
        title: What it says, as a statement about models.
        fix: What fixes a model that breaks it.
        test: Tests it.
        section: The section of the contract.
        severity: How much it matters.
        scripted: Whether it needs a backend that plays a script.
        needs: What a model has to have for it: `streaming`, `tools`, `structured`.
        calls: How many calls it makes of a live model, at most, beside those that rules share.
        seconds: How long it may take.
    """

    id: str
    title: str
    fix: str
    test: Callable[[Trial], None]
    section: str
    severity: Severity = Severity.ERROR
    scripted: bool = False
    needs: frozenset[str] = frozenset()
    calls: int = 0
    seconds: float = 20.0

    @property
    def page(self) -> str:
        """What the rule says, why, and how it is tested, in Markdown."""
        return inspect.getdoc(self.test) or ""

    @property
    def version(self) -> int:
        """One more with each change of it."""
        return version_of(self.id)

    @property
    def source(self) -> str:
        """What it rests on; empty where it is our own view, and breaking it a warning."""
        return SOURCES.get(self.id, "")

    @property
    def is_view(self) -> bool:
        """Whether it is one of ours that rests on nothing but our own view."""
        return SOURCES.get(self.id) == ""

    @property
    def layer(self) -> str:
        """Where it is tested."""
        return "scripted" if self.scripted else "scripted, live"


_RULES: dict[str, Rule] = {}


def rule(
    id: str,  # noqa: A002  what the contract calls it
    title: str,
    *,
    fix: str,
    section: str | None = None,
    severity: str = "error",
    scripted: bool = False,
    needs: Iterable[str] = (),
    calls: int = 0,
    seconds: float = 20.0,
) -> Callable[[Callable[[Trial], None]], Callable[[Trial], None]]:
    """Make a function a rule. Its docstring is the rule's page.

    The function is given a `Trial`. It returns where the rule holds, and calls `expect`, `fail`,
    `warn` or `skip` where it does not. The arguments are those of `Rule`.

    Args:
        id: Its number: letters and digits, unlike any other's.
        title: What it says, as a statement about models: "All chunks share one id".
        fix: What fixes a model that breaks it.
        section: The section of the contract. Default: the one of its module.
        severity: `error` or `warning`.
        scripted: Whether it needs a backend that plays a script.
        needs: What a model has to have for it.
        calls: How many calls it makes of a live model, at most.
        seconds: How long it may take.

    Raises:
        ValueError: There is such a rule already, or it has no docstring.

    Example:
        ```python
        @rule("ACME1", "The answer is polite", fix="Say please.", section="Manners", calls=1)
        def polite(trial):
            "Answers of our models are read by customers."
            expect("please" in trial.call("invoke").message.text, "it is not")
        ```
    """

    def register(test: Callable[[Trial], None]) -> Callable[[Trial], None]:
        module = test.__module__.rpartition(".")[2]
        made = Rule(
            id=id,
            title=title,
            fix=fix,
            test=test,
            section=section or SECTIONS.get(module, module.replace("_", " ").capitalize()),
            severity=Severity(severity),
            scripted=scripted,
            needs=frozenset(needs),
            calls=calls,
            seconds=seconds,
        )
        _register(made)
        return test

    return register


def _register(made: Rule) -> None:
    known = _RULES.get(made.id)
    if known is not None and known.test.__qualname__ != made.test.__qualname__:
        raise ValueError(f"there are two rules {made.id!r}: {known.title!r} and {made.title!r}")
    if not made.page:
        raise ValueError(f"the rule {made.id!r} has no docstring, which is its page")
    _RULES[made.id] = made


@functools.cache
def _found() -> tuple[str, ...]:
    """Import the rules, ours and other packages'."""
    for module in SECTIONS:
        import_module(f"{OURS}.{module}")
    ours = [*_RULES]
    loaded(RULES)  # they register themselves
    return tuple(ours)


def rules(only: Sequence[str] | None = None, skipped: Sequence[str] = ()) -> list[Rule]:
    """Return the rules, in the contract's order; other packages' come last.

    Args:
        only: The ids, or their first letters, of those that are wanted. Default: all.
        skipped: The ids, or their first letters, of those that are not.

    Raises:
        ValueError: No rule begins so.
    """
    _found()
    for each in (*(only or ()), *skipped):
        if not any(_is(rule_id, each) for rule_id in _RULES):
            raise ValueError(f"there is no rule {each!r}, and none that begins so")
    return [
        each
        for each in sorted(_RULES.values(), key=_place)
        if (only is None or any(_is(each.id, wanted) for wanted in only))
        and not any(_is(each.id, unwanted) for unwanted in skipped)
    ]


def local() -> tuple[str, ...]:
    """Return the ids of the rules that neither we nor an installed package have.

    An application has registered them: another process knows them only once it imports that.
    """
    told = [each.target.partition(":")[0] for each in plugins(RULES)]
    packages = {each.partition(".")[0] for each in (OURS, *told)}
    return tuple(
        each.id for each in rules() if each.test.__module__.partition(".")[0] not in packages
    )


def _place(each: Rule) -> tuple[int, int]:
    """Return where a rule stands; modules import each other, so that they register anyhow."""
    home, _, module = each.test.__module__.rpartition(".")
    number = each.id.lstrip(ascii_letters)
    if home != OURS or module not in SECTIONS:
        return len(SECTIONS), 0
    return [*SECTIONS.values()].index(each.section), int(number) if number.isdigit() else 0


def _is(rule_id: str, wanted: str) -> bool:
    """Tell whether a rule is meant: by its id, or by the letters that it begins with."""
    return rule_id == wanted or (wanted.isalpha() and rule_id.rstrip("0123456789") == wanted)


def known(value: Any) -> Rule:
    """Return the rule of an id.

    Raises:
        ValueError: There is none.
    """
    _found()
    if value not in _RULES:
        raise ValueError(f"there is no rule {value!r}; there are {', '.join(_RULES)}")
    return _RULES[value]
