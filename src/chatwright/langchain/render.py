"""Pieces of an answer in LangChain's three forms: chunks, protocol events (v3) and one message.

The renderers share one interface: `piece` turns one piece of the answer into what the caller gets,
`last` says the rest once the source is closed.
"""

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
from pydantic import BaseModel

from chatwright.core.jsontext import breaking_suffix, read_object
from chatwright.core.piece import Piece
from chatwright.deltas import Reasoning, ToolCallDelta
from chatwright.langchain.unread import FirstChunk, UnreadChunk

__all__ = ["ChunkRenderer", "EventRenderer", "MessageRenderer", "Renderer", "Summary"]

T_co = TypeVar("T_co", covariant=True)
Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Summary:
    """What is known once an answer has ended."""

    response_metadata: Mapping[str, Any] = field(default_factory=dict)
    usage: UsageMetadata | None = None


class Renderer(Protocol, Generic[T_co]):
    """Turns an answer's pieces into one of LangChain's forms."""

    def piece(self, piece: Piece) -> Sequence[T_co]:
        """Render one piece."""

    def again(self) -> None:
        """Forget the calls so far: another attempt at the answer takes their place."""

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
        begins = type(piece) is not self._kind
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
        if isinstance(piece, str):
            kind, part = "text", piece
        elif isinstance(piece, Reasoning):
            kind, part = "reasoning", piece.text
        else:
            kind, part = "tool_call", str(piece.args)
        if begins:
            self._blocks.append({"type": kind, "parts": []})
            if isinstance(piece, ToolCallDelta):
                self._blocks[index] |= {"id": piece.id, "name": piece.name}
        self._blocks[index]["parts"].append(part)
        if isinstance(piece, ToolCallDelta) and piece.error:
            self._blocks[index]["error"] = piece.error
        return index, begins

    def again(self) -> None:
        """Mark the calls so far as made anew."""
        for block in self._blocks:
            block["anew"] = block["type"] == "tool_call"

    def finished(self, *, all_of_them: bool = True) -> list[dict[str, Any]]:
        """Return the blocks as v1 has them: each at its own number, or without calls made anew."""
        return [
            _finished(each) for each in self._blocks if all_of_them or not each.get("anew", False)
        ]


