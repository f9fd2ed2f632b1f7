"""Modelled on: in-house frameworks with a class tree of chat models: an abstract base with the plumbing, a model per
service, a model per task under it, all configured by settings objects (`connection`, `sampling`) that YAML fills.

Right: settings are pydantic models (unknown names are errors), the flat names people type (`base_url`, `model`,
`temperature`, ...) are accepted too and moved into them; clients of the openai package are cached outside of the
model, by what they are made of (the async ones per event loop), so models pickle, copy and compare; the task's system
prompt goes in front of the conversation without touching the caller's list.

MODEL: AcmeReviewer
KWARGS: {"base_url": "http://127.0.0.1:8000/v1"}
WIRE: openai
"""

from __future__ import annotations

import asyncio
import functools
import weakref
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import openai
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    SystemMessage,
    convert_to_openai_messages,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.output_parsers.openai_tools import make_invalid_tool_call, parse_tool_call
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class Connection(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: str = "http://127.0.0.1:8000/v1"
    api_key: SecretStr = SecretStr("not-needed")
    timeout: float = 60.0
    max_retries: int = 2

    def arguments(self) -> dict[str, Any]:
        return {**self.model_dump(exclude={"api_key"}), "api_key": self.api_key.get_secret_value()}


class Sampling(BaseModel):
    model_config = ConfigDict(extra="forbid")

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None

    def arguments(self) -> dict[str, Any]:
        return self.model_dump(exclude_none=True)


@functools.lru_cache(maxsize=32)
def _client(connection: Connection) -> openai.OpenAI:
    return openai.OpenAI(**connection.arguments())


_async_clients: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, dict[Connection, openai.AsyncOpenAI]
] = weakref.WeakKeyDictionary()


def _async_client(connection: Connection) -> openai.AsyncOpenAI:
    """A client of the running loop, whose connections no other loop will meet."""
    clients = _async_clients.setdefault(asyncio.get_running_loop(), {})
    if connection not in clients:
        clients[connection] = openai.AsyncOpenAI(**connection.arguments())
    return clients[connection]


