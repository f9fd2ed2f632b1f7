"""A function that takes a prompt and yields text, as a chat model with a tool protocol of its own.

Modelled on: local-model repositories (llama-cpp bindings, pipelines, in-house inference) that have one callable
`prompt -> pieces of text`, lay a template in front and let the model write its calls as lines.

Right: stop sequences are found across the pieces' borders and are not shown; when tools are bound, a line
that may become a call is held back until it is known; a line that is no whole call of a known tool stays
text; a forced choice is refused, since a prompt can't force; no usage is told, since nothing counts here;
content that is not text is refused; nothing is kept between calls. A toy stands for the LLM where none is
given.

MODEL: ChatOverPrompt
KWARGS: {}
WIRE: none
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.prompts import PromptTemplate
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field

_TOOLS = PromptTemplate.from_template(
    "You may use tools. To use one, write a line of this form and nothing after it:\n"
    '@call NAME {{"argument": "value"}}\n'
    "The tools, one a line:\n{tools}"
)
_MARK = "@call "


def toy(prompt: str) -> Iterator[str]:
    """Stands for an LLM: calls the first tool once, else says what it was told."""
    turns = re.findall(r"<\|(\w+)\|>(.*?)(?=<\|\w+\|>|\Z)", prompt, re.S)
    role, said = [(role, text.strip()) for role, text in turns if text.strip()][-1]
    tool = re.search(r"^- (\{.*\})$", prompt, re.M)
    if tool and role != "tool":
        function = json.loads(tool.group(1))
        names = (function.get("parameters") or {}).get("properties", {})
        values = {"integer": 1, "number": 1.0, "boolean": True, "array": [], "object": {}}
        args = {name: values.get(about.get("type"), said[:20]) for name, about in names.items()}
        answer = f"I look it up.\n{_MARK}{function['name']} {json.dumps(args)}\n"
    else:
        answer = f"You said: {said}"
    for start in range(0, len(answer), 3):
        yield answer[start : start + 3]


def _until(pieces: Iterator[str], stop: Sequence[str]) -> Iterator[str]:
    """The pieces up to the first stop sequence."""
    stop = [word for word in stop if word]
    keep = max((len(word) for word in stop), default=1) - 1
    held = ""
    for piece in pieces:
        held += piece
        ends = [held.index(word) for word in stop if word in held]
        if ends:
            if held[: min(ends)]:
                yield held[: min(ends)]
            return
        if len(held) > keep:
            yield held[: len(held) - keep]
            held = held[len(held) - keep :]
    if held:
        yield held


class ChatOverPrompt(BaseChatModel):
    """A chat model over a callable that continues a prompt."""

    engine: Callable[[str], Iterator[str]] = Field(default=toy, exclude=True)
    model_name: str = "toy"
    stop: list[str] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "chat-over-prompt"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        engine = self.engine
        name = (
            f"{getattr(engine, '__module__', '')}.{getattr(engine, '__qualname__', repr(engine))}"
        )
        return {"model_name": self.model_name, "engine": name, "stop": self.stop}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "in-process"
        if not stop and self.stop:
            params["ls_stop"] = self.stop
        return params

    @staticmethod
    def _words(message: BaseMessage) -> str:
        if isinstance(message.content, list):
            for block in message.content:
                if isinstance(block, dict) and block.get("type") not in (
                    "text",
                    "reasoning",
                    "thinking",
                    "tool_call",
                    "tool_use",
                ):
                    raise ValueError(f"This model reads text, and no {block.get('type')!r}.")
        return message.text

    def _prompt(self, messages: list[BaseMessage], tools: Sequence[dict[str, Any]]) -> str:
        system = [
            self._words(message) for message in messages if isinstance(message, SystemMessage)
        ]
        if tools:
            lines = "\n".join("- " + json.dumps(tool["function"]) for tool in tools)
            system.append(_TOOLS.format(tools=lines))
        parts = ["<|system|>" + "\n\n".join(system)] if system else []
        for message in messages:
            if isinstance(message, SystemMessage):
                continue
            text = self._words(message)
            if isinstance(message, AIMessage):
                for call in message.tool_calls:
                    text += f"\n{_MARK}{call['name']} {json.dumps(call['args'])}"
                for bad in message.invalid_tool_calls:
                    text += f"\n{_MARK}{bad['name']} {bad['args']}"
                parts.append("<|assistant|>" + text.strip())
            elif isinstance(message, ToolMessage):
                parts.append(f"<|tool|>{text}")
            elif message.type == "human":
                parts.append("<|user|>" + text)
            else:
                raise ValueError(f"This model reads no message of type {message.type!r}.")
        return "\n".join([*parts, "<|assistant|>"])

    @staticmethod
    def _calls(pieces: Iterator[str], known: set[str]) -> Iterator[AIMessageChunk]:
        """Text as it comes, and calls where a line is one."""
        line, index, fresh = (
            "",
            0,
            True,
        )  # what is held of a line; fresh: it may still become a call

        def call(text: str) -> AIMessageChunk | None:
            name, _, args = text[len(_MARK) :].strip().partition(" ")
            if name not in known:
                return None
            try:
                if not isinstance(json.loads(args.strip() or "{}"), dict):
                    return None
            except ValueError:
                return None
            return AIMessageChunk(
                content="",
                tool_call_chunks=[
                    tool_call_chunk(
                        name=name,
                        args=args.strip() or "{}",
                        id=f"call_{uuid.uuid4().hex}",
                        index=index,
                    )
                ],
            )

        def finish(text: str) -> AIMessageChunk:
            made = call(text) if text.startswith(_MARK) else None
            return made or AIMessageChunk(content=text)

        for piece in pieces:
            for part in re.findall(r"[^\n]*\n|[^\n]+", piece):
                if not fresh:
                    yield AIMessageChunk(content=part)
                    fresh = part.endswith("\n")
                    continue
                line += part
                if line.endswith("\n"):
                    chunk = finish(line)
                    index += bool(chunk.tool_call_chunks)
                    yield chunk
                    line = ""
                elif not (line.startswith(_MARK) or _MARK.startswith(line)):
                    yield AIMessageChunk(content=line)
                    line, fresh = "", False
        if line:
            yield finish(line)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        tools: Sequence[dict[str, Any]] = (),
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        kwargs.pop("stream", None)
        if kwargs:
            raise TypeError(f"This model knows no {', '.join(sorted(kwargs))}.")
        pieces = _until(
            self.engine(self._prompt(messages, tools)), stop if stop is not None else self.stop
        )
        parts: Iterator[AIMessageChunk]
        if tools:
            parts = self._calls(pieces, {tool["function"]["name"] for tool in tools})
        else:
            parts = (AIMessageChunk(content=piece) for piece in pieces)
        called = False
        for part in parts:
            called = called or bool(part.tool_call_chunks)
            chunk = ChatGenerationChunk(message=part)
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk
        last = AIMessageChunk(
            content="",
            chunk_position="last",
            response_metadata={
                "model_name": self.model_name,
                "model_provider": "in-process",
                "finish_reason": "tool_calls" if called else "stop",
            },
        )
        chunk = ChatGenerationChunk(message=last)
        if run_manager:
            run_manager.on_llm_new_token("", chunk=chunk)
        yield chunk

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop=stop, **kwargs))

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        if tool_choice not in (None, "auto", "none"):
            raise NotImplementedError(f"A prompt can't force a call (tool_choice={tool_choice!r}).")
        if tool_choice == "none":
            return self.bind(**kwargs)
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)
