"""A gateway chat model whose bind_tools keeps the tools on the instance.

Modelled on: agent repositories of 2025 whose `bind_tools` writes `self.tools = ...` and returns `self`, since
LangGraph then works in the first demonstration.

Wrong: the model that was bound and the plain one are the same object. The user feels it where one model serves
two agents, or an agent and a summary: the last bind wins, a plain call offers tools that nobody can run, and
with_structured_output leaves its schema, forced, on every later call.

FAULT: bind_tools changes the model itself and returns it, so tools and tool_choice leak into every other use.
MODEL: EnterpriseGatewayChat
KWARGS: {}
WIRE: openai
"""

from __future__ import annotations

import json
from typing import Any, Iterator, Sequence

import requests
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    convert_to_openai_messages,
)
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.output_parsers.openai_tools import make_invalid_tool_call, parse_tool_call
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import SecretStr


class EnterpriseGatewayChat(BaseChatModel):
    model_name: str = "enterprise-gpt"
    base_url: str = "http://localhost:8000/v1"
    api_key: SecretStr = SecretStr("none")
    temperature: float = 0.1
    timeout: int = 60
    tools: list[dict] = []
    tool_choice: Any = None

    @property
    def _llm_type(self) -> str:
        return "enterprise-gateway"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model_name": self.model_name,
            "base_url": self.base_url,
            "temperature": self.temperature,
            "tools": self.tools,
            "tool_choice": self.tool_choice,
        }

    def bind_tools(self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any):
        self.tools = [convert_to_openai_tool(tool) for tool in tools]
        if tool_choice == "any":
            tool_choice = "required"
        elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            tool_choice = {"type": "function", "function": {"name": tool_choice}}
        self.tool_choice = tool_choice
        return self

    def _post(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        stream: bool,
        kwargs: dict[str, Any],
    ):
        payload = {
            "model": self.model_name,
            "messages": convert_to_openai_messages(messages),
            "temperature": self.temperature,
            "stream": stream,
        }
        if self.tools:
            payload["tools"] = self.tools
            if self.tool_choice:
                payload["tool_choice"] = self.tool_choice
        if stop:
            payload["stop"] = stop
        if stream:
            payload["stream_options"] = {"include_usage": True}
        payload.update(kwargs)
        payload["stream"] = stream
        response = requests.post(
            self.base_url.rstrip("/") + "/chat/completions",
            json=payload,
            headers={"Authorization": f"Bearer {self.api_key.get_secret_value()}"},
            timeout=self.timeout,
            stream=stream,
        )
        response.raise_for_status()
        return response

    @staticmethod
    def _usage(raw: dict | None) -> dict | None:
        if not raw:
            return None
        return {
            "input_tokens": raw["prompt_tokens"],
            "output_tokens": raw["completion_tokens"],
            "total_tokens": raw["total_tokens"],
        }

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        data = self._post(messages, stop, False, kwargs).json()
        choice = data["choices"][0]
        calls, bad = [], []
        for raw in choice["message"].get("tool_calls") or []:
            try:
                calls.append(parse_tool_call(raw, return_id=True))
            except Exception as e:
                bad.append(make_invalid_tool_call(raw, str(e)))
        message = AIMessage(
            content=choice["message"].get("content") or "",
            tool_calls=calls,
            invalid_tool_calls=bad,
            usage_metadata=self._usage(data.get("usage")),
            response_metadata={
                "model_name": data.get("model"),
                "finish_reason": choice.get("finish_reason"),
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        finished = False
        with self._post(messages, stop, True, kwargs) as response:
            for line in response.iter_lines():
                if not line.startswith(b"data:"):
                    continue
                data = line[5:].strip()
                if data == b"[DONE]":
                    break
                event = json.loads(data)
                if event.get("error"):
                    raise RuntimeError(event["error"])
                if not event.get("choices"):
                    if event.get("usage"):
                        yield ChatGenerationChunk(
                            message=AIMessageChunk(
                                content="", usage_metadata=self._usage(event["usage"])
                            )
                        )
                    continue
                choice = event["choices"][0]
                delta = choice.get("delta") or {}
                metadata = {}
                if choice.get("finish_reason"):
                    finished = True
                    metadata = {
                        "finish_reason": choice["finish_reason"],
                        "model_name": event.get("model"),
                    }
                chunk = ChatGenerationChunk(
                    message=AIMessageChunk(
                        content=delta.get("content") or "",
                        tool_call_chunks=[
                            tool_call_chunk(
                                name=t.get("function", {}).get("name"),
                                args=t.get("function", {}).get("arguments"),
                                id=t.get("id"),
                                index=t["index"],
                            )
                            for t in delta.get("tool_calls") or []
                        ],
                        response_metadata=metadata,
                    )
                )
                if run_manager:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk
        if not finished:
            raise RuntimeError("the gateway's stream ended early")
