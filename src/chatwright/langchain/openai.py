"""Messages in the form of OpenAI's chat completions, which llama.cpp and most servers take."""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    convert_to_openai_messages,
)

from chatwright.langchain.media import openai_part

__all__ = ["as_openai", "unread"]


def as_openai(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """Return normalized messages in OpenAI's form, reasoning and invalid calls included.

    Core's converter drops both, and calls that could not be read have results all the same.

    Raises:
        ContentError: A medium that OpenAI has no form for in the way in which it is given.
    """
    return [_as_openai(message) for message in messages]


def _as_openai(message: BaseMessage) -> dict[str, Any]:
    converted = _converted(message)
    if not isinstance(message, AIMessage):
        return converted
    if calls := [*_calls(message)]:
        converted["tool_calls"] = calls
    if reasoning := message.additional_kwargs.get("reasoning_content"):
        converted["reasoning_content"] = reasoning
    return converted


def _converted(message: BaseMessage) -> dict[str, Any]:
    content = message.content
    if isinstance(content, str) or isinstance(message, AIMessage) or all(map(_is_text, content)):
        converted = convert_to_openai_messages(message)
        assert isinstance(converted, dict)  # noqa: S101  one message makes one dict
        return converted
    bare = convert_to_openai_messages(message.model_copy(update={"content": ""}))
    assert isinstance(bare, dict)  # noqa: S101  likewise
    blocks = [{"type": "text", "text": b} if isinstance(b, str) else b for b in content]
    return {**bare, "content": [openai_part(each) for each in blocks]}


def _is_text(block: Any) -> bool:
    """Tell whether a block is text and nothing else: core drops marks, and `detail`."""
    return isinstance(block, str) or block.keys() == {"type", "text"}


def _calls(message: AIMessage) -> Iterator[Mapping[str, Any]]:
    for call in (*message.tool_calls, *message.invalid_tool_calls):
        args = _written(unread(call["args"]))
        function = {"name": call["name"] or "", "arguments": args}
        yield {"type": "function", "id": call["id"] or "", "function": function}


def unread(args: Mapping[str, Any] | str | None) -> dict[str, Any]:
    """Return a call's arguments in a form that every server takes.

    vLLM, llama.cpp and Kimi refuse a conversation for good that holds a call whose arguments are
    no JSON (vllm-project/vllm#43995, MoonshotAI/kimi-cli#2165); the LLM still sees what it wrote.

    Args:
        args: The arguments of any call, as they were read, or else as they were written.

    Returns:
        The arguments; where they are no JSON object (`NaN` is none, either), an object with the
        text under `invalid_arguments`.
    """
    if isinstance(args, Mapping):
        text = json.dumps(args, ensure_ascii=False)
        return dict(args) if _is_json(text) else {"invalid_arguments": text}
    with contextlib.suppress(ValueError):
        if isinstance(read := json.loads(args or "", parse_constant=_refuse), dict):
            return read
    return {"invalid_arguments": args or ""}


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _is_json(text: str) -> bool:
    """Tell whether what Python wrote is JSON: it writes `NaN` and `Infinity`, too."""
    if "NaN" not in text and "Infinity" not in text:
        return True
    with contextlib.suppress(ValueError):
        json.loads(text, parse_constant=_refuse)
        return True
    return False


def _written(args: Mapping[str, Any]) -> str:
    """Write arguments as text; halves of characters, which have no bytes, stay escaped."""
    text = json.dumps(args, ensure_ascii=False)
    return json.dumps(args) if _HALVES.search(text) else text


_HALVES = re.compile("[\ud800-\udfff]")
