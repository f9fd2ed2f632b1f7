"""Checks in processes of their own: whatever a model does, a report comes out.

There is one process, or one for each of `PARTS`, where the model speaks to the fake upstream: most
of the time goes by in waiting, the model's too. Which rules share a process is always the same, and
with it what a model that keeps something between calls has been through before each.
"""

import contextlib
import functools
import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from chatwright.checks.finding import Fault, Finding, Report, Verdict, versions
from chatwright.checks.rulebook import known, rules
from chatwright.checks.run.engine import SUITES, Options, Run

if sys.platform == "win32":
    from multiprocessing.connection import PipeConnection as Connection
else:
    from multiprocessing.connection import Connection

__all__ = ["Refused", "Supervised"]

GRACE_SECONDS = 20.0
"""How long a rule's process may be silent beyond what the rule may take."""
SUITES_SECONDS = 600.0
SETUP_SECONDS = 120.0
PARTS = ("Callbacks and events", "Structured output", "Parameters, tracing, configuration")
"""The sections with which another process begins, so that each has about as much to do."""
WORTH = 12
"""How many rules are worth a process, which has to import and to make the model, too."""
_DONE = ("done", None)
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
"""Windows has the latter alone, which ends a process at once."""


class Refused(Exception):  # noqa: N818  it is no error
    """Nobody allowed a live model to be called."""


class _Failed(Exception):  # noqa: N818  it carries an error across processes
    """The other process could not begin."""


@dataclass
class Supervised:
    """A check in processes of their own, which are started again where the model has ended them.

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
    name: str = ""
    package: str | None = None
    _first: "_Part | None" = field(default=None, init=False)

    def report(self, tell: Callable[[Finding], None]) -> Report:
        """Check, and return the report.

        Args:
            tell: Is given each finding as it is found.

        Raises:
            Refused: The model may not be called.
            Exception: What `find` raised, or the check itself could not begin with.
        """
        started = time.perf_counter()
        ids = [each.id for each in rules(self.options.only, self.options.skip)]
        self._first = first = _Part(
            self, [*ids, *([SUITES] if self.options.suites_too() else [])], is_first=True
        )
        found = []
        for finding in self._findings(first):
            found.append(finding)
            tell(finding)
        seconds = time.perf_counter() - started
        name = self.name or self.named
        calls = sum(each.calls for each in (first, *first.others))
        return Report(name, found, calls, seconds, versions(self.package))

    def stop(self) -> None:
        """End the check's processes, from any thread; what they were at is found to have died."""
        if self._first is not None:
            self._first.stop()

    def _findings(self, first: "_Part") -> Iterator[Finding]:
        """Yield what the rules find, in their order, whichever process tries them."""
        try:
            for kind, value in first.all_told():
                if kind == "rule":
                    self.trying(value)
                else:
                    yield value
        finally:
            first.stop()


