"""The protocol's messages over a program's pipes: a line each."""

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from chatwright.errors import EngineError, OutputError, SourceError
from chatwright.wires.framing import NdjsonDecoder
from chatwright.wires.jsonio import dumps, loads
from chatwright.wrap.failure import SHOWN_BYTES
from chatwright.wrap.program import Program

__all__ = ["Wire"]


class Wire:
    """The library's `Transport` over a program's pipes: a message a line.

    What is no message is kept for errors: programs greet, and warn of things, on stdout.

    Args:
        program: The program.
        updated: Is given the `session/update`s, in the order of all messages.
        limit: How much may come until `begin` sets another limit, in bytes.
    """

    def __init__(
        self,
        program: Program,
        updated: Callable[[Mapping[str, Any]], Awaitable[None]],
        limit: int,
    ) -> None:
        """Start with nothing."""
        self._program = program
        self._updated = updated
        self._decoder = NdjsonDecoder()
        self._waiting: deque[Any] = deque()
        self._junk = b""
        self.failure: SourceError | None = None
        self.ended = False
        self.begin(limit)

    def begin(self, limit: int) -> None:
        """Begin to count what comes: an answer may take so many bytes."""
        self._limit = self._left = limit

    async def send(self, message: dict[str, Any]) -> None:
        """Write a message."""
        await self._program.write(dumps(message) + b"\n")

    async def receive(self) -> dict[str, Any] | None:
        """Return the next message that is no update; nothing at the end, or after a failure."""
        try:
            while (message := await self._next()) is not None:
                if message.get("method") != "session/update":
                    return message
                await self._updated(message.get("params") or {})
        except SourceError as error:
            self.failure = error
        except KeyError:
            self.failure = OutputError("an update of the session says nothing")
        self.ended = True
        return None

    async def close(self) -> None:
        """Say that nothing more is wanted; the pipes are the program's to close."""
        self.ended = True

    async def _next(self) -> dict[str, Any] | None:
        while True:
            while self._waiting:
                if (message := self._message(self._waiting.popleft())) is not None:
                    return message
            if not (data := await self._program.read()):
                return None
            self._left -= len(data)
            if self._left < 0:
                raise EngineError(f"{self._program.name} wrote more than {self._limit} bytes")
            self._waiting.extend(self._decoder.feed(data))

    def _message(self, line: bytes) -> dict[str, Any] | None:
        if b'"jsonrpc"' in line:
            message = loads(line)
            if isinstance(message, dict):
                return message
        self._junk = (self._junk + line + b"\n")[: 2 * SHOWN_BYTES]
        return None

    def junk_shown(self, mask: Callable[[str], str]) -> str:
        """Return what came that is no message, for errors."""
        said = mask(self._junk.decode("utf-8", "replace")).strip()[:SHOWN_BYTES]
        return f"; on stdout, where only the protocol's messages belong: {said}" if said else ""
