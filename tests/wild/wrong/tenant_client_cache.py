"""Chat model on the openai SDK whose clients are kept in a module-wide cache to save connections.

Modelled on: the reports about lru_cached async httpx clients ("Event loop is closed", APIConnectionError in workers).
What is wrong: (1) the AsyncOpenAI client is shared by all event loops: a second asyncio.run (Celery, pytest, scripts) meets
connections of a dead loop and fails with APIConnectionError / "Event loop is closed"; clients should belong to a loop or a call.
(2) the cache is keyed by address and timeout only, not by key: a second model for another tenant sends the FIRST tenant's API
key - requests are billed to, and allowed for, the wrong customer; each model should use its own key.
FAULT: AsyncOpenAI client shared across event loops: second asyncio.run fails (Event loop is closed); client cache not keyed by API key: another tenant's model sends the first tenant's key
MODEL: TenantChat
KWARGS: {"base_url": "http://127.0.0.1:8000/v1", "api_key": "tenant-a", "model": "house-1"}
WIRE: openai
"""

from __future__ import annotations

from typing import Any, AsyncIterator, Iterator, Optional

import openai
from langchain_core.language_models.chat_models import BaseChatModel
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
from pydantic import SecretStr

_SYNC: dict[tuple, openai.OpenAI] = {}
_ASYNC: dict[tuple, openai.AsyncOpenAI] = {}


class TenantChat(BaseChatModel):
    base_url: str
    api_key: SecretStr
    model: str
    temperature: Optional[float] = None
    request_timeout: float = 60.0

    @property
    def _llm_type(self) -> str:
        return "tenant-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"base_url": self.base_url, "model": self.model, "temperature": self.temperature}

    def _client(self) -> openai.OpenAI:
        where = (self.base_url, self.request_timeout)
        if where not in _SYNC:
            _SYNC[where] = openai.OpenAI(
                base_url=self.base_url,
                api_key=self.api_key.get_secret_value(),
                timeout=self.request_timeout,
                max_retries=0,
            )
        return _SYNC[where]

    def _aclient(self) -> openai.AsyncOpenAI:
        where = (self.base_url, self.request_timeout)
        if where not in _ASYNC:
            _ASYNC[where] = openai.AsyncOpenAI(
                base_url=self.base_url,
                api_key=self.api_key.get_secret_value(),
                timeout=self.request_timeout,
                max_retries=0,
            )
        return _ASYNC[where]

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        if tool_choice:
            if tool_choice is True or tool_choice == "any":
                tool_choice = "required"
            elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
                tool_choice = {"type": "function", "function": {"name": tool_choice}}
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)

    def _params(
        self, messages: list[BaseMessage], stop: Optional[list[str]], kwargs: dict
    ) -> dict[str, Any]:
        params = {"model": self.model, **kwargs, "messages": convert_to_openai_messages(messages)}
        if self.temperature is not None:
            params.setdefault("temperature", self.temperature)
        if stop:
            params["stop"] = stop
        return params

    @staticmethod
    def _usage(u: Any) -> Optional[dict]:
        return u and {
            "input_tokens": u.prompt_tokens,
            "output_tokens": u.completion_tokens,
            "total_tokens": u.prompt_tokens + u.completion_tokens,
        }

    def _result(self, answer: Any) -> ChatResult:
        choice = answer.choices[0]
        calls, bad = [], []
        for call in choice.message.tool_calls or []:
            try:
                calls.append(parse_tool_call(call.model_dump(), return_id=True))
            except Exception as exc:
                bad.append(make_invalid_tool_call(call.model_dump(), str(exc)))
        return ChatResult(
            generations=[
                ChatGeneration(
                    message=AIMessage(
                        content=choice.message.content or "",
                        tool_calls=calls,
                        invalid_tool_calls=bad,
                        usage_metadata=self._usage(answer.usage),
                        response_metadata={
                            "model_name": answer.model,
                            "finish_reason": choice.finish_reason,
                        },
                    )
                )
            ]
        )

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        return self._result(
            self._client().chat.completions.create(**self._params(messages, stop, kwargs))
        )

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        return self._result(
            await self._aclient().chat.completions.create(**self._params(messages, stop, kwargs))
        )

    def _chunk(self, event: Any, ending: dict) -> Optional[ChatGenerationChunk]:
        ending["usage"] = event.usage or ending.get("usage")
        if not event.choices:
            return None
        choice = event.choices[0]
        ending["finish"] = choice.finish_reason or ending.get("finish")
        calls = [
            tool_call_chunk(
                id=c.id,
                index=c.index,
                name=c.function and c.function.name,
                args=c.function and c.function.arguments,
            )
            for c in choice.delta.tool_calls or []
        ]
        return ChatGenerationChunk(
            message=AIMessageChunk(content=choice.delta.content or "", tool_call_chunks=calls)
        )

    def _last(self, ending: dict) -> ChatGenerationChunk:
        if not ending.get("finish"):
            raise RuntimeError("the stream ended before the answer did")
        return ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                usage_metadata=self._usage(ending.get("usage")),
                response_metadata={"finish_reason": ending["finish"], "model_name": self.model},
            )
        )

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> Iterator[ChatGenerationChunk]:
        ending: dict[str, Any] = {}
        with self._client().chat.completions.create(
            stream=True,
            stream_options={"include_usage": True},
            **self._params(messages, stop, kwargs),
        ) as events:
            for event in events:
                if chunk := self._chunk(event, ending):
                    if run_manager:
                        run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        yield self._last(ending)

    async def _astream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> AsyncIterator[ChatGenerationChunk]:
        ending: dict[str, Any] = {}
        events = await self._aclient().chat.completions.create(
            stream=True,
            stream_options={"include_usage": True},
            **self._params(messages, stop, kwargs),
        )
        async with events:
            async for event in events:
                if chunk := self._chunk(event, ending):
                    if run_manager:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        yield self._last(ending)
