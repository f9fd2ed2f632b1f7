"""The filter that repairs tool calls at the border, so that nothing behind it has to."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chatwright.core.jsontext import JsonScanner
from chatwright.core.piece import Piece
from chatwright.deltas import ToolCallDelta

__all__ = ["CallRepair"]


@dataclass(slots=True)
class _Call:
    """One call of the answer: where it stands, and what of it has been handed out."""

    index: int
    source_id: str | None
    name: str = ""
    id: str = ""
    held: list[str] = field(default_factory=list)
    open: bool = False
    scanner: JsonScanner = field(default_factory=JsonScanner)
    begun: bool = False

    def take(self, args: str) -> None:
        """Follow the arguments, to know where they are complete."""
        for _ in self.scanner.structure(args):
            self.begun = True

    @property
    def complete(self) -> bool:
        """Whether the arguments are a whole JSON object."""
        return self.begun and self.scanner.depth == 0 and not self.scanner.in_string


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

    def feed(self, piece: Piece) -> Sequence[Piece]:
        """Pass text on; take a piece of a call and return what of the call can go out now."""
        if not isinstance(piece, ToolCallDelta):
            return (piece,)
        call = self._current.get(piece.index)
        if call is None or _begins_another(call, piece):
            call = self._current[piece.index] = _Call(len(self._calls), piece.id)
            self._calls.append(call)
        call.source_id = call.source_id or piece.id
        args = _as_text(piece.args)
        if args.strip() == "null" and not call.begun:
            args = ""  # no arguments
        call.take(args)
        if call.open:
            return (ToolCallDelta(call.index, args=args),) if args else ()
        call.held.append(args)
        call.name = call.name or piece.name or ""
        return (self._opened(call),) if call.name else ()

    def flush(self) -> Sequence[Piece]:
        """Return the calls whose name never came."""
        return [self._opened(call) for call in self._calls if not call.open]

    def _opened(self, call: _Call) -> ToolCallDelta:
        call.open = True
        taken = not call.source_id or call.source_id in self._ids
        call.id = f"call_{uuid.uuid4().hex}" if taken else str(call.source_id)
        self._ids.add(call.id)
        return ToolCallDelta(call.index, call.id, call.name, "".join(call.held))


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
