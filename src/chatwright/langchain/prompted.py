"""A conversation as an LLM gets it that reads nothing but text, and only certain roles."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    merge_message_runs,
)

from chatwright.core.protocols import ToolProtocol
from chatwright.langchain.capabilities import RolePolicy
from chatwright.langchain.request import schema_of

__all__ = ["json_instructions", "with_calls_as_text", "with_instructions", "with_roles"]


def json_instructions(response_format: Mapping[str, Any]) -> str:
    """Return what the system prompt says where JSON is wanted.

    Args:
        response_format: As OpenAI's parameter: `json_object`, or `json_schema` with a schema.
    """
    wanted = "Answer with one JSON object and nothing else: no explanation, no code fence."
    schema = schema_of(response_format)
    if schema is None:
        return wanted
    return (
        f"{wanted} It has to conform to this JSON schema:\n{json.dumps(schema, ensure_ascii=False)}"
    )


def with_calls_as_text(
    messages: Sequence[BaseMessage], protocol: ToolProtocol
) -> list[BaseMessage]:
    """Return the conversation with tool calls and results written as the protocol has them."""
    names: dict[str | None, str] = {}
    told: list[BaseMessage] = []
    for is_result, group in itertools.groupby(messages, lambda each: isinstance(each, ToolMessage)):
        if is_result:
            told += _results(list(group), protocol, names)
        else:
            told += [_answer(each, protocol, names) for each in group]
    return told


def _answer(
    message: BaseMessage, protocol: ToolProtocol, names: dict[str | None, str]
) -> BaseMessage:
    """Write an answer's calls behind its text, and remember their names."""
    if not isinstance(message, AIMessage) or not (message.tool_calls or message.invalid_tool_calls):
        return message
    calls = [
        (each["name"], json.dumps(each["args"], ensure_ascii=False)) for each in message.tool_calls
    ]
    if not calls:  # beside others they were written anew, or have no result
        unread = [(each["name"] or "", each["args"] or "") for each in message.invalid_tool_calls]
        calls = [each for each in unread if each[1] not in message.text]
    both = [*message.tool_calls, *message.invalid_tool_calls]
    names |= {each["id"]: each["name"] or "" for each in both}
    written = [protocol.write_calls(calls)] if calls else []
    text = "\n".join(filter(None, [str(message.text), *written]))
    return message.model_copy(update={"content": text, "tool_calls": [], "invalid_tool_calls": []})


def _results(
    results: Sequence[BaseMessage], protocol: ToolProtocol, names: Mapping[str | None, str]
) -> Iterator[BaseMessage]:
    """Write the results of one turn as one user message; images and the like stay behind it."""
    written, media = [], []
    for each in results:
        assert isinstance(each, ToolMessage)  # noqa: S101  the groups say so
        content = str(each.text)
        if each.status == "error" and not content.lower().startswith("error"):
            content = f"Error: {content}"
        name = each.name or names.get(each.tool_call_id, "")
        written.append(protocol.write_result(name, each.tool_call_id, content))
        if isinstance(each.content, list):
            media += [block for block in each.content if _type(block) != "text"]
    text = "\n".join(written)
    yield HumanMessage(content=[{"type": "text", "text": text}, *media] if media else text)


def _type(block: str | Mapping[str, Any]) -> str:
    return "text" if isinstance(block, str) else str(block.get("type"))


def with_instructions(messages: Sequence[BaseMessage], text: str) -> list[BaseMessage]:
    """Return the conversation with `text` at the end of its first system message."""
    if messages and isinstance(messages[0], SystemMessage):
        content = messages[0].content
        joined: Any = (
            f"{content}\n\n{text}"
            if isinstance(content, str)
            else [*content, {"type": "text", "text": f"\n\n{text}"}]
        )
        return [messages[0].model_copy(update={"content": joined}), *messages[1:]]
    return [SystemMessage(text), *messages]


def with_roles(messages: Sequence[BaseMessage], policy: RolePolicy) -> list[BaseMessage]:
    """Return the conversation with the roles that `policy` wants."""
    told = [_as_developer(each, policy.developer) for each in messages]
    if policy.system != "keep":
        told = _with_one_system(told, policy)
    if not policy.merge:
        return told
    return [_in_blocks(each) for each in merge_message_runs(told, chunk_separator=_APART)]


def _in_blocks(message: BaseMessage) -> BaseMessage:
    """Return a message whose content has no bare texts beside blocks, as core leaves them."""
    if isinstance(message.content, str) or not any(isinstance(b, str) for b in message.content):
        return message
    blocks = [block for each in message.content for block in _as_blocks(each)]
    return message.model_copy(update={"content": blocks})


_APART = "\n\n"


def _as_blocks(content: Any) -> list[Any]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return content if isinstance(content, list) else [content]


def _joined(parts: Sequence[list[Any]]) -> list[Any]:
    """Return content in blocks as one, what stood apart set apart."""
    joined: list[Any] = []
    for part in filter(None, parts):
        apart = [{"type": "text", "text": _APART}] if joined else []
        joined += [*apart, *part]
    return joined


def _as_developer(message: BaseMessage, role: str) -> BaseMessage:
    if not is_developer(message) or role == "developer":
        return message
    kwargs = {k: v for k, v in message.additional_kwargs.items() if k != _DEVELOPER}
    if role == "user":
        return HumanMessage(message.content, id=message.id, name=message.name)
    return message.model_copy(update={"additional_kwargs": kwargs})


_DEVELOPER = "__openai_role__"


def is_developer(message: BaseMessage) -> bool:
    """Tell whether a system message has OpenAI's developer role, as LangChain marks it."""
    return (
        isinstance(message, SystemMessage)
        and message.additional_kwargs.get(_DEVELOPER) == "developer"
    )


def _with_one_system(messages: Sequence[BaseMessage], policy: RolePolicy) -> list[BaseMessage]:
    systems = [each for each in messages if isinstance(each, SystemMessage)]
    others = [each for each in messages if not isinstance(each, SystemMessage)]
    if not systems:
        return others
    told = _together([each.content for each in systems])
    if policy.system == "first":
        return [systems[0].model_copy(update={"content": told}), *others]
    first = next((n for n, each in enumerate(others) if isinstance(each, HumanMessage)), None)
    if first is None:
        return [HumanMessage(told), *others]
    user = others[first]
    content = _together([told, user.content])
    return [*others[:first], user.model_copy(update={"content": content}), *others[first + 1 :]]


def _together(contents: Sequence[str | list[Any]]) -> Any:
    """Return contents as one: a str, or blocks where one of them holds more, such as a mark."""
    if all(isinstance(each, str) for each in contents):
        return _APART.join(map(str, contents))
    return _joined([_as_blocks(each) for each in contents])
