"""A guard round a chat model that agents walk round.

Modelled on: private repositories with wrappers (masking of personal data, logging, budgets) that override
`_generate` and hand `bind_tools` and the rest to the inner model, so that "everything still works".

Wrong: `bind_tools` gives the inner model's binding, and so the guard is not there when an agent, or structured
output, asks: the e-mail addresses that it should mask go out. The user feels it in an audit. And what the caller
says in a plain call does not reach the inner model: a stop sequence is overrun, bound options have no effect,
and while it streams the whole answer comes at once.

FAULT: bind_tools (and so with_structured_output) returns the inner model bound, so the wrapper's masking does not happen for agents.
FAULT: stop and every keyword argument (temperature, max_tokens, ...) are dropped on the way to the inner model.
MODEL: masked_chat
KWARGS: {}
WIRE: openai
"""

from __future__ import annotations

import re
from typing import Any, Sequence

from httpx2 import Limits
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_openai import ChatOpenAI
from openai import DefaultAsyncHttpxClient
from pydantic import SecretStr

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+")


class MaskedChat(BaseChatModel):
    inner: BaseChatModel

    @property
    def _llm_type(self) -> str:
        return "masked-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"inner": self.inner._llm_type, **self.inner._identifying_params}

    def _get_ls_params(self, stop=None, **kwargs: Any):
        return self.inner._get_ls_params(stop=stop, **kwargs)

    def _mask(self, messages: list[BaseMessage]) -> list[BaseMessage]:
        return [
            m.model_copy(update={"content": _EMAIL.sub("[email]", m.content)})
            if isinstance(m.content, str)
            else m
            for m in messages
        ]

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        message = self.inner.invoke(self._mask(messages), config={"callbacks": []})
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        message = await self.inner.ainvoke(self._mask(messages), config={"callbacks": []})
        return ChatResult(generations=[ChatGeneration(message=message)])

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any):
        return self.inner.bind_tools(tools, **kwargs)


def masked_chat(
    base_url: str = "http://localhost:8000/v1",
    model: str = "house-model",
    api_key: str = "none",
    timeout: float = 60,
) -> MaskedChat:
    inner = ChatOpenAI(
        model=model,
        base_url=base_url,
        api_key=SecretStr(api_key),
        timeout=timeout,
        stream_usage=True,
        # no connection is kept, so that several event loops may use the model
        http_async_client=DefaultAsyncHttpxClient(limits=Limits(max_keepalive_connections=0)),
    )
    return MaskedChat(inner=inner)
