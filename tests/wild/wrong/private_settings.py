"""A router's model that keeps its settings in private attributes, set in `__init__`.

Modelled on: quick OpenRouter/Groq wrappers with an `__init__` of their own that assigns `self._model_name` and
the like.

What is wrong: nothing of what makes two models different is known to LangChain. With a cache, a model gets
the answers of another one (other model name, other temperature, other address); traces have no model name.
And `temperature=0` is taken for "not given", so that a user who wants the same answer twice gets 0.7.

FAULT: no setting is in the identifying parameters, so models with different settings share cache entries.
FAULT: temperature=0 and max_tokens=0 are replaced by the defaults (`or`).
FAULT: traces lack the model name (ls_model_name).
MODEL: RouterLLM
KWARGS: {}
WIRE: openai
"""

from typing import Any, List, Optional

import requests
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult


class RouterLLM(BaseChatModel):
    """Direct HTTP access to a router of models."""

    def __init__(
        self, model=None, temperature=None, max_tokens=None, api_key=None, base_url=None, **kwargs
    ):
        super().__init__(**kwargs)
        self._model_name = model or "vendor/small:free"
        self._temperature = temperature or 0.7
        self._max_tokens = max_tokens or 2000
        self._api_key = api_key or ""
        self._base_url = base_url or "http://127.0.0.1:8000/v1"

    @property
    def _llm_type(self) -> str:
        return "router"

    def _generate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager=None,
        **kwargs: Any,
    ) -> ChatResult:
        converted = []
        for msg in messages:
            if isinstance(msg, SystemMessage):
                role = "system"
            elif isinstance(msg, HumanMessage):
                role = "user"
            elif isinstance(msg, AIMessage):
                role = "assistant"
            else:
                raise ValueError(f"Unsupported message: {type(msg).__name__}")
            converted.append({"role": role, "content": msg.content})
        payload = {
            "model": self._model_name,
            "messages": converted,
            "temperature": kwargs.get("temperature") or self._temperature,
            "max_tokens": kwargs.get("max_tokens") or self._max_tokens,
        }
        if stop:
            payload["stop"] = stop
        response = requests.post(
            f"{self._base_url}/chat/completions",
            headers={"Authorization": f"Bearer {self._api_key}"},
            json=payload,
            timeout=60,
        )
        if response.status_code != 200:
            raise RuntimeError(f"Router error {response.status_code}: {response.text[:300]}")
        data = response.json()
        usage = data.get("usage")
        message = AIMessage(content=data["choices"][0]["message"]["content"])
        if usage:
            message.usage_metadata = {
                "input_tokens": usage["prompt_tokens"],
                "output_tokens": usage["completion_tokens"],
                "total_tokens": usage["total_tokens"],
            }
        return ChatResult(generations=[ChatGeneration(message=message)])
