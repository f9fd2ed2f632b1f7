"""Actors on a Ray cluster that answer what is asked in blocks: for work that has an end.

Ray Serve's replicas outlive whoever has started them, which is right for a server, and wrong for a
job: actors end with the process that made them, however that ends. Each is given a block of what
waits, and sends back what is ready as it comes, so that the death of an actor costs what it had not
answered yet, and one long answer holds up no other.
"""

import asyncio
import contextlib
import logging
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import ray
from ray.exceptions import RayError

from chatwright.errors import ClusterError, SourceConnectionError
from chatwright.run.cluster import LOST, Cluster, go_to
from chatwright.run.piled import piled
from chatwright.run.scale import Scale

__all__ = ["Actors"]

Answering: TypeAlias = Callable[[bytes], Awaitable[bytes]]

log = logging.getLogger("chatwright.ray")

_THREADS = 512
"""How many of what is asked one actor may answer in threads at once."""
_LOOK_SECONDS = 0.5
_TELL_SECONDS = 20.0
_STARTS = 3
"""After how many actors in a row that could not be started nobody waits for another one."""
_LONGEST_WAIT = 60.0


class _Actor:
    """What runs in an actor's process.

    Args:
        folder: The working directory of whoever has started it.
    """

    def __init__(self, folder: Path) -> None:
        go_to(folder)

    async def here(self) -> None:
        """Say that the cluster has given it a place."""

    async def load(self, make: Callable[[], Answering]) -> str:
        """Make what answers; return why it can't be made, or nothing."""
        threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="chatwright-actor")
        asyncio.get_running_loop().set_default_executor(threads)
        try:
            self._answer = make()
        except Exception as error:  # noqa: BLE001  it crosses processes as a text
            return f"{type(error).__name__}: {error}"
        return ""

    async def ask(self, block: Sequence[bytes]) -> AsyncGenerator[list[tuple[int, bytes]]]:
        """Yield answers with the numbers of what was asked, as they come."""
        async with contextlib.aclosing(piled(self._answers(block))) as piles:
            async for pile in piles:
                yield pile

    async def _answers(self, block: Sequence[bytes]) -> AsyncGenerator[tuple[int, bytes]]:
        async def one(number: int, asked: bytes) -> tuple[int, bytes]:
            return number, await self._answer(asked)

        for each in asyncio.as_completed([one(*each) for each in enumerate(block)]):
            yield await each


class _Asked:
    """What is asked, and by how many actors it was lost."""

    __slots__ = ("answer", "losses", "what")

    def __init__(self, what: bytes, answer: asyncio.Future[bytes]) -> None:
        self.what = what
        self.answer = answer
        self.losses = 0


