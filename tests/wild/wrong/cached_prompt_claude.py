"""Chat model on the anthropic SDK that sets prompt-cache marks by itself.

Modelled on: cost-saving wrappers which add cache_control to the newest message; reports of double counted usage in streams.
What is wrong: (1) the cache mark is written into the caller's own message object: the history the user keeps changes from text
to blocks, marks pile up turn by turn until the server refuses (more than four), and other models get odd content;
a copy should be marked. (2) in a stream the usage of message_start is given out and then given out again, together
with the output, at message_delta: LangChain adds chunks up, so input tokens (and cost) are doubled; each should count once.
FAULT: caller's message objects are mutated (content turned into blocks with cache_control); stream counts input tokens twice (message_start and message_delta)
MODEL: CachedPromptChat
KWARGS: {"base_url": "http://127.0.0.1:8000", "api_key": "k", "model": "house-1"}
WIRE: anthropic
"""

from __future__ import annotations

from typing import Any, AsyncIterator, Iterator, Optional

import anthropic
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import SecretStr


class CachedPromptChat(BaseChatModel):
    base_url: str = "https://api.anthropic.com"
    api_key: SecretStr
    model: str
    max_tokens: int = 1024
    temperature: Optional[float] = None
    cache_last: bool = True
    timeout: float = 60.0

    @property
    def _llm_type(self) -> str:
        return "cached-prompt-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "base_url": self.base_url,
            "model": self.model,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
        }

    def _client_args(self) -> dict[str, Any]:
        return {
            "base_url": self.base_url,
            "api_key": self.api_key.get_secret_value(),
            "timeout": self.timeout,
            "max_retries": 0,
        }

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        made = []
        for t in tools:
            fn = convert_to_openai_tool(t)["function"]
            made.append(
                {
                    "name": fn["name"],
                    "description": fn.get("description", ""),
                    "input_schema": fn.get("parameters") or {"type": "object", "properties": {}},
                }
            )
        if tool_choice in ("any", "required", True):
            kwargs["tool_choice"] = {"type": "any"}
        elif tool_choice in ("auto", "none"):
            kwargs["tool_choice"] = {"type": tool_choice}
        elif isinstance(tool_choice, str):
            kwargs["tool_choice"] = {"type": "tool", "name": tool_choice}
        elif tool_choice:
            kwargs["tool_choice"] = dict(tool_choice)
        return self.bind(tools=made, **kwargs)

    def _mark(self, messages: list[BaseMessage]) -> None:
        """Asks the server to cache everything up to the newest human message."""
        newest = next((m for m in reversed(messages) if isinstance(m, HumanMessage)), None)
        if newest is None or not self.cache_last:
            return
        if isinstance(newest.content, str):
            newest.content = [{"type": "text", "text": newest.content}]
        newest.content[-1]["cache_control"] = {"type": "ephemeral"}

    @staticmethod
    def _blocks(content: Any) -> list[dict]:
        parts = [content] if isinstance(content, str) else content
        parts = [{"type": "text", "text": p} if isinstance(p, str) else p for p in parts]
        for p in parts:
            if p["type"] not in ("text", "tool_use", "image"):
                raise NotImplementedError(f"CachedPromptChat cannot send {p['type']!r} content")
        return [p for p in parts if p["type"] != "tool_use" and (p["type"] != "text" or p["text"])]

    def _params(
        self, messages: list[BaseMessage], stop: Optional[list[str]], kwargs: dict
    ) -> dict[str, Any]:
        self._mark(messages)
        system, turns = [], []
        for m in messages:
            if isinstance(m, SystemMessage):
                system += self._blocks(m.content)
                continue
            if isinstance(m, AIMessage):
                role, blocks = (
                    "assistant",
                    self._blocks(m.content)
                    + [
                        {"type": "tool_use", "id": c["id"], "name": c["name"], "input": c["args"]}
                        for c in m.tool_calls
                    ],
                )
            elif isinstance(m, ToolMessage):
                role, blocks = (
                    "user",
                    [
                        {
                            "type": "tool_result",
                            "tool_use_id": m.tool_call_id,
                            "content": self._blocks(m.content),
                        }
                    ],
                )
            else:
                role, blocks = "user", self._blocks(m.content)
            if turns and turns[-1]["role"] == role:
                turns[-1]["content"] += blocks
            else:
                turns.append({"role": role, "content": blocks})
        params = {
            "model": self.model,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "stop_sequences": stop or None,
            "system": system or None,
            **kwargs,
            "messages": turns,
        }
        params = {k: v for k, v in params.items() if v is not None}
        if "temperature" in params:  # recent SDKs take sampling settings through the body
            params["extra_body"] = {"temperature": params.pop("temperature")}
        return params

    @staticmethod
    def _usage(raw: Any, output: Optional[int] = None) -> dict:
        read = (
            (raw.input_tokens or 0)
            + (raw.cache_read_input_tokens or 0)
            + (raw.cache_creation_input_tokens or 0)
        )
        made = (raw.output_tokens or 0) if output is None else output
        return {"input_tokens": read, "output_tokens": made, "total_tokens": read + made}

    def _result(self, answer: Any) -> ChatResult:
        text = "".join(b.text for b in answer.content if b.type == "text")
        calls = [
            {"type": "tool_call", "id": b.id, "name": b.name, "args": dict(b.input)}
            for b in answer.content
            if b.type == "tool_use"
        ]
        return ChatResult(
            generations=[
                ChatGeneration(
                    message=AIMessage(
                        content=text,
                        tool_calls=calls,
                        usage_metadata=self._usage(answer.usage),
                        response_metadata={
                            "model_name": answer.model,
                            "stop_reason": answer.stop_reason,
                        },
                    )
                )
            ]
        )

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        with anthropic.Anthropic(**self._client_args()) as client:
            return self._result(client.messages.create(**self._params(messages, stop, kwargs)))

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        async with anthropic.AsyncAnthropic(**self._client_args()) as client:
            return self._result(
                await client.messages.create(**self._params(messages, stop, kwargs))
            )

    def _chunk(self, event: Any, seen: dict) -> Optional[ChatGenerationChunk]:
        if event.type == "message_start":
            seen["start"] = event.message.usage
            return ChatGenerationChunk(
                message=AIMessageChunk(
                    content="",
                    usage_metadata=self._usage(seen["start"], 0),
                    response_metadata={"model_name": event.message.model},
                )
            )
        if event.type == "content_block_start" and event.content_block.type == "tool_use":
            block = event.content_block
            return ChatGenerationChunk(
                message=AIMessageChunk(
                    content="",
                    tool_call_chunks=[
                        tool_call_chunk(name=block.name, id=block.id, args="", index=event.index)
                    ],
                )
            )
        if event.type == "content_block_delta" and event.delta.type == "text_delta":
            return ChatGenerationChunk(message=AIMessageChunk(content=event.delta.text))
        if event.type == "content_block_delta" and event.delta.type == "input_json_delta":
            return ChatGenerationChunk(
                message=AIMessageChunk(
                    content="",
                    tool_call_chunks=[
                        tool_call_chunk(args=event.delta.partial_json, index=event.index)
                    ],
                )
            )
        if event.type == "message_delta":
            return ChatGenerationChunk(
                message=AIMessageChunk(
                    content="",
                    usage_metadata=self._usage(seen["start"], event.usage.output_tokens),
                    response_metadata={"stop_reason": event.delta.stop_reason},
                )
            )
        if event.type == "message_stop":
            seen["stopped"] = True
        return None

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> Iterator[ChatGenerationChunk]:
        seen: dict[str, Any] = {}
        with anthropic.Anthropic(**self._client_args()) as client:
            with client.messages.create(
                stream=True, **self._params(messages, stop, kwargs)
            ) as events:
                for event in events:
                    if chunk := self._chunk(event, seen):
                        if run_manager:
                            run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk
        if not seen.get("stopped"):
            raise RuntimeError("the stream ended before the answer did")

    async def _astream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> AsyncIterator[ChatGenerationChunk]:
        seen: dict[str, Any] = {}
        async with anthropic.AsyncAnthropic(**self._client_args()) as client:
            async with await client.messages.create(
                stream=True, **self._params(messages, stop, kwargs)
            ) as events:
                async for event in events:
                    if chunk := self._chunk(event, seen):
                        if run_manager:
                            await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk
        if not seen.get("stopped"):
            raise RuntimeError("the stream ended before the answer did")
