"""Several answers to one request, as OpenAI's `n` has them."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from chatwright.deltas import Delta, Usage
from chatwright.wires.asked import Asked
from chatwright.wires.openai.names import USAGE
from chatwright.wires.openai.server import Writer as ChoiceWriter
from chatwright.wires.openai.server import done
from chatwright.wires.writer import Writer

__all__ = ["Choice", "Choices"]


class Choice(NamedTuple):
    """A piece of one of the answers.

    Args:
        number: Which one.
        delta: The piece.
    """

    number: int
    delta: Delta


class Choices(Writer):
    """Writes several answers into one stream, or as one completion.

    Args:
        asked: What was asked.
        make: Makes the writer of one answer.
        answers: How many there are.
        each: How many belong to one prompt.
    """

    def __init__(self, asked: Asked, make: Callable[[Asked], Any], answers: int, each: int) -> None:
        """Start with nothing."""
        super().__init__(asked)
        self._each = each
        self._writers: list[ChoiceWriter] = [make(asked) for _ in range(answers)]
        for index, writer in enumerate(self._writers):
            writer.index, writer.tells_usage = index, False

    def feed(self, delta: Delta | Choice) -> list[bytes]:
        """Take the next piece, a `Choice`, and return the pieces of the stream that it makes."""
        assert isinstance(delta, Choice)  # noqa: S101  each knows its answer
        return self._writers[delta.number].feed(delta.delta)

    def end(self) -> list[bytes]:
        """Return the pieces of the stream that end it; the tokens of all answers are told once."""
        pieces = [piece for each in self._writers for piece in each.ending()]
        if self.tells_usage and (usage := self.usage):
            pieces += self._writers[0].told(usage)
        return [*pieces, done()]

    def fail(self, status: int, message: str) -> list[bytes]:
        """Return the pieces of the stream that end it with an error."""
        return self._writers[0].fail(status, message)

    def add(self, delta: Delta | Choice) -> None:
        """Take the next piece, a `Choice`, of answers that go out whole."""
        assert isinstance(delta, Choice)  # noqa: S101  likewise
        self._writers[delta.number].add(delta.delta)

    def whole(self) -> Mapping[str, Any]:
        """Return the answers as one completion."""
        wholes = [each.whole() for each in self._writers]
        made = {**wholes[0], "choices": [each["choices"][0] for each in wholes]}
        return {**made, "usage": USAGE.write(self.usage)} if self.usage else made

    @property
    def usage(self) -> Usage | None:
        """The tokens spent: those of a prompt once, as OpenAI counts them."""
        known = [each.totals.usage for each in self._writers]
        counts = [each for each in known if each is not None]
        if len(counts) < len(known):
            return None
        made = sum(each.output_tokens or 0 for each in counts)
        read = sum(each.input_tokens or 0 for each in counts[:: self._each])
        details = counts[0].input_token_details if len(counts) == self._each else {}
        return Usage(read, made, details)
