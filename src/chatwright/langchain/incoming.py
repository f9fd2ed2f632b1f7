"""LangChain's own messages, chunks and results as deltas: what a model inside a source says."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.messages.base import merge_content
from langchain_core.outputs import ChatGeneration, ChatResult, LLMResult
from langchain_core.utils._merge import merge_dicts

from chatwright.deltas import Block, Delta, Finish, Reasoning, Refusal, ToolCallDelta, Usage

__all__ = ["LANGCHAINS", "SOURCE_MESSAGE", "Incoming", "restored"]

LANGCHAINS = (BaseMessage, ChatGeneration, ChatResult, LLMResult)
"""The classes whose instances are taken apart here."""

SOURCE_MESSAGE = "source_message"
"""Where an answer keeps the content that the model inside wrote, if it has forms of its own:
`additional_kwargs["source_message"]` holds `content` and `response_metadata`, to go back as is."""

_CALLS = frozenset({"invalid_tool_call", "tool_call", "tool_call_chunk"})
_OF_A_TEXT = frozenset({"id", "index", "text", "type"})
_OURS = frozenset({"finish_state", "model_provider", "normalized_finish_reason", "output_version"})
_REASONS = ("finish_reason", "stop_reason", "done_reason")
_PER_MESSAGE = 1_000_000  # calls that one message may have

Content: TypeAlias = str | list[str | dict[str, Any]]


class Incoming:
    """One answer's messages on their way: deltas at once, the totals at the end."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._usage: UsageMetadata | None = None
        self._before: dict[str, Any] = {}
        self._metadata: dict[str, Any] = {}
        self._kwargs: dict[str, Any] = {}
        self._contents: list[Content] = []
        self._own_forms = False
        self._id: str | None = None
        self._message = 0
        self._any = False

    def text(self, item: Any) -> str | None:
        """Return the text of a chunk that holds nothing else, as nearly all do."""
        if type(item) is not AIMessageChunk:
            return None
        fields = item.__dict__
        text = fields["content"]
        if (
            type(text) is not str
            or fields["tool_call_chunks"]
            or fields["additional_kwargs"]
            or fields["response_metadata"]
            or fields["usage_metadata"]
            or fields["id"] != self._id
        ):
            return None
        self._contents.append(text)
        return text

    def deltas(self, item: Any) -> Iterator[Delta]:
        """Yield what a message, a chunk or a result says.

        Anything that is no answer, a user's message for one, comes as it is: to be refused.
        """
        if isinstance(item, ChatResult | LLMResult):
            yield from self._result(item)
        elif isinstance(item, ChatGeneration):
            yield from self._taken(item.message, item.generation_info or {})
        else:
            yield from self._taken(item, {})

    def end(self) -> Iterator[Delta]:
        """Yield the totals, once nothing more comes."""
        if not self._any:
            return
        told = {**self._before, **self._metadata}
        metadata = {key: value for key, value in told.items() if key not in _OURS}
        if self._usage is not None:
            yield _usage(self._usage, estimated=bool(metadata.pop("usage_estimated", False)))
        kwargs = {k: v for k, v in self._kwargs.items() if k not in {"refusal", "tool_calls"}}
        kwargs.pop("reasoning_content", None)
        if self._id and not self._id.startswith(("lc_", "run-")):
            metadata.setdefault("id", self._id)
        if self._own_forms:
            marks = {k: v for k, v in self._metadata.items() if k in _OURS}
            content = functools.reduce(merge_content, self._contents)
            kwargs[SOURCE_MESSAGE] = {"content": content, "response_metadata": marks}
        reason = next((told[key] for key in _REASONS if told.get(key)), "stop")
        yield Finish(str(reason), metadata, kwargs)

    def _result(self, result: ChatResult | LLMResult) -> Iterator[Delta]:
        first: Any = result.generations[0] if result.generations else None
        generation = first[0] if isinstance(first, list) else first
        if generation is None:
            return
        if not isinstance(generation, ChatGeneration):  # an LLM's that knows no messages
            self._any = True
            yield generation.text
            return
        output: dict[str, Any] = dict(result.llm_output or {})
        told = getattr(generation.message, "usage_metadata", None)
        if (spent := _counted(output)) and told is None:
            self._usage = add_usage(self._usage, spent)
        output.update(generation.generation_info or {})
        yield from self._taken(generation.message, output)

    def _taken(self, message: Any, info: dict[str, Any]) -> Iterator[Delta]:
        if not isinstance(message, AIMessage):
            yield message
            return
        self._keep(message, info)
        if isinstance(message.content, str):
            yield from self._beside(message)
            yield message.content
        else:
            yield from self._blocks(message)
        yield from self._calls(message)

    def _keep(self, message: AIMessage, info: dict[str, Any]) -> None:
        """Keep what is told once, at the end."""
        chunk = isinstance(message, AIMessageChunk)
        if self._any and (not chunk or (message.id and self._id and message.id != self._id)):
            self._message += 1
            self._before |= self._metadata
            self._metadata, self._kwargs, self._contents = {}, {}, []
            self._own_forms = False
        self._any, self._id = True, message.id or self._id
        if message.usage_metadata is not None:
            self._usage = add_usage(self._usage, message.usage_metadata)
        for told in (info, message.response_metadata):
            if told and chunk:
                self._metadata = merge_dicts(self._metadata, told)
            elif told:
                self._metadata |= told
        if message.additional_kwargs:
            self._kwargs = merge_dicts(self._kwargs, message.additional_kwargs)
        if message.content:
            self._contents.append(message.content)

    @staticmethod
    def _beside(message: AIMessage) -> Iterator[Delta]:
        """Yield what stands beside the content."""
        if reasoning := message.additional_kwargs.get("reasoning_content"):
            yield Reasoning(str(reasoning))
        if refusal := message.additional_kwargs.get("refusal"):
            yield Refusal(str(refusal))

    def _blocks(self, message: AIMessage) -> Iterator[Delta]:
        """Yield what content in blocks says, v0, v1 or a provider's own."""
        reasoned = False
        for block in message.content_blocks:
            match block:
                case {"type": "text"}:
                    yield str(block.get("text", ""))
                    if any(each for key, each in block.items() if key not in _OF_A_TEXT):
                        self._own_forms = True
                        yield Block({**block, "text": ""})
                case {"type": "reasoning", **more}:
                    reasoned = True
                    self._own_forms |= bool(more.keys() - {"id", "index", "reasoning"})
                    yield Reasoning(str(more.get("reasoning") or ""))
                case {"type": "refusal", **more}:
                    reasoned |= "refusal" in message.additional_kwargs
                    yield Refusal(str(more.get("refusal") or ""))
                case {"type": kind} if kind in _CALLS:
                    pass  # `tool_calls` has them
                case {"type": "non_standard", "value": {"type": "input_json_delta" | "tool_use"}}:
                    pass  # likewise
                case _:
                    self._own_forms = True
                    yield Block(dict(block))
        if not reasoned:
            yield from self._beside(message)

    def _calls(self, message: AIMessage) -> Iterator[Delta]:
        first = self._message * _PER_MESSAGE
        if isinstance(message, AIMessageChunk):
            for chunk in message.tool_call_chunks:
                index = first + (chunk["index"] or 0)
                yield ToolCallDelta(index, chunk["id"], chunk["name"], chunk["args"] or "")
            if message.tool_call_chunks:
                return
        for index, call in enumerate(message.tool_calls, first):
            yield ToolCallDelta(index, call["id"], call["name"], call["args"])
        for index, bad in enumerate(message.invalid_tool_calls, first + len(message.tool_calls)):
            yield ToolCallDelta(index, bad["id"], bad["name"], bad["args"] or "")


