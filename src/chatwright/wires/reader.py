"""What reads an answer at the client's end of a wire: payloads in, deltas out. No I/O."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from chatwright.deltas import Delta, Finish, Usage
from chatwright.wires.usage import UsageFields

__all__ = ["Reader", "Reported", "TotalsReader"]


class Reader(Protocol):
    """Reads one answer: payloads in, deltas out. No I/O."""

    ended: bool
    """Whether the server has marked the end of the answer: what ends its bytes cuts nothing off."""

    @property
    def missing(self) -> str:
        """What may be wrong where nothing of an answer has come."""

    @property
    def settled(self) -> bool:
        """Whether nothing of the answer can follow, so that only its usage is waited for."""

    def knows(self, payload: Any, /) -> bool:
        """Tell whether a payload that says nothing is part of an answer all the same."""

    def read(self, payload: Any, /) -> Sequence[Delta]:
        """Return what a payload says.

        Raises:
            SourceError: The server reports a failure, or what came can't be read.
        """

    def flush(self) -> Sequence[Delta]:
        """Return what is left to say at the end."""


class Reported(Exception):  # noqa: N818  it never leaves what drives the reader
    """A reader has come upon a failure that the server, or the program, reports.

    Args:
        said: What it says of it.
    """

    def __init__(self, said: Any) -> None:
        """Keep what was said."""
        super().__init__(said)
        self.said = said


_COSTS = ("cost", "cost_details")


class TotalsReader:
    """What readers keep until the end of an answer: why it ended, and what is known of it."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.ended = False
        self._reason: str | None = None
        self._metadata: dict[str, Any] = {}
        self._kwargs: dict[str, Any] = {}  # what goes back to the server as it came
        self._counts: dict[str, Any] = {}
        self._introduced = False

    @property
    def missing(self) -> str:
        """What may be wrong where nothing of an answer has come."""
        return "are the address and the wire right?"

    @property
    def settled(self) -> bool:
        """Whether nothing of the answer can follow."""
        return self.ended

    def flush(self) -> Sequence[Delta]:
        """Return what is left to say at the end."""
        return [self._finish()]

    def _finish(self) -> Finish:
        """Say how the answer ended; without what is None."""
        known = {name: value for name, value in self._metadata.items() if value is not None}
        return Finish(self._reason or "stop", known, {**self._kwargs})

    def _note(self, payload: Mapping[str, Any], *names: str) -> None:
        """Keep what is known of the answer, and the model that gives it."""
        self._metadata |= {name: payload[name] for name in names if payload.get(name)}
        if isinstance(model := payload.get("model"), str) and model.strip():
            self._metadata["model_name"] = model

    def _learn(self, name: str, value: Any) -> None:
        """Keep what is known of the answer, to be said before text that may end it.

        Args:
            name: The metadata's name for it.
            value: What is known. Where that is new, the answer is introduced again.
        """
        if self._metadata.get(name) != value:
            self._metadata[name] = value
            self._introduced = False

    def _introduce(self, payload: Mapping[str, Any], *names: str) -> Sequence[Delta]:
        """Say what is known of the answer before it: no more may be read than its beginning."""
        self._introduced = True
        self._note(payload, *names)
        return [self._finish()]

    def _cost(self, counts: Any) -> None:
        """Keep what the answer costs, where a server says so, as OpenRouter does."""
        if isinstance(counts, Mapping):
            self._metadata |= {
                each: counts[each] for each in _COSTS if counts.get(each) is not None
            }

    def _counted(self, fields: UsageFields, counts: Any) -> Usage:
        """Return the counts known so far: servers repeat some of them as 0, or leave them out."""
        self._cost(counts)
        told = counts.items() if isinstance(counts, Mapping) else ()
        self._counts |= {name: each for name, each in told if each or name not in self._counts}
        return fields.read(self._counts)
