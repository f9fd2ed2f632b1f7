"""House rules before every conversation: a subclass of a subclass, over the OpenAI SDK with a client per call.

Modelled on: company packages with a base class for "our proxy", a class that decorates the prompts with the rules
of the house, and a preset for extraction; the proxy's address is `api_base`, its models are `model_name`s.
Right: the rules are added in one place that invoke, stream, async and tools pass, and they are in the cache key;
the caller's messages are not changed; usage is asked for in streams; the SDK's errors become ModelErrors.
MODEL: PreciseHouseChat
KWARGS: {}
WIRE: openai
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import openai
from langchain_core.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, SystemMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.messages.utils import convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import SecretStr

_TLS = (
    ssl.create_default_context()
)  # made once: reading the certificates would hold up an event loop
_KINDS: tuple[tuple[type[Exception], type[ModelError]], ...] = (
    (openai.APITimeoutError, ModelTimeoutError),
    (openai.APIConnectionError, ModelConnectionError),
    (openai.AuthenticationError, ModelAuthenticationError),
    (openai.PermissionDeniedError, ModelPermissionDeniedError),
    (openai.NotFoundError, ModelNotFoundError),
    (openai.RateLimitError, ModelRateLimitError),
    (openai.InternalServerError, ModelAPIError),
    (openai.APIStatusError, ModelInvalidRequestError),
)


def _translated(error: Exception) -> ModelError:
    kind = next((ours for theirs, ours in _KINDS if isinstance(error, theirs)), ModelAPIError)
    return kind(f"The proxy: {error}")


def _usage(raw: Any) -> UsageMetadata | None:
    if raw is None:
        return None
    usage = UsageMetadata(
        input_tokens=raw.prompt_tokens or 0,
        output_tokens=raw.completion_tokens or 0,
        total_tokens=raw.total_tokens or 0,
    )
    if raw.prompt_tokens_details and raw.prompt_tokens_details.cached_tokens is not None:
        usage["input_token_details"] = {"cache_read": raw.prompt_tokens_details.cached_tokens}
    if raw.completion_tokens_details and raw.completion_tokens_details.reasoning_tokens is not None:
        usage["output_token_details"] = {
            "reasoning": raw.completion_tokens_details.reasoning_tokens
        }
    return usage


class ProxyChat(BaseChatModel):
    """Chat completions of the company's proxy."""

    model_name: str = "house-medium"
    api_base: str = "http://localhost:4000/v1"
    api_key: SecretStr = SecretStr("none")
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    timeout: float = 60.0

    @property
    def _llm_type(self) -> str:
        return "house-proxy"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        names = ("model_name", "api_base", "temperature", "max_tokens", "seed", "output_version")
        return {name: getattr(self, name) for name in names}

    def _prompt(self, messages: list[BaseMessage]) -> list[BaseMessage]:
        """What is sent for `messages`; for subclasses to change."""
        return messages

    def _wire(self, messages: list[BaseMessage]) -> list[dict[str, Any]]:
        wire = convert_to_openai_messages(self._prompt(messages))
        for one in wire:
            if one["role"] == "assistant" and isinstance(one.get("content"), list):
                parts = [
                    block
                    for block in one["content"]
                    if isinstance(block, str) or block.get("type") == "text"
                ]
                one["content"] = "".join(
                    part if isinstance(part, str) else part["text"] for part in parts
                )
        return wire

    def _params(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        stream: bool,
        kwargs: dict[str, Any],
    ) -> dict[str, Any]:
        params: dict[str, Any] = {
            "model": self.model_name,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
            "stop": stop or None,
        }
        params.update(kwargs)
        params.pop("stream", None)
        params = {key: value for key, value in params.items() if value is not None}
        params["messages"] = self._wire(messages)
        if stream:
            params["stream"] = True
            params["stream_options"] = {"include_usage": True}
        return params

    def _client(self) -> openai.OpenAI:
        return openai.OpenAI(
            base_url=self.api_base,
            api_key=self.api_key.get_secret_value(),
            timeout=self.timeout,
            max_retries=0,
            http_client=openai.DefaultHttpxClient(verify=_TLS),
        )

    def _async_client(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            base_url=self.api_base,
            api_key=self.api_key.get_secret_value(),
            timeout=self.timeout,
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(verify=_TLS),
        )

    def _result(self, answer: Any) -> ChatResult:
        if not getattr(answer, "choices", None):
            raise ModelAPIError("The proxy's answer has no choices.")
        choice = answer.choices[0]
        calls, invalid = [], []
        for one in choice.message.tool_calls or []:
            name, text = one.function.name, one.function.arguments or "{}"
            try:
                args = json.loads(text)
                if not isinstance(args, dict):
                    raise ValueError("the arguments are no object")
                calls.append(tool_call(name=name, args=args, id=one.id))
            except ValueError as error:
                invalid.append(invalid_tool_call(name=name, args=text, id=one.id, error=str(error)))
        message = AIMessage(
            content=choice.message.content or "",
            additional_kwargs={"refusal": choice.message.refusal} if choice.message.refusal else {},
            tool_calls=calls,
            invalid_tool_calls=invalid,
            usage_metadata=_usage(answer.usage),
            response_metadata={"model_name": answer.model, "finish_reason": choice.finish_reason},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    @staticmethod
    def _chunk(part: Any, told: set[str]) -> ChatGenerationChunk:
        metadata: dict[str, Any] = {}
        content, pieces, extra = "", [], {}
        if part.choices:
            choice = part.choices[0]
            content = choice.delta.content or ""
            if choice.delta.refusal:
                extra["refusal"] = choice.delta.refusal
            pieces = [
                tool_call_chunk(
                    name=one.function.name if one.function else None,
                    args=one.function.arguments if one.function else None,
                    id=one.id,
                    index=one.index,
                )
                for one in choice.delta.tool_calls or []
            ]
            if choice.finish_reason and "end" not in told:
                told.add("end")
                metadata = {"model_name": part.model, "finish_reason": choice.finish_reason}
        usage = None
        if part.usage is not None and "usage" not in told:
            told.add("usage")
            usage = _usage(part.usage)
        return ChatGenerationChunk(
            message=AIMessageChunk(
                content=content,
                additional_kwargs=extra,
                tool_call_chunks=pieces,
                usage_metadata=usage,
                response_metadata=metadata,
            )
        )

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        params = self._params(messages, stop, False, kwargs)
        try:
            with self._client() as client:
                return self._result(client.chat.completions.create(**params))
        except (openai.APIError, json.JSONDecodeError) as error:
            raise _translated(error) from error

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        params = self._params(messages, stop, False, kwargs)
        try:
            async with self._async_client() as client:
                return self._result(await client.chat.completions.create(**params))
        except (openai.APIError, json.JSONDecodeError) as error:
            raise _translated(error) from error

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        params, told = self._params(messages, stop, True, kwargs), set()
        try:
            with self._client() as client, client.chat.completions.create(**params) as parts:
                for part in parts:
                    yield self._chunk(part, told)
        except (openai.APIError, json.JSONDecodeError) as error:
            raise _translated(error) from error
        except Exception as error:
            if type(error).__module__.partition(".")[0] in (
                "httpx",
                "httpx2",
            ):  # the line broke amid the stream
                raise ModelConnectionError(f"The proxy's stream broke off: {error}") from error
            raise
        if "end" not in told:
            raise ModelConnectionError("The proxy's stream broke off before its end.")

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        params, told = self._params(messages, stop, True, kwargs), set()
        try:
            async with self._async_client() as client:
                async with await client.chat.completions.create(**params) as parts:
                    async for part in parts:
                        yield self._chunk(part, told)
        except (openai.APIError, json.JSONDecodeError) as error:
            raise _translated(error) from error
        except Exception as error:
            if type(error).__module__.partition(".")[0] in ("httpx", "httpx2"):
                raise ModelConnectionError(f"The proxy's stream broke off: {error}") from error
            raise
        if "end" not in told:
            raise ModelConnectionError("The proxy's stream broke off before its end.")

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | bool | None = None,
        **kwargs: Any,
    ) -> Any:
        formatted = [convert_to_openai_tool(one) for one in tools]
        if tool_choice is True or tool_choice == "any":
            kwargs["tool_choice"] = "required"
        elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            if tool_choice not in [
                one["function"]["name"] for one in formatted if "function" in one
            ]:
                raise ValueError(f"tool_choice {tool_choice!r} names none of the tools.")
            kwargs["tool_choice"] = {"type": "function", "function": {"name": tool_choice}}
        elif tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=formatted, **kwargs)


class HouseChat(ProxyChat):
    """The proxy's models, with the rules of the house before what the caller says."""

    house_rules: str = "Answer in plain words. Never promise a date of delivery."

    @property
    def _llm_type(self) -> str:
        return "house-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {**super()._identifying_params, "house_rules": self.house_rules}

    def _prompt(self, messages: list[BaseMessage]) -> list[BaseMessage]:
        if not self.house_rules:
            return messages
        if messages and isinstance(messages[0], SystemMessage):
            first = SystemMessage(
                f"{self.house_rules}\n\n{messages[0].text}", name=messages[0].name
            )
            return [first, *messages[1:]]
        return [SystemMessage(self.house_rules), *messages]


class PreciseHouseChat(HouseChat):
    """The preset for extraction and for agents."""

    temperature: float | None = 0.0
    seed: int | None = 7

    @property
    def _llm_type(self) -> str:
        return "house-chat-precise"
