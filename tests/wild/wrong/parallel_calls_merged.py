"""A gateway model that streams tool calls, all of them at index 0.

Modelled on: OpenAI-compatible wrappers (NVIDIA- and Qwen-like, 2025) whose author tried one tool call at a time and
wrote `index=0` into the chunk, or took the place within the delta's list, which is 0 nearly always.
Wrong: when the LLM calls two tools in one turn and the answer streams, the second call's arguments are run together
with the first's: the second tool is called with none, and fails or does the wrong thing. invoke is right.
FAULT: tool_call_chunks of different calls carry the same index, so parallel calls are mixed up in streams.
MODEL: ChatTurbine
KWARGS: {}
WIRE: openai
"""

import json
from typing import Any

import openai
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.utils import convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import SecretStr


class ChatTurbine(BaseChatModel):
    model: str = "turbine-49b"
    base_url: str = "http://localhost:8000/v1"
    api_key: SecretStr = SecretStr("none")
    temperature: float = 0.3

    @property
    def _llm_type(self) -> str:
        return "turbine"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model, "base_url": self.base_url, "temperature": self.temperature}

    def _client(self, kind):
        return kind(base_url=self.base_url, api_key=self.api_key.get_secret_value(), max_retries=0)

    def _params(self, messages, stop, stream, kwargs):
        params = {"model": self.model, "temperature": self.temperature, **kwargs}
        params["messages"] = convert_to_openai_messages(messages)
        params["stream"] = stream
        if stop:
            params["stop"] = stop
        if stream:
            params["stream_options"] = {"include_usage": True}
        return params

    @staticmethod
    def _usage(usage):
        if not usage:
            return None
        return {
            "input_tokens": usage.prompt_tokens,
            "output_tokens": usage.completion_tokens,
            "total_tokens": usage.total_tokens,
        }

    def _result(self, answer) -> ChatResult:
        choice = answer.choices[0]
        message = AIMessage(
            content=choice.message.content or "",
            tool_calls=[
                {
                    "name": c.function.name,
                    "args": json.loads(c.function.arguments or "{}"),
                    "id": c.id,
                }
                for c in choice.message.tool_calls or []
            ],
            usage_metadata=self._usage(answer.usage),
            response_metadata={"model_name": answer.model, "finish_reason": choice.finish_reason},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _chunk(self, part) -> ChatGenerationChunk:
        if not part.choices:
            return ChatGenerationChunk(
                message=AIMessageChunk(content="", usage_metadata=self._usage(part.usage))
            )
        choice = part.choices[0]
        metadata = {}
        if choice.finish_reason:
            metadata = {"model_name": part.model, "finish_reason": choice.finish_reason}
        return ChatGenerationChunk(
            message=AIMessageChunk(
                content=choice.delta.content or "",
                tool_call_chunks=[
                    {
                        "name": c.function.name,
                        "args": c.function.arguments,
                        "id": c.id,
                        "index": index,
                        "type": "tool_call_chunk",
                    }
                    for index, c in enumerate(choice.delta.tool_calls or [])
                ],
                response_metadata=metadata,
            )
        )

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        with self._client(openai.OpenAI) as client:
            return self._result(
                client.chat.completions.create(**self._params(messages, stop, False, kwargs))
            )

    def _stream(self, messages, stop=None, run_manager=None, **kwargs: Any):
        with self._client(openai.OpenAI) as client:
            with client.chat.completions.create(
                **self._params(messages, stop, True, kwargs)
            ) as parts:
                for part in parts:
                    yield self._chunk(part)

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        async with self._client(openai.AsyncOpenAI) as client:
            return self._result(
                await client.chat.completions.create(**self._params(messages, stop, False, kwargs))
            )

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs: Any):
        async with self._client(openai.AsyncOpenAI) as client:
            async with await client.chat.completions.create(
                **self._params(messages, stop, True, kwargs)
            ) as parts:
                async for part in parts:
                    yield self._chunk(part)

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        if tool_choice in ("any", True):
            kwargs["tool_choice"] = "required"
        elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            kwargs["tool_choice"] = {"type": "function", "function": {"name": tool_choice}}
        elif tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)
