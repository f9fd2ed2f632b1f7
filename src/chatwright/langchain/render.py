"""Pieces of an answer in LangChain's three forms: chunks, protocol events (v3) and one message.

The renderers share one interface: `piece` turns one piece of the answer into what the caller gets,
`last` says the rest once the source is closed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import (
    tool_call_chunk,
)
from langchain_core.outputs import ChatGenerationChunk
from pydantic import BaseModel

from chatwright.core.jsontext import breaking_suffix
from chatwright.core.piece import Piece
from chatwright.deltas import Block, Reasoning, Refusal, ToolCallDelta
from chatwright.langchain.blocks import (
    Blocks,
    Contents,
    beside_calls,
    is_plain,
    joined,
    known_to_v3,
    parsed,
    told,
)
from chatwright.langchain.unread import FirstChunk, UnreadChunk

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


class ChunkRenderer:
    """Chunks for `stream` and `astream`.

    Args:
        v1: Whether content is a list of v1 blocks (`output_version="v1"`) or a str.
    """

    def __init__(self, *, v1: bool = False) -> None:
        """Start an answer."""
        self._v1 = v1
        self._blocks = Blocks()
        self._calls: dict[int, dict[str, Any]] = {}
        self._first: ChatGenerationChunk | None = None

    def piece(self, piece: Piece) -> Sequence[ChatGenerationChunk]:
        """Render one piece as one chunk."""
        if type(piece) is str and not self._v1:
            chunk = _clone(piece)
        elif isinstance(piece, ToolCallDelta):
            chunk = self._call(piece)
        elif isinstance(piece, Reasoning) and not self._v1:
            chunk = _chunk(content="", additional_kwargs={"reasoning_content": piece.text})
        else:
            chunk = self._block_chunk(piece)
        if self._first is None:
            self._first = chunk
        return (chunk,)

    def last(self, summary: Summary) -> Sequence[ChatGenerationChunk]:
        """Render the one chunk that ends the stream and carries all metadata.

        Before it, calls that can't be read get an end that no parser accepts: see `unread`.
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
        read = ((index, parsed(call)) for index, call in self._calls.items())
        unread = {index: call for index, call in read if call["type"] == "invalid_tool_call"}
        if not unread or self._first is None:
            return [last]
        self._first.message.__class__ = FirstChunk  # whoever has it can add the others to it
        known = {str(call["id"]): call for call in unread.values()}
        last.message = UnreadChunk.ending(dict(last.message), known)
        ends = [
            self._fragment(index, breaking_suffix(call["args"] or ""))
            for index, call in unread.items()
        ]
        return [*ends, last]

    def _block_chunk(self, piece: str | Reasoning | Refusal | Block) -> ChatGenerationChunk:
        index, _ = self._blocks.index(piece)
        if isinstance(piece, Block):
            block: dict[str, Any] = {**piece.block, "index": index}
        else:
            kind, text = told(piece)
            block = {"type": kind, kind: text, "index": index}
        metadata = {"output_version": "v1"} if self._v1 else {}
        return _chunk(content=[block], response_metadata=metadata)

    def _call(self, piece: ToolCallDelta) -> ChatGenerationChunk:
        index, begins = self._blocks.index(piece)
        args = str(piece.args)
        kept = self._calls.setdefault(index, {"id": piece.id, "name": piece.name, "parts": []})
        kept["parts"].append(args)
        if piece.error:
            kept["error"] = piece.error
        if not begins:
            return self._fragment(index, args)
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
        self._contents = Contents()

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
                {"event": "content-block-finish", "index": index, "content": known_to_v3(content)}
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
            content: Event = known_to_v3(block)
        elif not isinstance(piece, ToolCallDelta):
            kind, _ = told(piece)
            content = {"type": kind, kind: ""}
        else:
            content = {"type": "tool_call_chunk", "id": piece.id, "name": piece.name, "args": ""}
            content["index"] = index
        return {"event": "content-block-start", "index": index, "content": content}


class MessageRenderer:
    """One message, for `invoke` and `ainvoke`. Nothing is handed out before the end.

    Args:
        v1: Whether content is a list of v1 blocks (`output_version="v1"`) or a str.
    """

    def __init__(self, *, v1: bool = False) -> None:
        """Start an answer."""
        self._v1 = v1
        self._contents = Contents()

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
        plain = is_plain(kinds)
        fields: dict[str, Any] = {
            "content": joined(kinds, "text") if plain else beside_calls(blocks),
            "additional_kwargs": dict(summary.additional_kwargs),
            "response_metadata": dict(summary.response_metadata),
        }
        if self._v1:
            fields["content"] = blocks
            fields["response_metadata"]["output_version"] = "v1"
        elif reasoning := joined(kinds, "reasoning"):
            fields["additional_kwargs"]["reasoning_content"] = reasoning
        if calls := kinds.get("tool_call"):
            fields["tool_calls"] = calls
        if calls := kinds.get("invalid_tool_call"):
            fields["invalid_tool_calls"] = calls
        if summary.usage is not None:
            fields["usage_metadata"] = summary.usage
        return (AIMessage(**fields),)


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
