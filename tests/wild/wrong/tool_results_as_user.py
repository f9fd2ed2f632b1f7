"""Modelled on: wrappers that began as plain chat (system, user, assistant) and got `bind_tools` later: the message
converter's last branch is `else: role = "user"`, and assistant messages are sent with their text only.

Wrong: the model never sees its own tool calls, and a tool's result comes back as if the person had typed it. What the
user feels: agents call the same tool again and again, or answer "thanks for telling me"; with two calls in a turn the
results cannot be told apart.

FAULT: an AIMessage's tool calls are not sent to the server.
FAULT: a ToolMessage is sent as a user message, without its tool_call_id.

MODEL: TeamLLM
KWARGS: {}
WIRE: openai
"""

import json
from typing import Any, Dict, Iterator, List, Optional

import httpx
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, SecretStr


class TeamLLM(BaseChatModel):
    api_base: str = Field(
        default="http://127.0.0.1:8000/v1", description="Base URL of the team's gateway"
    )
    api_key: Optional[SecretStr] = None
    model_name: str = "team-llm"
    temperature: float = 0.7
    max_tokens: Optional[int] = None
    timeout: float = 60

    @property
    def _llm_type(self) -> str:
        return "team-llm"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        return {
            "api_base": self.api_base,
            "model_name": self.model_name,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }

    def _convert(self, messages: List[BaseMessage]) -> List[Dict[str, Any]]:
        out = []
        for m in messages:
            if isinstance(m, SystemMessage):
                role = "system"
            elif isinstance(m, AIMessage):
                role = "assistant"
            else:
                role = "user"
            if isinstance(m.content, list) and role == "user" and isinstance(m, HumanMessage):
                content: Any = m.content
            else:
                content = m.text
            out.append({"role": role, "content": content})
        return out

    def _payload(self, messages, stop, kwargs) -> Dict[str, Any]:
        kwargs.pop("stream", None)
        payload = {
            "model": self.model_name,
            "messages": self._convert(messages),
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "stop": stop,
            **kwargs,
        }
        return {k: v for k, v in payload.items() if v is not None}

    def _headers(self) -> Dict[str, str]:
        return (
            {"Authorization": f"Bearer {self.api_key.get_secret_value()}"} if self.api_key else {}
        )

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        formatted = [convert_to_openai_tool(t) for t in tools]
        if tool_choice is True or tool_choice == "any":
            tool_choice = "required"
        elif tool_choice and tool_choice not in ("auto", "none", "required"):
            tool_choice = {"type": "function", "function": {"name": tool_choice}}
        if tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=formatted, **kwargs)

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        response = httpx.post(
            f"{self.api_base.rstrip('/')}/chat/completions",
            json=self._payload(messages, stop, kwargs),
            headers=self._headers(),
            timeout=self.timeout,
        )
        response.raise_for_status()
        data = response.json()
        choice = data["choices"][0]
        calls, invalid = [], []
        for c in choice["message"].get("tool_calls") or []:
            f = c["function"]
            try:
                calls.append(
                    {"name": f["name"], "args": json.loads(f["arguments"] or "{}"), "id": c["id"]}
                )
            except json.JSONDecodeError as e:
                invalid.append(
                    {"name": f["name"], "args": f["arguments"], "id": c["id"], "error": str(e)}
                )
        message = AIMessage(
            content=choice["message"].get("content") or "",
            tool_calls=calls,
            invalid_tool_calls=invalid,
            usage_metadata=self._usage(data.get("usage")),
            response_metadata={
                "model_name": data.get("model"),
                "finish_reason": choice.get("finish_reason"),
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    @staticmethod
    def _usage(usage):
        if not usage:
            return None
        return {
            "input_tokens": usage["prompt_tokens"],
            "output_tokens": usage["completion_tokens"],
            "total_tokens": usage["total_tokens"],
        }

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> Iterator[ChatGenerationChunk]:
        payload = self._payload(messages, stop, kwargs)
        payload.update(stream=True, stream_options={"include_usage": True})
        url = f"{self.api_base.rstrip('/')}/chat/completions"
        with httpx.stream(
            "POST", url, json=payload, headers=self._headers(), timeout=self.timeout
        ) as response:
            if response.is_error:
                response.read()
            response.raise_for_status()
            for line in response.iter_lines():
                if not line.startswith("data:") or line[5:].strip() == "[DONE]":
                    continue
                data = json.loads(line[5:])
                choice = (data.get("choices") or [{}])[0]
                delta = choice.get("delta") or {}
                finish = choice.get("finish_reason")
                yield ChatGenerationChunk(
                    message=AIMessageChunk(
                        content=delta.get("content") or "",
                        tool_call_chunks=[
                            {
                                "name": c["function"].get("name"),
                                "args": c["function"].get("arguments"),
                                "id": c.get("id"),
                                "index": c["index"],
                            }
                            for c in delta.get("tool_calls") or []
                        ],
                        usage_metadata=self._usage(data.get("usage")),
                        response_metadata={"model_name": data.get("model"), "finish_reason": finish}
                        if finish
                        else {},
                    )
                )
