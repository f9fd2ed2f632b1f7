"""The output items of an answer at the server's end of Responses, as events and as a whole."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from chatwright.wires.responses.names import PHASE

__all__ = ["Call", "Item", "Message", "Thought"]


@dataclass
class Item:
    """One output item.

    Args:
        id: Its id.
        index: Its place in the output.
    """

    id: str
    index: int
    status = "in_progress"

    def begin(self) -> Iterator[dict[str, Any]]:
        """Yield the events that begin it."""
        yield self._event("response.output_item.added", item=self.shown())

    def end(self, status: str) -> Iterator[dict[str, Any]]:
        """Yield the events that end it, as `completed` or `incomplete`."""
        self.status = status
        yield self._event("response.output_item.done", item=self.shown())

    def shown(self) -> dict[str, Any]:
        """Return it as it stands."""
        raise NotImplementedError

    def _event(self, kind: str, **fields: Any) -> dict[str, Any]:
        of = {} if "item" in fields else {"item_id": self.id}
        return {"type": kind, **of, "output_index": self.index, **fields}


@dataclass
class Call(Item):
    """A function call.

    Args:
        call_id: The call's id, by which its result refers to it.
        name: The function's name.
        pieces: Its arguments, as the pieces of a text.
    """

    call_id: str
    name: str
    pieces: list[str] = field(default_factory=list)

    def feed(self, piece: str) -> Iterator[dict[str, Any]]:
        """Yield the events of the next piece of its arguments."""
        self.pieces.append(piece)
        yield self._event("response.function_call_arguments.delta", delta=piece)

    def end(self, status: str) -> Iterator[dict[str, Any]]:
        """Yield the events that end it, as `completed` or `incomplete`."""
        kind, whole = "response.function_call_arguments.done", "".join(self.pieces)
        yield self._event(kind, name=self.name, arguments=whole)
        yield from super().end(status)

    def shown(self) -> dict[str, Any]:
        """Return it as it stands."""
        return {
            "id": self.id,
            "type": "function_call",
            "status": self.status,
            "call_id": self.call_id,
            "name": self.name,
            "arguments": "".join(self.pieces),
        }


class _Parted(Item):
    """An item that has parts of text."""

    place: str
    """The name of a part's place among the item's."""
    added: str
    """What the events of parts begin with."""

    def __init__(self, id: str, index: int) -> None:  # noqa: A002  the wire's name
        super().__init__(id, index)
        self._parts: list[tuple[str, list[str]]] = []

    def feed(self, kind: str, piece: str) -> Iterator[dict[str, Any]]:
        """Yield the events of the next piece of text of a kind of part."""
        if not self._parts or self._parts[-1][0] != kind:
            yield from self._end_part()
            self._parts.append((kind, []))
            yield self._of_part(f"{self.added}.added", part=_part(kind, ""))
        self._parts[-1][1].append(piece)
        yield self._of_part(f"{_EVENTS[kind]}.delta", delta=piece, **_logprobs(kind))

    def _end_part(self) -> Iterator[dict[str, Any]]:
        if self._parts:
            kind, pieces = self._parts[-1]
            whole, name = "".join(pieces), "refusal" if kind == "refusal" else "text"
            yield self._of_part(f"{_EVENTS[kind]}.done", **{name: whole}, **_logprobs(kind))
            yield self._of_part(f"{self.added}.done", part=_part(kind, whole))

    def end(self, status: str) -> Iterator[dict[str, Any]]:
        """Yield the events that end it, as `completed` or `incomplete`."""
        yield from self._end_part()
        yield from super().end(status)

    def parts(self) -> list[dict[str, Any]]:
        """Return its parts as they stand."""
        return [_part(kind, "".join(pieces)) for kind, pieces in self._parts]

    def _of_part(self, kind: str, **fields: Any) -> dict[str, Any]:
        return self._event(kind, **{self.place: len(self._parts) - 1}, **fields)


class Message(_Parted):
    """A message: parts of text and of refusal."""

    phase: str | None = None
    """`commentary` or `final_answer`, where the model tells it."""
    place = "content_index"
    added = "response.content_part"

    def shown(self) -> dict[str, Any]:
        """Return it as it stands."""
        return {
            "id": self.id,
            "type": "message",
            "status": self.status,
            "role": "assistant",
            "content": self.parts(),
            **({PHASE: self.phase} if self.phase else {}),
        }


class Thought(_Parted):
    """Reasoning: parts of a summary."""

    place = "summary_index"
    added = "response.reasoning_summary_part"

    def shown(self) -> dict[str, Any]:
        """Return it as it stands."""
        return {"id": self.id, "type": "reasoning", "summary": self.parts()}


_EVENTS: Mapping[str, str] = {
    "output_text": "response.output_text",
    "refusal": "response.refusal",
    "summary_text": "response.reasoning_summary_text",
}
"""What the events of text begin with, by the kinds of parts."""


def _part(kind: str, text: str) -> dict[str, Any]:
    if kind == "refusal":
        return {"type": kind, "refusal": text}
    more: dict[str, Any] = {"annotations": [], "logprobs": []} if kind == "output_text" else {}
    return {"type": kind, "text": text, **more}


def _logprobs(kind: str) -> dict[str, Any]:
    return {"logprobs": []} if kind == "output_text" else {}
