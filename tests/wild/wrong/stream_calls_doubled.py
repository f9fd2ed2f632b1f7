"""An accelerator vendor's chat completions, where streamed tool calls are told twice.

Modelled on: a vendor package's issue of 2025 (streamed tool calls come doubled) and classes that gather the
deltas of tool calls for themselves "to be safe" and give them once more, whole, with the last chunk.

Wrong: the whole calls come without an index, so LangChain does not see that they are the ones that it has.
The user feels it in every agent that streams: each tool runs twice (two mails, two orders), under one and the
same id, and a strict server refuses the next turn for its double ids. `invoke` without a streaming callback
works.

FAULT: When it streams, the complete tool calls are yielded again after their deltas, without an index, so that the merged message has every call twice.
MODEL: ChatAccelerator
KWARGS: {}
WIRE: openai
"""

from __future__ import annotations

import json
from typing import Any, AsyncIterator, Iterator, Sequence

import httpx
from langchain_core.language_models import BaseChatModel
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


class _Gather:
    def __init__(self) -> None:
        self.calls: dict[int, dict[str, str]] = {}
        self.finish: str | None = None

    def add(self, delta: dict[str, Any]) -> None:
        call = self.calls.setdefault(delta["index"], {"name": "", "args": "", "id": ""})
        function = delta.get("function") or {}
        call["name"] = function.get("name") or call["name"]
        call["args"] += function.get("arguments") or ""
        call["id"] = delta.get("id") or call["id"]


class ChatAccelerator(BaseChatModel):
    model: str = "accel-70b"
    base_url: str = "http://localhost:8000/v1"
    api_key: SecretStr | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    timeout: float = 60.0

    @property
    def _llm_type(self) -> str:
        return "chat-accelerator"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "base_url": self.base_url,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, stream: bool, kwargs: dict
    ) -> dict:
        body = {
            "model": self.model,
            "messages": convert_to_openai_messages(messages),
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "stop": stop,
            **kwargs,
            "stream": stream,
        }
        if stream:
            body["stream_options"] = {"include_usage": True}
        headers = (
            {"Authorization": f"Bearer {self.api_key.get_secret_value()}"} if self.api_key else {}
        )
        return {
            "url": self.base_url.rstrip("/") + "/chat/completions",
            "json": {k: v for k, v in body.items() if v is not None},
            "headers": headers,
        }

    @staticmethod
    def _usage(raw: dict | None) -> dict | None:
        if not raw:
            return None
        return {
            "input_tokens": raw["prompt_tokens"],
            "output_tokens": raw["completion_tokens"],
            "total_tokens": raw["total_tokens"],
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
            usage_metadata=self._usage(data.get("usage")),
            response_metadata={
                "model_name": data["model"],
                "finish_reason": choice["finish_reason"],
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _chunks(self, line: str, gather: _Gather) -> list[ChatGenerationChunk]:
        if not line.startswith("data:") or line[5:].strip() == "[DONE]":
            return []
        event = json.loads(line[5:])
        if event.get("error"):
            raise RuntimeError(f"stream error: {event['error']}")
        if not event.get("choices"):
            usage = self._usage(event.get("usage"))
            return (
                [ChatGenerationChunk(message=AIMessageChunk(content="", usage_metadata=usage))]
                if usage
                else []
            )
        choice = event["choices"][0]
        delta = choice.get("delta") or {}
        pieces = []
        for item in delta.get("tool_calls") or []:
            gather.add(item)
            function = item.get("function") or {}
            pieces.append(
                tool_call_chunk(
                    name=function.get("name"),
                    args=function.get("arguments"),
                    id=item.get("id"),
                    index=item["index"],
                )
            )
        chunks = [
            ChatGenerationChunk(
                message=AIMessageChunk(content=delta.get("content") or "", tool_call_chunks=pieces)
            )
        ]
        if choice.get("finish_reason"):
            gather.finish = choice["finish_reason"]
            # the complete calls, for consumers that only look at the last chunk
            whole = [
                tool_call_chunk(name=call["name"], args=call["args"], id=call["id"], index=None)
                for call in gather.calls.values()
            ]
            chunks.append(
                ChatGenerationChunk(
                    message=AIMessageChunk(
                        content="",
                        tool_call_chunks=whole,
                        response_metadata={
                            "finish_reason": gather.finish,
                            "model_name": event.get("model"),
                        },
                    )
                )
            )
        return chunks

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        with httpx.Client(timeout=self.timeout) as client:
            return self._result(client.post(**self._request(messages, stop, False, kwargs)))

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        async with httpx.AsyncClient(timeout=self.timeout) as client:
            return self._result(await client.post(**self._request(messages, stop, False, kwargs)))

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        gather = _Gather()
        with (
            httpx.Client(timeout=self.timeout) as client,
            client.stream("POST", **self._request(messages, stop, True, kwargs)) as response,
        ):
            response.raise_for_status()
            for line in response.iter_lines():
                for chunk in self._chunks(line, gather):
                    if run_manager:
                        run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        if gather.finish is None:
            raise RuntimeError("the stream ended early")

    async def _astream(
        self, messages, stop=None, run_manager=None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        gather = _Gather()
        async with (
            httpx.AsyncClient(timeout=self.timeout) as client,
            client.stream("POST", **self._request(messages, stop, True, kwargs)) as response,
        ):
            response.raise_for_status()
            async for line in response.aiter_lines():
                for chunk in self._chunks(line, gather):
                    if run_manager:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        if gather.finish is None:
            raise RuntimeError("the stream ended early")

    def bind_tools(self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any):
        if tool_choice == "any":
            tool_choice = "required"
        elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            tool_choice = {"type": "function", "function": {"name": tool_choice}}
        if tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)
