"""A wrapper that puts house rules before every conversation and leaves all else to the model inside.

Modelled on: guard-rail and "persona" decorators around any chat model, as they stand in agent frameworks
(classes with an `inner` or `llm` field that delegate).

What is right: all four ways delegate to the same way of the inner model, with the same stop, run manager
and arguments; it streams only if the inner one does; tools are bound in the inner model's own form; the
messages that it is given are not changed; traces name the inner model; the cache key has the inner model's
and the rules.

MODEL: house_rules_chat
KWARGS: {}
WIRE: openai
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import httpx2
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, BaseMessage, SystemMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableBinding
from langchain_core.tools import BaseTool
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

RULES = "You answer for the Harbour Office. Be brief, and never promise a berth."


class BrokenOff(RuntimeError):
    """The stream ended before the answer did."""


class HarbourOpenAI(ChatOpenAI):
    """ChatOpenAI that does not take half an answer for a whole one."""

    @classmethod
    def is_lc_serializable(cls) -> bool:
        return False  # nothing could load it by this name

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {**super()._identifying_params, "base_url": self.openai_api_base}

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        whole = False
        for chunk in super()._stream(*args, **kwargs):
            whole = whole or bool((chunk.generation_info or {}).get("finish_reason"))
            yield chunk
        if not whole:
            raise BrokenOff("The stream ended before the answer did")

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        whole = False
        async for chunk in super()._astream(*args, **kwargs):
            whole = whole or bool((chunk.generation_info or {}).get("finish_reason"))
            yield chunk
        if not whole:
            raise BrokenOff("The stream ended before the answer did")


class HouseRules(BaseChatModel):
    """Any chat model, with rules in front."""

    inner: BaseChatModel
    rules: str = RULES

    @property
    def _llm_type(self) -> str:
        return f"house-rules-{self.inner._llm_type}"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"rules": self.rules, "inner": self.inner._get_llm_string()}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return self.inner._get_ls_params(stop=stop, **kwargs)

    def _should_stream(self, *, async_api: bool, run_manager: Any = None, **kwargs: Any) -> bool:
        inner = self.inner._should_stream(async_api=async_api, run_manager=run_manager, **kwargs)
        return inner and super()._should_stream(
            async_api=async_api, run_manager=run_manager, **kwargs
        )

    def bind_tools(
        self, tools: Sequence[dict[str, Any] | type | Callable | BaseTool], **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        bound = self.inner.bind_tools(tools, **kwargs)
        if not isinstance(bound, RunnableBinding) or bound.bound is not self.inner:
            raise NotImplementedError(
                f"The tools of {type(self.inner).__name__} cannot be taken over"
            )
        return self.bind(**bound.kwargs)

    def _ruled(self, messages: list[BaseMessage]) -> list[BaseMessage]:
        if (
            messages
            and isinstance(messages[0], SystemMessage)
            and isinstance(messages[0].content, str)
        ):
            first = SystemMessage(f"{self.rules}\n\n{messages[0].content}")
            return [first, *messages[1:]]
        return [SystemMessage(self.rules), *messages]

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self.inner._generate(
            self._ruled(messages), stop=stop, run_manager=run_manager, **kwargs
        )

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await self.inner._agenerate(
            self._ruled(messages), stop=stop, run_manager=run_manager, **kwargs
        )

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        yield from self.inner._stream(
            self._ruled(messages), stop=stop, run_manager=run_manager, **kwargs
        )

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async for chunk in self.inner._astream(
            self._ruled(messages), stop=stop, run_manager=run_manager, **kwargs
        ):
            yield chunk


def house_rules_chat(
    base_url: str = "http://127.0.0.1:8000/v1",
    api_key: str = "set-me",
    model: str = "harbour-small",
    rules: str = RULES,
    **settings: Any,
) -> HouseRules:
    """The harbour's model; `settings` are those of ChatOpenAI."""
    settings.setdefault("stream_usage", True)
    # no connection is kept: ChatOpenAI's pool is the process's, and would outlive its event loop
    limits = httpx2.Limits(max_keepalive_connections=0)
    settings.setdefault("http_async_client", httpx2.AsyncClient(timeout=120, limits=limits))
    inner = HarbourOpenAI(base_url=base_url, api_key=SecretStr(api_key), model=model, **settings)
    return HouseRules(inner=inner, rules=rules)
