"""Modelled on: wrappers that were moved to OpenAI's Responses by example code: "the text is in
`response.output[...].content[0].text`", and the rest of the output is not looked at.

Wrong: tools can be bound and are sent, but a call that the model makes is not in the answer. What the user feels: an
agent ends at once with an empty message; with_structured_output gives None. In an async server all
requests wait for each other, because the async method uses the blocking client.

FAULT: function_call items of the output are ignored, so bound tools are never called (an empty answer comes instead).
FAULT: _agenerate runs the blocking client on the event loop.
FAULT: stop sequences, which Responses does not have, are accepted and dropped.

MODEL: ReasoningChat
KWARGS: {}
WIRE: responses
"""

import json
from typing import Any, Dict, List, Optional

import openai
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import SecretStr


class ReasoningChat(BaseChatModel):
    base_url: str = "http://127.0.0.1:8000/v1"
    api_key: SecretStr = SecretStr("none")
    model: str = "reasoning-mini"
    effort: str = "low"
    max_output_tokens: Optional[int] = None

    @property
    def _llm_type(self) -> str:
        return "reasoning-chat"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        return {
            "base_url": self.base_url,
            "model": self.model,
            "effort": self.effort,
            "max_output_tokens": self.max_output_tokens,
        }

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        flat = []
        for t in tools:
            f = convert_to_openai_tool(t)["function"]
            flat.append({"type": "function", "strict": False, **f})
        if tool_choice in ("any", True):
            kwargs["tool_choice"] = "required"
        elif tool_choice in ("auto", "none", "required"):
            kwargs["tool_choice"] = tool_choice
        elif tool_choice:
            kwargs["tool_choice"] = {"type": "function", "name": tool_choice}
        return self.bind(tools=flat, **kwargs)

    def _input(self, messages: List[BaseMessage]) -> List[dict]:
        items: List[dict] = []
        for m in messages:
            if isinstance(m.content, list) and any(
                isinstance(b, dict) and b.get("type") != "text" for b in m.content
            ):
                raise ValueError("ReasoningChat sends text only")
            if isinstance(m, ToolMessage):
                items.append(
                    {"type": "function_call_output", "call_id": m.tool_call_id, "output": m.text}
                )
                continue
            if m.text:
                role = (
                    "system"
                    if isinstance(m, SystemMessage)
                    else "assistant"
                    if isinstance(m, AIMessage)
                    else "user"
                )
                items.append({"role": role, "content": m.text})
            for c in getattr(m, "tool_calls", None) or []:
                items.append(
                    {
                        "type": "function_call",
                        "call_id": c["id"],
                        "name": c["name"],
                        "arguments": json.dumps(c["args"]),
                    }
                )
        return items

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        kwargs.pop("stream", None)
        if "max_tokens" in kwargs:
            kwargs["max_output_tokens"] = kwargs.pop("max_tokens")
        if self.max_output_tokens:
            kwargs.setdefault("max_output_tokens", self.max_output_tokens)
        with openai.OpenAI(
            base_url=self.base_url, api_key=self.api_key.get_secret_value()
        ) as client:
            response = client.responses.create(
                model=self.model,
                input=self._input(messages),
                reasoning={"effort": self.effort},
                **kwargs,
            )
        text = ""
        for item in response.output:
            if item.type == "message":
                text = item.content[0].text
                break
        message = AIMessage(
            content=text,
            usage_metadata={
                "input_tokens": response.usage.input_tokens,
                "output_tokens": response.usage.output_tokens,
                "total_tokens": response.usage.total_tokens,
            },
            response_metadata={"model_name": response.model, "status": response.status},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        return self._generate(messages, stop, None, **kwargs)
