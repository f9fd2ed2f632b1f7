"""Modelled on: repositories of companies with a model server of their own design: turns have parts, functions have
ids, streams have named events; a chat model translates both ways.

Right: the whole of LangChain's side is there (sync, async, both streams, tools with forced choice, usage, stop,
errors) over a wire that shares no name with OpenAI's. The engine's answer is validated before it is used.

The wire: POST {gateway}/turn {"engine", "thread": [{"who": "rules"|"person"|"machine", "parts": [{"say"} |
{"call", "of", "with"} | {"result_of", "result", "failed"?}]}], "functions"?: [{"id", "about", "takes"}],
"must_call"?, "cut_at"?, "at_most"?, "warmth"?, "live"}; not live: {"say", "calls", "ended", "cost": [in, out],
"engine"}; live: events `word` {"t"}, `call` {"call", "of", "with"}, `end` {"ended", "cost", "engine"}, `oops` {"why"}.

MODEL: TurnChat
KWARGS: {}
WIRE: own
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Literal

import httpx
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.tool import tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError


class EngineError(Exception):
    """The engine failed, or broke its own protocol."""


class _Call(BaseModel):
    call: str
    of: str
    arguments: dict[str, Any] = Field(alias="with")


class _End(BaseModel):
    ended: Literal["said", "full", "waits"]
    cost: tuple[int, int]
    engine: str

    def told(self) -> dict[str, Any]:
        read, written = self.cost
        return {
            "usage_metadata": {
                "input_tokens": read,
                "output_tokens": written,
                "total_tokens": read + written,
            },
            "response_metadata": {"model_name": self.engine, "ended": self.ended},
        }


class _Turn(_End):
    say: str
    calls: list[_Call]


def _say(message: BaseMessage) -> str:
    if isinstance(message.content, list):
        for block in message.content:
            if isinstance(block, str) or block.get("type") == "text":
                continue
            if isinstance(message, AIMessage) and block.get("type") in (
                "tool_call",
                "invalid_tool_call",
                "tool_use",
                "reasoning",
            ):
                continue
            raise ValueError(
                f"TurnChat has no parts for a content block of type {block.get('type')!r}"
            )
    return message.text


def _thread(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    thread = []
    for message in messages:
        if isinstance(message, SystemMessage):
            thread.append({"who": "rules", "parts": [{"say": _say(message)}]})
        elif isinstance(message, HumanMessage):
            thread.append({"who": "person", "parts": [{"say": _say(message)}]})
        elif isinstance(message, AIMessage):
            parts: list[dict[str, Any]] = [{"say": said}] if (said := _say(message)) else []
            parts += [
                {"call": c["id"], "of": c["name"], "with": c["args"]} for c in message.tool_calls
            ]
            thread.append({"who": "machine", "parts": parts})
        elif isinstance(message, ToolMessage):
            part = {"result_of": message.tool_call_id, "result": _say(message)}
            if message.status == "error":
                part["failed"] = True
            thread.append({"who": "person", "parts": [part]})
        else:
            raise ValueError(f"TurnChat cannot send a {type(message).__name__}")
    return thread


class _Events:
    """Named events out of bytes."""

    def __init__(self) -> None:
        self._rest, self._name, self._calls, self.ended = b"", "", 0, False

    def feed(self, data: bytes) -> Iterator[ChatGenerationChunk]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            field, _, value = line.rstrip(b"\r").partition(b":")
            if field == b"event":
                self._name = value.strip().decode()
            elif field == b"data":
                yield self._event(json.loads(value))

    def _event(self, data: dict[str, Any]) -> ChatGenerationChunk:
        if self._name == "word":
            return ChatGenerationChunk(message=AIMessageChunk(content=data["t"]))
        if self._name == "call":
            call = _Call.model_validate(data)
            made = tool_call_chunk(
                name=call.of, args=json.dumps(call.arguments), id=call.call, index=self._calls
            )
            self._calls += 1
            return ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[made]))
        if self._name == "end":
            self.ended = True
            return ChatGenerationChunk(
                message=AIMessageChunk(content="", **_End.model_validate(data).told())
            )
        raise EngineError(f"the engine broke off: {self._name} {data}")

    def close(self) -> None:
        if not self.ended:
            raise EngineError("the engine's stream has no end event")


class TurnChat(BaseChatModel):
    """A chat model for the turn server."""

    model_config = ConfigDict(extra="forbid")

    gateway: str = "http://127.0.0.1:9200"
    engine: str = "engine-1"
    pass_key: SecretStr | None = None
    warmth: float | None = None
    at_most: int | None = None
    timeout: float = 60.0

    @property
    def _llm_type(self) -> str:
        return "turn-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "gateway": self.gateway,
            "engine": self.engine,
            "warmth": self.warmth,
            "at_most": self.at_most,
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "turn"
        params["ls_model_name"] = self.engine
        temperature = kwargs.get("temperature", self.warmth)
        if temperature is not None:
            params["ls_temperature"] = temperature
        return params

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        openai = [convert_to_openai_tool(tool) for tool in tools]
        if tool_choice is True or tool_choice == "required":
            tool_choice = "any"
        names = [t["function"]["name"] for t in openai]
        if tool_choice and tool_choice not in ("auto", "any", "none", *names):
            raise ValueError(f"tool_choice={tool_choice!r} is not among the tools {names}")
        if tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=openai, **kwargs)

    def _call(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        live: bool,
        kwargs: dict[str, Any],
    ) -> dict[str, Any]:
        given = {k: v for k, v in kwargs.items() if v is not None and k != "stream"}
        tools, choice = given.pop("tools", []), given.pop("tool_choice", "auto")
        body = {
            "engine": self.engine,
            "thread": _thread(messages),
            "warmth": given.pop("temperature", self.warmth),
            "at_most": given.pop("max_tokens", self.at_most),
            "cut_at": stop or None,
            "live": live,
        }
        if given:
            raise TypeError(f"TurnChat does not take {', '.join(sorted(given))}")
        if tools and choice != "none":
            functions = [tool["function"] for tool in tools]
            body["functions"] = [
                {
                    "id": f["name"],
                    "about": f.get("description", ""),
                    "takes": f.get("parameters") or {"type": "object", "properties": {}},
                }
                for f in functions
            ]
            if choice != "auto":
                body["must_call"] = choice
        headers = {"X-Pass": self.pass_key.get_secret_value()} if self.pass_key else {}
        return {
            "url": self.gateway.rstrip("/") + "/turn",
            "json": {k: v for k, v in body.items() if v is not None},
            "headers": headers,
        }

    @staticmethod
    def _result(response: httpx.Response) -> ChatResult:
        response.raise_for_status()
        try:
            turn = _Turn.model_validate_json(response.content)
        except ValidationError as error:
            raise EngineError(f"the engine's answer is no turn: {error}") from error
        calls = [tool_call(name=c.of, args=c.arguments, id=c.call) for c in turn.calls]
        message = AIMessage(content=turn.say, tool_calls=calls, **turn.told())
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call = self._call(messages, stop, False, kwargs)
        with httpx.Client(timeout=self.timeout) as client:
            return self._result(client.post(**call))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call = self._call(messages, stop, False, kwargs)
        async with httpx.AsyncClient(timeout=self.timeout) as client:
            return self._result(await client.post(**call))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        call, events = self._call(messages, stop, True, kwargs), _Events()
        with (
            httpx.Client(timeout=self.timeout) as client,
            client.stream("POST", **call) as response,
        ):
            if response.is_error:
                response.read()
            response.raise_for_status()
            for data in response.iter_bytes():
                yield from events.feed(data)
        events.close()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        call, events = self._call(messages, stop, True, kwargs), _Events()
        async with (
            httpx.AsyncClient(timeout=self.timeout) as client,
            client.stream("POST", **call) as response,
        ):
            if response.is_error:
                await response.aread()
            response.raise_for_status()
            async for data in response.aiter_bytes():
                for chunk in events.feed(data):
                    yield chunk
        events.close()
