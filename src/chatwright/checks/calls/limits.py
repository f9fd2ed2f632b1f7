"""Limits of time and memory around code that can't be trusted."""

import ctypes
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["OVERTIME", "Exceeded", "guarded"]

POLL_SECONDS = 0.02
OVERTIME = "it had not ended after"
MEGABYTES = 1024
"""How much memory a rule may take, in MiB, where the system tells how much there is."""
_STATM = Path("/proc/self/statm")
_PAGE = 4096


class Exceeded(Exception):  # noqa: N818  it is a finding
    """A rule took more time, or more memory, than it may."""


def guarded(work: Callable[[], None], *, seconds: float, megabytes: int = MEGABYTES) -> None:
    """Run something in a thread, within limits; what goes beyond them is told to end, and left.

    Args:
        work: What to run; it does not raise.
        seconds: How long it may take.
        megabytes: By how much the process may grow, in MiB.

    Raises:
        Exceeded: A limit was reached.
    """
    before = {*threading.enumerate()}
    resident = _resident()
    thread = threading.Thread(target=work, name="chatwright-rule", daemon=True)
    started = time.monotonic()
    thread.start()
    while True:
        thread.join(POLL_SECONDS)
        if not thread.is_alive():
            return
        if time.monotonic() - started > seconds:
            excess = f"{OVERTIME} {seconds:g} s"
        elif (grown := _resident() - resident) > megabytes:
            excess = f"the process grew by {grown:,} MiB, over the limit of {megabytes:,}"
        else:
            continue
        for each in {*threading.enumerate()} - before:
            _end(each)
        raise Exceeded(excess)


def _resident() -> int:
    """Return the memory that the process holds, in MiB; 0 where the system does not tell."""
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE >> 20
    except (OSError, ValueError, IndexError):
        return 0


def _end(thread: threading.Thread) -> None:
    """Have a thread raise SystemExit at its next step of Python code; it is all that can be done.

    https://docs.python.org/3/c-api/init.html#c.PyThreadState_SetAsyncExc
    """
    raiser: Any = ctypes.pythonapi.PyThreadState_SetAsyncExc
    raiser(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit))
