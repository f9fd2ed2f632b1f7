"""`ChatModel`: the chat model that is made of one method, `reply`."""

import asyncio
import functools
import inspect
import operator
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult, LLMResult
from langchain_core.runnables import RunnableConfig
from langchain_core.utils.utils import LC_ID_PREFIX

from chatwright.core.answer import Answer
from chatwright.core.bridge import is_async
from chatwright.core.threads import threads
from chatwright.langchain import prices
from chatwright.langchain.abilities import Abilities
from chatwright.langchain.call import Call
from chatwright.langchain.render import (
    ChunkRenderer,
    Event,
    EventRenderer,
    MessageRenderer,
    Renderer,
    Summary,
)
from chatwright.langchain.request import Request
from chatwright.langchain.run import RUN, Inside, Run
from chatwright.langchain.settings import CONFIGURED, PROVIDER
from chatwright.langchain.telemetry import watched
from chatwright.langchain.unheard import UnheardStream, has_detours, identified, unheard
from chatwright.langchain.usage import usage_of

__all__ = ["ChatModel"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def _signed(function: F) -> F:
    """Give a method a signature beforehand: core inspects it with every call, for 14 µs."""
    function.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return function


class ChatModel(Abilities):
    """A LangChain chat model that is made of one method, `reply`.

    Subclass it, give it fields as any pydantic model, and write `reply`: streaming, async, stop
    sequences, usage, callbacks, events, tracing and pickling follow.

    Example:
        ```python
        class Shout(ChatModel):
            def reply(self, request):
                for word in request.messages[-1].text.split():
                    yield word.upper() + " "
        ```
    """

    @abstractmethod
    def reply(self, request: Request) -> Any:
        """Answer one request: the only method to write.

        It may return a str, be a generator, a coroutine function or an async generator function.
        The fields of `self` already hold the call's values. Closing, cancelling and stop sequences
        end a generator at its next `yield`; `finally` is the place to clean up.

        Args:
            request: What is asked.

        Returns:
            A delta (`str`, `Text`, `Reasoning`, `Refusal`, `Block`, `ToolCallDelta`, `Usage`,
            `Finish`), one of LangChain's own answers (`AIMessage`, `AIMessageChunk`,
            `ChatGenerationChunk`, `ChatResult`), or an iterator or async iterator of these.
        """

    # What users call: core's own, with what the source has to know of the run.

    def invoke(
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Do what core does."""
        run = self._run(config)
        told = self._with(kwargs, run)
        call = unheard(self, input, run.config, told, CallbackManagerForLLMRun)
        if call is None:
            return super().invoke(input, config, stop=stop, **told)
        messages, manager, told = call
        if _is_direct(self, told):
            (message,) = self._whole(messages, stop, told, manager).whole()
            return identified(message, manager.run_id)
        result = self._generate_with_cache(messages, stop, manager, **told)
        return cast("AIMessage", result.generations[0].message)

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Do what core does."""
        run = self._run(config)
        told = self._with(kwargs, run)
        call = unheard(self, input, run.config, told, AsyncCallbackManagerForLLMRun)
        if call is None:
            return await super().ainvoke(input, config, stop=stop, **told)
        messages, manager, told = call
        return await self._answer(messages, manager, told, stop)

    def stream(
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """Do what core does."""
        run = self._run(config)
        told, config = self._with(kwargs, run), run.streamed()
        if quiet := UnheardStream.of(self, config, told, is_async=False):
            return quiet.drive(self._stream, input, stop, told)
        return super().stream(input, config, stop=stop, **told)

    def astream(
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """Do what core does."""
        run = self._run(config)
        told, config = self._with(kwargs, run), run.streamed()
        if quiet := UnheardStream.of(self, config, told, is_async=True):
            return quiet.adrive(self._astream, input, stop, told)
        return super().astream(input, config, stop=stop, **told)

    def _chat_model_stream_v3(
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        return super()._chat_model_stream_v3(input, config, **self._with(kwargs, self._run(config)))

    async def _achat_model_stream_v3(
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        return await super()._achat_model_stream_v3(
            input, config, **self._with(kwargs, self._run(config))
        )

    async def _answer(
        self,
        messages: list[BaseMessage],
        manager: AsyncCallbackManagerForLLMRun,
        told: dict[str, Any],
        stop: list[str] | None,
    ) -> AIMessage:
        """Answer a call that nobody listens to."""
        if _is_direct(self, told):
            (message,) = await self._whole(messages, stop, told, manager).awhole()
            return identified(message, manager.run_id)
        result = await self._agenerate_with_cache(messages, stop, manager, **told)
        return cast("AIMessage", result.generations[0].message)

    # What LangChain calls: the faces of one drive.

    @_signed
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return _as_result(*self._whole(messages, stop, kwargs, run_manager).whole())

    @_signed
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return _as_result(*await self._whole(messages, stop, kwargs, run_manager).awhole())

    def _generate_with_cache(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        """Do what core does; answers that can't be told from another model's are not cached."""
        kwargs[RUN] = self._begun(kwargs, run_manager)
        model = self._for_cache(stop, kwargs)
        return super(ChatModel, model)._generate_with_cache(messages, stop, run_manager, **kwargs)

    async def _agenerate_with_cache(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        """Do what core does, and end the run of a call that is cancelled: core leaves it open.

        That is `language_models/chat_models.py:1851` of langchain-core 1.7.2; it holds for every
        way that `ainvoke` may take, streaming behind the scenes included.
        """
        kwargs[RUN] = self._begun(kwargs, run_manager)
        try:
            model = self._for_cache(stop, kwargs)
            return await super(ChatModel, model)._agenerate_with_cache(
                messages, stop, run_manager, **kwargs
            )
        except asyncio.CancelledError as cancelled:
            if run_manager is not None:
                await run_manager.on_llm_error(cancelled, response=LLMResult(generations=[]))
            raise

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        return self._call(messages, stop, kwargs, self._chunks()).drive()

    def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        return self._call(messages, stop, kwargs, self._chunks()).adrive()

    def _stream_chat_model_events(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[Event]:
        renderer = self._events(run_manager, kwargs)
        return self._call(messages, stop, kwargs, renderer, run_manager).drive()

    def _astream_chat_model_events(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Event]:
        renderer = self._events(run_manager, kwargs)
        return self._call(messages, stop, kwargs, renderer, run_manager).adrive()

    def _whole(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
        run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None,
    ) -> Call[AIMessage]:
        renderer = MessageRenderer(v1=self.output_version == "v1")
        return self._call(messages, stop, kwargs, renderer, run_manager)

    def _chunks(self) -> ChunkRenderer:
        return ChunkRenderer(v1=self.output_version == "v1")

    def _events(
        self,
        run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None,
        kwargs: Mapping[str, Any],
    ) -> EventRenderer:
        message_id = f"{LC_ID_PREFIX}-{run_manager.run_id}" if run_manager else None
        model = kwargs.get("model", self.model_name)
        return EventRenderer(message_id, {"provider": PROVIDER, "model": model})

    # One call.

    def _run(self, config: RunnableConfig | None) -> Run:
        return Run(config)

    def _with(self, kwargs: Mapping[str, Any], run: Run) -> dict[str, Any]:
        """Return a call's parameters, with its run.

        Raises:
            ParameterError: One has the name of something in a config, which core trips over.
        """
        for name in kwargs.keys() & CONFIGURED:
            raise self._untaken(name)
        return {**kwargs, RUN: run}

    def _begun(self, kwargs: Mapping[str, Any], run_manager: Any) -> Run:
        """Return a call's run, which knows who listens: `_stream` behind `invoke` is not told."""
        run: Run = kwargs.get(RUN) or self._run(None)
        run.begun(run_manager)
        return run

    def _call(
        self,
        messages: Sequence[BaseMessage],
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
        renderer: Renderer[T],
        run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None = None,
    ) -> Call[T]:
        run = self._begun(kwargs, run_manager)
        config = run.within()
        streamed = not isinstance(renderer, MessageRenderer)
        model, request = self._asked(messages, stop, kwargs, config, streamed=streamed)
        return watched(model, request, renderer, run, run.scope(config))

    @property
    def queue_size(self) -> int:
        """How many calls from async code wait for a thread: sync sources share so many.

        There are 128, over all models of the process, or what `CHATWRIGHT_THREADS` says when
        Chatwright is imported.
        """
        return threads.waiting

    def replies_async(self) -> bool:
        """Tell whether `reply` belongs on an event loop."""
        return _is_async(type(self).reply)

    def source_name(self) -> str:
        """Return what errors call the source."""
        return f"{type(self).__qualname__}.reply"

    def summarize(self, request: Request, answer: Answer, inside: Inside) -> Summary:
        """Return the metadata and the usage of an answer that has ended."""
        usage, estimated = usage_of(self, request, answer)
        if answer.usage is None and inside.usage is not None:
            usage, estimated = inside.usage, False
        models = inside.models - {""}
        metadata: dict[str, Any] = {
            "model_name": models.pop() if len(models) == 1 else self.model_name,
            **answer.metadata,
            "model_provider": PROVIDER,
            **answer.ending,
        }
        if answer.attempts > 1:
            metadata["attempts"] = answer.attempts
        if estimated:
            metadata["usage_estimated"] = True
        if usage is not None and (cost := self._cost(usage, metadata["model_name"])):
            metadata["cost"] = cost
        return Summary(metadata, usage, answer.kept)

    def summarizes_slowly(self, answer: Answer) -> bool:
        """Tell whether `summarize` may take long: by a tokenizer, or the import of genai-prices."""
        given = answer.usage
        if given is None or given.input_tokens is None or given.output_tokens is None:
            return self.has_tokenizer()
        return self.has_prices and self.price is None and not prices.ready()

    def _cost(self, usage: UsageMetadata, model: str) -> dict[str, Any] | None:
        if self.price is None and not self.has_prices:
            return None
        return prices.cost_of(usage, self.price, model)


_is_async = functools.lru_cache(is_async)
_WAY = "_generate", "_agenerate", "_generate_with_cache", "_agenerate_with_cache"
_answering = operator.attrgetter(*_WAY)
_OURS = _answering(ChatModel)


def _is_direct(model: ChatModel, told: Mapping[str, Any]) -> bool:
    """Tell whether an answer that nobody hears of needs nothing of core, nor of a subclass."""
    return _answering(type(model)) == _OURS and not has_detours(model, told)


def _as_result(message: AIMessage) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=message)])
