"""A model for a demo that must never crash: what goes wrong is said by the assistant.

Modelled on: Streamlit and Gradio apps whose `_generate` ends in `except Exception as e: return "Error: ..."`.

What is wrong: a failed call is a successful answer. Retries and fallbacks (`with_retry`, `with_fallbacks`)
never start, callbacks and traces show success, an error text is cached as the answer and goes into the
conversation as if the LLM had said it.

FAULT: HTTP errors, timeouts and broken responses are returned as an AIMessage with an apology instead of being raised.
MODEL: DemoSafeChat
KWARGS: {}
WIRE: openai
"""

import logging
from typing import Any, List, Optional

import httpx
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import SecretStr

logger = logging.getLogger(__name__)


class DemoSafeChat(BaseChatModel):
    api_base: str = "http://127.0.0.1:8000/v1"
    api_key: Optional[SecretStr] = None
    model: str = "demo-7b"
    temperature: float = 0.5
    max_tokens: int = 800
    timeout: float = 30.0

    @property
    def _llm_type(self) -> str:
        return "demo-safe-chat"

    @property
    def _identifying_params(self):
        return {
            "api_base": self.api_base,
            "model": self.model,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }

    def _request(self, messages: List[BaseMessage], stop: Optional[List[str]], kwargs) -> dict:
        body = {
            "model": self.model,
            "messages": convert_to_openai_messages(messages),
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            **kwargs,
        }
        body.pop("stream", None)
        if stop:
            body["stop"] = stop
        headers = {}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key.get_secret_value()}"
        return {"url": f"{self.api_base}/chat/completions", "json": body, "headers": headers}

    def _parse(self, response: httpx.Response) -> ChatResult:
        response.raise_for_status()
        data = response.json()
        usage = data.get("usage") or {}
        message = AIMessage(
            content=data["choices"][0]["message"]["content"],
            response_metadata={
                "model_name": data.get("model"),
                "finish_reason": data["choices"][0].get("finish_reason"),
            },
        )
        if usage:
            message.usage_metadata = {
                "input_tokens": usage["prompt_tokens"],
                "output_tokens": usage["completion_tokens"],
                "total_tokens": usage["total_tokens"],
            }
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _apology(self, error: Exception) -> ChatResult:
        logger.exception("LLM call failed")
        text = f"Sorry, something went wrong while contacting the model: {type(error).__name__}"
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=text))])

    def _generate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager=None,
        **kwargs: Any,
    ) -> ChatResult:
        try:
            with httpx.Client(timeout=self.timeout) as client:
                return self._parse(client.post(**self._request(messages, stop, kwargs)))
        except Exception as error:
            return self._apology(error)

    async def _agenerate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager=None,
        **kwargs: Any,
    ) -> ChatResult:
        try:
            async with httpx.AsyncClient(timeout=self.timeout) as client:
                return self._parse(await client.post(**self._request(messages, stop, kwargs)))
        except Exception as error:
            return self._apology(error)
