"""Modelled on: local assistants over the ollama package, whose `_identifying_params` was copied from a tutorial and
tells the provider only. (A public bug of a well-known integration: answers of one model were served for another.)

Wrong: LangChain's cache key is built from these parameters. What the user feels: with a cache set (set_llm_cache),
asking a second model, or the same at another temperature or with another system prompt, returns the first one's
answer; evaluations compare a model with itself. Traces do not show the parameters either.

FAULT: _identifying_params lacks the model, the temperature, the context size and the system prompt, so that a cache serves the answer of one configuration to another.

MODEL: LocalAssistantChat
KWARGS: {}
WIRE: ollama
"""

import uuid
from typing import Any, Dict, Iterator, List, Optional

import ollama
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


class LocalAssistantChat(BaseChatModel):
    host: str = "http://127.0.0.1:11434"
    model: str = "qwen2.5"
    temperature: float = 0.2
    num_ctx: int = 8192
    system_prompt: str = ""

    @property
    def _llm_type(self) -> str:
        return "local-assistant"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        return {"provider": "ollama"}

    def _convert(self, messages: List[BaseMessage]) -> List[Dict[str, Any]]:
        out: List[Dict[str, Any]] = []
        if self.system_prompt:
            out.append({"role": "system", "content": self.system_prompt})
        names = {}
        for m in messages:
            if isinstance(m.content, list):
                for block in m.content:
                    if isinstance(block, dict) and block.get("type") not in (
                        "text",
                        "tool_call",
                        "tool_use",
                    ):
                        raise ValueError(
                            f"LocalAssistantChat has no support for {block.get('type')} content"
                        )
            if isinstance(m, SystemMessage):
                out.append({"role": "system", "content": m.text})
            elif isinstance(m, HumanMessage):
                out.append({"role": "user", "content": m.text})
            elif isinstance(m, AIMessage):
                turn: Dict[str, Any] = {"role": "assistant", "content": m.text}
                if m.tool_calls:
                    turn["tool_calls"] = [
                        {"function": {"name": c["name"], "arguments": c["args"]}}
                        for c in m.tool_calls
                    ]
                    names.update({c["id"]: c["name"] for c in m.tool_calls})
                out.append(turn)
            elif isinstance(m, ToolMessage):
                out.append(
                    {
                        "role": "tool",
                        "content": m.text,
                        "tool_name": m.name or names.get(m.tool_call_id),
                    }
                )
            else:
                raise ValueError(f"unsupported message: {type(m).__name__}")
        return out

    def _request(self, messages, stop, kwargs) -> Dict[str, Any]:
        kwargs.pop("stream", None)
        options = {
            "temperature": kwargs.pop("temperature", self.temperature),
            "num_ctx": self.num_ctx,
        }
        if "max_tokens" in kwargs:
            options["num_predict"] = kwargs.pop("max_tokens")
        if stop:
            options["stop"] = stop
        return {
            "model": self.model,
            "messages": self._convert(messages),
            "options": options,
            **kwargs,
        }

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        if tool_choice not in (None, False, "auto"):
            raise NotImplementedError("Ollama cannot be forced to call a tool (tool_choice)")
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)

    def with_structured_output(self, schema, **kwargs):
        raise NotImplementedError("LocalAssistantChat has no structured output")

    @staticmethod
    def _calls(message: Any) -> List[dict]:
        return [
            {"name": c.function.name, "args": dict(c.function.arguments), "id": uuid.uuid4().hex}
            for c in message.tool_calls or []
        ]

    @staticmethod
    def _end(part: Any) -> Dict[str, Any]:
        read, written = part.prompt_eval_count or 0, part.eval_count or 0
        return {
            "usage_metadata": {
                "input_tokens": read,
                "output_tokens": written,
                "total_tokens": read + written,
            },
            "response_metadata": {"model_name": part.model, "done_reason": part.done_reason},
        }

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        part = ollama.Client(host=self.host).chat(
            **self._request(messages, stop, kwargs), stream=False
        )
        message = AIMessage(
            content=part.message.content or "",
            tool_calls=self._calls(part.message),
            **self._end(part),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        client = ollama.AsyncClient(host=self.host)
        part = await client.chat(**self._request(messages, stop, kwargs), stream=False)
        message = AIMessage(
            content=part.message.content or "",
            tool_calls=self._calls(part.message),
            **self._end(part),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self, messages, stop: Optional[List[str]] = None, run_manager=None, **kwargs
    ) -> Iterator[ChatGenerationChunk]:
        for part in ollama.Client(host=self.host).chat(
            **self._request(messages, stop, kwargs), stream=True
        ):
            yield ChatGenerationChunk(
                message=AIMessageChunk(
                    content=part.message.content or "",
                    tool_calls=self._calls(part.message),
                    **(self._end(part) if part.done else {}),
                )
            )
