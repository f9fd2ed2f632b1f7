"""Modelled on: repositories that run a small text model in the process (llama-cpp, ctransformers, an MLX pipeline)
and teach it tools in the prompt, with a markup of their own that is parsed out of the text. `tiny_lm` stands for
the model's weights: it reads the prompt, nothing else.

Right: what the model writes is parsed as it streams, markup never leaks into the text, half a stop sequence is held
back and never shown, arguments that are no JSON become invalid tool calls, and a call that was cut is one too.
invoke and stream go the same way. Images are refused by name.

MODEL: PromptedToolsChat
KWARGS: {}
WIRE: none
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel, generate_from_stream
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

OPEN, CLOSE = "<call>", "</call>"

# ------------------------------------------------------------------ what stands for the weights


def _fill(schema: dict[str, Any], name: str, said: str) -> Any:
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return next((v for v in schema["enum"] if str(v) in said), schema["enum"][0])
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return _fill(schema[key][0], name, said)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {k: _fill(v, k, said) for k, v in schema.get("properties", {}).items()}
    if kind == "array":
        return [
            _fill(schema.get("items", {}), name, said) for _ in range(schema.get("minItems", 1))
        ]
    if kind in ("integer", "number"):
        numbers = [w.strip(".,?!") for w in said.split() if w.strip(".,?!").isdigit()]
        return int(numbers[0]) if numbers else int(schema.get("minimum", 1))
    return {"boolean": True, "null": None}.get(
        kind, said.strip(" .?!").split()[-1] if said.split() else name
    )


def tiny_lm(prompt: str) -> Iterator[str]:
    """A language model, as far as this file is concerned: a prompt in, tokens out."""
    turns = [turn.partition("\n") for turn in prompt.split("<|") if turn]
    turns = [(head.rstrip("|>"), body.strip()) for head, _, body in turns]
    rules = "\n".join(body for role, body in turns if role == "rules")
    role, last = ([("user", "")] + [turn for turn in turns if turn[1]])[-1]
    asked = next((body for role, body in reversed(turns) if role == "user"), "")
    tools = [json.loads(line[6:]) for line in rules.splitlines() if line.startswith("TOOL: ")]
    must = [line[6:] for line in rules.splitlines() if line.startswith("CALL: ")]
    chosen = [t for t in tools if t["name"] in (must[0] if must else asked)] or (
        tools if must else []
    )
    if chosen and role == "user":
        call = {"name": chosen[0]["name"], "arguments": _fill(chosen[0]["parameters"], "x", asked)}
        text = f"{OPEN}{json.dumps(call)}{CLOSE}"
    elif role == "tool":
        text = f"The tool says: {last}"
    else:
        text = f"You wrote: {last}"
    for start in range(0, len(text), 5):
        yield text[start : start + 5]


# ------------------------------------------------------------------ text to events


def _held_back(text: str, marks: Sequence[str]) -> int:
    """How many characters at the end of `text` may be the beginning of a mark."""
    longest = 0
    for mark in marks:
        for size in range(min(len(mark) - 1, len(text)), longest, -1):
            if mark.startswith(text[-size:]):
                longest = size
                break
    return longest


def _until_stop(tokens: Iterator[str], stop: Sequence[str]) -> Iterator[str]:
    rest = ""
    for token in tokens:
        rest += token
        found = [at for mark in stop if (at := rest.find(mark)) >= 0]
        if found:
            rest = rest[: min(found)]
            break
        ready = len(rest) - _held_back(rest, stop)
        if ready:
            yield rest[:ready]
            rest = rest[ready:]
    if rest:
        yield rest


def _events(pieces: Iterator[str]) -> Iterator[tuple[str, str]]:
    """("text", said), ("call", what stands in a closed markup) or ("cut", what stands in one left open)."""
    rest, inside = "", False
    for piece in pieces:
        rest += piece
        while True:
            mark = CLOSE if inside else OPEN
            before, found, after = rest.partition(mark)
            if not found:
                break
            if inside:
                yield "call", before
            elif before:
                yield "text", before
            rest, inside = after, not inside
        if not inside and (ready := len(rest) - _held_back(rest, [OPEN])):
            yield "text", rest[:ready]
            rest = rest[ready:]
    if inside:
        yield "cut", rest
    elif rest:
        yield "text", rest


class PromptedToolsChat(BaseChatModel):
    """A chat model over a text model in the process."""

    model: str = "tiny-lm"
    max_tokens: int | None = None
    system_prompt: str = ""

    @property
    def _llm_type(self) -> str:
        return "prompted-tools"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "max_tokens": self.max_tokens,
            "system_prompt": self.system_prompt,
        }

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        made = [convert_to_openai_tool(tool) for tool in tools]
        names = [tool["function"]["name"] for tool in made]
        if tool_choice is True or tool_choice == "required":
            tool_choice = "any"
        if tool_choice and tool_choice not in ("auto", "any", "none", *names):
            raise ValueError(f"tool_choice={tool_choice!r} is not one of {names}")
        return self.bind(tools=made, tool_choice=tool_choice or "auto", **kwargs)

    # ---

    @staticmethod
    def _text(message: BaseMessage) -> str:
        for block in message.content if isinstance(message.content, list) else []:
            if isinstance(block, dict) and block.get("type") not in (
                "text",
                "tool_call",
                "invalid_tool_call",
            ):
                raise ValueError(
                    f"PromptedToolsChat reads text only, not a block of type {block.get('type')!r}"
                )
        return message.text

    def _prompt(
        self, messages: Sequence[BaseMessage], tools: Sequence[dict[str, Any]], choice: str
    ) -> str:
        rules = [self.system_prompt] if self.system_prompt else []
        turns = []
        for message in messages:
            text = self._text(message)
            if isinstance(message, SystemMessage):
                rules.append(text)
            elif isinstance(message, HumanMessage):
                turns.append(f"<|user|>\n{text}\n")
            elif isinstance(message, AIMessage):
                calls = [
                    f"{OPEN}{json.dumps({'name': c['name'], 'arguments': c['args']})}{CLOSE}"
                    for c in message.tool_calls
                ]
                calls += [f"{OPEN}{bad['args']}{CLOSE}" for bad in message.invalid_tool_calls]
                turns.append(f"<|assistant|>\n{text}{''.join(calls)}\n")
            elif isinstance(message, ToolMessage):
                failed = "(this call failed) " if message.status == "error" else ""
                turns.append(f"<|tool|>\n{failed}{text}\n")
            else:
                raise ValueError(f"PromptedToolsChat cannot read a {type(message).__name__}")
        if tools and choice != "none":
            rules.append(
                f'To call a tool, write {OPEN}{{"name": ..., "arguments": {{...}}}}{CLOSE}. There are:'
            )
            for tool in tools:
                function = tool["function"]
                shown = {
                    k: function.get(k, d)
                    for k, d in (("name", ""), ("description", ""), ("parameters", {}))
                }
                rules.append(f"TOOL: {json.dumps(shown)}")
            if choice != "auto":
                rules.append(
                    f"You have to call a tool now.\nCALL: {'any' if choice == 'any' else choice}"
                )
        head = "<|rules|>\n" + "\n".join(rules) + "\n" if rules else ""
        return head + "".join(turns) + "<|assistant|>\n"

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        tools, choice = kwargs.pop("tools", None) or [], kwargs.pop("tool_choice", None) or "auto"
        limit = kwargs.pop("max_tokens", None) or self.max_tokens
        kwargs.pop("stream", None)
        if kwargs:
            raise TypeError(f"PromptedToolsChat does not take {', '.join(sorted(kwargs))}")
        prompt = self._prompt(messages, tools, choice)
        written, finish = 0, "stop"

        def tokens() -> Iterator[str]:
            nonlocal written, finish
            for token in tiny_lm(prompt):
                if limit is not None and written >= limit:
                    finish = "length"
                    return
                written += 1
                yield token

        calls = 0
        for kind, text in _events(_until_stop(tokens(), stop or [])):
            if kind == "text":
                yield ChatGenerationChunk(message=AIMessageChunk(content=text))
                continue
            chunk = self._call_chunk(text, calls, whole=kind == "call")
            calls += 1
            yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[chunk]))
        read = len(prompt) // 5 + 1
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                usage_metadata={
                    "input_tokens": read,
                    "output_tokens": written,
                    "total_tokens": read + written,
                },
                response_metadata={
                    "model_name": self.model,
                    "finish_reason": "tool_calls" if calls and finish == "stop" else finish,
                },
                chunk_position="last",
            )
        )

    @staticmethod
    def _call_chunk(text: str, index: int, whole: bool) -> Any:
        name, args = None, text
        if whole:
            try:
                call = json.loads(text)
                name, arguments = call["name"], call.get("arguments") or {}
                # What is no object would be no arguments: leave it as it is, and it becomes an invalid call.
                args = (
                    json.dumps(arguments)
                    if isinstance(name, str) and isinstance(arguments, dict)
                    else text
                )
            except (ValueError, LookupError, TypeError, AttributeError):
                pass
        if args is text:  # LangChain completes JSON that is cut; a call that is broken must not be
            args = "(broken call) " + text
        return tool_call_chunk(name=name, args=args, id=f"call_{uuid.uuid4().hex}", index=index)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, run_manager, **kwargs))
