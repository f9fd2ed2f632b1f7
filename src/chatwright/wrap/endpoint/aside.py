"""What a user's function gives for requests: called aside, once for all who wait for it."""

import asyncio
import contextlib
import contextvars
import inspect
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

from langchain_core.runnables.config import var_child_runnable_config

from chatwright.core.threads import threads

__all__ = ["given_by"]


async def given_by(function: Callable[[], Any], refused: Any = None) -> Any:
    """Return what a function, or a coroutine function, gives.

    A plain function may block, as token providers do: it runs on a thread. Whoever asks meanwhile
    gets the same, if the function can't tell the two apart: by context variables, for instance,
    one of which may say for whom a key is.

    Args:
        function: The function.
        refused: What it gave before that is of no use: whoever waits since before this was known
            waits for something else.

    Raises:
        BaseException: What the function raises.
    """
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004  whether it is a coroutine function
    ):
        return await function()
    context = contextvars.copy_context()
    under_way = _under_way.setdefault(asyncio.get_running_loop(), [])
    for each in under_way:
        if each.serves(function, refused, context):
            return await asyncio.shield(each.task)
    task = asyncio.get_running_loop().create_task(_given(function, context.copy()), context=context)
    asked = _Asked(function, refused, context, task)
    under_way.append(asked)

    def end(task: asyncio.Task[Any]) -> None:
        under_way.remove(asked)
        if not task.cancelled():
            task.exception()  # if nobody waits any longer, nobody misses it

    task.add_done_callback(end)
    return await asyncio.shield(task)


class _Asked(NamedTuple):
    """A function that has been called, and has not returned."""

    function: Callable[[], Any]
    refused: Any
    context: contextvars.Context
    task: asyncio.Task[Any]

    def serves(
        self, function: Callable[[], Any], refused: Any, context: contextvars.Context
    ) -> bool:
        return (
            self.function is function
            and self.refused == refused
            and not self.task.done()
            and _is_same(self.context, context)
        )


_under_way: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, list[_Asked]] = (
    weakref.WeakKeyDictionary()
)


def _is_same(one: contextvars.Context, other: contextvars.Context) -> bool:
    """Tell whether two contexts hold the same, of LangChain's config what users put there."""
    if len(one) != len(other):
        return False
    for variable, value in one.items():
        theirs = other.get(variable, _NOTHING)
        if variable is var_child_runnable_config:
            if _chosen(value) != _chosen(theirs):
                return False
        elif value is not theirs:
            return False
    return True


_NOTHING: Any = object()


def _chosen(config: Any) -> Any:
    return config and {name: config.get(name) for name in ("configurable", "metadata", "tags")}


async def _given(function: Callable[[], Any], context: contextvars.Context) -> Any:
    """Return what a plain function gives, called on a thread; an awaitable is awaited here."""
    loop = asyncio.get_running_loop()
    given: asyncio.Future[Any] = loop.create_future()

    def call() -> None:
        value: Any = None
        failed: BaseException | None = None
        try:
            value = function()
        except StopIteration as error:  # no future takes it
            failed = RuntimeError("the function has nothing more to give (StopIteration)")
            failed.__cause__ = error
        except BaseException as error:  # noqa: BLE001  it is raised where it is waited for
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(settle, value, failed)

    def settle(value: Any, failed: BaseException | None) -> None:
        if given.done():
            return
        if failed is None:
            given.set_result(value)
        else:
            given.set_exception(failed)

    threads.start(call, context)
    value = await given
    return await value if inspect.isawaitable(value) else value
