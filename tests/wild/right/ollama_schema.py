"""A chat model over Ollama's own chat API by Ollama's Python client.

Modelled on: desktop and home-lab repositories that write their own Ollama class instead of langchain-ollama:
a `host`, a `model`, a dict of options; the client made per call.
Right: sync, async, streaming, tools (each call gets an id, Ollama has none), thinking beside the text,
structured output by Ollama's `format` (a schema), stop and temperature in `options`. Ollama can't force a tool
call, so a forced `tool_choice` is refused by name.
MODEL: ChatHearth
KWARGS: {}
WIRE: ollama
"""

from __future__ import annotations

import json
import ssl
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any

import httpx
import ollama
from langchain_core.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
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
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call, tool_call_chunk
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableMap, RunnablePassthrough
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from pydantic import BaseModel

_TLS = (
    ssl.create_default_context()
)  # made once: reading the certificates would hold up an event loop
_OPTIONS = (
    "temperature",
    "num_ctx",
    "num_predict",
    "seed",
    "top_k",
    "top_p",
    "repeat_penalty",
    "min_p",
)
_STATUS = {401: ModelAuthenticationError, 404: ModelNotFoundError, 429: ModelRateLimitError}


def _translated(error: Exception) -> ModelError:
    if isinstance(error, ollama.ResponseError):
        status = error.status_code
        kind = _STATUS.get(
            status, ModelInvalidRequestError if 400 <= status < 500 else ModelAPIError
        )
        return kind(f"Ollama answered {status}: {error.error}")
    if isinstance(error, httpx.TimeoutException):
        return ModelTimeoutError("Ollama did not answer in time.")
    if isinstance(error, (ConnectionError, httpx.TransportError)):
        return ModelConnectionError(f"Ollama can't be reached: {error}")
    return ModelAPIError(f"Ollama's answer can't be read: {error}")


_ERRORS = (ollama.ResponseError, ConnectionError, httpx.HTTPError, ValueError)


def _text_and_images(message: BaseMessage) -> tuple[str, list[str]]:
    if isinstance(message.content, str):
        return message.content, []
    images = []
    for block in message.content:
        if isinstance(block, str) or block["type"] in (
            "text",
            "reasoning",
            "tool_call",
            "tool_call_chunk",
        ):
            continue
        if block["type"] == "image" and (block.get("base64") or block.get("data")):
            images.append(block.get("base64") or block["data"])
            continue
        if block["type"] == "image_url":
            url = (
                block["image_url"]
                if isinstance(block["image_url"], str)
                else block["image_url"]["url"]
            )
            if url.startswith("data:"):
                images.append(url.partition(",")[2])
                continue
        raise ValueError(f"Ollama takes text and base64 images, not this {block['type']!r} block.")
    return message.text, images


def _wire(messages: list[BaseMessage]) -> list[dict[str, Any]]:
    names = {
        call["id"]: call["name"]
        for m in messages
        if isinstance(m, AIMessage)
        for call in m.tool_calls
    }
    wire = []
    for message in messages:
        text, images = _text_and_images(message)
        one: dict[str, Any] = {"content": text}
        if isinstance(message, SystemMessage):
            one["role"] = "system"
        elif isinstance(message, HumanMessage):
            one["role"] = "user"
        elif isinstance(message, AIMessage):
            one["role"] = "assistant"
            if message.tool_calls:
                one["tool_calls"] = [
                    {"function": {"name": call["name"], "arguments": call["args"]}}
                    for call in message.tool_calls
                ]
        elif isinstance(message, ToolMessage):
            one["role"] = "tool"
            one["tool_name"] = names.get(message.tool_call_id) or message.name or "tool"
        else:
            raise ValueError(f"ChatHearth does not know messages of type {message.type!r}.")
        if images:
            one["images"] = images
        wire.append(one)
    return wire


def _usage(part: Any) -> UsageMetadata | None:
    if part.prompt_eval_count is None and part.eval_count is None:
        return None
    read, written = part.prompt_eval_count or 0, part.eval_count or 0
    return UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)


