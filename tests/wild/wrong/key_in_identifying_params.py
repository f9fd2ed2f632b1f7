"""Modelled on: a great many small wrappers: `api_key: str` as a plain field, and identifying parameters that are
"everything the model has", so that traces are complete.

Wrong: the key is everywhere. What the user feels: it stands in `repr(model)`, in logs, in the run's parameters that go
to LangSmith and to every callback handler, in `dumps(model)` and in a SQLite cache's key column.

FAULT: the API key is a plain string field, so it shows in repr() and in what dumps() writes of the model.
FAULT: _identifying_params has the API key, so callbacks and tracers get it with every run, and cache keys hold it.

MODEL: SiliconChat
KWARGS: {"api_key": "sk-test-0123456789"}
WIRE: openai
"""

from typing import Any, AsyncIterator, Dict, Iterator, List, Mapping, Optional

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


class SiliconChat(BaseChatModel):
    api_key: str
    base_url: str = "http://127.0.0.1:8000/v1"
    model: str = "silicon-7b"
    temperature: float = 0.7
    max_tokens: Optional[int] = None

    @property
    def _llm_type(self) -> str:
        return "silicon-chat"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {
            name: getattr(self, name)
            for name in ("api_key", "base_url", "model", "temperature", "max_tokens")
        }

    def _args(
        self, messages: List[BaseMessage], stop: Optional[List[str]], kwargs: Dict[str, Any]
    ) -> Dict[str, Any]:
        kwargs.pop("stream", None)
        args = {
            "model": self.model,
            "messages": convert_to_openai_messages(messages),
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "stop": stop or None,
            **kwargs,
        }
        return {k: v for k, v in args.items() if v is not None}

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        if tool_choice in ("any", True):
            tool_choice = "required"
        elif tool_choice and tool_choice not in ("auto", "none", "required"):
            tool_choice = {"type": "function", "function": {"name": tool_choice}}
        if tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)

    @staticmethod
    def _usage(usage):
        return usage and {
            "input_tokens": usage.prompt_tokens,
            "output_tokens": usage.completion_tokens,
            "total_tokens": usage.total_tokens,
        }

    def _result(self, completion) -> ChatResult:
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
            usage_metadata=self._usage(completion.usage),
            response_metadata={
                "model_name": completion.model,
                "finish_reason": choice.finish_reason,
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _chunk(self, event) -> ChatGenerationChunk:
        choice = event.choices[0] if event.choices else None
        calls = (choice.delta.tool_calls if choice else None) or []
        done = choice is not None and choice.finish_reason
        return ChatGenerationChunk(
            message=AIMessageChunk(
                content=(choice.delta.content if choice else "") or "",
                tool_call_chunks=[
                    {
                        "name": c.function.name,
                        "args": c.function.arguments,
                        "id": c.id,
                        "index": c.index,
                    }
                    for c in calls
                ],
                usage_metadata=self._usage(event.usage),
                response_metadata={"model_name": event.model, "finish_reason": choice.finish_reason}
                if done
                else {},
            )
        )

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        with openai.OpenAI(api_key=self.api_key, base_url=self.base_url) as client:
            return self._result(
                client.chat.completions.create(**self._args(messages, stop, kwargs))
            )

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        async with openai.AsyncOpenAI(api_key=self.api_key, base_url=self.base_url) as client:
            return self._result(
                await client.chat.completions.create(**self._args(messages, stop, kwargs))
            )

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> Iterator[ChatGenerationChunk]:
        args = {
            **self._args(messages, stop, kwargs),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        with openai.OpenAI(api_key=self.api_key, base_url=self.base_url) as client:
            for event in client.chat.completions.create(**args):
                yield self._chunk(event)

    async def _astream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> AsyncIterator[ChatGenerationChunk]:
        args = {
            **self._args(messages, stop, kwargs),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        async with openai.AsyncOpenAI(api_key=self.api_key, base_url=self.base_url) as client:
            async for event in await client.chat.completions.create(**args):
                yield self._chunk(event)
