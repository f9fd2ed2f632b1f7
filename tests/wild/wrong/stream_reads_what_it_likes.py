"""An AI gateway's chat completions, whose stream reader passes over what it does not know.

Modelled on: very many private classes (and a few packages) whose loop over the stream has
`except json.JSONDecodeError: continue` and `if not data.get("choices"): continue`, and that check the status in
the way of one answer only.

Wrong: what goes wrong while it streams is not told. The user feels it under load: answers that end in the middle
of a sentence pass for whole ones and are stored; a wrong key gives a stream with nothing in it, or LangChain's
"No generation chunks were returned" in the place of "401"; fallbacks and retries never come into play.

FAULT: An error event in the stream is passed over, and the part of the answer that came before is given as if it were whole.
FAULT: A stream that breaks off before its finish reason raises nothing.
FAULT: The HTTP status is not looked at when it streams, so 401, 429 and 500 are not told.
MODEL: ChatRelay
KWARGS: {}
WIRE: openai
"""

from __future__ import annotations

import json
from typing import Any, AsyncIterator, Iterator, Sequence

import httpx
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
from pydantic import SecretStr


class ChatRelay(BaseChatModel):
    model: str = "relay/auto"
    gateway_url: str = "http://localhost:8000/v1"
    api_key: SecretStr = SecretStr("none")
    temperature: float | None = None
    max_tokens: int | None = None
    timeout: float = 60.0

    @property
    def _llm_type(self) -> str:
        return "relay"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "gateway_url": self.gateway_url,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, stream: bool, kwargs: dict
    ) -> dict:
        body = {
            "model": self.model,
            "messages": convert_to_openai_messages(messages),
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "stop": stop,
            **kwargs,
            "stream": stream,
        }
        if stream:
            body["stream_options"] = {"include_usage": True}
        return {
            "url": self.gateway_url.rstrip("/") + "/chat/completions",
            "json": {k: v for k, v in body.items() if v is not None},
            "headers": {"Authorization": f"Bearer {self.api_key.get_secret_value()}"},
        }

    @staticmethod
    def _usage(raw: dict | None) -> dict | None:
        if not raw:
            return None
        return {
            "input_tokens": raw["prompt_tokens"],
            "output_tokens": raw["completion_tokens"],
            "total_tokens": raw["total_tokens"],
        }

    def _result(self, response: httpx.Response) -> ChatResult:
        response.raise_for_status()
        data = response.json()
        choice = data["choices"][0]
        calls, bad = [], []
        for raw in choice["message"].get("tool_calls") or []:
            try:
                calls.append(parse_tool_call(raw, return_id=True))
            except Exception as e:
                bad.append(make_invalid_tool_call(raw, str(e)))
        message = AIMessage(
            content=choice["message"].get("content") or "",
            tool_calls=calls,
            invalid_tool_calls=bad,
            usage_metadata=self._usage(data.get("usage")),
            response_metadata={
                "model_name": data["model"],
                "finish_reason": choice["finish_reason"],
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _chunk(self, line: str) -> ChatGenerationChunk | None:
        if not line.startswith("data:"):
            return None
        try:
            event = json.loads(line[5:])
        except json.JSONDecodeError:
            return None
        usage = self._usage(event.get("usage"))
        if not event.get("choices"):
            return (
                ChatGenerationChunk(message=AIMessageChunk(content="", usage_metadata=usage))
                if usage
                else None
            )
        choice = event["choices"][0]
        delta = choice.get("delta") or {}
        metadata = {}
        if choice.get("finish_reason"):
            metadata = {"finish_reason": choice["finish_reason"], "model_name": event.get("model")}
        return ChatGenerationChunk(
            message=AIMessageChunk(
                content=delta.get("content") or "",
                tool_call_chunks=[
                    tool_call_chunk(
                        name=(c.get("function") or {}).get("name"),
                        args=(c.get("function") or {}).get("arguments"),
                        id=c.get("id"),
                        index=c["index"],
                    )
                    for c in delta.get("tool_calls") or []
                ],
                usage_metadata=usage,
                response_metadata=metadata,
            )
        )

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        with httpx.Client(timeout=self.timeout) as client:
            return self._result(client.post(**self._request(messages, stop, False, kwargs)))

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        async with httpx.AsyncClient(timeout=self.timeout) as client:
            return self._result(await client.post(**self._request(messages, stop, False, kwargs)))

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        with (
            httpx.Client(timeout=self.timeout) as client,
            client.stream("POST", **self._request(messages, stop, True, kwargs)) as response,
        ):
            for line in response.iter_lines():
                chunk = self._chunk(line)
                if chunk is not None:
                    if run_manager:
                        run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk

    async def _astream(
        self, messages, stop=None, run_manager=None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        async with (
            httpx.AsyncClient(timeout=self.timeout) as client,
            client.stream("POST", **self._request(messages, stop, True, kwargs)) as response,
        ):
            async for line in response.aiter_lines():
                chunk = self._chunk(line)
                if chunk is not None:
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
