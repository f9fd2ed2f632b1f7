"""Chat model for a gateway that only ever streams; invoke gathers the stream. Built on httpx2, with a token provider.

Modelled on: private bank / agency APIs with OAuth tokens, per-team headers and server-sent answers by default.
What is right: `_generate` is the gathered `_stream` and hands each token to the run's callbacks; a token provider is
asked for each request (awaited when async) and a plain key works too; secrets never show in repr or errors; usage once, stop,
tool-call pieces keep the server's index; an error in the stream, or a stream cut short, raises.
MODEL: StreamFirstChat
KWARGS: {"gateway_root": "http://127.0.0.1:8000/v1", "key": "k", "deployment": "house-1", "team": "red"}
WIRE: openai
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import operator
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx2
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    convert_to_openai_messages,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, SecretStr, model_validator

_SSL = ssl.create_default_context()


class GatewayRefused(RuntimeError):
    pass


class _Gatherer:
    """Bytes in, chunks out; knows at the end whether the answer was whole."""

    def __init__(self, deployment: str) -> None:
        self._tail = b""
        self._meta: dict[str, Any] = {"model_name": deployment}
        self._usage: dict[str, int] | None = None

    def __call__(self, block: bytes) -> Iterator[ChatGenerationChunk]:
        self._tail += block
        while (cut := self._tail.find(b"\n")) >= 0:
            line, self._tail = self._tail[:cut].strip(), self._tail[cut + 1 :]
            if line.startswith(b"data:") and line[5:].strip() != b"[DONE]":
                yield from self._event(json.loads(line[5:]))

    def _event(self, event: dict) -> Iterator[ChatGenerationChunk]:
        if "error" in event:
            error = event["error"]
            raise GatewayRefused(
                str(error.get("message", error) if isinstance(error, dict) else error)
            )
        if event.get("model"):
            self._meta["model_name"] = event["model"]
        if u := event.get("usage"):
            self._usage = {
                "input_tokens": u["prompt_tokens"],
                "output_tokens": u["completion_tokens"],
                "total_tokens": u["prompt_tokens"] + u["completion_tokens"],
            }
        for choice in event.get("choices") or ():
            if choice.get("finish_reason"):
                self._meta["finish_reason"] = choice["finish_reason"]
            delta = choice.get("delta") or {}
            calls = [
                {
                    "type": "tool_call_chunk",
                    "id": c.get("id"),
                    "index": c.get("index"),
                    "name": c.get("function", {}).get("name"),
                    "args": c.get("function", {}).get("arguments"),
                }
                for c in delta.get("tool_calls") or ()
            ]
            if delta.get("content") or calls:
                yield ChatGenerationChunk(
                    message=AIMessageChunk(
                        content=delta.get("content") or "", tool_call_chunks=calls
                    )
                )

    def close(self) -> ChatGenerationChunk:
        if "finish_reason" not in self._meta:
            raise GatewayRefused("the gateway closed the stream before the answer was complete")
        return ChatGenerationChunk(
            message=AIMessageChunk(
                content="", usage_metadata=self._usage, response_metadata=self._meta
            )
        )


class StreamFirstChat(BaseChatModel):
    gateway_root: str
    key: SecretStr | None = None
    token_provider: Callable[[], str | Awaitable[str]] | None = Field(
        default=None, exclude=True, repr=False
    )
    deployment: str = "house-1"
    team: str | None = None
    warmth: float | None = Field(default=None, ge=0, le=2, description="the sampling temperature")
    deadline: float = 60.0

    @model_validator(mode="after")
    def _some_secret(self) -> "StreamFirstChat":
        if self.key is None and self.token_provider is None:
            raise ValueError("give key or token_provider")
        return self

    @property
    def _llm_type(self) -> str:
        return "stream-first-gateway"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "gateway_root": self.gateway_root,
            "deployment": self.deployment,
            "team": self.team,
            "warmth": self.warmth,
        }

    def _get_ls_params(self, stop=None, **kwargs):
        params = super()._get_ls_params(stop=stop, **kwargs)
        return {
            **params,
            "ls_model_name": self.deployment,
            **({} if self.warmth is None else {"ls_temperature": self.warmth}),
        }

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        if tool_choice:
            if tool_choice is True or tool_choice == "any":
                tool_choice = "required"
            elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
                tool_choice = {"type": "function", "function": {"name": tool_choice}}
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)

    def _request(
        self, token: str, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict
    ) -> dict[str, Any]:
        body = {
            "model": self.deployment,
            "temperature": self.warmth,
            "stop": stop or None,
            **kwargs,
            "messages": convert_to_openai_messages(messages),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
        if self.team:
            headers["X-Team"] = self.team
        return {
            "method": "POST",
            "url": self.gateway_root.rstrip("/") + "/chat/completions",
            "headers": headers,
            "json": {k: v for k, v in body.items() if v is not None},
        }

    @staticmethod
    def _judge(status: int, raw: bytes) -> None:
        try:
            reason = json.loads(raw)["error"]["message"]
        except (ValueError, KeyError, TypeError):
            reason = raw[:300].decode("utf-8", "replace")
        raise GatewayRefused(f"HTTP {status}: {reason}")

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> Iterator[ChatGenerationChunk]:
        token = (
            self.key.get_secret_value() if self.token_provider is None else self.token_provider()
        )
        if inspect.isawaitable(token):
            token.close()
            raise NotImplementedError("an async token_provider serves ainvoke and astream only")
        gather = _Gatherer(self.deployment)
        with (
            httpx2.Client(verify=_SSL, timeout=self.deadline) as client,
            client.stream(**self._request(token, messages, stop, kwargs)) as response,
        ):
            if response.status_code >= 400:
                self._judge(response.status_code, response.read())
            for block in response.iter_bytes():
                for chunk in gather(block):
                    if run_manager:
                        run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        yield gather.close()

    async def _astream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> AsyncIterator[ChatGenerationChunk]:
        if self.token_provider is None:
            token = self.key.get_secret_value()
        elif inspect.iscoroutinefunction(self.token_provider):
            token = await self.token_provider()
        else:
            token = await asyncio.to_thread(self.token_provider)
        gather = _Gatherer(self.deployment)
        async with (
            httpx2.AsyncClient(verify=_SSL, timeout=self.deadline) as client,
            client.stream(**self._request(token, messages, stop, kwargs)) as response,
        ):
            if response.status_code >= 400:
                self._judge(response.status_code, await response.aread())
            async for block in response.aiter_bytes():
                for chunk in gather(block):
                    if run_manager:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        yield gather.close()

    @staticmethod
    def _settled(pieces: list[ChatGenerationChunk]) -> ChatResult:
        """The gathered answer as one message; arguments that are not whole JSON become invalid calls."""
        message = functools.reduce(operator.add, pieces).message
        good, bad = [], []
        for c in message.tool_call_chunks:
            try:
                args = json.loads(c["args"] or "{}")
                if not isinstance(args, dict):
                    raise ValueError("arguments are not an object")
                good.append({"type": "tool_call", "name": c["name"], "args": args, "id": c["id"]})
            except ValueError as exc:
                bad.append(
                    {
                        "type": "invalid_tool_call",
                        "name": c["name"],
                        "args": c["args"],
                        "id": c["id"],
                        "error": str(exc),
                    }
                )
        whole = AIMessage(
            content=message.content,
            tool_calls=good,
            invalid_tool_calls=bad,
            usage_metadata=message.usage_metadata,
            response_metadata=message.response_metadata,
        )
        return ChatResult(generations=[ChatGeneration(message=whole)])

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        return self._settled(list(self._stream(messages, stop, run_manager, **kwargs)))

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        return self._settled(
            [piece async for piece in self._astream(messages, stop, run_manager, **kwargs)]
        )
