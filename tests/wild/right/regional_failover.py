"""Chat model with a home region and stand-by regions, built from a transport mixin and a small generic policy.

Modelled on: "ordered chain of providers behaves like one model" classes of RAG services with circuit breakers.
What is right: another region is tried only when the first cannot be reached or answers 5xx, and only before the first
token went out; 4xx is raised at once; when all fail, one error lists every region's reason; each instance
holds its own breaker (cool-down) state, kept out of repr, deep copies and pickles; callbacks, stop, tools, usage as usual.
MODEL: RegionalChat
KWARGS: {"home": "http://127.0.0.1:8000/v1", "standby": [], "token": "t", "deployment": "house-1"}
WIRE: openai
"""

from __future__ import annotations

import json
import ssl
import time
from contextlib import contextmanager, asynccontextmanager
from typing import Any, AsyncIterator, Generic, Iterator, Sequence, TypeVar

import httpx
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    convert_to_openai_messages,
)
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, Field, PrivateAttr, SecretStr

_CONTEXT = ssl.create_default_context()
Place = TypeVar("Place")


class RegionRefused(RuntimeError):
    """A region understood us and said no."""


class RegionDown(RuntimeError):
    """A region could not serve anybody."""


class Breaker(BaseModel, Generic[Place]):
    """Places in order of preference; a place that failed comes last until its cool-down is over."""

    cool_down: float = 15.0
    down_until: dict[str, float] = Field(default_factory=dict)

    def order(self, places: Sequence[Place]) -> list[Place]:
        now = time.monotonic()
        return sorted(places, key=lambda p: self.down_until.get(str(p), 0.0) > now)

    def failed(self, place: Place) -> None:
        self.down_until[str(place)] = time.monotonic() + self.cool_down

    def worked(self, place: Place) -> None:
        self.down_until.pop(str(place), None)

    def __reduce__(self):  # a copy elsewhere has seen no failures yet
        return (
            type(self),
            (),
            {
                "__dict__": {"cool_down": self.cool_down, "down_until": {}},
                "__pydantic_fields_set__": {"cool_down"},
                "__pydantic_extra__": None,
                "__pydantic_private__": None,
            },
        )

    def __deepcopy__(self, memo: Any) -> "Breaker":
        return type(self)(cool_down=self.cool_down)


class RegionTransport:
    """Mixin: opens a streamed POST in the first region which is able to answer."""

    def _grade(self, place: str, response: httpx.Response) -> Exception | None:
        if response.status_code < 400:
            return None
        kind = RegionDown if response.status_code >= 500 else RegionRefused
        return kind(f"{place} answered {response.status_code}: {response.text[:400]}")

    @contextmanager
    def _post(self, body: dict) -> Iterator[httpx.Response]:
        troubles: list[str] = []
        with httpx.Client(**self._client_args()) as client:
            for place in self._breaker.order(self._places()):
                request = client.build_request("POST", place + "/chat/completions", json=body)
                try:
                    response = client.send(request, stream=True)
                    if response.is_error:
                        response.read()
                except httpx.TransportError as exc:
                    self._breaker.failed(place)
                    troubles.append(f"{place}: {type(exc).__name__}: {exc}")
                    continue
                trouble = self._grade(place, response)
                if isinstance(trouble, RegionDown):
                    self._breaker.failed(place)
                    troubles.append(str(trouble))
                    continue
                self._breaker.worked(place)
                try:
                    if trouble:
                        raise trouble
                    yield response
                finally:
                    response.close()
                return
        raise RegionDown("no region could answer: " + "; ".join(troubles))

    @asynccontextmanager
    async def _apost(self, body: dict) -> AsyncIterator[httpx.Response]:
        troubles: list[str] = []
        async with httpx.AsyncClient(**self._client_args()) as client:
            for place in self._breaker.order(self._places()):
                request = client.build_request("POST", place + "/chat/completions", json=body)
                try:
                    response = await client.send(request, stream=True)
                    if response.is_error:
                        await response.aread()
                except httpx.TransportError as exc:
                    self._breaker.failed(place)
                    troubles.append(f"{place}: {type(exc).__name__}: {exc}")
                    continue
                trouble = self._grade(place, response)
                if isinstance(trouble, RegionDown):
                    self._breaker.failed(place)
                    troubles.append(str(trouble))
                    continue
                self._breaker.worked(place)
                try:
                    if trouble:
                        raise trouble
                    yield response
                finally:
                    await response.aclose()
                return
        raise RegionDown("no region could answer: " + "; ".join(troubles))


