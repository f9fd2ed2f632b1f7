"""A factory over a settings object, with requests and retries of its own.

Modelled on: back ends that keep everything about their LLM in one settings class (pydantic-settings or a
dataclass), have `get_chat_model(settings)`, and retry with tenacity.

What is right: it asks again only what may be asked again (429, 502, 503, 504 and refused connections),
heeds Retry-After, stops after `attempts`, and never after the first token of a stream; the settings are
frozen; a key is a SecretStr and in no identifying parameter; the session is made per call, so threads
share nothing; sync with LangChain's own async on top; responses are closed, when a stream is left early too.

MODEL: get_chat_model
KWARGS: {}
WIRE: openai
"""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import requests
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    convert_to_openai_messages,
)
from langchain_core.output_parsers.openai_tools import make_invalid_tool_call, parse_tool_call
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, ConfigDict, SecretStr
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt


class LLMSettings(BaseModel):
    """What the back end knows about its LLM."""

    model_config = ConfigDict(frozen=True)

    api_base: str = "http://127.0.0.1:8000/v1"
    api_key: SecretStr | None = None
    deployment: str = "backend-chat"
    temperature: float | None = None
    max_tokens: int | None = None
    attempts: int = 3
    backoff: float = 0.2
    read_timeout: float = 60.0


