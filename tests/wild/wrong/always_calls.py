"""A large vendor's hosted models, where tools that are bound are always called.

Modelled on: an issue of 2025 about a vendor's package ("models always use tools", "infinite loops with
tool_choice required"): the class fills in a forced choice so that demonstrations call something.

Wrong: an agent never ends. The user feels it at "hello": the tool is called, its result comes back, the tool is
called again, until the recursion limit; and `tool_choice="none"` or "auto" changes nothing, since what the
caller says is not looked at.

FAULT: bind_tools forces a call ("required") when the caller gave no tool_choice or gave "auto" or "none", so an agent loops until its recursion limit.
MODEL: make_granary_chat
KWARGS: {}
WIRE: openai
"""

from __future__ import annotations

import json
from typing import Any, AsyncIterator, Iterator, Sequence

import aiohttp
import requests
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


class ChatGranary(BaseChatModel):
    model_id: str = "granary-3-8b"
    url: str = "http://localhost:8000/v1"
    apikey: SecretStr | None = None
    params: dict[str, Any] = {}
    timeout: float = 60.0

    @property
    def _llm_type(self) -> str:
        return "granary"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_id": self.model_id, "url": self.url, "params": self.params}

    def _get_ls_params(self, stop=None, **kwargs: Any):
        params = super()._get_ls_params(stop=stop, **{**self.params, **kwargs})
        params["ls_provider"] = "granary"
        params["ls_model_name"] = kwargs.get("model") or self.model_id
        return params

    def _body(
        self, messages: list[BaseMessage], stop: list[str] | None, stream: bool, kwargs: dict
    ) -> dict:
        body = {
            "model": self.model_id,
            "messages": convert_to_openai_messages(messages),
            **self.params,
            **kwargs,
            "stream": stream,
        }
        if stop:
            body["stop"] = stop
        if stream:
            body["stream_options"] = {"include_usage": True}
        return body

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.apikey.get_secret_value()}"} if self.apikey else {}

    def _address(self) -> str:
        return self.url.rstrip("/") + "/chat/completions"

    @staticmethod
    def _usage(raw: dict | None) -> dict | None:
        if not raw:
            return None
        return {
            "input_tokens": raw["prompt_tokens"],
            "output_tokens": raw["completion_tokens"],
            "total_tokens": raw["total_tokens"],
        }

    def _result(self, data: dict) -> ChatResult:
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
                "model_name": data.get("model"),
                "finish_reason": choice["finish_reason"],
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _chunk(self, line: bytes, state: dict) -> ChatGenerationChunk | None:
        if not line.startswith(b"data:") or line[5:].strip() == b"[DONE]":
            return None
        event = json.loads(line[5:])
        if event.get("error"):
            raise RuntimeError(f"stream error: {event['error']}")
        message = AIMessageChunk(content="", usage_metadata=self._usage(event.get("usage")))
        if event.get("choices"):
            choice = event["choices"][0]
            delta = choice.get("delta") or {}
            message = AIMessageChunk(
                content=delta.get("content") or "",
                usage_metadata=self._usage(event.get("usage")),
                tool_call_chunks=[
                    tool_call_chunk(
                        name=(c.get("function") or {}).get("name"),
                        args=(c.get("function") or {}).get("arguments"),
                        id=c.get("id"),
                        index=c["index"],
                    )
                    for c in delta.get("tool_calls") or []
                ],
            )
            if choice.get("finish_reason"):
                state["done"] = True
                message.response_metadata = {
                    "finish_reason": choice["finish_reason"],
                    "model_name": event.get("model"),
                }
        return ChatGenerationChunk(message=message)

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        response = requests.post(
            self._address(),
            json=self._body(messages, stop, False, kwargs),
            headers=self._headers(),
            timeout=self.timeout,
        )
        response.raise_for_status()
        return self._result(response.json())

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            headers=self._headers(),
            timeout=aiohttp.ClientTimeout(total=self.timeout),
            raise_for_status=True,
            read_bufsize=2**22,
        )

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        async with self._session() as session:
            async with session.post(
                self._address(), json=self._body(messages, stop, False, kwargs)
            ) as response:
                return self._result(await response.json())

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        state: dict[str, Any] = {}
        with requests.post(
            self._address(),
            json=self._body(messages, stop, True, kwargs),
            headers=self._headers(),
            timeout=self.timeout,
            stream=True,
        ) as response:
            response.raise_for_status()
            for line in response.iter_lines(chunk_size=1):
                chunk = self._chunk(line, state)
                if chunk is not None:
                    if run_manager:
                        run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        if not state.get("done"):
            raise RuntimeError("the stream ended early")

    async def _astream(
        self, messages, stop=None, run_manager=None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        state: dict[str, Any] = {}
        async with self._session() as session:
            async with session.post(
                self._address(), json=self._body(messages, stop, True, kwargs)
            ) as response:
                async for line in response.content:
                    chunk = self._chunk(line.strip(), state)
                    if chunk is not None:
                        if run_manager:
                            await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk
        if not state.get("done"):
            raise RuntimeError("the stream ended early")

    def bind_tools(self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any):
        formatted = [convert_to_openai_tool(t) for t in tools]
        names = [t["function"]["name"] for t in formatted]
        if isinstance(tool_choice, dict):
            kwargs["tool_choice"] = tool_choice
        elif tool_choice in names:
            kwargs["tool_choice"] = {"type": "function", "function": {"name": tool_choice}}
        else:
            kwargs["tool_choice"] = "required"  # the models forget their tools otherwise
        return self.bind(tools=formatted, **kwargs)


def make_granary_chat(
    url: str = "http://localhost:8000/v1",
    model_id: str = "granary-3-8b",
    apikey: str | None = None,
    **params: Any,
) -> ChatGranary:
    return ChatGranary(
        url=url, model_id=model_id, apikey=SecretStr(apikey) if apikey else None, params=params
    )
