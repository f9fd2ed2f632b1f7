"""One row is asked, and what comes of it."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from chatwright.errors import StructureError
from chatwright.langchain.model import ChatModel
from chatwright.run.batch.row import Job, Row
from chatwright.run.conforming import Conforming
from chatwright.run.parameters import parameters_of
from chatwright.wires.prompt import Prompt

__all__ = ["Asker", "Said"]

_CONFIG: Any = {"run_name": "chatwright batch"}


class Said(NamedTuple):
    """What a model said.

    Args:
        message: The answer.
        parsed: The value that it holds, where JSON was asked for.
    """

    message: AIMessage
    parsed: Any


class Asker:
    """Asks a model rows.

    Args:
        job: What is asked of which model.
        seconds: How long one answer may take.
    """

    def __init__(self, job: Job, seconds: float) -> None:
        """Work out what is the same for every row."""
        self._job = job
        self._seconds = seconds
        self.model: ChatModel = without_retries(job.model)
        self.ignored: Counter[str] = Counter()
        plain = job.ask(Row(b"", None, "", ""))
        self._given, self._untaken = parameters_of(self.model, plain)
        self._is_plain = plain.response_format is None

    def size(self, row: Row) -> tuple[int, int]:
        """Return how long a row's prompt is, in bytes of UTF-8, and how many messages it has."""
        asked = row.asked
        system = len((self._job.system or "").encode())
        if type(asked) is str:
            return len(asked.encode("utf-8", "replace")) + system, 2
        if type(asked) is list:
            return sum(len(str(each.content).encode()) for each in asked) + system, len(asked) + 1
        told = json.dumps(asked[1], default=str, ensure_ascii=False)
        return len(told.encode("utf-8", "replace")) + system, len(asked[1].get("messages", ())) + 1

    async def ask(self, row: Row) -> Said:
        """Return what the model says to a row.

        Raises:
            TimeoutError: It took too long.
            Exception: Whatever the model raises.
        """
        async with asyncio.timeout(self._seconds):
            if self._is_plain and type(row.asked) is str:
                self.ignored.update(self._untaken)
                return Said(await self._asked(self._plain(row.asked), self._given), None)
            return await self._ask(self._job.ask(row))

    def _plain(self, text: str) -> list[BaseMessage]:
        system = self._job.system
        said: list[BaseMessage] = [HumanMessage(text)]
        return said if system is None else [SystemMessage(system), *said]

    async def _ask(self, prompt: Prompt) -> Said:
        given, untaken = parameters_of(self.model, prompt)
        self.ignored.update(untaken)
        wanted = prompt.response_format
        if wanted is None:
            return Said(await self._asked(prompt.messages, given), None)

        async def ask(talk: Sequence[BaseMessage]) -> AIMessage:
            return await self._asked(talk, given)

        message = await Conforming(wanted).asked(ask, prompt.messages)
        return Said(message, _parsed(message))

    async def _asked(self, talk: Sequence[BaseMessage], given: dict[str, Any]) -> AIMessage:
        message: Any = await self.model.ainvoke(talk, _CONFIG, **given)  # type: ignore[arg-type]  # a list
        if not isinstance(message, AIMessage):
            raise TypeError(f"the model answered with a {type(message).__name__}")
        return message


def _parsed(message: AIMessage) -> Any:
    """Return the value that an answer holds; None where it calls tools instead.

    Raises:
        StructureError: It was cut, or refuses.
    """
    try:
        return json.loads(message.text)
    except ValueError:
        if message.tool_calls:
            return None
        reason = message.response_metadata.get("finish_reason")
        raise StructureError(
            f"the answer holds no JSON; it ended with {reason!r}", llm_output=message.text
        ) from None


def without_retries(model: ChatModel) -> ChatModel:
    """Return a model that leaves it to the batch to ask again: so that it learns how fast to ask.

    Args:
        model: The model.
    """
    if getattr(model, "max_retries", None):
        return model.model_copy(update={"max_retries": 0})
    return model


