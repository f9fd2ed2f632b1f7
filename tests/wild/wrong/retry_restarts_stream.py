"""Modelled on: wrappers with a retry loop of their own around everything ("the provider is flaky"), streams included,
and one backoff helper for the sync and the async side.

Wrong: a stream that breaks after some tokens is begun anew, and its tokens come again. What the user feels: "The
capital of The capital of France is Paris" in the chat window, in the trace and in the saved message. Requests that
can never work (401, 400) are tried five times. On the async side the backoff sleeps with time.sleep, and the
whole event loop with it.

FAULT: a stream that fails in the middle is restarted from its beginning, so that text that was already yielded is yielded again.
FAULT: refused requests (4xx) are retried as if they could succeed.
FAULT: the async methods wait with time.sleep and block the event loop.

MODEL: SturdyChat
KWARGS: {}
WIRE: openai
"""

import json
import logging
import time
from typing import Any, AsyncIterator, Dict, Iterator, List, Optional

import httpx
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    convert_to_openai_messages,
)
from langchain_core.output_parsers.openai_tools import make_invalid_tool_call, parse_tool_call
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import SecretStr

logger = logging.getLogger(__name__)


class SturdyChat(BaseChatModel):
    base_url: str = "http://127.0.0.1:8000/v1"
    api_key: Optional[SecretStr] = None
    model: str = "sturdy"
    temperature: Optional[float] = None
    max_retries: int = 5
    retry_delay: float = 0.2

    @property
    def _llm_type(self) -> str:
        return "sturdy-chat"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        return {"base_url": self.base_url, "model": self.model, "temperature": self.temperature}

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        if tool_choice in ("any", True):
            tool_choice = "required"
        elif tool_choice and tool_choice not in ("auto", "none", "required"):
            tool_choice = {"type": "function", "function": {"name": tool_choice}}
        if tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)

    def _request(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]],
        kwargs: Dict[str, Any],
        stream: bool,
    ):
        kwargs = {k: v for k, v in kwargs.items() if k != "stream"}
        body = {
            "model": self.model,
            "messages": convert_to_openai_messages(messages),
            "temperature": self.temperature,
            "stop": stop or None,
            "stream": stream or None,
            "stream_options": {"include_usage": True} if stream else None,
            **kwargs,
        }
        return {
            "url": self.base_url.rstrip("/") + "/chat/completions",
            "json": {k: v for k, v in body.items() if v is not None},
            "headers": {"Authorization": f"Bearer {self.api_key.get_secret_value()}"}
            if self.api_key
            else {},
            "timeout": 60,
        }

    def _wait(self, attempt: int, error: Exception) -> None:
        logger.warning("attempt %d failed: %s", attempt + 1, error)
        if attempt == self.max_retries - 1:
            raise error
        time.sleep(self.retry_delay * (attempt + 1))

    @staticmethod
    def _usage(data):
        u = data.get("usage")
        return u and {
            "input_tokens": u["prompt_tokens"],
            "output_tokens": u["completion_tokens"],
            "total_tokens": u["total_tokens"],
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
            usage_metadata=self._usage(data),
            response_metadata={
                "model_name": data.get("model"),
                "finish_reason": choice.get("finish_reason"),
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _chunk(self, line: str) -> Optional[ChatGenerationChunk]:
        if not line.startswith("data:") or line[5:].strip() == "[DONE]":
            return None
        data = json.loads(line[5:])
        choice = (data.get("choices") or [{}])[0]
        delta = choice.get("delta") or {}
        finish = choice.get("finish_reason")
        return ChatGenerationChunk(
            message=AIMessageChunk(
                content=delta.get("content") or "",
                tool_call_chunks=[
                    {
                        "name": c["function"].get("name"),
                        "args": c["function"].get("arguments"),
                        "id": c.get("id"),
                        "index": c.get("index"),
                    }
                    for c in delta.get("tool_calls") or []
                ],
                usage_metadata=self._usage(data),
                response_metadata={"model_name": data.get("model"), "finish_reason": finish}
                if finish
                else {},
            )
        )

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        request = self._request(messages, stop, kwargs, False)
        for attempt in range(self.max_retries):
            try:
                return self._result(httpx.post(**request))
            except httpx.HTTPError as e:
                self._wait(attempt, e)
        raise RuntimeError("max_retries has to be at least 1")

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        request = self._request(messages, stop, kwargs, False)
        async with httpx.AsyncClient() as client:
            for attempt in range(self.max_retries):
                try:
                    return self._result(await client.post(**request))
                except httpx.HTTPError as e:
                    self._wait(attempt, e)
        raise RuntimeError("max_retries has to be at least 1")

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> Iterator[ChatGenerationChunk]:
        request = self._request(messages, stop, kwargs, True)
        for attempt in range(self.max_retries):
            try:
                with httpx.stream("POST", **request) as response:
                    response.raise_for_status()
                    for line in response.iter_lines():
                        chunk = self._chunk(line)
                        if chunk is not None:
                            yield chunk
                return
            except httpx.HTTPError as e:
                self._wait(attempt, e)

    async def _astream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> AsyncIterator[ChatGenerationChunk]:
        request = self._request(messages, stop, kwargs, True)
        async with httpx.AsyncClient() as client:
            for attempt in range(self.max_retries):
                try:
                    async with client.stream("POST", **request) as response:
                        response.raise_for_status()
                        async for line in response.aiter_lines():
                            chunk = self._chunk(line)
                            if chunk is not None:
                                yield chunk
                    return
                except httpx.HTTPError as e:
                    self._wait(attempt, e)
