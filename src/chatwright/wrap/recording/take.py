"""One exchange with a model: recorded as it comes, or replayed."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from chatwright.core.piece import Piece
from chatwright.deltas import Delta, Finish, ToolCallDelta, Usage
from chatwright.errors import CassetteError
from chatwright.langchain.render import Summary
from chatwright.wrap.recording import failures
from chatwright.wrap.recording.cassette import CUT, Exchange
from chatwright.wrap.recording.deltas import as_delta, hidden, written
from chatwright.wrap.recording.secrets import Secrets

__all__ = ["DeltaRenderer", "Take", "played"]

_DERIVED = frozenset(
    {"finish_reason", "finish_state", "model_provider", "normalized_finish_reason"}
)
"""What every model makes anew of a finish reason."""


class DeltaRenderer:
    """Deltas again, of an answer's pieces.

    Args:
        holds_calls: Whether calls wait for the end, as the LLM may be asked again for better ones.
    """

    def __init__(self, *, holds_calls: bool) -> None:
        """Start an answer."""
        self._holds_calls = holds_calls
        self._held: list[Piece] = []

    def piece(self, piece: Piece) -> Sequence[Delta]:
        """Return a piece as it is."""
        if self._held or (self._holds_calls and isinstance(piece, ToolCallDelta)):
            self._held.append(piece)
            return ()
        return (piece,)

    def again(self) -> None:
        """Leave the calls so far out: another attempt at the answer takes their place."""
        self._held = [each for each in self._held if not isinstance(each, ToolCallDelta)]

    def last(self, summary: Summary) -> Sequence[Delta]:
        """Return what was held, the tokens spent, and how it ended."""
        metadata = summary.response_metadata
        made: list[Delta] = [*self._held]
        if (usage := summary.usage) is not None:
            ins: dict[str, Any] = {**usage.get("input_token_details", {})}
            outs: dict[str, Any] = {**usage.get("output_token_details", {})}
            counts = usage["input_tokens"], usage["output_tokens"]
            made.append(Usage(*counts, ins, outs))  # the metadata says whether it is an estimate
        reason = str(metadata.get("finish_reason") or "stop")
        kept = {name: each for name, each in metadata.items() if name not in _DERIVED}
        return [*made, Finish(reason, kept, dict(summary.additional_kwargs))]


class Take:
    """What comes of one exchange, with its times.

    Args:
        request: The request, as JSON.
    """

    def __init__(self, request: dict[str, Any]) -> None:
        """Start the clock."""
        self._request = request
        self._deltas: list[Delta] = []
        self._seconds: list[float] = []
        self._since = time.monotonic()
        self._end: Callable[[Secrets], Any] | None = None

    def add(self, delta: Delta) -> None:
        """Take the next delta."""
        self._deltas.append(delta)
        self._tick()

    def end(self, error: BaseException | None) -> bool:
        """Take the end, and tell whether this is to be recorded.

        Args:
            error: What ended it; None where it came to its end.
        """
        if isinstance(error, CassetteError):
            return False  # of another recording, inside of this one
        if isinstance(error, Exception):
            raised = error
            self._end = lambda secrets: {"error": failures.written(raised, secrets)}
        elif error is not None:
            # Its reader went away, which is an answer's end like others; a Ctrl-C is none.
            if not self._deltas or isinstance(error, KeyboardInterrupt | SystemExit):
                return False
            self._end = lambda _: CUT
        if self._end:
            self._tick()
        return True

    def _tick(self) -> None:
        now = time.monotonic()
        self._seconds.append(round(now - self._since, 3))
        self._since = now

    def exchange(self, secrets: Secrets) -> Exchange:
        """Return it without secrets.

        Raises:
            CassetteError: Something in it is no JSON.
        """
        answer = [written(each) for each in hidden(self._deltas, secrets)]
        ending = [self._end(secrets)] if self._end else []
        return Exchange(secrets.hide(self._request), [*answer, *ending], self._seconds)


def played(exchange: Exchange, *, timing: bool, where: object) -> Iterator[tuple[float, Delta]]:
    """Yield a recorded answer's deltas, each with the seconds to wait before it; raise as it did.

    Args:
        exchange: What is replayed.
        timing: Whether there are seconds to wait.
        where: The cassette, for errors.

    Raises:
        CassetteError: Nobody read it to its end when it was recorded, as is done now; or an entry
            is none of a cassette's.
        Exception: The recorded error.
    """
    waits = exchange.seconds if timing and exchange.seconds else [0.0] * len(exchange.answer)
    for wait, entry in zip(waits, exchange.answer, strict=True):
        if entry == CUT:
            raise CassetteError(
                f"the answer in {where}, line {exchange.line}, was not read to its end when it was "
                "recorded, and is now; record it with mode='all'"
            )
        if isinstance(entry, dict) and "error" in entry:
            yield wait, ""  # it took its time, too
            raise failures.made(entry["error"])
        yield wait, as_delta(entry)
