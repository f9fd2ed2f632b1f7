"""Pieces of an answer in LangChain's three forms: chunks, protocol events (v3) and one message.

The renderers share one interface: `piece` turns one piece of the answer into what the caller gets,
`last` says the rest once the source is closed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from langchain_core.messages import AIMessage, AIMessageChunk, InvalidToolCall, ToolCall
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import (
    invalid_tool_call,
    tool_call,
    tool_call_chunk,
)
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.utils._merge import merge_dicts
from pydantic import BaseModel

from chatwright.core.jsontext import breaking_suffix
from chatwright.core.piece import Piece
from chatwright.deltas import Block, Reasoning, Refusal, ToolCallDelta

__all__ = ["ChunkRenderer", "EventRenderer", "MessageRenderer", "Renderer", "Summary"]

T_co = TypeVar("T_co", covariant=True)
Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Summary:
    """What is known once an answer has ended."""

    response_metadata: Mapping[str, Any] = field(default_factory=dict)
    usage: UsageMetadata | None = None
    additional_kwargs: Mapping[str, Any] = field(default_factory=dict)


class Renderer(Protocol, Generic[T_co]):
    """Turns an answer's pieces into one of LangChain's forms."""

    def piece(self, piece: Piece) -> Sequence[T_co]:
        """Render one piece."""

    def last(self, summary: Summary) -> Sequence[T_co]:
        """Render the end of the answer."""


class _Blocks:
    """Numbers an answer's content blocks in the order in which they begin."""

    def __init__(self) -> None:
        self._kind: type | None = None
        self._calls: dict[int, int] = {}
        self.count = 0

    def index(self, piece: Piece) -> tuple[int, bool]:
        """Return the number of the block that `piece` belongs to, and whether it begins it."""
        if isinstance(piece, ToolCallDelta):
            self._kind = ToolCallDelta
            begins = piece.index not in self._calls
            if begins:
                self._calls[piece.index] = self.count
                self.count += 1
            return self._calls[piece.index], begins
        if isinstance(piece, Block) and piece.block["type"] == "text" and self._kind is str:
            return self.count - 1, False  # citations, and the like, of the text before
        begins = type(piece) is not self._kind or isinstance(piece, Block)
        if begins:
            self._kind = type(piece)
            self.count += 1
        return self.count - 1, begins


class _Contents(_Blocks):
    """Keeps what the blocks hold, too."""

    def __init__(self) -> None:
        super().__init__()
        self._blocks: list[dict[str, Any]] = []

    def add(self, piece: Piece) -> tuple[int, bool]:
        """Keep one piece; return what `index` does."""
        index, begins = self.index(piece)
        if isinstance(piece, Block):
            self._keep(dict(piece.block), index, begins=begins)
            return index, begins
        if isinstance(piece, ToolCallDelta):
            kind, part = "tool_call", str(piece.args)
        else:
            kind, part = _told(piece)
        if begins:
            self._blocks.append({"type": kind, "parts": []})
            if isinstance(piece, ToolCallDelta):
                self._blocks[index] |= {"id": piece.id, "name": piece.name}
        self._blocks[index]["parts"].append(part)
        return index, begins

    def _keep(self, block: dict[str, Any], index: int, *, begins: bool) -> None:
        if begins:
            self._blocks.append({"whole": block})
        else:
            more = {key: value for key, value in block.items() if key not in {"text", "type"}}
            merged = merge_dicts(self._blocks[index].get("more", {}), more)
            self._blocks[index]["more"] = merged

    def finished(self) -> list[dict[str, Any]]:
        """Return the blocks as v1 has them, each at its own number."""
        return [_finished(each) for each in self._blocks]


