"""Chat model for a router service with a hand-written __init__ that keeps everything in private attributes.

Modelled on: "custom wrapper" classes of agent apps: __init__(self, **kwargs) with super().__init__() and self._model_name = ...
What is wrong: (1) __init__ hands nothing on to the base class, so callbacks, tags, metadata, name, cache, rate_limiter and
disable_streaming given to the constructor are silently lost: the user's tracer never fires and the limit does not hold.
(2) model and settings are no fields and no identifying parameters: with a global LLM cache, another model or temperature gets the
FIRST model's cached answer; they should be fields and be named in _identifying_params.
FAULT: constructor drops base fields (callbacks, tags, metadata, cache, rate_limiter, disable_streaming); model/temperature are not in _identifying_params: global LLM cache mixes answers of different models/settings
MODEL: RouterChat
KWARGS: {"base_url": "http://127.0.0.1:8000/v1", "api_key": "k", "model": "house-1"}
WIRE: openai
"""

from typing import Any, Iterator, List, Optional

import json

import requests
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    convert_to_openai_messages,
)
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.output_parsers.openai_tools import make_invalid_tool_call, parse_tool_call
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import PrivateAttr, SecretStr


class RouterError(Exception):
    pass


class RouterChat(BaseChatModel):
    _model_name: str = PrivateAttr()
    _temperature: Optional[float] = PrivateAttr()
    _max_tokens: Optional[int] = PrivateAttr()
    _api_key: SecretStr = PrivateAttr()
    _base_url: str = PrivateAttr()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__()
        self._model_name = kwargs.get("model", "house-1")
        self._temperature = kwargs.get("temperature")
        self._max_tokens = kwargs.get("max_tokens")
        self._api_key = SecretStr(kwargs.get("api_key") or "")
        self._base_url = kwargs.get("base_url", "http://127.0.0.1:8000/v1")

    @property
    def _llm_type(self) -> str:
        return "router-chat"

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        if tool_choice in ("any", True):
            kwargs["tool_choice"] = "required"
        elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            kwargs["tool_choice"] = {"type": "function", "function": {"name": tool_choice}}
        elif tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)

    def _post(
        self, messages: List[BaseMessage], stop: Optional[List[str]], kwargs: dict, stream: bool
    ) -> requests.Response:
        body = {
            "model": self._model_name,
            "temperature": self._temperature,
            "max_tokens": self._max_tokens,
            "stop": stop or None,
            **kwargs,
            "messages": convert_to_openai_messages(messages),
        }
        if stream:
            body.update(stream=True, stream_options={"include_usage": True})
        response = requests.post(
            f"{self._base_url.rstrip('/')}/chat/completions",
            json={k: v for k, v in body.items() if v is not None},
            stream=stream,
            timeout=60,
            headers={"Authorization": f"Bearer {self._api_key.get_secret_value()}"},
        )
        if response.status_code >= 400:
            with response:
                try:
                    reason = response.json()["error"]["message"]
                except (ValueError, KeyError, TypeError):
                    reason = response.text[:300]
            raise RouterError(f"router answered {response.status_code}: {reason}")
        return response

    @staticmethod
    def _usage(raw: Optional[dict]) -> Optional[dict]:
        if not raw:
            return None
        return {
            "input_tokens": raw["prompt_tokens"],
            "output_tokens": raw["completion_tokens"],
            "total_tokens": raw["prompt_tokens"] + raw["completion_tokens"],
        }

    def _generate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        data = self._post(messages, stop, kwargs, False).json()
        choice = data["choices"][0]
        calls, bad = [], []
        for raw in choice["message"].get("tool_calls") or []:
            try:
                calls.append(parse_tool_call(raw, return_id=True))
            except Exception as exc:
                bad.append(make_invalid_tool_call(raw, str(exc)))
        message = AIMessage(
            content=choice["message"].get("content") or "",
            tool_calls=calls,
            invalid_tool_calls=bad,
            usage_metadata=self._usage(data.get("usage")),
            response_metadata={
                "model_name": data.get("model"),
                "finish_reason": choice.get("finish_reason"),
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        usage, finish, rest = None, None, b""
        with self._post(messages, stop, kwargs, True) as response:
            for block in response.iter_content(chunk_size=None):
                *lines, rest = (rest + block).split(b"\n")
                for line in lines:
                    if not line.startswith(b"data:") or line[5:].strip() == b"[DONE]":
                        continue
                    event = json.loads(line[5:])
                    if event.get("error"):
                        raise RouterError(str(event["error"]))
                    usage = event.get("usage") or usage
                    for choice in event.get("choices") or []:
                        finish = choice.get("finish_reason") or finish
                        delta = choice.get("delta") or {}
                        parts = [
                            tool_call_chunk(
                                name=(c.get("function") or {}).get("name"),
                                id=c.get("id"),
                                args=(c.get("function") or {}).get("arguments"),
                                index=c.get("index"),
                            )
                            for c in delta.get("tool_calls") or []
                        ]
                        chunk = ChatGenerationChunk(
                            message=AIMessageChunk(
                                content=delta.get("content") or "", tool_call_chunks=parts
                            )
                        )
                        if run_manager:
                            run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk
        if not finish:
            raise RouterError("the stream ended before the answer did")
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                usage_metadata=self._usage(usage),
                response_metadata={"finish_reason": finish, "model_name": self._model_name},
            )
        )
