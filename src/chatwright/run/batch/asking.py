"""One row is asked, and what comes of it."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from chatwright.errors import StructureError
from chatwright.langchain.model import ChatModel
from chatwright.langchain.unheard import aquietly, is_unheard
from chatwright.run.batch.row import Job, Row
from chatwright.run.conforming import ATTEMPTS, Conforming
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
        model: The model that is asked. Default: the job's.
        attempts: How often a row is asked whose answer has to conform.
    """

    def __init__(
        self, job: Job, seconds: float, model: ChatModel | None = None, attempts: int = ATTEMPTS
    ) -> None:
        """Work out what is the same for every row."""
        self._job = job
        self._seconds = seconds
        self._model = _prepared(model or job.model)
        self._attempts = attempts
        self.ignored: Counter[str] = Counter()
        plain = job.ask(Row(b"", None, "", ""))
        given, self._untaken = self._parameters(plain)
        self._is_unheard = is_unheard(self._model)
        # Settings of each call would have the model copied for each row.
        stop = {"stop": given.pop("stop")} if "stop" in given else {}
        self._plain_model, rest = self._model.for_call(given)
        self._given = {**rest, **stop}
        self._is_plain = plain.response_format is None

    @contextlib.asynccontextmanager
    async def ready(self, is_stopped: Callable[[], bool]) -> AsyncIterator[None]:
        """Have it ready to ask as long as the context lasts: here it always is.

        Args:
            is_stopped: Tells whether nothing is asked any more.
        """
        yield

    async def ask(self, row: Row) -> Said:
        """Return what the model says to a row.

        Raises:
            TimeoutError: It took too long.
            Exception: Whatever the model raises.
        """
        async with asyncio.timeout(self._seconds):
            if self._is_plain and type(row.asked) is str:
                self.ignored.update(self._untaken)
                talk = self._plain(row.asked)
                return Said(await self._asked(self._plain_model, talk, self._given), None)
            return await self._ask(self._job.ask(row))

    def body(self, row: Row) -> dict[str, Any]:
        """Return what the model would be given: a request's body, of one that says so.

        Raises:
            Exception: Whatever the model raises.
        """
        prompt = self._job.ask(row)
        given, untaken = self._parameters(prompt)
        self.ignored.update(untaken)
        return self._model.explain([*prompt.messages], **given)

    def _plain(self, text: str) -> list[BaseMessage]:
        system = self._job.system
        said: list[BaseMessage] = [HumanMessage(text)]
        return said if system is None else [SystemMessage(system), *said]

    async def _ask(self, prompt: Prompt) -> Said:
        given, untaken = self._parameters(prompt)
        self.ignored.update(untaken)
        wanted = prompt.response_format
        if wanted is None:
            return Said(await self._asked(self._model, prompt.messages, given), None)

        async def ask(talk: Sequence[BaseMessage]) -> AIMessage:
            return await self._asked(self._model, talk, given)

        message = await Conforming(wanted).asked(ask, prompt.messages, self._attempts)
        return Said(message, _parsed(message))

    def _parameters(self, prompt: Prompt) -> tuple[dict[str, Any], list[str]]:
        given, untaken = parameters_of(self._model, prompt)
        del given["include_stop"]  # it is the model's already
        return given, untaken

    async def _asked(
        self, model: ChatModel, talk: Sequence[BaseMessage], given: dict[str, Any]
    ) -> AIMessage:
        message: Any
        if self._is_unheard:
            told = {name: each for name, each in given.items() if name != "stop"}
            message = await aquietly(model, [*talk], given.get("stop"), told)
        else:
            message = await model.ainvoke([*talk], _CONFIG, **given)
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


def _prepared(model: ChatModel) -> ChatModel:
    """Return a model as a batch asks it.

    It leaves it to the batch to ask again, which learns so how fast to ask; and matched stop
    sequences are no part of answers, as with the APIs whose files are read and written here.
    """
    again = {"max_retries": 0} if getattr(model, "max_retries", None) else {}
    return model.model_copy(update={"include_stop": False, **again})
