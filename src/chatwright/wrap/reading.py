"""Reading an answer: bytes in, deltas out, whatever they came by. No I/O."""

from collections.abc import Callable, Sequence
from typing import Any

from chatwright.deltas import Delta, Finish, Usage
from chatwright.errors import OutputError, SourceConnectionError, SourceError
from chatwright.wires.framing import FRAMINGS, ErrorPayload
from chatwright.wires.jsonio import loads_apart, whole
from chatwright.wires.reader import Reader, Reported
from chatwright.wrap.failure import SHOWN_BYTES, Came, reported, unanswered
from chatwright.wrap.halves import Halves
from chatwright.wrap.masking import Mask
from chatwright.wrap.reports import is_report, plain, words_in

__all__ = ["Reading"]

_ASIDE = (Finish, Usage)
_HEAD = 2 * SHOWN_BYTES
"""How much is kept of what may be no answer: it is masked before it is cut."""
_SHOWN = 200
_FAILED = "error"
"""The finish reason of an answer that the server could not finish."""
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
        came: Where the answer comes from, for errors; None for a program.
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
        came: Came | None = None,
    ) -> None:
        """Start with nothing."""
        self._done_marker = _bare(done_marker.encode())
        self._short = len(self._done_marker) + _MARGIN
        self._streams = framing in {"ndjson", "sse"}
        self._halves = Halves()
        self._apart = False  # whether characters have been met that are cut in half
        self._answered = framing == "text"  # whether anything of an answer has come
        self._aside: Any = None  # what came last, if it is no part of one
        self._over = False  # whether no more bytes come
        self._cut = False  # whether only the mark of the end has ended it
        self._head = b""
        self.began = False
        self.done = False
        self._error: SourceError | None = None
        self._decoder = FRAMINGS[framing]()
        self._reader = reader
        self._ends = ends
        self._name = name
        self._mask = mask
        self._came = came

    @property
    def ended(self) -> bool:
        """Whether the answer is known to be complete; its usage may still come."""
        return self._reader.settled

    def feed(self, data: bytes) -> Sequence[Delta]:
        """Return what the next bytes say.

        What can't be read, or is a failure that the server reports, makes `done` true; what came
        before it is returned all the same, and `end` raises it.
        """
        if not self._answered and len(self._head) < _HEAD:
            self._head += bytes(data[:_HEAD])
        return self._deltas(self._decoder.feed, data)

    def finish(self) -> Sequence[Delta]:
        """Return what the last bytes say: no more come."""
        self._over = True
        deltas = self._deltas(self._decoder.flush)
        marked = self.done or self._reader.ended or not self._ends
        if self._error is None and self._answered and not marked:
            self._error = self._broken_off()
        self.done = True
        return deltas

    def end(self) -> Sequence[Delta]:
        """Return how the answer ended.

        Raises:
            SourceConnectionError: It broke off.
            SourceError: The server reports a failure, or what came is no answer, or can't be read.
        """
        if self._error is not None:
            raise self._error
        if not self._answered:
            raise self._unanswered(self._aside or self._head.decode("utf-8", "replace"))
        if self._cut and (said := self._said_last()) and (type(said) is str or words_in(said)):
            raise self._reported(said)
        rest = self._reader.flush()
        if any(isinstance(each, Finish) and each.reason.lower() == _FAILED for each in rest):
            raise self._reported("it could not finish it (its finish reason is 'error')")
        return self._halves.joined(rest, last=True) if self._apart else rest

    def _reported(self, said: Any) -> SourceError:
        """Return the error for a failure that the server reports."""
        return reported(whole(said), name=self._name, mask=self._mask, came=self._came)

    def _unanswered(self, said: Any, hint: str | None = None) -> SourceError:
        """Return the error for a server that says something else than an answer."""
        return unanswered(
            whole(said),
            name=self._name,
            mask=self._mask,
            came=self._came,
            hint=hint or self._reader.missing,
        )

    def _where(self) -> str:
        return "" if self._came is None else f" ({self._mask(str(self._came))})"

    def _said_last(self) -> Any:
        """Return what came last that is no part of the answer; nothing, if it ended with one."""
        return self._aside or plain(self._decoder.stray.decode("utf-8", "replace"))

    def _broken_off(self) -> SourceError:
        """Return the error for an answer without an end: what the server says last, if anything."""
        if said := self._said_last():
            return self._reported(said)
        return SourceConnectionError(
            f"{self._name}: the answer broke off{self._where()}: its bytes ended, but nothing "
            "marked its end (for a server that never does, set the quirk ends=False)"
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
            failed = self._reported(failure.said)
        except (AttributeError, IndexError, KeyError, OutputError, TypeError, ValueError) as error:
            if event is _UNREAD and type(payload) is bytes and self._reader.settled:
                return ()  # nothing of the answer can follow
            failed = self._unread(payload, event, error)
        raise failed  # outside of the handlers: what the server said, unmasked, hangs on nothing

    def _unread(self, payload: Any, event: Any, why: Exception) -> SourceError:
        """Return the error for a payload that is not of the wire."""
        text = payload if type(payload) is str else payload.decode("utf-8", "replace")
        said = text if event is _UNREAD else event
        if type(payload) is ErrorPayload or is_report(event) or words_in(event):
            return self._reported(said)
        if self._over and event is _UNREAD and _is_cut(text):
            return self._broken_off()
        if not self._answered:
            described = event is not _UNREAD and isinstance(why, OutputError)
            return self._unanswered(said, str(why) if described else None)
        if event is not _UNREAD and type(event) is not dict:
            why = OutputError("it is no object")
        where, shown = self._where(), self._mask(plain(text))[:_SHOWN]
        return OutputError(f"{self._name}: the answer can't be read{where} ({why}): {shown}")

    def _event(self, event: Any, *, failed: bool) -> Sequence[Delta]:
        """Return what a payload says, now that it is parsed.

        Raises:
            Reported: It tells of a failure, in whatever shape, instead.
        """
        if failed or (type(event) is dict and event.get("error")):
            raise Reported(event)
        read = self._reader.read(event)
        if read and (type(read[0]) not in _ASIDE or any(type(e) not in _ASIDE for e in read)):
            self._answered, self._aside = True, None
            return read
        if is_report(event):
            raise Reported(event)
        if self._reader.knows(event):
            self._answered, self._aside = True, None
        else:
            self._aside = event or self._aside
        return read

    def _is_nothing(self, payload: Any) -> bool:
        """Tell whether a payload is the mark of the end, which it notes, or keeps alive only."""
        if not self._streams or type(payload) is ErrorPayload:
            return False
        text = _bare(payload)
        if text == self._done_marker:
            self._cut = not self._reader.ended
            self.done = self._reader.ended = True
            return True
        return text in _KEEP_ALIVE


def _is_cut(text: str) -> bool:
    """Tell whether a text that is no JSON is the beginning of some."""
    return text.lstrip().startswith(("{", "["))


def _bare(payload: bytes) -> bytes:
    """Return a mark as it is compared: some servers quote it, or write it small."""
    return payload.strip().strip(b'"').strip().lower()
