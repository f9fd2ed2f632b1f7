"""Calls and their results in a conversation: each call has an id, and a broken one a result."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

__all__ = ["paired"]


def paired(messages: Sequence[BaseMessage]) -> Sequence[BaseMessage]:
    """Return a conversation in which servers find each call's result; the caller's is not changed.

    Calls without an id get one, and so do their results, by their order. A call that could not be
    read has the error as its result where nothing else is: agents run valid calls only, and servers
    refuse a call without a result for good (langchain-ai/langchain#40530).

    Args:
        messages: The conversation.
    """
    if not any(isinstance(each, AIMessage) and _calls(each) for each in messages):
        return messages
    answered = {each.tool_call_id for each in messages if isinstance(each, ToolMessage)}
    told: list[BaseMessage] = []
    made: Iterator[str] = iter(())  # ids whose results are awaited
    broken: list[ToolMessage] = []
    for position, message in enumerate(messages):
        if isinstance(message, ToolMessage):
            call_id = next(made, None) if message.tool_call_id in _NO_IDS else None
            broken = [each for each in broken if each.tool_call_id != call_id]
            result = message.model_copy(update={"tool_call_id": call_id}) if call_id else message
            told.append(result)
            continue
        told += broken
        made, broken = iter(()), []
        if isinstance(message, AIMessage) and _calls(message):
            answer, ids = _identified(message, position)
            made, broken = iter(ids), [*_results(answer, answered)]
            told.append(answer)
        else:
            told.append(message)
    return [*told, *broken]


_NO_IDS = frozenset({None, "", "None"})


def _calls(message: AIMessage) -> list[Any]:
    return [*message.tool_calls, *message.invalid_tool_calls]


def _identified(message: AIMessage, position: int) -> tuple[AIMessage, list[str]]:
    """Return an answer whose calls have ids, and those that were made: the same ones each time."""
    calls = _calls(message)
    named = [
        {**each, "id": f"call_{position}_{n}"} if each["id"] in _NO_IDS else each
        for n, each in enumerate(calls)
    ]
    made = [new["id"] for new, old in zip(named, calls, strict=True) if new is not old]
    if not made:
        return message, made
    valid = len(message.tool_calls)
    update = {"tool_calls": named[:valid], "invalid_tool_calls": named[valid:]}
    return message.model_copy(update=update), made


def _results(message: AIMessage, answered: set[str]) -> Iterator[ToolMessage]:
    for call in message.invalid_tool_calls:
        if call["id"] not in answered:
            yield ToolMessage(
                f"Error: the call was not made, as it can't be read: {_why(call)}",
                tool_call_id=str(call["id"]),
                name=call["name"],
                status="error",
            )


def _why(call: Mapping[str, Any]) -> str:
    return str(call.get("error") or "its arguments are no JSON object")
