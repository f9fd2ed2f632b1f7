"""Chat models, chains and graphs as others write them: what goes inside."""

import asyncio
import time
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool


class Plain(BaseChatModel):
    """What LangChain's guide ends with, and usage: it ignores stop, and knows no tools."""

    words: list[str] = ["one ", "two ", "three"]
    seen: list[Any] = []
    model_name: str = "plain-1"

    def _answer(self) -> AIMessage:
        spent = {"input_tokens": 3, "output_tokens": len(self.words)}
        return AIMessage(
            "".join(self.words),
            usage_metadata={**spent, "total_tokens": sum(spent.values())},
            response_metadata={"model_name": "plain-1-2026", "finish_reason": "stop", "note": "x"},
        )

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        self.seen.append((messages, kwargs))
        return ChatResult(generations=[ChatGeneration(message=self._answer())])

    @property
    def _llm_type(self):
        return "plain"


class Streaming(Plain):
    """Streams as well, sync only."""

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        self.seen.append((messages, kwargs))
        for word in self.words:
            yield ChatGenerationChunk(message=AIMessageChunk(word))
        told = self._answer()
        last = AIMessageChunk(
            "", usage_metadata=told.usage_metadata, response_metadata=told.response_metadata
        )
        yield ChatGenerationChunk(message=last)


class Native(Streaming):
    """Async, and it knows tools."""

    calls: list[Any] = []

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        for chunk in self._stream(messages, stop, run_manager, **kwargs):
            await asyncio.sleep(0)
            yield chunk

    def _answer(self):
        answer = super()._answer()
        return answer.model_copy(update={"tool_calls": self.calls}) if self.calls else answer

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        yield from super()._stream(messages, stop, run_manager, **kwargs)
        for index, call in enumerate(self.calls if kwargs.get("tools") else ()):
            chunk = {**call, "args": call["args"], "index": index, "type": "tool_call_chunk"}
            yield ChatGenerationChunk(message=AIMessageChunk("", tool_call_chunks=[chunk]))

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        tools = [convert_to_openai_tool(each) for each in tools]
        return self.bind(tools=tools, tool_choice=tool_choice, **kwargs)


class Slow(Streaming):
    """Takes its time between words."""

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        for word in self.words:
            self.seen.append(word)
            yield ChatGenerationChunk(message=AIMessageChunk(word))
            time.sleep(0.01)
