"""Characters that a server cuts in half, into two pieces of an answer. No I/O."""

import dataclasses
from collections.abc import Hashable, Iterator, Sequence

from chatwright.deltas import Delta, Finish, Reasoning, Refusal, ToolCallDelta
from chatwright.wires.jsonio import whole

__all__ = ["Halves"]


class Halves:
    """Joins the surrogates that are halves of one character; what stays alone becomes U+FFFD."""

    def __init__(self) -> None:
        """Start with none."""
        self._held: dict[Hashable, tuple[Delta, str]] = {}

    def joined(self, deltas: Sequence[Delta], *, last: bool = False) -> Sequence[Delta]:
        """Return deltas without lone surrogates.

        Args:
            deltas: Some of which may have them.
            last: Whether nothing more comes.
        """
        made = [joined for each in deltas for joined in self._join(each)]
        if last:
            made = [*(_with(each, whole(half)) for each, half in self._held.values()), *made]
        return made

    def _join(self, delta: Delta) -> Iterator[Delta]:
        if isinstance(delta, Finish):
            yield Finish(delta.reason, whole(delta.metadata), whole(delta.additional_kwargs))
            return
        text = _text(delta)
        if text is None:
            yield delta
            return
        key = (type(delta), delta.index if isinstance(delta, ToolCallDelta) else 0)
        if key in self._held:
            text = self._held.pop(key)[1] + text
        if "\ud800" <= text[-1:] <= "\udbff":
            held = ToolCallDelta(delta.index) if isinstance(delta, ToolCallDelta) else delta
            self._held[key] = held, text[-1]
            text = text[:-1]
        yield _with(delta, whole(text))


def _text(delta: Delta) -> str | None:
    """Return the text of a delta; None for none."""
    match delta:
        case str():
            return delta
        case Reasoning() | Refusal():
            return delta.text
        case ToolCallDelta(args=str(args)):
            return args
    return None


def _with(delta: Delta, text: str) -> Delta:
    """Return a delta with another text."""
    match delta:
        case Reasoning() | Refusal():
            return dataclasses.replace(delta, text=text)
        case ToolCallDelta():
            return dataclasses.replace(delta, args=text)
    return text
