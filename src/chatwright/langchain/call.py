"""One call on its way: the source's items through the answer into the renderer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from chatwright.core.answer import Answer
from chatwright.core.bridge import aread, read
from chatwright.core.stop import StopFilter
from chatwright.errors import (
    ChatwrightError,
    SourceConnectionError,
    SourceError,
    SourceTimeoutError,
)
from chatwright.langchain.render import Renderer, Summary

__all__ = ["Call"]

T = TypeVar("T")


class Call(Generic[T]):
    """Drives one source to its end, in either colour.

    Args:
        start: Calls the source.
        runs_async: Whether `start` belongs on an event loop.
        source: The source's name, for errors.
        stops: The stop sequences.
        include_stop: Whether the stop sequence ends the text or is left out.
        summarize: Makes the metadata and the usage of the answer, once it has ended.
        renderer: Makes what the caller gets.
    """

    def __init__(
        self,
        start: Callable[[], Any],
        *,
        runs_async: bool,
        source: str,
        stops: Sequence[str],
        include_stop: bool,
        summarize: Callable[[Answer], Summary],
        renderer: Renderer[T],
    ) -> None:
        """Prepare; nothing runs yet."""
        self._start = start
        self._runs_async = runs_async
        self._source = source
        self._stop = StopFilter(stops, include=include_stop) if stops else None
        self._answer = Answer([self._stop] if self._stop else [], source=source)
        self._summarize = summarize
        self._renderer = renderer

    def drive(self) -> Iterator[T]:
        """Yield what the renderer makes of the answer; before the last, the source is closed."""
        with _Translated(self._source), contextlib.closing(read(self._start)) as items:
            for item in items:
                yield from self._feed(item)
                if self._stop and self._stop.done:
                    break
        yield from self._last()

    async def adrive(self) -> AsyncIterator[T]:
        """Do what `drive` does, on an event loop."""
        source = aread(self._start, runs_async=self._runs_async)
        with _Translated(self._source):
            async with contextlib.aclosing(source) as items:
                async for item in items:
                    for rendered in self._feed(item):
                        yield rendered
                    if self._stop and self._stop.done:
                        break
        for rendered in self._last():
            yield rendered

    def _feed(self, item: object) -> Sequence[T]:
        pieces = self._answer.feed(item)
        if len(pieces) == 1:  # nearly always
            return self._renderer.piece(pieces[0])
        return [rendered for piece in pieces for rendered in self._renderer.piece(piece)]

    def _last(self) -> Iterator[T]:
        for piece in self._answer.end():
            yield from self._renderer.piece(piece)
        if self._stop and self._stop.matched:
            self._answer.finish_reason = "stop"
            self._answer.metadata["stop_sequence"] = self._stop.matched
        yield from self._renderer.last(self._summarize(self._answer))


class _Translated:
    """Raises Python's own time-outs and lost connections as LangChain's."""

    __slots__ = ("_source",)

    def __init__(self, source: str) -> None:
        self._source = source

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, ChatwrightError):
            return
        if isinstance(error, asyncio.CancelledError) and not _is_cancelled():
            raise SourceError(f"{self._source} cancelled itself") from error
        if isinstance(error, TimeoutError):
            raise SourceTimeoutError(f"{self._source} timed out: {error}") from error
        if isinstance(error, ConnectionError):
            raise SourceConnectionError(f"{self._source} lost its connection: {error}") from error


def _is_cancelled() -> bool:
    """Tell whether it is this code's own task that somebody cancels."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs here
        return False
    return task is not None and task.cancelling() > 0
