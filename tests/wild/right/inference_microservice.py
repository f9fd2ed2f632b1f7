"""A chat client for a hosted-or-on-premise inference microservice.

Modelled on: packages of GPU vendors that put one class before both a public catalogue and a container on
your own machine (OpenAI's chat completions, `reasoning_content` beside the text, retries of their own).

Right: httpx, a client made per call, sync and async and streaming; tools and structured output; usage asked
for when it streams; busy servers are asked again, but only before anything was yielded; a stream that ends
without a finish reason, or that carries an error, raises; the key is a secret; images go out as OpenAI has them.

MODEL: ChatMicroservice
KWARGS: {}
WIRE: openai
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import httpx
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    convert_to_openai_messages,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, SecretStr


class MicroserviceError(RuntimeError):
    """The service refused, failed, or broke off."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


def _key_from_env() -> SecretStr | None:
    key = os.environ.get("MICROSERVICE_API_KEY")
    return SecretStr(key) if key else None


class _Lines:
    """Lines as they come: ended by a line feed, and by none of the other signs that str.splitlines knows."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[str]:
        *whole, self._rest = (self._rest + piece).split(b"\n")
        return [line.rstrip(b"\r").decode("utf-8", "replace") for line in whole]

    @classmethod
    def of(cls, response: httpx.Response) -> Iterator[str]:
        lines = cls()
        for piece in response.iter_bytes():
            yield from lines.feed(piece)
        yield from lines.feed(b"\n")

    @classmethod
    async def aof(cls, response: httpx.Response) -> AsyncIterator[str]:
        lines = cls()
        async for piece in response.aiter_bytes():
            for line in lines.feed(piece):
                yield line
        for line in lines.feed(b"\n"):
            yield line


class ChatMicroservice(BaseChatModel):
    """Chat completions of an inference microservice."""

    model: str = "nano-8b-instruct"
    base_url: str = "http://localhost:8000/v1"
    api_key: SecretStr | None = Field(default_factory=_key_from_env)
    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: list[str] | None = None
    timeout: float = 60.0
    max_retries: int = 2
    streaming: bool = False

    @property
    def _llm_type(self) -> str:
        return "chat-microservice"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "base_url": self.base_url,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "top_p": self.top_p,
            "seed": self.seed,
            "stop": self.stop,
        }

    def _get_invocation_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        params = super()._get_invocation_params(stop=stop, **kwargs)
        params["stop"] = stop if stop is not None else self.stop
        return params

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "microservice"
        if not stop and self.stop:
            params["ls_stop"] = self.stop
        return params

    # ---- the request

    def _headers(self) -> dict[str, str]:
        if self.api_key is None:
            return {}
        return {"Authorization": f"Bearer {self.api_key.get_secret_value()}"}

    def _url(self) -> str:
        return self.base_url.rstrip("/") + "/chat/completions"

    def _payload(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        stream: bool,
        kwargs: dict[str, Any],
    ) -> dict[str, Any]:
        payload: dict[str, Any] = {
            "model": self.model,
            "messages": [self._to_wire(message) for message in messages],
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "top_p": self.top_p,
            "seed": self.seed,
            "stop": (stop if stop is not None else self.stop) or None,
        }
        payload.update(kwargs)
        payload["stream"] = stream
        if stream:
            payload.setdefault("stream_options", {"include_usage": True})
        return {key: value for key, value in payload.items() if value is not None}

    @staticmethod
    def _to_wire(message: BaseMessage) -> dict[str, Any]:
        if isinstance(message, AIMessage):
            # Reasoning blocks are output only: what goes back is the text and the calls.
            wire: dict[str, Any] = {"role": "assistant", "content": message.text}
            if message.tool_calls or message.invalid_tool_calls:
                wire["content"] = message.text or None
                wire["tool_calls"] = [
                    {
                        "id": call["id"],
                        "type": "function",
                        "function": {"name": call["name"], "arguments": json.dumps(call["args"])},
                    }
                    for call in message.tool_calls
                ] + [
                    {
                        "id": bad["id"],
                        "type": "function",
                        "function": {"name": bad["name"], "arguments": bad["args"] or ""},
                    }
                    for bad in message.invalid_tool_calls
                ]
            return wire
        plain = isinstance(message.content, str) or all(
            isinstance(block, str) or block.get("type") == "text" for block in message.content
        )
        if plain:  # one string, which servers with a plain template want
            message = message.model_copy(update={"content": message.text})
        converted = convert_to_openai_messages(message)
        assert isinstance(converted, dict)
        return converted

    # ---- the answer

    @staticmethod
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

    def _result(self, data: Any) -> ChatResult:
        if not isinstance(data, dict):
            raise MicroserviceError("The service did not answer with a JSON object.")
        if data.get("error"):
            raise MicroserviceError(f"The service answered with an error: {data['error']}")
        if not data.get("choices"):
            raise MicroserviceError("The service's answer has no choices.")
        choice = data["choices"][0]
        raw = choice.get("message") or {}
        calls, bad = [], []
        for item in raw.get("tool_calls") or []:
            name, text = item["function"]["name"], item["function"].get("arguments") or ""
            try:
                args = json.loads(text) if text.strip() else {}
                if not isinstance(args, dict):
                    raise ValueError("the arguments are no JSON object")
            except ValueError as error:
                bad.append(
                    invalid_tool_call(name=name, args=text, id=item.get("id"), error=str(error))
                )
            else:
                calls.append(tool_call(name=name, args=args, id=item.get("id")))
        extra = {}
        thought = raw.get("reasoning_content") or raw.get("reasoning")
        if thought:
            extra["reasoning_content"] = thought
        message = AIMessage(
            content=raw.get("content") or "",
            additional_kwargs=extra,
            tool_calls=calls,
            invalid_tool_calls=bad,
            usage_metadata=self._usage(data.get("usage")),
            response_metadata={
                "model_name": data.get("model") or self.model,
                "model_provider": "microservice",
                "finish_reason": choice.get("finish_reason"),
                "id": data.get("id"),
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _chunk(self, event: dict[str, Any], state: dict[str, Any]) -> ChatGenerationChunk | None:
        if event.get("error"):
            raise MicroserviceError(f"The service broke off: {event['error']}")
        state["model"] = event.get("model") or state.get("model")
        if event.get(
            "usage"
        ):  # some servers tell their totals with every chunk: the last ones are told, once
            state["usage"] = event["usage"]
        choices = event.get("choices") or []
        if not choices:
            return None
        delta = choices[0].get("delta") or {}
        extra = {}
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if thought:
            extra["reasoning_content"] = thought
        calls = [
            tool_call_chunk(
                name=(item.get("function") or {}).get("name"),
                args=(item.get("function") or {}).get("arguments"),
                id=item.get("id"),
                index=item.get("index"),
            )
            for item in delta.get("tool_calls") or []
        ]
        metadata = {}
        if choices[0].get("finish_reason") and not state.get("finish"):
            state["finish"] = choices[0]["finish_reason"]
            metadata = {
                "finish_reason": state["finish"],
                "model_name": state["model"] or self.model,
                "model_provider": "microservice",
            }
        return ChatGenerationChunk(
            message=AIMessageChunk(
                content=delta.get("content") or "",
                additional_kwargs=extra,
                tool_call_chunks=calls,
                response_metadata=metadata,
            )
        )

    def _last(self, state: dict[str, Any]) -> ChatGenerationChunk:
        if not state.get("finish"):
            raise MicroserviceError("The stream ended before the answer did.")
        usage = self._usage(state.get("usage"))
        return ChatGenerationChunk(
            message=AIMessageChunk(content="", usage_metadata=usage, chunk_position="last")
        )

    @staticmethod
    def _event(line: str) -> dict[str, Any] | None:
        """What one line of the stream says; None where it says nothing, {} at the end."""
        if not line.startswith("data:"):
            return None
        data = line[5:].strip()
        if data == "[DONE]":
            return {}
        try:
            event = json.loads(data)
        except ValueError as error:
            raise MicroserviceError(
                f"The stream has a line that is no JSON: {data[:80]!r}"
            ) from error
        if not isinstance(event, dict):
            raise MicroserviceError(f"The stream has a line that is no JSON object: {data[:80]!r}")
        return event or None

    # ---- trying

    def _pause(self, attempt: int, response: httpx.Response | None) -> float:
        if response is not None:
            try:
                return min(float(response.headers.get("Retry-After", "")), 30.0)
            except ValueError:
                pass
        return min(0.25 * 2**attempt, 8.0)

    def _again(self, attempt: int, response: httpx.Response) -> bool:
        return attempt < self.max_retries and response.status_code in (408, 429, 500, 502, 503, 504)

    @staticmethod
    def _check(response: httpx.Response) -> None:
        if response.status_code >= 400:
            raise MicroserviceError(
                f"The service answered {response.status_code}: {response.text[:500]}",
                response.status_code,
            )

    @staticmethod
    def _json(response: httpx.Response) -> Any:
        try:
            return response.json()
        except ValueError as error:
            raise MicroserviceError(
                f"The service's answer is no JSON: {response.text[:80]!r}"
            ) from error

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        payload = self._payload(messages, stop, False, kwargs)
        with httpx.Client(timeout=self.timeout) as client:
            attempt = 0
            while True:
                try:
                    response = client.post(self._url(), json=payload, headers=self._headers())
                except httpx.ConnectError:
                    if attempt >= self.max_retries:
                        raise
                    time.sleep(self._pause(attempt, None))
                else:
                    if not self._again(attempt, response):
                        break
                    time.sleep(self._pause(attempt, response))
                attempt += 1
        self._check(response)
        return self._result(self._json(response))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        payload = self._payload(messages, stop, False, kwargs)
        async with httpx.AsyncClient(timeout=self.timeout) as client:
            attempt = 0
            while True:
                try:
                    response = await client.post(self._url(), json=payload, headers=self._headers())
                except httpx.ConnectError:
                    if attempt >= self.max_retries:
                        raise
                    await asyncio.sleep(self._pause(attempt, None))
                else:
                    if not self._again(attempt, response):
                        break
                    await asyncio.sleep(self._pause(attempt, response))
                attempt += 1
        self._check(response)
        return self._result(self._json(response))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        payload = self._payload(messages, stop, True, kwargs)
        state: dict[str, Any] = {}
        with httpx.Client(timeout=self.timeout) as client:
            attempt = 0
            while True:
                try:
                    with client.stream(
                        "POST", self._url(), json=payload, headers=self._headers()
                    ) as response:
                        if not self._again(attempt, response):
                            if response.status_code >= 400:
                                response.read()
                            self._check(response)
                            for line in _Lines.of(response):
                                event = self._event(line)
                                if event is None:
                                    continue
                                if not event:
                                    break
                                chunk = self._chunk(event, state)
                                if chunk is None:
                                    continue
                                if run_manager:
                                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                                yield chunk
                            break
                        pause = self._pause(attempt, response)
                except httpx.ConnectError:
                    if attempt >= self.max_retries:
                        raise
                    pause = self._pause(attempt, None)
                time.sleep(pause)
                attempt += 1
        chunk = self._last(state)
        if run_manager:
            run_manager.on_llm_new_token("", chunk=chunk)
        yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        payload = self._payload(messages, stop, True, kwargs)
        state: dict[str, Any] = {}
        async with httpx.AsyncClient(timeout=self.timeout) as client:
            attempt = 0
            while True:
                try:
                    async with client.stream(
                        "POST", self._url(), json=payload, headers=self._headers()
                    ) as response:
                        if not self._again(attempt, response):
                            if response.status_code >= 400:
                                await response.aread()
                            self._check(response)
                            async for line in _Lines.aof(response):
                                event = self._event(line)
                                if event is None:
                                    continue
                                if not event:
                                    break
                                chunk = self._chunk(event, state)
                                if chunk is None:
                                    continue
                                if run_manager:
                                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                                yield chunk
                            break
                        pause = self._pause(attempt, response)
                except httpx.ConnectError:
                    if attempt >= self.max_retries:
                        raise
                    pause = self._pause(attempt, None)
                await asyncio.sleep(pause)
                attempt += 1
        chunk = self._last(state)
        if run_manager:
            await run_manager.on_llm_new_token("", chunk=chunk)
        yield chunk

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | bool | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        formatted = [convert_to_openai_tool(tool, strict=strict) for tool in tools]
        if tool_choice in ("any", True):
            tool_choice = "required"
        elif tool_choice is False:
            tool_choice = None
        elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            if tool_choice not in [tool["function"]["name"] for tool in formatted]:
                raise ValueError(f"tool_choice names {tool_choice!r}, which is none of the tools.")
            tool_choice = {"type": "function", "function": {"name": tool_choice}}
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=formatted, **kwargs)
