"""Chat model speaking the Anthropic Messages wire by itself: httpx, event stream, tools, system prompt, usage.

Modelled on: bearer-token / proxy classes for /v1/messages in agents which avoid the SDK.
What is right: all system messages go to `system`, tool results become tool_result blocks in one user turn; content and
tool input keep their order; streamed usage is counted once (input from message_start, output from the last
message_delta); `error` events, HTTP errors and a stream without message_stop raise; stop becomes stop_sequences.
MODEL: MessagesWireChat
KWARGS: {"endpoint": "http://127.0.0.1:8000", "secret": "k", "model_id": "house-1"}
WIRE: anthropic
"""

from __future__ import annotations

import json
import ssl
from typing import Any, AsyncIterator, Iterator

import httpx
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
from pydantic import Field, SecretStr

_SSL = ssl.create_default_context()


class MessagesError(RuntimeError):
    def __init__(self, kind: str, message: str, status: int | None = None):
        super().__init__(f"{kind}: {message}" + (f" (HTTP {status})" if status else ""))
        self.kind, self.status = kind, status


def _blocks(content: Any) -> list[dict]:
    """A message's content as Messages blocks; empty text is left out because the wire refuses it."""
    out = []
    for part in [content] if isinstance(content, str) else content:
        if isinstance(part, str):
            part = {"type": "text", "text": part}
        if part["type"] == "text":
            if part["text"].strip():
                out.append({"type": "text", "text": part["text"]})
        elif part["type"] == "image_url":
            url = (
                part["image_url"]["url"]
                if isinstance(part["image_url"], dict)
                else part["image_url"]
            )
            if url.startswith("data:"):
                kind, _, data = url[5:].partition(";base64,")
                out.append(
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": kind, "data": data},
                    }
                )
            else:
                out.append({"type": "image", "source": {"type": "url", "url": url}})
        elif part["type"] == "image" and "base64" in part:
            out.append(
                {
                    "type": "image",
                    "source": {
                        "type": "base64",
                        "media_type": part["mime_type"],
                        "data": part["base64"],
                    },
                }
            )
        elif part["type"] == "image" and "source" in part:
            out.append(part)
        elif part["type"] in ("tool_use", "tool_call"):
            continue  # sent from message.tool_calls
        else:
            raise NotImplementedError(f"cannot send {part['type']!r} content")
    return out


def _turns(messages: list[BaseMessage]) -> tuple[list[dict], list[dict]]:
    system: list[dict] = []
    turns: list[dict] = []
    for m in messages:
        if isinstance(m, SystemMessage):
            system += _blocks(m.content)
            continue
        if isinstance(m, HumanMessage):
            role, blocks = "user", _blocks(m.content)
        elif isinstance(m, AIMessage):
            role = "assistant"
            blocks = _blocks(m.content) + [
                {"type": "tool_use", "id": c["id"], "name": c["name"], "input": c["args"]}
                for c in m.tool_calls
            ]
        elif isinstance(m, ToolMessage):
            role = "user"
            blocks = [
                {
                    "type": "tool_result",
                    "tool_use_id": m.tool_call_id,
                    "content": _blocks(m.content),
                    **({"is_error": True} if m.status == "error" else {}),
                }
            ]
        else:
            raise NotImplementedError(f"cannot send a {type(m).__name__}")
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return system, turns


