"""An async-only chat model for an in-house engine with a JSON of its own, by aiohttp.

Modelled on: services that are asyncio throughout (FastAPI backends) and whose LLM client has no sync side.
The engine takes {"engine", "dialogue": [{"role", "content"}], "settings": {"heat", "limit", "halt"}, "stream"}
and answers {"output", "ended", "meters": {"read", "written"}}, or lines of JSON with {"piece"} and a last line.
Right: native async and streaming, usage once, errors raised (also those inside the stream), per-call settings.
What is missing is refused by name: sync calls, tools, structured output, images.
MODEL: ChatFoundry
KWARGS: {}
WIRE: own
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelRateLimitError,
    ModelTimeoutError,
)
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import SecretStr

_ROLES = ((SystemMessage, "instruction"), (HumanMessage, "person"), (AIMessage, "engine"))
_STATUS = {
    401: ModelAuthenticationError,
    403: ModelAuthenticationError,
    404: ModelNotFoundError,
    429: ModelRateLimitError,
}


class ChatFoundry(BaseChatModel):
    """The Foundry engine, for asyncio."""

    engine: str = "foundry-7"
    endpoint: str = "http://localhost:7070"
    token: SecretStr | None = None
    heat: float | None = None
    limit: int | None = None
    time_limit: float = 60.0

    @property
    def _llm_type(self) -> str:
        return "foundry"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        names = ("engine", "endpoint", "heat", "limit", "output_version")
        return {name: getattr(self, name) for name in names}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = LangSmithParams(
            ls_provider="foundry",
            ls_model_type="chat",
            ls_model_name=kwargs.get("model") or self.engine,
        )
        heat, limit = kwargs.get("temperature", self.heat), kwargs.get("max_tokens", self.limit)
        if heat is not None:
            params["ls_temperature"] = heat
        if limit is not None:
            params["ls_max_tokens"] = limit
        if stop:
            params["ls_stop"] = stop
        return params

    def _body(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        stream: bool,
        kwargs: dict[str, Any],
    ) -> dict[str, Any]:
        more = {
            key: value for key, value in kwargs.items() if key != "stream" and value is not None
        }
        dialogue = []
        for message in messages:
            role = next((name for kind, name in _ROLES if isinstance(message, kind)), None)
            if role is None or getattr(message, "tool_calls", None):
                raise NotImplementedError(
                    "The Foundry engine knows no tools, so no calls and results of tools."
                )
            for block in message.content if isinstance(message.content, list) else []:
                if isinstance(block, dict) and block.get("type") not in ("text", "reasoning"):
                    raise ValueError(
                        f"The Foundry engine reads text alone, not {block.get('type')!r} blocks."
                    )
            dialogue.append({"role": role, "content": message.text})
        settings = {
            "heat": more.pop("temperature", self.heat),
            "limit": more.pop("max_tokens", self.limit),
            "halt": stop or None,
        }
        engine = more.pop("model", self.engine)
        if more:
            raise NotImplementedError(f"The Foundry engine does not know {sorted(more)}.")
        return {
            "engine": engine,
            "dialogue": dialogue,
            "settings": {key: value for key, value in settings.items() if value is not None},
            "stream": stream,
        }

    def _session(self) -> aiohttp.ClientSession:
        headers = {"X-Foundry-Token": self.token.get_secret_value()} if self.token else {}
        limits = aiohttp.ClientTimeout(total=self.time_limit)
        return aiohttp.ClientSession(
            headers=headers, timeout=limits, read_bufsize=2**20
        )  # for long lines

    async def _raise_for(self, response: aiohttp.ClientResponse) -> None:
        if response.status < 400:
            return
        said = (await response.text())[:500]
        if self.token:
            said = said.replace(self.token.get_secret_value(), "***")
        kind = _STATUS.get(
            response.status, ModelAPIError if response.status >= 500 else ModelInvalidRequestError
        )
        raise kind(f"The Foundry engine answered {response.status}: {said}")

    @staticmethod
    def _usage(data: dict[str, Any]) -> UsageMetadata | None:
        meters = data.get("meters")
        if not meters:
            return None
        read, written = meters["read"], meters["written"]
        return UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise NotImplementedError("ChatFoundry is async only: use ainvoke, astream or abatch.")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        body = self._body(messages, stop, False, kwargs)
        try:
            async with (
                self._session() as session,
                session.post(f"{self.endpoint}/answer", json=body) as response,
            ):
                await self._raise_for(response)
                data = await response.json(content_type=None)
        except asyncio.TimeoutError as error:
            raise ModelTimeoutError("The Foundry engine did not answer in time.") from error
        except aiohttp.ClientError as error:
            raise ModelConnectionError(f"The Foundry engine can't be reached: {error}") from error
        except json.JSONDecodeError as error:
            raise ModelAPIError(f"The Foundry engine answered no JSON: {error}") from error
        if not isinstance(data, dict) or not isinstance(data.get("output"), str):
            problem = data.get("problem") if isinstance(data, dict) else None
            raise ModelAPIError(
                f"The Foundry engine gave no output: {problem or 'its answer has none'}"
            )
        message = AIMessage(
            content=data["output"],
            usage_metadata=self._usage(data),
            response_metadata={
                "model_name": data.get("engine") or body["engine"],
                "finish_reason": data.get("ended"),
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        body = self._body(messages, stop, True, kwargs)
        ended = False
        try:
            async with (
                self._session() as session,
                session.post(f"{self.endpoint}/answer", json=body) as response,
            ):
                await self._raise_for(response)
                async for line in response.content:
                    if not line.strip():
                        continue
                    data = json.loads(line)
                    if "problem" in data:
                        raise ModelAPIError(f"The Foundry engine stopped: {data['problem']}")
                    chunk = AIMessageChunk(content=data.get("piece", ""))
                    if "ended" in data:
                        ended = True
                        chunk.usage_metadata = self._usage(data)
                        chunk.response_metadata = {
                            "model_name": data.get("engine") or body["engine"],
                            "finish_reason": data["ended"],
                        }
                    yield ChatGenerationChunk(message=chunk)
        except asyncio.TimeoutError as error:
            raise ModelTimeoutError("The Foundry engine's stream took too long.") from error
        except aiohttp.ClientError as error:
            raise ModelConnectionError(f"The Foundry engine's stream broke off: {error}") from error
        except json.JSONDecodeError as error:
            raise ModelAPIError(
                f"The Foundry engine sent a line that is no JSON: {error}"
            ) from error
        if not ended:
            raise ModelConnectionError("The Foundry engine's stream broke off before its end.")
