"""A gateway model whose stream skips every event that it does not know, errors too.

Modelled on: OpenAI-compatible wrappers of 2025 and 2026 with "if no choices: continue" in their SSE loop, and the
bug reports about gateways whose failures, within a 200 stream, end as empty or half answers.
Wrong: when the provider fails amid the answer (overloaded, quota), the stream ends as if all were well: the user
gets half an answer, no retry and no fallback starts, and the trace is green.
FAULT: an error event inside the stream is skipped, so a broken-off answer passes for a whole one.
MODEL: ChatSluice
KWARGS: {}
WIRE: openai
"""

import json
from typing import Any

import requests
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.utils import convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import SecretStr


class ChatSluice(BaseChatModel):
    model: str = "sluice-70b"
    endpoint: str = "http://localhost:8080"
    token: SecretStr = SecretStr("none")

    @property
    def _llm_type(self) -> str:
        return "sluice"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model, "endpoint": self.endpoint}

    def _open(self, messages, stop, stream, kwargs) -> requests.Response:
        body = {
            "model": self.model,
            **{k: v for k, v in kwargs.items() if k != "stream" and v is not None},
        }
        body["messages"] = convert_to_openai_messages(messages)
        if stop:
            body["stop"] = stop
        if stream:
            body.update(stream=True, stream_options={"include_usage": True})
        response = requests.post(
            f"{self.endpoint}/v1/chat/completions",
            json=body,
            headers={"Authorization": f"Bearer {self.token.get_secret_value()}"},
            stream=stream,
            timeout=120,
        )
        response.raise_for_status()
        return response

    @staticmethod
    def _usage(raw):
        if not raw:
            return None
        return {
            "input_tokens": raw["prompt_tokens"],
            "output_tokens": raw["completion_tokens"],
            "total_tokens": raw["total_tokens"],
        }

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        data = self._open(messages, stop, False, kwargs).json()
        choice = data["choices"][0]
        message = AIMessage(
            content=choice["message"].get("content") or "",
            tool_calls=[
                {
                    "name": c["function"]["name"],
                    "args": json.loads(c["function"]["arguments"] or "{}"),
                    "id": c["id"],
                }
                for c in choice["message"].get("tool_calls") or []
            ],
            usage_metadata=self._usage(data.get("usage")),
            response_metadata={
                "model_name": data["model"],
                "finish_reason": choice["finish_reason"],
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(self, messages, stop=None, run_manager=None, **kwargs: Any):
        with self._open(messages, stop, True, kwargs) as response:
            response.encoding = "utf-8"
            for line in response.iter_lines(decode_unicode=True):
                if not line or not line.startswith("data: "):
                    continue
                if line == "data: [DONE]":
                    break
                try:
                    data = json.loads(line[6:])
                except json.JSONDecodeError:
                    continue
                if data.get("usage"):
                    yield ChatGenerationChunk(
                        message=AIMessageChunk(
                            content="", usage_metadata=self._usage(data["usage"])
                        )
                    )
                if not data.get("choices"):
                    continue
                choice = data["choices"][0]
                delta = choice.get("delta") or {}
                metadata = {}
                if choice.get("finish_reason"):
                    metadata = {
                        "model_name": data["model"],
                        "finish_reason": choice["finish_reason"],
                    }
                yield ChatGenerationChunk(
                    message=AIMessageChunk(
                        content=delta.get("content") or "",
                        tool_call_chunks=[
                            {
                                "name": c.get("function", {}).get("name"),
                                "args": c.get("function", {}).get("arguments"),
                                "id": c.get("id"),
                                "index": c.get("index"),
                                "type": "tool_call_chunk",
                            }
                            for c in delta.get("tool_calls") or []
                        ],
                        response_metadata=metadata,
                    )
                )

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        if tool_choice in ("any", True):
            kwargs["tool_choice"] = "required"
        elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            kwargs["tool_choice"] = {"type": "function", "function": {"name": tool_choice}}
        elif tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)
