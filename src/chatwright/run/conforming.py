"""Answers that have to be JSON by a schema: they are, or there is an error."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import add_usage

from chatwright.deltas import Refusal, ToolCallDelta
from chatwright.errors import StructureError
from chatwright.langchain.parsed import complaint, refusal_in
from chatwright.langchain.validation import check_schema, validated

__all__ = ["ATTEMPTS", "Conforming"]

ATTEMPTS = 3
"""How often a whole answer is asked for; a stream can't be taken back."""
_CUT = frozenset({"content_filter", "length"})
"""How answers end that were not finished; clients are told, and look at that."""


class Conforming:
    """Sees to it that one answer conforms to what was asked for.

    An answer that calls tools, refuses or is cut says so itself, and may be anything.

    Args:
        wanted: A `response_format` in OpenAI's form.

    Raises:
        SchemaError: Nothing can conform to its schema, or it is none.
    """

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        """Begin with nothing."""
        described = wanted.get("json_schema") or {"schema": {"type": "object"}}
        self._schema = described.get("schema", {})
        check_schema(self._schema, any_root=True)
        self._said: list[str] = []
        self._speaks_otherwise = False

    def feed(self, delta: Any) -> None:
        """Take the next piece of the answer."""
        if isinstance(delta, str):
            self._said.append(delta)
        elif isinstance(delta, Refusal | ToolCallDelta):
            self._speaks_otherwise = True

    def end(self, reason: str | None) -> None:
        """Say how the answer has ended.

        Args:
            reason: Why, by OpenAI's names.

        Raises:
            StructureError: It does not conform.
        """
        text = "".join(self._said)
        problem = self._problem(text)
        if problem and not (self._speaks_otherwise or reason in _CUT):
            raise self._failure(problem, text)

    async def asked(
        self,
        ask: Callable[[Sequence[BaseMessage]], Awaitable[Any]],
        messages: Sequence[BaseMessage],
        attempts: int = ATTEMPTS,
    ) -> Any:
        """Return a whole answer that conforms: it is asked for again, with what was wrong.

        Args:
            ask: Asks the model.
            messages: The conversation.
            attempts: How often at most.

        Raises:
            StructureError: No answer conforms.
        """
        talk, usage = [*messages], None
        for left in reversed(range(attempts)):
            message = await ask(talk)
            if not isinstance(message, AIMessage):
                return message
            usage = add_usage(usage, message.usage_metadata) if usage else message.usage_metadata
            problem = None if _says_otherwise(message) else self._problem(message.text)
            if problem is None:
                return message.model_copy(update={"usage_metadata": usage})
            if left:
                talk += [message, *complaint(message, problem)]
        raise self._failure(problem, message.text)

    def _problem(self, text: str) -> Exception | None:
        try:
            validated(json.loads(text), self._schema)
        except Exception as error:  # noqa: BLE001  a schema may lead anywhere
            return error
        return None

    @staticmethod
    def _failure(problem: Exception | None, text: str) -> StructureError:
        told = "the model's answer does not conform to the response format"
        return StructureError(f"{told}: {str(problem)[:300]}", llm_output=text)


def _says_otherwise(message: AIMessage) -> bool:
    calls = message.tool_calls or message.invalid_tool_calls
    cut = message.response_metadata.get("normalized_finish_reason") in _CUT
    return bool(calls) or cut or refusal_in(message) is not None
