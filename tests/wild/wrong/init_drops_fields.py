"""Modelled on: wrappers by people who do not write pydantic: an `__init__` of their own calls `super().__init__()`
without arguments and keeps everything in underscore attributes.

Wrong: what LangChain knows of a chat model never arrives. What the user feels: `callbacks=`, `tags=`, `metadata=`,
`cache=`, `rate_limiter=` and `disable_streaming=` of the constructor do nothing, without a word; a mistyped
argument is accepted; `configurable_fields` cannot name the temperature. And in an async application everything
stands still while the model answers, because `_agenerate` calls the sync method.

FAULT: the constructor drops the fields of BaseChatModel (callbacks, tags, metadata, cache, rate_limiter, disable_streaming, ...).
FAULT: _agenerate calls the blocking _generate on the event loop.
FAULT: the settings are no fields and not in _identifying_params, so that caches and configurable_fields do not know them.

MODEL: RouterLLM
KWARGS: {}
WIRE: openai
"""

import json
from typing import Any, List, Optional

import requests
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool


class RouterLLM(BaseChatModel):
    def __init__(
        self,
        model: str = "router/auto",
        base_url: str = "http://127.0.0.1:8000/v1",
        api_key: str = "",
        temperature: float = 0.1,
        max_tokens: int = 2000,
        timeout: int = 60,
        **kwargs: Any,
    ):
        super().__init__()
        self._model = model
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._temperature = temperature
        self._max_tokens = max_tokens
        self._timeout = timeout

    @property
    def _llm_type(self) -> str:
        return "router-llm"

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        if tool_choice in ("any", True):
            tool_choice = "required"
        elif tool_choice and tool_choice not in ("auto", "none", "required"):
            tool_choice = {"type": "function", "function": {"name": tool_choice}}
        if tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)

    def _generate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        kwargs.pop("stream", None)
        payload = {
            "model": self._model,
            "messages": convert_to_openai_messages(messages),
            "temperature": self._temperature,
            "max_tokens": self._max_tokens,
            **kwargs,
        }
        if stop:
            payload["stop"] = stop
        headers = {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}
        response = requests.post(
            f"{self._base_url}/chat/completions",
            json=payload,
            headers=headers,
            timeout=self._timeout,
        )
        response.raise_for_status()
        data = response.json()
        choice = data["choices"][0]
        calls, bad = [], []
        for c in choice["message"].get("tool_calls") or []:
            f = c["function"]
            try:
                calls.append(
                    {"name": f["name"], "args": json.loads(f["arguments"] or "{}"), "id": c["id"]}
                )
            except json.JSONDecodeError as e:
                bad.append(
                    {"name": f["name"], "args": f["arguments"], "id": c["id"], "error": str(e)}
                )
        usage = data.get("usage")
        message = AIMessage(
            content=choice["message"].get("content") or "",
            tool_calls=calls,
            invalid_tool_calls=bad,
            response_metadata={
                "model_name": data.get("model"),
                "finish_reason": choice.get("finish_reason"),
            },
            usage_metadata=usage
            and {
                "input_tokens": usage["prompt_tokens"],
                "output_tokens": usage["completion_tokens"],
                "total_tokens": usage["total_tokens"],
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        return self._generate(messages, stop=stop, run_manager=run_manager, **kwargs)
