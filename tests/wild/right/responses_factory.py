"""A factory that makes a stateless chat model for OpenAI's Responses, by `server_url`, `token` and `model_id`.

Modelled on: platform repositories whose LLM module is `def make_llm(...)`, with parameter names of their own, over
a class that speaks Responses by the OpenAI SDK (2025: a move off chat completions), nothing kept on the server.
Right: whole answers (no token streaming: stream() gives one chunk), sync and async, function tools with their
history, usage with its details, refusals kept, failed and cut-off answers told apart. Responses has no stop
sequences, so they are refused by name, not ignored.
MODEL: make_llm
KWARGS: {}
WIRE: responses
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Literal

import openai
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
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call
from langchain_core.messages.utils import convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import SecretStr

_TLS = (
    ssl.create_default_context()
)  # made once: reading the certificates would hold up an event loop
_KINDS: tuple[tuple[type[Exception], type[ModelError]], ...] = (
    (openai.APITimeoutError, ModelTimeoutError),
    (openai.APIConnectionError, ModelConnectionError),
    (openai.AuthenticationError, ModelAuthenticationError),
    (openai.PermissionDeniedError, ModelPermissionDeniedError),
    (openai.NotFoundError, ModelNotFoundError),
    (openai.RateLimitError, ModelRateLimitError),
    (openai.InternalServerError, ModelAPIError),
    (openai.APIStatusError, ModelInvalidRequestError),
)


def _translated(error: Exception) -> ModelError:
    kind = next((ours for theirs, ours in _KINDS if isinstance(error, theirs)), ModelAPIError)
    return kind(f"Responses: {error}")


def _human(message: HumanMessage) -> str | list[dict[str, Any]]:
    content = convert_to_openai_messages([message])[0]["content"]
    if isinstance(content, str):
        return content
    parts = []
    for block in content:
        if block["type"] == "text":
            parts.append({"type": "input_text", "text": block["text"]})
        elif block["type"] == "image_url":
            parts.append(
                {"type": "input_image", "detail": "auto", "image_url": block["image_url"]["url"]}
            )
        else:
            raise ValueError(f"This model takes text and images, not {block['type']!r} blocks.")
    return parts


def _items(messages: list[BaseMessage]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    for message in messages:
        if isinstance(message, SystemMessage):
            items.append({"role": "developer", "content": message.text})
        elif isinstance(message, HumanMessage):
            items.append({"role": "user", "content": _human(message)})
        elif isinstance(message, AIMessage):
            if message.text:
                items.append({"role": "assistant", "content": message.text})
            items += [
                {
                    "type": "function_call",
                    "call_id": call["id"],
                    "name": call["name"],
                    "arguments": json.dumps(call["args"]),
                }
                for call in message.tool_calls
            ]
        elif isinstance(message, ToolMessage):
            items.append(
                {
                    "type": "function_call_output",
                    "call_id": message.tool_call_id,
                    "output": message.text,
                }
            )
        else:
            raise ValueError(f"Responses has no place for messages of type {message.type!r}.")
    return items


class StatelessResponsesChat(BaseChatModel):
    """One response a call, and nothing kept on the server."""

    model_id: str
    server_url: str
    token: SecretStr
    effort: str | None = None
    max_tokens: int | None = None
    time_limit: float = 120.0

    @property
    def _llm_type(self) -> str:
        return "stateless-responses"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        names = ("model_id", "server_url", "effort", "max_tokens", "output_version")
        return {name: getattr(self, name) for name in names}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "openai"
        params.setdefault("ls_model_name", self.model_id)
        return params

    def _params(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        if stop:
            raise NotImplementedError("Responses has no stop sequences, so `stop` can't be kept.")
        more = {
            key: value for key, value in kwargs.items() if key != "stream" and value is not None
        }
        limit = more.pop("max_tokens", self.max_tokens)
        params: dict[str, Any] = {"model": self.model_id, "input": _items(messages), "store": False}
        if limit is not None:
            params["max_output_tokens"] = limit
        if self.effort:
            params["reasoning"] = {"effort": self.effort}
        return {**params, **more}

    def _settings(self) -> dict[str, Any]:
        return {
            "base_url": self.server_url,
            "api_key": self.token.get_secret_value(),
            "timeout": self.time_limit,
            "max_retries": 0,
        }

    def _result(self, answer: Any) -> ChatResult:
        if (
            getattr(answer, "error", None) is not None
            or getattr(answer, "status", None) == "failed"
        ):
            raise ModelAPIError(
                f"The response failed: {getattr(answer.error, 'message', 'no reason given')}"
            )
        if not isinstance(getattr(answer, "output", None), list):
            raise ModelAPIError("The server's answer is no response: it has no output.")
        text, refusal, calls, invalid = "", "", [], []
        for item in answer.output:
            if item.type == "message":
                text += "".join(part.text for part in item.content if part.type == "output_text")
                refusal += "".join(part.refusal for part in item.content if part.type == "refusal")
            elif item.type == "function_call":
                try:
                    args = json.loads(item.arguments or "{}")
                    if not isinstance(args, dict):
                        raise ValueError("the arguments are no object")
                    calls.append(tool_call(name=item.name, args=args, id=item.call_id))
                except ValueError as error:
                    invalid.append(
                        invalid_tool_call(
                            name=item.name, args=item.arguments, id=item.call_id, error=str(error)
                        )
                    )
        usage = None
        if raw := answer.usage:
            usage = UsageMetadata(
                input_tokens=raw.input_tokens,
                output_tokens=raw.output_tokens,
                total_tokens=raw.total_tokens,
            )
            if raw.input_tokens_details:
                usage["input_token_details"] = {
                    "cache_read": raw.input_tokens_details.cached_tokens or 0
                }
            if raw.output_tokens_details:
                usage["output_token_details"] = {
                    "reasoning": raw.output_tokens_details.reasoning_tokens or 0
                }
        metadata = {"model_name": answer.model, "id": answer.id, "status": answer.status}
        if answer.incomplete_details is not None:
            metadata["incomplete_reason"] = answer.incomplete_details.reason
        message = AIMessage(
            content=text,
            additional_kwargs={"refusal": refusal} if refusal else {},
            tool_calls=calls,
            invalid_tool_calls=invalid,
            usage_metadata=usage,
            response_metadata=metadata,
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        params = self._params(messages, stop, kwargs)
        try:
            with openai.OpenAI(
                http_client=openai.DefaultHttpxClient(verify=_TLS), **self._settings()
            ) as client:
                return self._result(client.responses.create(**params))
        except (openai.APIError, json.JSONDecodeError) as error:
            raise _translated(error) from error

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        params = self._params(messages, stop, kwargs)
        http_client = openai.DefaultAsyncHttpxClient(verify=_TLS)
        try:
            async with openai.AsyncOpenAI(http_client=http_client, **self._settings()) as client:
                return self._result(await client.responses.create(**params))
        except (openai.APIError, json.JSONDecodeError) as error:
            raise _translated(error) from error

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | bool | None = None,
        **kwargs: Any,
    ) -> Any:
        formatted = []
        for one in tools:
            tool = convert_to_openai_tool(one)
            formatted.append(
                {"type": "function", **tool["function"]} if tool.get("function") else tool
            )
        if tool_choice is True or tool_choice == "any":
            kwargs["tool_choice"] = "required"
        elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            if tool_choice not in [one.get("name") for one in formatted]:
                raise ValueError(f"tool_choice {tool_choice!r} names none of the tools.")
            kwargs["tool_choice"] = {"type": "function", "name": tool_choice}
        elif isinstance(tool_choice, dict) and "function" in tool_choice:
            kwargs["tool_choice"] = {"type": "function", "name": tool_choice["function"]["name"]}
        elif tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=formatted, **kwargs)


def make_llm(
    server_url: str = "http://localhost:4000/v1",
    token: str = "none",
    model_id: str = "gpt-5-mini",
    effort: Literal["minimal", "low", "medium", "high"] | None = None,
    **more: Any,
) -> StatelessResponsesChat:
    """A chat model that speaks Responses with the server at `server_url`."""
    return StatelessResponsesChat(
        server_url=server_url, token=SecretStr(token), model_id=model_id, effort=effort, **more
    )
