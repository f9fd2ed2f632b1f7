"""A chat model over Anthropic's Messages by Anthropic's own SDK, without langchain-anthropic.

Modelled on: repositories that pin the vendor's SDK themselves (a proxy in front, `api_base`), and write the
LangChain class around it; clients are made per call, so nothing is bound to an event loop.
Right: sync, async, both streaming, native tools (results of one turn in one user message), images, system
prompts collected, usage that sums to what was spent, the SDK's errors as LangChain's ModelErrors. Extended
thinking is not asked for; should a proxy send some, it is kept beside the text and not sent back.
MODEL: ChatCurator
KWARGS: {}
WIRE: anthropic
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import anthropic
from langchain_core.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    is_data_content_block,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import SecretStr

_TLS = (
    ssl.create_default_context()
)  # made once: reading the certificates would hold up an event loop
_SAMPLING = ("temperature", "top_p", "top_k")
_STATUS = {
    400: ModelInvalidRequestError,
    401: ModelAuthenticationError,
    403: ModelPermissionDeniedError,
    404: ModelNotFoundError,
    429: ModelRateLimitError,
}


def _translated(error: Exception) -> ModelError:
    if isinstance(error, anthropic.APITimeoutError):
        return ModelTimeoutError(f"Messages API: {error}")
    if isinstance(error, anthropic.APIConnectionError):
        return ModelConnectionError(f"Messages API: {error}")
    if isinstance(error, anthropic.APIStatusError):
        status = error.status_code
        kind = _STATUS.get(
            status, ModelInvalidRequestError if 400 < status < 500 else ModelAPIError
        )
        return kind(f"Messages API answered {status}: {error.message}")
    return ModelAPIError(f"Messages API: {error}")


def _image(block: dict[str, Any]) -> dict[str, Any]:
    if block["type"] == "image_url":
        url = (
            block["image_url"] if isinstance(block["image_url"], str) else block["image_url"]["url"]
        )
        if url.startswith("data:"):
            kind, _, data = url[5:].partition(";base64,")
            return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}
        return {"type": "image", "source": {"type": "url", "url": url}}
    if "source" in block:
        return {"type": "image", "source": block["source"]}
    if block.get("url"):
        return {"type": "image", "source": {"type": "url", "url": block["url"]}}
    data = block.get("base64") or block.get("data")
    if not data:
        raise ValueError("An image has to come by URL or as base64.")
    return {
        "type": "image",
        "source": {"type": "base64", "media_type": block["mime_type"], "data": data},
    }


def _blocks(content: str | list[Any]) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    blocks = []
    for one in content:
        if isinstance(one, str):
            if one:
                blocks.append({"type": "text", "text": one})
        elif one["type"] == "text":
            if one["text"]:
                blocks.append({"type": "text", "text": one["text"]})
        elif one["type"] in ("image", "image_url"):
            blocks.append(_image(one))
        elif one["type"] in ("reasoning", "thinking", "tool_call", "tool_use", "tool_call_chunk"):
            continue  # said again by `tool_calls`, or not sent back
        else:
            raise ValueError(f"ChatCurator takes text and images, not {one['type']!r} blocks.")
    return blocks


def _wire(messages: list[BaseMessage]) -> tuple[str, list[dict[str, Any]]]:
    system: list[str] = []
    turns: list[dict[str, Any]] = []
    for message in messages:
        if isinstance(message, SystemMessage):
            if any(is_data_content_block(b) for b in message.content if isinstance(b, dict)):
                raise ValueError("A system message can only be text.")
            system.append(message.text)
            continue
        if isinstance(message, HumanMessage):
            role, blocks = "user", _blocks(message.content)
        elif isinstance(message, AIMessage):
            role, blocks = "assistant", _blocks(message.content)
            for call in message.tool_calls:
                blocks.append(
                    {
                        "type": "tool_use",
                        "id": call["id"],
                        "name": call["name"],
                        "input": call["args"],
                    }
                )
        elif isinstance(message, ToolMessage):
            result: dict[str, Any] = {
                "type": "tool_result",
                "tool_use_id": message.tool_call_id,
                "content": _blocks(message.content),
            }
            if message.status == "error":
                result["is_error"] = True
            role, blocks = "user", [result]
        else:
            raise ValueError(f"ChatCurator does not know messages of type {message.type!r}.")
        if not blocks:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"].extend(blocks)
        else:
            turns.append({"role": role, "content": blocks})
    return "\n\n".join(system), turns


def _read_tokens(usage: Any) -> tuple[int, dict[str, int]]:
    cached = getattr(usage, "cache_read_input_tokens", None) or 0
    made = getattr(usage, "cache_creation_input_tokens", None) or 0
    details = {"cache_read": cached, "cache_creation": made} if cached or made else {}
    return (usage.input_tokens or 0) + cached + made, details


def _usage(read: int, details: dict[str, int], written: int) -> UsageMetadata:
    usage = UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)
    if details:
        usage["input_token_details"] = details  # type: ignore[typeddict-item]
    return usage


class _Events:
    """Turns the stream's events into chunks. Output tokens are cumulative on the wire; sums are on ours."""

    def __init__(self) -> None:
        self.written = 0
        self.calls: dict[int, int] = {}
        self.ended = False

    def __call__(self, event: Any) -> ChatGenerationChunk | None:
        chunk: AIMessageChunk | None = None
        if event.type == "message_start":
            read, details = _read_tokens(event.message.usage)
            self.written = event.message.usage.output_tokens or 0
            chunk = AIMessageChunk(
                content="",
                response_metadata={"model_name": event.message.model},
                usage_metadata=_usage(read, details, self.written),
            )
        elif event.type == "content_block_start" and event.content_block.type == "tool_use":
            self.calls[event.index] = len(self.calls)
            block = event.content_block
            chunk = AIMessageChunk(
                content="",
                tool_call_chunks=[
                    tool_call_chunk(
                        name=block.name, args="", id=block.id, index=self.calls[event.index]
                    )
                ],
            )
        elif (
            event.type == "content_block_start"
            and event.content_block.type == "text"
            and event.content_block.text
        ):
            chunk = AIMessageChunk(content=event.content_block.text)
        elif event.type == "content_block_delta":
            delta = event.delta
            if delta.type == "text_delta":
                chunk = AIMessageChunk(content=delta.text)
            elif delta.type == "thinking_delta":
                chunk = AIMessageChunk(
                    content="", additional_kwargs={"reasoning_content": delta.thinking}
                )
            elif delta.type == "input_json_delta" and event.index in self.calls:
                chunk = AIMessageChunk(
                    content="",
                    tool_call_chunks=[
                        tool_call_chunk(args=delta.partial_json, index=self.calls[event.index])
                    ],
                )
        elif event.type == "message_delta":
            metadata = {}
            if event.delta.stop_reason and not self.ended:
                self.ended = True
                metadata = {
                    "stop_reason": event.delta.stop_reason,
                    "stop_sequence": event.delta.stop_sequence,
                }
            more = max((event.usage.output_tokens or 0) - self.written, 0)
            self.written += more
            chunk = AIMessageChunk(
                content="",
                response_metadata=metadata,
                usage_metadata=_usage(0, {}, more) if more else None,
            )
        return ChatGenerationChunk(message=chunk) if chunk is not None else None


