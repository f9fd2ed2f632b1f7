"""An asyncio service's own chat model: async, and nothing else.

Modelled on: back ends (FastAPI, bots) whose model class has `_agenerate` and `_astream` over aiohttp, and says
of the sync way that it has none.

Right: the sync way raises NotImplementedError and names what to call; one answer is made from the same stream
that is streamed; a session per call, so that any event loop may use it; errors in the stream and a stream that
breaks off raise; tools; no images, and it says so.

MODEL: make_service_chat
KWARGS: {}
WIRE: openai
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NoReturn

import aiohttp
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import SecretStr

_ROLES = {HumanMessage: "user", SystemMessage: "system"}


class ServiceUnavailable(RuntimeError):
    """The service did not give a whole answer."""


class _ServiceChat(BaseChatModel):
    model: str
    url: str
    bearer: SecretStr | None = None
    sampling: dict[str, Any] = {}
    total_timeout: float = 120.0

    @property
    def _llm_type(self) -> str:
        return "service-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model, "url": self.url, "sampling": self.sampling}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **{**self.sampling, **kwargs})
        params["ls_provider"] = "service"
        return params

    @staticmethod
    def _words(message: BaseMessage) -> str:
        if isinstance(message.content, str):
            return message.content
        for block in message.content:
            if isinstance(block, dict) and block.get("type") not in (
                "text",
                "reasoning",
                "tool_call",
                "tool_use",
            ):
                raise ValueError(f"This service reads text, and no {block.get('type')!r}.")
        return message.text

    def _to_wire(self, message: BaseMessage) -> dict[str, Any]:
        text = self._words(message)
        if isinstance(message, ToolMessage):
            return {"role": "tool", "tool_call_id": message.tool_call_id, "content": text}
        if isinstance(message, AIMessage):
            wire: dict[str, Any] = {"role": "assistant", "content": text}
            calls = [
                (call["id"], call["name"], json.dumps(call["args"])) for call in message.tool_calls
            ]
            calls += [
                (bad["id"], bad["name"], bad["args"] or "") for bad in message.invalid_tool_calls
            ]
            if calls:
                wire["tool_calls"] = [
                    {"id": id_, "type": "function", "function": {"name": name, "arguments": args}}
                    for id_, name, args in calls
                ]
            return wire
        for kind, role in _ROLES.items():
            if isinstance(message, kind):
                return {"role": role, "content": text}
        raise ValueError(f"This service knows no message of type {message.type!r}.")

    def _chunk(self, data: dict[str, Any], seen: dict[str, Any]) -> AIMessageChunk | None:
        if data.get("error"):
            raise ServiceUnavailable(f"The service broke off: {data['error']}")
        usage = data.get("usage")
        if usage:
            seen["usage"] = usage
        if not data.get("choices"):
            return None
        choice = data["choices"][0]
        delta = choice.get("delta") or {}
        if choice.get("finish_reason"):
            seen["finish"] = choice["finish_reason"]
            seen["model"] = data.get("model")
        calls = [
            tool_call_chunk(
                name=(call.get("function") or {}).get("name"),
                args=(call.get("function") or {}).get("arguments"),
                id=call.get("id"),
                index=call.get("index", 0),
            )
            for call in delta.get("tool_calls") or []
        ]
        thought = delta.get("reasoning_content")
        if not (delta.get("content") or calls or thought):
            return None
        return AIMessageChunk(
            content=delta.get("content") or "",
            tool_call_chunks=calls,
            additional_kwargs={"reasoning_content": thought} if thought else {},
        )

    def _last(self, seen: dict[str, Any]) -> AIMessageChunk:
        usage = seen.get("usage")
        return AIMessageChunk(
            content="",
            chunk_position="last",
            response_metadata={
                "finish_reason": seen["finish"],
                "model_name": seen["model"] or self.model,
                "model_provider": "service",
            },
            usage_metadata=UsageMetadata(
                input_tokens=usage["prompt_tokens"],
                output_tokens=usage["completion_tokens"],
                total_tokens=usage["total_tokens"],
            )
            if usage
            else None,
        )

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> NoReturn:
        raise NotImplementedError("This model is async only: use ainvoke, astream, abatch.")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        entire: ChatGenerationChunk | None = None
        async for chunk in self._astream(messages, stop=stop, **kwargs):
            entire = chunk if entire is None else entire + chunk
        assert entire is not None and isinstance(entire.message, AIMessageChunk)
        merged = entire.message
        calls, bad = [], []
        # Strictly: arguments that break off are no call with the rest left out.
        for piece in merged.tool_call_chunks:
            try:
                args = json.loads(piece["args"] or "{}")
                if not isinstance(args, dict):
                    raise ValueError("the arguments are no JSON object")
            except ValueError as error:
                bad.append(
                    invalid_tool_call(
                        name=piece["name"], args=piece["args"], id=piece["id"], error=str(error)
                    )
                )
            else:
                calls.append(tool_call(name=piece["name"] or "", args=args, id=piece["id"]))
        message = AIMessage(
            content=merged.content,
            additional_kwargs=merged.additional_kwargs,
            response_metadata=merged.response_metadata,
            usage_metadata=merged.usage_metadata,
            tool_calls=calls,
            invalid_tool_calls=bad,
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        body = {"model": self.model, "messages": [self._to_wire(message) for message in messages]}
        body.update(self.sampling)
        if stop:
            body["stop"] = stop
        body.update(kwargs)
        body.update(stream=True, stream_options={"include_usage": True})
        headers = (
            {"Authorization": f"Bearer {self.bearer.get_secret_value()}"} if self.bearer else {}
        )
        seen: dict[str, Any] = {}
        timeout = aiohttp.ClientTimeout(total=self.total_timeout)
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers, read_bufsize=2**22) as session,
            session.post(self.url.rstrip("/") + "/chat/completions", json=body) as response,
        ):
            if response.status != 200:
                said = (await response.text())[:500]
                raise ServiceUnavailable(f"The service answered {response.status}: {said}")
            async for raw in response.content:
                line = raw.decode("utf-8").strip()
                if not line.startswith("data:"):
                    continue
                line = line[5:].strip()
                if line == "[DONE]":
                    break
                message = self._chunk(json.loads(line), seen)
                if message is None:
                    continue
                chunk = ChatGenerationChunk(message=message)
                if run_manager:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk
        if not seen.get("finish"):
            raise ServiceUnavailable("The stream ended before the answer did.")
        chunk = ChatGenerationChunk(message=self._last(seen))
        if run_manager:
            await run_manager.on_llm_new_token("", chunk=chunk)
        yield chunk

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        known = [convert_to_openai_tool(tool, strict=strict) for tool in tools]
        if tool_choice == "any":
            tool_choice = "required"
        elif isinstance(tool_choice, str) and tool_choice not in ("none", "auto", "required"):
            tool_choice = {"type": "function", "function": {"name": tool_choice}}
        if tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=known, **kwargs)


def make_service_chat(
    base_url: str = "http://localhost:9000/v1",
    model: str = "service-1",
    token: str | None = None,
    **sampling: Any,
) -> BaseChatModel:
    """The service's chat model: `sampling` is what every request has, such as `temperature=0`."""
    return _ServiceChat(
        model=model, url=base_url, bearer=SecretStr(token) if token else None, sampling=sampling
    )