class UpstreamError(RuntimeError):
    """The LLM's server refused or failed; `status` is None if it was not reached."""

    def __init__(self, text: str, status: int | None = None, after: float | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.after = after


class UpstreamBusy(UpstreamError):
    """Worth another try."""


def _wait(state: RetryCallState, backoff: float) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = getattr(error, "after", None)
    return min(asked, 30.0) if asked is not None else backoff * 2 ** (state.attempt_number - 1)


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


class BackendChat(BaseChatModel):
    """The back end's chat model."""

    settings: LLMSettings = LLMSettings()

    @property
    def _llm_type(self) -> str:
        return "backend-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return self.settings.model_dump(
            include={"api_base", "deployment", "temperature", "max_tokens"}
        )

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = LangSmithParams(
            ls_provider="backend",
            ls_model_type="chat",
            ls_model_name=kwargs.get("model") or self.settings.deployment,
        )
        temperature = kwargs.get("temperature", self.settings.temperature)
        if temperature is not None:
            params["ls_temperature"] = temperature
        limit = kwargs.get("max_tokens", self.settings.max_tokens)
        if limit is not None:
            params["ls_max_tokens"] = limit
        if stop:
            params["ls_stop"] = stop
        return params

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable | BaseTool],
        *,
        tool_choice: dict | str | bool | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        if tool_choice in ("any", True):
            kwargs["tool_choice"] = "required"
        elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            kwargs["tool_choice"] = {"type": "function", "function": {"name": tool_choice}}
        elif tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(
            tools=[convert_to_openai_tool(tool, strict=strict) for tool in tools], **kwargs
        )

    def _body(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict
    ) -> dict[str, Any]:
        body = {
            "model": self.settings.deployment,
            "messages": [_to_wire(message) for message in messages],
            "temperature": self.settings.temperature,
            "max_tokens": self.settings.max_tokens,
            "stop": stop or None,
            **kwargs,
        }
        body.pop("stream", None)
        return {name: value for name, value in body.items() if value is not None and value != []}

    def _post_once(self, body: dict[str, Any]) -> requests.Response:
        key = self.settings.api_key
        try:
            response = requests.post(
                self.settings.api_base.rstrip("/") + "/chat/completions",
                json=body,
                headers={"Authorization": f"Bearer {key.get_secret_value()}"} if key else {},
                timeout=(5, self.settings.read_timeout),
                stream=bool(body.get("stream")),
            )
        except requests.Timeout as error:
            raise UpstreamError(f"{self.settings.api_base} took too long") from error
        except requests.ConnectionError as error:
            raise UpstreamBusy(f"{self.settings.api_base} was not reached: {error}") from error
        except requests.RequestException as error:
            raise UpstreamError(f"{self.settings.api_base} could not be asked: {error}") from error
        if response.ok:
            return response
        with response:
            text = (
                f"HTTP {response.status_code}: {response.content[:400].decode('utf-8', 'replace')}"
            )
            if response.status_code not in (429, 502, 503, 504):
                raise UpstreamError(text, response.status_code)
            try:
                after = float(response.headers["Retry-After"])
            except (KeyError, ValueError):
                after = None
            raise UpstreamBusy(text, response.status_code, after)

    def _post(self, body: dict[str, Any]) -> requests.Response:
        for attempt in Retrying(
            retry=retry_if_exception_type(UpstreamBusy),
            stop=stop_after_attempt(self.settings.attempts),
            wait=lambda state: _wait(state, self.settings.backoff),
            reraise=True,
        ):
            with attempt:
                return self._post_once(body)
        raise AssertionError("tenacity ended without an outcome")

    @staticmethod
    def _usage(raw: Any) -> dict[str, int] | None:
        if not raw:
            return None
        read, written = raw.get("prompt_tokens") or 0, raw.get("completion_tokens") or 0
        return {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        response = self._post(self._body(messages, stop, kwargs))
        try:
            data = json.loads(response.content)
            choice = data["choices"][0]
            said = choice["message"]
        except (ValueError, LookupError, TypeError) as error:
            raise UpstreamError(
                f"No completion in the answer: {response.content[:200]!r}"
            ) from error
        calls, invalid = [], []
        for raw in said.get("tool_calls") or []:
            try:
                calls.append(parse_tool_call(raw, return_id=True))
            except Exception as error:  # noqa: BLE001
                invalid.append(make_invalid_tool_call(raw, str(error)))
        message = AIMessage(
            content=said.get("content") or "",
            tool_calls=calls,
            invalid_tool_calls=invalid,
            usage_metadata=self._usage(data.get("usage")),
            response_metadata={
                "model_name": data.get("model", self.settings.deployment),
                "finish_reason": choice.get("finish_reason"),
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        body = self._body(messages, stop, kwargs)
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        finished = False
        with self._post(body) as response:
            try:
                for line in response.iter_lines(chunk_size=None):  # bytes, as they come
                    if not line.startswith(b"data:"):
                        continue
                    payload = line[5:].strip()
                    if payload == b"[DONE]":
                        finished = True
                        break
                    chunk = self._chunk(json.loads(payload))
                    finished = finished or bool(chunk.generation_info)
                    yield chunk
            except requests.RequestException as error:
                raise UpstreamError(f"The stream broke: {error}") from error
            except ValueError as error:
                raise UpstreamError("The stream has an event that is not JSON") from error
        if not finished:
            raise UpstreamError("The stream ended before the answer did")

    def _chunk(self, event: dict[str, Any]) -> ChatGenerationChunk:
        if event.get("error"):
            raise UpstreamError(f"The stream ended with an error: {str(event['error'])[:300]}")
        choices = event.get("choices") or [{}]
        delta = choices[0].get("delta") or {}
        info = None
        if reason := choices[0].get("finish_reason"):
            info = {
                "finish_reason": reason,
                "model_name": event.get("model", self.settings.deployment),
            }
        return ChatGenerationChunk(
            message=AIMessageChunk(
                content=delta.get("content") or "",
                tool_call_chunks=[
                    {
                        "name": (raw.get("function") or {}).get("name"),
                        "args": (raw.get("function") or {}).get("arguments"),
                        "id": raw.get("id"),
                        "index": raw.get("index"),
                        "type": "tool_call_chunk",
                    }
                    for raw in delta.get("tool_calls") or []
                ],
                usage_metadata=self._usage(event.get("usage")),
            ),
            generation_info=info,
        )


def get_chat_model(
    settings: LLMSettings | None = None, *, api_base: str | None = None, **changes: Any
) -> BackendChat:
    """The chat model for these settings, or for the default ones with changes."""
    settings = settings or LLMSettings()
    if api_base is not None:
        changes["api_base"] = api_base
    if changes:
        settings = LLMSettings.model_validate({**dict(settings), **changes})
    return BackendChat(settings=settings)