def restored(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Return a conversation in which answers have the content that the model inside wrote."""
    return [_restored(each) if isinstance(each, AIMessage) else each for each in messages]


def _restored(message: AIMessage) -> AIMessage:
    source = message.additional_kwargs.get(SOURCE_MESSAGE)
    if not isinstance(source, Mapping) or AIMessage(source["content"]).text != message.text:
        return message  # there is none, or somebody has edited the text
    kwargs = {k: v for k, v in message.additional_kwargs.items() if k != SOURCE_MESSAGE}
    metadata = {k: v for k, v in message.response_metadata.items() if k not in _OURS}
    update = {
        "content": source["content"],
        "additional_kwargs": kwargs,
        "response_metadata": {**metadata, **source["response_metadata"]},
    }
    return message.model_copy(update=update)


def _usage(usage: UsageMetadata, *, estimated: bool) -> Usage:
    return Usage(
        usage["input_tokens"],
        usage["output_tokens"],
        {**usage.get("input_token_details", {})},  # type: ignore[dict-item]  # ints, all of them
        {**usage.get("output_token_details", {})},  # type: ignore[dict-item]  # likewise
        estimated,
    )


def _counted(output: dict[str, Any]) -> UsageMetadata | None:
    """Return the tokens that an `llm_output` tells, as models did before there was usage."""
    told = output.pop("token_usage", None)
    if not isinstance(told, Mapping) or "prompt_tokens" not in told:
        return None
    spent, made = int(told["prompt_tokens"]), int(told.get("completion_tokens") or 0)
    return UsageMetadata(input_tokens=spent, output_tokens=made, total_tokens=spent + made)
