"""A gateway model whose `bind_tools` writes the tools on the model itself.

Modelled on: private gateway wrappers (2025, LangGraph supervisors) in which `bind_tools` sets `self.tools` and
returns `self`, because the author had a single agent when it was written.
Wrong: two agents that share the model share the tools too: the one that was made last wins, and the plain
model sends tools as well once anybody has bound some. The user sees a supervisor that calls a worker's tools, and
a summary step that answers with a tool call.
FAULT: bind_tools mutates the model and returns it, so tools leak into every other user of the same instance.
MODEL: SwitchboardChat
KWARGS: {}
WIRE: openai
"""

import json
from typing import Any, Optional

import httpx
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.messages.utils import convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, SecretStr


class SwitchboardChat(BaseChatModel):
    model: str = "switch-1"
    base_url: str = "http://localhost:9000/v1"
    api_key: SecretStr = SecretStr("none")
    temperature: float = 0.2
    tools: list[dict[str, Any]] = Field(default_factory=list)
    tool_choice: Optional[Any] = None

    @property
    def _llm_type(self) -> str:
        return "switchboard"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "base_url": self.base_url,
            "temperature": self.temperature,
            "bound_tools": self.tools,
            "bound_choice": self.tool_choice,
        }

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        self.tools = [convert_to_openai_tool(t) for t in tools]
        if tool_choice in ("any", True):
            tool_choice = "required"
        elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            tool_choice = {"type": "function", "function": {"name": tool_choice}}
        self.tool_choice = tool_choice
        return self

    def _body(self, messages, stop, kwargs):
        body = {"model": self.model, "temperature": self.temperature}
        body.update({k: v for k, v in kwargs.items() if k != "stream" and v is not None})
        body["messages"] = convert_to_openai_messages(messages)
        if stop:
            body["stop"] = stop
        if self.tools:
            body["tools"] = self.tools
            if self.tool_choice:
                body["tool_choice"] = self.tool_choice
        return body

    def _result(self, response: httpx.Response) -> ChatResult:
        response.raise_for_status()
        data = response.json()
        choice = data["choices"][0]
        calls = [
            {
                "name": c["function"]["name"],
                "args": json.loads(c["function"]["arguments"] or "{}"),
                "id": c["id"],
            }
            for c in choice["message"].get("tool_calls") or []
        ]
        usage = data.get("usage") or {}
        message = AIMessage(
            content=choice["message"].get("content") or "",
            tool_calls=calls,
            usage_metadata={
                "input_tokens": usage["prompt_tokens"],
                "output_tokens": usage["completion_tokens"],
                "total_tokens": usage["total_tokens"],
            }
            if usage
            else None,
            response_metadata={
                "model_name": data["model"],
                "finish_reason": choice["finish_reason"],
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _headers(self):
        return {"Authorization": f"Bearer {self.api_key.get_secret_value()}"}

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        with httpx.Client(timeout=60) as client:
            return self._result(
                client.post(
                    f"{self.base_url}/chat/completions",
                    json=self._body(messages, stop, kwargs),
                    headers=self._headers(),
                )
            )

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        async with httpx.AsyncClient(timeout=60) as client:
            response = await client.post(
                f"{self.base_url}/chat/completions",
                json=self._body(messages, stop, kwargs),
                headers=self._headers(),
            )
            return self._result(response)