class _Member:
    """An actor as it is seen from here."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.is_here = False
        self.is_ready = False
        self.is_taken = False
        self.load = 0
        self.since = time.monotonic()
        self.tasks: set[asyncio.Task[None]] = set()

    def do(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


class Actors:
    """Asks actors, of which there are as many as there is work for, and the cluster has room for.

    Args:
        cluster: The cluster.
        label: What users know them by.
        make: Makes, in an actor, what answers there: an async function that does not raise. It is
            pickled.
        scale: How many there are, what each needs, how many are asked of one at once, how often
            something is asked whose actor is lost, and how long they may be idle, or the cluster
            may take to give a place.
        silent_seconds: After how long without a word an actor is taken for lost that is asked.
    """

    def __init__(
        self,
        cluster: Cluster,
        label: str,
        make: Callable[[], Answering],
        scale: Scale,
        silent_seconds: float,
    ) -> None:
        """Start none yet."""
        self._cluster = cluster
        self._label = label
        self._make = make
        self._scale = scale
        self._silent_seconds = silent_seconds
        needs = {"num_cpus": scale.cpus or 0.0, "num_gpus": scale.gpus}
        self._class = ray.remote(**needs, max_concurrency=10_000)(_Actor)
        self._members: list[_Member] = []
        self._waiting: deque[_Asked] = deque()
        self._alone: deque[_Asked] = deque()
        self._is_due = False
        self._failed_starts = 0
        self._not_before = 0.0
        self._were_ready = False
        self._broken: ClusterError | None = None
        self._looks: asyncio.Task[None] | None = None

    async def start(self, is_stopped: Callable[[], bool]) -> None:
        """Start the first ones, and wait until one of them can be asked.

        Args:
            is_stopped: Tells whether to wait no longer.

        Raises:
            ClusterError: None can be.
        """
        self._grow()
        self._looks = asyncio.ensure_future(self._look())
        while not (is_stopped() or any(each.is_ready for each in self._members)):
            if self._broken is not None:
                raise self._broken
            await asyncio.sleep(_LOOK_SECONDS / 10)

    async def ask(self, what: bytes) -> bytes:
        """Return what an actor answers; where that is lost, what another one does.

        Args:
            what: What is asked.

        Raises:
            ClusterError: There is no actor, and none can be started.
            SourceConnectionError: Too many actors were lost with it.
        """
        if self._broken is not None:
            raise self._broken
        asked = _Asked(what, asyncio.get_running_loop().create_future())
        self._wait(asked)
        return await asked.answer

    async def close(self) -> None:
        """End all of them, whatever they do."""
        self._break(ClusterError("the replicas are ended"))
        tasks = {task for each in self._members for task in each.tasks}
        if self._looks is not None:
            tasks.add(self._looks)
        for each in [*self._members]:
            self._end(each)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # Asking.

    def _wait(self, asked: _Asked) -> None:
        """Have it asked soon, in a block with all else that is to be asked by then."""
        # The last time it goes alone: what it was lost with may have been to blame.
        is_last = 0 < asked.losses >= self._scale.attempts - 1
        (self._alone if is_last else self._waiting).append(asked)
        self._hand_out_soon()

    def _hand_out_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._hand_out)

    def _hand_out(self) -> None:
        self._is_due = False
        self._grow()
        ready = [each for each in self._members if each.is_ready and not each.is_taken]
        ready.sort(key=lambda each: each.load)
        if self._alone and ready:
            first, *ready = ready
            if not first.load:
                first.is_taken = True
                self._give(first, [self._alone.popleft()])
        if not self._scale.is_fixed:  # the fullest first, so that others may end
            ready.reverse()
        for number, member in enumerate(ready):
            if not self._waiting:
                return
            room = (self._scale.target or sys.maxsize) - member.load
            share = -(-len(self._waiting) // (len(ready) - number))
            count = min(room, share if self._scale.is_fixed else len(self._waiting))
            if count > 0:
                self._give(member, [self._waiting.popleft() for _ in range(count)])

    def _give(self, member: _Member, block: list[_Asked]) -> None:
        if not member.load:
            member.since = time.monotonic()
        member.load += len(block)
        member.do(self._asked(member, dict(enumerate(block)), is_alone=member.is_taken))

    async def _asked(self, member: _Member, left: dict[int, _Asked], *, is_alone: bool) -> None:
        """Have an actor answer a block."""
        try:
            async for pile in member.actor.ask.remote([each.what for each in left.values()]):
                for number, said in await pile:
                    _settle(left.pop(number), said)
                    member.load -= 1
                member.since = time.monotonic()
                self._hand_out_soon()
        except LOST as error:
            self._lost(member, error)
        except Exception as error:  # noqa: BLE001  Ray's own, of which no row can be to blame
            self._break(ClusterError(f"replicas of {self._label} can't be asked: {error}"))
        finally:
            member.load -= len(left)
            member.is_taken = member.is_taken and not is_alone
            for each in left.values():
                self._again(each)
            self._hand_out_soon()

    def _again(self, asked: _Asked) -> None:
        asked.losses += 1
        if asked.answer.done():
            return
        if self._broken is not None:
            _fail(asked, self._broken)
            return
        if asked.losses < self._scale.attempts:
            self._wait(asked)
            return
        times = "" if asked.losses == 1 else f", {asked.losses} times over"
        told = f"the replica of {self._label} that was answering is lost{times}"
        _fail(asked, SourceConnectionError(told))

    # How many there are.

    def _grow(self) -> None:
        """Start as many as there is work for."""
        least, most, target = max(1, self._scale.least), self._scale.most, self._scale.target
        asked = len(self._waiting) + len(self._alone) + sum(each.load for each in self._members)
        wanted = min(most, max(least, -(-asked // target))) if target else most
        if self._broken is None and time.monotonic() >= self._not_before:
            for _ in range(wanted - len(self._members)):
                member = _Member(self._class.remote(Path.cwd()))
                self._members.append(member)
                member.do(self._started(member))

    async def _started(self, member: _Member) -> None:
        why, is_lost = "", False
        try:
            await member.actor.here.remote()
            member.is_here = True
            why = await member.actor.load.remote(self._make)
        except RayError as error:
            why, is_lost = str(error).strip().partition("\n")[0], True
        if not why:
            self._failed_starts, self._were_ready = 0, True
            member.is_ready, member.since = True, time.monotonic()
            self._hand_out_soon()
        elif member in self._members:
            self._end(member)
            self._not_started(why, may_pass=is_lost or self._were_ready)

    def _not_started(self, why: str, *, may_pass: bool) -> None:
        self._failed_starts += 1
        self._not_before = time.monotonic() + min(_LONGEST_WAIT, 2.0**self._failed_starts)
        told = f"{self._label} can't be started in a replica: {why}"
        log.warning("%s", told)
        is_any = any(each.is_ready for each in self._members)
        if not is_any and (self._failed_starts >= _STARTS or not may_pass):
            self._break(ClusterError(told))

    def _lost(self, member: _Member, error: Exception) -> None:
        if member in self._members:
            log.warning("a replica of %s is lost: another one is started", self._label)
            log.debug("it is lost by %s", error)
            self._end(member)

    def _end(self, member: _Member) -> None:
        if member in self._members:
            self._members.remove(member)
        ray.kill(member.actor)

    def _break(self, error: ClusterError) -> None:
        self._broken = error
        for each in (*self._waiting, *self._alone):
            _fail(each, error)
        self._waiting.clear()
        self._alone.clear()

    # What nobody tells of.

    async def _look(self) -> None:
        try:
            await self._looking()
        except Exception as error:  # noqa: BLE001  nobody would look any more
            self._break(ClusterError(f"the cluster can't be asked: {error}"))

    async def _looking(self) -> None:
        """Look for actors that say nothing, are idle, or can't get a place."""
        away = told = time.monotonic()
        while self._broken is None:
            await asyncio.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            for each in [each for each in self._members if each.is_ready]:
                if each.load and now - each.since > self._silent_seconds:
                    log.warning("a replica of %s says nothing, and is ended", self._label)
                    self._end(each)
                elif not each.load and now - each.since > self._scale.down_seconds:
                    self._spare(each)
            self._hand_out()
            if any(each.is_ready for each in self._members):
                away = told = now
            elif any(each.is_here for each in self._members):
                away = now
            self._give_up(now - away)
            if now - told > _TELL_SECONDS:
                told = now
                log.warning("no replica can be asked yet: %s", self._lack())

    def _spare(self, member: _Member) -> None:
        if len(self._members) > max(1, self._scale.least):
            self._end(member)

    def _give_up(self, seconds: float) -> None:
        """Wait no longer for a place."""
        if seconds > self._scale.place_seconds:
            told = f"{self._lack()}; the cluster has not given it within {seconds:.0f} s"
            self._break(ClusterError(told))

    def _lack(self) -> str:
        """Return what the cluster lacks, or else what is needed, and what it has."""
        cluster, scale = self._cluster, self._scale
        return cluster.lack(scale, 1) or scale.summary([self._label], cluster.machines)


def _settle(asked: _Asked, said: bytes) -> None:
    if not asked.answer.done():  # nobody waits for it any more
        asked.answer.set_result(said)


def _fail(asked: _Asked, error: Exception) -> None:
    if not asked.answer.done():
        asked.answer.set_exception(error)
