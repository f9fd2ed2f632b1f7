"""A conversation with any chat model: its history, and what its answers took."""

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    convert_to_openai_messages,
    message_chunk_to_message,
)
from langchain_core.runnables import RunnableConfig

__all__ = ["Conversation", "Took"]


@dataclass(slots=True)
class Took:
    """What one answer took.

    Attributes:
        first_token: Seconds until its first text; None before that.
        tokens_per_second: Output tokens a second after the first one; None where that is not known.
        cost: As in `response_metadata["cost"]`; None where no price is known.
    """

    first_token: float | None = None
    tokens_per_second: float | None = None
    cost: dict[str, Any] | None = None


@dataclass
class Conversation:
    """Turns of a user and a model; they have a `thread_id` of their own until one is taken back.

    Args:
        model: The model.
        system: The system message, if any.
        parameters: Parameters of every call, such as `temperature`.
        stop: Stop sequences of every call.
    """

    model: BaseChatModel
    system: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    stop: list[str] | None = None
    turns: list[BaseMessage] = field(default_factory=list)
    took: Took = field(default_factory=Took)
    _thread: str = ""
    _told: list[BaseMessage] = field(default_factory=list)

    @property
    def messages(self) -> list[BaseMessage]:
        """The system message, then all turns."""
        return [*([SystemMessage(self.system)] if self.system else []), *self.turns]

    def ask(self, text: str) -> Iterator[AIMessageChunk]:
        """Say something and yield the answer as it comes.

        The answer joins the history when it has ended, also where it is cut short by closing the
        iterator; an answer that failed, or of which nothing came, leaves the history as it was.
        """
        before = self.turns[:]
        self.turns.append(HumanMessage(text))
        yield from self._answer(before)

    def retry(self) -> Iterator[AIMessageChunk]:
        """Have the last question answered anew.

        Raises:
            ValueError: There is none yet.
        """
        if not self.turns:
            raise ValueError("there is nothing to retry yet")
        before = self.turns[:]
        self.turns.pop()  # each question in the history has its answer
        yield from self._answer(before)

    def reset(self) -> None:
        """Forget all turns; the system message stays."""
        self.turns.clear()

    def save(self, path: Path) -> None:
        """Write the conversation to a JSON file: a list of messages in OpenAI's form.

        Raises:
            OSError: The file can't be written.
        """
        messages = convert_to_openai_messages(self.messages)
        path.write_text(json.dumps(messages, ensure_ascii=False, indent=2) + "\n", "utf-8")

    def _answer(self, before: list[BaseMessage]) -> Iterator[AIMessageChunk]:
        self.took = Took()
        started = time.monotonic()
        chunks: list[AIMessageChunk] = []
        times: list[float] = []
        failed = True
        try:
            for chunk in self.model.stream(
                self.messages, self._config(), stop=self.stop, **self.parameters
            ):
                chunks.append(chunk)
                if chunk.content or chunk.additional_kwargs:
                    times.append(time.monotonic() - started)
                if chunk.text and self.took.first_token is None:
                    self.took.first_token = times[-1]
                yield chunk
            failed = False
        except (GeneratorExit, KeyboardInterrupt):
            failed = False
            raise
        finally:
            if failed or not chunks:
                self.turns[:] = before
                self._thread = ""
            else:
                self._remember(chunks, times)
                self._told = self.messages

    def _config(self) -> RunnableConfig:
        """Return the config of a call: with a new thread where what was said has changed."""
        if not self._thread or self.messages[: len(self._told)] != self._told:
            self._thread = uuid.uuid4().hex
        return {"configurable": {"thread_id": self._thread}}

    def _remember(self, chunks: list[AIMessageChunk], times: list[float]) -> None:
        message = message_chunk_to_message(chunks[0] + chunks[1:]) if chunks[1:] else chunks[0]
        self.turns.append(message)
        if not isinstance(message, AIMessage):
            return
        self.took.cost = message.response_metadata.get("cost")
        growing = times[-1] - times[0] if times else 0.0
        if message.usage_metadata and growing > 0:
            self.took.tokens_per_second = (message.usage_metadata["output_tokens"] - 1) / growing
