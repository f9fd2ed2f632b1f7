"""A requests-based model for an OpenAI-like server whose `bind_tools` writes into the model.

Modelled on: agent demos and bots whose `bind_tools` sets a field and returns `self`, since that is the
shortest thing that makes an agent run.

What is wrong: the tools stay on the model. A user who binds tools for one agent finds that the plain model,
and every other agent that shares it, sends those tools too; two agents overwrite each other's tools.

FAULT: bind_tools stores the tools on the instance and returns it, so the unbound model and other bindings send them too.
FAULT: tool_choice is accepted by bind_tools and dropped, so a forced tool call (and with_structured_output) is not forced.
MODEL: ShopAssistantModel
KWARGS: {}
WIRE: openai
"""

import json
from typing import Any, Dict, List, Optional

import requests
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, SecretStr


class ShopAssistantModel(BaseChatModel):
    base_url: str = "http://127.0.0.1:8000/v1"
    api_key: Optional[SecretStr] = None
    model: str = "shop-assistant"
    temperature: float = 0.1
    timeout: int = 60
    tools: List[Dict[str, Any]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "shop-assistant"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        return {
            "base_url": self.base_url,
            "model": self.model,
            "temperature": self.temperature,
            "tools": self.tools,
        }

    def bind_tools(self, tools, *, tool_choice=None, **kwargs: Any):
        self.tools = [convert_to_openai_tool(tool) for tool in tools]
        return self

    def _generate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager: Optional[CallbackManagerForLLMRun] = None,
        **kwargs: Any,
    ) -> ChatResult:
        payload: Dict[str, Any] = {
            "model": self.model,
            "messages": convert_to_openai_messages(messages),
            "temperature": self.temperature,
            **kwargs,
        }
        if stop:
            payload["stop"] = stop
        if self.tools:
            payload["tools"] = self.tools
        headers = {}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key.get_secret_value()}"
        response = requests.post(
            f"{self.base_url}/chat/completions", json=payload, headers=headers, timeout=self.timeout
        )
        response.raise_for_status()
        data = response.json()
        choice = data["choices"][0]
        tool_calls = [
            {
                "name": call["function"]["name"],
                "args": json.loads(call["function"]["arguments"] or "{}"),
                "id": call["id"],
                "type": "tool_call",
            }
            for call in choice["message"].get("tool_calls") or []
        ]
        usage = data.get("usage")
        message = AIMessage(
            content=choice["message"].get("content") or "",
            tool_calls=tool_calls,
            response_metadata={
                "model_name": self.model,
                "finish_reason": choice.get("finish_reason"),
            },
            usage_metadata={
                "input_tokens": usage["prompt_tokens"],
                "output_tokens": usage["completion_tokens"],
                "total_tokens": usage["total_tokens"],
            }
            if usage
            else None,
        )
        return ChatResult(generations=[ChatGeneration(message=message)])
