"""A hospital's answering service with a server-sent-event protocol of its own.

Modelled on: chat models for company assistants whose API has "events" (`answer.delta`, `answer.end`,
`problem`) instead of OpenAI's chunks, and takes a question, a history and instructions apart.

What is right: async is native (a client per call), sync too; both read the same parser; the service always
streams, so the whole answer is put together from the stream; a `problem` event and a stream without
`answer.end` are errors; messages are split into instructions, history and question without touching them;
events are cut from bytes; text only, and what is not text is refused; stop sequences and limits go where
the service has them, and parameters that it has not are refused by name.

MODEL: WardAssistant
KWARGS: {}
WIRE: own
"""

import json
import ssl
from collections.abc import AsyncIterator, Iterator
from functools import lru_cache
from typing import Any

import httpx
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import agenerate_from_stream, generate_from_stream
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
)
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import Field, SecretStr

THOUGHTS = ("thinking", "redacted_thinking", "reasoning")


class WardProblem(RuntimeError):
    """The service said that it has a problem, or was not there."""


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Made once: to read the certificates for each client would hold up the event loop."""
    return httpx.create_ssl_context()


class _Events:
    """Cuts bytes into events: feed it, and get the chunks that are whole."""

    def __init__(self, engine: str) -> None:
        self.rest = b""
        self.name = ""
        self.ended = False
        self.engine = engine

    def feed(self, some: bytes) -> Iterator[ChatGenerationChunk]:
        *lines, self.rest = (self.rest + some).split(b"\n")
        for line in lines:
            line = line.rstrip(b"\r")
            if line.startswith(b"event:"):
                self.name = line[6:].strip().decode()
            elif line.startswith(b"data:"):
                try:
                    data = json.loads(line[5:])
                except ValueError as error:
                    raise WardProblem(f"An event is not JSON: {line[:200]!r}") from error
                if (chunk := self._chunk(data)) is not None:
                    yield chunk

    def _chunk(self, data: dict[str, Any]) -> ChatGenerationChunk | None:
        if self.name == "problem":
            raise WardProblem(f"The service has a problem: {data.get('reason', data)}")
        if self.name == "answer.delta":
            return ChatGenerationChunk(message=AIMessageChunk(content=data["text"]))
        if self.name == "answer.end":
            self.ended = True
            usage = None
            if tally := data.get("tally"):
                usage = {
                    "input_tokens": tally["in"],
                    "output_tokens": tally["out"],
                    "total_tokens": tally["in"] + tally["out"],
                }
            info = {"finish_reason": data.get("why"), "model_name": data.get("engine", self.engine)}
            return ChatGenerationChunk(
                message=AIMessageChunk(content="", usage_metadata=usage), generation_info=info
            )
        return None  # heartbeats, and what the service may add

    def close(self) -> Iterator[ChatGenerationChunk]:
        yield from self.feed(b"\n")
        if not self.ended:
            raise WardProblem("The answer was cut off")


class WardAssistant(BaseChatModel):
    """The answering service as a chat model."""

    service_url: str = "http://127.0.0.1:9000"
    access_token: SecretStr | None = Field(default=None, exclude=True)
    engine: str = "ward-2"
    creativity: float = 0.3
    answer_limit: int | None = None
    patience: float = 60.0

    @property
    def _llm_type(self) -> str:
        return "ward-assistant"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "service_url": self.service_url,
            "engine": self.engine,
            "creativity": self.creativity,
            "answer_limit": self.answer_limit,
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "ward"
        params["ls_model_name"] = kwargs.get("model") or self.engine
        temperature = kwargs.get("temperature")
        params["ls_temperature"] = self.creativity if temperature is None else temperature
        if (limit := kwargs.get("max_tokens") or self.answer_limit) is not None:
            params["ls_max_tokens"] = limit
        return params

    @staticmethod
    def _text(message: BaseMessage) -> str:
        if isinstance(message.content, str):
            return message.content
        words = ""
        for block in message.content:
            if isinstance(block, str):
                words += block
            elif block.get("type") == "text":
                words += block["text"]
            elif message.type != "ai" or block.get("type") not in THOUGHTS:
                raise ValueError(f"The service takes text only, not {block.get('type')!r}")
        return words

    def _body(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict
    ) -> dict[str, Any]:
        kwargs = {name: value for name, value in kwargs.items() if value is not None}
        kwargs.pop("stream", None)
        body: dict[str, Any] = {
            "engine": kwargs.pop("model", self.engine),
            "creativity": kwargs.pop("temperature", self.creativity),
            "limit": kwargs.pop("max_tokens", self.answer_limit),
            "end_at": stop or [],
        }
        if kwargs:
            raise NotImplementedError(f"The service has no {', '.join(sorted(kwargs))}")
        instructions, turns = [], []
        for message in messages:
            if isinstance(message, SystemMessage):
                instructions.append(self._text(message))
            elif isinstance(message, HumanMessage):
                turns.append({"by": "asker", "text": self._text(message)})
            elif isinstance(message, AIMessage) and not message.tool_calls:
                turns.append({"by": "assistant", "text": self._text(message)})
            else:
                raise ValueError("The service has no tools, and so no calls and results")
        if not turns or turns[-1]["by"] != "asker":
            raise ValueError("The service answers questions: the last message has to be a person's")
        body["instructions"] = "\n".join(instructions)
        body["history"] = turns[:-1]
        body["question"] = turns[-1]["text"]
        return body

    def _request(self, body: dict[str, Any]) -> dict[str, Any]:
        token = self.access_token
        return {
            "method": "POST",
            "url": self.service_url.rstrip("/") + "/answers",
            "json": body,
            "headers": {"X-Access-Token": token.get_secret_value()} if token else {},
        }

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        body = self._body(messages, stop, kwargs)
        events = _Events(body["engine"])
        try:
            with (
                httpx.Client(timeout=self.patience, verify=_tls()) as client,
                client.stream(**self._request(body)) as response,
            ):
                if response.is_error:
                    text = response.read()[:300].decode("utf-8", "replace")
                    raise WardProblem(f"The service answered {response.status_code}: {text}")
                for some in response.iter_bytes():
                    yield from events.feed(some)
        except httpx.HTTPError as error:
            raise WardProblem(f"{self.service_url} failed: {error!r}") from error
        yield from events.close()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        body = self._body(messages, stop, kwargs)
        events = _Events(body["engine"])
        try:
            async with (
                httpx.AsyncClient(timeout=self.patience, verify=_tls()) as client,
                client.stream(**self._request(body)) as response,
            ):
                if response.is_error:
                    text = (await response.aread())[:300].decode("utf-8", "replace")
                    raise WardProblem(f"The service answered {response.status_code}: {text}")
                async for some in response.aiter_bytes():
                    for chunk in events.feed(some):
                        yield chunk
        except httpx.HTTPError as error:
            raise WardProblem(f"{self.service_url} failed: {error!r}") from error
        for chunk in events.close():
            yield chunk

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop=stop, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages, stop=stop, **kwargs))
