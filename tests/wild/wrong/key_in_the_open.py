"""A model whose API key is a plain string and counts among what identifies it.

Modelled on: university and company proxies whose wrapper has `api_key: str`, lists all fields in
`_identifying_params`, and logs the request that failed in its error.

What is wrong: the key is in `repr(model)`, in every trace (invocation parameters), in the keys of the cache
that is written to disk, in `model_dump`, and, when a call fails, in the message of the exception that goes
to logs and to the screen.

FAULT: the API key is a plain str field: it shows in repr, model_dump and pickles as text.
FAULT: the API key is in _identifying_params, so it goes into traces' invocation params and cache keys.
FAULT: errors contain the request's headers, with the key.
MODEL: CampusChat
KWARGS: {"api_key": "campus-key-123456"}
WIRE: openai
"""

from typing import Any, Dict, List, Optional

import requests
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatResult


class CampusChat(BaseChatModel):
    api_key: str
    base_url: str = "http://127.0.0.1:8000/v1"
    model: str = "campus-llm"
    temperature: float = 0.3
    max_tokens: int = 1000

    @property
    def _llm_type(self) -> str:
        return "campus"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        return {
            "api_key": self.api_key,
            "base_url": self.base_url,
            "model": self.model,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }

    def _generate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager=None,
        **kwargs: Any,
    ) -> ChatResult:
        url = f"{self.base_url}/chat/completions"
        headers = {"Authorization": f"Bearer {self.api_key}", "Content-Type": "application/json"}
        payload = {
            "model": self.model,
            "messages": convert_to_openai_messages(messages),
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            **kwargs,
        }
        payload.pop("stream", None)
        if stop:
            payload["stop"] = stop
        response = requests.post(url, headers=headers, json=payload, timeout=60)
        if response.status_code != 200:
            raise ValueError(
                f"Request to {url} failed with {response.status_code}. "
                f"Headers: {headers}. Response: {response.text[:300]}"
            )
        data = response.json()
        usage = data.get("usage")
        message = AIMessage(
            content=data["choices"][0]["message"]["content"] or "",
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
