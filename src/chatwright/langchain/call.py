"""One call on its way: the source's items through the answer into the renderer."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from chatwright.core.answer import Answer
from chatwright.core.bridge import aread, read
from chatwright.core.piece import Piece
from chatwright.errors import (
    ChatwrightError,
    SourceConnectionError,
    SourceError,
    SourceTimeoutError,
)
from chatwright.langchain.plan import Plan
from chatwright.langchain.render import Renderer, Summary
from chatwright.langchain.request import Request

__all__ = ["Call"]

T = TypeVar("T")


class Call(Generic[T]):
    """Drives one source to its end, in either colour.

    Args:
        prepare: Plans the call.
        blocks: Whether planning may take long, so that it has no place on an event loop.
        reply: Asks the source.
        runs_async: Whether `reply` belongs on an event loop.
        source: The source's name, for errors.
        summarize: Makes the metadata and the usage of the answer, once it has ended.
        renderer: Makes what the caller gets.
    """

    def __init__(
        self,
        prepare: Callable[[], Plan],
        *,
        blocks: bool,
        reply: Callable[[Request], Any],
        runs_async: bool,
        source: str,
        summarize: Callable[[Request, Answer], Summary],
        renderer: Renderer[T],
    ) -> None:
        """Prepare; nothing runs yet."""
        self._prepare = prepare
        self._blocks = blocks
        self._reply = reply
        self._runs_async = runs_async
        self._source = source
        self._summarize = summarize
        self._renderer = renderer

    def drive(self) -> Iterator[T]:
        """Yield what the renderer makes of the answer; before the last, the source is closed."""
        for start in self._attempts(self._prepare()):
            with _Translated(self._source, self._answer), contextlib.closing(read(start)) as items:
                for item in items:
                    yield from self._feed(item)
                    if self._answer.done:
                        break
            yield from self._rendered(self._answer.end())
        yield from self._last()

    async def adrive(self) -> AsyncIterator[T]:
        """Do what `drive` does, on an event loop."""
        plan = await asyncio.to_thread(self._prepare) if self._blocks else self._prepare()
        for start in self._attempts(plan):
            source = aread(start, runs_async=self._runs_async)
            with _Translated(self._source, self._answer):
                async with contextlib.aclosing(source) as items:
                    async for item in items:
                        for rendered in self._feed(item):
                            yield rendered
                        if self._answer.done:
                            break
            for rendered in self._rendered(self._answer.end()):
                yield rendered
        for rendered in self._last():
            yield rendered

    def _attempts(self, plan: Plan) -> Iterator[Callable[[], Any]]:
        """Yield what asks the source: once, and again where its answer is not what was wanted."""
        request: Request | None = plan.request
        self._request = plan.request
        self._answer = Answer(plan.filters(), source=self._source)
        while request is not None:
            yield functools.partial(self._reply, request)
            request = plan.again(self._answer)
            if request is not None:
                self._answer.again(plan.filters())

    def _feed(self, item: object) -> Sequence[T]:
        pieces = self._answer.feed(item)
        if len(pieces) == 1:  # nearly always
            return self._renderer.piece(pieces[0])
        return self._rendered(pieces)

    def _rendered(self, pieces: Sequence[Piece]) -> Sequence[T]:
        return [rendered for piece in pieces for rendered in self._renderer.piece(piece)]

    def _last(self) -> Sequence[T]:
        return self._renderer.last(self._summarize(self._request, self._answer))


class _Translated:
    """Raises Python's own time-outs and lost connections as LangChain's, with the partial text."""

    __slots__ = ("_answer", "_source")

    def __init__(self, source: str, answer: Answer) -> None:
        self._source = source
        self._answer = answer

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is None:
            return
        translated = error if isinstance(error, ChatwrightError) else self._translation(error)
        if isinstance(translated, SourceError) and not translated.partial_text:
            translated.partial_text = "".join(self._answer.text)
        if translated not in (None, error):
            raise translated from error

    def _translation(self, error: BaseException) -> SourceError | None:
        if isinstance(error, asyncio.CancelledError) and not _is_cancelled():
            return SourceError(f"{self._source} cancelled itself")
        if isinstance(error, TimeoutError):
            return SourceTimeoutError(f"{self._source} timed out: {error}")
        if isinstance(error, ConnectionError):
            return SourceConnectionError(f"{self._source} lost its connection: {error}")
        return None


def _is_cancelled() -> bool:
    """Tell whether it is this code's own task that somebody cancels."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs here
        return False
    return task is not None and task.cancelling() > 0
