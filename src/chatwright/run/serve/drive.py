"""Drives a chat model for a request: what its answer says, as deltas."""

import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage

from chatwright.deltas import Block, Delta, Finish
from chatwright.langchain.incoming import Incoming
from chatwright.langchain.model import ChatModel
from chatwright.wires.prompt import Prompt

__all__ = ["Drive"]

log = logging.getLogger("chatwright.serve")


class Drive:
    """One call of a chat model.

    Args:
        model: The model.
        prompt: What is asked.
        run_name: The run's name, for traces.
    """

    def __init__(self, model: BaseChatModel, prompt: Prompt, run_name: str) -> None:
        """Prepare the call."""
        self._model = model
        self._prompt = prompt
        self._config: Any = {"run_name": run_name}
        self._incoming = Incoming()
        self._reason: str | None = None
        self._stop: str | None = None

    def _kwargs(self) -> dict[str, Any]:
        prompt, model = self._prompt, self._model
        given: dict[str, Any] = {}
        if isinstance(model, ChatModel):
            given["include_stop"] = False  # as all of these APIs do
            untaken = [name for name in prompt.parameters if not model.takes(name)]
            given |= {k: v for k, v in prompt.parameters.items() if k not in untaken}
        else:
            untaken, given = [], {**prompt.parameters}
        if ignored := [*prompt.ignored, *untaken]:
            log.info("without effect on %s: %s", model.name, ", ".join(sorted(ignored)))
        if prompt.stop:
            given["stop"] = [*prompt.stop]
        if prompt.tools:
            given["tools"] = [*prompt.tools]
        if prompt.tool_choice is not None:
            given["tool_choice"] = prompt.tool_choice
        if prompt.response_format is not None:
            given["response_format"] = prompt.response_format
        return given

    async def stream(self) -> AsyncIterator[Delta]:
        """Yield the answer as it comes."""
        incoming = self._incoming
        chunks = self._model.astream([*self._prompt.messages], self._config, **self._kwargs())
        try:
            async for chunk in chunks:
                if (text := incoming.text(chunk)) is not None:
                    yield text
                    continue
                for delta in self._taken(chunk):
                    yield delta
        finally:
            close: Any = getattr(chunks, "aclose", None)
            if close is not None:
                await close()
        for delta in self._end():
            yield delta

    async def whole(self) -> AsyncIterator[Delta]:
        """Yield the answer once it is whole."""
        message = await self._model.ainvoke(
            [*self._prompt.messages], self._config, **self._kwargs()
        )
        for delta in [*self._taken(message), *self._end()]:
            yield delta

    def _taken(self, message: BaseMessage) -> Iterator[Delta]:
        metadata = message.response_metadata
        self._reason = metadata.get("normalized_finish_reason", self._reason)
        self._stop = metadata.get("stop_sequence", self._stop)
        if not isinstance(message, AIMessage | AIMessageChunk):
            raise TypeError(f"the model answered with a {type(message).__name__}")
        for delta in self._incoming.deltas(message):
            if isinstance(delta, Block):
                if delta.block.get("type") != "text":
                    log.info("left out: %s, which this wire has no form for", delta.block["type"])
            elif delta != "":
                yield delta

    def _end(self) -> Iterator[Delta]:
        for delta in self._incoming.end():
            if isinstance(delta, Finish):
                metadata = {"stop_sequence": self._stop} if self._stop else {}
                yield Finish(self._reason or delta.reason, metadata)
            else:
                yield delta
