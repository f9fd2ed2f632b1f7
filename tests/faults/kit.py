"""What faults are made with."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from faults.controls import Full

__all__ = ["FAULTS", "Fault", "Results", "Streams", "fault", "is_last"]


@dataclass(frozen=True)
class Fault:
    """A model that breaks one rule.

    Args:
        name: Its name.
        rule: The rule that has to catch it.
        make: The class.
        also: The rules that it unavoidably breaks as well; `*` for any.
        verdict: What its rule says: `WARN` where published packages, or core, do the same, and
            nothing is lost that can't be had otherwise.
    """

    name: str
    rule: str
    make: Callable[..., Any]
    also: frozenset[str] = frozenset()
    verdict: str = "FAIL"

    @property
    def story(self) -> str:
        """What is wrong, in a sentence."""
        return " ".join((self.make.__doc__ or "").split())


FAULTS: list[Fault] = []


def fault(rule: str, also: str = "", verdict: str = "FAIL") -> Callable[[Any], Any]:
    """Make a class a fault."""

    def register(cls: Any) -> Any:
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()
        FAULTS.append(Fault(words, rule, cls, frozenset(also.split()), verdict))
        return cls

    return register


class Streams(Full):
    """`Full`, whose chunks are changed on their way out of `_stream` and `_astream`."""

    def change(self, chunk: ChatGenerationChunk, number: int) -> Iterable[ChatGenerationChunk]:
        return [chunk]

    def _stream(self, *args, **kwargs) -> Iterator[ChatGenerationChunk]:
        for number, each in enumerate(super()._stream(*args, **kwargs)):
            yield from self.change(each, number)

    async def _astream(self, *args, **kwargs):
        number = 0
        async for each in super()._astream(*args, **kwargs):
            for changed in self.change(each, number):
                yield changed
            number += 1


class Results(Full):
    """`Full`, whose messages are changed on their way out of `_generate` and `_agenerate`."""

    def changed(self, message: AIMessage, kwargs: dict) -> AIMessage:
        return message

    def _generate(self, *args, **kwargs) -> ChatResult:
        return self._again(super()._generate(*args, **kwargs), kwargs)

    async def _agenerate(self, *args, **kwargs) -> ChatResult:
        return self._again(await super()._agenerate(*args, **kwargs), kwargs)

    def _again(self, result: ChatResult, kwargs: dict) -> ChatResult:
        (generation,) = result.generations
        return ChatResult(
            generations=[ChatGeneration(message=self.changed(generation.message, kwargs))]
        )


def is_last(chunk: ChatGenerationChunk) -> bool:
    return chunk.message.chunk_position == "last"
