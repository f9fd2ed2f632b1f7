"""An Ollama model that takes tools, but forgets in the next turn that it has called them.

Modelled on: home-made Ollama and local-server classes (2025) that added `bind_tools` and the parsing of calls, and
left the conversion of messages as it was: role and text.
Wrong: in an agent's second turn the assistant's message goes out empty, without its calls, and the results come
from nowhere (no name, no id). The LLM calls the same tool again and again, until the recursion limit.
FAULT: an AIMessage's tool_calls are not sent back, and a ToolMessage goes out without saying what it answers.
MODEL: ChatCellar
KWARGS: {}
WIRE: ollama
"""

import json
import uuid
from typing import Any

import httpx
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool

_ROLES = {
    "system": "system",
    "human": "user",
    "ai": "assistant",
    "AIMessageChunk": "assistant",
    "tool": "tool",
}


class ChatCellar(BaseChatModel):
    model: str = "llama3.2"
    base_url: str = "http://localhost:11434"
    temperature: float = 0.0

    @property
    def _llm_type(self) -> str:
        return "cellar"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model, "base_url": self.base_url, "temperature": self.temperature}

    def _body(self, messages, stop, stream, kwargs):
        options = {"temperature": kwargs.get("temperature", self.temperature)}
        if kwargs.get("max_tokens"):
            options["num_predict"] = kwargs["max_tokens"]
        if stop:
            options["stop"] = stop
        body = {
            "model": kwargs.get("model") or self.model,
            "messages": [{"role": _ROLES[m.type], "content": m.text} for m in messages],
            "options": options,
            "stream": stream,
        }
        if kwargs.get("tools"):
            body["tools"] = kwargs["tools"]
        return body

    @staticmethod
    def _usage(data):
        read, written = data.get("prompt_eval_count", 0), data.get("eval_count", 0)
        return {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        with httpx.Client(timeout=300) as client:
            response = client.post(
                f"{self.base_url}/api/chat", json=self._body(messages, stop, False, kwargs)
            )
        response.raise_for_status()
        data = response.json()
        message = AIMessage(
            content=data["message"].get("content", ""),
            tool_calls=[
                {
                    "name": c["function"]["name"],
                    "args": c["function"]["arguments"],
                    "id": str(uuid.uuid4()),
                }
                for c in data["message"].get("tool_calls", [])
            ],
            usage_metadata=self._usage(data),
            response_metadata={"model_name": data["model"], "done_reason": data.get("done_reason")},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(self, messages, stop=None, run_manager=None, **kwargs: Any):
        body = self._body(messages, stop, True, kwargs)
        count = 0
        with (
            httpx.Client(timeout=300) as client,
            client.stream("POST", f"{self.base_url}/api/chat", json=body) as response,
        ):
            response.raise_for_status()
            for line in response.iter_lines():
                if not line:
                    continue
                data = json.loads(line)
                if "error" in data:
                    raise RuntimeError(f"Ollama stopped: {data['error']}")
                calls = []
                for c in data["message"].get("tool_calls", []):
                    calls.append(
                        {
                            "name": c["function"]["name"],
                            "args": json.dumps(c["function"]["arguments"]),
                            "id": str(uuid.uuid4()),
                            "index": count,
                            "type": "tool_call_chunk",
                        }
                    )
                    count += 1
                chunk = AIMessageChunk(
                    content=data["message"].get("content", ""), tool_call_chunks=calls
                )
                if data.get("done"):
                    chunk.usage_metadata = self._usage(data)
                    chunk.response_metadata = {
                        "model_name": data["model"],
                        "done_reason": data.get("done_reason"),
                    }
                yield ChatGenerationChunk(message=chunk)

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        if tool_choice not in (None, "auto"):
            raise NotImplementedError("Ollama can't force a tool call.")
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)
