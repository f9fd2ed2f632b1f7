"""Chat model written async first (aiohttp), whose sync side is asyncio.run around the async side.

Modelled on: async back ends bridged with asyncio.run / run_until_complete, and reports of it from Jupyter, FastAPI and Celery.
What is wrong: (1) invoke() inside a running event loop (Jupyter, an async endpoint calling a sync chain) raises RuntimeError
"asyncio.run() cannot be called from a running event loop"; the sync side should be really sync or use a loop in another thread.
(2) the retry also catches asyncio.CancelledError: a cancelled or timed-out task sends the request again instead of ending, so
asyncio.wait_for ends only when a second request is through, and closing a page goes on paying; it should pass through.
FAULT: invoke() inside a running event loop raises RuntimeError (asyncio.run); CancelledError is caught and the request is sent again: timeouts and cancellation are not honoured
MODEL: BridgeChat
KWARGS: {"base_url": "http://127.0.0.1:8000/v1", "api_key": "k", "model": "house-1"}
WIRE: openai
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, AsyncIterator, Optional

import aiohttp
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    convert_to_openai_messages,
)
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.output_parsers.openai_tools import make_invalid_tool_call, parse_tool_call
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import SecretStr


class BridgeError(RuntimeError):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"HTTP {status}: {reason}")
        self.status = status


class BridgeChat(BaseChatModel):
    base_url: str
    api_key: SecretStr
    model: str
    temperature: Optional[float] = None
    attempts: int = 3
    timeout: float = 60.0

    @property
    def _llm_type(self) -> str:
        return "bridge-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"base_url": self.base_url, "model": self.model, "temperature": self.temperature}

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        if tool_choice in ("any", True):
            kwargs["tool_choice"] = "required"
        elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            kwargs["tool_choice"] = {"type": "function", "function": {"name": tool_choice}}
        elif tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self.timeout),
            read_bufsize=2**22,
            headers={"Authorization": f"Bearer {self.api_key.get_secret_value()}"},
        )

    def _body(
        self, messages: list[BaseMessage], stop: Optional[list[str]], kwargs: dict
    ) -> dict[str, Any]:
        body = {
            "model": self.model,
            "temperature": self.temperature,
            "stop": stop or None,
            **kwargs,
            "messages": convert_to_openai_messages(messages),
        }
        return {k: v for k, v in body.items() if v is not None}

    async def _check(self, response: aiohttp.ClientResponse) -> None:
        if response.status >= 400:
            text = await response.text()
            try:
                text = json.loads(text)["error"]["message"]
            except (ValueError, KeyError, TypeError):
                text = text[:300]
            raise BridgeError(response.status, text)

    async def _once(self, body: dict[str, Any]) -> dict[str, Any]:
        async with self._session() as session:
            async with session.post(
                f"{self.base_url.rstrip('/')}/chat/completions", json=body
            ) as response:
                await self._check(response)
                return await response.json(content_type=None)

    async def _stubborn(self, body: dict[str, Any]) -> dict[str, Any]:
        for attempt in range(1, self.attempts + 1):
            try:
                return await self._once(body)
            except (
                aiohttp.ClientError,
                asyncio.TimeoutError,
                asyncio.CancelledError,
                BridgeError,
            ) as exc:
                if attempt == self.attempts or (isinstance(exc, BridgeError) and exc.status < 500):
                    raise
                await asyncio.sleep(0.05 * attempt)
        raise AssertionError("unreachable")

    @staticmethod
    def _usage(raw: Optional[dict]) -> Optional[dict]:
        return raw and {
            "input_tokens": raw["prompt_tokens"],
            "output_tokens": raw["completion_tokens"],
            "total_tokens": raw["prompt_tokens"] + raw["completion_tokens"],
        }

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        data = await self._stubborn(self._body(messages, stop, kwargs))
        choice = data["choices"][0]
        calls, bad = [], []
        for raw in choice["message"].get("tool_calls") or []:
            try:
                calls.append(parse_tool_call(raw, return_id=True))
            except Exception as exc:
                bad.append(make_invalid_tool_call(raw, str(exc)))
        return ChatResult(
            generations=[
                ChatGeneration(
                    message=AIMessage(
                        content=choice["message"].get("content") or "",
                        tool_calls=calls,
                        invalid_tool_calls=bad,
                        usage_metadata=self._usage(data.get("usage")),
                        response_metadata={
                            "model_name": data.get("model"),
                            "finish_reason": choice.get("finish_reason"),
                        },
                    )
                )
            ]
        )

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        return asyncio.run(self._agenerate(messages, stop=stop, **kwargs))

    async def _astream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> AsyncIterator[ChatGenerationChunk]:
        body = {
            **self._body(messages, stop, kwargs),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        usage, finish = None, None
        async with self._session() as session:
            async with session.post(
                f"{self.base_url.rstrip('/')}/chat/completions", json=body
            ) as response:
                await self._check(response)
                async for line in response.content:
                    if not line.startswith(b"data:") or line[5:].strip() == b"[DONE]":
                        continue
                    event = json.loads(line[5:])
                    if event.get("error"):
                        raise BridgeError(200, str(event["error"]))
                    usage = event.get("usage") or usage
                    for choice in event.get("choices") or []:
                        finish = choice.get("finish_reason") or finish
                        delta = choice.get("delta") or {}
                        parts = [
                            tool_call_chunk(
                                name=(c.get("function") or {}).get("name"),
                                id=c.get("id"),
                                args=(c.get("function") or {}).get("arguments"),
                                index=c.get("index"),
                            )
                            for c in delta.get("tool_calls") or []
                        ]
                        chunk = ChatGenerationChunk(
                            message=AIMessageChunk(
                                content=delta.get("content") or "", tool_call_chunks=parts
                            )
                        )
                        if run_manager:
                            await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk
        if not finish:
            raise BridgeError(200, "the stream ended before the answer did")
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                usage_metadata=self._usage(usage),
                response_metadata={"finish_reason": finish, "model_name": self.model},
            )
        )
