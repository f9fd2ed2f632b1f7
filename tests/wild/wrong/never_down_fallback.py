"""Chat model which should "never be down": a main address, stand-by addresses and a friendly word when all fail.

Modelled on: in-house models with contingency text ("sorry, there was an instability") found in public-service chat bots.
What is wrong: (1) when every address fails - also for 400 or 401 - the apology comes back as a normal answer instead of an
exception: with_retry, with_fallbacks, tracing and evaluations all see success, users read an apology as the model's answer.
(2) if a stream breaks after some tokens, the next address starts its answer from the beginning in the same stream, so the user
sees half an answer followed by a whole one; after the first token it should raise.
FAULT: errors (500, 401, 400) come back as an apology message instead of being raised; after a stream breaks off midway the next address (or the apology) is appended to what was already shown
MODEL: NeverDownChat
KWARGS: {"base_url": "http://127.0.0.1:8000/v1", "spare_urls": [], "api_key": "k", "model": "house-1"}
WIRE: openai
"""

from __future__ import annotations

import json
import logging
import ssl
from typing import Any, AsyncIterator, Iterator, List, Optional

import httpx
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    convert_to_openai_messages,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field, SecretStr

log = logging.getLogger(__name__)
_TLS = ssl.create_default_context()
SORRY = "Sorry, the assistant had a small hiccup. Please try again in a moment."


class NeverDownChat(BaseChatModel):
    base_url: str
    spare_urls: List[str] = Field(default_factory=list)
    api_key: SecretStr
    model: str
    temperature: Optional[float] = None
    timeout: float = 30.0

    @property
    def _llm_type(self) -> str:
        return "never-down"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "base_url": self.base_url,
            "spare_urls": self.spare_urls,
            "model": self.model,
            "temperature": self.temperature,
        }

    def _addresses(self) -> List[str]:
        return [u.rstrip("/") + "/chat/completions" for u in [self.base_url, *self.spare_urls]]

    def _http(self) -> dict[str, Any]:
        return {
            "timeout": self.timeout,
            "verify": _TLS,
            "headers": {"Authorization": f"Bearer {self.api_key.get_secret_value()}"},
        }

    def _body(
        self, messages: List[BaseMessage], stop: Optional[List[str]], kwargs: dict, **more: Any
    ) -> dict[str, Any]:
        body = {
            "model": self.model,
            "temperature": self.temperature,
            "stop": stop or None,
            **kwargs,
            **more,
            "messages": convert_to_openai_messages(messages),
        }
        return {k: v for k, v in body.items() if v is not None}

    @staticmethod
    def _usage(raw: Optional[dict]) -> Optional[dict]:
        if not raw:
            return None
        return {
            "input_tokens": raw["prompt_tokens"],
            "output_tokens": raw["completion_tokens"],
            "total_tokens": raw["prompt_tokens"] + raw["completion_tokens"],
        }

    def _result(self, data: dict) -> ChatResult:
        choice = data["choices"][0]
        return ChatResult(
            generations=[
                ChatGeneration(
                    message=AIMessage(
                        content=choice["message"].get("content") or "",
                        usage_metadata=self._usage(data.get("usage")),
                        response_metadata={
                            "model_name": data.get("model"),
                            "finish_reason": choice.get("finish_reason"),
                        },
                    )
                )
            ]
        )

    @staticmethod
    def _sorry() -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=SORRY))])

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        body = self._body(messages, stop, kwargs)
        with httpx.Client(**self._http()) as http:
            for address in self._addresses():
                try:
                    response = http.post(address, json=body)
                    response.raise_for_status()
                    return self._result(response.json())
                except Exception as exc:
                    log.warning("%s failed: %s", address, exc)
        return self._sorry()

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        body = self._body(messages, stop, kwargs)
        async with httpx.AsyncClient(**self._http()) as http:
            for address in self._addresses():
                try:
                    response = await http.post(address, json=body)
                    response.raise_for_status()
                    return self._result(response.json())
                except Exception as exc:
                    log.warning("%s failed: %s", address, exc)
        return self._sorry()

    def _read(self, line: bytes, seen: dict) -> Optional[ChatGenerationChunk]:
        if not line.startswith(b"data:") or line[5:].strip() == b"[DONE]":
            return None
        event = json.loads(line[5:])
        if event.get("error"):
            raise RuntimeError(str(event["error"]))
        seen["usage"] = event.get("usage") or seen.get("usage")
        if not event.get("choices"):
            return None
        choice = event["choices"][0]
        seen["finish"] = choice.get("finish_reason") or seen.get("finish")
        text = (choice.get("delta") or {}).get("content")
        return ChatGenerationChunk(message=AIMessageChunk(content=text)) if text else None

    def _final(self, seen: dict) -> ChatGenerationChunk:
        if not seen.get("finish"):
            raise RuntimeError("the stream ended before the answer did")
        return ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                usage_metadata=self._usage(seen.get("usage")),
                response_metadata={"finish_reason": seen["finish"], "model_name": self.model},
            )
        )

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> Iterator[ChatGenerationChunk]:
        body = self._body(
            messages, stop, kwargs, stream=True, stream_options={"include_usage": True}
        )
        with httpx.Client(**self._http()) as http:
            for address in self._addresses():
                seen, rest = {}, b""
                try:
                    with http.stream("POST", address, json=body) as response:
                        response.raise_for_status()
                        for block in response.iter_bytes():
                            *lines, rest = (rest + block).split(b"\n")
                            for line in lines:
                                if chunk := self._read(line, seen):
                                    if run_manager:
                                        run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                                    yield chunk
                    yield self._final(seen)
                    return
                except Exception as exc:
                    log.warning("%s failed: %s", address, exc)
        yield ChatGenerationChunk(message=AIMessageChunk(content=SORRY))

    async def _astream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> AsyncIterator[ChatGenerationChunk]:
        body = self._body(
            messages, stop, kwargs, stream=True, stream_options={"include_usage": True}
        )
        async with httpx.AsyncClient(**self._http()) as http:
            for address in self._addresses():
                seen, rest = {}, b""
                try:
                    async with http.stream("POST", address, json=body) as response:
                        response.raise_for_status()
                        async for block in response.aiter_bytes():
                            *lines, rest = (rest + block).split(b"\n")
                            for line in lines:
                                if chunk := self._read(line, seen):
                                    if run_manager:
                                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                                    yield chunk
                    yield self._final(seen)
                    return
                except Exception as exc:
                    log.warning("%s failed: %s", address, exc)
        yield ChatGenerationChunk(message=AIMessageChunk(content=SORRY))
