"""Modelled on: repositories with a privacy layer: a chat model that holds another chat model, cleans what people and
tools wrote (mail addresses, card numbers) and lets the inner model answer.

Right: the wrapper is the run: it goes to the inner model's own hooks, so nothing is counted, streamed or traced twice;
it streams where the inner one streams and answers whole where it does not; tools are formatted by the inner model;
the caller's messages are copied, never changed; the inner model's parameters are part of the cache key and its
provider of the traces. (The inner model's own cache and rate limiter are not used: set them on the wrapper.)

MODEL: redacting_chat
KWARGS: {}
WIRE: openai
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import httpx
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableBinding
from langchain_core.tools import BaseTool
from langchain_openai import ChatOpenAI

DEFAULT_PATTERNS = {
    "mail": r"[\w.+-]+@[\w-]+\.[\w.-]*\w",
    "card": r"\b(?:\d{4}[ -]?){3}\d{4}\b",
}


def _as_chunk(result: ChatResult) -> ChatGenerationChunk:
    """A whole answer as the one chunk of a stream."""
    generation = result.generations[0]
    message = generation.message
    assert isinstance(message, AIMessage)
    calls = [
        tool_call_chunk(name=c["name"], args=json.dumps(c["args"]), id=c["id"], index=i)
        for i, c in enumerate(message.tool_calls)
    ]
    calls += [
        tool_call_chunk(name=c["name"], args=c["args"], id=c["id"], index=len(calls) + i)
        for i, c in enumerate(message.invalid_tool_calls)
    ]
    return ChatGenerationChunk(
        message=AIMessageChunk(
            content=message.content,
            additional_kwargs={
                k: v for k, v in message.additional_kwargs.items() if k != "tool_calls"
            },
            response_metadata={**(result.llm_output or {}), **message.response_metadata},
            tool_call_chunks=calls,
            usage_metadata=message.usage_metadata,
            id=message.id,
        ),
        generation_info=generation.generation_info,
    )


class RedactingChat(BaseChatModel):
    """Answers as `inner` does, which never sees what the patterns match."""

    inner: BaseChatModel
    patterns: dict[str, str] = DEFAULT_PATTERNS

    @property
    def _llm_type(self) -> str:
        return f"redacting-{self.inner._llm_type}"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"patterns": self.patterns, "inner": dict(self.inner._identifying_params)}

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        # The cache's key: what it is for the inner model (its server, too), and the patterns.
        return f"{self._llm_type} {self.patterns} {self.inner._get_llm_string(stop=stop, **kwargs)}"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return self.inner._get_ls_params(stop=stop, **kwargs)

    def _resolve_model_profile(self) -> ModelProfile | None:
        return self.inner.profile

    def get_token_ids(self, text: str) -> list[int]:
        return self.inner.get_token_ids(text)

    # --- cleaning

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            for name, pattern in self.patterns.items():
                value = re.sub(pattern, f"[{name}]", value)
            return value
        if isinstance(value, list):
            return [self._clean(v) for v in value]
        if isinstance(value, dict):
            return {k: self._clean(v) for k, v in value.items()}
        return value

    def _clean_block(self, block: str | dict[str, Any]) -> str | dict[str, Any]:
        if isinstance(block, str):
            return self._clean(block)
        return {**block, "text": self._clean(block["text"])} if "text" in block else block

    def _clean_message(self, message: BaseMessage) -> BaseMessage:
        content = message.content
        update: dict[str, Any] = {
            "content": self._clean(content)
            if isinstance(content, str)
            else [self._clean_block(b) for b in content]
        }
        if isinstance(message, AIMessage) and message.tool_calls:
            update["tool_calls"] = [
                {**c, "args": self._clean(c["args"])} for c in message.tool_calls
            ]
        return message.model_copy(update=update)

    def _cleaned(self, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
        return [self._clean_message(message) for message in messages]

    # --- answering

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self.inner._generate(
            self._cleaned(messages), stop=stop, run_manager=run_manager, **kwargs
        )

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await self.inner._agenerate(
            self._cleaned(messages), stop=stop, run_manager=run_manager, **kwargs
        )

    def _inner_streams(self, async_api: bool, kwargs: dict[str, Any]) -> bool:
        return self.inner._should_stream(async_api=async_api, **{**kwargs, "stream": True})

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        kwargs.pop("stream", None)
        if self._inner_streams(False, kwargs):
            yield from self.inner._stream(
                self._cleaned(messages), stop=stop, run_manager=run_manager, **kwargs
            )
        else:
            yield _as_chunk(self._generate(messages, stop, run_manager, **kwargs))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        kwargs.pop("stream", None)
        if self._inner_streams(True, kwargs):
            chunks = self.inner._astream(
                self._cleaned(messages), stop=stop, run_manager=run_manager, **kwargs
            )
            async for chunk in chunks:
                yield chunk
        else:
            yield _as_chunk(await self._agenerate(messages, stop, run_manager, **kwargs))

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: Any = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        bound = self.inner.bind_tools(tools, tool_choice=tool_choice, **kwargs)
        if not isinstance(bound, RunnableBinding) or bound.bound is not self.inner:
            raise NotImplementedError(
                f"{type(self.inner).__name__} does not bind tools as arguments of its call"
            )
        return self.bind(**bound.kwargs)


def redacting_chat(
    base_url: str = "http://127.0.0.1:8000/v1",
    model: str = "assistant-model",
    api_key: str = "no-key",
    patterns: dict[str, str] | None = None,
    **settings: Any,
) -> RedactingChat:
    """A redacting model over an OpenAI-compatible server; what every chat model has (callbacks, cache, ...) is its own."""
    own = {
        name: settings.pop(name) for name in list(settings) if name in BaseChatModel.model_fields
    }
    inner = ChatOpenAI(
        base_url=base_url,
        model=model,
        api_key=api_key,
        stream_usage=True,
        http_async_client=httpx.AsyncClient(limits=httpx.Limits(max_keepalive_connections=0)),
        **settings,
    )
    return RedactingChat(
        inner=inner, patterns=DEFAULT_PATTERNS if patterns is None else patterns, **own
    )
