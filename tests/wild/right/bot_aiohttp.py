"""An async-only model for a chat bot that lives on one event loop, over aiohttp.

Modelled on: Discord, Telegram and FastAPI bots which talk to a vLLM or LocalAI server with aiohttp, and
whose model has `_agenerate` and `_astream` only.

What is right: the sync half is refused by an error that says what to call in its place; a session is made
per call, so that no loop is held; one error class with the status in it; tools as OpenAI has them, forced
ones too; usage from the last event of the stream; lines are cut from bytes only when they are whole; a
stream that breaks off is an error.

MODEL: BotChat
KWARGS: {}
WIRE: openai
"""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import aiohttp
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    convert_to_openai_messages,
)
from langchain_core.output_parsers.openai_tools import make_invalid_tool_call, parse_tool_call
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, SecretStr


class BotChatError(Exception):
    """What the server or the way to it did wrong; `status` is None without an answer."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class BotChat(BaseChatModel):
    """For `ainvoke`, `astream` and `abatch`."""

    api_base: str = "http://127.0.0.1:8000/v1"
    api_key: SecretStr = Field(default=SecretStr(""), exclude=True)
    model: str = "local-chat"
    temperature: float = 0.7
    max_tokens: int | None = None
    total_timeout: float = 120.0

    @property
    def _llm_type(self) -> str:
        return "bot-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        names = ("api_base", "model", "temperature", "max_tokens")
        return {name: getattr(self, name) for name in names}

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable | BaseTool],
        *,
        tool_choice: Any = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        specs = [convert_to_openai_tool(tool, strict=strict) for tool in tools]
        if tool_choice in ("any", True):
            tool_choice = "required"
        elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            tool_choice = {"type": "function", "function": {"name": tool_choice}}
        if tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=specs, **kwargs)

    def _message(self, message: BaseMessage) -> dict[str, Any]:
        if isinstance(message, SystemMessage | HumanMessage):
            # text as it is; pictures and the like in OpenAI's form
            return convert_to_openai_messages(message)
        if isinstance(message, ToolMessage):
            return {"role": "tool", "tool_call_id": message.tool_call_id, "content": message.text}
        if isinstance(message, AIMessage):
            wire: dict[str, Any] = {"role": "assistant", "content": message.text or None}
            if message.tool_calls or message.invalid_tool_calls:
                wire["tool_calls"] = [
                    {
                        "id": call["id"],
                        "type": "function",
                        "function": {"name": call["name"], "arguments": json.dumps(call["args"])},
                    }
                    for call in message.tool_calls
                ] + [
                    {
                        "id": call["id"],
                        "type": "function",
                        "function": {"name": call["name"], "arguments": call["args"] or ""},
                    }
                    for call in message.invalid_tool_calls
                ]
            elif wire["content"] is None:
                wire["content"] = ""
            return wire
        raise BotChatError(f"There is no role for a message of type {message.type!r}")

    def _payload(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict
    ) -> dict[str, Any]:
        payload = {
            "model": self.model,
            "messages": [self._message(message) for message in messages],
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "stop": stop or None,
            **kwargs,
        }
        payload.pop("stream", None)
        return {key: value for key, value in payload.items() if value is not None and value != []}

    def _session(self) -> aiohttp.ClientSession:
        key = self.api_key.get_secret_value()
        return aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=aiohttp.ClientTimeout(total=self.total_timeout),
        )

    @property
    def _url(self) -> str:
        return f"{self.api_base.rstrip('/')}/chat/completions"

    @staticmethod
    def _usage(raw: dict[str, Any] | None) -> dict[str, int] | None:
        if not raw:
            return None
        read, written = raw.get("prompt_tokens") or 0, raw.get("completion_tokens") or 0
        return {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}

    async def _check(self, response: aiohttp.ClientResponse) -> None:
        if response.status >= 400:
            text = (await response.text(errors="replace"))[:400]
            raise BotChatError(
                f"HTTP {response.status} from {self.api_base}: {text}", response.status
            )

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise NotImplementedError("BotChat is async only: use ainvoke, astream or abatch")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        payload = self._payload(messages, stop, kwargs)
        try:
            async with (
                self._session() as session,
                session.post(self._url, json=payload) as response,
            ):
                await self._check(response)
                data = json.loads(await response.read())
            choice = data["choices"][0]
            said = choice["message"]
        except TimeoutError as error:
            raise BotChatError(f"No answer within {self.total_timeout} s") from error
        except aiohttp.ClientError as error:
            raise BotChatError(f"The connection to {self.api_base} failed: {error}") from error
        except (ValueError, LookupError, TypeError) as error:
            raise BotChatError("The server did not send a chat completion") from error
        calls, invalid = [], []
        for raw in said.get("tool_calls") or []:
            try:
                calls.append(parse_tool_call(raw, return_id=True))
            except Exception as error:  # noqa: BLE001
                invalid.append(make_invalid_tool_call(raw, str(error)))
        message = AIMessage(
            content=said.get("content") or "",
            tool_calls=calls,
            invalid_tool_calls=invalid,
            usage_metadata=self._usage(data.get("usage")),
            response_metadata={
                "finish_reason": choice.get("finish_reason"),
                "model_name": data.get("model", payload["model"]),
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        payload = self._payload(messages, stop, kwargs)
        payload.update(stream=True, stream_options={"include_usage": True})
        finished = False
        try:
            async with (
                self._session() as session,
                session.post(self._url, json=payload) as response,
            ):
                await self._check(response)
                async for data in self._events(response):
                    if data == "[DONE]":
                        finished = True
                        break
                    event = json.loads(data)
                    if "error" in event:
                        raise BotChatError(f"The server broke off: {str(event['error'])[:300]}")
                    chunk = self._chunk(event, payload["model"])
                    if chunk.generation_info:
                        finished = True
                    yield chunk
        except TimeoutError as error:
            raise BotChatError(f"No answer within {self.total_timeout} s") from error
        except aiohttp.ClientError as error:
            raise BotChatError(f"The connection to {self.api_base} failed: {error}") from error
        except ValueError as error:
            raise BotChatError("The server sent an event that is not JSON") from error
        if not finished:
            raise BotChatError("The stream ended before the answer did")

    @staticmethod
    async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[str]:
        rest = b""
        async for some in response.content.iter_any():
            *lines, rest = (rest + some).split(b"\n")
            for line in lines:
                if line.startswith(b"data:"):
                    yield line[5:].decode().strip()
        if rest.startswith(b"data:"):
            yield rest[5:].decode().strip()

    def _chunk(self, event: dict[str, Any], model: str) -> ChatGenerationChunk:
        choice = (event.get("choices") or [{}])[0]
        delta = choice.get("delta") or {}
        info = None
        if choice.get("finish_reason"):
            info = {
                "finish_reason": choice["finish_reason"],
                "model_name": event.get("model", model),
            }
        return ChatGenerationChunk(
            message=AIMessageChunk(
                content=delta.get("content") or "",
                tool_call_chunks=[
                    {
                        "name": raw.get("function", {}).get("name"),
                        "args": raw.get("function", {}).get("arguments"),
                        "id": raw.get("id"),
                        "index": raw.get("index"),
                        "type": "tool_call_chunk",
                    }
                    for raw in delta.get("tool_calls") or []
                ],
                usage_metadata=self._usage(event.get("usage")),
            ),
            generation_info=info,
        )
