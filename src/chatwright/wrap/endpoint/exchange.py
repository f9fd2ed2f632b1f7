"""One answer of a server: asked for, asked for again where that may help, and read."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, NamedTuple, NoReturn

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from chatwright.deltas import Delta
from chatwright.errors import OutputError, SourceConnectionError, SourceError, SourceTimeoutError
from chatwright.wrap.endpoint.failure import Mask, failure, reported
from chatwright.wrap.endpoint.http import Response
from chatwright.wrap.endpoint.wire import Reader
from chatwright.wrap.framing import FRAMINGS, Decoder, ErrorPayload
from chatwright.wrap.jsonio import loads

__all__ = ["Exchange", "Retries"]

DONE = b"[DONE]"
GRACE_SECONDS = 2.0
"""How long what follows the end of an answer, its usage say, may take."""
BODY_BYTES = 2**16
"""How much of a failure's body is read."""
RETRIED = frozenset({408, 409, 429, 500, 502, 503, 504, 529})


class Retries(NamedTuple):
    """When to ask again.

    Args:
        attempts: How often at most, after the first.
        longest: The longest wait in seconds; a server that asks for a longer one is
            not asked again.
        total: Seconds within which all has to happen.
    """

    attempts: int
    longest: float
    total: float

    def run(self) -> AsyncRetrying:
        """Return what drives the attempts, with full jitter between them."""
        return AsyncRetrying(
            stop=stop_after_attempt(self.attempts + 1) | stop_before_delay(self.total),
            wait=self._wait,
            retry=retry_if_exception(self._helps),
            sleep=asyncio.sleep,
            reraise=True,
        )

    def _helps(self, error: BaseException) -> bool:
        if not isinstance(error, SourceError) or (error.retry_after or 0) > self.longest:
            return False
        if error.status is None:
            return isinstance(error, SourceConnectionError)
        return error.status in RETRIED

    def _wait(self, state: RetryCallState) -> float:
        jitter = wait_random_exponential(multiplier=0.5, max=self.longest)(state)
        error = state.outcome.exception() if state.outcome else None
        asked = getattr(error, "retry_after", None)
        return jitter if asked is None else asked + min(jitter, 0.1 * asked)


class Exchange:
    """One answer of a server.

    Args:
        send: Sends the request and returns the response, opened.
        reader: Makes a fresh reader of the answer.
        framing: How the answer is cut into payloads.
        ends: Whether the end of an answer is marked.
        retries: When to ask again.
        name: The model's name, for errors.
        mask: Hides secrets.
    """

    def __init__(
        self,
        send: Callable[[], Awaitable[Response]],
        *,
        reader: Callable[[], Reader],
        framing: str,
        ends: bool,
        retries: Retries,
        name: str,
        mask: Mask,
    ) -> None:
        """Prepare; nothing is sent yet."""
        self._send = send
        self._make_reader = reader
        self._framing = framing
        self._ends = ends
        self._retries = retries
        self._name = name
        self._mask = mask
        self._decoder: Decoder = FRAMINGS[framing]()
        self._reader: Reader
        self._done = False

    async def deltas(self) -> AsyncGenerator[Delta]:
        """Yield what the server answers.

        Raises:
            SourceError: It fails, is lost, or takes too long.
        """
        async for attempt in self._retries.run():
            with attempt:
                response, pieces, first = await self._begin()
        try:
            for delta in first:
                yield delta
            while not self._done:
                for delta in await self._next(response, pieces):
                    yield delta
            for delta in self._reader.flush():
                yield delta
            await response.settle(pieces)
        finally:
            await response.close()

    async def _begin(self) -> tuple[Response, AsyncIterator[bytes], Sequence[Delta]]:
        """Ask, and wait for the first piece: until then, asking again can help."""
        response = await self._send()
        try:
            pieces = response.read()
            if response.status >= 300:  # noqa: PLR2004  redirects and failures
                await self._fail(response, pieces)
            self._decoder, self._reader = FRAMINGS[self._framing](), self._make_reader()
            self._done = False
            first: Sequence[Delta] = ()
            while not (first or self._done):
                first = await self._next(response, pieces)
        except BaseException:
            await response.close()
            raise
        return response, pieces, first

    async def _fail(self, response: Response, pieces: AsyncIterator[bytes]) -> NoReturn:
        body = b""
        async for data in pieces:
            body += data
            if len(body) > BODY_BYTES:
                break
        raise failure(response.status, body, response.headers, name=self._name, mask=self._mask)

    async def _next(self, response: Response, pieces: AsyncIterator[bytes]) -> Sequence[Delta]:
        """Return what the next bytes say."""
        try:
            data = await anext(pieces, None)
        except SourceTimeoutError:
            if not self._reader.ended:
                raise
            data = None  # all that matters has come
        payloads = self._decoder.flush() if data is None else self._decoder.feed(data)
        deltas = [delta for payload in payloads for delta in self._read(payload)]
        if data is None and not self._done:
            self._finish()
        if self._reader.ended:
            response.began(GRACE_SECONDS)
        elif deltas:
            response.began()
        return deltas

    def _read(self, payload: Any) -> Sequence[Delta]:
        if payload == DONE or self._done:
            self._done = True
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

    def _finish(self) -> None:
        """Take the end of the bytes for the end of the answer, if it may be."""
        self._done = True
        if self._ends and not self._reader.ended:
            raise SourceConnectionError(
                f"{self._name}: the answer broke off: its bytes ended, but nothing marked its end "
                "(for a server that never does, set the quirk ends=False)"
            )
