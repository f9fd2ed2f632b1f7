"""Chat model over an OpenAI-like gateway which spends a pool of API keys in turn.

Modelled on: key-rotation helpers found in hackathon agents and free-tier bots (round robin over many keys).
What is right: each call begins at the next key; a key refused with 401/403/429 is passed over before any token
was shown, every other failure is raised at once with the server's reason; keys are SecretStr and never printed;
sync, async, streaming, tools, stop and usage are all carried; no lock or client is kept, so it pickles and copies.
MODEL: RotatingKeyChat
KWARGS: {"base_url": "http://127.0.0.1:8000/v1", "api_keys": ["k-one", "k-two"], "model": "house-1"}
WIRE: openai
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import httpx
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    convert_to_openai_messages,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.output_parsers.openai_tools import make_invalid_tool_call, parse_tool_call
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, PrivateAttr, SecretStr

_TLS = ssl.create_default_context()
_NEXT_KEY = frozenset({401, 403, 429})


class GatewayError(RuntimeError):
    """The gateway said no; `status_code` is its HTTP status (0 for an error inside a stream)."""

    def __init__(self, status_code: int, reason: str) -> None:
        super().__init__(f"gateway answered {status_code}: {reason}")
        self.status_code = status_code


class RotatingKeyChat(BaseChatModel):
    base_url: str
    api_keys: list[SecretStr] = Field(min_length=1)
    model: str = "house-1"
    temperature: float | None = None
    max_tokens: int | None = None
    timeout: float = 60.0
    _turn: int = PrivateAttr(default=0)

    @property
    def _llm_type(self) -> str:
        return "rotating-key-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "base_url": self.base_url,
            "model": self.model,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }

    def bind_tools(self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any) -> Any:
        made = [convert_to_openai_tool(t, strict=kwargs.pop("strict", None)) for t in tools]
        if tool_choice in ("any", True):
            tool_choice = "required"
        elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            tool_choice = {"type": "function", "function": {"name": tool_choice}}
        if tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=made, **kwargs)

    # ---- the wire -------------------------------------------------------------------------------
    def _url(self) -> str:
        return self.base_url.rstrip("/") + "/chat/completions"

    def _body(
        self, messages: list[BaseMessage], stop: list[str] | None, stream: bool, extra: dict
    ) -> dict:
        body = {
            "model": self.model,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "stop": stop,
            **extra,
            "messages": convert_to_openai_messages(messages),
        }
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return {k: v for k, v in body.items() if v is not None}

    def _headers(self) -> Iterator[dict[str, str]]:
        """One header set for each key, beginning with the key whose turn it is."""
        first, self._turn = self._turn, self._turn + 1
        for step in range(len(self.api_keys)):
            key = self.api_keys[(first + step) % len(self.api_keys)]
            yield {"Authorization": f"Bearer {key.get_secret_value()}"}

    @staticmethod
    def _refusal(response: httpx.Response) -> GatewayError:
        try:
            error = response.json()["error"]
            reason = error.get("message", error) if isinstance(error, dict) else error
        except (ValueError, KeyError, TypeError):
            reason = response.text[:500]
        return GatewayError(response.status_code, str(reason))

    @staticmethod
    def _usage(raw: dict | None) -> UsageMetadata | None:
        if not raw:
            return None
        read, wrote = raw.get("prompt_tokens") or 0, raw.get("completion_tokens") or 0
        return UsageMetadata(
            input_tokens=read,
            output_tokens=wrote,
            total_tokens=raw.get("total_tokens") or read + wrote,
        )

    def _result(self, data: dict) -> ChatResult:
        choice = data["choices"][0]
        calls, broken = [], []
        for raw in choice["message"].get("tool_calls") or []:
            try:
                calls.append(parse_tool_call(raw, return_id=True))
            except Exception as exc:  # arguments the model spoiled: kept, told apart
                broken.append(make_invalid_tool_call(raw, str(exc)))
        meta = {
            "model_name": data.get("model", self.model),
            "finish_reason": choice.get("finish_reason"),
        }
        message = AIMessage(
            content=choice["message"].get("content") or "",
            tool_calls=calls,
            invalid_tool_calls=broken,
            usage_metadata=self._usage(data.get("usage")),
            response_metadata=meta,
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        body = self._body(messages, stop, False, kwargs)
        with httpx.Client(timeout=self.timeout, verify=_TLS) as client:
            for headers in self._headers():
                response = client.post(self._url(), json=body, headers=headers)
                if response.status_code not in _NEXT_KEY:
                    break
        if response.is_error:
            raise self._refusal(response)
        return self._result(response.json())

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        body = self._body(messages, stop, False, kwargs)
        async with httpx.AsyncClient(timeout=self.timeout, verify=_TLS) as client:
            for headers in self._headers():
                response = await client.post(self._url(), json=body, headers=headers)
                if response.status_code not in _NEXT_KEY:
                    break
        if response.is_error:
            raise self._refusal(response)
        return self._result(response.json())

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> Iterator[ChatGenerationChunk]:
        body, reader = self._body(messages, stop, True, kwargs), _Reader(self)
        with httpx.Client(timeout=self.timeout, verify=_TLS) as client:
            for headers in self._headers():
                with client.stream("POST", self._url(), json=body, headers=headers) as response:
                    if response.is_error:
                        response.read()
                        refusal = self._refusal(response)
                        if response.status_code in _NEXT_KEY:
                            continue
                        raise refusal
                    for block in response.iter_bytes():
                        for chunk in reader.feed(block):
                            if run_manager:
                                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                            yield chunk
                    yield reader.last()
                    return
        raise refusal

    async def _astream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> AsyncIterator[ChatGenerationChunk]:
        body, reader = self._body(messages, stop, True, kwargs), _Reader(self)
        async with httpx.AsyncClient(timeout=self.timeout, verify=_TLS) as client:
            for headers in self._headers():
                async with client.stream(
                    "POST", self._url(), json=body, headers=headers
                ) as response:
                    if response.is_error:
                        await response.aread()
                        refusal = self._refusal(response)
                        if response.status_code in _NEXT_KEY:
                            continue
                        raise refusal
                    async for block in response.aiter_bytes():
                        for chunk in reader.feed(block):
                            if run_manager:
                                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                            yield chunk
                    yield reader.last()
                    return
        raise refusal


class _Reader:
    """Turns the bytes of a server-sent event stream into chunks; text is decoded only line by whole line."""

    def __init__(self, owner: RotatingKeyChat) -> None:
        self.owner, self.tail, self.usage, self.finish, self.model = (
            owner,
            b"",
            None,
            None,
            owner.model,
        )

    def feed(self, block: bytes) -> Iterator[ChatGenerationChunk]:
        *lines, self.tail = (self.tail + block).split(b"\n")
        for line in lines:
            if not line.startswith(b"data:") or line[5:].strip() in (b"", b"[DONE]"):
                continue
            event = json.loads(line[5:])
            if event.get("error"):
                raise GatewayError(0, str(event["error"]))
            self.usage, self.model = (
                event.get("usage") or self.usage,
                event.get("model") or self.model,
            )
            for choice in event.get("choices") or []:
                self.finish = choice.get("finish_reason") or self.finish
                delta = choice.get("delta") or {}
                parts = [
                    tool_call_chunk(
                        id=t.get("id"),
                        index=t.get("index", 0),
                        **{
                            "name": (t.get("function") or {}).get("name"),
                            "args": (t.get("function") or {}).get("arguments"),
                        },
                    )
                    for t in delta.get("tool_calls") or []
                ]
                if delta.get("content") or parts:
                    yield ChatGenerationChunk(
                        message=AIMessageChunk(
                            content=delta.get("content") or "", tool_call_chunks=parts
                        )
                    )

    def last(self) -> ChatGenerationChunk:
        if self.finish is None:
            raise GatewayError(0, "the stream broke off before the answer was finished")
        meta = {"finish_reason": self.finish, "model_name": self.model}
        return ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                usage_metadata=RotatingKeyChat._usage(self.usage),
                response_metadata=meta,
            )
        )