class AcmeChatBase(BaseChatModel):
    """The plumbing: chat completions by the openai package."""

    model: str = "acme-base"
    connection: Connection = Field(default_factory=Connection)
    sampling: Sampling = Field(default_factory=Sampling)

    @model_validator(mode="before")
    @classmethod
    def _flat_names(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        values = dict(values)
        for field, settings in (("connection", Connection), ("sampling", Sampling)):
            flat = {name: values.pop(name) for name in settings.model_fields if name in values}
            if not flat:
                continue
            given = values.get(field)
            if given is None:  # flat names add to what the class has by default
                given = cls.model_fields[field].get_default(call_default_factory=True)
            if isinstance(given, settings):
                given = {name: getattr(given, name) for name in given.model_fields_set}
            values[field] = {**given, **flat}
        return values

    @property
    @abstractmethod
    def provider(self) -> str:
        """The name that traces have for the service."""

    @property
    def _llm_type(self) -> str:
        return f"acme-{self.provider}"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "base_url": self.connection.base_url,
            **self.sampling.arguments(),
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        told = {
            k: v for k, v in self.sampling.arguments().items() if k in ("temperature", "max_tokens")
        }
        params = super()._get_ls_params(stop=stop, **{**told, **kwargs})
        params["ls_provider"] = self.provider
        return params

    def _prepare(self, messages: list[BaseMessage]) -> list[BaseMessage]:
        """What a subclass does to the conversation; it returns a list of its own."""
        return list(messages)

    def _arguments(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        turns = []
        for message in self._prepare(messages):
            if isinstance(message, AIMessage):  # calls are sent from `tool_calls`, text as text
                message = message.model_copy(update={"content": message.text})
            turns.append(message)
        own: dict[str, Any] = {"model": self.model, **self.sampling.arguments()}
        own["messages"] = convert_to_openai_messages(turns, pass_through_unknown_blocks=False)
        if stop:
            own["stop"] = stop
        return {**own, **{k: v for k, v in kwargs.items() if k != "stream"}}

    # --- one answer

    @staticmethod
    def _usage(usage: Any) -> UsageMetadata | None:
        if usage is None:
            return None
        made = UsageMetadata(
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            total_tokens=usage.total_tokens,
        )
        if (read := getattr(usage, "prompt_tokens_details", None)) and read.cached_tokens:
            made["input_token_details"] = {"cache_read": read.cached_tokens}
        if (
            written := getattr(usage, "completion_tokens_details", None)
        ) and written.reasoning_tokens:
            made["output_token_details"] = {"reasoning": written.reasoning_tokens}
        return made

    def _result(self, completion: Any) -> ChatResult:
        if not getattr(completion, "choices", None):
            raise ValueError(
                f"{self._llm_type}: the service sent no choice: {str(completion)[:300]}"
            )
        choice = completion.choices[0]
        calls, bad = [], []
        for call in choice.message.tool_calls or []:
            raw = call.model_dump()
            try:
                calls.append(parse_tool_call(raw, return_id=True))
            except Exception as error:
                bad.append(make_invalid_tool_call(raw, str(error)))
        message = AIMessage(
            content=choice.message.content or "",
            additional_kwargs={"refusal": choice.message.refusal} if choice.message.refusal else {},
            tool_calls=calls,
            invalid_tool_calls=bad,
            usage_metadata=self._usage(completion.usage),
            response_metadata={
                "model_name": completion.model,
                "finish_reason": choice.finish_reason,
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
        arguments = self._arguments(messages, stop, kwargs)
        return self._result(_client(self.connection).chat.completions.create(**arguments))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        arguments = self._arguments(messages, stop, kwargs)
        return self._result(
            await _async_client(self.connection).chat.completions.create(**arguments)
        )

    # --- streams

    def _chunk(self, event: Any) -> ChatGenerationChunk:
        choice = event.choices[0] if event.choices else None
        delta = choice.delta if choice else None
        finish = choice.finish_reason if choice else None
        return ChatGenerationChunk(
            message=AIMessageChunk(
                content=(delta.content if delta else None) or "",
                additional_kwargs={"refusal": delta.refusal} if delta and delta.refusal else {},
                tool_call_chunks=[
                    tool_call_chunk(
                        name=call.function.name if call.function else None,
                        args=call.function.arguments if call.function else None,
                        id=call.id,
                        index=call.index,
                    )
                    for call in (delta.tool_calls if delta else None) or []
                ],
                usage_metadata=self._usage(event.usage),
                response_metadata={"finish_reason": finish, "model_name": event.model}
                if finish
                else {},
            )
        )

    def _streaming(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"stream_options": {"include_usage": True}, **arguments, "stream": True}

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        arguments = self._streaming(self._arguments(messages, stop, kwargs))
        finished = False
        with _client(self.connection).chat.completions.create(**arguments) as events:
            for event in events:
                finished = finished or any(choice.finish_reason for choice in event.choices)
                yield self._chunk(event)
        if not finished:
            raise ConnectionError(f"{self._llm_type}: the stream ended before the answer did")

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        arguments = self._streaming(self._arguments(messages, stop, kwargs))
        finished = False
        async with await _async_client(self.connection).chat.completions.create(
            **arguments
        ) as events:
            async for event in events:
                finished = finished or any(choice.finish_reason for choice in event.choices)
                yield self._chunk(event)
        if not finished:
            raise ConnectionError(f"{self._llm_type}: the stream ended before the answer did")

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        if tool_choice is True or tool_choice == "any":
            tool_choice = "required"
        elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            tool_choice = {"type": "function", "function": {"name": tool_choice}}
        if tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(
            tools=[convert_to_openai_tool(tool, strict=strict) for tool in tools], **kwargs
        )


class AcmeService(AcmeChatBase):
    """The service that most teams use."""

    model: str = "acme-large"

    @property
    def provider(self) -> str:
        return "service"


class AcmeReviewer(AcmeService):
    """Reviews: a system prompt of its own, and a cool head unless told otherwise."""

    sampling: Sampling = Field(default_factory=lambda: Sampling(temperature=0.1))
    house_rules: str = "You review changes. Be brief."

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {**super()._identifying_params, "house_rules": self.house_rules}

    def _prepare(self, messages: list[BaseMessage]) -> list[BaseMessage]:
        return [SystemMessage(self.house_rules), *messages] if self.house_rules else list(messages)