@dataclass
class _Part:
    """Rules that are tried in one process, and in another one where the model ends it.

    Args:
        of: The check.
        left: The ids of the rules, and `suites`, that are still to be tried.
        is_first: Whether it may be divided, once the model is known.
        calls: How often the model was called.
        cost: What that has cost, as far as it is known.
        others: The parts beside the first one.
    """

    of: Supervised
    left: list[str]
    is_first: bool = False
    calls: int = 0
    cost: float = 0.0
    others: "list[_Part]" = field(default_factory=list, init=False)
    _deaths: int = field(default=0, init=False)
    _pid: int = field(default=0, init=False)
    _stopped: bool = field(default=False, init=False)
    _queue: "queue.SimpleQueue[tuple[str, Any]]" = field(
        default_factory=queue.SimpleQueue, init=False
    )

    def all_told(self) -> Iterator[tuple[str, Any]]:
        """Yield what `told` does, then the same of the parts beside this one."""
        yield from self.told()
        for each in self.others:
            yield from each.beside()

    def told(self) -> Iterator[tuple[str, Any]]:
        """Yield `rule` and an id, and `finding` and what was found; an ended process is one, too.

        Raises:
            Exception: What the process could not begin with.
        """
        while self.left and not self._stopped:
            running, progress = "", False
            for kind, value in self._events():
                if kind == "rule":
                    running = value
                    yield kind, value
                elif kind == "finding":
                    yield kind, value
                    if value.rule in self.left:
                        self.left.remove(value.rule)
                    running, progress = "", True
                elif kind == "died":
                    self._deaths += 1
                    yield "finding", _died(running, value)
                    self.left = [each for each in self.left if each != running]
                else:
                    self.left = []
            if not running and not progress:
                return  # it dies before the first rule

    def begin(self) -> None:
        """Try the rules in a thread, beside others; `beside` yields what is told."""

        def work() -> None:
            try:
                for each in self.told():
                    self._queue.put(each)
            except BaseException as error:  # noqa: BLE001  it is tried again in its turn
                self._queue.put(("error", error))
            self._queue.put(_DONE)

        threading.Thread(target=work, name="chatwright-part", daemon=True).start()

    def beside(self) -> Iterator[tuple[str, Any]]:
        """Yield what `told` does, since `begin`.

        Where the process could not go on beside the first one, the rest is tried alone: what a
        model holds may be there only once.

        Raises:
            Exception: What the process could not begin with, alone.
        """
        for kind, value in iter(self._queue.get, _DONE):
            if kind == "error":
                yield from self.told()
            else:
                yield kind, value

    def stop(self) -> None:
        """End the process, and those beside it."""
        self._stopped = True
        for each in self.others:
            each.stop()
        _kill(self._pid)

    def _events(self) -> Iterator[tuple[str, Any]]:
        """Yield what a process tells: `rule`, `finding`, then `done` or `died`."""
        given = self.of.options
        options = replace(
            given,
            only=tuple(each for each in self.left if each != SUITES),
            skip=(),
            whole=self.is_first and given.only is None,
            langchain_tests=SUITES in self.left,
            max_calls=max(0, given.max_calls - self.calls),
            max_cost=None if given.max_cost is None else given.max_cost - self.cost,
        )
        calls, cost = self.calls, self.cost
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        arguments = (theirs, self.of.find, self.of.named, self.of.kwargs, options)
        process = context.Process(target=_work, args=arguments, daemon=False)
        process.start()
        self._pid = process.pid or 0
        theirs.close()
        patience = SETUP_SECONDS
        try:
            while not self._stopped:
                kind, value = _next(ours, patience)
                if kind == "about":
                    self.of.name, self.of.package = value
                elif kind == "live":
                    ours.send(self._deaths > 0 or self.of.allow(value))
                elif kind == "divisible":
                    ours.send(self._divided())
                elif kind == "spent":
                    self.calls, self.cost = calls + value[0], cost + value[1]
                elif kind == "error":
                    raise value
                else:
                    patience = self._patience(value) if kind == "rule" else patience
                    yield kind, value
                if kind in {"done", "died"}:
                    return
        finally:
            _kill(self._pid)
            self._pid = 0
            process.kill()
            process.join(5)
            ours.close()

    def _divided(self) -> Collection[str]:
        """Return what other processes try from now on; begin them, where they are worth it."""
        if not self.is_first or self._deaths:
            return ()
        own, *rest = _parts(self.left)
        self.left = own
        self.others = [_Part(self.of, each) for each in rest]
        left_out = [each for part in rest for each in part]
        for part in self.others:
            part.begin()
        return left_out

    def _patience(self, rule: str) -> float:
        if rule == SUITES:
            return SUITES_SECONDS
        return self.of.options.seconds(known(rule)) + GRACE_SECONDS


def _parts(left: list[str]) -> list[list[str]]:
    """Return the rules as they are tried by each process; those of too few join the ones before."""
    sections = [*dict.fromkeys(each.section for each in rules())]
    begins = [sections.index(each) for each in PARTS]
    parts: list[list[str]] = [[] for _ in range(len(begins) + 1)]
    part = 0
    for each in left:
        at = len(sections) if each == SUITES else sections.index(known(each).section)
        part = max(
            part, sum(at >= begin for begin in begins)
        )  # in their order, whatever comes last
        parts[part].append(each)
    found = parts[:1]
    for ids in parts[1:]:
        if min(len(ids), len(found[-1])) < WORTH:
            found[-1] += ids
        else:
            found.append(ids)
    return found


def _next(ours: Connection, patience: float) -> tuple[str, Any]:
    try:
        if not ours.poll(patience):
            return "died", f"nothing was heard of it for {patience:g} s"
        return ours.recv()  # type: ignore[no-any-return]
    except EOFError:
        return "died", "its process ended"
    except Exception as error:  # noqa: BLE001  what was sent can't be read
        return "died", f"what it sent can't be read: {error!r}"


def _kill(pid: int) -> None:
    """End a process, and copies of it that a model forked."""
    if not pid:
        return
    try:
        (os.killpg if hasattr(os, "killpg") else os.kill)(pid, _KILL)
    except ProcessLookupError:  # it has just begun, and leads no group yet
        with contextlib.suppress(OSError):
            os.kill(pid, _KILL)
    except OSError:
        pass


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
        fix="Don't call os._exit, block the interpreter, or crash native code.",
    )


def _work(
    pipe: Connection,
    find: Callable[[str], Any],
    named: str,
    kwargs: Mapping[str, Any],
    options: Options,
) -> None:
    """Check in this process, and tell the other one."""
    if hasattr(os, "setsid"):
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

    def divide() -> Collection[str]:
        tell("divisible")
        left_out: Collection[str] = pipe.recv()
        return left_out

    try:
        run = Run(find(named), kwargs, options)
        tell("about", (run.made.name, run.made.package))
        run.before = functools.partial(tell, "rule")
        run.allow, run.spent, run.divide = allow, spent, divide
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
