"""An answer's content blocks on their way: numbered, kept, and finished as LangChain has them."""

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import InvalidToolCall, ToolCall
from langchain_core.messages.tool import invalid_tool_call, tool_call
from langchain_core.utils._merge import merge_dicts

from chatwright.core.jsontext import read_object
from chatwright.core.piece import Piece
from chatwright.deltas import Block, Reasoning, Refusal, ToolCallDelta

__all__ = [
    "Blocks",
    "Contents",
    "beside_calls",
    "is_plain",
    "joined",
    "known_to_v3",
    "parsed",
    "told",
]


class Blocks:
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


class Contents(Blocks):
    """Keeps what the blocks hold, too."""

    def __init__(self) -> None:
        super().__init__()
        self._blocks: list[dict[str, Any]] = []

    def add(self, piece: Piece) -> tuple[int, bool]:
        """Keep one piece; return what `index` does."""
        if type(piece) is str and self._kind is str:  # nearly always
            index = self.count - 1
            self._blocks[index]["parts"].append(piece)
            return index, False
        index, begins = self.index(piece)
        if isinstance(piece, Block):
            self._keep(dict(piece.block), index, begins=begins)
            return index, begins
        if isinstance(piece, ToolCallDelta):
            kind, part = "tool_call", str(piece.args)
        else:
            kind, part = told(piece)
        if begins:
            self._blocks.append({"type": kind, "parts": []})
            if isinstance(piece, ToolCallDelta):
                self._blocks[index] |= {"id": piece.id, "name": piece.name}
        self._blocks[index]["parts"].append(part)
        if isinstance(piece, ToolCallDelta) and piece.error:
            self._blocks[index]["error"] = piece.error
        return index, begins

    def _keep(self, block: dict[str, Any], index: int, *, begins: bool) -> None:
        if begins:
            self._blocks.append({"whole": block})
        else:
            more = {key: value for key, value in block.items() if key not in {"text", "type"}}
            merged = merge_dicts(self._blocks[index].get("more", {}), more)
            self._blocks[index]["more"] = merged

    def again(self) -> None:
        """Mark the calls so far as made anew."""
        for block in self._blocks:
            block["anew"] = block.get("type") == "tool_call"

    def finished(self, *, all_of_them: bool = True) -> list[dict[str, Any]]:
        """Return the blocks as v1 has them: each at its own number, or without calls made anew."""
        return [
            _finished(each) for each in self._blocks if all_of_them or not each.get("anew", False)
        ]


_KNOWN_TO_V3 = frozenset(
    {
        *("audio", "file", "image", "invalid_tool_call", "non_standard", "reasoning"),
        *("server_tool_call", "server_tool_result", "text", "tool_call", "video"),
    }
)


def known_to_v3(block: Mapping[str, Any]) -> dict[str, Any]:
    """Return a block in a form that core keeps: others, a refusal for one, it drops.

    That is `_push_content_block_finish` in `language_models/chat_model_stream.py` of 1.8.3.
    """
    if block["type"] in _KNOWN_TO_V3:
        return dict(block)
    return {"type": "non_standard", "value": dict(block)}


_CALLS = frozenset({"invalid_tool_call", "tool_call"})
_PLAIN = _CALLS | {"reasoning", "text"}


def beside_calls(blocks: Sequence[dict[str, Any]]) -> list[str | dict[str, Any]]:
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


def told(piece: str | Reasoning | Refusal) -> tuple[str, str]:
    """Return a block's type, which is also the name of what it holds, and the piece of that."""
    if isinstance(piece, str):
        return "text", piece
    return ("reasoning" if isinstance(piece, Reasoning) else "refusal"), piece.text


def joined(kinds: Mapping[str, Sequence[Mapping[str, Any]]], kind: str) -> str:
    """Return what the blocks of a kind hold, as one text."""
    return "".join([block[kind] for block in kinds.get(kind, ())])


def parsed(call: Mapping[str, Any]) -> ToolCall | InvalidToolCall:
    """Return the call with its arguments parsed, or as invalid with the raw text."""
    raw = "".join(call["parts"])
    args, error = read_object(raw)
    error = call.get("error") or error
    if args is None or error:
        return invalid_tool_call(name=call["name"], args=raw, id=call["id"], error=error)
    return tool_call(name=call["name"], args=args, id=call["id"])


def _finished(block: Mapping[str, Any]) -> dict[str, Any]:
    if "whole" in block:
        return dict(block["whole"])
    if block["type"] == "tool_call":
        return dict(parsed(block))
    return {"type": block["type"], block["type"]: "".join(block["parts"]), **block.get("more", {})}


def is_plain(kinds: Mapping[str, Sequence[Mapping[str, Any]]]) -> bool:
    """Tell whether content is text and nothing else, beside calls and reasoning."""
    texts = kinds.get("text", ())
    return kinds.keys() <= _PLAIN and all(each.keys() == {"text", "type"} for each in texts)
