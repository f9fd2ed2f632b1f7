"""Async-only chat model used by an agent service: aiohttp, one session per call, sync refused in plain words.

Modelled on: adapters of agent back ends whose `_generate` raises because everything runs on the event loop.
What is right: `ainvoke` and `astream` never block the loop and stop with the task (cancelling closes the request);
sync use raises NotImplementedError saying what to call; retries its own 503/connect failures with asyncio.sleep, never
after the first token; errors carry the server's words; no tools offered, so bind_tools stays unimplemented.
MODEL: AgentBusChat
KWARGS: {"bus_url": "http://127.0.0.1:8000/v1", "bus_token": "t-1", "engine": "house-1"}
WIRE: openai
"""

import asyncio
import json
from typing import Any, AsyncIterator, List, Optional

import aiohttp
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel, LangSmithParams
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, Field, SecretStr, field_validator


class BusError(Exception):
    pass


class BusBusy(BusError):
    """503, or nobody listening: worth another try."""


def _say(message: BaseMessage) -> dict:
    if isinstance(message, SystemMessage):
        role = "system"
    elif isinstance(message, HumanMessage):
        role = "user"
    elif isinstance(message, AIMessage):
        if message.tool_calls:
            raise NotImplementedError("AgentBusChat speaks text only; tool calls cannot be sent.")
        role = "assistant"
    elif isinstance(message, ChatMessage):
        role = message.role
    else:
        raise NotImplementedError(f"AgentBusChat cannot send a {type(message).__name__}.")
    if isinstance(message.content, list):
        for block in message.content:
            if isinstance(block, dict) and block.get("type") != "text":
                raise NotImplementedError(
                    f"AgentBusChat speaks text only, not {block.get('type')!r} blocks."
                )
    return {"role": role, "content": str(message.text)}


class AgentBusChat(BaseChatModel):
    model_config = ConfigDict(extra="forbid")

    bus_url: str
    bus_token: SecretStr
    engine: str = "house-1"
    temperature: Optional[float] = Field(default=None, ge=0, le=2)
    patience: float = Field(
        default=60.0, gt=0, description="seconds to wait between two pieces of an answer"
    )
    tries: int = Field(default=3, ge=1)
    pause: float = Field(default=0.2, ge=0)

    @field_validator("bus_url")
    @classmethod
    def _no_slash(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("bus_url must begin with http:// or https://")
        return value.rstrip("/")

    @property
    def _llm_type(self) -> str:
        return "agent-bus"

    @property
    def _identifying_params(self) -> dict:
        return {"bus_url": self.bus_url, "engine": self.engine, "temperature": self.temperature}

    def _get_ls_params(self, stop: Optional[List[str]] = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"], params["ls_model_name"] = (
            "agent_bus",
            kwargs.get("model", self.engine),
        )
        return params

    def _generate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager: Optional[CallbackManagerForLLMRun] = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise NotImplementedError("AgentBusChat is async only: use ainvoke, astream or abatch.")

    def _body(self, messages: List[BaseMessage], stop: Optional[List[str]], **more: Any) -> dict:
        body: dict = {"model": self.engine, "messages": [_say(m) for m in messages]}
        if self.temperature is not None:
            body["temperature"] = self.temperature
        if stop:
            body["stop"] = list(stop)
        return {**body, **more}

    async def _ask(self, session: aiohttp.ClientSession, body: dict) -> aiohttp.ClientResponse:
        """Opens the answer; tries again while nothing has been received yet."""
        for left in reversed(range(self.tries)):
            try:
                response = await session.post(self.bus_url + "/chat/completions", json=body)
                if response.status < 400:
                    return response
                text = await response.text()
                response.release()
                try:
                    text = json.loads(text)["error"]["message"]
                except (ValueError, KeyError, TypeError):
                    text = text[:300]
                raise (BusBusy if response.status == 503 else BusError)(
                    f"HTTP {response.status}: {text}"
                )
            except (BusBusy, aiohttp.ClientConnectorError):
                if not left:
                    raise
            await asyncio.sleep(self.pause)
        raise AssertionError("unreachable")

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            headers={"Authorization": "Bearer " + self.bus_token.get_secret_value()},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=self.patience),
            read_bufsize=2**22,
        )

    @staticmethod
    def _count(usage: Optional[dict]) -> Optional[dict]:
        if not usage:
            return None
        a, b = int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0))
        return {"input_tokens": a, "output_tokens": b, "total_tokens": a + b}

    async def _agenerate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager: Optional[AsyncCallbackManagerForLLMRun] = None,
        **kwargs: Any,
    ) -> ChatResult:
        async with self._session() as session:
            async with await self._ask(session, self._body(messages, stop, **kwargs)) as response:
                data = await response.json(content_type=None)
        if not data.get("choices"):
            raise BusError(f"the bus sent no choices: {str(data)[:300]}")
        first = data["choices"][0]
        reply = AIMessage(
            content=first["message"].get("content") or "",
            usage_metadata=self._count(data.get("usage")),
            response_metadata={
                "model_name": data.get("model"),
                "finish_reason": first.get("finish_reason"),
            },
        )
        return ChatResult(generations=[ChatGeneration(message=reply)])

    async def _astream(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager: Optional[AsyncCallbackManagerForLLMRun] = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        body = self._body(
            messages, stop, **{**kwargs, "stream": True, "stream_options": {"include_usage": True}}
        )
        reason, usage, name = None, None, None
        async with self._session() as session:
            async with await self._ask(session, body) as response:
                async for line in response.content:
                    field, _, value = line.strip().partition(b":")
                    if field != b"data":
                        continue
                    if value.strip() == b"[DONE]":
                        break
                    event = json.loads(value)
                    if "error" in event:
                        raise BusError(f"broken off: {event['error']}")
                    usage, name = event.get("usage") or usage, event.get("model") or name
                    for choice in event.get("choices", [])[:1]:
                        reason = choice.get("finish_reason") or reason
                        text = (choice.get("delta") or {}).get("content")
                        if text:
                            chunk = ChatGenerationChunk(message=AIMessageChunk(content=text))
                            if run_manager is not None:
                                await run_manager.on_llm_new_token(text, chunk=chunk)
                            yield chunk
        if reason is None:
            raise BusError("broken off: the connection ended before the answer did")
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                usage_metadata=self._count(usage),
                response_metadata={"finish_reason": reason, "model_name": name or self.engine},
            )
        )
