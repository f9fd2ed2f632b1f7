"""What `chatwright check` finds of a served model, told as it is found."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from chatwright.errors import ChatwrightError

__all__ = ["checked"]


class _Left(Exception):  # noqa: N818  it is no error
    """Nobody listens any more."""


async def checked(model: str, **options: Any) -> AsyncGenerator[Mapping[str, Any]]:
    """Yield what a check finds, as the inspector tells it; closing it ends the check's processes.

    The model is checked as `chatwright check MODEL` does without a word more: scripted where that
    is possible, and never called for real; rules that the served application has registered itself
    are not tried.

    Args:
        model: Its string.
        **options: As `check` takes them. Default: its own.
    """
    loop = asyncio.get_running_loop()
    pile: asyncio.Queue[Mapping[str, Any] | None] = asyncio.Queue()

    def tell(told: Mapping[str, Any] | None) -> None:
        with contextlib.suppress(RuntimeError):  # the server has ended
            loop.call_soon_threadsafe(pile.put_nowait, told)

    check = _Check(model, options, tell)
    thread = threading.Thread(target=check.run, name="chatwright-check", daemon=True)
    thread.start()
    try:
        while (told := await pile.get()) is not None:
            yield told
    finally:
        check.leave()


class _Check:
    """One check, on a thread of its own.

    Args:
        model: The model's string.
        options: How it is checked.
        tell: Is given what is told, then None.
    """

    def __init__(self, model: str, options: Mapping[str, Any], tell: Any) -> None:
        self._model = model
        self._options = options
        self._tell = tell
        self._left = False
        self._supervised: Any = None

    def leave(self) -> None:
        """End it, from another thread."""
        self._left = True
        if self._supervised is not None:
            self._supervised.stop()

    def _told(self, kind: str, **fields: Any) -> None:
        if self._left:
            raise _Left
        self._tell({"type": kind, **fields})

    def run(self) -> None:
        """Check, and tell of it."""
        try:
            self._run()
        except _Left:
            pass
        except Exception as error:  # noqa: BLE001  whoever listens is told
            self._tell({"type": "error", "message": self._why(error)})
        self._tell(None)

    def _run(self) -> None:
        from chatwright.checks.finding import score  # noqa: PLC0415  slow to import
        from chatwright.checks.reports.words import headline  # noqa: PLC0415  likewise
        from chatwright.checks.rulebook import local  # noqa: PLC0415  likewise
        from chatwright.checks.run.engine import Options  # noqa: PLC0415  likewise
        from chatwright.checks.run.process import Supervised  # noqa: PLC0415  likewise
        from chatwright.cli.check import find  # noqa: PLC0415  likewise

        options = Options(**{"skip": local(), **self._options})
        self._supervised = Supervised(
            *(find, self._model, {}, options, lambda _: False),
            lambda rule: self._told("rule", rule=rule),
        )
        report = self._supervised.report(lambda found: self._told("finding", **found.as_dict()))
        held, tried = score(report.findings)
        self._told("report", passed=held, tried=tried, summary=headline(report))

    def _why(self, error: Exception) -> str:
        from chatwright.checks.run.process import Refused  # noqa: PLC0415  slow to import
        from chatwright.checks.targets.redirect import PointingError  # noqa: PLC0415  likewise

        command = f"chatwright check {self._model}"
        if isinstance(error, Refused):
            return f"it would be called for real; {command} asks before it does that"
        if isinstance(error, PointingError | ChatwrightError):
            return str(error)
        return f"the check could not begin ({type(error).__name__}); {command} tells more"
