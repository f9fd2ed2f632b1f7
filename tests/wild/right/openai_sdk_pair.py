"""OpenAI's SDK inside a model of one's own, for servers that only look like OpenAI.

Modelled on: the many vendor chat models (Nova, Upstage, Perplexity and their like) that hold an
`openai.OpenAI` and an `openai.AsyncOpenAI` and turn messages into dictionaries.

What is right: the sync client is cached by its settings outside the model (it may be shared by threads, and
the model still pickles), the async one is made per call (it belongs to an event loop); temperature 0 is
sent; tools, forced or not, and structured output by LangChain's default over them; the model name that is
traced is the one that was asked; a stream with no end is an error; the SDK's exceptions pass, with their
status.

MODEL: VendorChat
KWARGS: {}
WIRE: openai
"""

import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import httpx2
import openai
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    convert_to_openai_messages,
)
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.output_parsers.openai_tools import make_invalid_tool_call, parse_tool_call
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, SecretStr


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Made once: to read the certificates for each client would hold up the event loop."""
    return httpx2.create_ssl_context()


@lru_cache(maxsize=16)
def _sync_client(base_url: str, api_key: str, timeout: float, max_retries: int) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=base_url, api_key=api_key, timeout=timeout, max_retries=max_retries
    )


def _to_wire(message: BaseMessage) -> dict[str, Any]:
    """One message as OpenAI has it; of what an assistant said, its text and its calls (broken ones too)."""
    if not isinstance(message, AIMessage):
        return convert_to_openai_messages(message)
    calls = [(call["id"], call["name"], json.dumps(call["args"])) for call in message.tool_calls]
    calls += [(call["id"], call["name"], call["args"] or "") for call in message.invalid_tool_calls]
    wire: dict[str, Any] = {"role": "assistant", "content": str(message.text)}
    if calls:
        wire["tool_calls"] = [
            {"id": mark, "type": "function", "function": {"name": name, "arguments": arguments}}
            for mark, name, arguments in calls
        ]
    return wire


class VendorChat(BaseChatModel):
    """A vendor's models by OpenAI's SDK."""

    vendor_api_base: str = Field(default="http://127.0.0.1:8000/v1", alias="base_url")
    vendor_api_key: SecretStr = Field(default=SecretStr("set-me"), alias="api_key", exclude=True)
    model_name: str = Field(default="vendor-pro", alias="model")
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    timeout: float = 60.0
    max_retries: int = 2
    model_kwargs: dict[str, Any] = Field(default_factory=dict)

    model_config = {"populate_by_name": True}

    @property
    def _llm_type(self) -> str:
        return "vendor-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        names = (
            "vendor_api_base",
            "model_name",
            "temperature",
            "top_p",
            "max_tokens",
            "model_kwargs",
        )
        return {name: getattr(self, name) for name in names}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "vendor"
        return params

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable | BaseTool],
        *,
        tool_choice: dict | str | bool | None = None,
        strict: bool | None = None,
        parallel_tool_calls: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        if tool_choice is True or tool_choice == "any":
            tool_choice = "required"
        if isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            tool_choice = {"type": "function", "function": {"name": tool_choice}}
        if tool_choice:
            kwargs["tool_choice"] = tool_choice
        if parallel_tool_calls is not None:
            kwargs["parallel_tool_calls"] = parallel_tool_calls
        return self.bind(
            tools=[convert_to_openai_tool(tool, strict=strict) for tool in tools], **kwargs
        )

    def _arguments(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        arguments = {
            "model": self.model_name,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "stop": stop or None,
            **self.model_kwargs,
            **kwargs,
            "messages": [_to_wire(message) for message in messages],
        }
        arguments.pop("stream", None)
        return {
            name: value for name, value in arguments.items() if value is not None and value != []
        }

    @property
    def _client_settings(self) -> dict[str, Any]:
        return {
            "base_url": self.vendor_api_base,
            "api_key": self.vendor_api_key.get_secret_value(),
            "timeout": self.timeout,
            "max_retries": self.max_retries,
        }

    def _async_client(self) -> openai.AsyncOpenAI:
        http_client = openai.DefaultAsyncHttpxClient(verify=_tls())
        return openai.AsyncOpenAI(**self._client_settings, http_client=http_client)

    @staticmethod
    def _usage(raw: Any) -> UsageMetadata | None:
        if raw is None:
            return None
        usage = UsageMetadata(
            input_tokens=raw.prompt_tokens,
            output_tokens=raw.completion_tokens,
            total_tokens=raw.total_tokens,
        )
        details = getattr(raw, "prompt_tokens_details", None)
        if details is not None and details.cached_tokens is not None:
            usage["input_token_details"] = InputTokenDetails(cache_read=details.cached_tokens)
        return usage

    def _result(self, answer: Any) -> ChatResult:
        if not getattr(answer, "choices", None):
            raise ValueError(f"The vendor sent a completion without choices: {str(answer)[:200]}")
        choice = answer.choices[0]
        calls, invalid = [], []
        for call in choice.message.tool_calls or []:
            raw = call.model_dump()
            try:
                calls.append(parse_tool_call(raw, return_id=True))
            except Exception as error:  # noqa: BLE001
                invalid.append(make_invalid_tool_call(raw, str(error)))
        extra = {}
        if getattr(choice.message, "refusal", None):
            extra["refusal"] = choice.message.refusal
        message = AIMessage(
            content=choice.message.content or "",
            additional_kwargs=extra,
            tool_calls=calls,
            invalid_tool_calls=invalid,
            usage_metadata=self._usage(answer.usage),
            response_metadata={"model_name": answer.model, "finish_reason": choice.finish_reason},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _chunk(self, event: Any) -> ChatGenerationChunk:
        usage = self._usage(event.usage)
        if not event.choices:
            return ChatGenerationChunk(message=AIMessageChunk(content="", usage_metadata=usage))
        choice = event.choices[0]
        pieces = [
            {
                "name": call.function.name if call.function else None,
                "args": call.function.arguments if call.function else None,
                "id": call.id,
                "index": call.index,
                "type": "tool_call_chunk",
            }
            for call in choice.delta.tool_calls or []
        ]
        extra = {}
        if getattr(choice.delta, "refusal", None):
            extra["refusal"] = choice.delta.refusal
        info = None
        if choice.finish_reason:
            info = {"finish_reason": choice.finish_reason, "model_name": event.model}
        message = AIMessageChunk(
            content=choice.delta.content or "",
            additional_kwargs=extra,
            tool_call_chunks=pieces,
            usage_metadata=usage,
        )
        return ChatGenerationChunk(message=message, generation_info=info)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        client = _sync_client(**self._client_settings)
        return self._result(
            client.chat.completions.create(**self._arguments(messages, stop, kwargs))
        )

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        arguments = self._arguments(messages, stop, kwargs)
        async with self._async_client() as client:
            return self._result(await client.chat.completions.create(**arguments))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        arguments = self._arguments(messages, stop, kwargs)
        arguments |= {"stream": True, "stream_options": {"include_usage": True}}
        finished = False
        with _sync_client(**self._client_settings).chat.completions.create(**arguments) as events:
            for event in events:
                chunk = self._chunk(event)
                finished = finished or bool(chunk.generation_info)
                yield chunk
        if not finished:
            raise ValueError(
                "The vendor's stream ended without a finish reason: the answer is not whole"
            )

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        arguments = self._arguments(messages, stop, kwargs)
        arguments |= {"stream": True, "stream_options": {"include_usage": True}}
        finished = False
        async with self._async_client() as client:
            async with await client.chat.completions.create(**arguments) as events:
                async for event in events:
                    chunk = self._chunk(event)
                    finished = finished or bool(chunk.generation_info)
                    yield chunk
        if not finished:
            raise ValueError(
                "The vendor's stream ended without a finish reason: the answer is not whole"
            )
