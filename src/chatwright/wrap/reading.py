"""Reading an answer: bytes in, deltas out, whatever they came by. No I/O."""

from collections.abc import Callable, Sequence
from typing import Any

from chatwright.deltas import Delta, Finish, Usage
from chatwright.errors import OutputError, SourceConnectionError, SourceError
from chatwright.wires.framing import FRAMINGS, ErrorPayload
from chatwright.wires.reader import Reader, Reported
from chatwright.wrap.failure import Mask, is_report, reported
from chatwright.wrap.halves import Halves
from chatwright.wrap.jsonio import loads_apart, whole

__all__ = ["Reading"]

_ASIDE = (Finish, Usage)
_SHOWN = 200
_MARGIN = 16
"""How much longer than the mark of the end a payload may be that is looked at for what it is."""
_KEEP_ALIVE = frozenset({b"", b"heartbeat", b"keep-alive", b"keepalive", b"null", b"ping"})
_UNREAD: Any = object()


class Reading:
    """One answer on its way: cuts its bytes into payloads and has them read.

    `began` is true once a piece of the answer has come, `done` once nothing more is wanted.

    Args:
        reader: Reads the payloads.
        framing: How payloads are told apart: a key of `FRAMINGS`.
        ends: Whether the end of an answer is marked.
        name: The model's name, for errors.
        mask: Hides secrets.
        done_marker: The payload that says that nothing more comes.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        framing: str,
        ends: bool,
        name: str,
        mask: Mask,
        done_marker: str = "[DONE]",
    ) -> None:
        """Start with nothing."""
        self._done_marker = _bare(done_marker.encode())
        self._short = len(self._done_marker) + _MARGIN
        self._streams = framing in {"ndjson", "sse"}
        self._halves = Halves()
        self._apart = False  # whether characters have been met that are cut in half
        self._answered = False  # whether anything of an answer could be read
        self._last: Any = b""  # what came that says nothing of one
        self._head = b""
        self.began = False
        self.done = False
        self._error: SourceError | None = None
        self._decoder = FRAMINGS[framing]()
        self._reader = reader
        self._ends = ends
        self._name = name
        self._mask = mask

    @property
    def ended(self) -> bool:
        """Whether the answer is known to be complete; its usage may still come."""
        return self._reader.settled

    def feed(self, data: bytes) -> Sequence[Delta]:
        """Return what the next bytes say.

        What can't be read, or is a failure that the server reports, makes `done` true; what came
        before it is returned all the same, and `end` raises it.
        """
        if not self._answered and len(self._head) < _SHOWN:
            self._head += bytes(data[:_SHOWN])
        return self._deltas(self._decoder.feed, data)

    def finish(self) -> Sequence[Delta]:
        """Return what the last bytes say: no more come."""
        deltas = self._deltas(self._decoder.flush)
        if self._error is None and not self._answered and self._head.strip():
            self._error = self._no_answer()
        elif not self.done and self._ends and not self._reader.ended:
            self._error = SourceConnectionError(
                f"{self._name}: the answer broke off: its bytes ended, but nothing marked its end "
                "(for a server that never does, set the quirk ends=False)"
            )
        self.done = True
        return deltas

    def end(self) -> Sequence[Delta]:
        """Return how the answer ended.

        Raises:
            SourceConnectionError: It broke off.
            SourceError: The server reports a failure, or what came can't be read.
        """
        if self._error is not None:
            raise self._error
        try:
            rest = self._reader.flush()
        except OutputError as error:
            raise OutputError(f"{self._name}: {self._mask(str(error))}") from None
        return self._halves.joined(rest, last=True) if self._apart else rest

    def _no_answer(self) -> SourceError:
        """Return the error for a server that says something else than an answer."""
        if is_report(self._last):
            return reported(whole(self._last), name=self._name, mask=self._mask)
        text = " ".join(self._mask(self._head.decode("utf-8", "replace")).split())
        return OutputError(
            f"{self._name}: nothing of an answer could be read in what the server sent: "
            f"{text[:_SHOWN]} (are the address and the wire right?)"
        )

    def _deltas(self, decode: Callable[..., list[Any]], *data: bytes) -> Sequence[Delta]:
        deltas: list[Delta] = []
        try:
            for payload in decode(*data):
                deltas += self._read(payload)
        except SourceError as error:
            self._error, self.done = error, True
        if not self.began:
            self.began = any(type(each) not in _ASIDE for each in deltas)
        return deltas

    def _read(self, payload: Any) -> Sequence[Delta]:
        if self.done or (len(payload) < self._short and self._is_nothing(payload)):
            return ()
        event = _UNREAD
        try:
            if type(payload) is str:
                self._answered = True
                return self._reader.read(payload)
            # orjson takes no subclass of bytes
            event, is_apart = loads_apart(payload if type(payload) is bytes else bytes(payload))
            self._apart = self._apart or is_apart
            read = self._event(event, failed=type(payload) is ErrorPayload)
            return self._halves.joined(read) if self._apart else read
        except Reported as failure:
            raise reported(whole(failure.said), name=self._name, mask=self._mask) from None
        except (AttributeError, IndexError, KeyError, OutputError, TypeError, ValueError) as error:
            if event is _UNREAD and type(payload) is bytes and self._reader.settled:
                return ()  # nothing of the answer can follow
            if is_report(event):
                raise reported(whole(event), name=self._name, mask=self._mask) from None
            text = payload if type(payload) is str else payload.decode("utf-8", "replace")
            raise OutputError(
                f"{self._name}: the answer can't be read ({error}): {self._mask(text)[:_SHOWN]}"
            ) from None

    def _event(self, event: Any, *, failed: bool) -> Sequence[Delta]:
        """Return what a payload says, now that it is parsed.

        Raises:
            Reported: It tells of a failure, in whatever shape, instead.
        """
        told = event.get("error") if type(event) is dict else is_report(event)
        if failed or told:
            raise Reported(event)
        read = self._reader.read(event)
        if read or self._reader.ended or (type(event) is dict and event.get("choices")):
            self._answered = True
        elif is_report(event):
            raise Reported(event)
        else:
            self._last = event
        return read

    def _is_nothing(self, payload: Any) -> bool:
        """Tell whether a payload is the mark of the end, which it notes, or keeps alive only."""
        if not self._streams or type(payload) is ErrorPayload:
            return False
        text = _bare(payload)
        if text == self._done_marker:
            self.done = self._reader.ended = True
            return True
        return text in _KEEP_ALIVE


def _bare(payload: bytes) -> bytes:
    """Return a mark as it is compared: some servers quote it, or write it small."""
    return payload.strip().strip(b'"').strip().lower()