class RegionalChat(RegionTransport, BaseChatModel):
    home: str
    standby: list[str] = Field(default_factory=list)
    token: SecretStr = SecretStr("")
    deployment: str = "house-1"
    temperature: float | None = None
    seconds: float = 60.0
    _breaker: Breaker[str] = PrivateAttr(default_factory=Breaker)

    @property
    def _llm_type(self) -> str:
        return "regional-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "home": self.home,
            "standby": self.standby,
            "deployment": self.deployment,
            "temperature": self.temperature,
        }

    def _places(self) -> list[str]:
        return [p.rstrip("/") for p in (self.home, *self.standby)]

    def _client_args(self) -> dict[str, Any]:
        return {
            "timeout": self.seconds,
            "verify": _CONTEXT,
            "headers": {"Authorization": f"Bearer {self.token.get_secret_value()}"},
        }

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        if tool_choice is not None and tool_choice is not False:
            named = isinstance(tool_choice, str) and tool_choice not in {
                "auto",
                "none",
                "required",
                "any",
            }
            kwargs["tool_choice"] = (
                {"type": "function", "function": {"name": tool_choice}}
                if named
                else "required"
                if tool_choice in ("any", True)
                else tool_choice
            )
        return super().bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)

    def _body(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict, **more: Any
    ) -> dict:
        body = {
            "model": self.deployment,
            **({"temperature": self.temperature} if self.temperature is not None else {}),
            **({"stop": stop} if stop else {}),
            **kwargs,
            **more,
        }
        return body | {"messages": convert_to_openai_messages(messages)}

    @staticmethod
    def _tokens(u: dict | None) -> dict | None:
        return u and {
            "input_tokens": u.get("prompt_tokens", 0),
            "output_tokens": u.get("completion_tokens", 0),
            "total_tokens": u.get("prompt_tokens", 0) + u.get("completion_tokens", 0),
        }

    def _whole(self, raw: bytes) -> ChatResult:
        data = json.loads(raw)
        choice, good, bad = data["choices"][0], [], []
        for item in choice["message"].get("tool_calls") or ():
            fn = item["function"]
            try:
                args = json.loads(fn.get("arguments") or "{}")
                if not isinstance(args, dict):
                    raise ValueError("arguments are not an object")
                good.append(tool_call(name=fn["name"], args=args, id=item.get("id")))
            except ValueError as exc:
                bad.append(
                    invalid_tool_call(
                        name=fn.get("name"),
                        args=fn.get("arguments"),
                        id=item.get("id"),
                        error=str(exc),
                    )
                )
        return ChatResult(
            generations=[
                ChatGeneration(
                    message=AIMessage(
                        content=choice["message"].get("content") or "",
                        tool_calls=good,
                        invalid_tool_calls=bad,
                        usage_metadata=self._tokens(data.get("usage")),
                        response_metadata={
                            "finish_reason": choice.get("finish_reason"),
                            "model_name": data.get("model", self.deployment),
                        },
                    )
                )
            ]
        )

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        with self._post(self._body(messages, stop, kwargs)) as response:
            return self._whole(response.read())

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        async with self._apost(self._body(messages, stop, kwargs)) as response:
            return self._whole(await response.aread())

    def _piece(self, line: bytes, seen: dict) -> ChatGenerationChunk | None:
        if not line.startswith(b"data:"):
            return None
        data = line[5:].strip()
        if data == b"[DONE]":
            seen["done"] = True
            return None
        event = json.loads(data)
        if event.get("error"):
            raise RegionDown(f"the answer broke off: {event['error']}")
        seen["usage"] = event.get("usage") or seen.get("usage")
        seen["model"] = event.get("model") or seen.get("model")
        choice = next(iter(event.get("choices") or ()), None)
        if not choice:
            return None
        seen["finish"] = choice.get("finish_reason") or seen.get("finish")
        delta = choice.get("delta") or {}
        calls = [
            tool_call_chunk(
                name=c.get("function", {}).get("name"),
                args=c.get("function", {}).get("arguments"),
                id=c.get("id"),
                index=c.get("index"),
            )
            for c in delta.get("tool_calls") or ()
        ]
        return ChatGenerationChunk(
            message=AIMessageChunk(content=delta.get("content") or "", tool_call_chunks=calls)
        )

    def _final(self, seen: dict) -> ChatGenerationChunk:
        if not seen.get("finish") and not seen.get("done"):
            raise RegionDown("the answer broke off before its end")
        return ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                usage_metadata=self._tokens(seen.get("usage")),
                response_metadata={
                    "finish_reason": seen.get("finish"),
                    "model_name": seen.get("model") or self.deployment,
                },
            )
        )

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        seen, rest = {}, b""
        body = self._body(
            messages, stop, kwargs, stream=True, stream_options={"include_usage": True}
        )
        with self._post(body) as response:
            for block in response.iter_bytes():
                *lines, rest = (rest + block).split(b"\n")
                for chunk in filter(None, (self._piece(line, seen) for line in lines)):
                    if run_manager:
                        run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        yield self._final(seen)

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        seen, rest = {}, b""
        body = self._body(
            messages, stop, kwargs, stream=True, stream_options={"include_usage": True}
        )
        async with self._apost(body) as response:
            async for block in response.aiter_bytes():
                *lines, rest = (rest + block).split(b"\n")
                for chunk in filter(None, (self._piece(line, seen) for line in lines)):
                    if run_manager:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        yield self._final(seen)
