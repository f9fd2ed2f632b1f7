"""Drives a chat model for a request: what its answer says, as deltas."""

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage

from chatwright.deltas import Block, Delta, Finish, Reasoning
from chatwright.langchain.incoming import Incoming
from chatwright.langchain.model import ChatModel
from chatwright.run import parameters
from chatwright.run.conforming import Conforming
from chatwright.wires.openai.choices import Choice
from chatwright.wires.prompt import Prompt

__all__ = ["driven", "events", "parameters_of"]

_PILE = 64
"""How many pieces may wait where several answers are made at once."""
_AT_ONCE = 8
"""How many answers of one request are made at once."""
_TOLD = ("phase", "stop_sequence")
"""What wires tell of an answer's metadata: Responses the one, Anthropic's the other."""

log = logging.getLogger("chatwright.serve")


def parameters_of(model: ChatModel, prompt: Prompt, run_name: str) -> dict[str, Any]:
    """Return the parameters of a call; what has no effect on the model is told in the log.

    Args:
        model: The model.
        prompt: What is asked.
        run_name: The run's name.
    """
    given, ignored = parameters.parameters_of(model, prompt)
    if ignored:
        log.info("without effect in %s: %s", run_name, ", ".join(ignored))
    return given


async def events(
    model: ChatModel, prompt: Prompt, run_name: str
) -> AsyncGenerator[Mapping[str, Any]]:
    """Yield LangChain's own events of a call, those of the runs inside included.

    Args:
        model: The model.
        prompt: What is asked.
        run_name: The run's name.
    """
    given: dict[str, Any] = parameters_of(model, prompt, run_name)
    told = model.astream_events([*prompt.messages], {"run_name": run_name}, version="v2", **given)
    try:
        async for event in told:
            yield event
    finally:
        close: Any = getattr(told, "aclose", None)
        if close is not None:
            await close()


class _Drive:
    """One call of a chat model.

    Args:
        model: The model.
        prompt: What is asked.
        run_name: The run's name, for traces.
    """

    def __init__(self, model: ChatModel, prompt: Prompt, run_name: str) -> None:
        """Prepare the call."""
        self._model = model
        self._prompt = prompt
        self._config: Any = {"run_name": run_name}
        self._incoming = Incoming()
        self._reason: str | None = None
        self._metadata: dict[str, Any] = {}
        self._has_hidden = False
        wanted = prompt.response_format
        self._conforming = Conforming(wanted) if wanted else None

    async def stream(self) -> AsyncGenerator[Delta]:
        """Yield the answer as it comes."""
        incoming = self._incoming
        given = parameters_of(self._model, self._prompt, self._config["run_name"])
        given["tool_retries"] = 0  # a call that was cut has gone out, and can't be taken back
        chunks = self._model.astream([*self._prompt.messages], self._config, **given)
        try:
            async for chunk in chunks:
                if (text := incoming.text(chunk)) is not None:
                    if self._conforming:
                        self._conforming.feed(text)
                    yield text
                    continue
                for delta in self._taken(chunk):
                    if self._conforming:
                        self._conforming.feed(delta)
                    yield delta
        finally:
            close: Any = getattr(chunks, "aclose", None)
            if close is not None:
                await close()
        if self._conforming:
            self._conforming.end(self._reason)
        for delta in self._end():
            yield delta

    async def whole(self) -> AsyncGenerator[Delta]:
        """Yield the answer once it is whole."""
        given = parameters_of(self._model, self._prompt, self._config["run_name"])
        ask, talk = functools.partial(self._asked, given), self._prompt.messages
        message = await (self._conforming.asked(ask, talk) if self._conforming else ask(talk))
        for delta in [*self._taken(message), *self._end()]:
            yield delta

    async def _asked(self, given: Mapping[str, Any], talk: Sequence[BaseMessage]) -> Any:
        return await self._model.ainvoke([*talk], self._config, **given)

    def _taken(self, message: BaseMessage) -> Iterator[Delta]:
        metadata = message.response_metadata
        self._reason = metadata.get("normalized_finish_reason", self._reason)
        self._metadata |= {name: metadata[name] for name in _TOLD if metadata.get(name)}
        if not isinstance(message, AIMessage | AIMessageChunk):
            raise TypeError(f"the model answered with a {type(message).__name__}")
        for delta in self._incoming.deltas(message):
            if isinstance(delta, Block):
                if delta.block.get("type") != "text":
                    log.info("left out: %s, which this wire has no form for", delta.block["type"])
            elif self._prompt.hides_reasoning and isinstance(delta, Reasoning):
                if not self._has_hidden:
                    log.info("left out: reasoning, which the request does not ask for")
                self._has_hidden = True
            elif delta != "":
                yield delta

    def _end(self) -> Iterator[Delta]:
        for delta in self._incoming.end():
            if isinstance(delta, Finish):
                yield Finish(self._reason or delta.reason, self._metadata)
            else:
                yield delta


class _Several:
    """Several calls, some of them at once, whose pieces come as `Choice`s."""

    def __init__(self, drives: Sequence[_Drive]) -> None:
        self._drives = drives

    def stream(self) -> AsyncGenerator[Choice]:
        """Yield the answers as they come."""
        return self._merged([each.stream() for each in self._drives])

    def whole(self) -> AsyncGenerator[Choice]:
        """Yield each answer once it is whole."""
        return self._merged([each.whole() for each in self._drives])

    @staticmethod
    async def _merged(answers: Sequence[AsyncGenerator[Delta]]) -> AsyncGenerator[Choice]:
        pile: asyncio.Queue[Choice | BaseException | None] = asyncio.Queue(_PILE)
        turns = asyncio.Semaphore(_AT_ONCE)

        async def read(index: int, answer: AsyncGenerator[Delta]) -> None:
            try:
                async with turns, contextlib.aclosing(answer) as deltas:
                    async for delta in deltas:
                        await pile.put(Choice(index, delta))
            except Exception as error:  # noqa: BLE001  handed over
                await pile.put(error)
            await pile.put(None)

        tasks = [asyncio.ensure_future(read(n, each)) for n, each in enumerate(answers)]
        try:
            going = len(tasks)
            while going:
                piece = await pile.get()
                if isinstance(piece, BaseException):
                    raise piece
                if piece is None:
                    going -= 1
                else:
                    yield piece
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


class _Loaded:
    """The answer to a request that asks nothing: the model is there.

    Args:
        told: By what word that is told.
    """

    def __init__(self, told: str) -> None:
        self._told = told

    async def stream(self) -> AsyncGenerator[Delta]:
        """Yield that it is."""
        yield Finish(self._told)

    whole = stream


def driven(model: ChatModel, prompt: Prompt, run_name: str) -> _Drive | _Several | _Loaded:
    """Return a call of a chat model, or several where as many answers are wanted.

    Its `stream` and `whole` yield deltas, or `Choice`s.

    Args:
        model: The model.
        prompt: What is asked.
        run_name: The run's name, for traces.
    """
    if not prompt.messages:
        if prompt.loads != "load":
            log.info("without effect in %s: keep_alive; models stay loaded", run_name)
        return _Loaded(prompt.loads)
    if prompt.answers == 1:
        return _Drive(model, prompt, run_name)
    return _Several([_Drive(model, each, run_name) for each in prompt.each()])
