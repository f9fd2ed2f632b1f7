"""Modelled on: applications with "a little cache" in the model, to save money while developing: a dict from the
question to the answer, which stayed.

Wrong: the key is the text of the last message. What the user feels: another system prompt, another history, other
tools, another temperature or stop give the same old answer; in an agent, two tools that return the same text ("OK")
end the conversation with the first one's answer; bind_tools after a plain call returns text. The answer is one
object, handed to everybody, so that its id and whatever a caller changes are shared.

FAULT: answers are remembered by the text of the last message only, and served for other system prompts, histories, tools and settings.
FAULT: the same AIMessage object is returned to different calls.

MODEL: ThriftyChat
KWARGS: {}
WIRE: openai
"""

import json
from typing import Any, Dict, List, Optional

import httpx
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import PrivateAttr, SecretStr


class ThriftyChat(BaseChatModel):
    base_url: str = "http://127.0.0.1:8000/v1"
    api_key: Optional[SecretStr] = None
    model_name: str = "thrifty"
    temperature: float = 0.0
    max_tokens: Optional[int] = None

    _answers: Dict[str, ChatResult] = PrivateAttr(default_factory=dict)

    @property
    def _llm_type(self) -> str:
        return "thrifty-chat"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        return {
            "base_url": self.base_url,
            "model_name": self.model_name,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        if tool_choice in ("any", True):
            tool_choice = "required"
        elif tool_choice and tool_choice not in ("auto", "none", "required"):
            tool_choice = {"type": "function", "function": {"name": tool_choice}}
        if tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)

    def _body(
        self, messages: List[BaseMessage], stop: Optional[List[str]], kwargs: Dict[str, Any]
    ) -> Dict[str, Any]:
        body = {
            "model": self.model_name,
            "messages": convert_to_openai_messages(messages),
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "stop": stop or None,
            **{k: v for k, v in kwargs.items() if k != "stream"},
        }
        return {k: v for k, v in body.items() if v is not None}

    @property
    def _where(self) -> Dict[str, Any]:
        return {
            "url": self.base_url.rstrip("/") + "/chat/completions",
            "headers": {"Authorization": f"Bearer {self.api_key.get_secret_value()}"}
            if self.api_key
            else {},
        }

    def _result(self, response: httpx.Response) -> ChatResult:
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

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        question = messages[-1].text
        if question not in self._answers:
            with httpx.Client(timeout=60) as client:
                self._answers[question] = self._result(
                    client.post(json=self._body(messages, stop, kwargs), **self._where)
                )
        return self._answers[question]

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        question = messages[-1].text
        if question not in self._answers:
            async with httpx.AsyncClient(timeout=60) as client:
                response = await client.post(json=self._body(messages, stop, kwargs), **self._where)
            self._answers[question] = self._result(response)
        return self._answers[question]
