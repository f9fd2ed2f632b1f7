"""A subclass of a subclass of ChatOpenAI, for servers that send `reasoning_content`.

Modelled on: the packages of vendors with an OpenAI-like API (reasoning models of 2025), where one class fixes
what LangChain's OpenAI package drops, and one more sets a vendor's defaults.

Right: the reasoning is kept in both ways of asking, apart from the text; the address, the key and the model
have the vendor's names and the old ones; a stream that breaks off raises; usage is asked for in streams;
structured output goes by a tool, which such servers have, and not by OpenAI's strict schema, which they
don't; the traces name the vendor.

MODEL: ChatDeepthought
KWARGS: {}
WIRE: openai
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from json import JSONDecodeError
from typing import Any, Literal

import openai
from httpx2 import Limits
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils import secret_from_env
from langchain_openai import ChatOpenAI
from pydantic import ConfigDict, Field, SecretStr, model_validator


@contextmanager
def _spoken() -> Iterator[None]:
    """Says so where what came was no JSON, such as the page of a proxy."""
    try:
        yield
    except JSONDecodeError as error:
        raise ConnectionError("The server's answer is no JSON.") from error


class _ReasoningCompatible(ChatOpenAI):
    """Chat completions whose messages have `reasoning_content` (or `reasoning`)."""

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
            generation.message.response_metadata["model_provider"] = self._provider
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
        made.message.response_metadata["model_provider"] = self._provider
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

    @property
    def _provider(self) -> str:
        return "openai-compatible"


class ChatDeepthought(_ReasoningCompatible):
    """Deepthought's chat models."""

    model_config = ConfigDict(populate_by_name=True)

    model_name: str = Field(default="deepthought-42", alias="model")
    openai_api_base: str | None = Field(default="http://localhost:4242/v1", alias="api_base")
    openai_api_key: SecretStr | None = Field(
        alias="api_key", default_factory=secret_from_env("DEEPTHOUGHT_API_KEY", default="none")
    )
    stream_usage: bool | None = True
    # A connection that is kept belongs to one event loop; without any, the model serves all of them.
    http_async_client: Any = Field(
        default_factory=lambda: openai.DefaultAsyncHttpxClient(
            limits=Limits(max_keepalive_connections=0)
        ),
        exclude=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _old_names(cls, values: Any) -> Any:
        if isinstance(values, dict) and "base_url" in values:
            values = dict(values)
            values["api_base"] = values.pop("base_url")
        return values

    @property
    def _llm_type(self) -> str:
        return "chat-deepthought"

    @property
    def _provider(self) -> str:
        return "deepthought"

    @property
    def lc_secrets(self) -> dict[str, str]:
        return {"openai_api_key": "DEEPTHOUGHT_API_KEY", "api_key": "DEEPTHOUGHT_API_KEY"}

    def to_json(self) -> Any:
        # LangChain lets the parent's names of secrets win over these; OpenAI's key is not Deepthought's.
        made: Any = super().to_json()
        for name, variable in self.lc_secrets.items():
            if name in made.get("kwargs", {}):
                made["kwargs"][name] = {"lc": 1, "type": "secret", "id": [variable]}
        return made

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        return cls.__module__.split(".")

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "deepthought"
        return params

    def with_structured_output(
        self,
        schema: dict[str, Any] | type | None = None,
        *,
        method: Literal["function_calling", "json_mode", "json_schema"] = "function_calling",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        return super().with_structured_output(
            schema, method=method, include_raw=include_raw, strict=strict, **kwargs
        )
