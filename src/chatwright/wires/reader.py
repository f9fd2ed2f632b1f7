"""What reads an answer at the client's end of a wire: payloads in, deltas out. No I/O."""

from collections.abc import Sequence
from typing import Any, Protocol

from chatwright.deltas import Delta, Finish

__all__ = ["Reader", "Reported", "TotalsReader"]


class Reader(Protocol):
    """Reads one answer: payloads in, deltas out. No I/O."""

    ended: bool
    """Whether the answer is known to be complete."""

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


class TotalsReader:
    """What readers keep until the end of an answer: why it ended, and what is known of it."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.ended = False
        self._reason: str | None = None
        self._metadata: dict[str, Any] = {}

    def flush(self) -> Sequence[Delta]:
        """Say how the answer ended; without what is None."""
        known = {name: value for name, value in self._metadata.items() if value is not None}
        return [Finish(self._reason or "stop", known)]
