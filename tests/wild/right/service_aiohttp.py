"""Modelled on: async services (FastAPI back ends, bots) whose chat model wraps an aiohttp session and whose sync side
is closed on purpose: `_generate` raises NotImplementedError and says what to use.

Right: native `_agenerate` and `_astream`, a session per call (so no loop owns it), the stream read as bytes and cut at
line feeds only, tool calls in fragments, usage asked for and told once, errors raised, a stream without its end is
an error. Sync calls are refused honestly.

MODEL: AsyncGatewayChat
KWARGS: {}
WIRE: openai
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import aiohttp
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
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.output_parsers.openai_tools import make_invalid_tool_call, parse_tool_call
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils import secret_from_env
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, SecretStr


class GatewayError(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"the gateway answered {status}: {text[:400]}")
        self.status = status


class GatewayProtocolError(Exception):
    """An answer that is none."""


def _usage(usage: dict[str, Any] | None) -> UsageMetadata | None:
    if not usage:
        return None
    read, written = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
    return UsageMetadata(
        input_tokens=read,
        output_tokens=written,
        total_tokens=usage.get("total_tokens") or read + written,
    )


def _sendable(message: BaseMessage) -> BaseMessage:
    """Without the blocks that chat completions have elsewhere (calls) or nowhere (thoughts)."""
    if not isinstance(message, AIMessage) or isinstance(message.content, str):
        return message
    left_out = ("tool_call", "invalid_tool_call", "tool_use", "reasoning", "thinking")
    kept = [b for b in message.content if isinstance(b, str) or b.get("type") not in left_out]
    return message.model_copy(update={"content": kept})


class AsyncGatewayChat(BaseChatModel):
    """Async only. `server_url` is the base that has `/chat/completions` under it."""

    server_url: str = "http://127.0.0.1:8000/v1"
    token: SecretStr | None = Field(default_factory=secret_from_env("GATEWAY_TOKEN", default=None))
    model_name: str = "gateway-default"
    temperature: float | None = None
    max_tokens: int | None = None
    timeout: float = 60.0

    @property
    def _llm_type(self) -> str:
        return "async-gateway"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return self.model_dump(include={"server_url", "model_name", "temperature", "max_tokens"})

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return LangSmithParams(
            **{**super()._get_ls_params(stop=stop, **kwargs), "ls_provider": "gateway"}
        )

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        formatted = [convert_to_openai_tool(tool, strict=strict) for tool in tools]
        names = [tool["function"]["name"] for tool in formatted if "function" in tool]
        if tool_choice is True or tool_choice == "any":
            tool_choice = "required"
        elif isinstance(tool_choice, str) and tool_choice in names:
            tool_choice = {"type": "function", "function": {"name": tool_choice}}
        elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            raise ValueError(f"tool_choice={tool_choice!r} is none of {names}")
        if tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=formatted, **kwargs)

    def _payload(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        own = {
            "model": self.model_name,
            "messages": convert_to_openai_messages(
                [_sendable(m) for m in messages], pass_through_unknown_blocks=False
            ),
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "stop": stop or None,
        }
        return {k: v for k, v in {**own, **kwargs}.items() if v is not None and k != "stream"}

    def _session(self) -> aiohttp.ClientSession:
        headers = {"Authorization": f"Bearer {self.token.get_secret_value()}"} if self.token else {}
        return aiohttp.ClientSession(
            headers=headers, timeout=aiohttp.ClientTimeout(total=None, sock_read=self.timeout)
        )

    @property
    def _address(self) -> str:
        return self.server_url.rstrip("/") + "/chat/completions"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise NotImplementedError("AsyncGatewayChat is async only: use ainvoke, astream or abatch")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        payload = self._payload(messages, stop, kwargs)
        async with (
            self._session() as session,
            session.post(self._address, json=payload) as response,
        ):
            text = await response.text()
            if response.status >= 400:
                raise GatewayError(response.status, text)
        try:
            answer = json.loads(text)
            choice = answer["choices"][0]
            said = choice["message"]
        except (ValueError, LookupError, TypeError) as error:
            raise GatewayProtocolError(f"no chat completion: {text[:200]!r}") from error
        calls, bad = [], []
        for raw in said.get("tool_calls") or []:
            try:
                calls.append(parse_tool_call(raw, return_id=True))
            except Exception as error:
                bad.append(make_invalid_tool_call(raw, str(error)))
        extra = {k: said[k] for k in ("refusal", "reasoning_content") if said.get(k)}
        message = AIMessage(
            content=said.get("content") or "",
            additional_kwargs=extra,
            tool_calls=calls,
            invalid_tool_calls=bad,
            usage_metadata=_usage(answer.get("usage")),
            response_metadata={
                "model_name": answer.get("model"),
                "finish_reason": choice.get("finish_reason"),
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        payload = self._payload(messages, stop, kwargs) | {
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        rest, complete = b"", False
        async with (
            self._session() as session,
            session.post(self._address, json=payload) as response,
        ):
            if response.status >= 400:
                raise GatewayError(response.status, await response.text())
            async for data in response.content.iter_any():
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    if not line.startswith(b"data:"):
                        continue
                    event = line[5:].strip()
                    if event == b"[DONE]":
                        complete = True
                        continue
                    chunk, finished = self._chunk(json.loads(event))
                    complete = complete or finished
                    if chunk is not None:
                        yield chunk
        if not complete:
            raise GatewayProtocolError("the stream ended before the answer did")

    @staticmethod
    def _chunk(event: dict[str, Any]) -> tuple[ChatGenerationChunk | None, bool]:
        if "error" in event:
            raise GatewayProtocolError(f"the gateway broke off: {event['error']}")
        usage = _usage(event.get("usage"))
        choice = next(iter(event.get("choices") or []), {})
        delta = choice.get("delta") or {}
        finish = choice.get("finish_reason")
        if not choice and usage is None:
            return None, False
        message = AIMessageChunk(
            content=delta.get("content") or "",
            additional_kwargs={
                k: delta[k] for k in ("refusal", "reasoning_content") if delta.get(k)
            },
            tool_call_chunks=[
                tool_call_chunk(
                    name=(call.get("function") or {}).get("name"),
                    args=(call.get("function") or {}).get("arguments"),
                    id=call.get("id"),
                    index=call.get("index", 0),
                )
                for call in delta.get("tool_calls") or []
            ],
            usage_metadata=usage,
            response_metadata={"model_name": event.get("model"), "finish_reason": finish}
            if finish
            else {},
        )
        return ChatGenerationChunk(message=message), bool(finish)
