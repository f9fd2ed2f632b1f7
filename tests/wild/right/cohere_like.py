"""An enterprise vendor's chat with a wire of its own: a tool plan, tool calls, billed units, typed events.

Modelled on: vendors' packages whose second API (`/v2/chat`) is like OpenAI's and yet not: `stop_sequences`,
`tool_choice` in capitals and only REQUIRED or NONE, `tool_plan` beside the calls, usage with and without what
is billed, server-sent events by type.

Right: answers and events are validated; the tool plan is kept and goes back with the calls; a named tool is
forced by giving the model that tool alone; usage counts tokens and keeps what is billed in the metadata;
structured output is LangChain's own, by a forced tool.

MODEL: ChatNorthwind
KWARGS: {}
WIRE: own
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Literal

import httpx
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
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError


class _Function(BaseModel):
    name: str
    arguments: str = ""


class _Call(BaseModel):
    id: str
    function: _Function


class _Text(BaseModel):
    type: Literal["text"] = "text"
    text: str


class _Message(BaseModel):
    content: list[_Text] | None = None
    tool_plan: str | None = None
    tool_calls: list[_Call] | None = None


class _Count(BaseModel):
    input_tokens: int = 0
    output_tokens: int = 0


class _Usage(BaseModel):
    tokens: _Count | None = None
    billed_units: _Count | None = None


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore")
    id: str
    finish_reason: str
    message: _Message
    usage: _Usage | None = None


class NorthwindError(RuntimeError):
    """Northwind did not give an answer."""


class _Lines:
    """Lines as they come: ended by a line feed, and by none of the other signs that str.splitlines knows."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[str]:
        *whole, self._rest = (self._rest + piece).split(b"\n")
        return [line.rstrip(b"\r").decode("utf-8", "replace") for line in whole]

    @classmethod
    def of(cls, response: httpx.Response) -> Iterator[str]:
        lines = cls()
        for piece in response.iter_bytes():
            yield from lines.feed(piece)
        yield from lines.feed(b"\n")

    @classmethod
    async def aof(cls, response: httpx.Response) -> AsyncIterator[str]:
        lines = cls()
        async for piece in response.aiter_bytes():
            for line in lines.feed(piece):
                yield line
        for line in lines.feed(b"\n"):
            yield line


