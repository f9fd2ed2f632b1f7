"""Delegating wrapper: adds the house rules to the system prompt and hides e-mail addresses from the provider.

Modelled on: company wrappers around a ready-made chat model (guard rails, PII masks) that are chat models themselves.
What is right: the caller's messages are never changed; everything else (stop, tools, usage, callbacks, errors) is the
inner model's, passed through exactly once - the inner model's own run hooks are not started a second time; inner models
are made when first needed, async ones live inside one call so that any event loop may use them; key stays secret.
MODEL: DiscreetChat
KWARGS: {"inner_url": "http://127.0.0.1:8000/v1", "inner_key": "k", "inner_model": "house-1"}
WIRE: openai
"""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI
from pydantic import PrivateAttr, SecretStr

_TRUST = ssl.create_default_context()
_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]*\w")


class _Inner:
    """Holds the sync model; an empty one is what copies and pickles get."""

    def __init__(self) -> None:
        self.model: ChatOpenAI | None = None

    def __reduce__(self):
        return (_Inner, ())

    def __deepcopy__(self, memo: Any) -> "_Inner":
        return _Inner()


class DiscreetChat(BaseChatModel):
    inner_url: str
    inner_key: SecretStr
    inner_model: str = "house-1"
    temperature: float | None = None
    house_rules: str = "Answer politely."
    mask: str = "[address]"
    _inner: _Inner = PrivateAttr(default_factory=_Inner)

    @property
    def _llm_type(self) -> str:
        return "discreet-delegate"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return self.model_dump(
            include={"inner_url", "inner_model", "temperature", "house_rules", "mask"}
        )

    def _get_ls_params(self, stop=None, **kwargs):
        return {
            **super()._get_ls_params(stop=stop, **kwargs),
            "ls_model_name": kwargs.get("model", self.inner_model),
        }

    # ---- preparing ------------------------------------------------------------------------------
    def _masked(self, content: Any) -> Any:
        if isinstance(content, str):
            return _ADDRESS.sub(self.mask, content)
        return [
            self._masked(b)
            if isinstance(b, str)
            else {**b, "text": self._masked(b["text"])}
            if b.get("type") == "text"
            else b
            for b in content
        ]

    def _prepared(self, messages: list[BaseMessage]) -> list[BaseMessage]:
        out = [
            m.model_copy(update={"content": self._masked(m.content)})
            if isinstance(m, HumanMessage)
            else m
            for m in messages
        ]
        if not self.house_rules:
            return out
        if out and isinstance(out[0], SystemMessage) and isinstance(out[0].content, str):
            return [
                out[0].model_copy(update={"content": f"{self.house_rules}\n\n{out[0].content}"}),
                *out[1:],
            ]
        return [SystemMessage(self.house_rules), *out]

    # ---- inner models ---------------------------------------------------------------------------
    def _args(self) -> dict[str, Any]:
        args = dict(
            base_url=self.inner_url,
            api_key=self.inner_key,
            model=self.inner_model,
            stream_usage=True,
            max_retries=1,
            cache=False,
            use_responses_api=False,
        )
        if self.temperature is not None:
            args["temperature"] = self.temperature
        return args

    def _sync(self) -> ChatOpenAI:
        if self._inner.model is None:
            self._inner.model = ChatOpenAI(
                http_client=httpx.Client(verify=_TRUST, timeout=60), **self._args()
            )
        return self._inner.model

    @asynccontextmanager
    async def _async(self):
        async with httpx.AsyncClient(verify=_TRUST, timeout=60) as http:
            with httpx.Client(verify=_TRUST) as unused:
                yield ChatOpenAI(http_async_client=http, http_client=unused, **self._args())

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        bound = self._sync().bind_tools(tools, tool_choice=tool_choice, **kwargs)
        return self.bind(**bound.kwargs)

    def get_num_tokens(self, text: str) -> int:
        return max(1, len(text.encode()) // 4) if text else 0

    # ---- delegating -----------------------------------------------------------------------------
    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        return self._sync()._generate(
            self._prepared(messages), stop=stop, run_manager=run_manager, **kwargs
        )

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        async with self._async() as inner:
            return await inner._agenerate(
                self._prepared(messages), stop=stop, run_manager=run_manager, **kwargs
            )

    @staticmethod
    def _ended(chunk: ChatGenerationChunk) -> bool:
        return bool(
            (chunk.generation_info or {}).get("finish_reason")
            or chunk.message.response_metadata.get("finish_reason")
        )

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> Iterator[ChatGenerationChunk]:
        ended = False
        for chunk in self._sync()._stream(
            self._prepared(messages), stop=stop, run_manager=run_manager, **kwargs
        ):
            ended = ended or self._ended(chunk)
            yield chunk
        if not ended:
            raise RuntimeError("the inner model's stream broke off before the answer was complete")

    async def _astream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> AsyncIterator[ChatGenerationChunk]:
        ended = False
        async with self._async() as inner:
            async for chunk in inner._astream(
                self._prepared(messages), stop=stop, run_manager=run_manager, **kwargs
            ):
                ended = ended or self._ended(chunk)
                yield chunk
        if not ended:
            raise RuntimeError("the inner model's stream broke off before the answer was complete")
