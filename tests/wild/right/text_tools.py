"""Tools for a server that has none: taught in the system prompt, and read out of the answer.

Modelled on: chat models for open-weight servers whose endpoint ignores `tools`, so that the repository
brings a tool protocol of its own (`<call>{...}</call>`).

What is right: the calls of the past and their results are written in the same form as the LLM is asked to
use; every call gets an id of its own; what is in a `<call>` but is not JSON, or names no known tool,
becomes an invalid tool call and is not dropped; text around calls stays text. The LLM cannot be forced to
call, so a forced `tool_choice` is refused, and with it structured output by tools. It does not stream,
since an answer has to be whole to be read: `stream` gives it at once.

MODEL: TaughtTools
KWARGS: {}
WIRE: openai
"""

import json
import re
import ssl
import uuid
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import httpx
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    InvalidToolCall,
    SystemMessage,
    ToolCall,
    ToolMessage,
)
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, SecretStr

_CALL = re.compile(r"<call>(.*?)</call>", re.DOTALL)
_SILENT = ("tool_use", "tool_call", "thinking", "redacted_thinking", "reasoning")
_LESSON = """You have these tools, each with the JSON schema of its arguments:
{tools}
To call one, write <call>{{"tool": "its name", "arguments": {{...}}}}</call>, once for each call, and stop.
You will be given the results. When you need no tool, just answer."""


class TaughtToolsError(RuntimeError):
    """The server did not answer as it should."""


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Made once: to read the certificates for each client would hold up the event loop."""
    return httpx.create_ssl_context()


class TaughtTools(BaseChatModel):
    """An OpenAI-like server without tools, with tools."""

    base_url: str = "http://127.0.0.1:8000/v1"
    api_key: SecretStr | None = Field(default=None, exclude=True)
    model: str = "open-weights-8b"
    temperature: float = 0.0
    max_tokens: int | None = None
    timeout: float = 90.0

    @property
    def _llm_type(self) -> str:
        return "taught-tools"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "base_url": self.base_url,
            "model": self.model,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }

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
                f"TaughtTools cannot force a tool call (tool_choice={tool_choice!r}), nor give structured "
                "output by one"
            )
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    @staticmethod
    def _text(message: BaseMessage) -> str:
        if isinstance(message.content, str):
            return message.content
        for block in message.content:
            kind = "text" if isinstance(block, str) else block.get("type")
            if kind != "text" and not (message.type == "ai" and kind in _SILENT):
                raise ValueError(f"The server reads text only, not {kind!r}")
        return str(message.text)

    def _conversation(
        self, messages: list[BaseMessage], tools: list[dict[str, Any]]
    ) -> list[dict[str, str]]:
        turns: list[dict[str, str]] = []

        def add(role: str, text: str) -> None:
            if turns and turns[-1]["role"] == role:
                turns[-1]["content"] += "\n\n" + text
            else:
                turns.append({"role": role, "content": text})

        if tools:
            listed = "\n".join(json.dumps(tool["function"]) for tool in tools)
            add("system", _LESSON.format(tools=listed))
        for message in messages:
            if isinstance(message, SystemMessage):
                add("system", self._text(message))
            elif isinstance(message, HumanMessage):
                add("user", self._text(message))
            elif isinstance(message, AIMessage):
                said = [self._text(message)] if message.content else []
                for call in message.tool_calls:
                    said.append(
                        f"<call>{json.dumps({'tool': call['name'], 'arguments': call['args']})}</call>"
                    )
                for wrong in message.invalid_tool_calls:
                    said.append(f"<call>{wrong['args']}</call>")
                add("assistant", "\n".join(said))
            elif isinstance(message, ToolMessage):
                about = {"call": message.tool_call_id, "status": message.status}
                add("user", f"<result {json.dumps(about)}>{self._text(message)}</result>")
            else:
                raise ValueError(f"There is no role for a message of type {message.type!r}")
        return turns

    def _body(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict
    ) -> dict[str, Any]:
        kwargs = {key: value for key, value in kwargs.items() if value is not None}
        kwargs.pop("stream", None)
        tools = kwargs.pop("tools", [])
        if kwargs.pop("tool_choice", "auto") not in ("auto", "none"):
            raise NotImplementedError("TaughtTools cannot force a tool call")
        body = {
            "model": self.model,
            "messages": self._conversation(messages, tools),
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "stop": stop or None,
            **kwargs,
        }
        return {key: value for key, value in body.items() if value is not None}

    def _headers(self) -> dict[str, str]:
        return (
            {"Authorization": f"Bearer {self.api_key.get_secret_value()}"} if self.api_key else {}
        )

    @staticmethod
    def _read_calls(
        text: str, known: set[str]
    ) -> tuple[str, list[ToolCall], list[InvalidToolCall]]:
        calls: list[ToolCall] = []
        invalid: list[InvalidToolCall] = []
        for found in _CALL.findall(text):
            mark = f"call_{uuid.uuid4().hex[:12]}"
            try:
                raw = json.loads(found)
                name, arguments = raw["tool"], raw.get("arguments", {})
                if name not in known:
                    raise ValueError(f"there is no tool {name!r}")
                if not isinstance(arguments, dict):
                    raise TypeError("arguments are not an object")
                calls.append(ToolCall(name=name, args=arguments, id=mark, type="tool_call"))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                invalid.append(
                    InvalidToolCall(
                        name=None, args=found, id=mark, error=str(error), type="invalid_tool_call"
                    )
                )
        return _CALL.sub("", text).strip() if calls or invalid else text, calls, invalid

    def _result(self, response: httpx.Response, tools: list[dict[str, Any]]) -> ChatResult:
        if response.is_error:
            raise TaughtToolsError(
                f"The server answered {response.status_code}: {response.text[:400]}"
            )
        try:
            data = response.json()
            text = data["choices"][0]["message"]["content"]
            reason = data["choices"][0].get("finish_reason")
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise TaughtToolsError(
                f"The server sent no completion: {response.text[:200]!r}"
            ) from error
        if not isinstance(text, str):
            raise TaughtToolsError("The server sent a message without text")
        calls: list[ToolCall] = []
        invalid: list[InvalidToolCall] = []
        if tools:
            text, calls, invalid = self._read_calls(
                text, {tool["function"]["name"] for tool in tools}
            )
        usage = None
        if raw := data.get("usage"):
            read, written = raw.get("prompt_tokens") or 0, raw.get("completion_tokens") or 0
            usage = {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
        message = AIMessage(
            content=text,
            tool_calls=calls,
            invalid_tool_calls=invalid,
            usage_metadata=usage,
            response_metadata={
                "finish_reason": reason,
                "model_name": data.get("model", self.model),
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    @property
    def _url(self) -> str:
        return self.base_url.rstrip("/") + "/chat/completions"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        body = self._body(messages, stop, kwargs)
        try:
            response = httpx.post(
                self._url, json=body, headers=self._headers(), timeout=self.timeout
            )
        except httpx.HTTPError as error:
            raise TaughtToolsError(f"No answer from {self.base_url}: {error!r}") from error
        return self._result(response, kwargs.get("tools") or [])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        body = self._body(messages, stop, kwargs)
        try:
            async with httpx.AsyncClient(
                timeout=self.timeout, headers=self._headers(), verify=_tls()
            ) as client:
                response = await client.post(self._url, json=body)
        except httpx.HTTPError as error:
            raise TaughtToolsError(f"No answer from {self.base_url}: {error!r}") from error
        return self._result(response, kwargs.get("tools") or [])
