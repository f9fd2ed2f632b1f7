"""Modelled on: wrappers that had tools added to `_generate` only: the stream was written for a chat window and yields
`delta.content`, skipping every event without text.

Wrong: where LangChain streams, tool calls are gone. What the user feels: an agent works with invoke and stops doing
anything once it is run with stream_mode="messages", astream_events or a streaming handler: it gets an empty answer,
or an error that no chunks were returned.

FAULT: the stream drops tool calls: events without text, which is where the calls are, are skipped.

MODEL: WindowChat
KWARGS: {}
WIRE: openai
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    convert_to_openai_messages,
)
from langchain_core.output_parsers.openai_tools import make_invalid_tool_call, parse_tool_call
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import SecretStr


def _usage(usage: dict | None):
    if not usage:
        return None
    return {
        "input_tokens": usage["prompt_tokens"],
        "output_tokens": usage["completion_tokens"],
        "total_tokens": usage["total_tokens"],
    }


class WindowChat(BaseChatModel):
    base_url: str = "http://127.0.0.1:8000/v1"
    api_key: SecretStr | None = None
    model: str = "window"
    temperature: float | None = None

    @property
    def _llm_type(self) -> str:
        return "window-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"base_url": self.base_url, "model": self.model, "temperature": self.temperature}

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        if tool_choice in ("any", True):
            tool_choice = "required"
        elif tool_choice and tool_choice not in ("auto", "none", "required"):
            tool_choice = {"type": "function", "function": {"name": tool_choice}}
        if tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        body = {
            "model": self.model,
            "messages": convert_to_openai_messages(messages),
            "temperature": self.temperature,
            "stop": stop or None,
            **kwargs,
        }
        headers = (
            {"Authorization": f"Bearer {self.api_key.get_secret_value()}"} if self.api_key else {}
        )
        return {
            "url": self.base_url.rstrip("/") + "/chat/completions",
            "json": {k: v for k, v in body.items() if v is not None},
            "headers": headers,
            "timeout": 60,
        }

    def _result(self, response: httpx.Response) -> ChatResult:
        response.raise_for_status()
        data = response.json()
        choice = data["choices"][0]
        calls, bad = [], []
        for raw in choice["message"].get("tool_calls") or []:
            try:
                calls.append(parse_tool_call(raw, return_id=True))
            except Exception as e:
                bad.append(make_invalid_tool_call(raw, str(e)))
        message = AIMessage(
            content=choice["message"].get("content") or "",
            tool_calls=calls,
            invalid_tool_calls=bad,
            usage_metadata=_usage(data.get("usage")),
            response_metadata={
                "model_name": data.get("model"),
                "finish_reason": choice.get("finish_reason"),
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        kwargs.pop("stream", None)
        with httpx.Client() as client:
            return self._result(client.post(**self._request(messages, stop, kwargs)))

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        kwargs.pop("stream", None)
        async with httpx.AsyncClient() as client:
            return self._result(await client.post(**self._request(messages, stop, kwargs)))

    @staticmethod
    def _chunk(line: str) -> ChatGenerationChunk | None:
        if not line.startswith("data:") or line[5:].strip() == "[DONE]":
            return None
        data = json.loads(line[5:])
        if data.get("usage"):
            return ChatGenerationChunk(
                message=AIMessageChunk(content="", usage_metadata=_usage(data["usage"]))
            )
        choice = data["choices"][0]
        text = choice["delta"].get("content")
        if choice.get("finish_reason"):
            told = {"model_name": data.get("model"), "finish_reason": choice["finish_reason"]}
            return ChatGenerationChunk(
                message=AIMessageChunk(content=text or "", response_metadata=told)
            )
        if not text:
            return None
        return ChatGenerationChunk(message=AIMessageChunk(content=text))

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> Iterator[ChatGenerationChunk]:
        kwargs |= {"stream": True, "stream_options": {"include_usage": True}}
        with (
            httpx.Client() as client,
            client.stream("POST", **self._request(messages, stop, kwargs)) as response,
        ):
            if response.is_error:
                response.read()
            response.raise_for_status()
            for line in response.iter_lines():
                if (chunk := self._chunk(line)) is not None:
                    yield chunk

    async def _astream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> AsyncIterator[ChatGenerationChunk]:
        kwargs |= {"stream": True, "stream_options": {"include_usage": True}}
        async with httpx.AsyncClient() as client:
            async with client.stream("POST", **self._request(messages, stop, kwargs)) as response:
                if response.is_error:
                    await response.aread()
                response.raise_for_status()
                async for line in response.aiter_lines():
                    if (chunk := self._chunk(line)) is not None:
                        yield chunk
