"""Modelled on: Ollama wrappers written with OpenAI's request in mind: temperature, stop and max_tokens stand beside
`model` and `messages` in the body of /api/chat.

Wrong: Ollama reads these from `options` and ignores what else is in the body, without a word. What the user feels:
`stop=[...]` (and with it ReAct agents, which run on into an invented "Observation:") does nothing, answers are not cut
at max_tokens, temperature=0 still varies.

FAULT: stop sequences never take effect: they are sent where Ollama does not read them.
FAULT: temperature and max_tokens never take effect, for the same reason.

MODEL: OllamaWrapper
KWARGS: {}
WIRE: ollama
"""

import json
import uuid
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


class OllamaWrapper(BaseChatModel):
    base_url: str = "http://127.0.0.1:11434"
    model: str = "mistral"
    temperature: float = 0.0
    max_tokens: int = 512

    @property
    def _llm_type(self) -> str:
        return "ollama-wrapper"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        return {
            "base_url": self.base_url,
            "model": self.model,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }

    def _messages(self, messages: List[BaseMessage]) -> List[dict]:
        out = []
        for m in messages:
            if isinstance(m.content, list) and any(
                isinstance(b, dict) and b.get("type") != "text" for b in m.content
            ):
                raise ValueError("OllamaWrapper sends text only")
            if isinstance(m, SystemMessage):
                out.append({"role": "system", "content": m.text})
            elif isinstance(m, HumanMessage):
                out.append({"role": "user", "content": m.text})
            elif isinstance(m, AIMessage):
                calls = [
                    {"function": {"name": c["name"], "arguments": c["args"]}} for c in m.tool_calls
                ]
                out.append(
                    {
                        "role": "assistant",
                        "content": m.text,
                        **({"tool_calls": calls} if calls else {}),
                    }
                )
            elif isinstance(m, ToolMessage):
                out.append(
                    {"role": "tool", "content": m.text, **({"tool_name": m.name} if m.name else {})}
                )
            else:
                raise ValueError(f"unsupported message type {type(m).__name__}")
        return out

    def _post(
        self, messages, stop: Optional[List[str]], stream: bool, kwargs: dict
    ) -> requests.Response:
        kwargs.pop("stream", None)
        payload = {
            "model": self.model,
            "messages": self._messages(messages),
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "stream": stream,
            **kwargs,
        }
        if stop:
            payload["stop"] = stop
        response = requests.post(
            f"{self.base_url.rstrip('/')}/api/chat", json=payload, stream=stream, timeout=120
        )
        response.raise_for_status()
        return response

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        if tool_choice not in (None, False, "auto"):
            raise NotImplementedError("Ollama cannot force a tool call (tool_choice)")
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)

    def with_structured_output(self, schema, **kwargs):
        raise NotImplementedError("OllamaWrapper has no structured output")

    @staticmethod
    def _end(data: dict) -> dict:
        read, written = data.get("prompt_eval_count", 0), data.get("eval_count", 0)
        return {
            "usage_metadata": {
                "input_tokens": read,
                "output_tokens": written,
                "total_tokens": read + written,
            },
            "response_metadata": {
                "model_name": data.get("model"),
                "done_reason": data.get("done_reason"),
            },
        }

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        data = self._post(messages, stop, False, kwargs).json()
        if "error" in data:
            raise RuntimeError(data["error"])
        calls = [
            {
                "name": c["function"]["name"],
                "args": c["function"]["arguments"],
                "id": str(uuid.uuid4()),
            }
            for c in data["message"].get("tool_calls") or []
        ]
        message = AIMessage(content=data["message"]["content"], tool_calls=calls, **self._end(data))
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> Iterator[ChatGenerationChunk]:
        count = 0
        with self._post(messages, stop, True, kwargs) as response:
            for line in response.iter_lines():
                if not line:
                    continue
                data = json.loads(line)
                if "error" in data:
                    raise RuntimeError(data["error"])
                chunks = []
                for c in data["message"].get("tool_calls") or []:
                    args = json.dumps(c["function"]["arguments"])
                    chunks.append(
                        {
                            "name": c["function"]["name"],
                            "args": args,
                            "id": str(uuid.uuid4()),
                            "index": count,
                        }
                    )
                    count += 1
                yield ChatGenerationChunk(
                    message=AIMessageChunk(
                        content=data["message"].get("content") or "",
                        tool_call_chunks=chunks,
                        **(self._end(data) if data.get("done") else {}),
                    )
                )
