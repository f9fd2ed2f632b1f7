"""`substitute`: a chat model of ours whose source is replaced by a script."""

import asyncio
import functools
import itertools
import sys
import time
import types
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import PrivateAttr

from chatwright.langchain.model import ChatModel
from chatwright.langchain.request import Request, schema_of
from chatwright.testing.doubles import Pause, Raise
from chatwright.testing.play import Bytes, Cut, Refuse, Stall
from chatwright.testing.upstream import Received
from chatwright.wires.asked import Asked, text_of
from chatwright.wires.wire import ROLES

__all__ = ["substitute"]

STALL_SECONDS = 600.0
_ASKED = ("tools", "tool_choice", "response_format")

Script = Iterable[Any] | Callable[[Received], Iterable[Any]]


@dataclass(frozen=True)
class _Play:
    script: Script
    received: list[Received]
    runs_async: bool


_PLAYS: dict[int, _Play] = {}
"""The scripts by their numbers: a model holds the number, which copies and pickles."""
_NUMBERS = itertools.count()


def substitute(model: Any, script: Script, received: list[Received]) -> ChatModel:
    """Return a copy of a model whose source plays a script.

    All else is the model's own: fields, capabilities, filters, whether it is sync or async.

    Args:
        model: A `ChatModel`.
        script: The deltas that its source yields, `Pause`, `Raise` and `Stall` among them; or a
            function of a `Received` that returns them. What only a server can send (`Refuse`,
            `Cut`) becomes Python's `ConnectionError`.
        received: Where the requests are kept; they have no path and no headers.

    Raises:
        TypeError: The model is no `ChatModel`.
    """
    if not isinstance(model, ChatModel):
        raise TypeError(f"{type(model).__name__} is no ChatModel: its source can't be replaced")
    number = next(_NUMBERS)
    _PLAYS[number] = _Play(script, received, model.replies_async())
    copy = model.model_copy()
    private = {**(copy.__pydantic_private__ or {}), "_play": number}
    copy.__class__ = _class_of(type(model))
    object.__setattr__(copy, "__pydantic_private__", private)
    return copy


@functools.cache
def _class_of(cls: type[ChatModel]) -> type[ChatModel]:
    """Return a subclass that plays scripts; it is found here by its name, so that it pickles."""
    name = f"Scripted{cls.__name__}_{next(_NUMBERS)}"
    body = {
        "__module__": __name__,
        "__qualname__": name,
        "__doc__": cls.__doc__,
        "__annotations__": {"_play": int},
        "_play": PrivateAttr(default=-1),
        "reply": _reply,
        "replies_async": _replies_async,
    }
    made: type[ChatModel] = types.new_class(name, (cls,), exec_body=lambda it: it.update(body))
    setattr(sys.modules[__name__], name, made)
    return made


def _reply(model: Any, request: Request) -> Any:
    play = _PLAYS[model._play]  # noqa: SLF001  it is our subclass's
    received = _received(model, request)
    play.received.append(received)
    items = play.script(received) if callable(play.script) else play.script
    return _aplay(items, received) if play.runs_async else _play(items, received)


def _replies_async(model: Any) -> bool:
    return _PLAYS[model._play].runs_async  # noqa: SLF001  it is our subclass's


def _received(model: ChatModel, request: Request) -> Received:
    tools = {
        each["function"]["name"]: each["function"].get("parameters", {})
        for each in request.tools or ()
        if "function" in each
    }
    asked = Asked(
        model=model.model_name,
        messages=[
            (ROLES.get(each.type, each.type), text_of(each.content)) for each in request.messages
        ],
        tools=tools,
        tool_choice=request.tool_choice,
        schema=request.response_format and (schema_of(request.response_format) or {}),
        stop=(),  # the source need not look at them
        stream=True,
    )
    fields = {name: getattr(model, name, None) for name in ("temperature", "max_tokens")}
    fields |= {name: getattr(request, name) for name in _ASKED}
    body = {
        **{name: value for name, value in fields.items() if value is not None},
        **request.parameters,
        "messages": [each.model_dump(mode="json") for each in request.messages],
    }
    return Received("", {}, b"", time.monotonic(), asked=asked, given=body)


def _play(items: Iterable[Any], received: Received) -> Iterator[Any]:
    received.ended = "lost"
    try:
        for each in items:
            if isinstance(each, Pause | Stall):
                time.sleep(_pause(each))
            elif not isinstance(each, Bytes):
                yield _next(each)
        received.ended = "sent"
    finally:
        received.ended_at = time.monotonic()


async def _aplay(items: Iterable[Any], received: Received) -> AsyncIterator[Any]:
    received.ended = "lost"
    try:
        for each in items:
            if isinstance(each, Pause | Stall):
                await asyncio.sleep(_pause(each))
            elif not isinstance(each, Bytes):
                yield _next(each)
        received.ended = "sent"
    finally:
        received.ended_at = time.monotonic()


def _pause(each: Pause | Stall) -> float:
    return each.seconds if isinstance(each, Pause) else STALL_SECONDS


def _next(each: Any) -> Any:
    if isinstance(each, Raise):
        raise each.error
    if isinstance(each, Refuse):
        raise ConnectionError(f"{each.status}: {each.message}")
    if isinstance(each, Cut):
        raise ConnectionResetError("the connection was lost")
    return each
