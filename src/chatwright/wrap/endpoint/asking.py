"""Asking a server as leniently as can be, to see what it makes of it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from langchain_core.messages import BaseMessage

from chatwright.core.answer import Answer
from chatwright.errors import LoadError, SourceConnectionError, SourceError
from chatwright.langchain.request import Request
from chatwright.wires.quirks import Quirks
from chatwright.wires.wire import Written
from chatwright.wrap.endpoint.model import ChatEndpoint
from chatwright.wrap.failure import failure
from chatwright.wrap.jsonio import loads
from chatwright.wrap.masking import Mask
from chatwright.wrap.reading import Reading

__all__ = ["Asker", "Attempt"]

SECONDS = 120.0
"""How long one of the requests may take."""
BOUND = 32
"""How many requests are made at most."""
ATTEMPTS = 3
"""How often a request is sent whose connection is lost."""
_OK = 200


class Attempt(NamedTuple):
    """One request and what came of it.

    Args:
        status: The HTTP status; 0 where there was no answer.
        raw: The response's body.
        error: What was said of a failure.
        ask: Reads the body as one of a server with certain quirks.
        pieces: How many pieces of text came.
    """

    status: int
    raw: bytes
    error: str
    ask: Callable[[bytes, Quirks], Answer]
    pieces: int = 0

    @property
    def accepted(self) -> bool:
        """Whether it was answered."""
        return self.status == _OK and not self.error

    def said(self, **quirks: Any) -> str:
        """Return the text; read as a server with these quirks would be."""
        return "".join(self.ask(self.raw, Quirks(**quirks)).text).strip()

    @property
    def answer(self) -> Answer:
        """What the server answered."""
        return self.ask(self.raw, Quirks())

    @property
    def why(self) -> str:
        """Say why it was refused."""
        return self.error or f"HTTP {self.status}"


class Asker:
    """Asks one server, a bounded number of times.

    Args:
        endpoint: The server.
    """

    def __init__(self, endpoint: ChatEndpoint) -> None:
        """Start with no quirks known."""
        self.endpoint = endpoint
        self.mask = Mask()
        self.quirks: dict[str, Any] = {}
        self.requests = 0

    async def get(self, url: str) -> Any:
        """Return the JSON at an address; None where there is none."""
        status, raw, _ = await self._fetch(Written(url, None, {}))
        if status != _OK:
            return None
        with suppress(SourceError):
            return loads(raw)
        return None

    async def _fetch(self, written: Written) -> tuple[int, bytes, Mapping[str, str]]:
        if self.requests >= BOUND:
            raise LoadError(f"the probe of {self.endpoint.base_url} has made its {BOUND} requests")
        self.requests += 1
        for attempt in range(ATTEMPTS):
            try:
                return await self._fetched(written)
            except SourceConnectionError:  # a connection that was kept may be closed by now
                if attempt + 1 == ATTEMPTS:
                    raise
        raise AssertionError("the loop returns, or raises")

    async def _fetched(self, written: Written) -> tuple[int, bytes, Mapping[str, str]]:
        response = await self.endpoint.send(written, self.mask)
        try:
            raw = b""
            while (data := await response.next()) is not None:
                raw += data
            return response.status, raw, response.headers
        finally:
            await response.close()

    async def ask(
        self, messages: Sequence[BaseMessage], *, max_tokens: int = 48, **asked: Any
    ) -> Attempt:
        """Ask, and read what comes as lenient as can be."""
        quirks = {"ends": False, "stream": False, "stop": "kept", **self.quirks}
        quirks |= asked.pop("quirks", {})
        model = self.endpoint.model_copy(
            update={
                "quirks": Quirks(**quirks),
                "temperature": 0.0,
                "max_tokens": max_tokens,
                "extra_body": asked.pop("extra_body", {}),
            }
        )
        request = Request(messages, **asked)
        ask = model.ask(request)
        wire = model.speaks

        def read(raw: bytes, over: Quirks) -> Answer:
            own = ask._replace(quirks=over.over(ask.quirks))
            framing = wire.framing if quirks["stream"] else "json"
            reading = Reading(
                wire.reader(own), framing=framing, ends=False, name=model.model_name, mask=self.mask
            )
            answer = Answer()
            for delta in [*reading.feed(raw), *reading.finish(), *reading.end()]:
                answer.feed(delta)
            answer.end()
            return answer

        try:
            status, raw, headers = await self._fetch(model.written(ask))
            error, pieces = "", 0
            if status != _OK:
                error = str(failure(status, raw, headers, name="the server", mask=self.mask))
            else:
                pieces = len(read(raw, Quirks()).text)
        except SourceError as refused:
            status, raw, error, pieces = refused.status or 0, b"", str(refused), 0
        return Attempt(status, raw, error, read, pieces)
