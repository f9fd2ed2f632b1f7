"""One answer on its way: the source's items in, clean pieces out, the totals kept."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeAlias

from chatwright.deltas import Finish, Reasoning, Text, ToolCallDelta, Usage
from chatwright.errors import OutputError

__all__ = ["Answer", "Filter", "Piece"]

Piece: TypeAlias = str | Reasoning | ToolCallDelta
"""What a renderer sees of an answer. Text is a bare `str` here, the cheapest there is."""


class Filter(Protocol):
    """Rewrites an answer's pieces on their way; knows no I/O and no clock."""

    @property
    def done(self) -> bool:
        """Whether the filter has ended the answer."""

    def feed(self, piece: Piece) -> Sequence[Piece]:
        """Take the next piece, return the pieces that can go out now."""

    def flush(self) -> Sequence[Piece]:
        """Return the pieces that were held back."""


class Answer:
    """Takes what a source yields, runs it through the filters and keeps the totals.

    Args:
        filters: Applied in their order.
        source: The source's name, for errors.
    """

    __slots__ = (
        "_filters",
        "_source",
        "empty",
        "finish_reason",
        "metadata",
        "reasoning",
        "text",
        "usage",
    )

    def __init__(self, filters: Sequence[Filter] = (), *, source: str = "the source") -> None:
        """Start with nothing."""
        self._filters = filters
        self._source = source
        self.empty = True
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.metadata: dict[str, Any] = {}

    def feed(self, item: object) -> Sequence[Piece]:
        """Take the next item that the source yielded and return what can go out now.

        Raises:
            OutputError: The item is no delta.
        """
        self.empty = False
        if type(item) is str:
            if not self._filters and item:
                self.text.append(item)
                return (item,)
            return self._piece(item)
        match item:
            case str():  # a subclass, such as the `.text` of LangChain's messages
                return self._piece(str(item))
            case Text():
                return self._piece(item.text or "")
            case Reasoning():
                return self._piece(item) if item.text else ()
            case ToolCallDelta():
                return self._piece(item if item.args else replace(item, args=""))
            case Usage():
                return self._usage(item)
            case Finish():
                return self._finish(item)
            case None:  # a backend's null content
                return ()
        raise OutputError(
            f"{self._source} gave {_shortened(item)}; it may give str, Text, Reasoning, "
            "ToolCallDelta, Usage or Finish"
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
        return self._keep(pieces)

    def _piece(self, piece: Piece) -> Sequence[Piece]:
        return self._keep(self._through((piece,), self._filters)) if piece != "" else ()

    def _usage(self, new: Usage) -> Sequence[Piece]:
        old = self.usage or Usage()
        self.usage = Usage(
            old.input_tokens if new.input_tokens is None else new.input_tokens,
            old.output_tokens if new.output_tokens is None else new.output_tokens,
            {**old.input_token_details, **new.input_token_details},
            {**old.output_token_details, **new.output_token_details},
            new.estimated,
        )
        return ()

    def _finish(self, delta: Finish) -> Sequence[Piece]:
        self.finish_reason = delta.reason
        self.metadata.update(delta.metadata)
        return ()

    @staticmethod
    def _through(pieces: Sequence[Piece], filters: Sequence[Filter]) -> Sequence[Piece]:
        for each in filters:
            pieces = [out for piece in pieces for out in each.feed(piece)]
        return pieces

    def _keep(self, pieces: Sequence[Piece]) -> Sequence[Piece]:
        for piece in pieces:
            if isinstance(piece, str):
                self.text.append(piece)
            elif isinstance(piece, Reasoning):
                self.reasoning.append(piece.text)
        return pieces


def _shortened(value: object, limit: int = 200) -> str:
    try:
        shown = repr(value)
    except Exception:  # noqa: BLE001  a user's own __repr__ may raise anything
        shown = object.__repr__(value)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