class ChunkRenderer:
    """Chunks for `stream` and `astream`.

    Args:
        v1: Whether content is a list of v1 blocks (`output_version="v1"`) or a str.
    """

    def __init__(self, *, v1: bool = False) -> None:
        """Start an answer."""
        self._v1 = v1
        self._blocks = _Blocks()
        self._args: dict[int, list[str]] = {}
        self._nameless: set[int] = set()

    def piece(self, piece: Piece) -> Sequence[ChatGenerationChunk]:
        """Render one piece as one chunk."""
        if type(piece) is str and not self._v1:
            return (_clone(piece),)
        if isinstance(piece, ToolCallDelta):
            return (self._call(piece),)
        if isinstance(piece, Reasoning) and not self._v1:
            return (_chunk(content="", additional_kwargs={"reasoning_content": piece.text}),)
        return (self._block_chunk(piece),)

    def last(self, summary: Summary) -> Sequence[ChatGenerationChunk]:
        """Render the one chunk that ends the stream and carries all metadata.

        Before it, calls whose arguments were cut get an end that no parser accepts: the one by
        which LangChain adds chunks up would complete them.
        """
        metadata = dict(summary.response_metadata)
        if self._v1:
            metadata["output_version"] = "v1"
        last = _chunk(
            content=[] if self._v1 else "",
            additional_kwargs=dict(summary.additional_kwargs),
            response_metadata=metadata,
            usage_metadata=summary.usage,
            chunk_position="last",
        )
        ends = [
            self._fragment(index, breaking_suffix(raw))
            for index, raw in ((index, "".join(parts)) for index, parts in self._args.items())
            if index in self._nameless or _read(raw)[0] is None
        ]
        return [*ends, last]

    def _block_chunk(self, piece: str | Reasoning | Refusal | Block) -> ChatGenerationChunk:
        index, _ = self._blocks.index(piece)
        if isinstance(piece, Block):
            block: dict[str, Any] = {**piece.block, "index": index}
        else:
            kind, text = _told(piece)
            block = {"type": kind, kind: text, "index": index}
        metadata = {"output_version": "v1"} if self._v1 else {}
        return _chunk(content=[block], response_metadata=metadata)

    def _call(self, piece: ToolCallDelta) -> ChatGenerationChunk:
        index, begins = self._blocks.index(piece)
        args = str(piece.args)
        self._args.setdefault(index, []).append(args)
        if not begins:
            return self._fragment(index, args)
        if not piece.name:
            self._nameless.add(index)
        call = tool_call_chunk(name=piece.name, args=args, id=piece.id, index=index)
        if not self._v1:
            return _chunk(content="", tool_call_chunks=[call])
        metadata = {"output_version": "v1"}
        return _chunk(content=[dict(call)], tool_call_chunks=[call], response_metadata=metadata)

    def _fragment(self, index: int, args: str) -> ChatGenerationChunk:
        """Render a later piece of a call. pydantic would try to parse each, for quadratic time."""
        call = tool_call_chunk(args=args, index=index)
        chunk = _clone("")
        fields = chunk.message.__dict__
        fields["tool_call_chunks"].append(call)
        if self._v1:
            fields["content"] = [dict(call)]
            fields["response_metadata"]["output_version"] = "v1"
        return chunk


