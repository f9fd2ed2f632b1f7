"""Chat model for home automation on the ollama SDK (sync and async clients made per call).

Modelled on: smart-home assistants and notebooks around ollama.Client; reports of "temperature 0 ignored" and of agents
which never call a tool once streaming is on.
What is wrong: (1) options are gathered with `if self.temperature:` so temperature=0 and seed=0 never reach the server: users
who ask for repeatable answers get the server's default randomness; only None should be left out. (2) in a stream, records
with empty content are skipped, but Ollama sends tool calls in exactly such records: stream()/astream() lose every tool call while
invoke() has them; the record should be kept when it carries tool calls.
FAULT: temperature=0 / seed=0 of the constructor are never sent; tool calls are lost in stream/astream (records with empty content are skipped)
MODEL: HomeOllama
KWARGS: {"base_url": "http://127.0.0.1:11434", "model": "tiny"}
WIRE: ollama
"""

from __future__ import annotations

import json
import uuid
from typing import Any, AsyncIterator, Dict, Iterator, List, Optional

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
from langchain_core.messages.tool import tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool


class HomeOllama(BaseChatModel):
    base_url: str = "http://127.0.0.1:11434"
    model: str
    temperature: Optional[float] = None
    seed: Optional[int] = None
    num_predict: Optional[int] = None
    timeout: float = 120.0

    @property
    def _llm_type(self) -> str:
        return "home-ollama"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        return {
            "base_url": self.base_url,
            "model": self.model,
            "temperature": self.temperature,
            "seed": self.seed,
            "num_predict": self.num_predict,
        }

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)

    @staticmethod
    def _message(m: BaseMessage) -> Dict[str, Any]:
        if not isinstance(m.content, str):
            for block in m.content:
                if isinstance(block, dict) and block.get("type") not in (
                    "text",
                    "tool_use",
                    "tool_call",
                ):
                    raise NotImplementedError(
                        f"HomeOllama cannot send {block.get('type')!r} content"
                    )
        out: Dict[str, Any] = {"content": str(m.text)}
        if isinstance(m, SystemMessage):
            out["role"] = "system"
        elif isinstance(m, HumanMessage):
            out["role"] = "user"
        elif isinstance(m, AIMessage):
            out["role"] = "assistant"
            if m.tool_calls:
                out["tool_calls"] = [
                    {"function": {"name": c["name"], "arguments": c["args"]}} for c in m.tool_calls
                ]
        elif isinstance(m, ToolMessage):
            out["role"] = "tool"
            if m.name:
                out["tool_name"] = m.name
        else:
            raise NotImplementedError(f"HomeOllama cannot send a {type(m).__name__}")
        return out

    def _options(self, stop: Optional[List[str]], kwargs: Dict[str, Any]) -> Dict[str, Any]:
        options: Dict[str, Any] = {}
        if self.temperature:
            options["temperature"] = self.temperature
        if self.seed:
            options["seed"] = self.seed
        if self.num_predict:
            options["num_predict"] = self.num_predict
        for name in ("temperature", "seed", "num_predict"):
            if name in kwargs:
                options[name] = kwargs.pop(name)
        if stop:
            options["stop"] = stop
        return options

    def _args(
        self, messages: List[BaseMessage], stop: Optional[List[str]], kwargs: Dict[str, Any]
    ) -> Dict[str, Any]:
        kwargs = dict(kwargs)
        options = self._options(stop, kwargs)
        return {
            "model": self.model,
            "messages": [self._message(m) for m in messages],
            "options": options,
            **kwargs,
        }

    @staticmethod
    def _usage(answer: Any) -> Optional[Dict[str, int]]:
        if answer.prompt_eval_count is None and answer.eval_count is None:
            return None
        read, made = answer.prompt_eval_count or 0, answer.eval_count or 0
        return {"input_tokens": read, "output_tokens": made, "total_tokens": read + made}

    def _result(self, answer: Any) -> ChatResult:
        calls = [
            tool_call(name=c.function.name, args=dict(c.function.arguments), id=str(uuid.uuid4()))
            for c in answer.message.tool_calls or []
        ]
        return ChatResult(
            generations=[
                ChatGeneration(
                    message=AIMessage(
                        content=answer.message.content or "",
                        tool_calls=calls,
                        usage_metadata=self._usage(answer),
                        response_metadata={
                            "model_name": answer.model,
                            "done_reason": answer.done_reason,
                        },
                    )
                )
            ]
        )

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        client = ollama.Client(host=self.base_url, timeout=self.timeout)
        return self._result(client.chat(**self._args(messages, stop, kwargs)))

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        client = ollama.AsyncClient(host=self.base_url, timeout=self.timeout)
        return self._result(await client.chat(**self._args(messages, stop, kwargs)))

    def _chunk(self, part: Any, state: Dict[str, Any]) -> Optional[ChatGenerationChunk]:
        if part.done:
            state["done"] = True
            return ChatGenerationChunk(
                message=AIMessageChunk(
                    content=part.message.content or "",
                    usage_metadata=self._usage(part),
                    response_metadata={"model_name": part.model, "done_reason": part.done_reason},
                )
            )
        if not part.message.content:
            return None
        calls = [
            tool_call_chunk(
                name=c.function.name,
                args=json.dumps(dict(c.function.arguments)),
                id=str(uuid.uuid4()),
                index=i,
            )
            for i, c in enumerate(part.message.tool_calls or [])
        ]
        return ChatGenerationChunk(
            message=AIMessageChunk(content=part.message.content, tool_call_chunks=calls)
        )

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> Iterator[ChatGenerationChunk]:
        state: Dict[str, Any] = {}
        client = ollama.Client(host=self.base_url, timeout=self.timeout)
        for part in client.chat(stream=True, **self._args(messages, stop, kwargs)):
            if chunk := self._chunk(part, state):
                if run_manager:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk
        if not state.get("done"):
            raise RuntimeError("the stream ended before the answer did")

    async def _astream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> AsyncIterator[ChatGenerationChunk]:
        state: Dict[str, Any] = {}
        client = ollama.AsyncClient(host=self.base_url, timeout=self.timeout)
        async for part in await client.chat(stream=True, **self._args(messages, stop, kwargs)):
            if chunk := self._chunk(part, state):
                if run_manager:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk
        if not state.get("done"):
            raise RuntimeError("the stream ended before the answer did")
