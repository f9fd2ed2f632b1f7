"""An aiohttp model made usable from sync code by `asyncio.run`.

Modelled on: async-first back ends whose `_generate` is `asyncio.run(self._agenerate(...))`, with one
`ClientSession` kept for the life of the model.

What is wrong: `invoke` inside a running loop (a notebook, a FastAPI handler, a LangGraph node that is sync)
dies with "asyncio.run() cannot be called from a running event loop". And since the session belongs to the
loop of its first call, the second `invoke` fails with "Event loop is closed".

FAULT: sync calls use asyncio.run, which fails wherever an event loop is running already.
FAULT: one aiohttp session is kept over event loops, so a call from a second loop (every further invoke) fails.
MODEL: SessionChat
KWARGS: {}
WIRE: openai
"""

import asyncio
import json
from typing import Any, AsyncIterator, Dict, List, Optional

import aiohttp
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    convert_to_openai_messages,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field, PrivateAttr, SecretStr


class SessionChat(BaseChatModel):
    base_url: str = "http://127.0.0.1:8000/v1"
    api_key: Optional[SecretStr] = Field(default=None, exclude=True)
    model: str = "session-chat"
    temperature: float = 0.2
    timeout: float = 60

    _session: Optional[aiohttp.ClientSession] = PrivateAttr(default=None)

    @property
    def _llm_type(self) -> str:
        return "session-chat"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        return {"base_url": self.base_url, "model": self.model, "temperature": self.temperature}

    def _get_session(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            headers = {}
            if self.api_key:
                headers["Authorization"] = f"Bearer {self.api_key.get_secret_value()}"
            self._session = aiohttp.ClientSession(
                headers=headers, timeout=aiohttp.ClientTimeout(total=self.timeout)
            )
        return self._session

    def _body(self, messages: List[BaseMessage], stop, kwargs) -> Dict[str, Any]:
        if kwargs.get("tools"):
            raise NotImplementedError("SessionChat has no tools")
        body = {
            "model": self.model,
            "messages": convert_to_openai_messages(messages),
            "temperature": self.temperature,
            **kwargs,
        }
        body.pop("stream", None)
        if stop:
            body["stop"] = stop
        return body

    async def _raise(self, response: aiohttp.ClientResponse) -> None:
        if response.status >= 400:
            raise RuntimeError(f"HTTP {response.status}: {(await response.text())[:300]}")

    @staticmethod
    def _usage(usage):
        if not usage:
            return None
        return {
            "input_tokens": usage["prompt_tokens"],
            "output_tokens": usage["completion_tokens"],
            "total_tokens": usage["total_tokens"],
        }

    def _generate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager=None,
        **kwargs: Any,
    ) -> ChatResult:
        return asyncio.run(self._agenerate(messages, stop=stop, **kwargs))

    async def _agenerate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager=None,
        **kwargs: Any,
    ) -> ChatResult:
        url = f"{self.base_url}/chat/completions"
        async with self._get_session().post(
            url, json=self._body(messages, stop, kwargs)
        ) as response:
            await self._raise(response)
            data = await response.json()
        choice = data["choices"][0]
        message = AIMessage(
            content=choice["message"]["content"] or "",
            usage_metadata=self._usage(data.get("usage")),
            response_metadata={
                "model_name": data["model"],
                "finish_reason": choice["finish_reason"],
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _astream(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager=None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        body = self._body(messages, stop, kwargs)
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
        url = f"{self.base_url}/chat/completions"
        finished = False
        async with self._get_session().post(url, json=body) as response:
            await self._raise(response)
            async for line in response.content:
                if not line.startswith(b"data:") or line[5:].strip() == b"[DONE]":
                    continue
                event = json.loads(line[5:])
                if event.get("error"):
                    raise RuntimeError(str(event["error"]))
                choice = (event.get("choices") or [{}])[0]
                info = None
                if choice.get("finish_reason"):
                    finished = True
                    info = {"model_name": event["model"], "finish_reason": choice["finish_reason"]}
                yield ChatGenerationChunk(
                    message=AIMessageChunk(
                        content=(choice.get("delta") or {}).get("content") or "",
                        usage_metadata=self._usage(event.get("usage")),
                    ),
                    generation_info=info,
                )
        if not finished:
            raise RuntimeError("The stream ended before the answer did")
