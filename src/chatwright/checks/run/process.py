"""Checks in a process of their own: whatever a model does, a report comes out."""

import contextlib
import functools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from typing import Any

from chatwright.checks.finding import Fault, Finding, Report, Verdict, versions
from chatwright.checks.rulebook import known, rules
from chatwright.checks.run.engine import Options, Run

__all__ = ["Refused", "Supervised"]

GRACE_SECONDS = 20.0
"""How long a rule's process may be silent beyond what the rule may take."""
SUITES_SECONDS = 600.0
SETUP_SECONDS = 120.0


class Refused(Exception):  # noqa: N818  it is no error
    """Nobody allowed a live model to be called."""


class _Failed(Exception):  # noqa: N818  it carries an error across processes
    """The other process could not begin."""


@dataclass
class Supervised:
    """A check in a process of its own, which is started again where the model has ended it.

    Args:
        find: Returns the model, in the other process; a function that pickles.
        named: What `find` is given.
        kwargs: Arguments for the class, or the function.
        options: How the model is checked.
        allow: Is asked before a live model is called, with how often that may be.
        trying: Is told the id of each rule before it is tried.
    """

    find: Callable[[str], Any]
    named: str
    kwargs: Mapping[str, Any]
    options: Options
    allow: Callable[[int], bool] = lambda _: True
    trying: Callable[[str], None] = lambda _: None
    calls: int = 0
    cost: float = 0.0
    name: str = ""
    package: str | None = None
    _deaths: int = field(default=0, init=False)

    def report(self, tell: Callable[[Finding], None]) -> Report:
        """Check, and return the report.

        Args:
            tell: Is given each finding as it is found.

        Raises:
            Refused: The model may not be called.
            Exception: What `find` raised, or the check itself could not begin with.
        """
        started = time.perf_counter()
        found = []
        for finding in self.findings():
            found.append(finding)
            tell(finding)
        seconds = time.perf_counter() - started
        name = self.name or self.named
        return Report(name, found, self.calls, seconds, versions(self.package))

    def findings(self) -> Iterator[Finding]:
        """Yield what the rules find; a rule that ended the process is a finding, too."""
        left = [each.id for each in rules(self.options.only, self.options.skip)]
        with_suites = self.options.suites_too()
        while left or with_suites:
            running, progress = "", False
            for kind, value in self._events(left, with_suites):
                if kind == "rule":
                    running = value
                    self.trying(value)
                elif kind == "finding":
                    yield value
                    if value.rule in left:
                        left.remove(value.rule)
                    running, progress = "", True
                elif kind == "died":
                    self._deaths += 1
                    yield _died(running, value)
                    left = [each for each in left if each != running]
                    with_suites = with_suites and running != "suites"
                else:
                    left, with_suites = [], False
            if not running and not progress and left:
                return  # it dies before the first rule

    def _events(self, left: list[str], with_suites: bool) -> Iterator[tuple[str, Any]]:
        """Yield what a process tells: `rule`, `finding`, then `done` or `died`."""
        options = replace(
            self.options,
            only=tuple(left),
            skip=(),
            langchain_tests=with_suites,
            max_calls=max(0, self.options.max_calls - self.calls),
            max_cost=None if self.options.max_cost is None else self.options.max_cost - self.cost,
        )
        calls, cost = self.calls, self.cost
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        arguments = (theirs, self.find, self.named, self.kwargs, options)
        process = context.Process(target=_work, args=arguments, daemon=False)
        process.start()
        theirs.close()
        patience = SETUP_SECONDS
        try:
            while True:
                kind, value = self._next(ours, patience)
                patience = self._patience(kind, value, patience)
                if kind == "about":
                    self.name, self.package = value
                elif kind == "live":
                    ours.send(self._deaths > 0 or self.allow(value))
                elif kind == "spent":
                    self.calls, self.cost = calls + value[0], cost + value[1]
                elif kind == "error":
                    raise value
                else:
                    yield kind, value
                if kind in {"done", "died"}:
                    return
        finally:
            with contextlib.suppress(OSError):
                os.killpg(process.pid or 0, signal.SIGKILL)  # copies of it that a model forked, too
            process.kill()
            process.join(5)
            ours.close()

    def _patience(self, kind: str, value: Any, before: float) -> float:
        if kind != "rule":
            return before
        if value == "suites":
            return SUITES_SECONDS
        return self.options.seconds(known(value)) + GRACE_SECONDS

    @staticmethod
    def _next(ours: Connection, patience: float) -> tuple[str, Any]:
        try:
            if not ours.poll(patience):
                return "died", f"nothing was heard of it for {patience:g} s"
            return ours.recv()  # type: ignore[no-any-return]
        except EOFError:
            return "died", "its process ended"
        except Exception as error:  # noqa: BLE001  what was sent can't be read
            return "died", f"what it sent can't be read: {error!r}"


def _died(running: str, why: str) -> Finding:
    """Return what is told of a rule whose process has ended."""
    found = next((each for each in rules() if each.id == running), None)
    return Finding(
        rule=running or "process",
        title=found.title if found else "The model leaves its process alive",
        section=found.section if found else "Process",
        verdict=Verdict.FAIL,
        fault=Fault.MODEL,
        got=f"the model ended, or blocked, the process: {why}",
        expected=found.title if found else "a process that goes on",
        mend="Don't call os._exit, block the interpreter, or crash native code.",
    )


def _work(
    pipe: Connection,
    find: Callable[[str], Any],
    named: str,
    kwargs: Mapping[str, Any],
    options: Options,
) -> None:
    """Check in this process, and tell the other one."""
    with contextlib.suppress(OSError):
        os.setsid()
    sending = threading.Lock()

    def tell(kind: str, value: Any = None) -> None:
        with sending:  # rules that had to be left may still call
            pipe.send((kind, value))

    def spent() -> None:
        tell("spent", (run.calls, run.cost))

    def allow(calls: int) -> None:
        tell("live", calls)
        if not pipe.recv():
            raise Refused("the model was not called")

    try:
        run = Run(find(named), kwargs, options)
        tell("about", (run.made.name, run.made.package))
        run.before = functools.partial(tell, "rule")
        run.allow, run.spent = allow, spent
        for finding in run.findings():
            spent()
            tell("finding", finding)
    except BaseException as error:  # noqa: BLE001  the other process tells it
        tell("error", _portable(error))
    else:
        tell("done")


def _portable(error: BaseException) -> BaseException:
    """Return an error that pickles, and unpickles."""
    try:
        again = multiprocessing.reduction.ForkingPickler.loads(
            multiprocessing.reduction.ForkingPickler.dumps(error)
        )
    except Exception:  # noqa: BLE001  then its text has to do
        return _Failed(f"{type(error).__name__}: {error}")
    return again if type(again) is type(error) else _Failed(str(error))
