"""A company's LLM gateway that speaks OpenAI's chat completions, over plain httpx.

Modelled on: the "internal gateway" chat models in company repositories, which write the HTTP by hand so as
not to depend on a vendor's SDK, and which name their fields as their platform team does (`endpoint`,
`token`, `model_id`).

What is right: one body for all four ways of asking; both clients are made per call, so there is nothing to
share between event loops or to break a pickle; tool calls, parallel ones too, whole and in pieces; usage
while streaming; stop sequences sent on; HTTP errors become LangChain's `ModelError`s without the token; a
stream that ends before it is finished is an error; the cache key has everything but the token.

MODEL: GatewayChat
KWARGS: {}
WIRE: openai
"""

import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import httpx
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    convert_to_openai_messages,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.output_parsers.openai_tools import make_invalid_tool_call, parse_tool_call
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, SecretStr

_BY_STATUS: dict[int, type[ModelError]] = {
    400: ModelInvalidRequestError,
    401: ModelAuthenticationError,
    403: ModelPermissionDeniedError,
    404: ModelNotFoundError,
    408: ModelTimeoutError,
    422: ModelInvalidRequestError,
    429: ModelRateLimitError,
}


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Made once: to read the certificates for each client would hold up the event loop."""
    return httpx.create_ssl_context()


def _complain(status: int, body: str) -> ModelError:
    kind = _BY_STATUS.get(status) or (ModelAPIError if status >= 500 else ModelError)
    return kind(f"The gateway answered {status}: {body[:500]}")


def _usage(raw: dict[str, Any] | None) -> UsageMetadata | None:
    if not raw:
        return None
    read, written = raw.get("prompt_tokens") or 0, raw.get("completion_tokens") or 0
    return UsageMetadata(
        input_tokens=read,
        output_tokens=written,
        total_tokens=raw.get("total_tokens") or read + written,
    )


def _to_wire(message: BaseMessage) -> dict[str, Any]:
    """One message as OpenAI has it; of what an assistant said, its text and its calls (broken ones too)."""
    if not isinstance(message, AIMessage):
        return convert_to_openai_messages(message)
    calls = [(call["id"], call["name"], json.dumps(call["args"])) for call in message.tool_calls]
    calls += [(call["id"], call["name"], call["args"] or "") for call in message.invalid_tool_calls]
    wire: dict[str, Any] = {"role": "assistant", "content": str(message.text)}
    if calls:
        wire["tool_calls"] = [
            {"id": mark, "type": "function", "function": {"name": name, "arguments": arguments}}
            for mark, name, arguments in calls
        ]
    return wire


class GatewayChat(BaseChatModel):
    """Chat with a model behind the gateway."""

    endpoint: str = "http://127.0.0.1:8000/v1"
    token: SecretStr | None = Field(default=None, exclude=True)
    model_id: str = "gateway-large"
    temperature: float | None = None
    max_tokens: int | None = None
    timeout: float = 60.0

    @property
    def _llm_type(self) -> str:
        return "gateway-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "endpoint": self.endpoint,
            "model_id": self.model_id,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "gateway"
        params["ls_model_name"] = kwargs.get("model") or self.model_id
        return params

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable | BaseTool],
        *,
        tool_choice: dict | str | bool | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        specs = [convert_to_openai_tool(tool, strict=strict) for tool in tools]
        if tool_choice:
            names = [spec["function"]["name"] for spec in specs]
            if tool_choice is True or tool_choice == "any":
                tool_choice = "required"
            elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
                if tool_choice not in names:
                    raise ValueError(f"tool_choice {tool_choice!r} is none of the tools {names}")
                tool_choice = {"type": "function", "function": {"name": tool_choice}}
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=specs, **kwargs)

    # the request

    def _body(
        self, messages: list[BaseMessage], stop: list[str] | None, **kwargs: Any
    ) -> dict[str, Any]:
        kwargs.pop("stream", None)
        body: dict[str, Any] = {
            "model": self.model_id,
            "messages": [_to_wire(message) for message in messages],
        }
        if self.temperature is not None:
            body["temperature"] = self.temperature
        if self.max_tokens is not None:
            body["max_tokens"] = self.max_tokens
        if stop:
            body["stop"] = stop
        body.update(
            {key: value for key, value in kwargs.items() if value is not None and value != []}
        )
        return body

    def _request(
        self, client: httpx.Client | httpx.AsyncClient, body: dict[str, Any]
    ) -> httpx.Request:
        headers = {}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token.get_secret_value()}"
        return client.build_request(
            "POST", self.endpoint.rstrip("/") + "/chat/completions", json=body, headers=headers
        )

    # the answer

    def _result(self, response: httpx.Response) -> ChatResult:
        if response.is_error:
            raise _complain(response.status_code, response.text)
        try:
            data = response.json()
            choice = data["choices"][0]
            said = choice["message"]
        except (ValueError, LookupError, TypeError) as error:
            raise ModelAPIError(
                f"The gateway sent no chat completion: {response.text[:300]!r}"
            ) from error
        calls, broken = [], []
        for raw in said.get("tool_calls") or []:
            try:
                calls.append(parse_tool_call(raw, return_id=True))
            except Exception as error:  # noqa: BLE001
                broken.append(make_invalid_tool_call(raw, str(error)))
        message = AIMessage(
            content=said.get("content") or "",
            tool_calls=calls,
            invalid_tool_calls=broken,
            usage_metadata=_usage(data.get("usage")),
            response_metadata={
                "model_name": data.get("model") or self.model_id,
                "finish_reason": choice.get("finish_reason"),
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _piece(self, line: bytes, state: dict[str, bool]) -> ChatGenerationChunk | None:
        # lines come as bytes: httpx's iter_lines would cut at U+2028 inside a JSON string, too
        if not line.startswith(b"data:"):
            return None
        payload = line[5:].strip().decode()
        if payload == "[DONE]":
            state["done"] = True
            return None
        try:
            event = json.loads(payload)
        except ValueError as error:
            raise ModelAPIError(
                f"The gateway sent an event that is not JSON: {payload[:200]!r}"
            ) from error
        if event.get("error"):
            raise ModelAPIError(f"The gateway broke off: {json.dumps(event['error'])[:500]}")
        usage = _usage(event.get("usage"))
        choices = event.get("choices") or []
        if not choices:
            if usage is None:
                return None
            return ChatGenerationChunk(message=AIMessageChunk(content="", usage_metadata=usage))
        delta = choices[0].get("delta") or {}
        pieces = [
            tool_call_chunk(
                name=(raw.get("function") or {}).get("name"),
                args=(raw.get("function") or {}).get("arguments"),
                id=raw.get("id"),
                index=raw.get("index"),
            )
            for raw in delta.get("tool_calls") or []
        ]
        metadata = {}
        if choices[0].get("finish_reason"):
            state["done"] = True
            metadata = {
                "finish_reason": choices[0]["finish_reason"],
                "model_name": event.get("model") or self.model_id,
            }
        return ChatGenerationChunk(
            message=AIMessageChunk(
                content=delta.get("content") or "",
                tool_call_chunks=pieces,
                usage_metadata=usage,
                response_metadata=metadata,
            ),
            generation_info=metadata or None,
        )

    def _translate(self, error: httpx.HTTPError) -> ModelError:
        if isinstance(error, httpx.TimeoutException):
            return ModelTimeoutError(f"The gateway took longer than {self.timeout} s")
        return ModelConnectionError(f"The gateway at {self.endpoint} failed: {error}")

    # the four ways

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        try:
            with httpx.Client(timeout=self.timeout, verify=_tls()) as client:
                response = client.send(self._request(client, self._body(messages, stop, **kwargs)))
        except httpx.HTTPError as error:
            raise self._translate(error) from error
        return self._result(response)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        try:
            async with httpx.AsyncClient(timeout=self.timeout, verify=_tls()) as client:
                response = await client.send(
                    self._request(client, self._body(messages, stop, **kwargs))
                )
        except httpx.HTTPError as error:
            raise self._translate(error) from error
        return self._result(response)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        body = self._body(messages, stop, **kwargs)
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        state = {"done": False}
        with httpx.Client(timeout=self.timeout, verify=_tls()) as client:
            try:
                response = client.send(self._request(client, body), stream=True)
                try:
                    if response.is_error:
                        raise _complain(
                            response.status_code, response.read().decode("utf-8", "replace")
                        )
                    rest = b""
                    for some in response.iter_bytes():
                        *lines, rest = (rest + some).split(b"\n")
                        for line in lines:
                            if (chunk := self._piece(line, state)) is not None:
                                yield chunk
                    if (chunk := self._piece(rest, state)) is not None:
                        yield chunk
                finally:
                    response.close()
            except httpx.HTTPError as error:
                raise self._translate(error) from error
        if not state["done"]:
            raise ModelAPIError("The gateway's stream ended before the answer did")

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        body = self._body(messages, stop, **kwargs)
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        state = {"done": False}
        async with httpx.AsyncClient(timeout=self.timeout, verify=_tls()) as client:
            try:
                response = await client.send(self._request(client, body), stream=True)
                try:
                    if response.is_error:
                        raise _complain(
                            response.status_code,
                            (await response.aread()).decode("utf-8", "replace"),
                        )
                    rest = b""
                    async for some in response.aiter_bytes():
                        *lines, rest = (rest + some).split(b"\n")
                        for line in lines:
                            if (chunk := self._piece(line, state)) is not None:
                                yield chunk
                    if (chunk := self._piece(rest, state)) is not None:
                        yield chunk
                finally:
                    await response.aclose()
            except httpx.HTTPError as error:
                raise self._translate(error) from error
        if not state["done"]:
            raise ModelAPIError("The gateway's stream ended before the answer did")
