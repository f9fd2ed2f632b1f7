"""A program on its way: its pipes, its process group, and its end."""

import asyncio
import atexit
import contextlib
import errno
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from chatwright.errors import ContentError, EngineError, LoadError
from chatwright.wrap.masking import Mask

if TYPE_CHECKING:
    from chatwright.wrap.watch import Watch

__all__ = ["Program"]

STDERR_BYTES = 2048
"""How much of stderr an error shows: its end."""
_READ_BYTES = 2**16
SETTLE_SECONDS = 0.2
"""How long whoever ends an answer early waits for the program to obey."""
LINGER_SECONDS = 0.25
"""How long what a program has written may take to arrive once it has ended."""
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
"""Windows has the latter alone, which ends a program at once."""
_POLL_SECONDS = 0.02


class Program:
    """A program on its way, in a process group of its own.

    Args:
        arguments: The program and its arguments.
        environment: Its environment variables, all of them.
        cwd: The directory that it runs in; None for ours.
        grace: Seconds between SIGTERM and SIGKILL.
        mask: Hides secrets.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        cwd: str | None,
        grace: float,
        mask: Mask,
    ) -> None:
        """Prepare; nothing runs yet."""
        self._arguments = arguments
        self.name = Path(arguments[0]).name
        self._environment = environment
        self._cwd = cwd
        self._grace = grace
        self._mask = mask
        self._tasks: list[asyncio.Task[None]] = []
        self._stderr = b""
        self._process: asyncio.subprocess.Process
        self.watch: Watch | None = None

    async def __aenter__(self) -> Self:
        """Start it.

        Raises:
            LoadError, ContentError: It can't be started, with these arguments.
        """
        starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *self._arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                cwd=self._cwd,
                env=self._environment,
            )
        )
        try:
            # Cancelled in the middle of it, asyncio would wait for the whole program.
            self._process = await asyncio.shield(starting)
        except asyncio.CancelledError:
            starting.add_done_callback(_kill_what_started)
            raise
        except OSError as error:
            if error.errno == errno.E2BIG:
                raise ContentError(
                    f"{self.name}: the prompt is too long for an argument; without {{prompt}} in "
                    "the command it goes to stdin"
                ) from error
            if self._cwd is not None and error.filename == self._cwd:
                raise LoadError(
                    f"{self.name} can't be run in cwd={self._cwd!r}: {error.strerror}"
                ) from error
            raise LoadError(f"{self._arguments[0]!r} can't be run: {error.strerror}") from error
        except ValueError as error:
            raise ContentError(
                f"{self.name}: no argument, and no environment variable, can hold this (a NUL, or "
                f"half a character): {error}"
            ) from error
        _groups.add(self._process.pid)
        self._tasks = [asyncio.ensure_future(self._listen()), asyncio.ensure_future(self._mind())]
        return self

    async def __aexit__(self, *_: object) -> None:
        """End it, if it has not ended: the group is told at once, and made to when it won't."""
        for task in self._tasks:
            task.cancel()
        if self.watch is not None:
            self.watch.stop()
        self._close_pipes()
        # The loop may end before the grace does, so that a thread sees to the rest.
        if _signal(self._process.pid, signal.SIGTERM):
            end = threading.Thread(target=_end, args=(self._process.pid, self._grace))
            end.daemon = True
            end.start()
        else:
            _groups.discard(self._process.pid)
        await self._settled()

    async def _settled(self) -> None:
        """Give the program a moment: most obey at once, and asyncio sees it while its loop runs."""
        deadline = time.monotonic() + SETTLE_SECONDS
        try:
            while not _has_ended(self._process) and time.monotonic() < deadline:  # noqa: ASYNC110
                await asyncio.sleep(_POLL_SECONDS / 4)
            for _turn in range(3):  # for asyncio to close its transport
                await asyncio.sleep(0)
        finally:  # cancelled once more, too
            # Its loop may end before it does; asyncio would then warn, whenever it is collected.
            _lingering.difference_update([*filter(_has_ended, _lingering.copy())])
            if not _has_ended(self._process):
                _lingering.add(self._process)

    def say(self, prompt: bytes) -> None:
        """Have the prompt written to its stdin; a program need not read it."""
        self._tasks.append(asyncio.ensure_future(self._say(prompt)))

    async def write(self, data: bytes) -> None:
        """Write to its stdin, which stays open.

        Raises:
            ConnectionError: It does not read it any more.
        """
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101  it is a pipe
        stdin.write(data)
        await stdin.drain()

    async def _say(self, prompt: bytes) -> None:
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101  it is a pipe
        with contextlib.suppress(ConnectionError):
            stdin.write(prompt)
            await stdin.drain()
        stdin.close()

    async def _listen(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None  # noqa: S101  it is a pipe
        while data := await stderr.read(_READ_BYTES):
            # Twice what is shown: it is masked before it is cut.
            self._stderr = (self._stderr + data)[-2 * STDERR_BYTES :]

    async def _mind(self) -> None:
        """Close the pipes once the program has ended: a child of its may hold them for ever."""
        await self._exited(_POLL_SECONDS)
        await asyncio.sleep(LINGER_SECONDS)
        self._close_pipes()

    async def _exited(self, poll: float) -> int:
        """Return the exit status, once there is one; asyncio's `wait` would wait for the pipes."""
        while (status := self._process.returncode) is None:  # noqa: ASYNC110  it has no event for it
            await asyncio.sleep(poll)
        return status

    def _close_pipes(self) -> None:
        transport = self._process._transport  # type: ignore[attr-defined]  # noqa: SLF001  no other way
        for stream in range(3):
            if (pipe := transport.get_pipe_transport(stream)) is not None:
                pipe.close()

    async def read(self) -> bytes:
        """Return what it wrote next; nothing at the end."""
        stdout = self._process.stdout
        assert stdout is not None  # noqa: S101  it is a pipe
        return await stdout.read(_READ_BYTES)

    def said(self) -> str:
        """Return the end of what it wrote to stderr, without secrets."""
        return self._mask(self._stderr.decode("utf-8", "replace")).strip()[-STDERR_BYTES:]

    async def end(self) -> None:
        """Wait for its end.

        Raises:
            EngineError: Its exit status is not 0.
        """
        status = await self._exited(_POLL_SECONDS / 10)
        if status == 0:
            return
        await asyncio.wait(self._tasks[:1], timeout=LINGER_SECONDS)
        said = self.said()
        ended = (
            f"ended with exit status {status}"
            if status > 0
            else f"was ended by {signal.Signals(-status).name}"
        )
        error = EngineError(f"{self.name} {ended}: {said or 'it wrote nothing to stderr'}")
        error.body = said
        raise error


_groups: set[int] = set()
_lingering: set[asyncio.subprocess.Process] = set()


def _has_ended(process: asyncio.subprocess.Process) -> bool:
    return process.returncode is not None


def _kill_what_started(starting: asyncio.Future[asyncio.subprocess.Process]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        _signal(starting.result().pid, _KILL)
        _lingering.add(starting.result())


def _end(group: int, grace: float) -> None:
    """Kill what is left of a group once its grace is over."""
    deadline = time.monotonic() + grace
    while _signal(group, 0) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    _signal(group, _KILL)
    _groups.discard(group)


def _signal(group: int, number: int) -> bool:
    """Send a signal to a group; return whether there was one.

    Windows has no groups: there the program alone is ended, and what it started goes on.
    """
    if not hasattr(os, "killpg") and number == 0:
        return False  # 0 would be a Ctrl-C there
    try:
        (os.killpg if hasattr(os, "killpg") else os.kill)(group, number)
    except OSError:
        return False
    return True


# What a forked child inherits is its parent's to end.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_groups.clear)


@atexit.register
def _kill_what_is_left() -> None:
    for group in [*_groups]:
        _signal(group, _KILL)
