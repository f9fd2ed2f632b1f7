"""`ChatModel`: the chat model that is made of one method, `reply`."""

import asyncio
import functools
import inspect
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult, LLMResult
from langchain_core.utils.utils import LC_ID_PREFIX

from chatwright.core.answer import Answer
from chatwright.core.bridge import is_async
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
from chatwright.langchain.settings import PROVIDER

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
            A delta (`str`, `Text`, `Reasoning`, `ToolCallDelta`, `Usage`, `Finish`), or an
            iterator or async iterator of deltas.
        """

    # What LangChain calls: the faces of one drive.

    @_signed
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        renderer = MessageRenderer(v1=self.output_version == "v1")
        (message,) = self._call(messages, stop, kwargs, renderer).drive()
        return _as_result(message)

    @_signed
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        renderer = MessageRenderer(v1=self.output_version == "v1")
        (message,) = [each async for each in self._call(messages, stop, kwargs, renderer).adrive()]
        return _as_result(message)

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
        try:
            return await super()._agenerate_with_cache(messages, stop, run_manager, **kwargs)
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
        return self._call(messages, stop, kwargs, self._events(run_manager, kwargs)).drive()

    def _astream_chat_model_events(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Event]:
        return self._call(messages, stop, kwargs, self._events(run_manager, kwargs)).adrive()

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

    def _call(
        self,
        messages: Sequence[BaseMessage],
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
        renderer: Renderer[T],
    ) -> Call[T]:
        model, request = self._asked(messages, stop, kwargs)
        return Call(model, request, renderer)

    def replies_async(self) -> bool:
        """Tell whether `reply` belongs on an event loop."""
        return _is_async(type(self).reply)

    def source_name(self) -> str:
        """Return what errors call the source."""
        return f"{type(self).__qualname__}.reply"

    def summarize(self, request: Request, answer: Answer) -> Summary:
        """Return the metadata and the usage of an answer that has ended."""
        usage, estimated = self._usage(request, answer)
        metadata: dict[str, Any] = {
            **answer.metadata,
            "model_name": self.model_name,
            "model_provider": PROVIDER,
            "finish_reason": answer.finish_reason or "stop",
        }
        if stop := answer.stop_sequence:
            metadata |= {"finish_reason": "stop", "stop_sequence": stop}
        elif answer.called and metadata["finish_reason"] == "stop":
            metadata["finish_reason"] = "tool_calls"
        if answer.attempts > 1:
            metadata["attempts"] = answer.attempts
        if estimated:
            metadata["usage_estimated"] = True
        if usage is not None and (cost := self._cost(usage)):
            metadata["cost"] = cost
        return Summary(metadata, usage)

    def summarizes_slowly(self, answer: Answer) -> bool:
        """Tell whether `summarize` may take long: by a tokenizer, or the import of genai-prices."""
        given = answer.usage
        if given is None or given.input_tokens is None or given.output_tokens is None:
            return self.has_tokenizer()
        return self.has_prices and self.price is None and not prices.ready()

    def _cost(self, usage: UsageMetadata) -> dict[str, Any] | None:
        if self.price is None and not self.has_prices:
            return None
        return prices.cost_of(usage, self.price, self.model_name)

    def _usage(self, request: Request, answer: Answer) -> tuple[UsageMetadata | None, bool]:
        """Return the usage, and whether it is an estimate: the source's, else the tokenizer's."""
        given = answer.usage
        spent = given.input_tokens if given else None
        made = given.output_tokens if given else None
        estimated = bool(given and given.estimated)
        if (spent is None or made is None) and self.has_tokenizer():
            estimated = True
            if spent is None:
                spent = sum(len(self.get_token_ids(each.text)) for each in request.messages)
            if made is None:
                said = [*answer.reasoning, *answer.text, *answer.unsaid]
                written = [*said, *answer.calls]
                made = len(self.get_token_ids("".join(written)))
        if spent is None or made is None:
            return None, False
        usage = UsageMetadata(input_tokens=spent, output_tokens=made, total_tokens=spent + made)
        if given and given.input_token_details:
            usage["input_token_details"] = cast("InputTokenDetails", {**given.input_token_details})
        if given and given.output_token_details:
            details = cast("OutputTokenDetails", {**given.output_token_details})
            usage["output_token_details"] = details
        return usage, estimated


_is_async = functools.lru_cache(is_async)


def _as_result(message: AIMessage) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=message)])
