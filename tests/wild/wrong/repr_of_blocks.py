"""Modelled on: wrappers for a service that wants `content` to be a string, which "flatten" each message with str()
before they send it, in place, so that the rest of the code can rely on it.

Wrong: content in blocks (images, what middleware, MCP tools and other providers' histories are made of) reaches the
LLM as the repr of a Python list. What the user feels: answers about "[{'type': 'text', ...}]", base64 read as text (and
paid for), and a conversation whose own messages have changed after a call.

FAULT: content that is a list of blocks is sent as its Python repr; images are neither sent nor refused.
FAULT: the caller's messages are changed in place.

MODEL: FlattenChat
KWARGS: {}
WIRE: openai
"""

import json
from typing import Any, Dict, Iterator, List, Optional

import requests
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import SecretStr


class FlattenChat(BaseChatModel):
    server_url: str = "http://127.0.0.1:8000/v1"
    token: Optional[SecretStr] = None
    model: str = "flat"
    temperature: float = 0.3

    @property
    def _llm_type(self) -> str:
        return "flatten-chat"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        return {"server_url": self.server_url, "model": self.model, "temperature": self.temperature}

    def _messages(self, messages: List[BaseMessage]) -> List[Dict[str, Any]]:
        result = []
        for message in messages:
            if not isinstance(message.content, str):
                message.content = str(message.content)
            if isinstance(message, SystemMessage):
                result.append({"role": "system", "content": message.content})
            elif isinstance(message, HumanMessage):
                result.append({"role": "user", "content": message.content})
            elif isinstance(message, AIMessage):
                turn: Dict[str, Any] = {"role": "assistant", "content": message.content}
                if message.tool_calls:
                    turn["tool_calls"] = [
                        {
                            "id": c["id"],
                            "type": "function",
                            "function": {"name": c["name"], "arguments": json.dumps(c["args"])},
                        }
                        for c in message.tool_calls
                    ]
                result.append(turn)
            elif isinstance(message, ToolMessage):
                result.append(
                    {
                        "role": "tool",
                        "tool_call_id": message.tool_call_id,
                        "content": message.content,
                    }
                )
            else:
                raise ValueError(f"unknown message type {type(message)}")
        return result

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        if tool_choice in ("any", True):
            tool_choice = "required"
        elif tool_choice and tool_choice not in ("auto", "none", "required"):
            tool_choice = {"type": "function", "function": {"name": tool_choice}}
        if tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)

    def _post(self, messages, stop, kwargs, **more) -> requests.Response:
        kwargs.pop("stream", None)
        body = {
            "model": self.model,
            "temperature": self.temperature,
            "messages": self._messages(messages),
        }
        if stop:
            body["stop"] = stop
        response = requests.post(
            self.server_url.rstrip("/") + "/chat/completions",
            json={**body, **kwargs, **more},
            headers={"Authorization": f"Bearer {self.token.get_secret_value()}"}
            if self.token
            else {},
            stream="stream" in more,
            timeout=60,
        )
        response.raise_for_status()
        return response

    @staticmethod
    def _usage(data):
        u = data.get("usage")
        if not u:
            return None
        return {
            "input_tokens": u["prompt_tokens"],
            "output_tokens": u["completion_tokens"],
            "total_tokens": u["total_tokens"],
        }

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        data = self._post(messages, stop, kwargs).json()
        choice = data["choices"][0]
        calls, bad = [], []
        for c in choice["message"].get("tool_calls") or []:
            try:
                args = json.loads(c["function"]["arguments"])
                calls.append({"name": c["function"]["name"], "args": args, "id": c["id"]})
            except ValueError as e:
                bad.append(
                    {
                        **c["function"],
                        "args": c["function"]["arguments"],
                        "id": c["id"],
                        "error": str(e),
                    }
                )
        message = AIMessage(
            content=choice["message"].get("content") or "",
            tool_calls=calls,
            invalid_tool_calls=[{k: b[k] for k in ("name", "args", "id", "error")} for b in bad],
            usage_metadata=self._usage(data),
            response_metadata={
                "model_name": data["model"],
                "finish_reason": choice["finish_reason"],
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> Iterator[ChatGenerationChunk]:
        with self._post(
            messages, stop, kwargs, stream=True, stream_options={"include_usage": True}
        ) as response:
            for line in response.iter_lines():
                if not line.startswith(b"data:") or line[5:].strip() == b"[DONE]":
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
                                "index": c.get("index"),
                            }
                            for c in delta.get("tool_calls") or []
                        ],
                        usage_metadata=self._usage(data),
                        response_metadata={"model_name": data["model"], "finish_reason": finish}
                        if finish
                        else {},
                    )
                )
