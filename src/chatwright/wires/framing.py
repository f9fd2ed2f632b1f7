"""Bytes in, payloads out, and payloads in, bytes out: how wires tell payloads apart. No I/O.

Each decoder has `feed(bytes)` and `flush()`, both of which give a list of payloads; wherever the
bytes are cut, the payloads are the same.
"""

import codecs
import json
import re
from collections.abc import Callable, Mapping
from json.encoder import encode_basestring
from typing import Any, Protocol, TypeAlias

from chatwright.errors import EngineError

__all__ = [
    "FRAMINGS",
    "LIMIT",
    "MEDIA_TYPES",
    "Decoder",
    "ErrorPayload",
    "NdjsonDecoder",
    "SseDecoder",
    "TextDecoder",
    "WholeDecoder",
    "json_bytes",
    "json_line",
    "json_string",
    "named_sse_event",
    "sse_event",
]

LIMIT = 32 * 2**20
"""The longest payload, in bytes, that is taken; a longer one is refused."""

_BOM = b"\xef\xbb\xbf"
_KEEP_ALIVE = frozenset({b"heartbeat", b"keep-alive", b"keepalive", b"ping"})
"""Names of events that hold nothing."""
_FIELDS = (b":", b"id:", b"retry:")
"""What lines begin with that hold nothing: comments, and fields that are not looked at."""
_STRAY = 4096
"""How much is kept of what is no part of a stream."""


class ErrorPayload(bytes):
    """A payload that its server calls an error."""

    __slots__ = ()


class Decoder(Protocol):
    """Cuts bytes into payloads."""

    stray: bytes
    """The beginning of what stood there, and is no part of the framing: a page of HTML, say."""

    def feed(self, data: bytes, /) -> list[Any]:
        """Take the next bytes and return the payloads that are complete."""

    def flush(self) -> list[Any]:
        """Return what is left at the end of the bytes."""


Framing: TypeAlias = Callable[[], Decoder]


class _Lines:
    r"""Cuts bytes into lines, which end in \n, \r\n or \r."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._first = True

    @property
    def holds(self) -> bool:
        """Whether half a line is kept."""
        return bool(self._parts)

    def feed(self, data: bytes) -> list[bytes]:
        if self._parts and self._parts[-1].endswith(b"\r"):
            data = self._parts.pop() + data
            self._size = sum(map(len, self._parts))
        # A \r at the end may be half of a \r\n.
        end = max(data.rfind(b"\n"), data.rfind(b"\r", 0, -1)) + 1
        rest = data[end:] if end else data
        if not end:
            self._keep(rest)
            return []
        head = data[:end]
        if self._parts:
            head = b"".join([*self._parts, head])
            self._parts, self._size = [], 0
        lines = head.splitlines()
        if len(head) > self._limit:
            for line in lines:
                self._check(len(line))
        if rest:
            self._keep(rest)
        return self._without_bom(lines)

    def flush(self) -> list[bytes]:
        rest = b"".join(self._parts)
        self._parts, self._size = [], 0
        return self._without_bom(rest.splitlines())

    def _without_bom(self, lines: list[bytes]) -> list[bytes]:
        if self._first and lines:
            self._first = False
            lines[0] = lines[0].removeprefix(_BOM)
        return lines

    def _keep(self, rest: bytes) -> None:
        self._parts.append(rest)
        self._size += len(rest)
        self._check(self._size)

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise too_long(self._limit)


class NdjsonDecoder:
    """One payload a line; empty lines are none.

    Args:
        limit: The longest payload, in bytes.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        """Start with nothing."""
        self.stray = b""
        self._lines = _Lines(limit)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that are complete.

        Raises:
            EngineError: A line is longer than the limit.
        """
        return [line for line in self._lines.feed(data) if line and not line.isspace()]

    def flush(self) -> list[bytes]:
        """Return the last line, where nothing ends it."""
        return [line for line in self._lines.flush() if line and not line.isspace()]


class SseDecoder:
    """Server-sent events (WHATWG HTML, section 9.2): the payload is an event's data.

    Beside the standard: an event that only the end of the bytes ends counts; so does a JSON object
    that stands there bare, on one line or over the rest of the bytes, as servers answer that don't
    stream after all. Where no empty line parts two events, the end of a JSON object does. What only
    keeps the connection alive, by its event's name, is none.

    Args:
        limit: The longest event, in bytes.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        """Start with nothing."""
        self.stray = b""
        self._limit = limit
        self._lines = _Lines(limit)
        self._data: list[bytes] = []
        self._size = 0
        self._name = b""
        self._bare: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """Return the data of the events that are complete.

        Raises:
            EngineError: An event is longer than the limit.
        """
        if data.startswith(b"data: ") and data.find(b"\n") == len(data) - 2 > 0:
            whole = data.endswith(b"\n") and b"\r" not in data and len(data) < self._limit
            if whole and self._is_idle():
                return [data[6:-2]]  # nearly always: one event, whole
        payloads: list[bytes] = []
        for line in self._lines.feed(data):
            self._line(line, payloads)
        return payloads

    def flush(self) -> list[bytes]:
        """Return what the end of the bytes ends."""
        payloads: list[bytes] = []
        for line in [*self._lines.flush(), b""]:
            self._line(line, payloads)
        if self._bare:
            payloads.append(b"\n".join(self._bare))
            self._bare = []
        return payloads

    def _is_idle(self) -> bool:
        """Tell whether nothing of an event is kept; then a byte order mark is behind, too."""
        return not (self._data or self._bare or self._name or self._lines.holds)

    def _line(self, line: bytes, payloads: list[bytes]) -> None:
        if self._bare:
            self._add(self._bare, line)
        elif line.startswith(b"data:"):
            line = line[6:] if line[5:6] == b" " else line[5:]
            if self._data and line.lstrip().startswith((b"{", b"[")) and self._is_object():
                self._end(payloads)
            self._add(self._data, line)
        elif not line:
            self._end(payloads)
        elif line.startswith(b"event:"):
            if self._data and self._is_object():
                self._end(payloads)
            self._name = line[6:].strip().lower()
        else:
            self._other(line, payloads)

    def _other(self, line: bytes, payloads: list[bytes]) -> None:
        """Take a line that is none of an event's."""
        if line.lstrip().startswith((b"{", b"[")):
            if line.rstrip().endswith((b"}", b"]")):
                payloads.append(line)
            else:
                self._add(self._bare, line)
        elif line.startswith(b"error:"):  # llama.cpp's server, before it had one in the data
            payloads.append(ErrorPayload(line[6:].strip()))
        elif not line.startswith(_FIELDS) and len(self.stray) < _STRAY:
            self.stray += line[:_STRAY] + b"\n"

    def _is_object(self) -> bool:
        """Tell whether a JSON object may be whole: no line that opens another one is part of it."""
        return self._data[0].lstrip().startswith(b"{") and self._data[-1].rstrip().endswith(b"}")

    def _end(self, payloads: list[bytes]) -> None:
        if self._data and self._name not in _KEEP_ALIVE:
            data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
            payloads.append(ErrorPayload(data) if self._name == b"error" else data)
        self._data, self._size, self._name = [], 0, b""

    def _add(self, lines: list[bytes], line: bytes) -> None:
        lines.append(line)
        self._size += len(line)
        if self._size > self._limit:
            raise too_long(self._limit)


