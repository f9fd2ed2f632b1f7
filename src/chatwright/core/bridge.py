"""Any kind of source, read from either side: by a thread or by a task.

Four kinds of callable make a source: one that returns, one that yields, a coroutine function and an
async generator function. To return None is to yield nothing. `read` gives their items to
synchronous code, `aread` to a task:

- the same colour on both sides is a plain loop, with nothing in between;
- a sync source read by a task runs on one thread of its own, for as long as it yields;
- an async source read by a thread runs on one event loop per process (`loop`), which works inside
  a notebook's running loop too.

Where the colours differ, a `Channel` stands between them. A source that can be read both ways says
so by being a `Faces`.
"""

import contextlib
import contextvars
import functools
import inspect
import logging
from abc import ABC, abstractmethod
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterator,
    Sequence,
)
from typing import Any, Protocol, TypeAlias, TypeVar

from chatwright.core.channel import Channel
from chatwright.core.loop import shared_loop
from chatwright.core.threads import threads

__all__ = [
    "Channel",
    "Either",
    "Faces",
    "Pump",
    "Scope",
    "Within",
    "aread",
    "astepped",
    "is_async",
    "read",
    "stepped",
]

T = TypeVar("T")

_log = logging.getLogger(__name__)


def is_async(function: Callable[..., Any]) -> bool:
    """Tell whether calling `function` gives a coroutine or an async generator."""
    while isinstance(function, functools.partial):
        function = function.func
    if not (inspect.isfunction(function) or inspect.ismethod(function)):
        function = getattr(function, "__call__", function)  # noqa: B004  an object's own method
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def read(call: Callable[[], Any]) -> Generator[Any]:
    """Yield the items of the source that `call()` starts. Closing it closes the source."""
    result = call()
    if type(result) is str:  # nearly all that return
        yield result
    elif isinstance(result, Faces):
        yield from result.read()
    elif isinstance(result, AsyncIterator):
        yield from _read_async(result)
    elif isinstance(result, Awaitable):
        with shared_loop() as loop:
            value = loop.run(_awaited(result))
        if value is not None:
            yield value
    elif isinstance(result, Iterator):
        with _closing(result):
            yield from result
    elif result is not None:
        yield result


def aread(call: Callable[[], Any], *, runs_async: bool) -> AsyncGenerator[Any]:
    """Return the items of the source that `call()` starts, for a task.

    Args:
        call: Starts the source.
        runs_async: Whether `call` may be run on the event loop; otherwise it runs on a thread.
    """
    result: Any = call() if runs_async else Pump(functools.partial(_push, call))
    if isinstance(result, Faces):
        return result.aread()
    is_one: bool = inspect.isasyncgen(result)
    return result if is_one else _aread(result)


async def _aread(result: Any) -> AsyncGenerator[Any]:
    if isinstance(result, Awaitable):
        if (value := await result) is not None:
            yield value
    elif isinstance(result, AsyncIterator):
        async with _aclosing(result) as items:
            async for item in items:
                yield item
    elif isinstance(result, Iterator):
        with _closing(result):
            for item in result:
                yield item
    elif result is not None:
        yield result


Scope: TypeAlias = Sequence[tuple[contextvars.ContextVar[Any], Any]]
"""Context variables, and the values that they have for a source."""


def stepped(items: Generator[T], scope: Scope) -> Generator[T]:
    """Return the items of a source that runs in a context of its own, where its variables are set.

    Between two items it is the reader's code that runs, in the reader's context.
    """
    return _stepped(items, scope) if scope else items


def astepped(items: AsyncGenerator[T], scope: Scope) -> AsyncGenerator[T]:
    """Do what `stepped` does, for a task: it has but one context, so that each step sets it."""
    return _astepped(items, scope) if scope else items


def _stepped(items: Generator[T], scope: Scope) -> Generator[T]:
    context = contextvars.copy_context()
    for variable, value in scope:
        context.run(variable.set, value)
    end: Any = object()
    try:
        while (item := context.run(next, items, end)) is not end:
            yield item
    finally:
        context.run(items.close)


async def _astepped(items: AsyncGenerator[T], scope: Scope) -> AsyncGenerator[T]:
    (variable, value), *more = scope  # nearly always there is one, which costs half by itself
    within, step, given = Within(more), items.__anext__, variable.set
    try:
        while True:
            token = given(value)
            try:
                if more:
                    with within:
                        item = await step()
                else:
                    item = await step()
            except StopAsyncIteration:
                return
            finally:
                _set_back(token)
            yield item
    finally:
        with Within(scope):
            await items.aclose()


def _set_back(token: contextvars.Token[Any]) -> None:
    try:
        token.var.reset(token)
    except ValueError:
        return  # closed in another context, which is gone with it


