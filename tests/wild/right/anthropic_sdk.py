"""Anthropic's Messages through Anthropic's SDK, without LangChain's package for it.

Modelled on: agent frameworks and bots that use the `anthropic` SDK already and wrap it in a chat model of
their own to keep control of the version.

What is right: system messages go to `system`; tool results that follow each other become one user turn;
thinking blocks and tool calls go back as they came; content is a list of blocks only when there is more
than text; `input_json_delta`s become tool call chunks; usage counts each thing once (in the last
event but one); stop sequences are `stop_sequences`; the SDK's own errors pass; clients are made per
call (the SDK's retries come before the first token only).

MODEL: MessagesChat
KWARGS: {}
WIRE: anthropic
"""

import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import anthropic
import httpx2
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
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, SecretStr


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Made once: to read the certificates for each client would hold up the event loop."""
    return httpx2.create_ssl_context()


def _blocks(message: BaseMessage) -> list[dict[str, Any]]:
    """What a person or a tool said, as blocks of Anthropic's."""
    if isinstance(message.content, str):
        return [{"type": "text", "text": message.content}] if message.content else []
    blocks: list[dict[str, Any]] = []
    for block in message.content:
        if isinstance(block, str):
            blocks.append({"type": "text", "text": block})
        elif block.get("type") == "text":
            blocks.append({"type": "text", "text": block["text"]})
        elif block.get("type") == "image" and "source" in block:
            blocks.append({"type": "image", "source": block["source"]})
        elif block.get("type") == "image" and block.get("base64"):
            blocks.append(
                {
                    "type": "image",
                    "source": {
                        "type": "base64",
                        "media_type": block.get("mime_type", "image/png"),
                        "data": block["base64"],
                    },
                }
            )
        elif block.get("type") == "image" and block.get("url"):
            blocks.append({"type": "image", "source": {"type": "url", "url": block["url"]}})
        elif block.get("type") == "image_url":
            url = block["image_url"]
            url = url["url"] if isinstance(url, dict) else url
            if url.startswith("data:"):
                kind, _, data = url[5:].partition(";base64,")
                source = {"type": "base64", "media_type": kind, "data": data}
            else:
                source = {"type": "url", "url": url}
            blocks.append({"type": "image", "source": source})
        else:
            raise ValueError(f"MessagesChat cannot send a block of type {block.get('type')!r}")
    return blocks


def _own_blocks(message: AIMessage) -> list[dict[str, Any]]:
    """What the model said before, as blocks of Anthropic's."""
    blocks: list[dict[str, Any]] = []
    if isinstance(message.content, str):
        if message.content:
            blocks.append({"type": "text", "text": message.content})
    else:
        for block in message.content:
            if isinstance(block, str):
                if block:
                    blocks.append({"type": "text", "text": block})
            elif block.get("type") == "text" and block.get("text"):
                blocks.append({"type": "text", "text": block["text"]})
            elif block.get("type") in ("thinking", "redacted_thinking"):
                blocks.append({key: value for key, value in block.items() if key != "index"})
            # tool_use blocks come from tool_calls below; what other models think is not this one's to read
    blocks += [
        {"type": "tool_use", "id": call["id"], "name": call["name"], "input": call["args"]}
        for call in message.tool_calls
    ]
    blocks += [  # input has to be an object; a result may follow, and wants its call
        {
            "type": "tool_use",
            "id": call["id"],
            "name": call["name"] or "unknown",
            "input": {"raw": call["args"]},
        }
        for call in message.invalid_tool_calls
    ]
    return blocks