class WholeDecoder:
    """Everything is one payload.

    Args:
        limit: The longest one, in bytes.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        """Start with nothing."""
        self.stray = b""
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Keep the bytes.

        Raises:
            EngineError: They are more than the limit.
        """
        self._parts.append(data)
        self._size += len(data)
        if self._size > self._limit:
            raise too_long(self._limit)
        return []

    def flush(self) -> list[bytes]:
        """Return everything, if there is anything."""
        whole = b"".join(self._parts).removeprefix(_BOM)
        self._parts = []
        return [whole] if whole.strip() else []


class TextDecoder:
    """UTF-8 text as it comes; what is no UTF-8 becomes U+FFFD."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.stray = b""
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")

    def feed(self, data: bytes) -> list[str]:
        """Return the text that is complete."""
        text = self._decoder.decode(data)
        return [text] if text else []

    def flush(self) -> list[str]:
        """Return U+FFFD for half a character."""
        text = self._decoder.decode(b"", final=True)
        return [text] if text else []


FRAMINGS: Mapping[str, Framing] = {
    "json": WholeDecoder,
    "ndjson": NdjsonDecoder,
    "sse": SseDecoder,
    "text": TextDecoder,
}

MEDIA_TYPES: Mapping[str, str] = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "sse": "text/event-stream",
    "text": "text/plain",
}
"""What a stream is called in HTTP, by its framing."""


_encode = json.JSONEncoder(ensure_ascii=False).encode  # `json.dumps` makes one for each call
_APART = re.compile("[\x85\u2028\u2029\ud800-\udfff]")
"""Line ends of Unicode, at which `str.splitlines` parts a line of JSON, and halves of pairs, which
UTF-8 has no form for."""


def json_bytes(payload: Any) -> bytes:
    """Return a payload as JSON in one line, for whatever reads lines."""
    return _apart(_encode(payload))


def json_string(text: str) -> bytes:
    """Return a text as JSON, likewise."""
    return _apart(encode_basestring(text))


def _apart(text: str) -> bytes:
    return _APART.sub(lambda each: f"\\u{ord(each[0]):04x}", text).encode()


def json_line(payload: Any) -> bytes:
    """Return a payload as a line of JSON."""
    return json_bytes(payload) + b"\n"


def sse_event(payload: Any) -> bytes:
    """Return a payload as a server-sent event."""
    return b"data: " + json_bytes(payload) + b"\n\n"


def named_sse_event(payload: Mapping[str, Any]) -> bytes:
    """Return a payload as a server-sent event by the name that is its `type`."""
    return f"event: {payload['type']}\n".encode() + sse_event(payload)


def too_long(limit: int) -> EngineError:
    """Return the error for a payload above the limit."""
    return EngineError(f"a single piece of the answer is longer than {limit} bytes; it is refused")
