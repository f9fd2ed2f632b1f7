"""`ScriptedModel`: a chat model that plays a script, and remembers what it was asked."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field, PrivateAttr

from chatwright.langchain.capabilities import Capabilities
from chatwright.langchain.model import ChatModel
from chatwright.langchain.request import Request

__all__ = ["Pause", "Raise", "ScriptedModel"]


@dataclass(frozen=True, slots=True)
class Pause:
    """A script's item: wait before the next one.

    Args:
        seconds: How long.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Raise:
    """A script's item: fail.

    Args:
        error: What to raise.
    """

    error: BaseException


class ScriptedModel(ChatModel):
    """A chat model that gives the same scripted answer to every request.

    Example:
        ```python
        model = ScriptedModel(script=["Hel", "lo", Usage(3, 2), Raise(ConnectionError("gone"))])
        ```
    """

    script: Sequence[Any] = Field(exclude=True)
    """The deltas to yield, with `Pause` where to wait and `Raise` where to fail. Whatever else it
    holds is yielded too, to see how that is taken."""
    runs_async: bool = False
    """Whether `reply` is an async generator or a generator."""

    can: Capabilities = Field(default=Capabilities(), exclude=True)
    """What it declares that it can do."""

    fixed = ChatModel.fixed | {"can", "script", "runs_async"}

    _requests: list[Request] = PrivateAttr(default_factory=list)
    _yielded: list[Any] = PrivateAttr(default_factory=list)
    _closed: list[bool] = PrivateAttr(default_factory=list)

    @property
    def requests(self) -> Sequence[Request]:
        """What the model was asked so far."""
        return self._requests

    @property
    def yielded(self) -> Sequence[Any]:
        """What was yielded so far, over all answers."""
        return self._yielded

    @property
    def closed(self) -> int:
        """How many answers have ended, in whatever way."""
        return len(self._closed)

    def reply(self, request: Request) -> Any:
        """Play the script."""
        self._requests.append(request)
        return self._aplay() if self.runs_async else self._play()

    def capabilities(self) -> Capabilities:
        """Follow the field."""
        return self.can

    def replies_async(self) -> bool:
        """Follow the field."""
        return self.runs_async

    def _play(self) -> Iterator[Any]:
        try:
            for item in self.script:
                if isinstance(item, Pause):
                    time.sleep(item.seconds)
                else:
                    yield self._next(item)
        finally:
            self._closed.append(True)

    async def _aplay(self) -> AsyncIterator[Any]:
        try:
            for item in self.script:
                if isinstance(item, Pause):
                    await asyncio.sleep(item.seconds)
                else:
                    yield self._next(item)
        finally:
            self._closed.append(True)

    def _next(self, item: Any) -> Any:
        if isinstance(item, Raise):
            raise item.error
        self._yielded.append(item)
        return item
