"""Modelled on: platform repositories with a "router" chat model: several lanes (servers, deployments) of one family,
tried in order, as one BaseChatModel, because agents want a model and not a `with_fallbacks` runnable.

Right: the next lane is tried only for failures that another server may not have (no connection, 429, 5xx), never for a
refused request, and never once a token of a stream is out; the last error is raised; which lane answered is told in
the metadata. Tools are bound in OpenAI's form, which all lanes speak. Nothing is remembered between calls.

MODEL: make_lanes
KWARGS: {}
WIRE: openai
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import httpx
import openai
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_openai import ChatOpenAI
from pydantic import Field

MENDABLE = (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError)


class LanesChat(BaseChatModel):
    """The first lane that can answers."""

    lanes: list[ChatOpenAI] = Field(min_length=1)

    @property
    def _llm_type(self) -> str:
        return "lanes"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        # A lane's address says where, not what; but two lanes may well differ, so it is part of the key.
        return {
            "lanes": [
                {**lane._identifying_params, "at": lane.openai_api_base} for lane in self.lanes
            ]
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return self.lanes[0]._get_ls_params(stop=stop, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        kwargs.pop("stream", None)
        for number, lane in enumerate(self.lanes):
            try:
                result = lane._generate(messages, stop=stop, run_manager=run_manager, **kwargs)
            except MENDABLE:
                if lane is self.lanes[-1]:
                    raise
                continue
            result.generations[0].message.response_metadata["lane"] = number
            return result
        raise AssertionError("there is at least one lane")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        kwargs.pop("stream", None)
        for number, lane in enumerate(self.lanes):
            try:
                result = await lane._agenerate(
                    messages, stop=stop, run_manager=run_manager, **kwargs
                )
            except MENDABLE:
                if lane is self.lanes[-1]:
                    raise
                continue
            result.generations[0].message.response_metadata["lane"] = number
            return result
        raise AssertionError("there is at least one lane")

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        kwargs.pop("stream", None)
        for number, lane in enumerate(self.lanes):
            begun = False
            try:
                for chunk in lane._stream(messages, stop=stop, run_manager=run_manager, **kwargs):
                    if not begun:
                        chunk.message.response_metadata["lane"] = number
                    begun = True
                    yield chunk
                return
            except MENDABLE:
                if begun or lane is self.lanes[-1]:
                    raise

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        kwargs.pop("stream", None)
        for number, lane in enumerate(self.lanes):
            begun = False
            try:
                async for chunk in lane._astream(
                    messages, stop=stop, run_manager=run_manager, **kwargs
                ):
                    if not begun:
                        chunk.message.response_metadata["lane"] = number
                    begun = True
                    yield chunk
                return
            except MENDABLE:
                if begun or lane is self.lanes[-1]:
                    raise

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: Any = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        bound = self.lanes[0].bind_tools(tools, tool_choice=tool_choice, **kwargs)
        return self.bind(**bound.kwargs)


def make_lanes(
    base_url: str = "http://127.0.0.1:8000/v1",
    backup_url: str | None = None,
    *,
    model: str = "family-large",
    api_key: str = "no-key",
    **settings: Any,
) -> LanesChat:
    """A lane at `base_url` and, where it is given, one at `backup_url`; `settings` are the lanes', except for what
    every chat model has (callbacks, cache, ...)."""
    own = {
        name: settings.pop(name) for name in list(settings) if name in BaseChatModel.model_fields
    }
    lanes = [
        ChatOpenAI(
            base_url=url,
            model=model,
            api_key=api_key,
            max_retries=0,  # another lane is the retry
            stream_usage=True,
            http_async_client=httpx.AsyncClient(limits=httpx.Limits(max_keepalive_connections=0)),
            **settings,
        )
        for url in (base_url, backup_url)
        if url is not None
    ]
    return LanesChat(lanes=lanes, **own)
