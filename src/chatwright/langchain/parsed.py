"""What an answer holds of what was asked for, whole or still growing."""

from collections.abc import Mapping, Sequence
from typing import Any

import pydantic_core
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    ToolMessage,
    message_chunk_to_message,
)

from chatwright.core.finish import normalized_reason
from chatwright.core.purejson import JsonFilter
from chatwright.errors import RefusalError
from chatwright.langchain.schemas import Target

__all__ = ["Growing", "Holding", "complaint", "refusal_in", "was_cut", "withheld_in"]


_SHOWN = 80
"""How many characters of an answer an error shows."""


class Holding:
    """What a whole answer holds: the JSON that came of it, and what is wrong with that.

    Args:
        message: The answer.
        target: What is asked for.
        by_call: Whether it comes as a tool call, or as the answer's text.

    Attributes:
        value: The JSON that came, conforming or not; None where there is none.
        result: What was made of it.
        problem: Why there is no result; None where there is one.
    """

    def __init__(self, message: AIMessage, target: Target, *, by_call: bool) -> None:
        """Look at the answer."""
        self._target = target
        self.value: Any = None
        self.result: Any = None
        self.problem: Exception | None = None
        if by_call:
            self._take_call(message)
        else:
            self._take_text(message.text)
        if self.problem is not None and was_cut(message):
            self.problem = ValueError(
                "it got too long and was cut (finish reason "
                f"{message.response_metadata['finish_reason']!r}); allow more by max_tokens"
            )

    def _take_call(self, message: AIMessage) -> None:
        for call in message.tool_calls:
            if call["name"] == self._target.name:
                self._take(call["args"])
                return
        self.problem = ValueError(f"there is no call of the tool {self._target.name}")
        if unread := message.invalid_tool_calls:
            self.problem = ValueError(f"the call can't be read: {unread[0]['error']}")

    def _take_text(self, text: str) -> None:
        try:
            value = pydantic_core.from_json(text)
        except ValueError as error:
            self.problem = _unread(text, error)
            JsonFilter(self).feed(text)  # the first object in it that conforms
        else:
            self._take(value)

    def _take(self, value: Any) -> bool:
        self.value = value
        try:
            self.result = self._target.build(value)
        except Exception as error:  # noqa: BLE001  a schema's own validators may raise anything
            self.problem = error
            return False
        self.problem = None
        return True

    def conforms(self, text: str) -> bool:
        """Take a whole object of the text; tell whether it is what is asked for."""
        try:
            value = pydantic_core.from_json(text)
        except ValueError:
            return False
        return self._take(value)

    def fits(self, text: str) -> bool:
        """Judge nothing by its beginning."""
        return False


def _unread(text: str, error: ValueError) -> ValueError:
    """Return why no JSON can be read in a text: where there is none, its parser's words say little.

    Args:
        text: The text.
        error: What the parser says.
    """
    if not text.strip():
        return ValueError("it is empty")
    if "{" in text or "[" in text:
        return error
    return ValueError(f"it holds no JSON; it begins {text[:_SHOWN]!r}")


class Growing:
    """One answer on its way, and what can be made of it so far."""

    def __init__(self, target: Target, *, by_call: bool) -> None:
        self._target = target
        self._by_call = by_call
        self._chunks: list[AIMessageChunk] = []
        self._whole: AIMessage | None = None
        self._json = ""
        self.result: Any = None

    def feed(self, chunk: Any) -> Sequence[Any]:
        """Take a chunk; return the result, if it has grown."""
        if not isinstance(chunk, AIMessageChunk):  # the model does not stream
            self._whole = chunk
            return ()
        self._chunks.append(chunk)
        new = self._call_json(chunk) if self._by_call else chunk.text
        if not new:
            return ()
        self._json += new
        try:
            value = pydantic_core.from_json(self._json, allow_partial="trailing-strings")
        except ValueError:
            return ()
        result = self._target.partial(value)
        if result is None or result == self.result:
            return ()
        self.result = result
        return (result,)

    @staticmethod
    def _call_json(chunk: AIMessageChunk) -> str:
        if chunk.tool_call_chunks:
            return "".join(each["args"] or "" for each in chunk.tool_call_chunks)
        return ""

    def message(self) -> AIMessage:
        """Return the whole answer."""
        if self._whole is not None:
            return self._whole
        first, *others = self._chunks
        whole = first + others if others else first
        message = message_chunk_to_message(whole)
        assert isinstance(message, AIMessage)  # noqa: S101  chunks of one make one
        return message


def was_cut(answer: AIMessage) -> bool:
    """Tell whether an answer ended because it got too long."""
    reason = str(answer.response_metadata.get("finish_reason", ""))
    return normalized_reason(reason) == "length"


def refusal_in(answer: AIMessage) -> RefusalError | None:
    """Return the refusal that an answer holds, as an error."""
    for block in answer.content_blocks:
        told: Mapping[str, Any] = block
        told = told.get("value", told) if told["type"] == "non_standard" else told
        if told.get("type") == "refusal":
            words = told.get("refusal") or "it gives no reason"
            return RefusalError(f"the model refuses: {words}", raw_message=answer)
    return None


def withheld_in(answer: AIMessage) -> RefusalError | None:
    """Return as an error that an answer which does not conform was refused, or filtered."""
    reason = str(answer.response_metadata.get("finish_reason", ""))
    if normalized_reason(reason) not in {"content_filter", "refusal"}:
        return None
    said = f": {answer.text}" if answer.text else ""
    return RefusalError(
        f"the answer was refused (finish reason {reason!r}){said}", raw_message=answer
    )


def complaint(answer: AIMessage, error: Exception) -> list[BaseMessage]:
    """Return what tells the LLM what was wrong."""
    text = f"This does not conform to the schema: {error}\nAnswer again, and fix that."
    if was_cut(answer):
        text = "This got too long and was cut. Answer again, and be brief."
    calls = [*answer.tool_calls, *answer.invalid_tool_calls]
    return [
        ToolMessage(text, tool_call_id=call["id"] or "", name=call["name"], status="error")
        for call in calls
    ] or [HumanMessage(text)]
