"""A chat model for a company's OpenAI-compatible gateway, as a platform team's private repository has it.

Modelled on: internal "LLM gateway" packages that do not want the OpenAI SDK: BaseChatModel + httpx, a fresh
client for each call (so the model pickles, forks and moves between event loops), SecretStr token.
Right: sync, async, streaming, tools, structured output by tools, reasoning kept beside the text and in
additional_kwargs, usage once, stop, errors as LangChain's ModelErrors, errors inside the stream raised.
MODEL: ChatHarbor
KWARGS: {}
WIRE: openai
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import cache
from typing import Any

import httpx
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
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
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.messages.utils import convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict, Field, SecretStr

_BY_STATUS: dict[int, type[ModelError]] = {
    401: ModelAuthenticationError,
    403: ModelPermissionDeniedError,
    404: ModelNotFoundError,
    408: ModelTimeoutError,
    429: ModelRateLimitError,
}


@cache
def _tls() -> ssl.SSLContext:
    """Read the certificates once a process: it takes a while, and would hold up an event loop at each call."""
    return httpx.create_ssl_context()


_tls()


def _error(status: int, said: str) -> ModelError:
    kind = _BY_STATUS.get(status, ModelAPIError if status >= 500 else ModelInvalidRequestError)
    return kind(f"The gateway answered {status}: {said[:500]}")


class _Lines:
    """Lines of an event stream. httpx's own `iter_lines` also splits at U+2028 and its like, within the JSON."""

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: bytes) -> list[str]:
        *lines, self.rest = (self.rest + data).split(b"\n")
        return [line.rstrip(b"\r").decode() for line in lines]

    def flush(self) -> list[str]:
        rest, self.rest = self.rest, b""
        return [rest.rstrip(b"\r").decode()] if rest else []


def _event_error(problem: Any) -> ModelError:
    code = problem.get("code") if isinstance(problem, dict) else None
    said = problem.get("message") if isinstance(problem, dict) else problem
    status = int(code) if str(code).isdigit() else 502
    return _error(status, f"in the stream: {said}")


def _usage(raw: dict[str, Any] | None) -> UsageMetadata | None:
    if not raw:
        return None
    read, written = raw.get("prompt_tokens") or 0, raw.get("completion_tokens") or 0
    usage = UsageMetadata(
        input_tokens=read,
        output_tokens=written,
        total_tokens=raw.get("total_tokens") or read + written,
    )
    cached = (raw.get("prompt_tokens_details") or {}).get("cached_tokens")
    if cached is not None:
        usage["input_token_details"] = {"cache_read": cached}
    thought = (raw.get("completion_tokens_details") or {}).get("reasoning_tokens")
    if thought is not None:
        usage["output_token_details"] = {"reasoning": thought}
    return usage


