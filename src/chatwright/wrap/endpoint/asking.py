"""Asking a server as leniently as can be, to see what it makes of it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from langchain_core.messages import BaseMessage

from chatwright.core.answer import Answer
from chatwright.errors import LoadError, SourceConnectionError, SourceError, SourceTimeoutError
from chatwright.langchain.request import Request
from chatwright.wires.jsonio import loads
from chatwright.wires.quirks import Quirks
from chatwright.wires.wire import Ask, Written
from chatwright.wrap.endpoint.exchange import Retries
from chatwright.wrap.endpoint.model import ChatEndpoint
from chatwright.wrap.failure import Came, failure
from chatwright.wrap.masking import Mask
from chatwright.wrap.reading import Reading

__all__ = ["BOUND", "LEAST", "SECONDS", "Asker", "Attempt", "Body"]

SECONDS = 120.0
"""How long one of the requests may take."""
BOUND = 64
"""How many requests are made at most."""
ROOM = 96
"""How long an answer may get, in tokens."""
LEAST = 16
"""How long one may get of which little is wanted: Azure's Responses take no less
(vectorize-io/hindsight#58)."""
_RETRIES = Retries(attempts=2, longest=60.0, total=SECONDS)
_BUSY = frozenset({408, 429, 503, 529})
"""Statuses that say nothing of what was asked; the last is Anthropic's."""


class Body(NamedTuple):
    """What a server sent.

    Args:
        status: The HTTP status.
        raw: The body.
        headers: The headers.
    """

    status: int
    raw: bytes
    headers: Mapping[str, str]

    def came(self, address: str) -> Came:
        """Return where it came from, as errors tell it."""
        return Came(self.status, self.headers.get("content-type", ""), address)

    @property
    def is_fine(self) -> bool:
        """Whether the status is one of success."""
        return 200 <= self.status < 300  # noqa: PLR2004


class Attempt(NamedTuple):
    """One request and what came of it.

    Args:
        raw: The response's body.
        error: What was said of a failure; empty where it was answered.
        ask: Reads the body as one of a server with certain quirks.
        pieces: How many pieces of text came.
    """

    raw: bytes
    error: str
    ask: Callable[[bytes, Quirks], Answer]
    pieces: int = 0

    @property
    def accepted(self) -> bool:
        """Whether it was answered."""
        return not self.error

    def said(self, **quirks: Any) -> str:
        """Return the text; read as a server with these quirks would be."""
        return "".join(self.ask(self.raw, Quirks(**quirks)).text).strip() if self.accepted else ""

    @property
    def answer(self) -> Answer:
        """What the server answered."""
        return self.ask(self.raw, Quirks())

    @property
    def called(self) -> bool:
        """Whether it was answered by a call."""
        return self.accepted and self.answer.called

    @property
    def taken(self) -> str:
        """Say whether it was taken, or else why it was refused."""
        return f"refused: {self.error}" if self.error else "taken"


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
        self.counted = Attempt(b"", "nothing has been asked yet", lambda *_: Answer())
        """The answer to the plain question."""
        self.room = ROOM
        self.least = LEAST

    @property
    def wire(self) -> Any:
        """The wire's name, or its description."""
        return self.endpoint.wire

    async def get(self, url: str) -> Any:
        """Return the JSON at an address; None where there is none.

        Raises:
            SourceError: The server can't be reached, or takes too long.
        """
        try:
            body = await self.send(Written(url, None, {}, method="GET"))
            return loads(body.raw) if body.is_fine else None
        except SourceError as error:
            if isinstance(error, SourceConnectionError | SourceTimeoutError):
                raise
            return None  # no JSON, or too busy to say

    async def send(self, written: Written) -> Body:
        """Send a request, again where the server is busy or the connection is lost; see it all.

        Raises:
            LoadError: The probe has made all of its requests.
            SourceError: The server stays busy, can't be reached, or takes too long.
        """
        async for attempt in _RETRIES.run():
            with attempt:
                body = await self._sent(written)
                if body.status in _BUSY:
                    raise self._failure(body)
        return body

    async def _sent(self, written: Written) -> Body:
        if self.requests >= BOUND:
            raise LoadError(f"the probe of {self.endpoint.base_url} has made its {BOUND} requests")
        self.requests += 1
        response = await self.endpoint.send(written, self.mask)
        try:
            raw = b""
            while (data := await response.next()) is not None:
                raw += data
            return Body(response.status, raw, response.headers)
        finally:
            await response.close()

    def _failure(self, body: Body) -> SourceError:
        came = body.came(self.endpoint.base_url)
        return failure(came, body.raw, body.headers, name="the server", mask=self.mask)

    async def ask(
        self,
        messages: Sequence[BaseMessage],
        *,
        short: bool = False,
        quirks: Mapping[str, Any] | None = None,
        **asked: Any,
    ) -> Attempt:
        """Ask as the model will, streamed or whole, and read what comes as lenient as can be.

        Args:
            messages: The conversation.
            short: Whether little of an answer is wanted.
            quirks: Quirks to try.
            **asked: Arguments of `Request`.

        Raises:
            SourceError: What came says nothing of what was asked: the server is busy, say.
        """
        tried = {"ends": False, "stream": False, "stop": "kept", **self.quirks, **(quirks or {})}
        model = self.endpoint.model_copy(
            update={
                "quirks": Quirks(**tried),
                "temperature": 0.0,
                "max_tokens": self.least if short else self.room,
            }
        )
        ask = model.ask(Request(messages, **asked))

        def read(raw: bytes, over: Quirks) -> Answer:
            return self.read(ask._replace(quirks=over.over(ask.quirks)), raw)

        raw, error, pieces = b"", "", 0
        try:
            async for attempt in _RETRIES.run():
                with attempt:
                    body = await self._sent(model.written(ask))
                    if not body.is_fine:
                        raise self._failure(body)
                    pieces = len(read(raw := body.raw, Quirks()).text)
        except SourceError as refused:
            lost = isinstance(refused, SourceConnectionError | SourceTimeoutError)
            if lost or refused.status in _BUSY:
                raise
            error = str(refused)
        return Attempt(raw, error, read, pieces)

    def read(self, ask: Ask, raw: bytes) -> Answer:
        """Read an answer, streamed or not: some servers stream whatever is asked.

        Args:
            ask: What was asked.
            raw: What came.

        Raises:
            SourceError: It is no answer.
        """
        wire = self.endpoint.speaks
        framing = wire.framing
        with suppress(SourceError):
            loads(raw)
            framing = "json"
        reading = Reading(
            wire.reader(ask),
            framing=framing,
            ends=False,
            name=self.endpoint.model_name,
            mask=self.mask,
            came=Came(200, "", ask.base_url),
        )
        answer = Answer()
        for delta in [*reading.feed(raw), *reading.finish(), *reading.end()]:
            answer.feed(delta)
        answer.end()
        return answer
