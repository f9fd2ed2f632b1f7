"""A wrapper over a multi-provider SDK whose sync stream forgets the stop sequences.

Modelled on: agent frameworks that replaced their LiteLLM class by one of their own in 2025; a review bot found
that `_stream` builds its parameters without `stop`, where `_astream` and `_generate` have it.
Wrong: with stream() (and so with a graph that streams) the answer runs on past the stop sequence: a ReAct agent
reads an observation that the LLM made up.
FAULT: _stream does not send the stop sequences, while invoke, ainvoke and astream do.
MODEL: ChatManifold
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


class ChatManifold(BaseChatModel):
    model_id: str = "openai/small"
    api_base: str = "http://localhost:4000/v1"
    api_key: SecretStr = SecretStr("none")
    temperature: float = 0.7

    @property
    def _llm_type(self) -> str:
        return "manifold"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model_id": self.model_id,
            "api_base": self.api_base,
            "temperature": self.temperature,
        }

    def _get_ls_params(self, stop=None, **kwargs):
        params = super()._get_ls_params(stop=stop, **kwargs)
        params.setdefault("ls_model_name", self.model_id)
        return params

    def _client(self) -> openai.OpenAI:
        return openai.OpenAI(
            base_url=self.api_base, api_key=self.api_key.get_secret_value(), max_retries=0
        )

    def _aclient(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            base_url=self.api_base, api_key=self.api_key.get_secret_value(), max_retries=0
        )

    def _prepare(self, messages, stop=None):
        params: dict[str, Any] = {"model": self.model_id, "temperature": self.temperature}
        if stop:
            params["stop"] = stop
        return convert_to_openai_messages(messages), params

    @staticmethod
    def _usage(usage):
        if usage is None:
            return None
        return {
            "input_tokens": usage.prompt_tokens,
            "output_tokens": usage.completion_tokens,
            "total_tokens": usage.total_tokens,
        }

    def _to_result(self, answer) -> ChatResult:
        choice = answer.choices[0]
        calls = [
            {"name": c.function.name, "args": json.loads(c.function.arguments or "{}"), "id": c.id}
            for c in choice.message.tool_calls or []
        ]
        message = AIMessage(
            content=choice.message.content or "",
            tool_calls=calls,
            usage_metadata=self._usage(answer.usage),
            response_metadata={"model_name": answer.model, "finish_reason": choice.finish_reason},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _to_chunk(self, part) -> ChatGenerationChunk:
        chunk = AIMessageChunk(content="", usage_metadata=self._usage(part.usage))
        if part.choices:
            choice = part.choices[0]
            chunk.content = choice.delta.content or ""
            if choice.delta.tool_calls:
                chunk = AIMessageChunk(
                    content=chunk.content,
                    tool_call_chunks=[
                        {
                            "name": c.function.name if c.function else None,
                            "args": c.function.arguments if c.function else None,
                            "id": c.id,
                            "index": c.index,
                            "type": "tool_call_chunk",
                        }
                        for c in choice.delta.tool_calls
                    ],
                )
            if choice.finish_reason:
                chunk.response_metadata = {
                    "model_name": part.model,
                    "finish_reason": choice.finish_reason,
                }
        return ChatGenerationChunk(message=chunk)

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        wire, params = self._prepare(messages, stop)
        params = {**params, **kwargs, "stream": False}
        with self._client() as client:
            return self._to_result(client.chat.completions.create(messages=wire, **params))

    def _stream(self, messages, stop=None, run_manager=None, **kwargs: Any):
        wire, params = self._prepare(messages)
        params = {**params, **kwargs, "stream": True, "stream_options": {"include_usage": True}}
        with (
            self._client() as client,
            client.chat.completions.create(messages=wire, **params) as parts,
        ):
            for part in parts:
                yield self._to_chunk(part)

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        wire, params = self._prepare(messages, stop)
        params = {**params, **kwargs, "stream": False}
        async with self._aclient() as client:
            return self._to_result(await client.chat.completions.create(messages=wire, **params))

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs: Any):
        wire, params = self._prepare(messages, stop)
        params = {**params, **kwargs, "stream": True, "stream_options": {"include_usage": True}}
        async with self._aclient() as client:
            async with await client.chat.completions.create(messages=wire, **params) as parts:
                async for part in parts:
                    yield self._to_chunk(part)

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        if tool_choice in ("any", True):
            kwargs["tool_choice"] = "required"
        elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            kwargs["tool_choice"] = {"type": "function", "function": {"name": tool_choice}}
        elif tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)
