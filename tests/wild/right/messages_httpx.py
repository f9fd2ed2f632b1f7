"""Modelled on: repositories that talk to Anthropic's Messages (or a proxy of it) with bare httpx, because they do not
want the vendor's package: Bedrock- and Vertex-like gateways, Claude-subscription bridges.

Right: roles alternate, system texts go to `system`, tool results to `tool_result` blocks (errors marked), images in
LangChain's, OpenAI's and Anthropic's forms are translated and anything else refused by name; the stream's usage is
told once; errors (status, in-stream, a stream that ends early) are raised. A client per call: no event loop and no
thread shares one, and the model pickles. Extended thinking is refused by name.

MODEL: ChatMessagesAPI
KWARGS: {}
WIRE: anthropic
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

import httpx
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, SecretStr

_DATA_URL = re.compile(r"data:(?P<kind>[\w/+.-]+);base64,(?P<data>.*)", re.DOTALL)


class MessagesAPIError(RuntimeError):
    """The server refused, or what it sent is no answer."""

    def __init__(self, text: str, status_code: int | None = None) -> None:
        super().__init__(text)
        self.status_code = status_code


def _token_from_env() -> SecretStr | None:
    token = os.environ.get("MESSAGES_API_TOKEN")
    return SecretStr(token) if token else None


def _image(url: str) -> dict[str, Any]:
    if found := _DATA_URL.fullmatch(url):
        return {
            "type": "image",
            "source": {"type": "base64", "media_type": found["kind"], "data": found["data"]},
        }
    return {"type": "image", "source": {"type": "url", "url": url}}


def _block(block: str | dict[str, Any]) -> dict[str, Any] | None:
    if isinstance(block, str):
        return {"type": "text", "text": block} if block else None
    kind = block.get("type")
    if kind == "text":
        return {"type": "text", "text": block["text"]} if block["text"] else None
    if kind == "image_url":
        image = block["image_url"]
        return _image(image if isinstance(image, str) else image["url"])
    if kind == "image":
        if "source" in block:
            return {"type": "image", "source": block["source"]}
        if "url" in block:
            return _image(block["url"])
        data = block.get("base64") or block.get("data")
        if data:
            media_type = block.get("mime_type", "image/png")
            return {
                "type": "image",
                "source": {"type": "base64", "media_type": media_type, "data": data},
            }
    raise ValueError(f"ChatMessagesAPI cannot send a content block of type {kind!r}")


def _blocks(content: str | list[str | dict[str, Any]]) -> list[dict[str, Any]]:
    parts = [content] if isinstance(content, str) else content
    return [made for part in parts if (made := _block(part)) is not None]


def _wire_messages(
    messages: Sequence[BaseMessage],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    system: list[dict[str, Any]] = []
    turns: list[dict[str, Any]] = []

    def add(role: str, blocks: list[dict[str, Any]]) -> None:
        if not blocks:
            return
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"].extend(blocks)
        else:
            turns.append({"role": role, "content": blocks})

    for message in messages:
        if isinstance(message, SystemMessage):
            system += _blocks(message.content)
        elif isinstance(message, HumanMessage):
            add("user", _blocks(message.content))
        elif isinstance(message, AIMessage):
            content = message.content
            if isinstance(
                content, list
            ):  # calls are taken from `tool_calls`; thoughts cannot be sent unsigned
                content = [
                    b
                    for b in content
                    if isinstance(b, str)
                    or b.get("type")
                    not in ("tool_use", "tool_call", "invalid_tool_call", "reasoning", "thinking")
                ]
            calls = [
                {"type": "tool_use", "id": call["id"], "name": call["name"], "input": call["args"]}
                for call in message.tool_calls
            ]
            add("assistant", _blocks(content) + calls)
        elif isinstance(message, ToolMessage):
            result: dict[str, Any] = {
                "type": "tool_result",
                "tool_use_id": message.tool_call_id,
                "content": _blocks(message.content),
            }
            if message.status == "error":
                result["is_error"] = True
            add("user", [result])
        elif isinstance(message, ChatMessage) and message.role in ("user", "assistant"):
            add(message.role, _blocks(message.content))
        elif isinstance(message, ChatMessage) and message.role == "system":
            system += _blocks(message.content)
        else:
            raise ValueError(f"ChatMessagesAPI cannot send a {type(message).__name__}")
    return system, turns


def _usage(read: Mapping[str, Any], written: int) -> UsageMetadata:
    cached = read.get("cache_read_input_tokens") or 0
    created = read.get("cache_creation_input_tokens") or 0
    total = (read.get("input_tokens") or 0) + cached + created
    return UsageMetadata(
        input_tokens=total,
        output_tokens=written,
        total_tokens=total + written,
        input_token_details={"cache_read": cached, "cache_creation": created},
    )


class ChatMessagesAPI(BaseChatModel):
    """A chat model over `POST {endpoint}/v1/messages`."""

    endpoint: str = "http://127.0.0.1:8080"
    token: SecretStr | None = Field(default_factory=_token_from_env)
    model_id: str = "sonnet-like"
    max_tokens: int = 1024
    temperature: float | None = None
    stop_sequences: list[str] | None = None
    timeout: float = 60.0

    @property
    def _llm_type(self) -> str:
        return "messages-api"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "endpoint": self.endpoint,
            "model_id": self.model_id,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "stop_sequences": self.stop_sequences,
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "messages-api"
        params["ls_model_name"] = kwargs.get("model") or self.model_id
        return params

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        parallel_tool_calls: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools; `tool_choice` is a tool's name, "auto", "any" (or True, "required") or "none"."""
        made = []
        for tool in tools:
            function = convert_to_openai_tool(tool)["function"]
            made.append(
                {
                    "name": function["name"],
                    "description": function.get("description", ""),
                    "input_schema": function.get("parameters")
                    or {"type": "object", "properties": {}},
                }
            )
        choice: dict[str, Any] | None = None
        if isinstance(tool_choice, dict):
            name = (tool_choice.get("function") or {}).get("name")
            choice = {"type": "tool", "name": name} if name else dict(tool_choice)
        elif tool_choice in ("any", "required") or tool_choice is True:
            choice = {"type": "any"}
        elif tool_choice in ("auto", "none"):
            choice = {"type": tool_choice}
        elif tool_choice:
            if tool_choice not in [t["name"] for t in made]:
                raise ValueError(f"tool_choice names {tool_choice!r}, which is not among the tools")
            choice = {"type": "tool", "name": tool_choice}
        if parallel_tool_calls is False:
            choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
        if choice:
            kwargs["tool_choice"] = choice
        return self.bind(tools=made, **kwargs)

    # --- request

    def _body(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        if "thinking" in kwargs:
            raise NotImplementedError("ChatMessagesAPI has no extended thinking (thinking=...)")
        system, turns = _wire_messages(messages)
        body: dict[str, Any] = {
            "model": self.model_id,
            "max_tokens": self.max_tokens,
            "messages": turns,
        }
        if system:
            body["system"] = system
        if self.temperature is not None:
            body["temperature"] = self.temperature
        ends = self.stop_sequences if stop is None else stop
        if ends:
            body["stop_sequences"] = ends
        return {**body, **{k: v for k, v in kwargs.items() if k != "stream" and v is not None}}

    def _call_args(self) -> dict[str, Any]:
        headers = {"anthropic-version": "2023-06-01"}
        if self.token is not None:
            headers["x-api-key"] = self.token.get_secret_value()
        base = self.endpoint.rstrip("/").removesuffix("/v1")
        return {"url": f"{base}/v1/messages", "headers": headers}

    @staticmethod
    def _refuse(status: int, text: str) -> MessagesAPIError:
        return MessagesAPIError(f"HTTP {status}: {text[:500]}", status)

    # --- answer

    def _result(self, text: str) -> ChatResult:
        try:
            answer = json.loads(text)
            blocks = answer["content"]
        except (ValueError, KeyError, TypeError) as error:
            raise MessagesAPIError(f"no Messages answer: {text[:200]!r}") from error
        said = "".join(b["text"] for b in blocks if b["type"] == "text")
        thought = "".join(b["thinking"] for b in blocks if b["type"] == "thinking")
        usage = answer.get("usage")
        message = AIMessage(
            content=said,
            tool_calls=[
                {"name": b["name"], "args": b["input"], "id": b["id"], "type": "tool_call"}
                for b in blocks
                if b["type"] == "tool_use"
            ],
            additional_kwargs={"reasoning_content": thought} if thought else {},
            usage_metadata=_usage(usage, usage["output_tokens"]) if usage else None,
            response_metadata={
                "id": answer.get("id"),
                "model_name": answer.get("model"),
                "stop_reason": answer.get("stop_reason"),
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        body = self._body(messages, stop, kwargs)
        with httpx.Client(timeout=self.timeout) as client:
            response = client.post(json=body, **self._call_args())
        if response.status_code >= 400:
            raise self._refuse(response.status_code, response.text)
        return self._result(response.text)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        body = self._body(messages, stop, kwargs)
        async with httpx.AsyncClient(timeout=self.timeout) as client:
            response = await client.post(json=body, **self._call_args())
        if response.status_code >= 400:
            raise self._refuse(response.status_code, response.text)
        return self._result(response.text)

    # --- stream

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        body = {**self._body(messages, stop, kwargs), "stream": True}
        reader = _EventReader()
        with (
            httpx.Client(timeout=self.timeout) as client,
            client.stream("POST", json=body, **self._call_args()) as response,
        ):
            if response.status_code >= 400:
                raise self._refuse(response.status_code, response.read().decode(errors="replace"))
            for data in response.iter_bytes():
                yield from reader.feed(data)
        reader.close()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        body = {**self._body(messages, stop, kwargs), "stream": True}
        reader = _EventReader()
        async with (
            httpx.AsyncClient(timeout=self.timeout) as client,
            client.stream("POST", json=body, **self._call_args()) as response,
        ):
            if response.status_code >= 400:
                raise self._refuse(
                    response.status_code, (await response.aread()).decode(errors="replace")
                )
            async for data in response.aiter_bytes():
                for chunk in reader.feed(data):
                    yield chunk
        reader.close()


class _EventReader:
    """Turns the bytes of a stream into chunks; lines end with a line feed and nothing else."""

    def __init__(self) -> None:
        self.rest = b""
        self.read: dict[str, Any] = {}
        self.start: dict[str, Any] = {}
        self.ended = False

    def feed(self, data: bytes) -> Iterator[ChatGenerationChunk]:
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield from self.event(json.loads(line[5:]))

    def event(self, event: dict[str, Any]) -> Iterator[ChatGenerationChunk]:
        kind = event["type"]
        if kind == "message_start":
            self.start = event["message"]
            self.read = self.start.get("usage") or {}
        elif kind == "content_block_start" and event["content_block"]["type"] == "tool_use":
            block = event["content_block"]
            chunk = tool_call_chunk(
                name=block["name"], args="", id=block["id"], index=event["index"]
            )
            yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[chunk]))
        elif kind == "content_block_delta":
            delta = event["delta"]
            if delta["type"] == "text_delta":
                yield ChatGenerationChunk(message=AIMessageChunk(content=delta["text"]))
            elif delta["type"] == "input_json_delta":
                chunk = tool_call_chunk(args=delta["partial_json"], index=event["index"])
                yield ChatGenerationChunk(
                    message=AIMessageChunk(content="", tool_call_chunks=[chunk])
                )
            elif delta["type"] == "thinking_delta":
                kept = {"reasoning_content": delta["thinking"]}
                yield ChatGenerationChunk(
                    message=AIMessageChunk(content="", additional_kwargs=kept)
                )
        elif kind == "message_delta":
            # These counts are totals, so they are told here and nowhere else.
            totals = {k: v for k, v in (event.get("usage") or {}).items() if v is not None}
            usage = {**self.read, **totals}
            yield ChatGenerationChunk(
                message=AIMessageChunk(
                    content="",
                    usage_metadata=_usage(usage, usage["output_tokens"]) if usage else None,
                    response_metadata={
                        "id": self.start.get("id"),
                        "model_name": self.start.get("model"),
                        "stop_reason": event["delta"].get("stop_reason"),
                    },
                )
            )
        elif kind == "message_stop":
            self.ended = True
        elif kind == "error":
            raise MessagesAPIError(f"the stream broke: {event['error']}")

    def close(self) -> None:
        if not self.ended:
            raise MessagesAPIError("the stream ended before message_stop")
