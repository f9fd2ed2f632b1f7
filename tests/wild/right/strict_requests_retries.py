"""A sync model over `requests` that validates what it gets, with a settings object and retries of its own.

Modelled on: data teams' batch repositories (text classification over an OpenAI-compatible inference service):
pydantic models for the answer, `model_id` and `service_url`, a loop that waits after 429 and 5xx.
Right: retries only what may succeed, a bounded number of times, honours Retry-After, and raises the last error as
a ModelError; an answer that is not what it has to be raises. No native async (LangChain's threads serve it), no
token streaming, no images (refused by name).
MODEL: ChatQuarry
KWARGS: {}
WIRE: openai
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import requests
from langchain_core.callbacks import CallbackManagerForLLMRun
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
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call
from langchain_core.messages.utils import convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

_STATUS: dict[int, type[ModelError]] = {
    401: ModelAuthenticationError,
    403: ModelPermissionDeniedError,
    404: ModelNotFoundError,
    408: ModelTimeoutError,
    429: ModelRateLimitError,
}


class _Function(BaseModel):
    name: str
    arguments: str | None = None


class _Call(BaseModel):
    id: str
    function: _Function


class _Message(BaseModel):
    content: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class _Answer(BaseModel):
    model: str | None = None
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None


class QuarrySettings(BaseModel):
    """How the service samples."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None


class ChatQuarry(BaseChatModel):
    """A model of the inference service."""

    model_id: str = "quarry-12b"
    service_url: str = "http://localhost:8500/v1"
    token: SecretStr | None = None
    settings: QuarrySettings = QuarrySettings()
    retries: int = Field(default=2, ge=0)
    longest_wait: float = 8.0
    timeout: float = 60.0

    @property
    def _llm_type(self) -> str:
        return "quarry"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model_id": self.model_id,
            "service_url": self.service_url,
            "output_version": self.output_version,
            **self.settings.model_dump(),
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params.setdefault("ls_model_name", self.model_id)
        if self.settings.temperature is not None:
            params.setdefault("ls_temperature", self.settings.temperature)
        if self.settings.max_tokens is not None:
            params.setdefault("ls_max_tokens", self.settings.max_tokens)
        return params

    def _body(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self.model_id, **self.settings.model_dump(), **kwargs}
        body.pop("stream", None)
        body = {key: value for key, value in body.items() if value is not None}
        wire = convert_to_openai_messages(messages)
        for one in wire:
            content = one.get("content")
            if not isinstance(content, list):
                continue
            other = {b["type"] for b in content if isinstance(b, dict)} - {
                "text",
                "reasoning",
                "tool_call",
            }
            if other:
                raise ValueError(f"ChatQuarry reads text alone, not {sorted(other)} blocks.")
            one["content"] = "".join(
                b if isinstance(b, str) else b.get("text", "") for b in content
            )
        body["messages"] = wire
        if stop:
            body["stop"] = stop
        return body

    def _once(self, body: dict[str, Any]) -> tuple[requests.Response | None, ModelError | None]:
        headers = {"Authorization": f"Bearer {self.token.get_secret_value()}"} if self.token else {}
        try:
            response = requests.post(
                self.service_url.rstrip("/") + "/chat/completions",
                json=body,
                headers=headers,
                timeout=self.timeout,
            )
        except requests.Timeout:
            return None, ModelTimeoutError(f"The service did not answer in {self.timeout} s.")
        except requests.RequestException as error:
            return None, ModelConnectionError(f"The service can't be reached: {error}")
        if response.ok:
            return response, None
        said = response.text[:500]
        if self.token:
            said = said.replace(self.token.get_secret_value(), "***")
        kind = _STATUS.get(
            response.status_code,
            ModelAPIError if response.status_code >= 500 else ModelInvalidRequestError,
        )
        return response, kind(f"The service answered {response.status_code}: {said}")

    def _post(self, body: dict[str, Any]) -> requests.Response:
        for turn in range(self.retries + 1):
            response, error = self._once(body)
            if error is None and response is not None:
                return response
            if error is None or not error.is_retryable or turn == self.retries:
                break
            asked = response.headers.get("Retry-After", "") if response is not None else ""
            time.sleep(min(float(asked) if asked.isdigit() else 0.25 * 2**turn, self.longest_wait))
        raise error or ModelAPIError("The service gave nothing.")

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        response = self._post(self._body(messages, stop, kwargs))
        try:
            answer = _Answer.model_validate_json(response.content)
        except ValidationError as error:
            raise ModelAPIError(
                f"The service's answer is not what it has to be: {error}"
            ) from error
        choice = answer.choices[0]
        calls, invalid = [], []
        for one in choice.message.tool_calls or []:
            text = one.function.arguments or "{}"
            try:
                args = json.loads(text)
                if not isinstance(args, dict):
                    raise ValueError("the arguments are no object")
                calls.append(tool_call(name=one.function.name, args=args, id=one.id))
            except ValueError as error:
                invalid.append(
                    invalid_tool_call(
                        name=one.function.name, args=text, id=one.id, error=str(error)
                    )
                )
        usage = None
        if answer.usage:
            usage = UsageMetadata(
                input_tokens=answer.usage.prompt_tokens,
                output_tokens=answer.usage.completion_tokens,
                total_tokens=answer.usage.total_tokens,
            )
        message = AIMessage(
            content=choice.message.content or "",
            tool_calls=calls,
            invalid_tool_calls=invalid,
            usage_metadata=usage,
            response_metadata={
                "model_name": answer.model or self.model_id,
                "finish_reason": choice.finish_reason,
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | bool | None = None,
        **kwargs: Any,
    ) -> Any:
        formatted = [convert_to_openai_tool(one) for one in tools]
        if tool_choice is True or tool_choice == "any":
            kwargs["tool_choice"] = "required"
        elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            if tool_choice not in [
                one["function"]["name"] for one in formatted if "function" in one
            ]:
                raise ValueError(f"tool_choice {tool_choice!r} names none of the tools.")
            kwargs["tool_choice"] = {"type": "function", "function": {"name": tool_choice}}
        elif tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=formatted, **kwargs)
