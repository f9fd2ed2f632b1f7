"""Ollama's own chat over httpx, with answers held to a schema.

Modelled on: desktop assistants and RAG demos that talk to `/api/chat` themselves, with pydantic classes for
what the server may send (a strict client), because Ollama's Python package drops parts of nested tool
schemas.

What is right: newline-delimited JSON is cut from bytes; tool calls get an id of their own, since Ollama has
none; tool results name their tool; options go to `options`; Ollama cannot be made to call a tool, so a
forced `tool_choice` is refused, and structured output goes by `format` and not by a tool; images are sent as
base64 or refused; usage comes from the last line; a stream without `done` is an error.

MODEL: OllamaDesk
KWARGS: {}
WIRE: ollama
"""

import json
import ssl
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

import httpx
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
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, ValidationError


class _Function(BaseModel):
    name: str
    arguments: dict[str, Any]


class _Call(BaseModel):
    function: _Function


class _Said(BaseModel):
    role: str
    content: str | None = ""
    thinking: str | None = None
    tool_calls: list[_Call] | None = None


class _Line(BaseModel):
    """One line of the answer, or all of it."""

    model: str
    message: _Said
    done: bool
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None


class OllamaDeskError(RuntimeError):
    """Ollama refused, broke off or sent what is not in its API."""


