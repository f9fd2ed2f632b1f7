"""One session of an agent: its process, the protocol's connection, its answers.

The one file that imports the protocol's library. The pipes and the process group are `Program`'s.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Self

import acp
from acp import schema
from langchain_core.messages import BaseMessage
from pydantic import ValidationError

from chatwright.core.channel import Channel
from chatwright.deltas import Delta, Finish, Refusal, Usage
from chatwright.errors import (
    AuthenticationError,
    EngineError,
    OutputError,
    SourceError,
    SourceTimeoutError,
)
from chatwright.wires.jsonio import dumps
from chatwright.wrap.acp.agent import Agent
from chatwright.wrap.acp.permission import chosen, is_allowed
from chatwright.wrap.acp.prompt import prompt_of
from chatwright.wrap.acp.updates import Updates, names_of
from chatwright.wrap.acp.wire import Wire
from chatwright.wrap.failure import SHOWN_BYTES, reported
from chatwright.wrap.program import Program
from chatwright.wrap.watch import Watch

__all__ = ["Session"]

CANCEL_SECONDS = 0.5
"""How long an agent has to end an answer that is cancelled, before its process is told to."""
_GONE_SECONDS = 1.0
_AUTH_REQUIRED = -32000
"""The protocol's code for `auth_required`."""
_FAILURES = (acp.RequestError, ConnectionError, ValidationError)
"""What the library raises."""
_REASONS = {"end_turn": "stop", "max_tokens": "length", "max_turn_requests": "length"}
_NO_AGENT = (
    "is it a program that speaks the Agent Client Protocol on stdin and stdout? Many want a flag "
    "for it, such as `gemini --experimental-acp`"
)
_OURS = schema.Implementation(name="chatwright", version=version("chatwright"))
_log = logging.getLogger(__name__)


