"""One answer of a server: asked for, asked for again where that may help, and read."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, NamedTuple, NoReturn

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from chatwright.deltas import Delta, Finish
from chatwright.errors import SourceConnectionError, SourceError, SourceTimeoutError
from chatwright.wrap.endpoint.http import Response
from chatwright.wrap.failure import Came, failure, request_id
from chatwright.wrap.masking import Mask
from chatwright.wrap.reading import Reading

__all__ = ["Exchange", "Retries"]

GRACE_SECONDS = 2.0
"""How long what follows the end of an answer, its usage say, may take."""
BODY_BYTES = 2**16
"""How much of a failure's body is read."""


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
        # A status is a server's; without one, only a lost connection may be another time.
        told = error.status is not None or isinstance(error, SourceConnectionError)
        return told and error.is_retryable

    def _wait(self, state: RetryCallState) -> float:
        jitter = wait_random_exponential(multiplier=0.5, max=self.longest)(state)
        error = state.outcome.exception() if state.outcome else None
        asked = getattr(error, "retry_after", None)
        return jitter if asked is None else asked + min(jitter, 0.1 * asked)


class Exchange:
    """One answer of a server.

    Args:
        send: Sends the request and returns the response, opened.
        read: Makes what reads the answer, of where it comes from.
        retries: When to ask again.
        name: The model's name, for errors.
        mask: Hides secrets.
    """

    def __init__(
        self,
        send: Callable[[], Awaitable[Response]],
        read: Callable[[Came], Reading],
        *,
        retries: Retries,
        name: str,
        mask: Mask,
    ) -> None:
        """Prepare; nothing is sent yet."""
        self._send = send
        self._read = read
        self._retries = retries
        self._name = name
        self._mask = mask

    async def deltas(self, *, headers: bool = False) -> AsyncGenerator[Delta]:
        """Yield what the server answers.

        Args:
            headers: Whether the response's headers are part of the answer's metadata.

        Raises:
            SourceError: It fails, is lost, or takes too long.
        """
        async for attempt in self._retries.run():
            with attempt:
                response, reading, first, last = await self._begin()
        try:
            if told := self._told(response, headers=headers):
                yield Finish(metadata=told)  # first, for whoever ends the answer early
            for delta in first:
                yield delta
            while not reading.done:
                for delta in await _next(response, reading):
                    yield delta
            for delta in reading.end() if last is None else last:
                yield delta
            await response.settle()
        finally:
            await response.close()

    def _told(self, response: Response, *, headers: bool) -> dict[str, Any]:
        """Return what a response's headers tell of an answer."""
        told: dict[str, Any] = {}
        if known := request_id(response.headers):
            told["request_id"] = self._mask(known)
        if headers:
            shown = {name: self._mask(each) for name, each in response.headers.items()}
            told["headers"] = shown
        return told

    async def _begin(
        self,
    ) -> tuple[Response, Reading, Sequence[Delta], Sequence[Delta] | None]:
        """Ask, and wait for the first piece: until then, asking again can help.

        Where the end of the answer is the first piece of it, that comes last.
        """
        response = await self._send()
        try:
            if response.status >= 300:  # noqa: PLR2004  redirects and failures
                await self._fail(response)
            reading = self._read(response.came)
            first: list[Delta] = []
            while not (reading.began or reading.done):
                first += await _next(response, reading)
            last = None if reading.began else reading.end()
        except BaseException:
            await response.close()
            raise
        return response, reading, first, last

    async def _fail(self, response: Response) -> NoReturn:
        body = b""
        with contextlib.suppress(SourceError):  # the status says enough
            while len(body) < BODY_BYTES and (data := await response.next()) is not None:
                body += data
        raise failure(response.came, body, response.headers, name=self._name, mask=self._mask)


async def _next(response: Response, reading: Reading) -> Sequence[Delta]:
    """Return what the next bytes say."""
    try:
        data = await response.next()
    except (SourceConnectionError, SourceTimeoutError):
        if not reading.ended:
            raise
        data = None  # all that matters has come
    if data is None:
        return reading.finish()
    deltas = reading.feed(data)
    if reading.ended:
        response.watch.restart(GRACE_SECONDS)
    elif deltas and reading.began:
        response.watch.restart()
    return deltas
