"""A data platform's serving endpoints by the openai client, with async methods that are not.

Modelled on: lakehouse and platform packages, and many private classes, that have one sync client and write
`_agenerate` and `_astream` as wrappers that call the sync way.

Wrong: the event loop stands still for as long as the server takes. The user feels it in a web service: while one
answer is made, nothing else is served, health checks fail, `abatch` and `asyncio.gather` take as long as one
after the other, and a time limit by asyncio does not end a call.

FAULT: _agenerate calls the sync client on the event loop and blocks it.
FAULT: _astream goes through the sync stream on the event loop and blocks it between the chunks.
MODEL: ChatServingEndpoint
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
from openai import OpenAI
from pydantic import SecretStr


class ChatServingEndpoint(BaseChatModel):
    endpoint: str = "served-llm"
    base_url: str = "http://localhost:8000/v1"
    token: SecretStr = SecretStr("none")
    temperature: float | None = None
    max_tokens: int | None = None
    timeout: float = 60.0

    @property
    def _llm_type(self) -> str:
        return "chat-serving-endpoint"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "endpoint": self.endpoint,
            "base_url": self.base_url,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }

    def _get_ls_params(self, stop=None, **kwargs: Any):
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "serving"
        params["ls_model_name"] = kwargs.get("model") or self.endpoint
        return params

    def _client(self) -> OpenAI:
        return OpenAI(
            base_url=self.base_url, api_key=self.token.get_secret_value(), timeout=self.timeout
        )

    def _params(self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict) -> dict:
        kwargs = {k: v for k, v in kwargs.items() if k != "stream"}
        params = {
            "model": self.endpoint,
            "messages": convert_to_openai_messages(messages),
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "stop": stop,
            **kwargs,
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

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        with self._client() as client:
            answer = client.chat.completions.create(**self._params(messages, stop, kwargs))
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

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        params = self._params(messages, stop, kwargs)
        finished = False
        with (
            self._client() as client,
            client.chat.completions.create(
                **params, stream=True, stream_options={"include_usage": True}
            ) as events,
        ):
            for event in events:
                metadata: dict[str, Any] = {}
                text, calls = "", []
                if event.choices:
                    choice = event.choices[0]
                    text = choice.delta.content or ""
                    calls = [
                        tool_call_chunk(
                            name=c.function.name if c.function else None,
                            args=c.function.arguments if c.function else None,
                            id=c.id,
                            index=c.index,
                        )
                        for c in choice.delta.tool_calls or []
                    ]
                    if choice.finish_reason:
                        finished = True
                        metadata = {
                            "finish_reason": choice.finish_reason,
                            "model_name": event.model,
                        }
                chunk = ChatGenerationChunk(
                    message=AIMessageChunk(
                        content=text,
                        tool_call_chunks=calls,
                        usage_metadata=self._usage(event.usage),
                        response_metadata=metadata,
                    )
                )
                if run_manager:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk
        if not finished:
            raise RuntimeError("the endpoint's stream ended early")

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        return self._generate(messages, stop=stop, **kwargs)

    async def _astream(
        self, messages, stop=None, run_manager=None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(messages, stop=stop, **kwargs):
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    def bind_tools(self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any):
        if tool_choice == "any":
            tool_choice = "required"
        elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            tool_choice = {"type": "function", "function": {"name": tool_choice}}
        if tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)