class EventRenderer:
    """Events of the content-block protocol, for `stream_events(version="v3")`.

    Args:
        message_id: The message's id, or None where the caller gives none.
        metadata: `provider` and `model` for the `message-start` event.
    """

    def __init__(self, message_id: str | None, metadata: Mapping[str, str]) -> None:
        """Start an answer."""
        self._start: Event | None = {
            "event": "message-start",
            "role": "ai",
            "id": message_id or "",
            "metadata": dict(metadata),
        }
        self._contents = _Contents()

    def piece(self, piece: Piece) -> Sequence[Event]:
        """Render one piece: its delta, before that whatever it begins."""
        index, begins = self._contents.add(piece)
        events = [*self._begin(), self._block_start(index, piece)] if begins else []
        if isinstance(piece, str):
            delta = {"type": "text-delta", "text": piece}
        elif isinstance(piece, Reasoning):
            delta = {"type": "reasoning-delta", "reasoning": piece.text}
        elif isinstance(piece, ToolCallDelta) and piece.args:
            delta = {"type": "tool-call-delta", "args": str(piece.args)}
        else:  # what has no delta stands in its block's end
            return events
        events.append({"event": "content-block-delta", "index": index, "delta": delta})
        return events

    def last(self, summary: Summary) -> Sequence[Event]:
        """Render the blocks' ends and the message's."""
        finish: Event = {"event": "message-finish", "metadata": dict(summary.response_metadata)}
        if summary.usage is not None:
            finish["usage"] = dict(summary.usage)
        if summary.additional_kwargs:  # as core's own bridge has them
            finish["additional_kwargs"] = dict(summary.additional_kwargs)
        return [
            *self._begin(),
            *(
                {"event": "content-block-finish", "index": index, "content": _known_to_v3(content)}
                for index, content in enumerate(self._contents.finished())
            ),
            finish,
        ]

    def _begin(self) -> Sequence[Event]:
        start, self._start = self._start, None
        return [start] if start else []

    def _block_start(self, index: int, piece: Piece) -> Event:
        if isinstance(piece, Block | Refusal):
            block = piece.block if isinstance(piece, Block) else {"type": "refusal", "refusal": ""}
            content: Event = _known_to_v3(block)
        elif not isinstance(piece, ToolCallDelta):
            kind, _ = _told(piece)
            content = {"type": kind, kind: ""}
        else:
            content = {"type": "tool_call_chunk", "id": piece.id, "name": piece.name, "args": ""}
            content["index"] = index
        return {"event": "content-block-start", "index": index, "content": content}


_KNOWN_TO_V3 = frozenset(
    {
        *("audio", "file", "image", "invalid_tool_call", "non_standard", "reasoning"),
        *("server_tool_call", "server_tool_result", "text", "tool_call", "video"),
    }
)


def _known_to_v3(block: Mapping[str, Any]) -> Event:
    """Return a block in a form that core keeps: others, a refusal for one, it drops.

    That is `_push_content_block_finish` in `language_models/chat_model_stream.py` of 1.8.3.
    """
    if block["type"] in _KNOWN_TO_V3:
        return dict(block)
    return {"type": "non_standard", "value": dict(block)}


class MessageRenderer:
    """One message, for `invoke` and `ainvoke`. Nothing is handed out before the end.

    Args:
        v1: Whether content is a list of v1 blocks (`output_version="v1"`) or a str.
    """

    def __init__(self, *, v1: bool = False) -> None:
        """Start an answer."""
        self._v1 = v1
        self._contents = _Contents()

    def piece(self, piece: Piece) -> Sequence[AIMessage]:
        """Keep one piece."""
        self._contents.add(piece)
        return ()

    def last(self, summary: Summary) -> Sequence[AIMessage]:
        """Render the message."""
        blocks = self._contents.finished()
        kinds: dict[str, list[dict[str, Any]]] = {}
        for block in blocks:
            kinds.setdefault(block["type"], []).append(block)
        plain = kinds.keys() <= _PLAIN and all(len(each) == 2 for each in kinds.get("text", ()))  # noqa: PLR2004
        fields: dict[str, Any] = {
            "content": _joined(kinds, "text") if plain else _beside_calls(blocks),
            "additional_kwargs": dict(summary.additional_kwargs),
            "response_metadata": dict(summary.response_metadata),
        }
        if self._v1:
            fields["content"] = blocks
            fields["response_metadata"]["output_version"] = "v1"
        elif reasoning := _joined(kinds, "reasoning"):
            fields["additional_kwargs"]["reasoning_content"] = reasoning
        if calls := kinds.get("tool_call"):
            fields["tool_calls"] = calls
        if calls := kinds.get("invalid_tool_call"):
            fields["invalid_tool_calls"] = calls
        if summary.usage is not None:
            fields["usage_metadata"] = summary.usage
        return (AIMessage(**fields),)


_CALLS = frozenset({"invalid_tool_call", "tool_call"})
_PLAIN = _CALLS | {"reasoning", "text"}


