"""Streamed calls that can't be read: core's sum of chunks would make valid ones of them.

`AIMessageChunk.init_tool_calls` (langchain-core 1.7.2 and 1.8.3) reads a call's arguments with a
parser that completes cut JSON. So such a call gets an end that this parser refuses, and the chunks
at both ends of the stream take it out of their sum again. Whoever adds chunks up in another way,
from JSON for example, still gets an invalid call, with that end.
"""

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessageChunk, InvalidToolCall
from langchain_core.messages.ai import add_ai_message_chunks
from pydantic import PrivateAttr

__all__ = ["FirstChunk", "UnreadChunk"]


class UnreadChunk(AIMessageChunk):
    """The last chunk of a stream with calls that can't be read: it sets the sum right.

    Python asks it first when it is added to a chunk, as the right operand of a more special class.
    """

    _unread: Mapping[str, InvalidToolCall] = PrivateAttr(default_factory=dict)

    @classmethod
    def ending(
        cls, fields: Mapping[str, Any], unread: Mapping[str, InvalidToolCall]
    ) -> "UnreadChunk":
        """Return the last chunk, of these fields, knowing the calls by their ids."""
        chunk = cls(**fields)
        chunk._unread = unread
        return chunk

    def __radd__(self, before: Any) -> AIMessageChunk:
        """Return the sum of the chunks before and of this one."""
        if not isinstance(before, AIMessageChunk):
            return NotImplemented
        return self.corrected(add_ai_message_chunks(before, self))

    def corrected(self, total: AIMessageChunk) -> AIMessageChunk:
        """Return the sum with the calls' own text and what is wrong with them."""
        unread: Mapping[Any, InvalidToolCall] = self._unread
        total.invalid_tool_calls = [
            unread.get(call["id"], call) for call in total.invalid_tool_calls
        ]
        if isinstance(total.content, list):
            total.content = [
                dict(unread[block["id"]])
                if isinstance(block, dict) and block.get("id") in unread
                else block
                for block in total.content
            ]
        return total

    @classmethod
    def lc_id(cls) -> list[str]:
        """Serialize as the chunk that it is to everybody else."""
        return AIMessageChunk.lc_id()


class FirstChunk(AIMessageChunk):
    """What the first chunk of such a stream becomes: others may be added to it in a list."""

    def __add__(self, other: Any) -> Any:
        """Return the sum, set right by its last chunk."""
        total = super().__add__(other)
        total.__class__ = AIMessageChunk
        last = other[-1] if isinstance(other, list | tuple) and other else other
        return last.corrected(total) if isinstance(last, UnreadChunk) else total

    @classmethod
    def lc_id(cls) -> list[str]:
        """Serialize as the chunk that it was."""
        return AIMessageChunk.lc_id()