class Within:
    """Sets context variables for as long as nothing but a source runs, its reader's code included.

    Args:
        scope: The variables and their values.
    """

    __slots__ = ("_scope", "_tokens")

    def __init__(self, scope: Scope) -> None:
        """Keep them."""
        self._scope = scope
        self._tokens: list[contextvars.Token[Any]] = []

    def __enter__(self) -> None:
        """Set them."""
        for variable, value in self._scope:
            self._tokens.append(variable.set(value))

    def __exit__(self, *raised: object) -> None:
        """Set them back."""
        tokens, self._tokens = self._tokens, []
        for token in reversed(tokens):  # a variable that is there twice gets its first value back
            _set_back(token)


class Faces(ABC):
    """A source that can be read by a thread and by a task."""

    @abstractmethod
    def read(self) -> Generator[Any]:
        """Yield the items to synchronous code."""

    @abstractmethod
    def aread(self) -> AsyncGenerator[Any]:
        """Yield the items to a task."""


class Either(Faces):
    """A source of two callables, one for each side; one that is not there, the other stands in for.

    Args:
        call: Starts the source for synchronous code: any kind that `read` takes.
        acall: Starts it for a task: any kind that `aread` takes.
    """

    def __init__(
        self, call: Callable[[], Any] | None, acall: Callable[[], Any] | None = None
    ) -> None:
        """Keep both; nothing runs yet."""
        self._call = call
        self._acall = acall

    def read(self) -> Generator[Any]:
        """Yield the items to synchronous code."""
        return read(self._call or self._acall or _nothing)

    def aread(self) -> AsyncGenerator[Any]:
        """Yield the items to a task."""
        runs_async = self._acall is not None
        return aread(self._acall or self._call or _nothing, runs_async=runs_async)


def _nothing() -> None:
    pass


class Put(Protocol):
    """Hands an item to the reader; returns True when the reader is gone."""

    def __call__(self, item: Any, /) -> bool:
        """Hand `item` over, waiting for room."""


class Pump(Faces):
    """A source that pushes: `produce(put)` runs on a thread and hands items over by `put(item)`.

    `put` returns True when the reader is gone; `produce` should then return. The thread starts
    with the first read, in the reader's context variables, as soon as there is one (`threads`).

    Args:
        produce: Pushes all items, then returns; what it raises reaches the reader.
        channel: For a `produce` that must see a close between two items.
    """

    def __init__(
        self, produce: Callable[[Put], object], channel: Channel[Any] | None = None
    ) -> None:
        """Keep the producer; nothing runs yet."""
        self._produce = produce
        self._channel: Channel[Any] = channel or Channel()

    def read(self) -> Generator[Any]:
        """Yield the items to synchronous code."""
        self._start()
        try:
            while batch := self._channel.take():
                yield from batch
        finally:
            self._channel.close()

    async def aread(self) -> AsyncGenerator[Any]:
        """Yield the items to a task."""
        self._start()
        try:
            while batch := await self._channel.atake():
                for item in batch:
                    yield item
        finally:
            self._channel.close()

    def _start(self) -> None:
        threads.start(self._run, contextvars.copy_context())

    def _run(self) -> None:
        if self._channel.closed:
            return  # the reader went while this waited for a thread
        error: BaseException | None = None
        try:
            self._produce(self._channel.put)
        except BaseException as raised:  # noqa: BLE001  it belongs to the reader
            error = raised
            if self._channel.closed:
                _log.debug("a source raised after its reader was gone", exc_info=True)
        self._channel.end(error)


def _push(call: Callable[[], Any], put: Put) -> None:
    with contextlib.closing(read(call)) as items:
        for item in items:
            if put(item):
                break


async def _awaited(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _read_async(source: AsyncIterator[Any]) -> Generator[Any]:
    channel: Channel[Any] = Channel()

    async def produce() -> None:
        error: BaseException | None = None
        try:
            async with _aclosing(source) as items:
                async for item in items:
                    if await channel.aput(item):
                        break
        except BaseException as raised:  # noqa: BLE001  it belongs to the reader
            error = raised
        finally:
            channel.end(error)

    with shared_loop() as loop:
        cancel = loop.start(produce())
        try:
            while batch := channel.take():
                yield from batch
        finally:
            if not channel.ended:
                # In one step, so that no source sees the close, cleans up and is cancelled then.
                cancel(channel.close)


@contextlib.contextmanager
def _closing(items: Iterator[T]) -> Iterator[Iterator[T]]:
    try:
        yield items
    finally:
        if close := getattr(items, "close", None):
            close()


@contextlib.asynccontextmanager
async def _aclosing(items: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    try:
        yield items
    finally:
        if aclose := getattr(items, "aclose", None):
            await aclose()