class MessagesChat(BaseChatModel):
    """A Claude behind Anthropic's API or a server that speaks as it does."""

    base_url: str = "http://127.0.0.1:8082"
    api_key: SecretStr = Field(default=SecretStr("none"), exclude=True)
    model: str = "claude-sonnet"
    max_tokens: int = 1024
    temperature: float | None = None
    timeout: float = 60.0
    max_retries: int = 2

    @property
    def _llm_type(self) -> str:
        return "messages-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "base_url": self.base_url,
            "model": self.model,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "anthropic"
        return params

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable | BaseTool],
        *,
        tool_choice: dict | str | bool | None = None,
        parallel_tool_calls: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        specs = []
        for tool in tools:
            function = convert_to_openai_tool(tool)["function"]
            specs.append(
                {
                    "name": function["name"],
                    "description": function.get("description", ""),
                    "input_schema": function.get("parameters")
                    or {"type": "object", "properties": {}},
                }
            )
        choice: dict[str, Any] | None = None
        if isinstance(tool_choice, dict):
            if "function" in tool_choice:
                choice = {"type": "tool", "name": tool_choice["function"]["name"]}
            else:
                choice = dict(tool_choice)
        elif tool_choice in ("any", "required", True):
            choice = {"type": "any"}
        elif tool_choice in ("auto", "none"):
            choice = {"type": tool_choice}
        elif tool_choice:
            choice = {"type": "tool", "name": tool_choice}
        if parallel_tool_calls is not None:
            choice = choice or {"type": "auto"}
            if choice["type"] != "none":
                choice["disable_parallel_tool_use"] = not parallel_tool_calls
        if choice:
            kwargs["tool_choice"] = choice
        return self.bind(tools=specs, **kwargs)

    def _arguments(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        system: list[dict[str, Any]] = []
        turns: list[dict[str, Any]] = []
        for message in messages:
            if isinstance(message, SystemMessage):
                system += _blocks(message)
                continue
            if isinstance(message, ToolMessage):
                role, blocks = (
                    "user",
                    [
                        {
                            "type": "tool_result",
                            "tool_use_id": message.tool_call_id,
                            "content": _blocks(message),
                            "is_error": message.status == "error",
                        }
                    ],
                )
            elif isinstance(message, HumanMessage):
                role, blocks = "user", _blocks(message)
            elif isinstance(message, AIMessage):
                role, blocks = "assistant", _own_blocks(message)
            else:
                raise ValueError(f"MessagesChat cannot send a message of type {message.type!r}")
            if not blocks:
                continue  # Anthropic refuses empty ones
            if turns and turns[-1]["role"] == role:
                turns[-1]["content"] += blocks
            else:
                turns.append({"role": role, "content": blocks})
        arguments: dict[str, Any] = {
            "model": self.model,
            "max_tokens": self.max_tokens,
            "messages": turns,
        }
        if system:
            arguments["system"] = system
        if self.temperature is not None:
            arguments["temperature"] = self.temperature
        if stop:
            arguments["stop_sequences"] = stop
        kwargs = {
            key: value for key, value in kwargs.items() if value is not None and key != "stream"
        }
        if not kwargs.get("tools"):
            kwargs.pop("tools", None)
            kwargs.pop("tool_choice", None)
        arguments |= kwargs
        # newer SDKs have no arguments for these, which the API takes from models that know them
        sampling = {
            name: arguments.pop(name)
            for name in ("temperature", "top_p", "top_k")
            if name in arguments
        }
        if sampling:
            arguments["extra_body"] = {**sampling, **arguments.get("extra_body", {})}
        return arguments

    def _settings(self) -> dict[str, Any]:
        return {
            "api_key": self.api_key.get_secret_value(),
            "base_url": self.base_url,
            "timeout": self.timeout,
            "max_retries": self.max_retries,
        }

    def _async_client(self) -> anthropic.AsyncAnthropic:
        http_client = anthropic.DefaultAsyncHttpxClient(verify=_tls())
        return anthropic.AsyncAnthropic(**self._settings(), http_client=http_client)

    @staticmethod
    def _input(usage: Any) -> tuple[int, InputTokenDetails]:
        cached = getattr(usage, "cache_read_input_tokens", None) or 0
        made = getattr(usage, "cache_creation_input_tokens", None) or 0
        return usage.input_tokens + cached + made, InputTokenDetails(
            cache_read=cached, cache_creation=made
        )

    def _result(self, answer: anthropic.types.Message) -> ChatResult:
        content: list[dict[str, Any]] = []
        calls = []
        for block in answer.content:
            if block.type == "tool_use":
                calls.append(
                    {"name": block.name, "args": block.input, "id": block.id, "type": "tool_call"}
                )
            content.append(block.model_dump(exclude_none=True))
        plain = all(block["type"] in ("text", "tool_use") for block in content)
        text = "".join(block["text"] for block in content if block["type"] == "text")
        read, details = self._input(answer.usage)
        message = AIMessage(
            content=text if plain else [block for block in content if block["type"] != "tool_use"],
            tool_calls=calls,
            usage_metadata=UsageMetadata(
                input_tokens=read,
                output_tokens=answer.usage.output_tokens,
                total_tokens=read + answer.usage.output_tokens,
                input_token_details=details,
            ),
            response_metadata={
                "model_name": answer.model,
                "stop_reason": answer.stop_reason,
                "stop_sequence": answer.stop_sequence,
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _piece(self, event: Any, memory: dict[str, Any]) -> ChatGenerationChunk | None:
        if event.type == "message_start":
            memory["model"] = event.message.model
            memory["input"] = self._input(event.message.usage)
            return None
        if event.type == "content_block_start":
            block = event.content_block
            if block.type == "tool_use":
                call = tool_call_chunk(name=block.name, args="", id=block.id, index=event.index)
                return ChatGenerationChunk(
                    message=AIMessageChunk(content="", tool_call_chunks=[call])
                )
            if block.type in ("thinking", "redacted_thinking"):
                memory["blocks"] = True
            if block.type == "redacted_thinking":
                content = [{"type": block.type, "data": block.data, "index": event.index}]
                return ChatGenerationChunk(message=AIMessageChunk(content=content))
            return None
        if event.type == "content_block_delta":
            delta = event.delta
            if delta.type == "text_delta":
                text: Any = delta.text
                if memory.get("blocks"):  # after thinking, content is blocks, as `_result` has it
                    text = [{"type": "text", "text": delta.text, "index": event.index}]
                return ChatGenerationChunk(message=AIMessageChunk(content=text))
            if delta.type == "input_json_delta":
                call = tool_call_chunk(
                    name=None, args=delta.partial_json, id=None, index=event.index
                )
                return ChatGenerationChunk(
                    message=AIMessageChunk(content="", tool_call_chunks=[call])
                )
            if delta.type == "thinking_delta":
                content = [{"type": "thinking", "thinking": delta.thinking, "index": event.index}]
                return ChatGenerationChunk(message=AIMessageChunk(content=content))
            if delta.type == "signature_delta":
                content = [{"type": "thinking", "signature": delta.signature, "index": event.index}]
                return ChatGenerationChunk(message=AIMessageChunk(content=content))
            return None
        if event.type == "message_delta":
            written = event.usage.output_tokens
            read, details = memory.get("input") or (0, InputTokenDetails())
            metadata = {
                "model_name": memory.get("model", self.model),
                "stop_reason": event.delta.stop_reason,
                "stop_sequence": event.delta.stop_sequence,
            }
            return ChatGenerationChunk(
                message=AIMessageChunk(
                    content="",
                    usage_metadata=UsageMetadata(
                        input_tokens=read,
                        output_tokens=written,
                        total_tokens=read + written,
                        input_token_details=details,
                    ),
                    response_metadata=metadata,
                )
            )
        if event.type == "message_stop":
            memory["whole"] = True
        return None

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with anthropic.Anthropic(**self._settings()) as client:
            return self._result(client.messages.create(**self._arguments(messages, stop, kwargs)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        async with self._async_client() as client:
            return self._result(
                await client.messages.create(**self._arguments(messages, stop, kwargs))
            )

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        memory: dict[str, Any] = {}
        arguments = self._arguments(messages, stop, kwargs)
        with (
            anthropic.Anthropic(**self._settings()) as client,
            client.messages.create(**arguments, stream=True) as events,
        ):
            for event in events:
                if (chunk := self._piece(event, memory)) is not None:
                    yield chunk
        if not memory.get("whole"):
            raise RuntimeError("The stream ended without message_stop; the answer is not whole")

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        memory: dict[str, Any] = {}
        arguments = self._arguments(messages, stop, kwargs)
        async with self._async_client() as client:
            async with await client.messages.create(**arguments, stream=True) as events:
                async for event in events:
                    if (chunk := self._piece(event, memory)) is not None:
                        yield chunk
        if not memory.get("whole"):
            raise RuntimeError("The stream ended without message_stop; the answer is not whole")
