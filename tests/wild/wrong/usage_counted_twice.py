"""A Messages model whose streams report their prompt twice.

Modelled on: the published reports of 2025 and 2026 about token counts that are too high in streams (Databricks,
Gemini, core): a running total is put on more than one chunk, and LangChain adds chunks up.
Wrong: cost tracking by usage_metadata shows about twice the input tokens as soon as the answer streams; invoke
is right, so nobody sees it in the unit tests.
FAULT: streamed chunks carry running totals of the usage, which LangChain sums, so input tokens count double.
MODEL: ChatAbacus
KWARGS: {}
WIRE: anthropic
"""

from typing import Any

import anthropic
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import SecretStr


def _usage(read: int, written: int) -> dict[str, int]:
    return {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}


class ChatAbacus(BaseChatModel):
    """Plain text over Messages (no tools)."""

    model: str = "claude-haiku-4-5"
    base_url: str = "https://api.anthropic.com"
    api_key: SecretStr = SecretStr("none")
    max_tokens: int = 1024

    @property
    def _llm_type(self) -> str:
        return "abacus"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model, "base_url": self.base_url, "max_tokens": self.max_tokens}

    def _kwargs(self) -> dict[str, Any]:
        return {
            "base_url": self.base_url,
            "api_key": self.api_key.get_secret_value(),
            "max_retries": 0,
        }

    def _request(self, messages, stop, kwargs):
        turns, system = [], []
        for m in messages:
            if m.type == "system":
                system.append(m.text)
            elif m.type in ("human", "ai", "AIMessageChunk"):
                turns.append(
                    {"role": "user" if m.type == "human" else "assistant", "content": m.text}
                )
            else:
                raise NotImplementedError("ChatAbacus has no tools.")
        request = {"model": self.model, "max_tokens": self.max_tokens, "messages": turns}
        if system:
            request["system"] = "\n".join(system)
        if stop:
            request["stop_sequences"] = stop
        for key in ("model", "max_tokens"):
            if kwargs.get(key) is not None:
                request[key] = kwargs[key]
        if kwargs.get("temperature") is not None:
            request["extra_body"] = {"temperature": kwargs["temperature"]}
        return request

    def _result(self, answer) -> ChatResult:
        message = AIMessage(
            content="".join(b.text for b in answer.content if b.type == "text"),
            usage_metadata=_usage(answer.usage.input_tokens, answer.usage.output_tokens),
            response_metadata={"model_name": answer.model, "stop_reason": answer.stop_reason},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        with anthropic.Anthropic(**self._kwargs()) as client:
            return self._result(client.messages.create(**self._request(messages, stop, kwargs)))

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        async with anthropic.AsyncAnthropic(**self._kwargs()) as client:
            return self._result(
                await client.messages.create(**self._request(messages, stop, kwargs))
            )

    def _chunk(self, event, state):
        if event.type == "message_start":
            state["read"] = event.message.usage.input_tokens
            return AIMessageChunk(
                content="",
                usage_metadata=_usage(state["read"], event.message.usage.output_tokens),
                response_metadata={"model_name": event.message.model},
            )
        if event.type == "content_block_delta" and event.delta.type == "text_delta":
            return AIMessageChunk(content=event.delta.text)
        if event.type == "message_delta":
            return AIMessageChunk(
                content="",
                usage_metadata=_usage(state["read"], event.usage.output_tokens),
                response_metadata={"stop_reason": event.delta.stop_reason},
            )
        return None

    def _stream(self, messages, stop=None, run_manager=None, **kwargs: Any):
        state: dict[str, int] = {"read": 0}
        request = self._request(messages, stop, kwargs)
        with (
            anthropic.Anthropic(**self._kwargs()) as client,
            client.messages.create(**request, stream=True) as events,
        ):
            for event in events:
                chunk = self._chunk(event, state)
                if chunk is not None:
                    yield ChatGenerationChunk(message=chunk)

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs: Any):
        state: dict[str, int] = {"read": 0}
        request = self._request(messages, stop, kwargs)
        async with anthropic.AsyncAnthropic(**self._kwargs()) as client:
            async with await client.messages.create(**request, stream=True) as events:
                async for event in events:
                    chunk = self._chunk(event, state)
                    if chunk is not None:
                        yield ChatGenerationChunk(message=chunk)
