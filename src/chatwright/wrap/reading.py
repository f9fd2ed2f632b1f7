"""Reading an answer: bytes in, deltas out, whatever they came by. No I/O."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from chatwright.deltas import Delta, Finish
from chatwright.errors import OutputError, SourceConnectionError, SourceError
from chatwright.wrap.failure import Mask, reported
from chatwright.wrap.framing import FRAMINGS, ErrorPayload
from chatwright.wrap.jsonio import loads

__all__ = ["Reader", "Reading", "finished"]

DONE = b"[DONE]"
_SHOWN = 200


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


class Reading:
    """One answer on its way: cuts its bytes into payloads and has them read.

    Args:
        reader: Reads the payloads.
        framing: How payloads are told apart: a key of `FRAMINGS`.
        ends: Whether the end of an answer is marked.
        name: The model's name, for errors.
        mask: Hides secrets.
    """

    def __init__(self, reader: Reader, *, framing: str, ends: bool, name: str, mask: Mask) -> None:
        """Start with nothing."""
        self.done = False
        self._decoder = FRAMINGS[framing]()
        self._reader = reader
        self._ends = ends
        self._name = name
        self._mask = mask

    @property
    def ended(self) -> bool:
        """Whether the answer is known to be complete; its usage may still come."""
        return self._reader.ended

    def feed(self, data: bytes) -> Sequence[Delta]:
        """Return what the next bytes say.

        Raises:
            SourceError: The server reports a failure, or what came can't be read.
        """
        return [delta for payload in self._decoder.feed(data) for delta in self._read(payload)]

    def flush(self) -> Sequence[Delta]:
        """Return what the end of the bytes says.

        Raises:
            SourceConnectionError: It is not the end of the answer.
            SourceError: As `feed`.
        """
        deltas: list[Delta] = []
        if not self.done:
            for payload in self._decoder.flush():
                deltas += self._read(payload)
            self.done = True
            if self._ends and not self._reader.ended:
                raise SourceConnectionError(
                    f"{self._name}: the answer broke off: its bytes ended, but nothing marked its "
                    "end (for a server that never does, set the quirk ends=False)"
                )
        return [*deltas, *self._reader.flush()]

    def _read(self, payload: Any) -> Sequence[Delta]:
        if payload == DONE or self.done:
            self.done = True
            return ()
        try:
            if type(payload) is str:
                return self._reader.read(payload)
            event = loads(payload)
            if type(payload) is ErrorPayload or (type(event) is dict and event.get("error")):
                raise reported(event, name=self._name, mask=self._mask)
            return self._reader.read(event)
        except SourceError as error:
            if error.args and isinstance(error, OutputError):
                error.args = (f"{self._name}: {self._mask(str(error))}",)
            raise
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            shown = self._mask(payload[:200].decode("utf-8", "replace"))
            raise OutputError(
                f"{self._name}: the server's answer can't be read ({error!r}): {shown}"
            ) from None


_REASONS = {
    "completed": "stop",
    "end_turn": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "function_call": "tool_calls",
    "max_output_tokens": "length",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
}


def finish_reason(reason: str) -> str:
    """Return a finish reason by OpenAI's names, where it has one."""
    return _REASONS.get(reason, reason)


def finished(reason: str | None, metadata: Mapping[str, Any]) -> Finish:
    """Return how an answer ended, without what is None."""
    known = {name: value for name, value in metadata.items() if value is not None}
    return Finish(finish_reason(reason or "stop"), known)
