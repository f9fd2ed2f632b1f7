"""Tools for an LLM that has none: taught in the system prompt, read out of the answer; urllib alone.

Modelled on: small repositories that put a prompt template before a local OpenAI-compatible server whose model
knows no function calling (llama.cpp, LM Studio), with the standard library as their only client.
Right: calls are written `<tool name="x">{...}</tool>` and results `<result name="x">...</result>`, in history too;
broken arguments become invalid_tool_calls; structured output by a taught schema, with include_raw. Sync; async
comes by LangChain's threads, and there is no token streaming, since a call can't be told from text before its
end. A forced tool call can't be promised, so it is refused by name.
MODEL: TaughtToolsChat
KWARGS: {}
WIRE: openai
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelRateLimitError,
    ModelTimeoutError,
)
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableMap, RunnablePassthrough
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from pydantic import BaseModel

_CALL = re.compile(r"<tool name=\"([^\"]+)\">(.*?)</tool>", re.DOTALL)
_LESSON = """You can use these tools:
{tools}
To use one, write <tool name="NAME">ARGUMENTS</tool>, with ARGUMENTS as one JSON object, and then stop. \
You will be given its result as <result name="NAME">...</result>. Use no tool where none is needed."""
_SCHEMA_LESSON = (
    "Answer with nothing but one JSON object that conforms to this JSON schema:\n{schema}"
)
_STATUS = {401: ModelAuthenticationError, 404: ModelNotFoundError, 429: ModelRateLimitError}


class TaughtToolsChat(BaseChatModel):
    """A text-only server, with tools by prompt."""

    model: str = "local-8b"
    base_url: str = "http://localhost:1234/v1"
    temperature: float | None = None
    max_tokens: int | None = None
    timeout: float = 120.0

    @property
    def _llm_type(self) -> str:
        return "taught-tools"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        names = ("model", "base_url", "temperature", "max_tokens", "output_version")
        return {name: getattr(self, name) for name in names}

    def _text(self, message: BaseMessage) -> str:
        for block in message.content if isinstance(message.content, list) else []:
            if isinstance(block, dict) and block.get("type") not in (
                "text",
                "reasoning",
                "tool_call",
            ):
                raise ValueError(
                    f"TaughtToolsChat reads text alone, not {block.get('type')!r} blocks."
                )
        return message.text

    def _wire(self, messages: list[BaseMessage], lesson: str) -> list[dict[str, str]]:
        system = [lesson] if lesson else []
        turns: list[dict[str, str]] = []
        names = {
            call["id"]: call["name"]
            for m in messages
            if isinstance(m, AIMessage)
            for call in m.tool_calls
        }
        for message in messages:
            text = self._text(message)
            if isinstance(message, SystemMessage):
                system.insert(len(system) - bool(lesson), text)
                continue
            if isinstance(message, HumanMessage):
                role = "user"
            elif isinstance(message, AIMessage):
                role = "assistant"
                calls = [
                    f'<tool name="{call["name"]}">{json.dumps(call["args"], ensure_ascii=False)}</tool>'
                    for call in message.tool_calls
                ]
                text = "\n".join(part for part in (text, *calls) if part)
            elif isinstance(message, ToolMessage):
                role = "user"
                name = names.get(message.tool_call_id) or message.name or "tool"
                text = f'<result name="{name}">{text}</result>'
            else:
                raise ValueError(
                    f"TaughtToolsChat does not know messages of type {message.type!r}."
                )
            if turns and turns[-1]["role"] == role:
                turns[-1]["content"] += "\n" + text  # local templates want the roles to alternate
            else:
                turns.append({"role": role, "content": text})
        if system:
            turns.insert(0, {"role": "system", "content": "\n\n".join(system)})
        return turns

    def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(
            self.base_url.rstrip("/") + "/chat/completions",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as response:
                data = json.load(response)
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")[:500]
            kind = _STATUS.get(
                error.code, ModelAPIError if error.code >= 500 else ModelInvalidRequestError
            )
            raise kind(f"The server answered {error.code}: {said}") from None
        except TimeoutError as error:
            raise ModelTimeoutError("The server did not answer in time.") from error
        except (OSError, urllib.error.URLError) as error:
            if isinstance(getattr(error, "reason", None), TimeoutError):
                raise ModelTimeoutError("The server did not answer in time.") from error
            raise ModelConnectionError(f"The server can't be reached: {error}") from error
        except ValueError as error:
            raise ModelAPIError(f"The server answered no JSON: {error}") from error
        if not isinstance(data, dict) or not data.get("choices"):
            raise ModelAPIError(f"The server's answer has no choices: {str(data)[:300]}")
        return data

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        tools: list[dict[str, Any]] | None = None,
        answer_schema: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        lesson = ""
        if tools:
            lesson = _LESSON.format(tools="\n".join(json.dumps(one["function"]) for one in tools))
        elif answer_schema:
            lesson = _SCHEMA_LESSON.format(schema=json.dumps(answer_schema))
        body = {"model": self.model, "temperature": self.temperature, "max_tokens": self.max_tokens}
        body.update({key: value for key, value in kwargs.items() if key != "stream"})
        body = {key: value for key, value in body.items() if value is not None}
        if stop:
            body["stop"] = stop
        body["messages"] = self._wire(messages, lesson)
        data = self._post(body)
        choice = data["choices"][0]
        text = (choice.get("message") or {}).get("content") or ""
        calls, invalid = [], []
        if tools:
            for name, raw in _CALL.findall(text):
                ident = f"call_{uuid.uuid4().hex}"
                try:
                    args = json.loads(raw or "{}")
                    if not isinstance(args, dict):
                        raise ValueError("the arguments are no JSON object")
                except ValueError as error:
                    invalid.append(
                        invalid_tool_call(name=name, args=raw, id=ident, error=str(error))
                    )
                else:
                    calls.append(tool_call(name=name, args=args, id=ident))
            if calls or invalid:
                text = _CALL.sub("", text).strip()
        usage, raw_usage = None, data.get("usage")
        if raw_usage:
            read, written = (
                raw_usage.get("prompt_tokens") or 0,
                raw_usage.get("completion_tokens") or 0,
            )
            usage = UsageMetadata(
                input_tokens=read, output_tokens=written, total_tokens=read + written
            )
        message = AIMessage(
            content=text,
            tool_calls=calls,
            invalid_tool_calls=invalid,
            usage_metadata=usage,
            response_metadata={
                "model_name": data.get("model") or self.model,
                "finish_reason": choice.get("finish_reason"),
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
        if tool_choice == "none":
            return self.bind(**kwargs)
        if tool_choice not in (None, False, "auto"):
            raise NotImplementedError(
                f"A taught tool can't be forced (tool_choice={tool_choice!r})."
            )
        return self.bind(tools=[convert_to_openai_tool(one) for one in tools], **kwargs)

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Any:
        """The answer as one JSON object that is taught by prompt, and parsed."""
        method = kwargs.pop("method", "json_mode")
        kwargs.pop("strict", None)
        if kwargs:
            raise ValueError(f"Received unsupported arguments {kwargs}")
        if method not in ("json_mode", "json_schema"):
            raise NotImplementedError(f"TaughtToolsChat has no structured output by {method!r}.")
        parser: Any = JsonOutputParser()
        if isinstance(schema, type) and issubclass(schema, BaseModel):
            parser = PydanticOutputParser(pydantic_object=schema)
        llm = self.bind(
            answer_schema=convert_to_json_schema(schema),
            ls_structured_output_format={"kwargs": {"method": method}, "schema": schema},
        )
        if not include_raw:
            return llm | parser
        parse = RunnablePassthrough.assign(
            parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
        )
        none = RunnablePassthrough.assign(parsed=lambda _: None)
        return RunnableMap(raw=llm) | parse.with_fallbacks([none], exception_key="parsing_error")