class ChatHearth(BaseChatModel):
    """A model that Ollama serves."""

    model: str = "qwen3"
    host: str = "http://localhost:11434"
    temperature: float | None = None
    num_ctx: int | None = None
    num_predict: int | None = None
    seed: int | None = None
    keep_alive: str | None = None
    think: bool | None = None
    timeout: float = 300.0

    @property
    def _llm_type(self) -> str:
        return "hearth-ollama"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        names = (
            "model",
            "host",
            "temperature",
            "num_ctx",
            "num_predict",
            "seed",
            "think",
            "output_version",
        )
        return {name: getattr(self, name) for name in names}

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        more = {key: value for key, value in kwargs.items() if key != "stream"}
        options = {key: getattr(self, key, None) for key in _OPTIONS}
        options.update(more.pop("options", None) or {})
        options.update({key: more.pop(key) for key in _OPTIONS if key in more})
        if "max_tokens" in more:
            options["num_predict"] = more.pop("max_tokens")
        options = {key: value for key, value in options.items() if value is not None}
        if stop:
            options["stop"] = stop
        request = {
            "model": self.model,
            "messages": _wire(messages),
            "options": options,
            "keep_alive": self.keep_alive,
            "think": self.think,
        }
        unknown = set(more) - {
            "model",
            "tools",
            "format",
            "keep_alive",
            "think",
            "logprobs",
            "top_logprobs",
        }
        if unknown:
            raise TypeError(f"ChatHearth does not know {sorted(unknown)}.")
        request.update(more)
        return {key: value for key, value in request.items() if value is not None}

    def _result(self, answer: Any) -> ChatResult:
        message = AIMessage(
            content=answer.message.content or "",
            additional_kwargs={"reasoning_content": answer.message.thinking}
            if answer.message.thinking
            else {},
            tool_calls=[
                tool_call(
                    name=one.function.name,
                    args=dict(one.function.arguments),
                    id=f"call_{uuid.uuid4().hex}",
                )
                for one in answer.message.tool_calls or []
            ],
            usage_metadata=_usage(answer),
            response_metadata={
                "model_name": answer.model or self.model,
                "done_reason": answer.done_reason,
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _chunk(self, part: Any, calls: int) -> ChatGenerationChunk:
        chunk = AIMessageChunk(
            content=part.message.content or "",
            additional_kwargs={"reasoning_content": part.message.thinking}
            if part.message.thinking
            else {},
            tool_call_chunks=[
                tool_call_chunk(
                    name=one.function.name,
                    args=json.dumps(dict(one.function.arguments)),
                    id=f"call_{uuid.uuid4().hex}",
                    index=calls + n,
                )
                for n, one in enumerate(part.message.tool_calls or [])
            ],
        )
        if part.done:
            chunk.usage_metadata = _usage(part)
            chunk.response_metadata = {
                "model_name": part.model or self.model,
                "done_reason": part.done_reason,
            }
        return ChatGenerationChunk(message=chunk)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self._request(messages, stop, kwargs)
        client = ollama.Client(host=self.host, timeout=self.timeout, verify=_TLS)
        try:
            return self._result(client.chat(**request))
        except _ERRORS as error:
            raise _translated(error) from error
        finally:
            client._client.close()

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self._request(messages, stop, kwargs)
        client = ollama.AsyncClient(host=self.host, timeout=self.timeout, verify=_TLS)
        try:
            return self._result(await client.chat(**request))
        except _ERRORS as error:
            raise _translated(error) from error
        finally:
            await client._client.aclose()

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        request = self._request(messages, stop, kwargs)
        client = ollama.Client(host=self.host, timeout=self.timeout, verify=_TLS)
        calls, done = 0, False
        try:
            parts = client.chat(**request, stream=True)
            try:
                for part in parts:
                    yield self._chunk(part, calls)
                    calls += len(part.message.tool_calls or [])
                    done = done or bool(part.done)
            finally:
                parts.close()
        except _ERRORS as error:
            raise _translated(error) from error
        finally:
            client._client.close()
        if not done:
            raise ModelConnectionError("Ollama's stream broke off before its end.")

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        request = self._request(messages, stop, kwargs)
        client = ollama.AsyncClient(host=self.host, timeout=self.timeout, verify=_TLS)
        calls, done = 0, False
        try:
            parts = await client.chat(**request, stream=True)
            try:
                async for part in parts:
                    yield self._chunk(part, calls)
                    calls += len(part.message.tool_calls or [])
                    done = done or bool(part.done)
            finally:
                await parts.aclose()
        except _ERRORS as error:
            raise _translated(error) from error
        finally:
            await client._client.aclose()
        if not done:
            raise ModelConnectionError("Ollama's stream broke off before its end.")

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | bool | None = None,
        **kwargs: Any,
    ) -> Any:
        if tool_choice == "none":
            return self.bind(**kwargs)
        if tool_choice not in (None, False, "auto"):
            raise NotImplementedError(
                f"Ollama can't force a tool call (tool_choice={tool_choice!r})."
            )
        return self.bind(tools=[convert_to_openai_tool(one) for one in tools], **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        method: str = "json_schema",
        **kwargs: Any,
    ) -> Any:
        """Answers that conform to a schema, held to it by Ollama's `format`."""
        if method != "json_schema":
            raise NotImplementedError(
                f"ChatHearth has structured output by json_schema alone, not by {method!r}."
            )
        kwargs.pop("strict", None)
        if kwargs:
            raise ValueError(f"Received unsupported arguments {kwargs}")
        parser: Any = JsonOutputParser()
        if isinstance(schema, type) and issubclass(schema, BaseModel):
            parser = PydanticOutputParser(pydantic_object=schema)
        llm = self.bind(
            format=convert_to_json_schema(schema),
            ls_structured_output_format={"kwargs": {"method": method}, "schema": schema},
        )
        if not include_raw:
            return llm | parser
        parse = RunnablePassthrough.assign(
            parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
        )
        none = RunnablePassthrough.assign(parsed=lambda _: None)
        return RunnableMap(raw=llm) | parse.with_fallbacks([none], exception_key="parsing_error")
