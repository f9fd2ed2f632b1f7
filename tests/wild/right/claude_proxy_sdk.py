"""Claude-like models behind a company's proxy, asked through Anthropic's own SDK.

Modelled on: private repositories and cloud packages that wrap the `anthropic` client by hand, so that
`endpoint`, `token` and `model_id` come from their configuration.

Right: the SDK's client (strict about what it gets) is made per call and closed; thinking blocks stay in the
content with their signatures, and go back as they came; system messages become `system`; results of tools that
stand side by side become one user turn; stop sequences, usage with its cache part, tools, forced tools.
Structured output is LangChain's own, by a forced tool. The SDK does the retries, before anything is yielded.

MODEL: ClaudeProxyChat
KWARGS: {}
WIRE: anthropic
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from json import JSONDecodeError
from typing import Any

import anthropic
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import SecretStr


def _to_tool(tool: Any) -> dict[str, Any]:
    if isinstance(tool, dict) and "input_schema" in tool:
        return tool
    function = convert_to_openai_tool(tool)["function"]
    return {
        "name": function["name"],
        "description": function.get("description", ""),
        "input_schema": function.get("parameters") or {"type": "object", "properties": {}},
    }


def _image(block: dict[str, Any]) -> dict[str, Any]:
    if block["type"] == "image_url":
        url = (
            block["image_url"]["url"]
            if isinstance(block["image_url"], dict)
            else block["image_url"]
        )
        if url.startswith("data:"):
            head, _, data = url[5:].partition(",")
            return {
                "type": "image",
                "source": {"type": "base64", "media_type": head.split(";")[0], "data": data},
            }
        return {"type": "image", "source": {"type": "url", "url": url}}
    if block.get("source"):  # Anthropic's own form
        return block
    data = block.get("base64") or block.get("data")
    if data:
        return {
            "type": "image",
            "source": {
                "type": "base64",
                "media_type": block.get("mime_type") or "image/png",
                "data": data,
            },
        }
    if block.get("url"):
        return {"type": "image", "source": {"type": "url", "url": block["url"]}}
    raise ValueError("An image needs its data or its URL.")


def _parts(content: str | list[Any]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for block in [content] if isinstance(content, str) else content:
        if isinstance(block, str):
            if block:
                parts.append({"type": "text", "text": block})
        elif block.get("type") == "text":
            if block["text"]:
                part = {"type": "text", "text": block["text"]}
                if "cache_control" in block:
                    part["cache_control"] = block["cache_control"]
                parts.append(part)
        elif block.get("type") in ("image", "image_url"):
            parts.append(_image(block))
        elif block.get("type") == "tool_result":
            parts.append(block)
        else:
            raise ValueError(f"Content of type {block.get('type')!r} can't be sent to this model.")
    return parts


def _thought(block: dict[str, Any]) -> dict[str, Any] | None:
    """A reasoning block as Messages has it; one without a signature can't go back."""
    if block.get("type") == "redacted_thinking":
        return {"type": "redacted_thinking", "data": block["data"]}
    if block.get("type") == "thinking" and block.get("signature"):
        return {
            "type": "thinking",
            "thinking": block.get("thinking", ""),
            "signature": block["signature"],
        }
    if block.get("type") == "reasoning":
        signature = (block.get("extras") or {}).get("signature")
        if signature:
            return {
                "type": "thinking",
                "thinking": block.get("reasoning", ""),
                "signature": signature,
            }
    return None


def _answer_parts(message: AIMessage) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for block in [message.content] if isinstance(message.content, str) else message.content:
        if isinstance(block, str):
            if block.strip():
                parts.append({"type": "text", "text": block})
        elif block.get("type") == "text":
            if (block.get("text") or "").strip():
                parts.append({"type": "text", "text": block["text"]})
        else:
            thought = _thought(block)
            if thought:
                parts.append(thought)
    for call in message.tool_calls:
        parts.append(
            {"type": "tool_use", "id": call["id"], "name": call["name"], "input": call["args"]}
        )
    return parts


@contextmanager
def _spoken() -> Iterator[None]:
    """Says so where what came was no JSON, such as the page of a proxy."""
    try:
        yield
    except JSONDecodeError as error:
        raise ConnectionError("The proxy's answer is no JSON.") from error


