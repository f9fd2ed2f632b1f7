"""The filter that repairs tool calls at the border, so that nothing behind it has to."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from chatwright.core.jsontext import JsonScanner, read_object
from chatwright.core.piece import Piece
from chatwright.deltas import ToolCallDelta

__all__ = ["CALL_EXTRAS", "CallRepair", "Unreadable"]

CALL_EXTRAS = "tool_call_extras"
"""Where a message's `additional_kwargs` keep what a server put beside its calls, by their ids."""


NAMELESS = "the call names no tool"


class Unreadable(NamedTuple):
    """A call that can't be read: its name, its arguments as they came, and what is wrong."""

    name: str
    args: str
    error: str


@dataclass(slots=True)
class _Call:
    """One call of the answer: where it stands, and what of it has been handed out."""

    index: int
    source_id: str | None
    name: str = ""
    id: str = ""
    args: list[str] = field(default_factory=list)
    error: str = ""
    open: bool = False
    scanner: JsonScanner = field(default_factory=JsonScanner)
    begun: bool = False
    extras: dict[str, Any] = field(default_factory=dict)

    def take(self, args: str, error: str) -> None:
        """Follow the arguments, to know where they are complete."""
        self.args.append(args)
        self.error = self.error or error
        for _ in self.scanner.structure(args):
            self.begun = True

    @property
    def complete(self) -> bool:
        """Whether the arguments are a whole JSON object."""
        return self.begun and self.scanner.depth == 0 and not self.scanner.in_string

    def unreadable(self) -> Unreadable | None:
        """Return the call, if it can't be read."""
        raw = "".join(self.args)
        error = self.error or read_object(raw)[1] or ("" if self.name else NAMELESS)
        return Unreadable(self.name, raw, error) if error else None


class CallRepair:
    """Makes every tool call regular, whatever the backend sent.

    Behind it, calls are numbered from 0 in the order in which they begin; a call's first piece,
    and no other, has its name and an id that is its own; arguments are text. Backends leave ids
    out, send them empty or use one twice, give arguments as an object, repeat the name with every
    fragment, send it late, or number all parallel calls 0.
    """

    done = False

    def __init__(self) -> None:
        """Start with no calls."""
        self._calls: list[_Call] = []
        self._current: dict[object, _Call] = {}
        self._ids: set[str] = set()
        self._earlier = 0  # the calls of earlier attempts

    def feed(self, piece: Piece) -> Sequence[Piece]:
        """Pass text on; take a piece of a call and return what of the call can go out now."""
        if not isinstance(piece, ToolCallDelta):
            return (piece,)
        call = self._current.get(piece.index)
        if call is None or _begins_another(call, piece):
            call = self._current[piece.index] = _Call(len(self._calls), piece.id)
            self._calls.append(call)
        call.source_id = call.source_id or piece.id
        call.extras |= piece.extras or {}
        args = _as_text(piece.args)
        if args.strip() == "null" and not call.begun:
            args = ""  # no arguments
        call.take(args, piece.error)
        if call.open:
            told = args or piece.error
            return (ToolCallDelta(call.index, args=args, error=piece.error),) if told else ()
        call.name = call.name or piece.name or ""
        return (self._opened(call),) if call.name else ()

    def flush(self) -> Sequence[Piece]:
        """Return the calls whose name never came."""
        return [self._opened(call) for call in self._calls if not call.open]

    def again(self) -> None:
        """Begin another attempt at the answer: what comes now is of other calls."""
        self._current = {}
        self._earlier = len(self._calls)

    @property
    def extras(self) -> dict[str, Mapping[str, Any]]:
        """What the server put beside the calls of the last attempt, by their ids."""
        return {each.id: each.extras for each in self._calls[self._earlier :] if each.extras}

    @property
    def unreadable(self) -> Sequence[Unreadable]:
        """The calls of the last attempt that can't be read, if none of its calls can."""
        calls = self._calls[self._earlier :]
        bad = [each for call in calls if (each := call.unreadable())]
        return bad if len(bad) == len(calls) else ()

    def _opened(self, call: _Call) -> ToolCallDelta:
        call.open = True
        taken = not call.source_id or call.source_id in self._ids
        call.id = f"call_{uuid.uuid4().hex}" if taken else str(call.source_id)
        self._ids.add(call.id)
        error = call.error if call.name else call.error or NAMELESS
        return ToolCallDelta(call.index, call.id, call.name, "".join(call.args), error)


def _begins_another(call: _Call, piece: ToolCallDelta) -> bool:
    """Tell whether `piece` is of another call, although it has the number of `call`."""
    if not piece.name or not call.name:
        return False
    if piece.id and call.source_id and piece.id != call.source_id:
        return True
    if piece.name != call.name:
        return True
    return call.complete and bool(piece.args)


def _as_text(args: object) -> str:
    if isinstance(args, Mapping):
        return json.dumps(args, ensure_ascii=False)
    return args if isinstance(args, str) else ""