_SILENT = ("tool_use", "tool_call", "thinking", "redacted_thinking", "reasoning")
_OPTIONS = {
    "num_ctx",
    "num_predict",
    "seed",
    "temperature",
    "top_k",
    "top_p",
    "repeat_penalty",
    "mirostat",
}


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Made once: to read the certificates for each client would hold up the event loop."""
    return httpx.create_ssl_context()


class OllamaDesk(BaseChatModel):
    """Chat with a local Ollama."""

    host: str = "http://127.0.0.1:11434"
    model: str = "llama3.2"
    temperature: float | None = None
    num_ctx: int | None = None
    num_predict: int | None = None
    seed: int | None = None
    keep_alive: str | int | None = None
    request_timeout: float = 120.0

    @property
    def _llm_type(self) -> str:
        return "ollama-desk"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        names = ("host", "model", "temperature", "num_ctx", "num_predict", "seed")
        return {name: getattr(self, name) for name in names}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "ollama"
        if limit := kwargs.get("max_tokens") or self.num_predict:
            params["ls_max_tokens"] = limit
        return params

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable | BaseTool],
        *,
        tool_choice: dict | str | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        if tool_choice == "none":
            return self.bind(**kwargs)
        if tool_choice not in (None, False, "auto"):
            raise NotImplementedError(
                f"Ollama cannot be made to call a tool (tool_choice={tool_choice!r})"
            )
        if tools:
            kwargs["tools"] = [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(**kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        method: str = "json_schema",
        include_raw: bool = False,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        if method != "json_schema":
            raise NotImplementedError(f"OllamaDesk has the method json_schema only, not {method!r}")
        kwargs.pop("strict", None)  # a grammar is always strict
        if kwargs:
            raise ValueError(f"Received unsupported arguments {kwargs}")
        form = convert_to_json_schema(schema)
        llm = self.bind(
            format=form,
            ls_structured_output_format={"kwargs": {"method": method}, "schema": form},
        )
        parser: Any
        if isinstance(schema, type) and is_basemodel_subclass(schema):
            parser = PydanticOutputParser(pydantic_object=schema)
        else:
            parser = JsonOutputParser()
        if not include_raw:
            return llm | parser
        parsed = RunnablePassthrough.assign(
            parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
        )
        failed = RunnablePassthrough.assign(parsed=lambda _: None)
        return RunnableMap(raw=llm) | parsed.with_fallbacks([failed], exception_key="parsing_error")

    # to Ollama

    @staticmethod
    def _content(message: BaseMessage) -> dict[str, Any]:
        if isinstance(message.content, str):
            return {"content": message.content}
        words, images = [], []
        for block in message.content:
            kind = "text" if isinstance(block, str) else block.get("type")
            if kind == "text":
                words.append(block if isinstance(block, str) else block["text"])
            elif kind == "image" and block.get("base64"):
                images.append(block["base64"])
            elif kind == "image_url":
                url = block["image_url"]
                url = url["url"] if isinstance(url, dict) else url
                if not url.startswith("data:"):
                    raise ValueError("Ollama loads no images from addresses; send them as base64")
                images.append(url.partition(",")[2])
            elif kind in _SILENT and message.type == "ai":
                continue  # calls are sent from tool_calls; thoughts are not read again
            else:
                raise ValueError(f"Ollama takes no content of type {kind!r}")
        wire: dict[str, Any] = {"content": "".join(words)}
        if images:
            wire["images"] = images
        return wire

    def _messages(self, messages: list[BaseMessage]) -> list[dict[str, Any]]:
        names = {
            call["id"]: call["name"]
            for message in messages
            if isinstance(message, AIMessage)
            for call in message.tool_calls
        }
        wire = []
        for message in messages:
            entry: dict[str, Any]
            if isinstance(message, SystemMessage):
                entry = {"role": "system"}
            elif isinstance(message, HumanMessage):
                entry = {"role": "user"}
            elif isinstance(message, AIMessage):
                entry = {"role": "assistant"}
                if message.tool_calls:
                    entry["tool_calls"] = [
                        {
                            "type": "function",
                            "function": {"name": call["name"], "arguments": call["args"]},
                        }
                        for call in message.tool_calls
                    ]
            elif isinstance(message, ToolMessage):
                entry = {"role": "tool"}
                if name := names.get(message.tool_call_id) or message.name:
                    entry["tool_name"] = name
            else:
                raise ValueError(f"Ollama has no role for messages of type {message.type!r}")
            wire.append(entry | self._content(message))
        return wire

    def _payload(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        kwargs: dict[str, Any],
        stream: bool,
    ) -> dict[str, Any]:
        kwargs = {key: value for key, value in kwargs.items() if value is not None}
        kwargs.pop("stream", None)
        options = {
            name: getattr(self, name) for name in ("temperature", "num_ctx", "num_predict", "seed")
        }
        if "max_tokens" in kwargs:
            options["num_predict"] = kwargs.pop("max_tokens")
        options |= kwargs.pop("options", {})
        options |= {name: kwargs.pop(name) for name in list(kwargs) if name in _OPTIONS}
        if stop:
            options["stop"] = stop
        payload: dict[str, Any] = {
            "model": kwargs.pop("model", self.model),
            "messages": self._messages(messages),
            "stream": stream,
            "options": {name: value for name, value in options.items() if value is not None},
        }
        if self.keep_alive is not None:
            payload["keep_alive"] = self.keep_alive
        for name in ("tools", "format", "think", "keep_alive"):
            if name in kwargs:
                payload[name] = kwargs.pop(name)
        if kwargs:
            raise TypeError(f"Ollama takes no {', '.join(sorted(kwargs))}")
        return payload

    # from Ollama

    @staticmethod
    def _check(response: httpx.Response) -> None:
        if response.is_error:
            raise OllamaDeskError(f"Ollama answered {response.status_code}: {response.text[:400]}")

    @staticmethod
    def _line(raw: bytes | str) -> _Line:
        try:
            data = json.loads(raw)
        except ValueError as error:
            raise OllamaDeskError(f"Ollama sent what is not JSON: {raw[:200]!r}") from error
        if isinstance(data, dict) and "error" in data:
            raise OllamaDeskError(f"Ollama broke off: {data['error']}")
        try:
            return _Line.model_validate(data)
        except ValidationError as error:
            raise OllamaDeskError(f"Ollama sent what is not in its API: {error}") from error

    @staticmethod
    def _usage(line: _Line) -> UsageMetadata | None:
        if not line.done or line.eval_count is None:
            return None
        read = line.prompt_eval_count or 0  # absent where all of the prompt was cached
        return UsageMetadata(
            input_tokens=read, output_tokens=line.eval_count, total_tokens=read + line.eval_count
        )

    def _result(self, response: httpx.Response) -> ChatResult:
        self._check(response)
        line = self._line(response.content)
        message = AIMessage(
            content=line.message.content or "",
            additional_kwargs={"reasoning_content": line.message.thinking}
            if line.message.thinking
            else {},
            tool_calls=[
                {
                    "name": call.function.name,
                    "args": call.function.arguments,
                    "id": str(uuid.uuid4()),
                    "type": "tool_call",
                }
                for call in line.message.tool_calls or []
            ],
            usage_metadata=self._usage(line),
            response_metadata={"model_name": line.model, "done_reason": line.done_reason},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _chunk(self, line: _Line, calls: int) -> ChatGenerationChunk:
        said = line.message
        return ChatGenerationChunk(
            message=AIMessageChunk(
                content=said.content or "",
                additional_kwargs={"reasoning_content": said.thinking} if said.thinking else {},
                tool_call_chunks=[
                    {
                        "name": call.function.name,
                        "args": json.dumps(call.function.arguments),
                        "id": str(uuid.uuid4()),
                        "index": calls + at,
                        "type": "tool_call_chunk",
                    }
                    for at, call in enumerate(said.tool_calls or [])
                ],
                usage_metadata=self._usage(line),
            ),
            generation_info={"model_name": line.model, "done_reason": line.done_reason}
            if line.done
            else None,
        )

    def _failure(self, error: httpx.HTTPError) -> OllamaDeskError:
        return OllamaDeskError(
            f"No answer from Ollama at {self.host}: {type(error).__name__} {error}"
        )

    @property
    def _url(self) -> str:
        return self.host.rstrip("/") + "/api/chat"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        payload = self._payload(messages, stop, kwargs, stream=False)
        try:
            response = httpx.post(self._url, json=payload, timeout=self.request_timeout)
        except httpx.HTTPError as error:
            raise self._failure(error) from error
        return self._result(response)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        payload = self._payload(messages, stop, kwargs, stream=False)
        try:
            async with httpx.AsyncClient(timeout=self.request_timeout, verify=_tls()) as client:
                response = await client.post(self._url, json=payload)
        except httpx.HTTPError as error:
            raise self._failure(error) from error
        return self._result(response)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        payload = self._payload(messages, stop, kwargs, stream=True)
        done, calls, rest = False, 0, b""
        try:
            with httpx.stream(
                "POST", self._url, json=payload, timeout=self.request_timeout
            ) as response:
                if response.is_error:
                    response.read()
                self._check(response)
                for some in response.iter_bytes():
                    *raws, rest = (rest + some).split(b"\n")
                    for raw in raws:
                        if raw.strip():
                            line = self._line(raw)
                            yield self._chunk(line, calls)
                            calls += len(line.message.tool_calls or [])
                            done = done or line.done
                if rest.strip():
                    line = self._line(rest)
                    yield self._chunk(line, calls)
                    done = done or line.done
        except httpx.HTTPError as error:
            raise self._failure(error) from error
        if not done:
            raise OllamaDeskError("Ollama's stream ended before the answer did")

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        payload = self._payload(messages, stop, kwargs, stream=True)
        done, calls, rest = False, 0, b""
        try:
            async with (
                httpx.AsyncClient(timeout=self.request_timeout, verify=_tls()) as client,
                client.stream("POST", self._url, json=payload) as response,
            ):
                if response.is_error:
                    await response.aread()
                self._check(response)
                async for some in response.aiter_bytes():
                    *raws, rest = (rest + some).split(b"\n")
                    for raw in raws:
                        if raw.strip():
                            line = self._line(raw)
                            yield self._chunk(line, calls)
                            calls += len(line.message.tool_calls or [])
                            done = done or line.done
                if rest.strip():
                    line = self._line(rest)
                    yield self._chunk(line, calls)
                    done = done or line.done
        except httpx.HTTPError as error:
            raise self._failure(error) from error
        if not done:
            raise OllamaDeskError("Ollama's stream ended before the answer did")
