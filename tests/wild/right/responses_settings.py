"""OpenAI's Responses behind a gateway of a firm, with its settings in an object.

Modelled on: gateways of 2025 and 2026 that offer nothing but `/responses`, and the small classes that teams
write for them: a settings object from the environment, one POST, no stream.

Right: nothing is kept between calls (`store` is false, the whole conversation goes each time), so reasoning
items go back only where they can (encrypted); structured output goes by `text.format`; an answer that failed
raises, one that was cut short says so in `finish_reason`; the wire has no stop sequences, so the text is cut
here; answers are validated by a strict model of them; no streaming is claimed: LangChain gives the answer in
one piece. Sync and async by httpx.

MODEL: ChatGatewayResponses
KWARGS: {}
WIRE: responses
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Literal

import httpx
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError


class GatewaySettings(BaseModel):
    """How a firm's gateway is reached; from the environment where nothing is said."""

    token: SecretStr = Field(default_factory=lambda: SecretStr(os.environ.get("GATEWAY_TOKEN", "")))
    team: str | None = Field(default_factory=lambda: os.environ.get("GATEWAY_TEAM"))
    timeout: float = 90.0
    verify_tls: bool = True


class _Details(BaseModel):
    cached_tokens: int = 0
    reasoning_tokens: int = 0


class _Usage(BaseModel):
    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None


class _Answer(BaseModel):
    """The part of a Response that this model reads."""

    model_config = ConfigDict(extra="ignore")

    id: str
    model: str
    status: Literal["completed", "incomplete", "failed", "cancelled", "in_progress", "queued"]
    output: list[dict[str, Any]]
    error: dict[str, Any] | None = None
    incomplete_details: dict[str, Any] | None = None
    usage: _Usage | None = None


class GatewayError(RuntimeError):
    """The gateway did not give an answer."""