class ChatNorthwind(BaseChatModel):
    """Northwind's second chat API."""

    model_id: str = "north-r-plus"
    endpoint: str = "http://localhost:7070"
    token: SecretStr | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    request_timeout: float = 60.0

    @property
    def _llm_type(self) -> str:
        return "northwind-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model_id": self.model_id,
            "endpoint": self.endpoint,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "northwind"
        params["ls_model_name"] = kwargs.get("model") or self.model_id
        return params

    # ---- out

    @staticmethod
    def _content(message: BaseMessage) -> str | list[dict[str, Any]]:
        if isinstance(message.content, str):
            return message.content
        parts: list[dict[str, Any]] = []
        for block in message.content:
            if isinstance(block, str):
                parts.append({"type": "text", "text": block})
            elif block.get("type") == "text":
                parts.append({"type": "text", "text": block["text"]})
            elif block.get("type") == "image_url":
                url = block["image_url"]
                parts.append(
                    {
                        "type": "image_url",
                        "image_url": {"url": url["url"] if isinstance(url, dict) else url},
                    }
                )
            elif block.get("type") == "image" and block.get("base64"):
                kind = block.get("mime_type") or "image/png"
                parts.append(
                    {
                        "type": "image_url",
                        "image_url": {"url": f"data:{kind};base64,{block['base64']}"},
                    }
                )
            elif block.get("type") == "image" and block.get("url"):
                parts.append({"type": "image_url", "image_url": {"url": block["url"]}})
            else:
                raise ValueError(f"Northwind takes no content of type {block.get('type')!r}.")
        return parts

    def _to_wire(self, message: BaseMessage) -> dict[str, Any]:
        if isinstance(message, AIMessage):
            wire: dict[str, Any] = {"role": "assistant"}
            if message.text:
                wire["content"] = message.text
            if message.tool_calls:
                plan = message.additional_kwargs.get("tool_plan")
                if plan:
                    wire["tool_plan"] = plan
                wire["tool_calls"] = [
                    {
                        "id": call["id"],
                        "type": "function",
                        "function": {"name": call["name"], "arguments": json.dumps(call["args"])},
                    }
                    for call in message.tool_calls
                ]
            if len(wire) == 1:
                wire["content"] = ""
            return wire
        if isinstance(message, ToolMessage):
            return {"role": "tool", "tool_call_id": message.tool_call_id, "content": message.text}
        if isinstance(message, SystemMessage):
            return {"role": "system", "content": self._content(message)}
        if isinstance(message, HumanMessage):
            return {"role": "user", "content": self._content(message)}
        raise ValueError(f"Northwind takes no message of type {message.type!r}.")

    def _body(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        stream: bool,
        kwargs: dict[str, Any],
    ) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model_id,
            "messages": [self._to_wire(message) for message in messages],
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
            "stop_sequences": stop,
        }
        body.update(kwargs)
        body["stream"] = stream
        return {key: value for key, value in body.items() if value is not None}

    def _how(self) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.token.get_secret_value()}"} if self.token else {}
        return {"headers": headers, "timeout": self.request_timeout}

    def _url(self) -> str:
        return self.endpoint.rstrip("/") + "/v2/chat"

    # ---- in

    @staticmethod
    def _check(response: httpx.Response) -> None:
        if response.status_code >= 400:
            raise NorthwindError(
                f"Northwind answered {response.status_code}: {response.text[:500]}"
            )

    @staticmethod
    def _counted(usage: _Usage | None) -> tuple[UsageMetadata | None, dict[str, Any]]:
        if usage is None:
            return None, {}
        count = usage.tokens or usage.billed_units
        told = None
        if count:
            told = UsageMetadata(
                input_tokens=count.input_tokens,
                output_tokens=count.output_tokens,
                total_tokens=count.input_tokens + count.output_tokens,
            )
        return told, {"billed_units": usage.billed_units.model_dump()} if usage.billed_units else {}

    def _result(self, response: httpx.Response, model: str) -> ChatResult:
        self._check(response)
        try:
            answer = _Answer.model_validate_json(response.content)
        except ValidationError as error:
            raise NorthwindError(f"Northwind's answer is not of its form: {error}") from error
        self._finished(answer.finish_reason)
        calls, bad = [], []
        for call in answer.message.tool_calls or []:
            text = call.function.arguments
            try:
                args = json.loads(text) if text.strip() else {}
                if not isinstance(args, dict):
                    raise ValueError("the arguments are no JSON object")
            except ValueError as error:
                bad.append(
                    invalid_tool_call(
                        name=call.function.name, args=text, id=call.id, error=str(error)
                    )
                )
            else:
                calls.append(tool_call(name=call.function.name, args=args, id=call.id))
        usage, billed = self._counted(answer.usage)
        message = AIMessage(
            content="".join(part.text for part in answer.message.content or []),
            additional_kwargs={"tool_plan": answer.message.tool_plan}
            if answer.message.tool_plan
            else {},
            tool_calls=calls,
            invalid_tool_calls=bad,
            usage_metadata=usage,
            response_metadata={
                "id": answer.id,
                "finish_reason": answer.finish_reason,
                "model_name": model,
                "model_provider": "northwind",
                **billed,
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    @staticmethod
    def _finished(reason: str) -> None:
        if reason in ("ERROR", "TIMEOUT"):
            raise NorthwindError(f"Northwind broke off its answer: {reason}")

    def _chunk(self, line: str, model: str, state: dict[str, Any]) -> AIMessageChunk | None:
        if not line.startswith("data:"):
            return None
        try:
            event = json.loads(line[5:])
            kind = event["type"]
        except (ValueError, KeyError, TypeError) as error:
            raise NorthwindError(f"An event is not of its form: {line[:80]!r}") from error
        delta = event.get("delta") or {}
        message = delta.get("message") or {}
        if kind == "content-delta":
            return AIMessageChunk(content=message["content"]["text"])
        if kind == "tool-plan-delta":
            return AIMessageChunk(content="", additional_kwargs={"tool_plan": message["tool_plan"]})
        if kind in ("tool-call-start", "tool-call-delta"):
            call = message["tool_calls"]
            function = call["function"]
            return AIMessageChunk(
                content="",
                tool_call_chunks=[
                    tool_call_chunk(
                        name=function.get("name"),
                        args=function.get("arguments", ""),
                        id=call.get("id"),
                        index=event["index"],
                    )
                ],
            )
        if kind == "message-end":
            self._finished(delta["finish_reason"])
            state["done"] = True
            usage, billed = self._counted(
                _Usage.model_validate(delta["usage"]) if delta.get("usage") else None
            )
            return AIMessageChunk(
                content="",
                chunk_position="last",
                usage_metadata=usage,
                response_metadata={
                    "finish_reason": delta["finish_reason"],
                    "model_name": model,
                    "model_provider": "northwind",
                    **billed,
                },
            )
        if kind == "error":
            raise NorthwindError(f"Northwind broke off: {event}")
        return None

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        body = self._body(messages, stop, False, kwargs)
        with httpx.Client(**self._how()) as client:
            return self._result(client.post(self._url(), json=body), body["model"])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        body = self._body(messages, stop, False, kwargs)
        async with httpx.AsyncClient(**self._how()) as client:
            return self._result(await client.post(self._url(), json=body), body["model"])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        body, state = self._body(messages, stop, True, kwargs), {}
        with (
            httpx.Client(**self._how()) as client,
            client.stream("POST", self._url(), json=body) as response,
        ):
            if response.status_code >= 400:
                response.read()
            self._check(response)
            for line in _Lines.of(response):
                message = self._chunk(line, body["model"], state)
                if message is None:
                    continue
                chunk = ChatGenerationChunk(message=message)
                if run_manager:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk
        if not state.get("done"):
            raise NorthwindError("The stream ended before the answer did.")

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        body, state = self._body(messages, stop, True, kwargs), {}
        async with (
            httpx.AsyncClient(**self._how()) as client,
            client.stream("POST", self._url(), json=body) as response,
        ):
            if response.status_code >= 400:
                await response.aread()
            self._check(response)
            async for line in _Lines.aof(response):
                message = self._chunk(line, body["model"], state)
                if message is None:
                    continue
                chunk = ChatGenerationChunk(message=message)
                if run_manager:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk
        if not state.get("done"):
            raise NorthwindError("The stream ended before the answer did.")

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        known = [convert_to_openai_tool(tool) for tool in tools]
        if isinstance(tool_choice, dict):
            tool_choice = tool_choice["function"]["name"]
        if tool_choice in ("any", "required"):
            kwargs["tool_choice"] = "REQUIRED"
        elif tool_choice == "none":
            kwargs["tool_choice"] = "NONE"
        elif tool_choice not in (None, "auto"):
            known = [tool for tool in known if tool["function"]["name"] == tool_choice]
            if not known:
                raise ValueError(f"tool_choice names {tool_choice!r}, which is none of the tools.")
            kwargs["tool_choice"] = "REQUIRED"
        return self.bind(tools=known, **kwargs)
