"""A chat model around another one, which masks e-mail addresses and card numbers before they leave the house.

Modelled on: compliance repositories with a "guarded" or "redacting" wrapper class around any chat model; the inner
model here is a stand-in in this process (a small streaming function), as such repositories have it for their tests.
Right: it delegates all four ways of asking, its tools, tracing parameters and cache identity to the inner model,
changes nothing but the text of what it sends on (copies, not the caller's messages), and adds no run of its own.
MODEL: guarded_model
KWARGS: {}
WIRE: none
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel, generate_from_stream
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.tools import BaseTool

_MASKS = (
    ("[e-mail]", r"[\w.+-]+@[\w-]+\.[\w.-]*\w"),
    ("[card]", r"\b(?:\d[ -]?){15}\d\b"),
)


class StandInChat(BaseChatModel):
    """Says again what it was told, word by word; stands for a real model."""

    greeting: str = "I read: "

    @property
    def _llm_type(self) -> str:
        return "stand-in"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"greeting": self.greeting, "output_version": self.output_version}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop=stop, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        if kwargs.get("tools"):
            raise NotImplementedError("StandInChat calls no tools.")
        for message in messages:
            for block in message.content if isinstance(message.content, list) else []:
                if isinstance(block, dict) and block.get("type") not in ("text", "reasoning"):
                    raise ValueError(
                        f"StandInChat reads text alone, not {block.get('type')!r} blocks."
                    )
        answer = self.greeting + (messages[-1].text if messages else "")
        reason = "end"
        cuts = [answer.index(one) for one in stop or [] if one and one in answer]
        if cuts:
            answer, reason = answer[: min(cuts)], "stop"
        words = re.findall(r"\S+\s*|\s+", answer)
        for word in words:
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))
        read = sum(len(message.text.split()) for message in messages)
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                usage_metadata=UsageMetadata(
                    input_tokens=read, output_tokens=len(words), total_tokens=read + len(words)
                ),
                response_metadata={"model_name": "stand-in", "finish_reason": reason},
            )
        )


class MaskingChat(BaseChatModel):
    """`inner`, which gets to see nothing that `masks` cover."""

    inner: BaseChatModel
    masks: tuple[tuple[str, str], ...] = _MASKS

    @property
    def _llm_type(self) -> str:
        return f"masking-{self.inner._llm_type}"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "inner": self.inner.asdict(),
            "masks": self.masks,
            "output_version": self.output_version,
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return self.inner._get_ls_params(stop=stop, **kwargs)

    def _mask(self, text: str) -> str:
        for name, pattern in self.masks:
            text = re.sub(pattern, name, text)
        return text

    def _masked(self, messages: list[BaseMessage]) -> list[BaseMessage]:
        masked = []
        for message in messages:
            if isinstance(message.content, str):
                content: Any = self._mask(message.content)
            else:
                content = [
                    self._mask(block)
                    if isinstance(block, str)
                    else {**block, "text": self._mask(block["text"])}
                    if isinstance(block.get("text"), str)
                    else block
                    for block in message.content
                ]
            update: dict[str, Any] = {"content": content}
            if calls := getattr(message, "tool_calls", None):
                update["tool_calls"] = [
                    {**call, "args": self._mask_values(call["args"])} for call in calls
                ]
            masked.append(message.model_copy(update=update))
        return masked

    def _mask_values(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._mask(value)
        if isinstance(value, dict):
            return {key: self._mask_values(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self._mask_values(one) for one in value]
        return value

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self.inner._generate(
            self._masked(messages), stop=stop, run_manager=run_manager, **kwargs
        )

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await self.inner._agenerate(
            self._masked(messages), stop=stop, run_manager=run_manager, **kwargs
        )

    def _should_stream(self, *, async_api: bool, run_manager: Any = None, **kwargs: Any) -> bool:
        # An inner model that can't stream makes this one a model that can't.
        return super()._should_stream(
            async_api=async_api, run_manager=run_manager, **kwargs
        ) and self.inner._should_stream(async_api=async_api, **{**kwargs, "stream": True})

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        yield from self.inner._stream(
            self._masked(messages), stop=stop, run_manager=run_manager, **kwargs
        )

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        chunks = self.inner._astream(
            self._masked(messages), stop=stop, run_manager=run_manager, **kwargs
        )
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            await chunks.aclose()

    def bind_tools(
        self, tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool], **kwargs: Any
    ) -> Any:
        bound: Any = self.inner.bind_tools(
            tools, **kwargs
        )  # the inner model says how its tools are written
        return self.bind(**bound.kwargs)


guarded_model = MaskingChat(inner=StandInChat())
