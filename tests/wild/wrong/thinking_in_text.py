"""A local Ollama server by its own Python client, where thinking is laid before the text.

Modelled on: repositories of 2025 that took up reasoning models by writing what the server sends as `thinking`
into the content, between tags, "so that nothing is lost"; a vendor package had this as a bug.

Wrong: the thoughts are part of the answer. The user feels it everywhere: chats show them, they go back to the
model as if they had been said (and fill the context), and JSON that was asked for by `format` can't be parsed.

FAULT: The server's thinking is written into the message's content, in both ways of asking, instead of being kept apart as reasoning.
FAULT: Thoughts that stand in earlier answers are sent back to the server as part of the conversation's text.
MODEL: ThinkingOllama
KWARGS: {}
WIRE: ollama
"""

from __future__ import annotations

import json
import uuid
from typing import Any, AsyncIterator, Iterator, Sequence

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.messages.tool import tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from ollama import AsyncClient, Client


def _text(message: BaseMessage) -> str:
    if isinstance(message.content, list):
        for block in message.content:
            if isinstance(block, dict) and block.get("type") != "text":
                raise ValueError(f"this class sends text only, not {block.get('type')!r}")
    return message.text


class ThinkingOllama(BaseChatModel):
    model: str = "think-small"
    base_url: str = "http://localhost:11434"
    temperature: float | None = None
    timeout: float = 120.0

    @property
    def _llm_type(self) -> str:
        return "thinking-ollama"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model, "base_url": self.base_url, "temperature": self.temperature}

    def _params(self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict) -> dict:
        wire = []
        for m in messages:
            if isinstance(m, ToolMessage):
                wire.append({"role": "tool", "content": _text(m), "tool_name": m.name})
            elif isinstance(m, AIMessage):
                calls = [
                    {"function": {"name": c["name"], "arguments": c["args"]}} for c in m.tool_calls
                ]
                wire.append({"role": "assistant", "content": m.text, "tool_calls": calls or None})
            else:
                wire.append({"role": {"human": "user"}.get(m.type, m.type), "content": _text(m)})
        kwargs = {k: v for k, v in kwargs.items() if k != "stream"}
        if "max_tokens" in kwargs:
            kwargs["num_predict"] = kwargs.pop("max_tokens")
        options: dict[str, Any] = {"temperature": self.temperature}
        for key in ("temperature", "num_predict", "seed", "top_p", "top_k"):
            if key in kwargs:
                options[key] = kwargs.pop(key)
        options = {k: v for k, v in options.items() if v is not None}
        if stop:
            options["stop"] = stop
        return {
            "model": self.model,
            "messages": wire,
            "options": options,
            **kwargs,  # tools, format, think, keep_alive; the client refuses the rest
        }

    @staticmethod
    def _end(part: Any) -> dict[str, Any]:
        if not part.done:
            return {}
        read, written = part.prompt_eval_count or 0, part.eval_count or 0
        return {
            "usage_metadata": {
                "input_tokens": read,
                "output_tokens": written,
                "total_tokens": read + written,
            },
            "response_metadata": {"model_name": part.model, "done_reason": part.done_reason},
        }

    def _message(self, answer: Any) -> ChatResult:
        text = answer.message.content or ""
        if answer.message.thinking:
            text = f"<think>\n{answer.message.thinking}\n</think>\n\n{text}"
        calls = [
            tool_call(
                name=c.function.name, args=dict(c.function.arguments), id=f"call_{uuid.uuid4().hex}"
            )
            for c in answer.message.tool_calls or []
        ]
        message = AIMessage(content=text, tool_calls=calls, **self._end(answer))
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _chunk(self, part: Any, state: dict) -> ChatGenerationChunk:
        text = ""
        if part.message.thinking:
            if not state.get("thinking"):
                text, state["thinking"] = "<think>\n", True
            text += part.message.thinking
        elif state.get("thinking"):
            text, state["thinking"] = "\n</think>\n\n", False
        text += part.message.content or ""
        chunks = []
        for c in part.message.tool_calls or []:
            chunks.append(
                tool_call_chunk(
                    name=c.function.name,
                    args=json.dumps(dict(c.function.arguments)),
                    id=f"call_{uuid.uuid4().hex}",
                    index=state.setdefault("calls", 0),
                )
            )
            state["calls"] += 1
        state["done"] = state.get("done") or bool(part.done)
        return ChatGenerationChunk(
            message=AIMessageChunk(content=text, tool_call_chunks=chunks, **self._end(part))
        )

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        client = Client(host=self.base_url, timeout=self.timeout)
        return self._message(client.chat(**self._params(messages, stop, kwargs)))

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        client = AsyncClient(host=self.base_url, timeout=self.timeout)
        return self._message(await client.chat(**self._params(messages, stop, kwargs)))

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        client, state = Client(host=self.base_url, timeout=self.timeout), {}
        for part in client.chat(**self._params(messages, stop, kwargs), stream=True):
            chunk = self._chunk(part, state)
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk
        if not state.get("done"):
            raise RuntimeError("the server's stream ended early")

    async def _astream(
        self, messages, stop=None, run_manager=None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        client, state = AsyncClient(host=self.base_url, timeout=self.timeout), {}
        async for part in await client.chat(**self._params(messages, stop, kwargs), stream=True):
            chunk = self._chunk(part, state)
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk
        if not state.get("done"):
            raise RuntimeError("the server's stream ended early")

    def bind_tools(self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any):
        if tool_choice not in (None, "auto"):
            raise NotImplementedError("Ollama has no tool_choice")
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)