class MessagesWireChat(BaseChatModel):
    endpoint: str = "https://api.anthropic.com"
    secret: SecretStr = Field(repr=False)
    model_id: str
    max_tokens: int = 1024
    temperature: float | None = None
    read_timeout: float = 90.0

    @property
    def _llm_type(self) -> str:
        return "messages-wire"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "endpoint": self.endpoint,
            "model_id": self.model_id,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
        }

    def _get_ls_params(self, stop=None, **kwargs):
        found = super()._get_ls_params(stop=stop, **kwargs)
        return {
            **found,
            "ls_provider": "anthropic",
            "ls_model_name": kwargs.get("model", self.model_id),
        }

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        made = []
        for t in tools:
            if isinstance(t, dict) and "input_schema" in t:
                made.append(t)
                continue
            fn = convert_to_openai_tool(t)["function"]
            made.append(
                {
                    "name": fn["name"],
                    "description": fn.get("description", ""),
                    "input_schema": fn.get("parameters") or {"type": "object", "properties": {}},
                }
            )
        if isinstance(tool_choice, dict):
            name = (tool_choice.get("function") or {}).get("name")
            kwargs["tool_choice"] = {"type": "tool", "name": name} if name else dict(tool_choice)
        elif tool_choice in ("any", "required", True):
            kwargs["tool_choice"] = {"type": "any"}
        elif tool_choice in ("auto", "none"):
            kwargs["tool_choice"] = {"type": tool_choice}
        elif tool_choice:
            kwargs["tool_choice"] = {"type": "tool", "name": tool_choice}
        return self.bind(tools=made, **kwargs)

    def _setup(self, messages, stop, kwargs, stream: bool) -> dict[str, Any]:
        system, turns = _turns(messages)
        body = {
            "model": self.model_id,
            "max_tokens": self.max_tokens,
            "messages": turns,
            "system": system or None,
            "temperature": self.temperature,
            "stop_sequences": stop or None,
            "stream": stream or None,
            **kwargs,
        }
        return {
            "url": self.endpoint.rstrip("/") + "/v1/messages",
            "json": {k: v for k, v in body.items() if v is not None},
            "headers": {
                "x-api-key": self.secret.get_secret_value(),
                "anthropic-version": "2023-06-01",
            },
        }

    def _sync(self) -> httpx.Client:
        return httpx.Client(verify=_SSL, timeout=self.read_timeout)

    def _async(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(verify=_SSL, timeout=self.read_timeout)

    @staticmethod
    def _raise(response: httpx.Response) -> None:
        if response.is_error:
            try:
                error = response.json()["error"]
                kind, text = error.get("type", "error"), error.get("message", "")
            except (ValueError, KeyError, TypeError, AttributeError):
                kind, text = "http_error", response.text[:300]
            raise MessagesError(kind, text, response.status_code)

    @staticmethod
    def _usage(start: dict, end: dict) -> dict:
        hit, put = (
            start.get("cache_read_input_tokens") or 0,
            start.get("cache_creation_input_tokens") or 0,
        )
        read, made = (start.get("input_tokens") or 0) + hit + put, end.get("output_tokens") or 0
        return {
            "input_tokens": read,
            "output_tokens": made,
            "total_tokens": read + made,
            "input_token_details": {"cache_read": hit, "cache_creation": put},
        }

    def _whole(self, data: dict) -> ChatResult:
        calls = [
            {"type": "tool_call", "id": b["id"], "name": b["name"], "args": b["input"]}
            for b in data["content"]
            if b["type"] == "tool_use"
        ]
        text = "".join(b["text"] for b in data["content"] if b["type"] == "text")
        usage = data.get("usage") or {}
        return ChatResult(
            generations=[
                ChatGeneration(
                    message=AIMessage(
                        content=text,
                        tool_calls=calls,
                        usage_metadata=self._usage(usage, usage),
                        response_metadata={
                            "model_name": data.get("model", self.model_id),
                            "stop_reason": data.get("stop_reason"),
                        },
                    )
                )
            ]
        )

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        with self._sync() as http:
            response = http.post(**self._setup(messages, stop, kwargs, False))
        self._raise(response)
        return self._whole(response.json())

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        async with self._async() as http:
            response = await http.post(**self._setup(messages, stop, kwargs, False))
        self._raise(response)
        return self._whole(response.json())

    # ---- events: one coroutine-like generator fed with lines, the same for sync and async --------
    def _events(self, line: bytes, memo: dict) -> Iterator[ChatGenerationChunk]:
        if not line.startswith(b"data:"):
            return
        event = json.loads(line[5:])
        kind = event.get("type")
        if kind == "error":
            raise MessagesError(
                event["error"].get("type", "error"), event["error"].get("message", "")
            )
        if kind == "message_start":
            memo["start"], memo["model"] = (
                event["message"].get("usage") or {},
                event["message"].get("model"),
            )
        elif kind == "content_block_start" and event["content_block"]["type"] == "tool_use":
            block = event["content_block"]
            yield self._part(
                "",
                [
                    tool_call_chunk(
                        name=block["name"], args="", id=block["id"], index=event["index"]
                    )
                ],
            )
        elif kind == "content_block_start" and event["content_block"].get("text"):
            yield self._part(event["content_block"]["text"], [])
        elif kind == "content_block_delta":
            delta = event["delta"]
            if delta["type"] == "text_delta":
                yield self._part(delta["text"], [])
            elif delta["type"] == "input_json_delta" and delta["partial_json"]:
                yield self._part(
                    "",
                    [
                        tool_call_chunk(
                            name=None, args=delta["partial_json"], id=None, index=event["index"]
                        )
                    ],
                )
        elif kind == "message_delta":
            memo["end"], memo["why"] = (
                event.get("usage") or memo.get("end"),
                event["delta"].get("stop_reason"),
            )
        elif kind == "message_stop":
            memo["stopped"] = True
            yield ChatGenerationChunk(
                message=AIMessageChunk(
                    content="",
                    usage_metadata=self._usage(memo.get("start") or {}, memo.get("end") or {}),
                    response_metadata={
                        "model_name": memo.get("model") or self.model_id,
                        "stop_reason": memo.get("why"),
                    },
                )
            )

    @staticmethod
    def _part(text: str, calls: list) -> ChatGenerationChunk:
        return ChatGenerationChunk(message=AIMessageChunk(content=text, tool_call_chunks=calls))

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> Iterator[ChatGenerationChunk]:
        memo, rest = {}, b""
        with (
            self._sync() as http,
            http.stream("POST", **self._setup(messages, stop, kwargs, True)) as response,
        ):
            if response.is_error:
                response.read()
                self._raise(response)
            for data in response.iter_bytes():
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    for chunk in self._events(line, memo):
                        if run_manager:
                            run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk
        if not memo.get("stopped"):
            raise MessagesError("incomplete", "the stream ended without message_stop")

    async def _astream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> AsyncIterator[ChatGenerationChunk]:
        memo, rest = {}, b""
        async with (
            self._async() as http,
            http.stream("POST", **self._setup(messages, stop, kwargs, True)) as response,
        ):
            if response.is_error:
                await response.aread()
                self._raise(response)
            async for data in response.aiter_bytes():
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    for chunk in self._events(line, memo):
                        if run_manager:
                            await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk
        if not memo.get("stopped"):
            raise MessagesError("incomplete", "the stream ended without message_stop")
