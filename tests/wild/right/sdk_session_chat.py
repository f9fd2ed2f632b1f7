"""Chat model on the openai SDK with clients made when first used, kept per event loop, and closed by `with`/`aclose`.

Modelled on: wrappers of company gateways on AsyncOpenAI, after the "Event loop is closed" reports about shared clients.
What is right: one sync client, one async client for each living event loop; pickles, copies and deep copies carry no
client and make their own; the model is a context manager but works without; SDK errors and retries come through
as they are; usage counted once; reasoning text kept apart.
MODEL: SessionChat
KWARGS: {"gateway": "http://127.0.0.1:8000/v1", "access_key": "k", "model_name": "house-1"}
WIRE: openai
"""

from __future__ import annotations

import asyncio
import ssl
import weakref
from typing import Any, AsyncIterator, Iterator

import httpx
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
from langchain_core.utils import secret_from_env
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import AliasChoices, ConfigDict, Field, PrivateAttr, SecretStr

_CTX = ssl.create_default_context()


class _Clients:
    """Open clients of one model. Copying or pickling gives an empty set."""

    def __init__(self) -> None:
        self.sync: openai.OpenAI | None = None
        self.by_loop: weakref.WeakKeyDictionary[Any, openai.AsyncOpenAI] = (
            weakref.WeakKeyDictionary()
        )

    def __reduce__(self):
        return (_Clients, ())

    def __copy__(self) -> "_Clients":
        return _Clients()

    def __deepcopy__(self, memo: Any) -> "_Clients":
        return _Clients()


