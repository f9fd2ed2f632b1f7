"""LangChain's values as JSON that may be shown: what no one should see is left out by its kind."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.runnables import Runnable

__all__ = ["shown", "shown_data"]

_DEPTH = 24
_CHARACTERS = 16_384
"""How much of one text is shown, but for an answer's own: a conversation's images are long."""
_CALL = ("id", "name", "args")
_UNREAD = (*_CALL, "error")
_PIECE = ("index", *_CALL)
_READ = frozenset({"invalid_tool_call", "reasoning", "text", "tool_call", "tool_call_chunk"})
"""Blocks whose content is told by what it is."""
_TWICE = frozenset({"blocks", "text"})
"""What a message's content has as well."""


def shown_data(event: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of one of LangChain's events.

    Args:
        event: Its name, such as `on_chat_model_stream`.
        data: Its data.
    """
    if event == "on_chat_model_stream":
        return {"chunk": _piece(data["chunk"])}
    if event == "on_chat_model_end":
        return {"output": _whole(data.get("output"))}
    return {name: shown(each) for name, each in data.items()}


def shown(value: Any, depth: int = _DEPTH) -> Any:
    """Return any value as JSON: messages, pydantic's models and dataclasses by what they hold.

    Objects of other kinds, and Runnables, are told by their classes: they may hold secrets.

    Args:
        value: The value.
        depth: How deep it may go.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if abs(value) < float("inf") else str(value)  # JSON has no NaN
    if isinstance(value, str):
        return _clipped(value)
    if hasattr(value, "get_secret_value"):
        return "***"
    if depth == 0:
        return "…"
    return _parts(value, lambda each: shown(each, depth - 1))


def _parts(value: Any, inner: Callable[[Any], Any]) -> Any:
    """Return a value with its parts as `inner` shows them."""
    match value:
        case BaseMessage():
            return _message(value, inner)
        case Mapping():
            return {str(key): inner(each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [inner(each) for each in value]
        case Runnable() | type():
            pass
        case _ if hasattr(type(value), "model_fields"):  # pydantic's
            return {name: inner(getattr(value, name)) for name in type(value).model_fields}
        case _ if dataclasses.is_dataclass(value):
            fields = dataclasses.fields(value)
            return {each.name: inner(getattr(value, each.name)) for each in fields if each.repr}
    return f"<{type(value).__name__}>"


def _clipped(text: str) -> str:
    more = len(text) - _CHARACTERS
    return text if more <= 0 else f"{text[:_CHARACTERS]}… ({more} more characters)"


def _message(message: BaseMessage, inner: Callable[[Any], Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"type": message.type, "content": inner(message.content)}
    if isinstance(message, AIMessage):
        more = {**_said(message), "tool_calls": _calls(message)}
        told |= {name: inner(each) for name, each in more.items() if each and name not in _TWICE}
    if isinstance(message, ToolMessage):
        told |= {"tool_call_id": message.tool_call_id, "status": message.status}
    return {**told, "name": message.name} if message.name else told


def _piece(chunk: Any) -> Any:
    """Return a piece of an answer."""
    if not isinstance(chunk, AIMessageChunk):
        return shown(chunk)
    calls = [{name: each.get(name) for name in _PIECE} for each in chunk.tool_call_chunks]
    return {**_said(chunk), "tool_call_chunks": calls}


def _whole(message: Any) -> Any:
    """Return a whole answer."""
    if not isinstance(message, AIMessage):
        return shown(message)
    return {**_said(message), "tool_calls": _calls(message)}


def _calls(message: AIMessage) -> list[dict[str, Any]]:
    """Return an answer's calls; those that can't be read have an `error`."""
    read = [{name: each.get(name) for name in _CALL} for each in message.tool_calls]
    unread = [{name: each.get(name) for name in _UNREAD} for each in message.invalid_tool_calls]
    return [shown(each) for each in (*read, *unread)]


def _said(message: AIMessage) -> dict[str, Any]:
    """Return what an answer, or a piece of one, says beside calls, its text in full."""
    usage = message.usage_metadata
    beside = message.additional_kwargs
    text, reasoning = str(message.text), str(beside.get("reasoning_content") or "")
    blocks: list[Any] = []
    if isinstance(message.content, list):
        told = message.content_blocks
        reasoning = (
            "".join(
                str(each.get("reasoning") or "") for each in told if each["type"] == "reasoning"
            )
            or reasoning
        )
        text = text or "".join(map(_refusal, message.content))
        blocks = [each for each in told if each["type"] not in _READ and not _refusal(each)]
    return {
        "text": text or str(beside.get("refusal") or ""),
        "reasoning": reasoning,
        "usage": shown(usage),
        "response_metadata": shown(message.response_metadata),
        **({"blocks": shown(blocks)} if blocks else {}),
    }


def _refusal(block: Any) -> str:
    """Return the words of a block that refuses, bare or as LangChain's v1 has it; else nothing."""
    inner = block.get("value", block) if isinstance(block, dict) else {}
    return str(inner.get("refusal") or "") if isinstance(inner, dict) else ""