class ChatGatewayResponses(BaseChatModel):
    """The Responses API of a firm's gateway."""

    model: str = "gateway-large"
    api_base: str = "http://localhost:4000/v1"
    settings: GatewaySettings = Field(default_factory=GatewaySettings)
    temperature: float | None = None
    max_output_tokens: int | None = None
    reasoning_effort: Literal["minimal", "low", "medium", "high"] | None = None

    @property
    def _llm_type(self) -> str:
        return "gateway-responses"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "api_base": self.api_base,
            "team": self.settings.team,
            "temperature": self.temperature,
            "max_output_tokens": self.max_output_tokens,
            "reasoning_effort": self.reasoning_effort,
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "gateway"
        limit = kwargs.get("max_output_tokens", self.max_output_tokens)
        if limit is not None and "ls_max_tokens" not in params:
            params["ls_max_tokens"] = limit
        return params

    # ---- what goes out

    @staticmethod
    def _input_parts(message: BaseMessage) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = []
        for block in [message.content] if isinstance(message.content, str) else message.content:
            if isinstance(block, str):
                parts.append({"type": "input_text", "text": block})
            elif block.get("type") in ("text", "input_text"):
                parts.append({"type": "input_text", "text": block["text"]})
            elif block.get("type") == "image_url":
                url = block["image_url"]
                parts.append(
                    {
                        "type": "input_image",
                        "image_url": url["url"] if isinstance(url, dict) else url,
                    }
                )
            elif block.get("type") == "image" and block.get("url"):
                parts.append({"type": "input_image", "image_url": block["url"]})
            elif block.get("type") == "image" and (block.get("base64") or block.get("data")):
                data = block.get("base64") or block["data"]
                kind = block.get("mime_type") or "image/png"
                parts.append({"type": "input_image", "image_url": f"data:{kind};base64,{data}"})
            else:
                raise ValueError(f"The gateway takes no content of type {block.get('type')!r}.")
        return parts

    def _items(self, messages: list[BaseMessage]) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        for message in messages:
            if isinstance(message, AIMessage):
                items.extend(message.additional_kwargs.get("encrypted_reasoning") or [])
                if message.text:
                    items.append({"role": "assistant", "content": message.text})
                for call in message.tool_calls:
                    items.append(
                        {
                            "type": "function_call",
                            "call_id": call["id"],
                            "name": call["name"],
                            "arguments": json.dumps(call["args"]),
                        }
                    )
                for bad in message.invalid_tool_calls:
                    items.append(
                        {
                            "type": "function_call",
                            "call_id": bad["id"],
                            "name": bad["name"],
                            "arguments": bad["args"] or "",
                        }
                    )
            elif isinstance(message, ToolMessage):
                items.append(
                    {
                        "type": "function_call_output",
                        "call_id": message.tool_call_id,
                        "output": message.text,
                    }
                )
            elif isinstance(message, SystemMessage):
                items.append({"role": "system", "content": self._input_parts(message)})
            elif isinstance(message, HumanMessage):
                items.append({"role": "user", "content": self._input_parts(message)})
            else:
                raise ValueError(f"The gateway takes no message of type {message.type!r}.")
        return items

    def _body(self, messages: list[BaseMessage], kwargs: dict[str, Any]) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "input": self._items(messages),
            "store": False,
            "temperature": self.temperature,
            "max_output_tokens": self.max_output_tokens,
        }
        if self.reasoning_effort:
            body["reasoning"] = {"effort": self.reasoning_effort, "summary": "auto"}
            body["include"] = ["reasoning.encrypted_content"]
        kwargs = dict(kwargs)
        kwargs.pop("stream", None)
        if "max_tokens" in kwargs:
            kwargs["max_output_tokens"] = kwargs.pop("max_tokens")
        body.update(kwargs)
        return {key: value for key, value in body.items() if value is not None}

    def _how(self) -> dict[str, Any]:
        headers = {}
        if self.settings.token.get_secret_value():
            headers["Authorization"] = f"Bearer {self.settings.token.get_secret_value()}"
        if self.settings.team:
            headers["X-Team"] = self.settings.team
        return {
            "headers": headers,
            "timeout": self.settings.timeout,
            "verify": self.settings.verify_tls,
        }

    # ---- what comes in

    @staticmethod
    def _cut(text: str, stop: list[str] | None) -> tuple[str, bool]:
        ends = [text.index(word) for word in stop or [] if word and word in text]
        return (text[: min(ends)], True) if ends else (text, False)

    def _result(self, response: httpx.Response, stop: list[str] | None) -> ChatResult:
        if response.status_code >= 400:
            raise GatewayError(
                f"The gateway answered {response.status_code}: {response.text[:500]}"
            )
        try:
            answer = _Answer.model_validate_json(response.content)
        except ValidationError as error:
            raise GatewayError(f"The gateway's answer is no Response: {error}") from error
        if answer.status not in ("completed", "incomplete"):
            said = (answer.error or {}).get("message") or "it said no more"
            raise GatewayError(f"The response is {answer.status}: {said}")
        texts, thoughts, sealed, calls, bad = [], [], [], [], []
        for item in answer.output:
            kind = item.get("type")
            if kind == "message":
                for part in item.get("content") or []:
                    if part.get("type") == "output_text":
                        texts.append(part["text"])
                    elif part.get("type") == "refusal":
                        texts.append(part["refusal"])
            elif kind == "reasoning":
                thoughts.extend(part["text"] for part in item.get("summary") or [])
                if item.get("encrypted_content"):
                    sealed.append(item)
            elif kind == "function_call":
                raw = item.get("arguments") or "{}"
                try:
                    args = json.loads(raw)
                    if not isinstance(args, dict):
                        raise ValueError("the arguments are no JSON object")
                except ValueError as error:
                    bad.append(
                        invalid_tool_call(
                            name=item["name"], args=raw, id=item["call_id"], error=str(error)
                        )
                    )
                else:
                    calls.append(tool_call(name=item["name"], args=args, id=item["call_id"]))
        text, stopped = self._cut("".join(texts), stop)
        if answer.status == "incomplete":
            reason = (answer.incomplete_details or {}).get("reason") or "incomplete"
        else:
            reason = "tool_calls" if calls else "stop"
        extra: dict[str, Any] = {}
        if thoughts:
            extra["reasoning_content"] = "\n\n".join(thoughts)
        if sealed:
            extra["encrypted_reasoning"] = sealed
        usage = None
        if answer.usage:
            usage = UsageMetadata(
                input_tokens=answer.usage.input_tokens,
                output_tokens=answer.usage.output_tokens,
                total_tokens=answer.usage.total_tokens,
            )
            if answer.usage.input_tokens_details:
                usage["input_token_details"] = {
                    "cache_read": answer.usage.input_tokens_details.cached_tokens
                }
            if answer.usage.output_tokens_details:
                usage["output_token_details"] = {
                    "reasoning": answer.usage.output_tokens_details.reasoning_tokens
                }
        message = AIMessage(
            content=text,
            additional_kwargs=extra,
            tool_calls=calls,
            invalid_tool_calls=bad,
            usage_metadata=usage,
            response_metadata={
                "id": answer.id,
                "model_name": answer.model,
                "model_provider": "gateway",
                "status": answer.status,
                "finish_reason": "stop" if stopped else reason,
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with httpx.Client(**self._how()) as client:
            response = client.post(
                self.api_base.rstrip("/") + "/responses", json=self._body(messages, kwargs)
            )
        return self._result(response, stop)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        async with httpx.AsyncClient(**self._how()) as client:
            response = await client.post(
                self.api_base.rstrip("/") + "/responses", json=self._body(messages, kwargs)
            )
        return self._result(response, stop)

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        flat = []
        for tool in tools:
            if isinstance(tool, dict) and tool.get("type") not in (None, "function", "object"):
                flat.append(tool)  # one of the gateway's own, such as web_search
            else:
                flat.append(
                    {"type": "function", **convert_to_openai_tool(tool, strict=strict)["function"]}
                )
        if tool_choice == "any":
            tool_choice = "required"
        elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            tool_choice = {"type": "function", "name": tool_choice}
        elif isinstance(tool_choice, dict) and "function" in tool_choice:
            tool_choice = {"type": "function", "name": tool_choice["function"]["name"]}
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=flat, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        method: Literal["json_schema", "json_mode", "function_calling"] = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        if kwargs:
            raise ValueError(f"with_structured_output does not know {sorted(kwargs)}.")
        if method == "function_calling":
            return super().with_structured_output(schema, include_raw=include_raw)
        form: dict[str, Any]
        if (
            method == "json_mode"
        ):  # some JSON: the prompt has to say which, and the parser holds it to it
            form = {"type": "json_object"}
        elif method == "json_schema":
            described = convert_to_json_schema(schema, strict=strict)
            form = {"type": "json_schema", "name": described["title"], "schema": described}
            if strict is not None:
                form["strict"] = strict
        else:
            raise NotImplementedError(f"This model has no method {method!r}.")
        model = self.bind(
            text={"format": form},
            ls_structured_output_format={"kwargs": {"method": method}, "schema": schema},
        )
        if isinstance(schema, type) and is_basemodel_subclass(schema):
            parser: Any = PydanticOutputParser(pydantic_object=schema)
        else:
            parser = JsonOutputParser()
        if not include_raw:
            return model | parser
        parsed = RunnablePassthrough.assign(
            parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
        )
        failed = RunnablePassthrough.assign(parsed=lambda _: None)
        return RunnableMap(raw=model) | parsed.with_fallbacks(
            [failed], exception_key="parsing_error"
        )
