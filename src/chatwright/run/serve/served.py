"""A model as the server knows it: what can be asked of it, wherever it answers."""

import asyncio
import functools
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from langchain_core.messages import BaseMessage

from chatwright.langchain.model import ChatModel
from chatwright.run.serve.drive import driven, events, parameters_of
from chatwright.run.serve.shown import shown, shown_data
from chatwright.wires.openai.request import ChatCompletion
from chatwright.wires.prompt import Prompt

__all__ = ["About", "Answer", "Local", "Served"]

_PARAMETERS = (*ChatCompletion.parameters, "stop")


@dataclass(frozen=True, kw_only=True)
class About:
    """What a server tells of a model.

    Args:
        kind: The name of its class.
        inputs: What it takes beside text: `image`, `audio`, …
        parameters: The sampling parameters that have an effect, by LangChain's names.
        profile: LangChain's, as JSON.
        counts_tokens: Whether it has a tokenizer.
    """

    kind: str
    inputs: Sequence[str]
    parameters: Sequence[str]
    profile: Mapping[str, Any] | None
    counts_tokens: bool


class Answer(Protocol):
    """An answer, or several, to be made one way or the other: deltas, or `Choice`s."""

    def stream(self) -> AsyncGenerator[Any]:
        """Yield it as it comes."""

    def whole(self) -> AsyncGenerator[Any]:
        """Yield it once it is whole."""


class Served(ABC):
    """A model that is served."""

    @abstractmethod
    def about(self) -> About:
        """Return what is told of it; that may take a while."""

    @abstractmethod
    def answer(self, prompt: Prompt, session: str | None = None) -> Answer:
        """Return an answer, which begins once it is read.

        Args:
            prompt: What is asked.
            session: What requests that belong together have in common; None where the client
                says nothing of it.

        Raises:
            SchemaError: No answer can conform to the response format.
        """

    @abstractmethod
    def events(self, prompt: Prompt) -> AsyncGenerator[Mapping[str, Any]]:
        """Yield LangChain's own events of an answer, those of the runs inside included, as JSON.

        Args:
            prompt: What is asked.
        """

    @abstractmethod
    async def explained(self, prompt: Prompt) -> Any:
        """Return, as JSON, what the model's source would be given.

        Args:
            prompt: What is asked.
        """

    @abstractmethod
    async def count(
        self, messages: Sequence[BaseMessage], tools: Sequence[Mapping[str, Any]]
    ) -> int:
        """Return how many tokens a conversation has, for a model that has a tokenizer.

        Args:
            messages: The conversation.
            tools: Function tools in OpenAI's form.
        """


class Local(Served):
    """A model that answers in this process.

    Args:
        name: Its name, for traces and the log.
        model: The model.
    """

    def __init__(self, name: str, model: ChatModel) -> None:
        """Keep both."""
        self._model = model
        self._run_name = f"serve {name}"

    def about(self) -> About:
        """Return what is told of it; a template may have to be loaded for that."""
        model = self._model
        return About(
            kind=type(model).__name__,
            inputs=sorted(model.capabilities().inputs),
            parameters=[each for each in _PARAMETERS if each == "stop" or model.takes(each)],
            profile=json.loads(json.dumps(model.profile, default=str)),
            counts_tokens=model.has_tokenizer(),
        )

    def answer(self, prompt: Prompt, session: str | None = None) -> Answer:
        """Return an answer; whose session it is of makes no difference here."""
        return driven(self._model, prompt, self._run_name)

    async def events(self, prompt: Prompt) -> AsyncGenerator[Mapping[str, Any]]:
        """Yield the events."""
        told = events(self._model, prompt, self._run_name)
        try:
            async for event in told:
                same = {name: event[name] for name in ("event", "name", "run_id", "parent_ids")}
                yield {**same, "data": shown_data(event["event"], event["data"])}
        finally:
            await told.aclose()

    async def explained(self, prompt: Prompt) -> Any:
        """Return what the source would be given; a template may have to be loaded for that."""
        given: dict[str, Any] = parameters_of(self._model, prompt, self._run_name)
        explain = functools.partial(self._model.explain, [*prompt.messages], **given)
        return shown(await asyncio.to_thread(explain))

    async def count(
        self, messages: Sequence[BaseMessage], tools: Sequence[Mapping[str, Any]]
    ) -> int:
        """Return how many tokens; weights may have to be loaded for that."""
        count = self._model.get_num_tokens_from_messages
        return await asyncio.to_thread(count, [*messages], [*tools] or None)
