"""A wrapper that takes personal data out of what goes to another chat model.

Modelled on: private repositories with a guard before the LLM (e-mail addresses, card numbers), where a factory
builds the model of the firm's gateway and puts the guard round it.

Right: the guard holds in every way of asking, tools and structured output included, since tools are bound to
the wrapper and not to what it wraps; messages are copied, not changed; what is passed on (stop, tools, any
option) is all passed on; the inner model makes no run of its own, so that tokens are told and counted once;
the cache key and the traces name the inner model.

MODEL: guarded_chat
KWARGS: {}
WIRE: openai
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from json import JSONDecodeError
from typing import Any

import openai
from httpx2 import Limits
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.runnables.base import RunnableBinding
from langchain_core.tools import BaseTool
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

_PATTERNS = (
    ("EMAIL", re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")),
    ("CARD", re.compile(r"\b(?:\d[ -]?){15}\d\b")),
)


def redact(text: str) -> str:
    """The text with `<EMAIL>` and `<CARD>` where there were any."""
    for name, pattern in _PATTERNS:
        text = pattern.sub(f"<{name}>", text)
    return text


@contextmanager
def _spoken() -> Iterator[None]:
    """Says so where what came was no JSON, such as the page of a proxy."""
    try:
        yield
    except JSONDecodeError as error:
        raise ConnectionError("The server's answer is no JSON.") from error


class _HouseChat(ChatOpenAI):
    """The gateway's chat completions: with the reasoning that it sends, and whole or not at all."""

    def _create_chat_result(
        self,
        response: dict[str, Any] | openai.BaseModel,
        generation_info: dict[str, Any] | None = None,
    ) -> ChatResult:
        result = super()._create_chat_result(response, generation_info)
        raw = response if isinstance(response, dict) else response.model_dump()
        for generation, choice in zip(result.generations, raw.get("choices") or [], strict=False):
            message = choice.get("message") or {}
            thought = message.get("reasoning_content") or message.get("reasoning")
            if thought and isinstance(generation.message, AIMessage):
                generation.message.additional_kwargs["reasoning_content"] = thought
            # LangChain would look for OpenAI's own form of reasoning under OpenAI's name.
            generation.message.response_metadata["model_provider"] = "house"
        return result

    def _convert_chunk_to_generation_chunk(
        self,
        chunk: dict[str, Any],
        default_chunk_class: type,
        base_generation_info: dict[str, Any] | None,
    ) -> ChatGenerationChunk | None:
        made = super()._convert_chunk_to_generation_chunk(
            chunk, default_chunk_class, base_generation_info
        )
        if made is None:
            return None
        made.message.response_metadata["model_provider"] = "house"
        choices = chunk.get("choices") or []
        delta = (choices[0].get("delta") or {}) if choices else {}
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if thought and isinstance(made.message, AIMessageChunk):
            made.message.additional_kwargs["reasoning_content"] = thought
        return made

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        with _spoken():
            return super()._generate(*args, **kwargs)

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        with _spoken():
            return await super()._agenerate(*args, **kwargs)

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        state: dict[str, Any] = {}
        for chunk in super()._stream(*args, **kwargs):
            yield self._see(chunk, state)
        yield self._last(state)

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        state: dict[str, Any] = {}
        async with aclosing(super()._astream(*args, **kwargs)) as chunks:
            async for chunk in chunks:
                yield self._see(chunk, state)
        yield self._last(state)

    @staticmethod
    def _see(chunk: ChatGenerationChunk, state: dict[str, Any]) -> ChatGenerationChunk:
        """The chunk without its usage: some servers tell their totals with every chunk."""
        if (chunk.generation_info or {}).get("finish_reason"):
            state["finished"] = True
        if isinstance(chunk.message, AIMessageChunk) and chunk.message.usage_metadata:
            state["usage"], chunk.message.usage_metadata = chunk.message.usage_metadata, None
        return chunk

    @staticmethod
    def _last(state: dict[str, Any]) -> ChatGenerationChunk:
        if not state.get("finished"):
            raise ConnectionError("The stream ended before the answer did.")
        message = AIMessageChunk(
            content="", usage_metadata=state.get("usage"), chunk_position="last"
        )
        return ChatGenerationChunk(message=message)


class RedactingChat(BaseChatModel):
    """Whatever the inner chat model does, without personal data."""

    inner: BaseChatModel

    @property
    def _llm_type(self) -> str:
        return f"redacting-{self.inner._llm_type}"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"patterns": [name for name, _ in _PATTERNS], **self.inner._identifying_params}

    def _get_invocation_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        return {
            **self.inner._get_invocation_params(stop=stop, **kwargs),
            "patterns": [name for name, _ in _PATTERNS],
            "_type": self._llm_type,
        }

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        return f"{self._llm_type}:{self.inner._get_llm_string(stop=stop, **kwargs)}"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return self.inner._get_ls_params(stop=stop, **kwargs)

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        return self.inner._combine_llm_outputs(llm_outputs)

    @classmethod
    def _clean_value(cls, value: Any) -> Any:
        if isinstance(value, str):
            return redact(value)
        if isinstance(value, dict):
            return {key: cls._clean_value(item) for key, item in value.items()}
        if isinstance(value, list):
            return [cls._clean_value(item) for item in value]
        return value

    @classmethod
    def _clean(cls, messages: list[BaseMessage]) -> list[BaseMessage]:
        cleaned: list[BaseMessage] = []
        for message in messages:
            update: dict[str, Any] = {}
            if isinstance(message.content, str):
                update["content"] = redact(message.content)
            else:
                update["content"] = [
                    {**block, "text": redact(block["text"])}
                    if isinstance(block, dict) and isinstance(block.get("text"), str)
                    else redact(block)
                    if isinstance(block, str)
                    else block
                    for block in message.content
                ]
            if isinstance(message, AIMessage) and message.tool_calls:
                update["tool_calls"] = [
                    {**call, "args": cls._clean_value(call["args"])} for call in message.tool_calls
                ]
            cleaned.append(message.model_copy(update=update))
        return cleaned

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self.inner._generate(
            self._clean(messages), stop=stop, run_manager=run_manager, **kwargs
        )

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await self.inner._agenerate(
            self._clean(messages), stop=stop, run_manager=run_manager, **kwargs
        )

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        yield from self.inner._stream(
            self._clean(messages), stop=stop, run_manager=run_manager, **kwargs
        )

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        chunks = self.inner._astream(
            self._clean(messages), stop=stop, run_manager=run_manager, **kwargs
        )
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        # The inner model knows its own form of tools: what it would bind is bound here.
        bound = self.inner.bind_tools(tools, tool_choice=tool_choice, **kwargs)
        if not isinstance(bound, RunnableBinding):
            raise NotImplementedError(
                f"{type(self.inner).__name__} binds its tools in a way of its own."
            )
        return self.bind(**bound.kwargs)


def guarded_chat(
    base_url: str = "http://localhost:8000/v1",
    model: str = "house-model",
    api_key: str = "none",
    temperature: float | None = None,
    timeout: float = 60,
) -> RedactingChat:
    """The gateway's model, guarded."""
    inner = _HouseChat(
        model=model,
        base_url=base_url,
        api_key=SecretStr(api_key),
        temperature=temperature,
        timeout=timeout,
        stream_usage=True,  # not asked for by default where base_url is set
        # A connection that is kept belongs to one event loop; without any, the model serves all of them.
        http_async_client=openai.DefaultAsyncHttpxClient(
            limits=Limits(max_keepalive_connections=0)
        ),
    )
    return RedactingChat(inner=inner)
