"""A subclass of a subclass: an OpenAI-like server's base class, and on it one for models that reason.

Modelled on: the DeepSeek/Qwen/GLM families of chat models, which derive from langchain-openai's
`BaseChatOpenAI`, set the address, and keep the `reasoning_content` that OpenAI's own form has no place for.

What is right: reasoning is kept in `additional_kwargs["reasoning_content"]`, whole and streamed alike, and
never in the text; it is not sent back; lists of text are flattened, since these servers read strings;
usage is asked for while streaming (langchain-openai leaves that out for foreign addresses); a stream
without a finish reason is an error; the async client survives its event loop; the base
class' parameters, errors and tools are used as they are; address and name are in the cache key.

MODEL: LighthouseReasoner
KWARGS: {}
WIRE: openai
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai.chat_models.base import BaseChatOpenAI
from pydantic import ConfigDict, Field, SecretStr, model_validator


class BrokenOff(RuntimeError):
    """The stream ended before the answer did."""


class LighthouseBase(BaseChatOpenAI):
    """What all of the vendor's models share."""

    model_config = ConfigDict(populate_by_name=True)

    openai_api_base: str | None = Field(default="http://127.0.0.1:8000/v1", alias="base_url")
    openai_api_key: SecretStr | None = Field(default=SecretStr("set-me"), alias="api_key")
    model_name: str = Field(default="lighthouse-chat", alias="model")
    stream_usage: bool | None = True

    @model_validator(mode="before")
    @classmethod
    def _async_client(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("http_async_client") is None:
            # langchain-openai's own is pooled for the process; its connections belong to one event loop
            client = httpx2.AsyncClient(
                timeout=120, limits=httpx2.Limits(max_keepalive_connections=0)
            )
            values = {**values, "http_async_client": client}
        return values

    @property
    def _llm_type(self) -> str:
        return "lighthouse"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {**super()._identifying_params, "base_url": self.openai_api_base}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "lighthouse"
        return params

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        payload = super()._get_request_payload(input_, stop=stop, **kwargs)
        for message in payload.get("messages", []):
            parts = message.get("content")
            if isinstance(parts, list) and all(
                isinstance(part, dict) and part.get("type") == "text" for part in parts
            ):
                message["content"] = "".join(part["text"] for part in parts)
        return payload

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


class LighthouseReasoner(LighthouseBase):
    """The vendor's reasoning models."""

    model_name: str = Field(default="lighthouse-reasoner", alias="model")

    @property
    def _llm_type(self) -> str:
        return "lighthouse-reasoner"

    def _create_chat_result(self, response: Any, generation_info: dict | None = None) -> ChatResult:
        result = super()._create_chat_result(response, generation_info)
        raw = response if isinstance(response, dict) else response.model_dump()
        for generation, choice in zip(result.generations, raw.get("choices") or [], strict=False):
            thought = (choice.get("message") or {}).get("reasoning_content")
            if thought and isinstance(generation.message, AIMessage):
                generation.message.additional_kwargs["reasoning_content"] = thought
        return result

    def _convert_chunk_to_generation_chunk(
        self, chunk: dict, default_chunk_class: type, base_generation_info: dict | None
    ) -> ChatGenerationChunk | None:
        piece = super()._convert_chunk_to_generation_chunk(
            chunk, default_chunk_class, base_generation_info
        )
        choices = chunk.get("choices") or []
        if piece is not None and choices and isinstance(piece.message, AIMessageChunk):
            thought = (choices[0].get("delta") or {}).get("reasoning_content")
            if thought:
                piece.message.additional_kwargs["reasoning_content"] = thought
        return piece
