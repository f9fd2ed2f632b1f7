"""A regional vendor's chat model whose identifying parameters name the vendor and nothing else.

Modelled on: issues that come again and again ("caching does not distinguish models or parameters") and classes
whose `_identifying_params` was copied from the guide's example and never filled in.

Wrong: LangChain's cache takes its key from these parameters. The user feels it with a cache switched on: the
large model gives the small one's answer, a change of temperature or of the limit of tokens has no effect, and
an evaluation of two models shows that they are equal, word for word. Traces don't say what was asked either.

FAULT: The cache key has neither the model's name nor temperature, max_tokens, address, so different models share cached answers.
MODEL: ChatHanok
KWARGS: {}
WIRE: openai
"""

from __future__ import annotations

from typing import Any, AsyncIterator, Iterator, Sequence

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    convert_to_openai_messages,
)
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.output_parsers.openai_tools import make_invalid_tool_call, parse_tool_call
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from openai import AsyncOpenAI, OpenAI
from pydantic import SecretStr


class ChatHanok(BaseChatModel):
    model: str = "hanok-pro"
    base_url: str = "http://localhost:8000/v1"
    api_key: SecretStr = SecretStr("none")
    temperature: float | None = None
    max_tokens: int | None = None
    timeout: float = 60.0

    @property
    def _llm_type(self) -> str:
        return "chat-hanok"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"provider": "hanok"}

    def _client_args(self) -> dict[str, Any]:
        return {
            "base_url": self.base_url,
            "api_key": self.api_key.get_secret_value(),
            "timeout": self.timeout,
        }

    def _params(self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict) -> dict:
        params = {
            "model": self.model,
            "messages": convert_to_openai_messages(messages),
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "stop": stop,
            **{k: v for k, v in kwargs.items() if k != "stream"},
        }
        return {k: v for k, v in params.items() if v is not None}

    @staticmethod
    def _usage(raw: Any) -> dict | None:
        if raw is None:
            return None
        return {
            "input_tokens": raw.prompt_tokens,
            "output_tokens": raw.completion_tokens,
            "total_tokens": raw.total_tokens,
        }

    def _result(self, answer: Any) -> ChatResult:
        choice = answer.choices[0]
        calls, bad = [], []
        for raw in choice.message.tool_calls or []:
            try:
                calls.append(parse_tool_call(raw.model_dump(), return_id=True))
            except Exception as e:
                bad.append(make_invalid_tool_call(raw.model_dump(), str(e)))
        message = AIMessage(
            content=choice.message.content or "",
            tool_calls=calls,
            invalid_tool_calls=bad,
            usage_metadata=self._usage(answer.usage),
            response_metadata={"model_name": answer.model, "finish_reason": choice.finish_reason},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _chunk(self, event: Any, state: dict) -> ChatGenerationChunk:
        metadata: dict[str, Any] = {}
        text, calls = "", []
        if event.choices:
            choice = event.choices[0]
            text = choice.delta.content or ""
            for c in choice.delta.tool_calls or []:
                name, args = (c.function.name, c.function.arguments) if c.function else (None, None)
                calls.append(tool_call_chunk(name=name, args=args, id=c.id, index=c.index))
            if choice.finish_reason:
                state["done"] = True
                metadata = {"finish_reason": choice.finish_reason, "model_name": event.model}
        message = AIMessageChunk(
            content=text,
            tool_call_chunks=calls,
            usage_metadata=self._usage(event.usage),
            response_metadata=metadata,
        )
        return ChatGenerationChunk(message=message)

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        with OpenAI(**self._client_args()) as client:
            return self._result(
                client.chat.completions.create(**self._params(messages, stop, kwargs))
            )

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        async with AsyncOpenAI(**self._client_args()) as client:
            return self._result(
                await client.chat.completions.create(**self._params(messages, stop, kwargs))
            )

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        state: dict[str, Any] = {}
        params = {
            **self._params(messages, stop, kwargs),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        with (
            OpenAI(**self._client_args()) as client,
            client.chat.completions.create(**params) as events,
        ):
            for event in events:
                chunk = self._chunk(event, state)
                if run_manager:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk
        if not state.get("done"):
            raise RuntimeError("the stream ended early")

    async def _astream(
        self, messages, stop=None, run_manager=None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        state: dict[str, Any] = {}
        params = {
            **self._params(messages, stop, kwargs),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        async with AsyncOpenAI(**self._client_args()) as client:
            async with await client.chat.completions.create(**params) as events:
                async for event in events:
                    chunk = self._chunk(event, state)
                    if run_manager:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        if not state.get("done"):
            raise RuntimeError("the stream ended early")

    def bind_tools(self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any):
        if tool_choice == "any":
            tool_choice = "required"
        elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            tool_choice = {"type": "function", "function": {"name": tool_choice}}
        if tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)
