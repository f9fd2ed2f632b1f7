"""OpenAI's SDK in a model whose streaming half knows only text.

Modelled on: vendor integrations that added `_stream` early and tools later, to `_generate` only.

What is wrong: `invoke` calls tools, `stream` with the same tools gives an empty message. Agents that stream
(LangGraph's `stream_mode="messages"`, `astream_events`) end at once without calling anything; usage and
finish reason, which `invoke` reports, are missing from every streamed answer.

FAULT: tool call deltas are dropped while streaming, so a streamed answer has no tool calls where invoke has them.
FAULT: streamed answers carry no usage_metadata and no finish reason, though invoke reports both.
MODEL: NimbusChat
KWARGS: {}
WIRE: openai
"""

import json
from typing import Any, AsyncIterator, Iterator, List, Optional

import openai
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    convert_to_openai_messages,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, SecretStr


class NimbusChat(BaseChatModel):
    base_url: str = "http://127.0.0.1:8000/v1"
    api_key: SecretStr = Field(default=SecretStr("none"), exclude=True)
    model_name: str = "nimbus-1"
    temperature: float = 0.7

    @property
    def _llm_type(self) -> str:
        return "nimbus"

    @property
    def _identifying_params(self) -> dict:
        return {
            "base_url": self.base_url,
            "model_name": self.model_name,
            "temperature": self.temperature,
        }

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        if tool_choice == "any" or tool_choice is True:
            kwargs["tool_choice"] = "required"
        elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            kwargs["tool_choice"] = {"type": "function", "function": {"name": tool_choice}}
        elif tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)

    def _params(self, messages, stop, kwargs):
        params = {
            "model": self.model_name,
            "messages": convert_to_openai_messages(messages),
            "temperature": self.temperature,
            **kwargs,
        }
        params.pop("stream", None)
        if stop is not None:
            params["stop"] = stop
        return params

    def _settings(self):
        return {"base_url": self.base_url, "api_key": self.api_key.get_secret_value()}

    def _to_result(self, response) -> ChatResult:
        choice = response.choices[0]
        message = AIMessage(
            content=choice.message.content or "",
            tool_calls=[
                {
                    "name": c.function.name,
                    "args": json.loads(c.function.arguments),
                    "id": c.id,
                    "type": "tool_call",
                }
                for c in choice.message.tool_calls or []
            ],
            response_metadata={"finish_reason": choice.finish_reason, "model_name": response.model},
        )
        if response.usage:
            message.usage_metadata = {
                "input_tokens": response.usage.prompt_tokens,
                "output_tokens": response.usage.completion_tokens,
                "total_tokens": response.usage.total_tokens,
            }
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _generate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager=None,
        **kwargs: Any,
    ) -> ChatResult:
        with openai.OpenAI(**self._settings()) as client:
            return self._to_result(
                client.chat.completions.create(**self._params(messages, stop, kwargs))
            )

    async def _agenerate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager=None,
        **kwargs: Any,
    ) -> ChatResult:
        async with openai.AsyncOpenAI(**self._settings()) as client:
            response = await client.chat.completions.create(**self._params(messages, stop, kwargs))
            return self._to_result(response)

    def _stream(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager=None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with openai.OpenAI(**self._settings()) as client:
            stream = client.chat.completions.create(
                **self._params(messages, stop, kwargs), stream=True
            )
            for event in stream:
                if not event.choices:
                    continue
                yield ChatGenerationChunk(
                    message=AIMessageChunk(content=event.choices[0].delta.content or "")
                )

    async def _astream(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager=None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async with openai.AsyncOpenAI(**self._settings()) as client:
            stream = await client.chat.completions.create(
                **self._params(messages, stop, kwargs), stream=True
            )
            async for event in stream:
                if not event.choices:
                    continue
                yield ChatGenerationChunk(
                    message=AIMessageChunk(content=event.choices[0].delta.content or "")
                )