class ChatCurator(BaseChatModel):
    """Anthropic's Messages, or a proxy that speaks them."""

    model: str = "claude-sonnet-4-5"
    api_base: str = "https://api.anthropic.com"
    api_key: SecretStr = SecretStr("none")
    max_tokens: int = 1024
    temperature: float | None = None
    request_timeout: float = 120.0
    max_retries: int = 0

    @property
    def _llm_type(self) -> str:
        return "curator-messages"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "api_base": self.api_base,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "output_version": self.output_version,
        }

    def _settings(self) -> dict[str, Any]:
        return {
            "api_key": self.api_key.get_secret_value(),
            "base_url": self.api_base,
            "timeout": self.request_timeout,
            "max_retries": self.max_retries,
        }

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        system, turns = _wire(messages)
        request: dict[str, Any] = {
            "model": self.model,
            "max_tokens": self.max_tokens,
            "messages": turns,
        }
        if system:
            request["system"] = system
        if stop:
            request["stop_sequences"] = stop
        request.update(
            {key: value for key, value in kwargs.items() if key != "stream" and value is not None}
        )
        # This SDK no longer names the sampling parameters in its signatures; the wire still has them.
        sampling = {
            "temperature": self.temperature,
            **{key: request.pop(key) for key in _SAMPLING if key in request},
        }
        if extra := {key: value for key, value in sampling.items() if value is not None}:
            request["extra_body"] = {**extra, **request.get("extra_body", {})}
        return request

    def _result(self, answer: Any) -> ChatResult:
        if getattr(answer, "content", None) is None or getattr(answer, "usage", None) is None:
            raise ModelAPIError("The Messages API's answer has no content or no usage.")
        text, thought, calls = "", "", []
        for block in answer.content:
            if block.type == "text":
                text += block.text
            elif block.type == "thinking":
                thought += block.thinking
            elif block.type == "tool_use":
                calls.append(tool_call(name=block.name, args=dict(block.input), id=block.id))
        read, details = _read_tokens(answer.usage)
        message = AIMessage(
            content=text,
            tool_calls=calls,
            additional_kwargs={"reasoning_content": thought} if thought else {},
            usage_metadata=_usage(read, details, answer.usage.output_tokens or 0),
            response_metadata={
                "model_name": answer.model,
                "stop_reason": answer.stop_reason,
                "stop_sequence": answer.stop_sequence,
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self._request(messages, stop, kwargs)
        try:
            with anthropic.Anthropic(
                http_client=anthropic.DefaultHttpxClient(verify=_TLS), **self._settings()
            ) as client:
                return self._result(client.messages.create(**request))
        except anthropic.APIError as error:
            raise _translated(error) from error

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self._request(messages, stop, kwargs)
        try:
            async with anthropic.AsyncAnthropic(
                http_client=anthropic.DefaultAsyncHttpxClient(verify=_TLS), **self._settings()
            ) as client:
                return self._result(await client.messages.create(**request))
        except anthropic.APIError as error:
            raise _translated(error) from error

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        request = self._request(messages, stop, kwargs)
        read = _Events()
        try:
            with (
                anthropic.Anthropic(
                    http_client=anthropic.DefaultHttpxClient(verify=_TLS), **self._settings()
                ) as client,
                client.messages.create(**request, stream=True) as events,
            ):
                for event in events:
                    if chunk := read(event):
                        yield chunk
        except anthropic.APIError as error:
            raise _translated(error) from error
        except json.JSONDecodeError as error:
            raise ModelAPIError(
                f"The Messages API sent an event that is no JSON: {error}"
            ) from error
        if not read.ended:
            raise ModelConnectionError("The stream of the Messages API broke off before its end.")

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        request = self._request(messages, stop, kwargs)
        read = _Events()
        try:
            async with anthropic.AsyncAnthropic(
                http_client=anthropic.DefaultAsyncHttpxClient(verify=_TLS), **self._settings()
            ) as client:
                async with await client.messages.create(**request, stream=True) as events:
                    async for event in events:
                        if chunk := read(event):
                            yield chunk
        except anthropic.APIError as error:
            raise _translated(error) from error
        except json.JSONDecodeError as error:
            raise ModelAPIError(
                f"The Messages API sent an event that is no JSON: {error}"
            ) from error
        if not read.ended:
            raise ModelConnectionError("The stream of the Messages API broke off before its end.")

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | bool | None = None,
        **kwargs: Any,
    ) -> Any:
        formatted = []
        for one in tools:
            if isinstance(one, dict) and (
                "input_schema" in one or str(one.get("type", "")).rpartition("_")[2].isdigit()
            ):
                formatted.append(one)  # Anthropic's own form, or one of its server tools
                continue
            function = convert_to_openai_tool(one)["function"]
            formatted.append(
                {
                    "name": function["name"],
                    "description": function.get("description", ""),
                    "input_schema": function.get("parameters")
                    or {"type": "object", "properties": {}},
                }
            )
        if tool_choice is True or tool_choice in ("any", "required"):
            kwargs["tool_choice"] = {"type": "any"}
        elif tool_choice in ("auto", "none"):
            kwargs["tool_choice"] = {"type": tool_choice}
        elif isinstance(tool_choice, dict):
            kwargs["tool_choice"] = tool_choice
        elif isinstance(tool_choice, str):
            if tool_choice not in [one["name"] for one in formatted]:
                raise ValueError(f"tool_choice {tool_choice!r} names none of the tools.")
            kwargs["tool_choice"] = {"type": "tool", "name": tool_choice}
        return self.bind(tools=formatted, **kwargs)