class SessionChat(BaseChatModel):
    model_config = ConfigDict(populate_by_name=True)

    gateway: str = Field(validation_alias=AliasChoices("gateway", "base_url"))
    access_key: SecretStr = Field(
        validation_alias=AliasChoices("access_key", "api_key"),
        default_factory=secret_from_env("SESSION_CHAT_KEY", default=""),
    )
    model_name: str = Field(default="house-1", validation_alias=AliasChoices("model_name", "model"))
    temperature: float | None = None
    max_tokens: int | None = None
    timeout: float = 60.0
    max_retries: int = 1
    _clients: _Clients = PrivateAttr(default_factory=_Clients)

    @property
    def _llm_type(self) -> str:
        return "session-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "gateway": self.gateway,
            "model_name": self.model_name,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }

    # ---- clients --------------------------------------------------------------------------------
    def _common(self) -> dict[str, Any]:
        return {
            "base_url": self.gateway,
            "api_key": self.access_key.get_secret_value() or "none",
            "timeout": self.timeout,
            "max_retries": self.max_retries,
        }

    def _client(self) -> openai.OpenAI:
        if self._clients.sync is None or self._clients.sync.is_closed():
            self._clients.sync = openai.OpenAI(
                **self._common(), http_client=httpx.Client(verify=_CTX, timeout=self.timeout)
            )
        return self._clients.sync

    def _aclient(self) -> openai.AsyncOpenAI:
        loop = asyncio.get_running_loop()
        client = self._clients.by_loop.get(loop)
        if client is None or client.is_closed():
            # No idle connection is kept, so a loop may end without aclose() and leave nothing open behind it.
            http = httpx.AsyncClient(
                verify=_CTX, timeout=self.timeout, limits=httpx.Limits(max_keepalive_connections=0)
            )
            client = openai.AsyncOpenAI(**self._common(), http_client=http)
            self._clients.by_loop[loop] = client
        return client

    def close(self) -> None:
        if self._clients.sync is not None:
            self._clients.sync.close()
            self._clients.sync = None

    async def aclose(self) -> None:
        client = self._clients.by_loop.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()
        self.close()

    def __enter__(self) -> "SessionChat":
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()

    async def __aenter__(self) -> "SessionChat":
        return self

    async def __aexit__(self, *exc: Any) -> None:
        await self.aclose()

    # ---- features -------------------------------------------------------------------------------
    def bind_tools(self, tools, *, tool_choice=None, strict=None, **kwargs):
        match tool_choice:
            case None | False:
                pass
            case "any" | True:
                kwargs["tool_choice"] = "required"
            case "auto" | "none" | "required" | dict():
                kwargs["tool_choice"] = tool_choice
            case name:
                kwargs["tool_choice"] = {"type": "function", "function": {"name": name}}
        return self.bind(tools=[convert_to_openai_tool(t, strict=strict) for t in tools], **kwargs)

    def _params(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict
    ) -> dict[str, Any]:
        kwargs = dict(kwargs)
        given = {
            "model": self.model_name,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "stop": stop or None,
        }
        known = {
            "tools",
            "tool_choice",
            "response_format",
            "parallel_tool_calls",
            "seed",
            "top_p",
            "user",
            "n",
            "extra_body",
            "extra_headers",
            "timeout",
            *given,
        }
        odd = {k: kwargs.pop(k) for k in list(kwargs) if k not in known}
        if odd:
            kwargs["extra_body"] = {**odd, **(kwargs.get("extra_body") or {})}
        params = {**given, **kwargs, "messages": convert_to_openai_messages(messages)}
        return {k: v for k, v in params.items() if v is not None}

    @staticmethod
    def _usage(u: Any) -> dict | None:
        if u is None:
            return None
        out: dict[str, Any] = {
            "input_tokens": u.prompt_tokens or 0,
            "output_tokens": u.completion_tokens or 0,
            "total_tokens": u.total_tokens or (u.prompt_tokens or 0) + (u.completion_tokens or 0),
        }
        cached = getattr(getattr(u, "prompt_tokens_details", None), "cached_tokens", None)
        if cached is not None:
            out["input_token_details"] = {"cache_read": cached}
        thought = getattr(getattr(u, "completion_tokens_details", None), "reasoning_tokens", None)
        if thought is not None:
            out["output_token_details"] = {"reasoning": thought}
        return out

    def _result(self, answer: Any) -> ChatResult:
        if not answer.choices:
            raise ValueError(f"the gateway sent no choices: {answer}")
        generations = []
        for number, choice in enumerate(answer.choices):
            calls, bad = [], []
            for call in choice.message.tool_calls or []:
                raw = call.model_dump()
                try:
                    calls.append(parse_tool_call(raw, return_id=True))
                except Exception as exc:
                    bad.append(make_invalid_tool_call(raw, str(exc)))
            thought = getattr(choice.message, "reasoning_content", None)
            message = AIMessage(
                content=choice.message.content or "",
                tool_calls=calls,
                invalid_tool_calls=bad,
                usage_metadata=self._usage(answer.usage) if number == 0 else None,
                additional_kwargs={"reasoning_content": thought} if thought else {},
                response_metadata={
                    "model_name": answer.model,
                    "finish_reason": choice.finish_reason,
                    "id": answer.id,
                },
            )
            generations.append(ChatGeneration(message=message))
        return ChatResult(generations=generations)

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        return self._result(
            self._client().chat.completions.create(**self._params(messages, stop, kwargs))
        )

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        return self._result(
            await self._aclient().chat.completions.create(**self._params(messages, stop, kwargs))
        )

    def _piece(self, event: Any, seen: dict) -> ChatGenerationChunk | None:
        seen["usage"] = event.usage or seen.get("usage")
        seen["model"] = event.model or seen.get("model")
        if not event.choices:
            return None
        choice = event.choices[0]
        seen["finish"] = choice.finish_reason or seen.get("finish")
        calls = [
            tool_call_chunk(
                id=c.id,
                index=c.index,
                name=c.function.name if c.function else None,
                args=c.function.arguments if c.function else None,
            )
            for c in choice.delta.tool_calls or []
        ]
        thought = getattr(choice.delta, "reasoning_content", None)
        return ChatGenerationChunk(
            message=AIMessageChunk(
                content=choice.delta.content or "",
                tool_call_chunks=calls,
                additional_kwargs={"reasoning_content": thought} if thought else {},
            )
        )

    def _end(self, seen: dict) -> ChatGenerationChunk:
        if not seen.get("finish"):
            raise openai.APIError(
                "the stream ended before the answer did",
                request=httpx.Request("POST", self.gateway),
                body=None,
            )
        return ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                usage_metadata=self._usage(seen.get("usage")),
                response_metadata={
                    "finish_reason": seen["finish"],
                    "model_name": seen.get("model") or self.model_name,
                },
            )
        )

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> Iterator[ChatGenerationChunk]:
        seen: dict[str, Any] = {}
        params = self._params(messages, stop, kwargs)
        with self._client().chat.completions.create(
            stream=True, stream_options={"include_usage": True}, **params
        ) as events:
            for event in events:
                if chunk := self._piece(event, seen):
                    if run_manager:
                        run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        yield self._end(seen)

    async def _astream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> AsyncIterator[ChatGenerationChunk]:
        seen: dict[str, Any] = {}
        params = self._params(messages, stop, kwargs)
        events = await self._aclient().chat.completions.create(
            stream=True, stream_options={"include_usage": True}, **params
        )
        async with events:
            async for event in events:
                if chunk := self._piece(event, seen):
                    if run_manager:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        yield self._end(seen)