class ChunkRenderer:
    """Chunks for `stream` and `astream`.

    Args:
        v1: Whether content is a list of v1 blocks (`output_version="v1"`) or a str.
    """

    def __init__(self, *, v1: bool = False) -> None:
        """Start an answer."""
        self._v1 = v1
        self._blocks = _Blocks()
        self._calls: dict[int, dict[str, Any]] = {}
        self._anew: set[int] = set()
        self._first: ChatGenerationChunk | None = None

    def piece(self, piece: Piece) -> Sequence[ChatGenerationChunk]:
        """Render one piece as one chunk."""
        if type(piece) is str and not self._v1:
            chunk = _clone(piece)
        elif isinstance(piece, ToolCallDelta):
            chunk = self._call(piece)
        elif self._v1 or isinstance(piece, str):
            chunk = self._v1_chunk(piece)
        else:
            chunk = _chunk(content="", additional_kwargs={"reasoning_content": piece.text})
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
            response_metadata=metadata,
            usage_metadata=summary.usage,
            chunk_position="last",
        )
        parsed = ((index, _parsed(call)) for index, call in self._calls.items())
        unread = {index: call for index, call in parsed if call["type"] == "invalid_tool_call"}
        if not unread or self._first is None:
            return [last]
        self._first.message.__class__ = FirstChunk  # whoever has it can add the others to it
        known = {
            str(call["id"]): None if index in self._anew else call for index, call in unread.items()
        }
        last.message = UnreadChunk.ending(dict(last.message), known)
        ends = [
            self._fragment(index, breaking_suffix(call["args"] or ""))
            for index, call in unread.items()
        ]
        return [*ends, last]

    def again(self) -> None:
        """Have the last chunk take the calls so far out of the sum."""
        self._anew |= self._calls.keys()

    def _v1_chunk(self, piece: str | Reasoning) -> ChatGenerationChunk:
        index, _ = self._blocks.index(piece)
        if isinstance(piece, str):
            block: dict[str, Any] = {"type": "text", "text": piece, "index": index}
        else:
            block = {"type": "reasoning", "reasoning": piece.text, "index": index}
        return _chunk(content=[block], response_metadata={"output_version": "v1"})

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
        self._contents = _Contents()

    def piece(self, piece: Piece) -> Sequence[Event]:
        """Render one piece: its delta, before that whatever it begins."""
        index, begins = self._contents.add(piece)
        events = [*self._begin(), self._block_start(index, piece)] if begins else []
        if isinstance(piece, str):
            delta = {"type": "text-delta", "text": piece}
        elif isinstance(piece, Reasoning):
            delta = {"type": "reasoning-delta", "reasoning": piece.text}
        elif piece.args:
            delta = {"type": "tool-call-delta", "args": str(piece.args)}
        else:
            return events
        events.append({"event": "content-block-delta", "index": index, "delta": delta})
        return events

    def again(self) -> None:
        """Leave the calls so far as they are: a block that has begun can't be taken back."""

    def last(self, summary: Summary) -> Sequence[Event]:
        """Render the blocks' ends and the message's."""
        finish: Event = {"event": "message-finish", "metadata": dict(summary.response_metadata)}
        if summary.usage is not None:
            finish["usage"] = dict(summary.usage)
        return [
            *self._begin(),
            *(
                {"event": "content-block-finish", "index": index, "content": content}
                for index, content in enumerate(self._contents.finished())
            ),
            finish,
        ]

    def _begin(self) -> Sequence[Event]:
        start, self._start = self._start, None
        return [start] if start else []

    def _block_start(self, index: int, piece: Piece) -> Event:
        if isinstance(piece, str):
            content: Event = {"type": "text", "text": ""}
        elif isinstance(piece, Reasoning):
            content = {"type": "reasoning", "reasoning": ""}
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
        self._contents = _Contents()

    def piece(self, piece: Piece) -> Sequence[AIMessage]:
        """Keep one piece."""
        self._contents.add(piece)
        return ()

    def again(self) -> None:
        """Leave the calls so far out."""
        self._contents.again()

    def last(self, summary: Summary) -> Sequence[AIMessage]:
        """Render the message."""
        blocks = self._contents.finished(all_of_them=False)
        kinds: dict[str, list[dict[str, Any]]] = {}
        for block in blocks:
            kinds.setdefault(block["type"], []).append(block)
        fields: dict[str, Any] = {
            "content": _joined(kinds, "text"),
            "response_metadata": dict(summary.response_metadata),
        }
        if self._v1:
            fields["content"] = blocks
            fields["response_metadata"]["output_version"] = "v1"
        elif reasoning := _joined(kinds, "reasoning"):
            fields["additional_kwargs"] = {"reasoning_content": reasoning}
        if calls := kinds.get("tool_call"):
            fields["tool_calls"] = calls
        if calls := kinds.get("invalid_tool_call"):
            fields["invalid_tool_calls"] = calls
        if summary.usage is not None:
            fields["usage_metadata"] = summary.usage
        return (AIMessage(**fields),)


def _joined(kinds: Mapping[str, Sequence[Mapping[str, Any]]], kind: str) -> str:
    return "".join([block[kind] for block in kinds.get(kind, ())])


def _parsed(call: Mapping[str, Any]) -> ToolCall | InvalidToolCall:
    """Return the call with its arguments parsed, or as invalid with the raw text."""
    raw = "".join(call["parts"])
    args, error = read_object(raw)
    error = call.get("error") or error
    if args is None or error:
        return invalid_tool_call(name=call["name"], args=raw, id=call["id"], error=error)
    return tool_call(name=call["name"], args=args, id=call["id"])


def _finished(block: Mapping[str, Any]) -> dict[str, Any]:
    if block["type"] == "tool_call":
        return dict(_parsed(block))
    return {"type": block["type"], block["type"]: "".join(block["parts"])}


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
