"""What writes an answer at the server's end of a wire: deltas in, payloads out. No I/O."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from chatwright.deltas import (
    Delta,
    Finish,
    Reasoning,
    Refusal,
    Text,
    ToolCallDelta,
    Usage,
)
from chatwright.errors import ContentError, OutputError
from chatwright.wires.asked import Asked
from chatwright.wires.framing import json_string

__all__ = ["CallSoFar", "Totals", "Writer"]

_MARK = "\0"


@dataclass
class CallSoFar:
    """A tool call, as far as it has come.

    Args:
        id: Its id.
        name: The tool's name.
        pieces: Its arguments, as the pieces of a text.
    """

    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)

    @property
    def arguments(self) -> str:
        """Its arguments, as text."""
        return "".join(self.pieces)

    @property
    def is_whole(self) -> bool:
        """Whether nothing more can come: the arguments are a whole JSON value."""
        try:
            json.loads(self.arguments)
        except ValueError:
            return False
        return True

    def parsed(self) -> Any:
        """Return the arguments as a value, for wires that have them so.

        Raises:
            OutputError: They are no JSON.
        """
        try:
            return json.loads(self.arguments or "{}")
        except ValueError as error:
            raise OutputError(
                f"the arguments of the call of {self.name!r} can't be sent over this wire, which "
                f"has them as an object: {error}: {self.arguments[:200]!r}"
            ) from None


@dataclass
class Totals:
    """What an answer has come to so far.

    Args:
        said: The pieces of its text.
        thought: The pieces of its reasoning.
        refused: The pieces of the words in which it refuses.
        calls: Its tool calls by their indexes.
        counts: The tokens spent, as far as they are known.
        finish: How it ended, where that was said.
    """

    said: list[str] = field(default_factory=list)
    thought: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    calls: dict[int, CallSoFar] = field(default_factory=dict)
    counts: Usage | None = None
    finish: Finish | None = None

    def add(self, delta: Delta) -> None:
        """Take the next delta."""
        match delta:
            case str():
                self.said.append(delta)
            case Reasoning():
                self.thought.append(delta.text)
            case Refusal():
                self.refused.append(delta.text)
            case ToolCallDelta():
                call = self.calls.setdefault(delta.index, CallSoFar())
                call.id = call.id or delta.id or ""
                call.name = call.name or delta.name or ""
                call.pieces.append(str(delta.args))
            case Usage():
                self.counts = delta.over(self.counts)
            case Finish():
                self.finish = delta

    @property
    def text(self) -> str:
        """Its text."""
        return "".join(self.said)

    @property
    def reasoning(self) -> str:
        """Its reasoning."""
        return "".join(self.thought)

    @property
    def refusal(self) -> str | None:
        """The words in which it refuses; None where it does not."""
        return "".join(self.refused) if self.refused else None

    @property
    def reason(self) -> str:
        """Why it ended, by OpenAI's names, or as it was said."""
        if self.finish:
            return self.finish.reason
        return "tool_calls" if self.calls else "stop"

    @property
    def usage(self) -> Usage | None:
        """The tokens spent; None where those of the prompt are unknown."""
        counts = self.counts
        return counts if counts and counts.input_tokens is not None else None


class Writer:
    """Writes one answer: in pieces by `feed` and `end`, or whole by `add` and `whole`.

    Args:
        asked: What was asked.
        known: The tokens that are known of beforehand, for wires that begin with those of the
            prompt. Default: none.
    """

    encode: Callable[[Any], bytes]
    """Makes bytes of a stream's payload."""

    repeats = True
    """Whether pieces of text that go on where the last one ended differ by nothing else."""
    has_calls = True
    """Whether the wire has a form for tool calls."""
    known: Usage | None = None
    tells_usage = True
    """Whether a stream tells the tokens spent, on wires where that is asked for."""

    def __init__(self, asked: Asked) -> None:
        """Start with nothing."""
        self.asked = asked
        self.totals = Totals()
        self._begun = False
        self._around: tuple[bytes, bytes] | None = None

    def begin(self, first: Delta | None = None) -> list[bytes]:
        """Return what stands before the answer; nothing where that has gone out.

        Args:
            first: What the answer begins with, where that is known.
        """
        if self._begun:
            return []
        self._begun = True
        return self._encoded(self._head(first))

    def feed(self, delta: Delta) -> list[bytes]:
        """Take the next delta, and return the pieces of the stream that it makes.

        Raises:
            ContentError: The wire has no form for it.
        """
        if self._around is not None and type(delta) is str:
            self.totals.said.append(delta)
            before, after = self._around
            return [b"".join((before, json_string(delta), after))]
        plain = self._plain(delta)
        pieces = self.begin(plain)
        self.totals.add(plain)
        pieces += self._encoded(self._payloads(plain))
        self._around = self._learned() if self.repeats and isinstance(plain, str) else None
        return pieces

    def _learned(self) -> tuple[bytes, bytes] | None:
        """Return what stands around a piece of text that goes on where the last one ended."""
        pieces = self._encoded(self._payloads(_MARK))
        before, mark, after = pieces[0].partition(json_string(_MARK))
        return (before, after) if mark and len(pieces) == 1 else None

    def answers(self, delta: Any) -> bool:
        """Tell whether a delta is a piece of the answer, and not only told beside it."""
        return True

    def end(self) -> list[bytes]:
        """Return the pieces of the stream that end it."""
        return [*self.begin(), *self._encoded(self._tail())]

    def heartbeat(self) -> bytes:
        """Return what keeps a stream alive and says nothing."""
        return b": wait\n\n"

    def fail(self, status: int, message: str) -> list[bytes]:
        """Return the pieces of the stream that end it with an error.

        Args:
            status: The HTTP status that it would have had.
            message: What happened.
        """
        raise NotImplementedError

    def add(self, delta: Delta) -> None:
        """Take the next delta of an answer that goes out whole.

        Raises:
            ContentError: The wire has no form for it.
        """
        self.totals.add(self._plain(delta))

    def whole(self) -> Mapping[str, Any]:
        """Return the answer as one JSON object.

        Raises:
            OutputError: A call's arguments are no JSON, and the wire has them as an object.
        """
        raise NotImplementedError

    @property
    def usage(self) -> Usage | None:
        """The tokens spent; None where those of the prompt are unknown."""
        return self.totals.usage

    def _plain(self, delta: Delta) -> Delta:
        if isinstance(delta, ToolCallDelta) and not self.has_calls:
            raise ContentError(
                f"the model calls a tool, {delta.name!r}, which this wire has no form for; ask by "
                "a chat's"
            )
        return _plain(delta)

    def _encoded(self, payloads: Iterable[Any]) -> list[bytes]:
        return [self.encode(each) for each in payloads]

    def _head(self, first: Delta | None) -> Iterator[Any]:
        """Yield the payloads before the answer."""
        yield from ()

    def _payloads(self, delta: Delta) -> Iterator[Any]:
        """Yield a delta's payloads; it is in the totals."""
        raise NotImplementedError

    def _tail(self) -> Iterator[Any]:
        """Yield the payloads after the answer."""
        raise NotImplementedError


def _plain(delta: Delta) -> Delta:
    """Return a delta with text as str, and arguments as text."""
    match delta:
        case Text():
            return delta.text
        case ToolCallDelta() if not isinstance(delta.args, str):
            args = json.dumps(delta.args, ensure_ascii=False)
            return ToolCallDelta(delta.index, delta.id, delta.name, args)
        case str() | Reasoning() | Refusal() | ToolCallDelta() | Usage() | Finish():
            return delta
    raise ContentError(f"no wire has a form for {delta!r} in an answer")
