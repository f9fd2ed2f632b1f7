"""Modelled on: agent demos with a model class of their own over the openai package, where `bind_tools` stores the
tools on the model and returns `self`, because "LangGraph only wants something with bind_tools".

Wrong: binding changes the model. What the user feels: two agents that share one model get each other's tools; a
plain call after an agent was built still offers the tools (and their cost), and may answer with a call nobody runs;
a forced choice that structured output has set stays for every later call.

FAULT: bind_tools stores the tools and the tool choice on the model and returns the model itself, so that every other user of the model gets them too.

MODEL: DemoAgentChat
KWARGS: {}
WIRE: openai
"""

from typing import Any, Iterator, List, Optional

import openai
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    convert_to_openai_messages,
)
from langchain_core.output_parsers.openai_tools import make_invalid_tool_call, parse_tool_call
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import PrivateAttr, SecretStr


class DemoAgentChat(BaseChatModel):
    base_url: str = "http://127.0.0.1:8000/v1"
    api_key: SecretStr = SecretStr("none")
    model: str = "demo"
    temperature: float = 0.0

    _tools: list = PrivateAttr(default_factory=list)
    _tool_choice: Any = PrivateAttr(default=None)

    @property
    def _llm_type(self) -> str:
        return "demo-agent-chat"

    @property
    def _identifying_params(self) -> dict:
        return {"model": self.model, "temperature": self.temperature, "base_url": self.base_url}

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        self._tools = [convert_to_openai_tool(t) for t in tools]
        if tool_choice in ("any", True):
            tool_choice = "required"
        elif tool_choice and tool_choice not in ("auto", "none", "required"):
            tool_choice = {"type": "function", "function": {"name": tool_choice}}
        self._tool_choice = tool_choice
        return self

    def _params(self, messages: List[BaseMessage], stop: Optional[List[str]], kwargs: dict) -> dict:
        kwargs.pop("stream", None)
        params = {
            "model": self.model,
            "temperature": self.temperature,
            "messages": convert_to_openai_messages(messages),
            **kwargs,
        }
        if stop:
            params["stop"] = stop
        if self._tools:
            params["tools"] = self._tools
            if self._tool_choice:
                params["tool_choice"] = self._tool_choice
        return params

    def _client(self) -> openai.OpenAI:
        return openai.OpenAI(
            base_url=self.base_url, api_key=self.api_key.get_secret_value(), max_retries=1
        )

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        with self._client() as client:
            completion = client.chat.completions.create(**self._params(messages, stop, kwargs))
        choice = completion.choices[0]
        calls, bad = [], []
        for call in choice.message.tool_calls or []:
            try:
                calls.append(parse_tool_call(call.model_dump(), return_id=True))
            except Exception as e:
                bad.append(make_invalid_tool_call(call.model_dump(), str(e)))
        message = AIMessage(
            content=choice.message.content or "",
            tool_calls=calls,
            invalid_tool_calls=bad,
            response_metadata={
                "model_name": completion.model,
                "finish_reason": choice.finish_reason,
            },
            usage_metadata=_usage(completion.usage),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> Iterator[ChatGenerationChunk]:
        params = self._params(messages, stop, kwargs)
        with self._client() as client:
            events = client.chat.completions.create(
                **params, stream=True, stream_options={"include_usage": True}
            )
            for event in events:
                delta = event.choices[0].delta if event.choices else None
                finish = event.choices[0].finish_reason if event.choices else None
                yield ChatGenerationChunk(
                    message=AIMessageChunk(
                        content=(delta.content if delta else "") or "",
                        tool_call_chunks=[
                            {
                                "name": c.function.name,
                                "args": c.function.arguments,
                                "id": c.id,
                                "index": c.index,
                            }
                            for c in (delta.tool_calls if delta else None) or []
                        ],
                        usage_metadata=_usage(event.usage),
                        response_metadata={"model_name": event.model, "finish_reason": finish}
                        if finish
                        else {},
                    )
                )


def _usage(usage):
    if usage is None:
        return None
    return {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
