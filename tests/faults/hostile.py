"""Models that check has to survive: each call does something that no model should do."""

import asyncio
import itertools
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from faults.controls import Full
from faults.wire import chunk

__all__ = ["HOSTILE"]


CALLS = itertools.count()
"""The first call of all, by which check finds the wire, is answered well."""


class Hostile(Full):
    """Does `harm` within each call but the first, and answers as `Full` if it returns."""

    def harm(self) -> Iterator[ChatGenerationChunk] | None:
        raise NotImplementedError

    def chunks(self, answer, payload):
        yield from (self.harm() if next(CALLS) else None) or ()
        yield from super().chunks(answer, payload)

    async def achunks(self, answer, payload):
        for each in (self.harm() if next(CALLS) else None) or ():
            yield each
            await asyncio.sleep(0)
        async for each in super().achunks(answer, payload):
            yield each


class EndlessStream(Hostile):
    """The answer has no end."""

    def harm(self):
        while True:
            yield chunk(content="more ")


class EndlessSlowStream(Hostile):
    """The answer has no end, and comes slowly."""

    def harm(self):
        while True:
            time.sleep(0.2)
            yield chunk(content="more ")


class BlocksForEver(Hostile):
    """The thread is blocked for ever, and async the loop."""

    def harm(self) -> None:
        time.sleep(1e8)


class BlocksTheLoop(Full):
    """Sync calls are fine; async ones block the event loop for ever."""

    async def achunks(self, answer, payload):
        time.sleep(1e8)
        yield chunk()


class SpinsForEver(Hostile):
    """A loop without end, in Python."""

    def harm(self) -> None:
        while True:
            pass


class HugeChunk(Hostile):
    """One chunk of 100 MB."""

    def harm(self):
        yield chunk(content="x" * 100_000_000)


class EatsMemory(Hostile):
    """It takes memory until there is none."""

    def harm(self) -> None:
        eaten = []
        while True:
            eaten.append(b"x" * 10_000_000)
            time.sleep(0.002)


class BadRepr(Full):
    """`repr` and `str` raise."""

    def __repr__(self) -> str:
        raise ValueError("no repr")

    def __str__(self) -> str:
        raise ValueError("no str")


class BadProperties(Hostile):
    """What LangChain asks about it raises."""

    def harm(self) -> None:
        """Do none: the properties do."""

    @property
    def _llm_type(self) -> str:
        if next(CALLS) > 3:
            raise KeyError("_llm_type")
        return "bad"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        if next(CALLS) > 3:
            raise KeyError("_identifying_params")
        return {}


class BadErrors(Hostile):
    """It raises an error that can't be shown."""

    def harm(self) -> None:
        class UnspeakableError(Exception):
            def __str__(self) -> str:
                raise RuntimeError("no str")

            __repr__ = __str__

        raise UnspeakableError


class BadChunks(Hostile):
    """A chunk of a class whose attributes raise."""

    def harm(self):
        class Message(AIMessageChunk):
            @property
            def text(self):
                raise RuntimeError("no text")

            def __repr__(self) -> str:
                raise RuntimeError("no repr")

        yield ChatGenerationChunk.model_construct(message=Message(content="x"), text="x")


class Forks(Hostile):
    """It forks in the middle, and both go on."""

    def harm(self) -> None:
        os.fork()


class Exits(Hostile):
    """`sys.exit`."""

    def harm(self) -> None:
        sys.exit(7)


class Interrupts(Hostile):
    """It raises KeyboardInterrupt."""

    def harm(self) -> None:
        raise KeyboardInterrupt


class ClosesStdout(Hostile):
    """It closes what reports are printed to."""

    def harm(self) -> None:
        sys.stdout.close()
        sys.stderr.close()


class ChangesTheProcess(Hostile):
    """It changes the environment and the working directory."""

    def harm(self) -> None:
        os.environ["HANDMADE_HARM"] = "done"
        os.environ.pop("HOME", None)
        os.chdir("/")


class Recurses(Hostile):
    """It calls itself without end."""

    def harm(self) -> None:
        self.harm()


HOSTILE = (
    *(EndlessStream, EndlessSlowStream, BlocksForEver, BlocksTheLoop, SpinsForEver, HugeChunk),
    *(EatsMemory, BadRepr, BadProperties, BadErrors, BadChunks, Forks, Exits, Interrupts),
    *(ClosesStdout, ChangesTheProcess, Recurses),
)
