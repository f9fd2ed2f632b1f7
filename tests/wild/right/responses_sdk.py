"""Modelled on: repositories that wrap the openai package's `client.responses.create` in a chat model of their own,
to have reasoning models without the rest of a vendor package.

Right: both directions of the Responses wire (function calls and their outputs are items of their own, matched by
call_id), streaming by the SDK's typed events, usage once, a failed response raised, an incomplete one told in the
metadata. The wire has no stop sequences: `stop` is refused by name, not dropped. SDK clients are made per call, so the
model pickles and serves several event loops.

MODEL: ResponsesChat
KWARGS: {}
WIRE: responses
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import openai
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
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
from openai.types.responses import Response
from pydantic import Field, SecretStr


class ResponseFailed(RuntimeError):
    """The server reports that the response failed."""


def _parts(content: str | list[str | dict[str, Any]]) -> list[dict[str, Any]]:
    made = []
    for block in [content] if isinstance(content, str) else content:
        if isinstance(block, str):
            made.append({"type": "input_text", "text": block})
        elif block.get("type") == "text":
            made.append({"type": "input_text", "text": block["text"]})
        elif block.get("type") == "image_url":
            image = block["image_url"]
            made.append(
                {
                    "type": "input_image",
                    "image_url": image if isinstance(image, str) else image["url"],
                }
            )
        elif block.get("type") == "image" and block.get("url"):
            made.append({"type": "input_image", "image_url": block["url"]})
        elif block.get("type") == "image" and (block.get("base64") or block.get("data")):
            data = block.get("base64") or block["data"]
            url = f"data:{block.get('mime_type', 'image/png')};base64,{data}"
            made.append({"type": "input_image", "image_url": url})
        else:
            raise ValueError(
                f"ResponsesChat cannot send a content block of type {block.get('type')!r}"
            )
    return made


def _items(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    for message in messages:
        if isinstance(message, SystemMessage):
            items.append({"role": "system", "content": _parts(message.content)})
        elif isinstance(message, HumanMessage):
            items.append({"role": "user", "content": _parts(message.content)})
        elif isinstance(message, AIMessage):
            if said := message.text:
                items.append({"role": "assistant", "content": said})
            for call in message.tool_calls:
                items.append(
                    {
                        "type": "function_call",
                        "call_id": call["id"],
                        "name": call["name"],
                        "arguments": json.dumps(call["args"]),
                    }
                )
            for bad in message.invalid_tool_calls:
                items.append(
                    {
                        "type": "function_call",
                        "call_id": bad["id"],
                        "name": bad["name"] or "",
                        "arguments": bad["args"] or "",
                    }
                )
        elif isinstance(message, ToolMessage):
            if any(isinstance(b, dict) and b.get("type") != "text" for b in message.content):
                raise ValueError("ResponsesChat sends tool results as text only")
            items.append(
                {
                    "type": "function_call_output",
                    "call_id": message.tool_call_id,
                    "output": message.text,
                }
            )
        elif isinstance(message, ChatMessage) and message.role in ("user", "system", "developer"):
            items.append({"role": message.role, "content": _parts(message.content)})
        elif isinstance(message, ChatMessage) and message.role == "assistant":
            items.append({"role": "assistant", "content": message.text})
        else:
            raise ValueError(f"ResponsesChat cannot send a {type(message).__name__}")
    return items


def _usage(usage: Any) -> UsageMetadata | None:
    if usage is None:
        return None
    made = UsageMetadata(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        total_tokens=usage.total_tokens,
    )
    if (read := getattr(usage, "input_tokens_details", None)) is not None:
        made["input_token_details"] = {"cache_read": read.cached_tokens or 0}
    if (written := getattr(usage, "output_tokens_details", None)) is not None:
        made["output_token_details"] = {"reasoning": written.reasoning_tokens or 0}
    return made


def _end(response: Any) -> dict[str, Any]:
    metadata = {"id": response.id, "model_name": response.model, "status": response.status}
    if response.incomplete_details is not None:
        metadata["incomplete_reason"] = response.incomplete_details.reason
    return {"usage_metadata": _usage(response.usage), "response_metadata": metadata}


def _key_from_env() -> SecretStr | None:
    key = os.environ.get("RESPONSES_CHAT_KEY")
    return SecretStr(key) if key else None


class ResponsesChat(BaseChatModel):
    """A chat model over `POST {api_base}/responses`."""

    api_base: str = "http://127.0.0.1:8000/v1"
    api_key: SecretStr | None = Field(default_factory=_key_from_env)
    model: str = "reasoner"
    temperature: float | None = None
    max_output_tokens: int | None = None
    reasoning_effort: str | None = None
    request_timeout: float = 120.0
    max_retries: int = 1

    @property
    def _llm_type(self) -> str:
        return "responses-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "api_base": self.api_base,
            "model": self.model,
            "temperature": self.temperature,
            "max_output_tokens": self.max_output_tokens,
            "reasoning_effort": self.reasoning_effort,
        }

    def _client_args(self) -> dict[str, Any]:
        return {
            "base_url": self.api_base,
            "api_key": self.api_key.get_secret_value() if self.api_key else "none",
            "timeout": self.request_timeout,
            "max_retries": self.max_retries,
        }

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        if stop:
            raise ValueError(
                "the Responses API has no stop sequences: ResponsesChat cannot honour stop=..."
            )
        request: dict[str, Any] = {
            "model": self.model,
            "input": _items(messages),
            "temperature": self.temperature,
            "max_output_tokens": self.max_output_tokens,
            "reasoning": {"effort": self.reasoning_effort} if self.reasoning_effort else None,
        }
        given = {k: v for k, v in kwargs.items() if k != "stream"}
        if "max_tokens" in given:
            given["max_output_tokens"] = given.pop("max_tokens")
        return {k: v for k, v in {**request, **given}.items() if v is not None}

    # ---

    def _result(self, response: Any) -> ChatResult:
        if not isinstance(response, Response):  # the package hands through what is no JSON
            raise ResponseFailed(f"the server sent no response: {str(response)[:200]!r}")
        if response.error is not None or response.status == "failed":
            raise ResponseFailed(f"the response failed: {response.error}")
        said, extra, calls, bad = [], {}, [], []
        for item in response.output:
            if item.type == "message":
                for part in item.content:
                    if part.type == "output_text":
                        said.append(part.text)
                    elif part.type == "refusal":
                        extra["refusal"] = extra.get("refusal", "") + part.refusal
            elif item.type == "function_call":
                try:
                    args = json.loads(item.arguments or "{}")
                    if not isinstance(args, dict):
                        raise ValueError("arguments are no object")
                    calls.append(tool_call(name=item.name, args=args, id=item.call_id))
                except ValueError as error:
                    bad.append(
                        invalid_tool_call(
                            name=item.name, args=item.arguments, id=item.call_id, error=str(error)
                        )
                    )
            elif item.type == "reasoning":
                thought = "\n".join(s.text for s in item.summary or [])
                if thought:
                    extra["reasoning_content"] = extra.get("reasoning_content", "") + thought
        message = AIMessage(
            content="".join(said),
            additional_kwargs=extra,
            tool_calls=calls,
            invalid_tool_calls=bad,
            **_end(response),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    @staticmethod
    def _chunk(event: Any) -> ChatGenerationChunk | None:
        message: AIMessageChunk | None = None
        if event.type == "response.output_text.delta":
            message = AIMessageChunk(content=event.delta)
        elif event.type == "response.refusal.delta":
            message = AIMessageChunk(content="", additional_kwargs={"refusal": event.delta})
        elif event.type == "response.reasoning_summary_text.delta":
            message = AIMessageChunk(
                content="", additional_kwargs={"reasoning_content": event.delta}
            )
        elif event.type == "response.output_item.added" and event.item.type == "function_call":
            item = event.item
            call = tool_call_chunk(
                name=item.name, args=item.arguments, id=item.call_id, index=event.output_index
            )
            message = AIMessageChunk(content="", tool_call_chunks=[call])
        elif event.type == "response.function_call_arguments.delta":
            call = tool_call_chunk(args=event.delta, index=event.output_index)
            message = AIMessageChunk(content="", tool_call_chunks=[call])
        elif event.type in ("response.completed", "response.incomplete"):
            message = AIMessageChunk(content="", **_end(event.response))
        elif event.type == "response.failed":
            raise ResponseFailed(f"the response failed: {event.response.error}")
        elif event.type == "error":
            raise ResponseFailed(f"the stream broke: {event.message}")
        return None if message is None else ChatGenerationChunk(message=message)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self._request(messages, stop, kwargs)
        with openai.OpenAI(**self._client_args()) as client:
            return self._result(client.responses.create(**request))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self._request(messages, stop, kwargs)
        async with openai.AsyncOpenAI(**self._client_args()) as client:
            return self._result(await client.responses.create(**request))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        request = self._request(messages, stop, kwargs)
        ended = False
        with (
            openai.OpenAI(**self._client_args()) as client,
            client.responses.create(**request, stream=True) as events,
        ):
            for event in events:
                ended = ended or event.type in ("response.completed", "response.incomplete")
                if (chunk := self._chunk(event)) is not None:
                    yield chunk
        if not ended:
            raise ResponseFailed("the stream ended before the response was complete")

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        request = self._request(messages, stop, kwargs)
        ended = False
        async with openai.AsyncOpenAI(**self._client_args()) as client:
            async with await client.responses.create(**request, stream=True) as events:
                async for event in events:
                    ended = ended or event.type in ("response.completed", "response.incomplete")
                    if (chunk := self._chunk(event)) is not None:
                        yield chunk
        if not ended:
            raise ResponseFailed("the stream ended before the response was complete")

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools, in the flat form that Responses has them."""
        made = []
        for tool in tools:
            function = convert_to_openai_tool(tool, strict=strict)["function"]
            function.setdefault("parameters", {"type": "object", "properties": {}})
            made.append({"type": "function", "strict": False, **function})
        if isinstance(tool_choice, dict):
            name = (tool_choice.get("function") or tool_choice).get("name")
            kwargs["tool_choice"] = {"type": "function", "name": name} if name else tool_choice
        elif tool_choice is True or tool_choice == "any":
            kwargs["tool_choice"] = "required"
        elif tool_choice in ("auto", "none", "required"):
            kwargs["tool_choice"] = tool_choice
        elif tool_choice:
            kwargs["tool_choice"] = {"type": "function", "name": tool_choice}
        return self.bind(tools=made, **kwargs)