class Session:
    """One session of an agent, in a process of its own, from `async with` on to its end.

    Args:
        agent: How it is run.

    Raises:
        LoadError: There is no such program.
        AuthenticationError: It wants somebody to log in first.
        EngineError: It is no agent, or speaks another version of the protocol, or fails.
        SourceTimeoutError: It was not ready in time.
    """

    def __init__(self, agent: Agent) -> None:
        """Prepare; nothing runs yet."""
        self.agent = agent
        self._program = Program(
            agent.arguments,
            environment=agent.environment,
            cwd=agent.cwd,
            grace=agent.grace,
            mask=agent.mask,
        )
        self._updates = Updates()
        self._wire = Wire(self._program, self._updated, agent.max_output_bytes)
        self._channel: Channel[Delta] | None = None
        self._stack = contextlib.AsyncExitStack()
        self._connection: Any = None
        self._id = ""
        self._ready: schema.InitializeResponse | None = None

    @property
    def is_usable(self) -> bool:
        """Whether it can be asked again."""
        return not self._wire.ended

    async def __aenter__(self) -> Self:
        """Start the program and have it begin a session."""
        await self._stack.enter_async_context(self._program)
        try:
            self._connection = acp.connect_to_agent(_Client(self._permitted), self._wire)  # type: ignore[arg-type]  # no more of it is offered
            self._stack.push_async_callback(self._connection.close)
            async with asyncio.timeout(self.agent.start_timeout):
                await self._begin()
        except TimeoutError:
            await self._stack.aclose()
            raise SourceTimeoutError(
                f"{self.agent.name} was not ready in {self.agent.start_timeout:g} s "
                f"(start_timeout): {self._said() or 'it said nothing'} ({_NO_AGENT})"
            ) from None
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the process, and its group."""
        await self._stack.aclose()

    async def _begin(self) -> None:
        try:
            self._ready = await self._connection.initialize(
                protocol_version=acp.PROTOCOL_VERSION,
                client_capabilities=schema.ClientCapabilities(),  # neither files nor terminals
                client_info=_OURS,
            )
            spoken = self._ready.protocol_version
            if spoken != acp.PROTOCOL_VERSION:
                raise EngineError(
                    f"{self.agent.name} speaks version {spoken} of the Agent Client Protocol, and "
                    f"Chatwright version {acp.PROTOCOL_VERSION}; another version of the agent may "
                    "speak that"
                )
            cwd = await asyncio.to_thread(os.path.abspath, self.agent.cwd or ".")
            begun = await self._connection.new_session(cwd=cwd, mcp_servers=[])
            self._id = begun.session_id
        except _FAILURES as error:
            failed = await self._failure(error)
        else:
            return
        raise failed

    # An answer.

    @contextlib.asynccontextmanager
    async def asked(self, messages: Sequence[BaseMessage]) -> AsyncIterator["Turn"]:
        """Ask, and give the turn, whose deltas are to be taken; to leave it early cancels it.

        Args:
            messages: What to say: the whole conversation, or what is new of it.

        Raises:
            ContentError: The agent does not take this content.
        """
        blocks = prompt_of(messages, self._takes(), self.agent.model)
        self._updates.begin()
        self._wire.begin(self.agent.max_output_bytes)
        asking = asyncio.ensure_future(self._connection.prompt(session_id=self._id, prompt=blocks))
        turn = Turn(self.agent, lambda: self._ended(asking))
        asking.add_done_callback(lambda _: turn.channel.end())
        self._channel = turn.channel
        try:
            yield turn
        finally:
            turn.close()
            self._channel = None
            await self._cancel(asking)

    async def _ended(self, asking: asyncio.Future[schema.PromptResponse]) -> list[Delta]:
        return [*self._ending(await self._asked(asking))]

    async def _asked(self, asking: asyncio.Future[schema.PromptResponse]) -> schema.PromptResponse:
        try:
            return await asking
        except _FAILURES as error:
            failed = await self._failure(error)
        raise failed

    async def _cancel(self, asking: asyncio.Future[schema.PromptResponse]) -> None:
        """Have the agent end its answer, if it has not: by the protocol, for a short while."""
        if not asking.done():
            with contextlib.suppress(TimeoutError, *_FAILURES):
                async with asyncio.timeout(CANCEL_SECONDS):
                    await self._connection.cancel(session_id=self._id)
                    await asyncio.wait([asking])
            asking.cancel()
        elif not asking.cancelled():
            asking.exception()  # or asyncio would complain that nobody looked

    def _ending(self, response: schema.PromptResponse) -> Iterator[Delta]:
        reason = response.stop_reason
        if reason == "cancelled":
            raise EngineError(f"{self.agent.name}: the agent says that the answer was cancelled")
        if reason == "end_turn" and self._updates.is_silent:
            raise OutputError(f"{self.agent.name}: the agent has ended its turn, and said nothing")
        if (spent := response.usage) is not None:
            yield _usage(spent)
        if reason == "refusal":
            yield Refusal("")
        metadata: dict[str, Any] = {"stop_reason": reason}
        told = self._updates.usage
        metadata |= {f"session_{name}": told[name] for name in ("cost",) if told.get(name)}
        yield Finish(_REASONS.get(reason, reason), metadata)

    # What the agent says and asks.

    async def _updated(self, params: Mapping[str, Any]) -> None:
        """Hand on what an update says."""
        deltas = self._updates.read(params["update"])
        if self._channel is not None:
            for each in deltas:
                await self._channel.aput(each)

    async def _permitted(
        self, call: schema.ToolCallUpdate, options: list[schema.PermissionOption]
    ) -> str | None:
        """Return the option to choose; a denial is told in the reasoning, and logged."""
        told = call.model_dump(mode="json", by_alias=True, exclude_none=True)
        step = self._updates.step(told)
        names = names_of(step)
        allowed = is_allowed(names, self.agent.allow)
        option = chosen(options, allowed=allowed)
        if allowed and option is not None:
            if self._channel is not None:
                await self._channel.aput(self._updates.told(f"Permission given: {names[0]}"))
            return option
        title = self.agent.mask(names[0] if names else call.tool_call_id)
        fix = " or ".join(f"allow=[{self.agent.mask(each)!r}]" for each in names)
        why = "no option of the agent's allows it" if allowed else f"{fix} would allow it"
        _log.warning("%s: permission denied: %s (%s)", self.agent.name, title, why)
        if self._channel is not None:
            await self._channel.aput(self._updates.told(f"Permission denied: {title} ({why})"))
        return option if not allowed else chosen(options, allowed=False)

    # What it takes, and how it fails.

    def _takes(self) -> Mapping[str, bool]:
        able = self._ready and self._ready.agent_capabilities
        takes = able and able.prompt_capabilities
        return takes.model_dump(by_alias=True) if takes else {}

    async def _failure(self, error: Exception) -> SourceError:
        """Return what an exception of the library's stands for."""
        name, mask = self.agent.name, self.agent.mask
        if isinstance(error, acp.RequestError):
            return self._refused(error)
        if isinstance(error, ConnectionError):
            return self._wire.failure or await self._gone()
        shown = mask(str(error))[:SHOWN_BYTES]
        return OutputError(f"{name}: what it says is not of the Agent Client Protocol: {shown}")

    def _refused(self, error: acp.RequestError) -> SourceError:
        details = error.data.get("details") if isinstance(error.data, dict) else None
        told = f": {details or dumps(error.data).decode()}" if error.data else ""
        said = f"{error}{told} (JSON-RPC error {error.code})"
        hint = "" if self._ready else f" ({_NO_AGENT})"
        if error.code != _AUTH_REQUIRED:
            failed = reported(said + hint, name=self.agent.name, mask=self.agent.mask)
            failed.is_retryable = False
            return failed
        ways = "; ".join(self._logins()) or "as its documentation says"
        return AuthenticationError(
            self.agent.mask(
                f"{self.agent.name}: {said}: log in with the program itself, once ({ways}), or "
                'give it its key: variables={"NAME_OF_THE_KEY": …}; of our environment it gets '
                "what `environment` names"
            )
        )

    def _logins(self) -> Iterator[str]:
        for each in (self._ready and self._ready.auth_methods) or ():
            told = f"{each.name}: {each.description}" if each.description else each.name
            if isinstance(each, schema.EnvVarAuthMethod):
                told += f": {', '.join(var.name for var in each.vars)}"
            if isinstance(each, schema.TerminalAuthMethod):
                told += f": {' '.join([*self.agent.arguments, *(each.args or ())])}"
            yield told

    async def _gone(self) -> EngineError:
        hint = "" if self._ready else f" ({_NO_AGENT})"
        try:
            async with asyncio.timeout(_GONE_SECONDS):
                await self._program.end()
        except EngineError as error:
            error.args = (f"{error}{self._wire.junk_shown(self.agent.mask)}{hint}",)
            return error
        except TimeoutError:
            ended = "closed its output"
        else:
            ended = "ended"
        said = self._said() or "it said nothing"
        failed = EngineError(f"{self.agent.name} {ended} before it had answered: {said}{hint}")
        failed.body = said
        return failed

    def _said(self) -> str:
        """Return the end of its stderr, and what on stdout was not of the protocol."""
        said = f"{self._program.said()}{self._wire.junk_shown(self.agent.mask)}"
        return said.removeprefix("; ")


