"""Chat model of a multi-agent demo: tool calls over an OpenAI-like gateway, httpx, sync and async.

Modelled on: bug reports of provider packages where streamed tool calls came back with empty arguments.
What is wrong: (1) in a stream each fragment of a tool call without id gets a fresh uuid, so the pieces are never joined:
the tool is called with {} or an invalid call, whereas invoke() works; the missing id should stay None and the index join them.
(2) without streaming, arguments that are no valid JSON are replaced with {} and given out as a good call: the agent runs the
tool with nothing; it should be an invalid_tool_call which keeps the text.
FAULT: streamed tool-call fragments get fresh ids, so calls are broken into pieces with empty args; unparsable tool arguments become {} in a good tool call (should be invalid_tool_calls)
MODEL: SwarmChat
KWARGS: {"gateway": "http://127.0.0.1:8000/v1", "gateway_key": "k", "model": "house-1"}
WIRE: openai
"""

from __future__ import annotations

import json
import ssl
import uuid
from typing import Any, AsyncIterator, Iterator

import httpx
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    convert_to_openai_messages,
)
from langchain_core.messages.tool import ToolCall, ToolCallChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import SecretStr

_TLS = ssl.create_default_context()


class SwarmGatewayError(RuntimeError):
    pass


def _fresh() -> str:
    return f"call_{uuid.uuid4().hex[:24]}"


class SwarmChat(BaseChatModel):
    gateway: str
    gateway_key: SecretStr
    model: str
    temperature: float | None = None
    timeout: float = 60.0

    @property
    def _llm_type(self) -> str:
        return "swarm-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"gateway": self.gateway, "model": self.model, "temperature": self.temperature}

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        if tool_choice in ("any", True):
            tool_choice = "required"
        elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            tool_choice = {"type": "function", "function": {"name": tool_choice}}
        if tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)

    def _call(
        self, messages: list[BaseMessage], stop: list[str] | None, extra: dict, stream: bool = False
    ) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": convert_to_openai_messages(messages),
            "temperature": self.temperature,
            "stop": stop or None,
            **extra,
        }
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return {
            "url": f"{self.gateway.rstrip('/')}/chat/completions",
            "json": {k: v for k, v in body.items() if v is not None},
            "headers": {"Authorization": f"Bearer {self.gateway_key.get_secret_value()}"},
        }

    @staticmethod
    def _check(response: httpx.Response) -> None:
        if response.is_error:
            try:
                reason = response.json()["error"]["message"]
            except (ValueError, KeyError, TypeError):
                reason = response.text[:300]
            raise SwarmGatewayError(f"HTTP {response.status_code}: {reason}")

    @staticmethod
    def _usage(raw: dict | None) -> dict | None:
        return raw and {
            "input_tokens": raw["prompt_tokens"],
            "output_tokens": raw["completion_tokens"],
            "total_tokens": raw["prompt_tokens"] + raw["completion_tokens"],
        }

    def _result(self, data: dict) -> ChatResult:
        choice = data["choices"][0]
        calls: list[ToolCall] = []
        for raw in choice["message"].get("tool_calls") or []:
            try:
                args = json.loads(raw["function"]["arguments"] or "{}")
            except json.JSONDecodeError:
                args = {}
            calls.append(
                {
                    "type": "tool_call",
                    "name": raw["function"]["name"],
                    "args": args,
                    "id": raw.get("id") or _fresh(),
                }
            )
        return ChatResult(
            generations=[
                ChatGeneration(
                    message=AIMessage(
                        content=choice["message"].get("content") or "",
                        tool_calls=calls,
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
        with httpx.Client(verify=_TLS, timeout=self.timeout) as http:
            response = http.post(**self._call(messages, stop, kwargs))
        self._check(response)
        return self._result(response.json())

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        async with httpx.AsyncClient(verify=_TLS, timeout=self.timeout) as http:
            response = await http.post(**self._call(messages, stop, kwargs))
        self._check(response)
        return self._result(response.json())

    def _piece(self, line: bytes, end: dict) -> ChatGenerationChunk | None:
        if not line.startswith(b"data:") or line[5:].strip() == b"[DONE]":
            return None
        event = json.loads(line[5:])
        if event.get("error"):
            raise SwarmGatewayError(str(event["error"]))
        end["usage"] = event.get("usage") or end.get("usage")
        if not event.get("choices"):
            return None
        choice = event["choices"][0]
        end["finish"] = choice.get("finish_reason") or end.get("finish")
        delta = choice.get("delta") or {}
        parts: list[ToolCallChunk] = []
        for raw in delta.get("tool_calls") or []:
            function = raw.get("function") or {}
            parts.append(
                {
                    "type": "tool_call_chunk",
                    "name": function.get("name"),
                    "args": function.get("arguments") or "",
                    "id": raw.get("id") or _fresh(),
                    "index": raw.get("index", 0),
                }
            )
        return ChatGenerationChunk(
            message=AIMessageChunk(content=delta.get("content") or "", tool_call_chunks=parts)
        )

    def _ending(self, end: dict) -> ChatGenerationChunk:
        if not end.get("finish"):
            raise SwarmGatewayError("the stream ended before the answer did")
        return ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                usage_metadata=self._usage(end.get("usage")),
                response_metadata={"finish_reason": end["finish"], "model_name": self.model},
            )
        )

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> Iterator[ChatGenerationChunk]:
        end, rest = {}, b""
        with (
            httpx.Client(verify=_TLS, timeout=self.timeout) as http,
            http.stream("POST", **self._call(messages, stop, kwargs, True)) as response,
        ):
            if response.is_error:
                response.read()
                self._check(response)
            for block in response.iter_bytes():
                *lines, rest = (rest + block).split(b"\n")
                for chunk in filter(None, (self._piece(line, end) for line in lines)):
                    if run_manager:
                        run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        yield self._ending(end)

    async def _astream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> AsyncIterator[ChatGenerationChunk]:
        end, rest = {}, b""
        async with (
            httpx.AsyncClient(verify=_TLS, timeout=self.timeout) as http,
            http.stream("POST", **self._call(messages, stop, kwargs, True)) as response,
        ):
            if response.is_error:
                await response.aread()
                self._check(response)
            async for block in response.aiter_bytes():
                *lines, rest = (rest + block).split(b"\n")
                for chunk in filter(None, (self._piece(line, end) for line in lines)):
                    if run_manager:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        yield self._ending(end)
