"""One answer on its way: the source's items in, clean pieces out, the totals kept."""

import dataclasses
import functools
from collections import Counter
from collections.abc import Sequence
from typing import Any

from chatwright.core.attempts import CallFirst
from chatwright.core.calls import CALL_EXTRAS, CallRepair, Unreadable
from chatwright.core.finish import finish_state, normalized_reason
from chatwright.core.piece import Filter, Piece
from chatwright.core.reading.calltext import CUT
from chatwright.core.stop import StopFilter
from chatwright.deltas import Block, Finish, Reasoning, Refusal, Text, ToolCallDelta, Usage
from chatwright.errors import OutputError

__all__ = ["Answer"]


class Answer:
    """Takes what a source yields, runs it through the filters and keeps the totals.

    Args:
        filters: Applied in their order.
        source: The source's name, for errors.
    """

    __slots__ = (
        "_filters",
        "_passes",
        "_repair",
        "_said",
        "_source",
        "_spent",
        "_usage",
        "additional_kwargs",
        "called",
        "calls",
        "done",
        "empty",
        "finish_reason",
        "given",
        "metadata",
        "reasoning",
        "refused",
        "text",
        "unsaid",
    )

    def __init__(self, filters: Sequence[Filter] = (), *, source: str = "the source") -> None:
        """Start with nothing."""
        self._use(filters)
        self._source = source
        self._repair = CallRepair()
        self._said = 0
        self.calls: list[str] = []
        self._spent: list[Usage | None] = []
        self._usage: Usage | None = None
        self.called = False
        self.given = False  # whether the source has given calls, and not written them
        self.done = False  # whether a filter has ended the answer: nothing more is wanted
        self.empty = True
        self.text: list[str] = []
        self.unsaid: list[str] = []  # the text of attempts without the call that had to come
        self.reasoning: list[str] = []
        self.finish_reason: str | None = None
        self.metadata: dict[str, Any] = {}
        self.additional_kwargs: dict[str, Any] = {}
        self.refused = False

    def _use(self, filters: Sequence[Filter]) -> None:
        self._filters = filters
        self._passes = [each.passes for each in filters]

    @property
    def cut(self) -> bool:
        """Whether the tokens ran out, or the context."""
        return normalized_reason(self.finish_reason or "") == "length"

    @property
    def stop_sequence(self) -> str | None:
        """The stop sequence that has ended the text, if one has."""
        return next((f.matched for f in self._filters if isinstance(f, StopFilter)), None)

    @property
    def ending(self) -> dict[str, str]:
        """Why it ended: the reason as it was given, and what that means."""
        reason = self.finish_reason or "stop"
        normalized = normalized_reason(reason)
        ending: dict[str, str] = {}
        if stop := self.stop_sequence:
            reason = normalized = "stop"
            ending["stop_sequence"] = stop
        elif self.refused:
            reason, normalized = ("refusal" if normalized == "stop" else reason), "refusal"
        elif self.called and normalized == "stop":
            reason = normalized = "tool_calls"
        return {
            **ending,
            "finish_reason": reason,
            "normalized_finish_reason": normalized,
            "finish_state": finish_state(normalized),
        }

    def feed(self, item: object) -> Sequence[Piece]:
        """Take the next item that the source yielded and return what can go out now.

        Raises:
            OutputError: The item is no delta.
        """
        self.empty = False
        if type(item) is not str:
            if not isinstance(item, str):
                return self._delta(item)
            item = str(item)  # a subclass, such as the `.text` of LangChain's messages
        if not item:
            return ()
        for passes in self._passes:
            if not passes(item):
                return self._piece(item)
        self.text.append(item)
        return (item,)

    def _delta(self, item: object) -> Sequence[Piece]:
        match item:
            case Text():
                return self.feed(str(item.text or ""))
            case Reasoning():
                return self._piece(item) if item.text else ()
            case ToolCallDelta() | Refusal() | Block():
                self.given |= isinstance(item, ToolCallDelta)
                return self._piece(item)
            case Usage():
                return self._count(item)
            case Finish():
                return self._finish(item)
            case None:  # a backend's null content
                return ()
        raise OutputError(
            f"{self._source} gave {_shortened(item)}; it may give str, Text, Reasoning, Refusal, "
            "Block, ToolCallDelta, Usage or Finish, or LangChain's AIMessage, AIMessageChunk, "
            "ChatGenerationChunk or ChatResult"
        )

    def end(self) -> Sequence[Piece]:
        """Return what the filters still held back. The source has nothing more.

        Raises:
            OutputError: The source yielded nothing at all.
        """
        if self.empty:
            raise OutputError(
                f"{self._source} ended without giving anything; an empty answer is ''"
            )
        pieces: list[Piece] = []
        for position, each in enumerate(self._filters):
            pieces += self._through(each.flush(), self._filters[position + 1 :])
        if self.cut:  # what only the end has ended was cut
            pieces = [_cut(each) for each in pieces]
        return [*self._keep(pieces), *self._repair.flush()]

    def again(self, filters: Sequence[Filter]) -> None:
        """Begin another attempt at the same answer; what the attempts spend is added up."""
        self.unsaid.append(self._held)
        self._repair.again()
        self._use(filters)
        self.called = self.given = False
        self._spent.append(self._usage)
        self._usage, self.empty, self.finish_reason = None, True, None
        self.done, self._said = False, len(self.text)

    def say(self, text: str) -> Sequence[Piece]:
        """Return text to go out at the end, past the filters."""
        if not text:
            return ()
        self.text.append(text)
        return (text,)

    @property
    def said(self) -> str:
        """The text of the last attempt."""
        return "".join(self.text[self._said :]) or self._held

    @property
    def partial_text(self) -> str:
        """The text of all attempts, so far, with what waits for a call."""
        return "".join(self.text) + self._held

    @property
    def _held(self) -> str:
        return next((each.held for each in self._filters if isinstance(each, CallFirst)), "")

    @property
    def unreadable(self) -> Sequence[Unreadable]:
        """The calls of the last attempt that can't be read, if none of its calls can."""
        return self._repair.unreadable

    @property
    def kept(self) -> dict[str, Any]:
        """What goes into the message's `additional_kwargs`."""
        if not (extras := self._repair.extras):
            return self.additional_kwargs
        told = self.additional_kwargs.get(CALL_EXTRAS) or {}
        return {**self.additional_kwargs, CALL_EXTRAS: {**told, **extras}}

    @property
    def attempts(self) -> int:
        """How often the source was asked."""
        return len(self._spent) + 1

    @property
    def usage(self) -> Usage | None:
        """The tokens spent so far, over all attempts."""
        return functools.reduce(_sum, self._spent, self._usage)

    def _piece(self, piece: Piece) -> Sequence[Piece]:
        if piece == "":
            return ()
        pieces = self._keep(self._through((piece,), self._filters))
        self.done = any(each.done for each in self._filters)
        return pieces

    def _count(self, new: Usage) -> Sequence[Piece]:
        self._usage = new.over(self._usage)
        return ()

    def _finish(self, delta: Finish) -> Sequence[Piece]:
        self.finish_reason = delta.reason
        self.metadata.update(delta.metadata)
        self.additional_kwargs.update(delta.additional_kwargs)
        return ()

    @staticmethod
    def _through(pieces: Sequence[Piece], filters: Sequence[Filter]) -> Sequence[Piece]:
        for each in filters:
            pieces = [out for piece in pieces for out in each.feed(piece)]
        return pieces

    def _keep(self, pieces: Sequence[Piece]) -> Sequence[Piece]:
        calls = False
        for piece in pieces:
            if isinstance(piece, str):
                self.text.append(piece)
            elif isinstance(piece, Reasoning):
                self.reasoning.append(piece.text)
            elif isinstance(piece, Refusal):
                self.refused = True
            elif isinstance(piece, ToolCallDelta):
                self.called = calls = True
                self.calls += [piece.name or "", str(piece.args)]
        if not calls:
            return pieces
        return [repaired for piece in pieces for repaired in self._repair.feed(piece)]


def _cut(piece: Piece) -> Piece:
    if isinstance(piece, ToolCallDelta) and not piece.error:
        return dataclasses.replace(piece, error=CUT)
    return piece


def _sum(one: Usage | None, other: Usage | None) -> Usage | None:
    """Add the tokens of two attempts; what one of them does not tell is not known of both."""
    if one is None or other is None:
        return None
    inputs, outputs = (
        (one.input_tokens, other.input_tokens),
        (one.output_tokens, other.output_tokens),
    )
    return Usage(
        None if None in inputs else sum(filter(None, inputs)),
        None if None in outputs else sum(filter(None, outputs)),
        Counter(one.input_token_details) + Counter(other.input_token_details),
        Counter(one.output_token_details) + Counter(other.output_token_details),
        one.estimated or other.estimated,
    )


def _shortened(value: object, limit: int = 200) -> str:
    try:
        shown = repr(value)
    except Exception:  # noqa: BLE001  a user's own __repr__ may raise anything
        shown = object.__repr__(value)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