class Turn:
    """An answer on its way.

    It is no generator: those that are left to an ending loop are closed in any order.

    Args:
        agent: Whose limits hold.
        ended: Gives the answer's end once nothing more comes.
    """

    def __init__(self, agent: Agent, ended: Callable[[], Awaitable[list[Delta]]]) -> None:
        """Begin to count the time."""
        self._watch = Watch(agent.limits, agent.name)
        self._ended: Callable[[], Awaitable[list[Delta]]] | None = ended
        self.channel: Channel[Delta] = Channel()

    async def take(self) -> list[Delta]:
        """Return what has come, at least one delta; nothing at the end.

        Raises:
            SourceError: The agent fails, or a time limit has run out.
        """
        with self._watch:
            items = await self.channel.atake()
        if not items and self._ended is not None:
            ended, self._ended = self._ended, None
            items = await ended()
        self._watch.restart()
        return items

    def close(self) -> None:
        """Forget the timer; what still comes is dropped, so that the end can be read behind it."""
        self._watch.stop()
        self.channel.close()


def _usage(spent: schema.Usage) -> Usage:
    """Return the tokens of an answer; agents tell the cache's apart, or not."""
    read, written = spent.cached_read_tokens or 0, spent.cached_write_tokens or 0
    cache, thought = read + written, spent.thought_tokens or 0
    beside = spent.total_tokens - spent.input_tokens - spent.output_tokens
    cache_beside = cache if beside in {cache, cache + thought} else 0
    thought_beside = thought if beside - cache_beside == thought else 0
    details = {"cache_read": read, "cache_creation": written}
    return Usage(
        spent.input_tokens + cache_beside,
        spent.output_tokens + thought_beside,
        {name: each for name, each in details.items() if each},
        {"reasoning": thought} if thought else {},
    )


class _Client:
    """What an agent may ask us for: a permission, and nothing else."""

    def __init__(
        self,
        permitted: Callable[
            [schema.ToolCallUpdate, list[schema.PermissionOption]], Awaitable[str | None]
        ],
    ) -> None:
        self._permitted = permitted

    async def request_permission(
        self, tool_call: Any, options: Any, **_: Any
    ) -> schema.RequestPermissionResponse:
        option = await self._permitted(tool_call, options)
        outcome: Any = (
            schema.DeniedOutcome(outcome="cancelled")
            if option is None
            else schema.AllowedOutcome(outcome="selected", option_id=option)
        )
        return schema.RequestPermissionResponse(outcome=outcome)

    async def _refused(self, **_: Any) -> Any:
        raise acp.RequestError.method_not_found("Chatwright offers neither files nor terminals")

    read_text_file = write_text_file = _refused
    create_terminal = terminal_output = release_terminal = _refused
    wait_for_terminal_exit = kill_terminal = _refused
