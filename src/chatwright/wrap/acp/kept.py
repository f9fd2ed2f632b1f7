"""Sessions that are kept for a thread, between its answers.

They live on one event loop, in a thread of ours: the loops of their callers come and go.
"""

import asyncio
import contextlib
import operator
import os
from collections.abc import AsyncGenerator, Sequence
from typing import Any, TypeAlias

from langchain_core.messages import BaseMessage

from chatwright.core.channel import Channel
from chatwright.core.loop import SharedLoop
from chatwright.deltas import Delta, Refusal
from chatwright.errors import SourceConnectionError, SourceError, SourceTimeoutError
from chatwright.wires.jsonio import sorted_dumps
from chatwright.wrap.acp.agent import Agent
from chatwright.wrap.acp.session import Session

__all__ = ["MOST", "answered", "end_kept"]

MOST = 16
"""How many sessions are kept that nobody waits for; of more, the one idle for longest ends."""
_END_SECONDS = 5.0

Known: TypeAlias = tuple[str, str]
"""A message as it is compared: its type, and what it says."""


class _Place:
    """A thread's session, what it has been told, and whose turn it is."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.lock = asyncio.Lock()
        self.session: Session | None = None
        self.known: list[Known] = []
        self.timer: asyncio.TimerHandle | None = None
        self.users = 0  # answers on their way, and those that wait for their turn

    async def ready(self, agent: Agent, messages: Sequence[BaseMessage]) -> Sequence[BaseMessage]:
        """Have a session, and return what it has to be told.

        It is the one that is there, if it knows how the conversation begins; or a new one.
        """
        told, known = [*map(_known, messages)], len(self.known)
        if self.session is not None:
            fits = known < len(told) and told[:known] == self.known
            if fits and self.session.is_usable and _is_new(messages[known:]):
                self.session.agent = agent
                return messages[known:]
            await self.end()
        self.session = await Session(agent).__aenter__()
        return messages

    def keep(self, messages: Sequence[BaseMessage], said: str, seconds: float) -> None:
        """Keep the session for the next answer, for a while."""
        self.known = [*map(_known, messages), ("ai", said.strip())]
        self.timer = asyncio.get_running_loop().call_later(seconds, _begin_end, self)

    def stay(self) -> None:
        """Have the session stay until it is told when to end."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    async def end(self) -> None:
        """End the session."""
        session, self.session, self.known = self.session, None, []
        self.stay()
        if session is not None:
            await session.__aexit__()


_places: dict[tuple[Any, str], _Place] = {}
_ending: set[asyncio.Task[None]] = set()
_loop: SharedLoop | None = None


def _shared() -> SharedLoop:
    global _loop  # noqa: PLW0603  one per process
    if _loop is None or _loop.pid != os.getpid():
        _places.clear()  # a parent's sessions are the parent's
        _loop = SharedLoop()
    return _loop


def answered(
    agent: Agent, messages: Sequence[BaseMessage], thread: str | None
) -> AsyncGenerator[Delta]:
    """Return an agent's answer: a thread's session gives it, or one that is begun for it alone.

    Args:
        agent: How the agent is run.
        messages: The whole conversation.
        thread: The thread's name; None for none.

    Raises:
        ChatwrightError: As `Session` does.
    """
    return _once(agent, messages) if thread is None else _kept(agent, messages, thread)


async def _once(agent: Agent, messages: Sequence[BaseMessage]) -> AsyncGenerator[Delta]:
    async with Session(agent) as session, session.asked(messages) as turn:
        while items := await turn.take():
            for each in items:
                yield each


async def _kept(
    agent: Agent, messages: Sequence[BaseMessage], thread: str
) -> AsyncGenerator[Delta]:
    """Yield an answer of the session that is kept for a thread.

    It is told only what is new to it. Where the conversation is not the one that it knows, it
    gives way to a new session, which is told everything. An answer that is left early ends it.

    Raises:
        SourceTimeoutError: Another answer of the thread takes longer than `first_token_timeout`.
    """
    channel: Channel[Delta] = Channel()
    end = _shared().start(_deliver(agent, thread, messages, channel))
    try:
        while items := await channel.atake():
            for each in items:
                yield each
    finally:
        if not channel.ended:
            end(_nothing)
            with contextlib.suppress(TimeoutError, SourceError):
                async with asyncio.timeout(_END_SECONDS):
                    while await channel.atake():
                        pass
        channel.close()


def end_kept(owner: str) -> None:
    """End the sessions that are kept for a model (`Agent.owner`), and wait for that."""
    if _loop is not None and _loop.pid == os.getpid():
        _loop.run(_end_all(owner))


async def _deliver(
    agent: Agent, thread: str, messages: Sequence[BaseMessage], channel: Channel[Delta]
) -> None:
    error: BaseException | None = None
    place = _places.setdefault((agent.program, thread), _Place(agent.owner))
    place.users += 1
    try:
        await _turn(place, thread, agent.limits.first_token)
        try:
            place.stay()
            await _answer(place, agent, messages, channel)
        finally:
            place.lock.release()
    except asyncio.CancelledError:  # by its reader, or with the loop
        error = SourceConnectionError(f"{agent.name}: the answer was cancelled")
    except BaseException as raised:  # noqa: BLE001  it belongs to the reader
        error = raised
    place.users -= 1
    _forget()
    channel.end(error)


async def _turn(place: _Place, thread: str, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await place.lock.acquire()
    except TimeoutError:
        raise SourceTimeoutError(
            f"the thread {thread!r} is still at another answer after {seconds:g} s "
            "(first_token_timeout): a thread gives one at a time"
        ) from None


async def _answer(
    place: _Place, agent: Agent, messages: Sequence[BaseMessage], channel: Channel[Delta]
) -> None:
    said: list[Delta] = []
    try:
        new = await place.ready(agent, messages)
        assert place.session is not None  # noqa: S101  `ready` has made one
        async with place.session.asked(new) as turn:
            while items := await turn.take():
                said += items
                for each in items:
                    if await channel.aput(each):
                        raise asyncio.CancelledError  # noqa: TRY301  as if it were
        if any(isinstance(each, Refusal) for each in said):
            await place.end()  # the agent forgets what it refuses
            return
    except BaseException:
        await place.end()
        raise
    text = "".join(each for each in said if isinstance(each, str))
    place.keep(messages, text, agent.idle_timeout)


def _known(message: BaseMessage) -> Known:
    if message.type == "ai":
        return "ai", message.text.strip()
    return message.type, sorted_dumps(message.content).decode("utf-8", "replace")


def _is_new(messages: Sequence[BaseMessage]) -> bool:
    """Tell whether messages are what a session is told next, and not a part of the history."""
    return all(each.type not in {"ai", "system"} for each in messages)


def _begin_end(place: _Place) -> None:
    """End a session that nobody waits for; a new answer gets another one."""
    if not place.users:
        task = asyncio.ensure_future(place.end())
        _ending.add(task)
        task.add_done_callback(_ending.discard)


def _forget() -> None:
    """Forget threads without a session, and end the sessions that are too many."""
    for key in [key for key, each in _places.items() if not each.users and not each.session]:
        del _places[key]
    idle = [(each.timer.when(), each) for each in _places.values() if each.timer is not None]
    idle.sort(key=operator.itemgetter(0))
    for _, place in idle[: max(0, len(idle) - MOST)]:
        _begin_end(place)


async def _end_all(owner: str) -> None:
    for place in [*_places.values()]:
        if place.owner == owner:
            async with place.lock:
                await place.end()
    _forget()


def _nothing() -> None:
    pass