class ClaudeProxyChat(BaseChatModel):
    """Anthropic's Messages behind an address of your own."""

    model_id: str = "claude-house"
    endpoint: str = "http://localhost:8080"
    token: SecretStr = SecretStr("none")
    max_tokens: int = 1024
    temperature: float | None = None
    thinking_budget: int | None = None
    timeout: float = 120.0
    max_retries: int = 2

    @property
    def _llm_type(self) -> str:
        return "claude-proxy"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model_id": self.model_id,
            "endpoint": self.endpoint,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "thinking_budget": self.thinking_budget,
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "anthropic"
        params["ls_model_name"] = kwargs.get("model") or self.model_id
        return params

    def _options(self) -> dict[str, Any]:
        return {
            "base_url": self.endpoint,
            "api_key": self.token.get_secret_value(),
            "timeout": self.timeout,
            "max_retries": self.max_retries,
        }

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        system: list[dict[str, Any]] = []
        turns: list[dict[str, Any]] = []
        for message in messages:
            if isinstance(message, SystemMessage):
                system.extend(_parts(message.content))
                continue
            if isinstance(message, AIMessage):
                role, parts = "assistant", _answer_parts(message)
            elif isinstance(message, ToolMessage):
                role = "user"
                result: dict[str, Any] = {
                    "type": "tool_result",
                    "tool_use_id": message.tool_call_id,
                    "content": _parts(message.content),
                }
                if message.status == "error":
                    result["is_error"] = True
                parts = [result]
            elif isinstance(message, HumanMessage):
                role, parts = "user", _parts(message.content)
            else:
                raise ValueError(f"A message of type {message.type!r} can't be sent to this model.")
            if not parts:
                continue
            if turns and turns[-1]["role"] == role:
                turns[-1]["content"].extend(parts)
            else:
                turns.append({"role": role, "content": parts})
        request: dict[str, Any] = {
            "model": self.model_id,
            "max_tokens": self.max_tokens,
            "messages": turns,
        }
        if system:
            request["system"] = system
        if self.temperature is not None:
            request["temperature"] = self.temperature
        if stop:
            request["stop_sequences"] = stop
        if self.thinking_budget:
            request["thinking"] = {"type": "enabled", "budget_tokens": self.thinking_budget}
        request.update(kwargs)
        request.pop("stream", None)
        # Sampling goes on the wire by itself: not every version of the SDK names these parameters.
        sampling = {
            key: request.pop(key) for key in ("temperature", "top_p", "top_k") if key in request
        }
        if sampling:
            request["extra_body"] = {**sampling, **(request.get("extra_body") or {})}
        return request

    @staticmethod
    def _usage(usage: Any, written: int | None = None) -> UsageMetadata:
        made = usage.cache_creation_input_tokens or 0
        read = usage.cache_read_input_tokens or 0
        entire = (usage.input_tokens or 0) + made + read
        output = usage.output_tokens if written is None else written
        result = UsageMetadata(
            input_tokens=entire, output_tokens=output, total_tokens=entire + output
        )
        if made or read:
            result["input_token_details"] = {"cache_creation": made, "cache_read": read}
        return result

    def _message(self, answer: Any) -> AIMessage:
        if getattr(answer, "type", None) != "message" or answer.content is None:
            raise ValueError("The proxy did not answer with a message.")
        blocks: list[dict[str, Any]] = []
        calls = []
        for block in answer.content:
            if block.type == "text":
                blocks.append({"type": "text", "text": block.text})
            elif block.type == "thinking":
                blocks.append(
                    {"type": "thinking", "thinking": block.thinking, "signature": block.signature}
                )
            elif block.type == "redacted_thinking":
                blocks.append({"type": "redacted_thinking", "data": block.data})
            elif block.type == "tool_use":
                blocks.append(
                    {"type": "tool_use", "id": block.id, "name": block.name, "input": block.input}
                )
                calls.append(tool_call(name=block.name, args=dict(block.input), id=block.id))
        plain = all(block["type"] == "text" for block in blocks)
        return AIMessage(
            content="".join(block["text"] for block in blocks) if plain else blocks,  # type: ignore[arg-type]
            tool_calls=calls,
            usage_metadata=self._usage(answer.usage) if answer.usage else None,
            response_metadata={
                "id": answer.id,
                "model_name": answer.model,
                "model_provider": "anthropic",
                "stop_reason": answer.stop_reason,
                "stop_sequence": answer.stop_sequence,
            },
        )

    def _chunk(self, event: Any, state: dict[str, Any]) -> AIMessageChunk | None:
        metadata: dict[str, Any] = {"model_provider": "anthropic"}
        content: str | list[Any]
        if event.type == "message_start":
            state["usage"], state["model"] = event.message.usage, event.message.model
            return None
        if event.type == "content_block_start":
            block = event.content_block
            if block.type != "text":
                state["blocks"] = True  # until then, text is a string, as in an answer in one piece
            if block.type == "tool_use":
                content = [
                    {
                        "type": "tool_use",
                        "id": block.id,
                        "name": block.name,
                        "input": {},
                        "index": event.index,
                    }
                ]
                call = tool_call_chunk(name=block.name, args="", id=block.id, index=event.index)
                return AIMessageChunk(
                    content=content, tool_call_chunks=[call], response_metadata=metadata
                )
            if block.type == "redacted_thinking":
                content = [{"type": "redacted_thinking", "data": block.data, "index": event.index}]
                return AIMessageChunk(content=content, response_metadata=metadata)
            return None
        if event.type == "content_block_delta":
            delta = event.delta
            calls = []
            if delta.type == "text_delta":
                content = delta.text
                if state.get("blocks"):
                    content = [{"type": "text", "text": delta.text, "index": event.index}]
            elif delta.type == "thinking_delta":
                content = [{"type": "thinking", "thinking": delta.thinking, "index": event.index}]
            elif delta.type == "signature_delta":
                content = [{"type": "thinking", "signature": delta.signature, "index": event.index}]
            elif delta.type == "input_json_delta":
                content = [
                    {
                        "type": "input_json_delta",
                        "partial_json": delta.partial_json,
                        "index": event.index,
                    }
                ]
                calls = [
                    tool_call_chunk(name=None, args=delta.partial_json, id=None, index=event.index)
                ]
            else:
                return None
            return AIMessageChunk(
                content=content, tool_call_chunks=calls, response_metadata=metadata
            )
        if event.type == "message_delta":
            metadata["stop_reason"] = event.delta.stop_reason
            metadata["stop_sequence"] = event.delta.stop_sequence
            metadata["model_name"] = state.get("model") or self.model_id
            usage = (
                self._usage(state["usage"], event.usage.output_tokens)
                if state.get("usage")
                else None
            )
            return AIMessageChunk(
                content=[] if state.get("blocks") else "",
                response_metadata=metadata,
                usage_metadata=usage,
            )
        if event.type == "message_stop":
            state["done"] = True
        return None

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with _spoken(), anthropic.Anthropic(**self._options()) as client:
            answer = client.messages.create(**self._request(messages, stop, kwargs))
        return ChatResult(generations=[ChatGeneration(message=self._message(answer))])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        async with anthropic.AsyncAnthropic(**self._options()) as client:
            with _spoken():
                answer = await client.messages.create(**self._request(messages, stop, kwargs))
        return ChatResult(generations=[ChatGeneration(message=self._message(answer))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        state: dict[str, Any] = {}
        request = self._request(messages, stop, kwargs)
        with (
            anthropic.Anthropic(**self._options()) as client,
            client.messages.create(**request, stream=True) as events,
        ):
            for event in events:
                message = self._chunk(event, state)
                if message is None:
                    continue
                chunk = ChatGenerationChunk(message=message)
                if run_manager:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk
        if not state.get("done"):
            raise ConnectionError("The stream ended before the message did.")

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        state: dict[str, Any] = {}
        request = self._request(messages, stop, kwargs)
        async with anthropic.AsyncAnthropic(**self._options()) as client:
            async with await client.messages.create(**request, stream=True) as events:
                async for event in events:
                    message = self._chunk(event, state)
                    if message is None:
                        continue
                    chunk = ChatGenerationChunk(message=message)
                    if run_manager:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        if not state.get("done"):
            raise ConnectionError("The stream ended before the message did.")

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | None = None,
        parallel_tool_calls: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        formatted = [_to_tool(tool) for tool in tools]
        choice: dict[str, Any] | None
        if tool_choice is None:
            choice = None
        elif isinstance(tool_choice, dict):
            choice = dict(tool_choice)
            if choice.get("type") == "function":
                choice = {"type": "tool", "name": choice["function"]["name"]}
        elif tool_choice in ("any", "required"):
            choice = {"type": "any"}
        elif tool_choice in ("auto", "none"):
            choice = {"type": tool_choice}
        else:
            choice = {"type": "tool", "name": tool_choice}
        if parallel_tool_calls is not None:
            choice = {
                **(choice or {"type": "auto"}),
                "disable_parallel_tool_use": not parallel_tool_calls,
            }
        if choice is not None:
            kwargs["tool_choice"] = choice
        return self.bind(tools=formatted, **kwargs)
