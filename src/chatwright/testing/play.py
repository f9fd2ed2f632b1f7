"""What scripts hold beside deltas, and how they are played by the servers' ends of the wires."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chatwright.deltas import Finish, Text, Usage
from chatwright.testing.doubles import Pause
from chatwright.wires import DIALECTS, WIRES
from chatwright.wires.asked import Asked
from chatwright.wires.framing import json_line, sse_event
from chatwright.wires.wire import Server, Wire

__all__ = [
    "Bytes",
    "Cut",
    "Noise",
    "Refuse",
    "Stall",
    "counts_in",
    "cut_at_stop",
    "lines",
    "noisy",
    "paced",
    "pieces",
    "server_of",
    "spoken",
    "whole",
]


@dataclass(frozen=True, slots=True)
class Bytes:
    """A script's item: send these bytes as they are.

    Args:
        data: The bytes.
    """

    data: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """A script's item: end the connection.

    Args:
        reset: By a reset instead of an orderly close.
        politely: After the body's proper end, as if the answer were complete.
    """

    reset: bool = False
    politely: bool = False


@dataclass(frozen=True, slots=True)
class Stall:
    """A script's item: send nothing more, and keep the connection open."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """A script's first item: answer with another status than 200.

    Args:
        status: The status.
        message: What the error says.
        headers: Further headers.
        body: The body, in place of an error in the wire's own form.
    """

    status: int
    message: str = "refused"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Noise:
    """A script's item: from here on a stream is sent as its format allows it, too.

    Server-sent events come with comments, further fields, CRLF and no blank after `data:`, chat
    completions with chunks that have no choices, and usage of null; all of it in packets that end
    inside of lines and letters.
    """


_Act = Pause | Bytes | Cut | Stall | Noise
_PACKET = 7
"""How many bytes a noisy packet has: fewer than most lines, and no multiple of a letter's."""


def noisy(data: bytes) -> Iterator[bytes]:
    """Yield one event, or one line, of a stream in packets, with all that may stand around it."""
    if data.startswith((b"data:", b"event:")):
        data = b"".join([b": ping\n\n", *_bare(data), b"id:\n", data])
        data = data.replace(b"data: ", b"data:").replace(b"\n", b"\r\n")
    cuts = [at for at, byte in enumerate(data) if at % _PACKET == 0 or byte & 0xC0 == 0x80]  # noqa: PLR2004  inside of a letter
    for start, end in itertools.pairwise([*cuts, len(data)]):
        yield data[start:end]


def _bare(event: bytes) -> Iterator[bytes]:
    """Yield a chunk of chat completions without choices, like the one that an event has."""
    try:
        payload = json.loads(event.partition(b"data: ")[2])
    except ValueError:
        return
    if payload.get("object") == "chat.completion.chunk":
        yield sse_event({**payload, "choices": [], "usage": None})


def spoken(path: str, body: Any) -> tuple[Wire, Asked] | None:
    """Return the wire of a request, and what it asks; None where it is of no wire.

    A dialect is told by its name in the path: `/mistral/v1/chat/completions`.
    """
    wires = [wire for name, wire in DIALECTS.items() if f"/{name}/" in path]
    for wire in [*wires, *WIRES.values()]:
        if path.endswith(wire.path) and isinstance(body, dict):
            return wire, server_of(wire).read(body)
    return None


def server_of(wire: Wire) -> Server:
    """Return the server's end of one of our own wires."""
    assert wire.server is not None, f"{wire.name} has no server's end"  # noqa: S101  ours have
    return wire.server


def pieces(
    items: Iterable[Any], wire: Wire, asked: Asked, known: Usage | None = None
) -> Iterator[Any]:
    """Yield a script as the pieces of a stream, and what else it holds as it is."""
    writer = server_of(wire).writer(asked)
    writer.known = known
    for each in _stopped(items, wire, asked):
        if isinstance(each, _Act):
            yield from writer.begin()
            yield each
        else:
            yield from writer.feed(each)
    yield from writer.end()


def counts_in(script: Any) -> Usage | None:
    """Return the tokens that a script tells, where it is known as a whole."""
    counts = None
    for each in script if isinstance(script, Sequence) else ():
        counts = each.over(counts) if isinstance(each, Usage) else counts
    return counts


async def whole(items: Iterable[Any], wire: Wire, asked: Asked) -> Mapping[str, Any] | Cut | Stall:
    """Return a script as one JSON object; or what ends it before."""
    writer = server_of(wire).writer(asked)
    async for each in paced(_stopped(items, wire, asked)):
        if isinstance(each, Cut | Stall):
            return each
        if not isinstance(each, bytes | Noise):
            writer.add(each)
    return writer.whole()


def _stopped(items: Iterable[Any], wire: Wire, asked: Asked) -> Iterable[Any]:
    """Return a script as a server plays it that reports the stop sequences it has honoured."""
    reports = wire.quirks.stop == "reported" and asked.stop
    return cut_at_stop(items, asked.stop, report=True) if reports else items


async def paced(items: Iterable[Any]) -> AsyncIterator[Any]:
    """Yield the items in their time; of `Bytes` the bytes."""
    for each in items:
        if isinstance(each, Pause):
            await asyncio.sleep(each.seconds)
        elif isinstance(each, Bytes):
            if each.data:
                yield each.data
        else:
            yield each


def lines(items: Iterable[Any]) -> Iterator[Any]:
    """Yield a script as lines of JSON of no wire."""
    for each in items:
        if isinstance(each, str):
            yield json_line({"text": each})
        elif isinstance(each, Usage):
            yield json_line({"usage": {"in": each.input_tokens, "out": each.output_tokens}})
        elif isinstance(each, _Act):
            yield each
    yield json_line({"done": True})


def cut_at_stop(
    items: Iterable[Any], stops: Sequence[str], *, report: bool = False
) -> Iterator[Any]:
    """Yield a script as a server does that ends at the first stop sequence, and leaves it out.

    Text that may be the beginning of a stop sequence is held back; after one, counts are all that
    comes.

    Args:
        items: The script.
        stops: The stop sequences.
        report: Whether the script then ends with a `Finish` that has the stop sequence in its
            metadata, as `stop_sequence`. Default: False.
    """
    held, stop = "", ""
    for each in items:
        if isinstance(each, Text):
            each = each.text  # noqa: PLW2901  the same
        if stop:
            if isinstance(each, Usage):
                yield each
        elif not isinstance(each, str):
            if held:  # nothing can continue it
                yield held
            held = ""
            yield each
        else:
            held += each
            found = [(held.find(stop), stop) for stop in stops if stop in held]
            at, stop = min(found, default=(0, ""), key=lambda one: one[0])
            keep = at if stop else len(held) - _begun(held, stops)
            if held[:keep]:
                yield held[:keep]
            held = "" if stop else held[keep:]
    if held:
        yield held
    if stop and report:
        yield Finish("stop", {"stop_sequence": stop})


def _begun(text: str, stops: Sequence[str]) -> int:
    """Return how long the end of a text is that may be the beginning of a stop sequence."""
    sizes = range(min(len(text), max(map(len, stops)) - 1), 0, -1)
    ends = ((size, text[-size:]) for size in sizes)
    return next((n for n, end in ends if any(stop.startswith(end) for stop in stops)), 0)