class ChatHarbor(BaseChatModel):
    """Chat completions of the Harbor gateway."""

    model: str = "harbor-large"
    base_url: str = "http://localhost:8080/v1"
    token: SecretStr | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    stop: list[str] | None = None
    timeout: float = 60.0
    extra_headers: dict[str, str] = Field(default_factory=dict, repr=False)

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    @property
    def _llm_type(self) -> str:
        return "harbor-gateway"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "base_url": self.base_url,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "stop_sequences": self.stop,
            "output_version": self.output_version,
        }

    # --- request ---

    def _address(self) -> str:
        return self.base_url.rstrip("/") + "/chat/completions"

    def _headers(self) -> dict[str, str]:
        headers = dict(self.extra_headers)
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token.get_secret_value()}"
        return headers

    def _messages(self, messages: list[BaseMessage]) -> list[dict[str, Any]]:
        dicts = convert_to_openai_messages(messages)
        for one in dicts:
            content = one.get("content")
            if one["role"] == "assistant" and isinstance(content, list):
                # Reasoning and tool call blocks have no place in this wire's content.
                one["content"] = "".join(
                    block if isinstance(block, str) else block.get("text", "")
                    for block in content
                    if isinstance(block, str) or block.get("type") == "text"
                )
            if one["role"] == "assistant" and one.get("tool_calls") and not one.get("content"):
                one["content"] = None
        return dicts

    def _payload(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        stream: bool,
        kwargs: dict[str, Any],
    ) -> dict[str, Any]:
        settings = {
            "model": self.model,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "stop": self.stop if stop is None else stop,
        }
        settings.update(kwargs)
        settings.pop("stream", None)
        payload = {key: value for key, value in settings.items() if value is not None}
        if not payload.get("stop"):
            payload.pop("stop", None)
        payload["messages"] = self._messages(messages)
        if stream:
            payload["stream"] = True
            payload["stream_options"] = {"include_usage": True}
        return payload

    # --- response ---

    def _result(self, response: httpx.Response) -> ChatResult:
        if response.is_error:
            raise _error(response.status_code, response.text)
        try:
            data = response.json()
            choice = data["choices"][0]
            raw = choice["message"]
        except (ValueError, KeyError, IndexError, TypeError):
            raise ModelAPIError(
                f"The gateway's answer is no chat completion: {response.text[:300]}"
            ) from None
        calls, invalid = [], []
        for one in raw.get("tool_calls") or []:
            name, text = one["function"]["name"], one["function"].get("arguments") or "{}"
            try:
                args = json.loads(text)
                if not isinstance(args, dict):
                    raise ValueError("the arguments are no object")
            except ValueError as error:
                invalid.append(
                    invalid_tool_call(name=name, args=text, id=one.get("id"), error=str(error))
                )
            else:
                calls.append(tool_call(name=name, args=args, id=one.get("id")))
        extra = {}
        if raw.get("reasoning_content"):
            extra["reasoning_content"] = raw["reasoning_content"]
        if raw.get("refusal"):
            extra["refusal"] = raw["refusal"]
        message = AIMessage(
            content=raw.get("content") or "",
            additional_kwargs=extra,
            tool_calls=calls,
            invalid_tool_calls=invalid,
            usage_metadata=_usage(data.get("usage")),
            response_metadata={
                "model_name": data.get("model") or self.model,
                "finish_reason": choice.get("finish_reason"),
                "id": data.get("id"),
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _reader(self) -> Callable[[str], ChatGenerationChunk | None]:
        """Turns lines of the event stream into chunks; says each scalar of the metadata once."""
        told: set[str] = set()

        def read(line: str) -> ChatGenerationChunk | None:
            if not line.startswith("data:"):
                return None
            body = line[5:].strip()
            if not body or body == "[DONE]":
                return None
            try:
                data = json.loads(body)
            except ValueError:
                raise ModelAPIError(
                    f"The gateway sent an event that is no JSON: {body[:300]}"
                ) from None
            if data.get("error"):
                raise _event_error(data["error"])
            choice = (data.get("choices") or [{}])[0]
            delta = choice.get("delta") or {}
            metadata: dict[str, Any] = {}
            for key, value in (
                ("model_name", data.get("model")),
                ("finish_reason", choice.get("finish_reason")),
                ("id", data.get("id")),
            ):
                if value and key not in told:
                    told.add(key)
                    metadata[key] = value
            extra = {key: delta[key] for key in ("reasoning_content", "refusal") if delta.get(key)}
            usage = None
            if data.get("usage") and "usage" not in told:
                told.add("usage")
                usage = _usage(data["usage"])
            chunk = AIMessageChunk(
                content=delta.get("content") or "",
                additional_kwargs=extra,
                tool_call_chunks=[
                    tool_call_chunk(
                        name=(one.get("function") or {}).get("name"),
                        args=(one.get("function") or {}).get("arguments"),
                        id=one.get("id"),
                        index=one.get("index"),
                    )
                    for one in delta.get("tool_calls") or []
                ],
                usage_metadata=usage,
                response_metadata=metadata,
            )
            return ChatGenerationChunk(message=chunk)

        return read

    # --- calls ---

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        payload = self._payload(messages, stop, False, kwargs)
        try:
            with httpx.Client(timeout=self.timeout, verify=_tls()) as client:
                response = client.post(self._address(), json=payload, headers=self._headers())
        except httpx.TimeoutException as error:
            raise ModelTimeoutError(f"The gateway did not answer in time: {error}") from error
        except httpx.TransportError as error:
            raise ModelConnectionError(f"The gateway can't be reached: {error}") from error
        return self._result(response)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        payload = self._payload(messages, stop, False, kwargs)
        try:
            async with httpx.AsyncClient(timeout=self.timeout, verify=_tls()) as client:
                response = await client.post(self._address(), json=payload, headers=self._headers())
        except httpx.TimeoutException as error:
            raise ModelTimeoutError(f"The gateway did not answer in time: {error}") from error
        except httpx.TransportError as error:
            raise ModelConnectionError(f"The gateway can't be reached: {error}") from error
        return self._result(response)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        payload = self._payload(messages, stop, True, kwargs)
        read, lines = self._reader(), _Lines()
        ended = False
        try:
            with (
                httpx.Client(timeout=self.timeout, verify=_tls()) as client,
                client.stream(
                    "POST", self._address(), json=payload, headers=self._headers()
                ) as response,
            ):
                if response.is_error:
                    response.read()
                    raise _error(response.status_code, response.text)
                for data in response.iter_bytes():
                    for line in lines.feed(data):
                        ended = ended or line.replace(" ", "").startswith("data:[DONE]")
                        if chunk := read(line):
                            ended = ended or bool(
                                chunk.message.response_metadata.get("finish_reason")
                            )
                            yield chunk
                for line in lines.flush():
                    ended = ended or line.replace(" ", "").startswith("data:[DONE]")
                    if chunk := read(line):
                        ended = ended or bool(chunk.message.response_metadata.get("finish_reason"))
                        yield chunk
        except httpx.TimeoutException as error:
            raise ModelTimeoutError(f"The gateway's stream stood still: {error}") from error
        except httpx.TransportError as error:
            raise ModelConnectionError(f"The gateway's stream broke off: {error}") from error
        if not ended:
            raise ModelConnectionError("The gateway's stream broke off before its end.")

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        payload = self._payload(messages, stop, True, kwargs)
        read, lines = self._reader(), _Lines()
        ended = False
        try:
            async with (
                httpx.AsyncClient(timeout=self.timeout, verify=_tls()) as client,
                client.stream(
                    "POST", self._address(), json=payload, headers=self._headers()
                ) as response,
            ):
                if response.is_error:
                    await response.aread()
                    raise _error(response.status_code, response.text)
                async for data in response.aiter_bytes():
                    for line in lines.feed(data):
                        ended = ended or line.replace(" ", "").startswith("data:[DONE]")
                        if chunk := read(line):
                            ended = ended or bool(
                                chunk.message.response_metadata.get("finish_reason")
                            )
                            yield chunk
                for line in lines.flush():
                    ended = ended or line.replace(" ", "").startswith("data:[DONE]")
                    if chunk := read(line):
                        ended = ended or bool(chunk.message.response_metadata.get("finish_reason"))
                        yield chunk
        except httpx.TimeoutException as error:
            raise ModelTimeoutError(f"The gateway's stream stood still: {error}") from error
        except httpx.TransportError as error:
            raise ModelConnectionError(f"The gateway's stream broke off: {error}") from error
        if not ended:
            raise ModelConnectionError("The gateway's stream broke off before its end.")

    # --- tools ---

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | bool | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        formatted = [convert_to_openai_tool(one, strict=strict) for one in tools]
        names = [one["function"]["name"] for one in formatted if "function" in one]
        if tool_choice is True or tool_choice == "any":
            kwargs["tool_choice"] = "required"
        elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            if tool_choice not in names:
                raise ValueError(f"tool_choice {tool_choice!r} names none of the tools {names}.")
            kwargs["tool_choice"] = {"type": "function", "function": {"name": tool_choice}}
        elif tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=formatted, **kwargs)
