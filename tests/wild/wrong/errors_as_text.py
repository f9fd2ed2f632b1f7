"""Modelled on: chat applications whose model "must never crash the UI": every exception of the request is caught and
its text is returned as the assistant's message.

Wrong: to LangChain the call went well. What the user feels: `with_retry` and `with_fallbacks` never act, traces are
green, caches keep the error as the answer, an agent shows "Error: 401 ..." as its result, and a chain parses it.

FAULT: failures of the request (status, connection, broken answer) are returned as the text of an AIMessage and not raised.

MODEL: FriendlyChat
KWARGS: {}
WIRE: openai
"""

import json
import logging
from typing import Any, Iterator, List, Optional

import requests
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    convert_to_openai_messages,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field, SecretStr

log = logging.getLogger(__name__)


class FriendlyChat(BaseChatModel):
    base_url: str = Field(default="http://127.0.0.1:8000/v1")
    api_key: SecretStr = Field(default=SecretStr("lm-studio"))
    model_name: str = Field(default="local-model")
    temperature: float = Field(default=0.1)
    request_timeout: int = Field(default=120)

    @property
    def _llm_type(self) -> str:
        return "friendly-chat"

    @property
    def _identifying_params(self) -> dict:
        return {
            "base_url": self.base_url,
            "model_name": self.model_name,
            "temperature": self.temperature,
        }

    def _post(
        self, messages: List[BaseMessage], stop: Optional[List[str]], stream: bool, kwargs: dict
    ) -> Any:
        kwargs.pop("stream", None)
        payload = {
            "model": self.model_name,
            "messages": convert_to_openai_messages(messages),
            "temperature": self.temperature,
            **kwargs,
        }
        if stop:
            payload["stop"] = stop
        if stream:
            payload["stream"] = True
            payload["stream_options"] = {"include_usage": True}
        response = requests.post(
            self.base_url.rstrip("/") + "/chat/completions",
            json=payload,
            headers={"Authorization": "Bearer " + self.api_key.get_secret_value()},
            timeout=self.request_timeout,
            stream=stream,
        )
        response.raise_for_status()
        return response

    @staticmethod
    def _usage(data: dict) -> Optional[dict]:
        usage = data.get("usage")
        return usage and {
            "input_tokens": usage["prompt_tokens"],
            "output_tokens": usage["completion_tokens"],
            "total_tokens": usage["total_tokens"],
        }

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        try:
            data = self._post(messages, stop, False, kwargs).json()
            choice = data["choices"][0]
            message = AIMessage(
                content=choice["message"]["content"],
                usage_metadata=self._usage(data),
                response_metadata={
                    "model_name": data["model"],
                    "finish_reason": choice["finish_reason"],
                },
            )
        except Exception as e:
            log.error("LLM call failed: %s", e)
            message = AIMessage(content=f"Error: the language model could not be reached ({e})")
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> Iterator[ChatGenerationChunk]:
        try:
            with self._post(messages, stop, True, kwargs) as response:
                for line in response.iter_lines():
                    if not line.startswith(b"data:") or line[5:].strip() == b"[DONE]":
                        continue
                    data = json.loads(line[5:])
                    choice = (data.get("choices") or [{}])[0]
                    finish = choice.get("finish_reason")
                    yield ChatGenerationChunk(
                        message=AIMessageChunk(
                            content=(choice.get("delta") or {}).get("content") or "",
                            usage_metadata=self._usage(data),
                            response_metadata={"model_name": data["model"], "finish_reason": finish}
                            if finish
                            else {},
                        )
                    )
        except Exception as e:
            log.error("LLM stream failed: %s", e)
            yield ChatGenerationChunk(message=AIMessageChunk(content=f"Error: {e}"))
