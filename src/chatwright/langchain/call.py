"""One call on its way: the source's items through the answer into the renderer."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

from chatwright.core.answer import Answer
from chatwright.core.bridge import Scope, Within, aread, astepped, read, stepped
from chatwright.core.piece import Piece
from chatwright.errors import (
    ChatwrightError,
    SourceConnectionError,
    SourceError,
    SourceTimeoutError,
)
from chatwright.langchain.incoming import LANGCHAINS, Incoming
from chatwright.langchain.plan import Plan
from chatwright.langchain.render import Renderer, Summary
from chatwright.langchain.request import Request
from chatwright.langchain.run import Inside, Run

__all__ = ["Call"]

T = TypeVar("T")


class Asked(Protocol):
    """What a call needs of a model; see `ChatModel`."""

    def plan(self, request: Request) -> Plan:
        """Return how the call is carried out."""

    def plans_slowly(self) -> bool:
        """Tell whether `plan` may take long, so that it has no place on an event loop."""

    def reply(self, request: Request) -> Any:
        """Answer one request."""

    def replies_async(self) -> bool:
        """Tell whether `reply` belongs on an event loop."""

    def source_name(self) -> str:
        """Return what errors call the source."""

    def summarize(self, request: Request, answer: Answer, inside: Inside) -> Summary:
        """Return the metadata and the usage of an answer that has ended."""

    def summarizes_slowly(self, answer: Answer) -> bool:
        """Tell whether `summarize` may take long, so that it has no place on an event loop."""


class Call(Generic[T]):
    """Drives one source to its end, in either colour.

    Args:
        model: The model, with the call's values in its fields.
        request: What is asked.
        renderer: Makes what the caller gets.
        run: Its run.
        scope: The context variables that the source runs with.
    """

    def __init__(
        self, model: Asked, request: Request, renderer: Renderer[T], run: Run, scope: Scope
    ) -> None:
        """Prepare; nothing runs yet."""
        self._model = model
        self._request = request
        self._renderer = renderer
        self._inside = run.inside
        self._scope = scope
        self._source = model.source_name()

    def whole(self) -> Sequence[T]:
        """Return all that `drive` yields; nobody else's code runs meanwhile."""
        scope, self._scope = self._scope, ()
        with Within(scope):
            return [*self.drive()]

    async def awhole(self) -> Sequence[T]:
        """Do what `whole` does, on an event loop."""
        scope, self._scope = self._scope, ()
        with Within(scope):
            return [each async for each in self.adrive()]

    def drive(self) -> Iterator[T]:
        """Yield what the renderer makes of the answer; before the last, the source is closed."""
        model = self._model
        plan = model.plan(self._request)
        for start in self._attempts(plan):
            source = stepped(read(start), self._scope)
            with _Translated(self._source, self._answer), contextlib.closing(source) as items:
                for item in items:
                    yield from self._feed(item)
                    if self._answer.done:
                        break
            yield from self._end()
        yield from self._rendered(self._closing(plan))
        yield from self._renderer.last(model.summarize(*self._ended))

    async def adrive(self) -> AsyncIterator[T]:
        """Do what `drive` does, on an event loop."""
        model = self._model
        if model.plans_slowly():
            plan = await asyncio.to_thread(model.plan, self._request)
        else:
            plan = model.plan(self._request)
        for start in self._attempts(plan):
            with _Translated(self._source, self._answer):
                with Within(self._scope):
                    reading = aread(start, runs_async=model.replies_async())
                source = astepped(reading, self._scope)
                async with contextlib.aclosing(source) as items:
                    async for item in items:
                        for rendered in self._feed(item):
                            yield rendered
                        if self._answer.done:
                            break
            for rendered in self._end():
                yield rendered
        for rendered in self._rendered(self._closing(plan)):
            yield rendered
        if model.summarizes_slowly(self._answer):
            summary = await asyncio.to_thread(model.summarize, *self._ended)
        else:
            summary = model.summarize(*self._ended)
        for rendered in self._renderer.last(summary):
            yield rendered

    @property
    def _ended(self) -> tuple[Request, Answer, Inside]:
        return self._request, self._answer, self._inside

    def _attempts(self, plan: Plan) -> Iterator[Callable[[], Any]]:
        """Yield what asks the source: once, and again where its answer is not what was wanted."""
        request: Request | None = plan.request
        self._request = plan.request
        self._answer = Answer(plan.filters(), source=self._source)
        while request is not None:
            self._incoming: Incoming | None = None
            yield functools.partial(self._model.reply, request)
            request = plan.again(self._answer)
            if request is not None:
                self._answer.again(plan.filters("".join(self._answer.text)))
                self._renderer.again()

    def _closing(self, plan: Plan) -> Sequence[Piece]:
        """Return what is left to say once no attempt follows.

        JSON that was wanted and came as reasoning only is the answer. A call that can't be read is
        told as text where there is no other: an agent would end
        without a word.

        Raises:
            MissingCallError: No call came, although one had to.
        """
        answer = self._answer
        if missing := plan.missing(answer, self._source):
            raise missing
        if "".join(answer.text).strip():
            return ()
        if plan.wants_json and (thought := plan.thought(answer)):
            return answer.say(thought)
        calls = plan.unreadable(answer)
        return answer.say("\n".join(f"{each.name} {each.args}".strip() for each in calls))

    def _feed(self, item: object) -> Sequence[T]:
        if type(item) is not str and isinstance(item, LANGCHAINS):
            incoming = self._incoming = self._incoming or Incoming()
            text = incoming.text(item)
            if text is None:
                return self._rendered(self._pieces(incoming.deltas(item)))
            item = text
        pieces = self._answer.feed(item)
        if len(pieces) == 1:  # nearly always
            return self._renderer.piece(pieces[0])
        return self._rendered(pieces)

    def _pieces(self, deltas: Iterable[object]) -> list[Piece]:
        return [piece for delta in deltas for piece in self._answer.feed(delta)]

    def _end(self) -> Sequence[T]:
        """Render what was held back; the source has nothing more."""
        told = self._pieces(self._incoming.end()) if self._incoming else ()
        return self._rendered([*told, *self._answer.end()])

    def _rendered(self, pieces: Sequence[Piece]) -> Sequence[T]:
        return [rendered for piece in pieces for rendered in self._renderer.piece(piece)]


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
            translated.partial_text = self._answer.partial_text
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
