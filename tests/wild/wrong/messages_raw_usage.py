"""Anthropic's Messages by hand over httpx, in a class of a team's own.

Modelled on: private repositories and a cloud vendor's package (2025 and 2026) that read server-sent events of
Messages themselves. Usage comes in two parts, `message_start` (input) and `message_delta` (output), and the
first part is not read.

Wrong: streamed answers say that the prompt cost nothing. The user feels it where usage is summed over an agent
that streams: budgets and invoices are far too low, although the same question by `invoke` is counted well.

FAULT: When it streams, input_tokens is 0 (message_start's usage is dropped), and total_tokens is the output alone.
MODEL: ChatMessagesGateway
KWARGS: {}
WIRE: anthropic
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import httpx
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.tool import tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, SecretStr


def _text(message: BaseMessage) -> str:
    if isinstance(message.content, list):
        for block in message.content:
            if isinstance(block, dict) and block.get("type") != "text":
                raise ValueError(f"this class sends text only, not {block.get('type')!r}")
    return message.text


class ChatMessagesGateway(BaseChatModel):
    model: str = "claude-team"
    base_url: str = "http://localhost:8080"
    api_key: SecretStr = Field(default=SecretStr("none"))
    max_tokens: int = 1024
    temperature: float | None = None
    timeout: float = 60.0

    @property
    def _llm_type(self) -> str:
        return "messages-gateway"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "base_url": self.base_url,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
        }

    def _headers(self) -> dict[str, str]:
        return {"x-api-key": self.api_key.get_secret_value(), "anthropic-version": "2023-06-01"}

    def _url(self) -> str:
        return self.base_url.rstrip("/") + "/v1/messages"

    def _payload(
        self, messages: list[BaseMessage], stop: list[str] | None, **kwargs: Any
    ) -> dict[str, Any]:
        system, turns = [], []
        for m in messages:
            if isinstance(m, SystemMessage):
                system.append(_text(m))
                continue
            if isinstance(m, ToolMessage):
                role = "user"
                parts = [
                    {"type": "tool_result", "tool_use_id": m.tool_call_id, "content": _text(m)}
                ]
            elif isinstance(m, AIMessage):
                role = "assistant"
                parts = [{"type": "text", "text": m.text}] if m.text.strip() else []
                parts += [
                    {"type": "tool_use", "id": c["id"], "name": c["name"], "input": c["args"]}
                    for c in m.tool_calls
                ]
            else:
                role, parts = "user", [{"type": "text", "text": _text(m)}]
            if not parts:
                continue
            if turns and turns[-1]["role"] == role:
                turns[-1]["content"] += parts
            else:
                turns.append({"role": role, "content": parts})
        payload: dict[str, Any] = {
            "model": self.model,
            "max_tokens": self.max_tokens,
            "messages": turns,
        }
        if system:
            payload["system"] = "\n\n".join(system)
        if self.temperature is not None:
            payload["temperature"] = self.temperature
        if stop:
            payload["stop_sequences"] = stop
        return {**payload, **kwargs}

    @staticmethod
    def _usage(raw: dict[str, Any]) -> dict[str, int]:
        i, o = raw.get("input_tokens", 0), raw.get("output_tokens", 0)
        return {"input_tokens": i, "output_tokens": o, "total_tokens": i + o}

    def _to_result(self, response: httpx.Response) -> ChatResult:
        response.raise_for_status()
        data = response.json()
        text = "".join(b["text"] for b in data["content"] if b["type"] == "text")
        calls = [
            tool_call(name=b["name"], args=b["input"], id=b["id"])
            for b in data["content"]
            if b["type"] == "tool_use"
        ]
        message = AIMessage(
            content=text,
            tool_calls=calls,
            usage_metadata=self._usage(data["usage"]),
            response_metadata={"model_name": data["model"], "stop_reason": data["stop_reason"]},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _to_chunk(self, event: dict[str, Any]) -> ChatGenerationChunk | None:
        kind = event["type"]
        if kind == "error":
            raise RuntimeError(f"Gateway error: {event['error']}")
        message = None
        if kind == "content_block_start" and event["content_block"]["type"] == "tool_use":
            block = event["content_block"]
            message = AIMessageChunk(
                content="",
                tool_call_chunks=[
                    tool_call_chunk(
                        name=block["name"], args="", id=block["id"], index=event["index"]
                    )
                ],
            )
        elif kind == "content_block_delta" and event["delta"]["type"] == "text_delta":
            message = AIMessageChunk(content=event["delta"]["text"])
        elif kind == "content_block_delta" and event["delta"]["type"] == "input_json_delta":
            message = AIMessageChunk(
                content="",
                tool_call_chunks=[
                    tool_call_chunk(
                        name=None,
                        args=event["delta"]["partial_json"],
                        id=None,
                        index=event["index"],
                    )
                ],
            )
        elif kind == "message_delta":
            message = AIMessageChunk(
                content="",
                usage_metadata=self._usage(event.get("usage") or {}),
                response_metadata={
                    "stop_reason": event["delta"].get("stop_reason"),
                    "model_name": self.model,
                },
            )
        return ChatGenerationChunk(message=message) if message is not None else None

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        with httpx.Client(timeout=self.timeout) as client:
            return self._to_result(
                client.post(
                    self._url(),
                    headers=self._headers(),
                    json=self._payload(messages, stop, **kwargs),
                )
            )

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        async with httpx.AsyncClient(timeout=self.timeout) as client:
            return self._to_result(
                await client.post(
                    self._url(),
                    headers=self._headers(),
                    json=self._payload(messages, stop, **kwargs),
                )
            )

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        payload = {**self._payload(messages, stop, **kwargs), "stream": True}
        done = False
        with (
            httpx.Client(timeout=self.timeout) as client,
            client.stream("POST", self._url(), headers=self._headers(), json=payload) as response,
        ):
            response.raise_for_status()
            for line in response.iter_lines():
                if not line.startswith("data:"):
                    continue
                event = json.loads(line[5:])
                done = done or event["type"] == "message_stop"
                chunk = self._to_chunk(event)
                if chunk is not None:
                    if run_manager:
                        run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        if not done:
            raise RuntimeError("Gateway closed the stream early")

    async def _astream(
        self, messages, stop=None, run_manager=None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        payload = {**self._payload(messages, stop, **kwargs), "stream": True}
        done = False
        async with (
            httpx.AsyncClient(timeout=self.timeout) as client,
            client.stream("POST", self._url(), headers=self._headers(), json=payload) as response,
        ):
            response.raise_for_status()
            async for line in response.aiter_lines():
                if not line.startswith("data:"):
                    continue
                event = json.loads(line[5:])
                done = done or event["type"] == "message_stop"
                chunk = self._to_chunk(event)
                if chunk is not None:
                    if run_manager:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        if not done:
            raise RuntimeError("Gateway closed the stream early")

    def bind_tools(self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any):
        formatted = []
        for t in tools:
            f = convert_to_openai_tool(t)["function"]
            formatted.append(
                {
                    "name": f["name"],
                    "description": f.get("description", ""),
                    "input_schema": f["parameters"],
                }
            )
        if tool_choice in ("any", "required"):
            kwargs["tool_choice"] = {"type": "any"}
        elif tool_choice in ("auto", "none"):
            kwargs["tool_choice"] = {"type": tool_choice}
        elif isinstance(tool_choice, str):
            kwargs["tool_choice"] = {"type": "tool", "name": tool_choice}
        elif tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=formatted, **kwargs)
