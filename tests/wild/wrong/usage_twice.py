"""Modelled on: hand-written clients of Anthropic's Messages streams. (Found in more than one integration: the counts of
`message_start` and of `message_delta` are both reported, and LangChain adds what chunks report.)

Wrong: usage of streams is too high. What the user feels: streaming costs more than not streaming in the dashboard,
token budgets and get_usage_metadata_callback disagree with the bill; agents that stream hit their limits early.

FAULT: a stream reports the input tokens twice and the first output token as well: with message_start, and again with the totals of message_delta.

MODEL: MessagesChat
KWARGS: {}
WIRE: anthropic
"""

import json
from typing import Any, Dict, Iterator, List, Optional, Tuple

import requests
from langchain_core.language_models import BaseChatModel
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
from pydantic import Field, SecretStr


class MessagesChat(BaseChatModel):
    base_url: str = "http://127.0.0.1:8080"
    api_key: SecretStr = Field(default=SecretStr(""))
    model: str = "claude-like"
    max_tokens: int = 1024
    temperature: Optional[float] = None

    @property
    def _llm_type(self) -> str:
        return "messages-chat"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        return {
            "base_url": self.base_url,
            "model": self.model,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
        }

    @staticmethod
    def _text_blocks(message: BaseMessage) -> List[dict]:
        blocks = []
        for block in [message.content] if isinstance(message.content, str) else message.content:
            if isinstance(block, str):
                block = {"type": "text", "text": block}
            if block["type"] in ("tool_use", "tool_call"):
                continue
            if block["type"] != "text":
                raise ValueError(f"MessagesChat sends text only, no {block['type']}")
            if block["text"]:
                blocks.append({"type": "text", "text": block["text"]})
        return blocks

    def _convert(self, messages: List[BaseMessage]) -> Tuple[str, List[dict]]:
        system, turns = [], []
        for m in messages:
            if isinstance(m, SystemMessage):
                system.append(m.text)
                continue
            if isinstance(m, HumanMessage):
                role, blocks = "user", self._text_blocks(m)
            elif isinstance(m, ToolMessage):
                role = "user"
                blocks = [
                    {
                        "type": "tool_result",
                        "tool_use_id": m.tool_call_id,
                        "content": self._text_blocks(m),
                    }
                ]
                if m.status == "error":
                    blocks[0]["is_error"] = True
            elif isinstance(m, AIMessage):
                role = "assistant"
                blocks = self._text_blocks(m) + [
                    {"type": "tool_use", "id": c["id"], "name": c["name"], "input": c["args"]}
                    for c in m.tool_calls
                ]
            else:
                raise ValueError(f"MessagesChat cannot send {type(m).__name__}")
            if turns and turns[-1]["role"] == role:
                turns[-1]["content"] += blocks
            elif blocks:
                turns.append({"role": role, "content": blocks})
        return "\n\n".join(system), turns

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        made = []
        for t in tools:
            f = convert_to_openai_tool(t)["function"]
            made.append(
                {
                    "name": f["name"],
                    "description": f.get("description", ""),
                    "input_schema": f["parameters"],
                }
            )
        if tool_choice in ("any", "required", True):
            kwargs["tool_choice"] = {"type": "any"}
        elif tool_choice in ("auto", "none"):
            kwargs["tool_choice"] = {"type": tool_choice}
        elif tool_choice:
            kwargs["tool_choice"] = {"type": "tool", "name": tool_choice}
        return self.bind(tools=made, **kwargs)

    def _post(self, messages, stop, kwargs, stream: bool) -> requests.Response:
        kwargs.pop("stream", None)
        system, turns = self._convert(messages)
        body = {
            "model": self.model,
            "max_tokens": self.max_tokens,
            "messages": turns,
            "system": system or None,
            "temperature": self.temperature,
            "stop_sequences": stop or None,
            "stream": stream or None,
            **kwargs,
        }
        response = requests.post(
            f"{self.base_url.rstrip('/')}/v1/messages",
            json={k: v for k, v in body.items() if v is not None},
            headers={
                "x-api-key": self.api_key.get_secret_value(),
                "anthropic-version": "2023-06-01",
            },
            stream=stream,
            timeout=60,
        )
        if response.status_code >= 400:
            raise RuntimeError(f"{response.status_code}: {response.text[:300]}")
        return response

    @staticmethod
    def _usage(usage: Dict[str, Any]) -> dict:
        read, written = usage.get("input_tokens", 0), usage.get("output_tokens", 0)
        return {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        data = self._post(messages, stop, kwargs, False).json()
        message = AIMessage(
            content="".join(b["text"] for b in data["content"] if b["type"] == "text"),
            tool_calls=[
                {"name": b["name"], "args": b["input"], "id": b["id"]}
                for b in data["content"]
                if b["type"] == "tool_use"
            ],
            usage_metadata=self._usage(data["usage"]),
            response_metadata={"model_name": data["model"], "stop_reason": data["stop_reason"]},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> Iterator[ChatGenerationChunk]:
        input_tokens = 0
        with self._post(messages, stop, kwargs, True) as response:
            for line in response.iter_lines():
                if not line.startswith(b"data:"):
                    continue
                event = json.loads(line[5:])
                chunk = None
                if event["type"] == "message_start":
                    start = event["message"]
                    input_tokens = start["usage"]["input_tokens"]
                    chunk = AIMessageChunk(
                        content="",
                        usage_metadata=self._usage(start["usage"]),
                        response_metadata={"model_name": start["model"]},
                    )
                elif (
                    event["type"] == "content_block_start"
                    and event["content_block"]["type"] == "tool_use"
                ):
                    block = event["content_block"]
                    call = {
                        "name": block["name"],
                        "args": "",
                        "id": block["id"],
                        "index": event["index"],
                    }
                    chunk = AIMessageChunk(content="", tool_call_chunks=[call])
                elif (
                    event["type"] == "content_block_delta"
                    and event["delta"]["type"] == "text_delta"
                ):
                    chunk = AIMessageChunk(content=event["delta"]["text"])
                elif (
                    event["type"] == "content_block_delta"
                    and event["delta"]["type"] == "input_json_delta"
                ):
                    call = {
                        "name": None,
                        "args": event["delta"]["partial_json"],
                        "id": None,
                        "index": event["index"],
                    }
                    chunk = AIMessageChunk(content="", tool_call_chunks=[call])
                elif event["type"] == "message_delta":
                    totals = {"input_tokens": input_tokens, **event["usage"]}
                    chunk = AIMessageChunk(
                        content="",
                        usage_metadata=self._usage(totals),
                        response_metadata={"stop_reason": event["delta"]["stop_reason"]},
                    )
                elif event["type"] == "error":
                    raise RuntimeError(f"stream failed: {event['error']}")
                if chunk is not None:
                    yield ChatGenerationChunk(message=chunk)
