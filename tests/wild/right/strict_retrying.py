"""Modelled on: enterprise repositories with a hand-written, cautious client: every answer is validated against
pydantic models before anything is done with it, and transient failures are retried by the model itself.

Right: sync and native async, no streaming (the base class's one-chunk stream is honest); retries only for connection
failures, 429 and 5xx, with a backoff that sleeps in the caller's own world (time.sleep or asyncio.sleep), and the last
error raised; a body that is no chat completion is an error. Arguments it does not know are refused by name.

MODEL: StrictCompletionsChat
KWARGS: {}
WIRE: openai
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import httpx
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, convert_to_openai_messages
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, Field, SecretStr, ValidationError


class _Function(BaseModel):
    name: str
    arguments: str


class _Call(BaseModel):
    id: str
    type: Literal["function"] = "function"
    function: _Function


class _Message(BaseModel):
    role: Literal["assistant"]
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None


class _Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class _Completion(BaseModel):
    id: str
    model: str
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None


class CompletionFailed(Exception):
    """The service answered with a status of failure."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(
            f"{response.request.url} answered {response.status_code}: {response.text[:300]}"
        )
        self.response = response
        self.status_code = response.status_code


class NotACompletion(Exception):
    """The service answered with something that is no chat completion."""


NOT_SENT = {"tool_call", "invalid_tool_call", "tool_use", "reasoning", "thinking"}


def _sendable(message: BaseMessage) -> BaseMessage:
    """Leave out what chat completions have no content part for; calls are sent from `tool_calls`."""
    if not isinstance(message, AIMessage) or isinstance(message.content, str):
        return message
    kept = [
        block
        for block in message.content
        if isinstance(block, str) or block.get("type") not in NOT_SENT
    ]
    return message.model_copy(update={"content": kept})


KNOWN = {
    "tools", "tool_choice", "parallel_tool_calls", "response_format", "temperature", "top_p", "max_tokens", "seed",
    "presence_penalty", "frequency_penalty", "logit_bias", "user", "model",
}  # fmt: skip


class StrictCompletionsChat(BaseChatModel):
    """Chat completions at `api_url`, strictly."""

    api_url: str = "http://127.0.0.1:8000/v1"
    api_token: SecretStr | None = None
    model: str = "strict-model"
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, gt=0)
    stop: list[str] | None = None
    attempts: int = Field(default=3, ge=1)
    backoff: float = 0.1
    timeout: float = 60.0

    @property
    def _llm_type(self) -> str:
        return "strict-completions"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "api_url": self.api_url,
            "model": self.model,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "default_stop": self.stop,
        }

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        given = {k: v for k, v in kwargs.items() if k != "stream"}
        if unknown := given.keys() - KNOWN:
            raise TypeError(f"StrictCompletionsChat does not take {', '.join(sorted(unknown))}")
        body = {
            "model": self.model,
            "messages": convert_to_openai_messages(
                [_sendable(m) for m in messages], pass_through_unknown_blocks=False
            ),
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "stop": self.stop if stop is None else stop,
            **given,
        }
        headers = {}
        if self.api_token is not None:
            headers["Authorization"] = f"Bearer {self.api_token.get_secret_value()}"
        return {
            "url": self.api_url.rstrip("/") + "/chat/completions",
            "json": {k: v for k, v in body.items() if v is not None and v != []},
            "headers": headers,
        }

    # --- retries

    def _delay(self, attempt: int, response: httpx.Response | None) -> float:
        """How long to wait after failed attempt number `attempt` (from 0)."""
        asked = response.headers.get("retry-after", "") if response is not None else ""
        return min(float(asked), 30.0) if asked.isdigit() else self.backoff * 2**attempt

    @staticmethod
    def _transient(response: httpx.Response) -> bool:
        return response.status_code == 429 or response.status_code >= 500

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self._request(messages, stop, kwargs)
        with httpx.Client(timeout=self.timeout) as client:
            for attempt in range(self.attempts):
                last = attempt == self.attempts - 1
                try:
                    response = client.post(**request)
                except httpx.ConnectError:
                    if last:
                        raise
                    time.sleep(self._delay(attempt, None))
                    continue
                if last or not self._transient(response):
                    break
                time.sleep(self._delay(attempt, response))
        return self._result(response)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self._request(messages, stop, kwargs)
        async with httpx.AsyncClient(timeout=self.timeout) as client:
            for attempt in range(self.attempts):
                last = attempt == self.attempts - 1
                try:
                    response = await client.post(**request)
                except httpx.ConnectError:
                    if last:
                        raise
                    await asyncio.sleep(self._delay(attempt, None))
                    continue
                if last or not self._transient(response):
                    break
                await asyncio.sleep(self._delay(attempt, response))
        return self._result(response)

    # --- the answer

    @staticmethod
    def _result(response: httpx.Response) -> ChatResult:
        if response.is_error:
            raise CompletionFailed(response)
        try:
            answer = _Completion.model_validate_json(response.content)
        except ValidationError as error:
            raise NotACompletion(f"{error}; the body begins {response.text[:200]!r}") from error
        choice = answer.choices[0]
        calls, bad = [], []
        for call in choice.message.tool_calls or []:
            try:
                args = json.loads(call.function.arguments or "{}")
                if not isinstance(args, dict):
                    raise ValueError("the arguments are no object")
                calls.append(tool_call(name=call.function.name, args=args, id=call.id))
            except ValueError as error:
                bad.append(
                    invalid_tool_call(
                        name=call.function.name,
                        args=call.function.arguments,
                        id=call.id,
                        error=str(error),
                    )
                )
        usage = answer.usage
        message = AIMessage(
            content=choice.message.content or "",
            additional_kwargs={"refusal": choice.message.refusal} if choice.message.refusal else {},
            tool_calls=calls,
            invalid_tool_calls=bad,
            usage_metadata=usage
            and UsageMetadata(
                input_tokens=usage.prompt_tokens,
                output_tokens=usage.completion_tokens,
                total_tokens=usage.total_tokens,
            ),
            response_metadata={"model_name": answer.model, "finish_reason": choice.finish_reason},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        made = [convert_to_openai_tool(tool, strict=strict) for tool in tools]
        if tool_choice in (True, "any"):
            tool_choice = "required"
        if isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            tool_choice = {"type": "function", "function": {"name": tool_choice}}
        if tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=made, **kwargs)