def _beside_calls(blocks: Sequence[dict[str, Any]]) -> list[str | dict[str, Any]]:
    """Return the content of a message that is more than text, as a stream's chunks add up."""
    content: list[str | dict[str, Any]] = []
    for index, block in enumerate(blocks):
        if block["type"] in _CALLS or block["type"] == "reasoning":
            continue
        if block["type"] != "text":
            content.append({**block, "index": index})
            continue
        if content and isinstance(content[-1], str):
            content[-1] += block["text"]
        else:
            content.append(block["text"])
        if block.keys() > {"type", "text"}:
            content.append({**block, "text": "", "index": index})
    return content


def _told(piece: str | Reasoning | Refusal) -> tuple[str, str]:
    """Return a block's type, which is also the name of what it holds, and the piece of that."""
    if isinstance(piece, str):
        return "text", piece
    return ("reasoning" if isinstance(piece, Reasoning) else "refusal"), piece.text


def _joined(kinds: Mapping[str, Sequence[Mapping[str, Any]]], kind: str) -> str:
    return "".join([block[kind] for block in kinds.get(kind, ())])


def _parsed(call: Mapping[str, Any]) -> ToolCall | InvalidToolCall:
    """Return the call with its arguments parsed, or as invalid with the raw text."""
    raw = "".join(call["parts"])
    args, error = _read(raw)
    if args is None or not call["name"]:
        error = error or "the call names no tool"
        return invalid_tool_call(name=call["name"], args=raw, id=call["id"], error=error)
    return tool_call(name=call["name"], args=args, id=call["id"])


def _read(raw: str) -> tuple[dict[str, Any] | None, str]:
    """Return a call's arguments, or None and what is wrong with them."""
    try:
        args = json.loads(raw or "{}", strict=False)
    except ValueError as error:
        return None, str(error)
    if not isinstance(args, dict):
        return None, f"the arguments must be a JSON object, not {type(args).__name__}"
    return args, ""


def _finished(block: Mapping[str, Any]) -> dict[str, Any]:
    if "whole" in block:
        return dict(block["whole"])
    if block["type"] == "tool_call":
        return dict(_parsed(block))
    return {"type": block["type"], block["type"]: "".join(block["parts"]), **block.get("more", {})}


def _chunk(**fields: Any) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(**fields))


_MESSAGE = AIMessageChunk(content="")
_GENERATION = ChatGenerationChunk(message=_MESSAGE)
_set_dict, _set_fields_set, _set_extra, _set_private = (
    BaseModel.__dict__[slot].__set__
    for slot in (
        "__dict__",
        "__pydantic_fields_set__",
        "__pydantic_extra__",
        "__pydantic_private__",
    )
)


def _clone(text: str) -> ChatGenerationChunk:
    """Build what `_chunk(content=text)` builds, at a fifth of the cost.

    pydantic validates every field anew for each chunk; here a template's `__dict__` is copied, and
    only what could be shared between chunks is made fresh. For plain text and for fragments of
    calls only: the validators that are skipped matter for everything else. A test compares the two.
    """
    message = object.__new__(AIMessageChunk)
    fields = _MESSAGE.__dict__.copy()
    fields["content"] = text
    fields["additional_kwargs"] = {}
    fields["response_metadata"] = {}
    fields["tool_calls"] = []
    fields["invalid_tool_calls"] = []
    fields["tool_call_chunks"] = []
    _set_dict(message, fields)
    _set_fields_set(message, _MESSAGE.__pydantic_fields_set__.copy())
    _set_extra(message, {})
    _set_private(message, None)
    generation = object.__new__(ChatGenerationChunk)
    fields = _GENERATION.__dict__.copy()
    fields["text"] = text
    fields["message"] = message
    _set_dict(generation, fields)
    _set_fields_set(generation, _GENERATION.__pydantic_fields_set__.copy())
    _set_extra(generation, None)
    _set_private(generation, None)
    return generation
