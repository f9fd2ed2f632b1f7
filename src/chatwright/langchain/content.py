"""Messages as a source gets them: one form for every way in which content can be written."""

import base64
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    BaseMessageChunk,
    HumanMessage,
    ToolCall,
    ToolMessage,
    message_chunk_to_message,
)
from langchain_core.messages.tool import tool_call

from chatwright.core.calls import CALL_EXTRAS
from chatwright.errors import ContentError
from chatwright.langchain.media import SOURCES, as_media, inline

__all__ = ["REASONING_FIELD", "normalized"]

REASONING_FIELD = "reasoning_field"
"""Where an answer's `response_metadata` has the field by which a server gave its reasoning."""
_KEPT = frozenset(
    {
        *("reasoning_details", "reasoning_opaque", "thinking_blocks"),
        *(REASONING_FIELD, "thinking_blocks_at", "reasoning_items", "reasoning_items_at"),
    }
)
"""Where answers keep what servers gave of their reasoning."""
_MARK = "cache_control"

_MEDIA = frozenset({"audio", "file", "image", "text-plain", "video"})
_REASONING = frozenset({"reasoning", "reasoning_content", "redacted_thinking", "thinking"})
_PLAIN_ROLES = frozenset({"human", "system"})
_CALLS = frozenset(
    {
        *("invalid_tool_call", "tool_call", "tool_call_chunk", "tool_use"),
        *("server_tool_call", "server_tool_call_chunk", "server_tool_result"),
    }
)


def normalized(
    messages: Sequence[BaseMessage],
    *,
    inputs: Collection[str],
    keep_reasoning: bool | None,
    model: str,
    opaque: bool = False,
) -> Sequence[BaseMessage]:
    """Return the messages in the one form that sources get; the caller's are never changed.

    Text is a str. Where there is more than text, content is a list of v1 blocks, whether it came
    as v1, v0, or in OpenAI's or Anthropic's form. Tool results that stand in a user message become
    tool messages; reasoning stands in `additional_kwargs["reasoning_content"]`, or nowhere.

    Args:
        messages: The conversation.
        inputs: The media that the source reads.
        keep_reasoning: Whether earlier answers keep their reasoning. None: what a server gave, if
            the source is one (`opaque`).
        model: The model's name, for errors.
        opaque: Whether marks such as `cache_control` reach the source. Default: no.

    Raises:
        ContentError: A block that the source does not read.
    """
    if all(type(each.content) is str and each.type in _PLAIN_ROLES for each in messages):
        return messages  # nearly always
    return [
        each
        for message in messages
        for each in _normalized(
            message, Reads(inputs, f"{model} does not take", opaque), keep_reasoning
        )
    ]


class Reads(NamedTuple):
    """What a source reads, and how an error begins about what it does not."""

    inputs: Collection[str]
    refusal: str
    opaque: bool


def _normalized(
    message: BaseMessage, reads: Reads, keep_reasoning: bool | None
) -> Iterator[BaseMessage]:
    if isinstance(message, BaseMessageChunk):
        message = message_chunk_to_message(message)
    update: dict[str, Any] = {}
    blocks: Sequence[Mapping[str, Any]] = ()
    if isinstance(message, ToolMessage) and message.artifact is not None:
        update["artifact"] = None  # it is for the program, not for the LLM
    if isinstance(message.content, list):
        blocks = _blocks(message.content)
        results = [*_results(blocks, reads)]
        yield from results
        content = _content(blocks, reads, message.type)
        if results and not content:
            return
        update["content"] = content
    if isinstance(message, AIMessage):
        given = REASONING_FIELD in message.response_metadata
        if keep_reasoning is False or (given and not keep_reasoning and not reads.opaque):
            message = _without_reasoning(message)
        elif keep_reasoning is None:
            keep_reasoning = reads.opaque and given
        update |= _answer(message, blocks, keep_reasoning=bool(keep_reasoning))
        if reads.opaque and (marks := _marked_calls(blocks)):
            kwargs = update.get("additional_kwargs", message.additional_kwargs)
            extras = kwargs.get(CALL_EXTRAS) or {}
            marked = {call: {**(extras.get(call) or {}), **mark} for call, mark in marks.items()}
            update["additional_kwargs"] = {**kwargs, CALL_EXTRAS: {**extras, **marked}}
    yield message.model_copy(update=update) if update else message


def _blocks(content: Sequence[str | Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Return content as v1 blocks; what v1 has no form for comes as it is."""
    return [block for each in content for block in _block(each)]


def _block(block: str | Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield what a block is in v1."""
    if isinstance(block, str):
        yield {"type": "text", "text": block}
    elif block.get("type") in {"input_text", "text"}:
        yield {**block, "type": "text"}
    elif (media := as_media(block)) is not None:
        yield media
    else:
        bare = {name: each for name, each in block.items() if name != _MARK}
        marks = {_MARK: block[_MARK]} if block.get(_MARK) else {}
        for each in HumanMessage(content=[bare]).content_blocks:
            yield {**_standard(dict(each)), **marks}


def _standard(block: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a block without what core puts around it, or to it: an id by chance."""
    if block["type"] == "non_standard":
        value: Mapping[str, Any] = block.get("value", {})
        return value
    made = dict(block)
    if str(made.get("id", "")).startswith("lc_"):
        del made["id"]
    if str(made.get("url", "")).startswith("data:"):
        made |= inline(made.pop("url"))
    if isinstance(old := (made.get("extras") or {}).get("metadata"), Mapping):  # v0's
        made["extras"] = {**made["extras"], **old}
        del made["extras"]["metadata"]
    return made


def _content(
    blocks: Sequence[Mapping[str, Any]], reads: Reads, role: str
) -> str | list[dict[str, Any]]:
    """Return what of the blocks a source reads: a str, if that is text only.

    What a model has said in a form of its provider's (a search, an image that it made) is left out
    of its messages, so that another one can go on with them; what a tool gives is told as JSON.

    Raises:
        ContentError: A block that the source does not read.
    """
    kept: list[dict[str, Any]] = []
    for position, block in enumerate(blocks):
        kind = block.get("type")
        mark = {_MARK: block[_MARK]} if reads.opaque and block.get(_MARK) else {}
        if (text := _text(block, reads, role)) is not None:
            kept.append({"type": "text", "text": text, **mark})
        elif role == "ai" and reads.opaque:
            continue  # servers take nothing but text of earlier answers
        elif (kind if kind != "text-plain" else "file") in reads.inputs:
            kept.append(_given(block, reads) | mark)
        elif role == "tool" and kind not in _MEDIA:
            kept.append({"type": "text", "text": json.dumps(block, ensure_ascii=False)})
        elif role != "ai" and kind not in _CALLS | _REASONING and not _is_result(block):
            raise ContentError(
                f"{reads.refusal} {kind or 'untyped'!r} content; block {position} of the {role} "
                f"message is {_shown(block)}; it takes {', '.join(['text', *sorted(reads.inputs)])}"
            )
    if any(block.keys() != {"type", "text"} for block in kept):
        return kept
    return "".join(block["text"] for block in kept)


def _text(block: Mapping[str, Any], reads: Reads, role: str) -> str | None:
    """Return the text that a block is; None for one that is more."""
    match block.get("type"):
        case "text":
            return str(text) if (text := block.get("text")) is not None else None
        case "refusal":
            return str(block.get("refusal", ""))
        case "audio" if role == "ai" and reads.opaque:  # what it has said goes back in words
            return (block.get("extras") or {}).get("transcript")
        case "text-plain" if not (block.get("extras") and {"file"} & {*reads.inputs}):
            if isinstance(text := block.get("text"), str):
                return text
            data = block.get("base64")
            return base64.b64decode(data).decode("utf-8", "replace") if data else None
    return None


def _given(block: Mapping[str, Any], reads: Reads) -> dict[str, Any]:
    """Return a medium as sources get it: text with a title, and the like, or one by its address.

    Raises:
        ContentError: It is nowhere.
    """
    given = {key: each for key, each in block.items() if key != _MARK}
    if block["type"] == "text-plain" and isinstance(block.get("text"), str):
        return given
    if not any(block.get(name) for name in SOURCES):
        raise ContentError(
            f"{reads.refusal} {block['type']!r} content without any of {', '.join(SOURCES)}: "
            f"{_shown(block)}"
        )
    return given | {"type": "file" if block["type"] == "text-plain" else block["type"]}


def _shown(block: Mapping[str, Any]) -> str:
    """Show a block without what it carries."""
    shown = {key: value if len(repr(value)) < 80 else "…" for key, value in block.items()}  # noqa: PLR2004
    return repr(shown)


def _is_result(block: Mapping[str, Any]) -> bool:
    return block.get("type") == "tool_result"


def _results(blocks: Sequence[Mapping[str, Any]], reads: Reads) -> Iterator[ToolMessage]:
    """Yield the tool results that Anthropic's form has in user messages."""
    for block in filter(_is_result, blocks):
        parts = block.get("content") or ""
        content = parts if isinstance(parts, str) else _content(_blocks(parts), reads, "tool")
        if (mark := block.get(_MARK)) and reads.opaque and content:
            told = [{"type": "text", "text": content}] if isinstance(content, str) else content
            content = [*told[:-1], {**told[-1], _MARK: mark}]
        yield ToolMessage(
            cast("Any", content),
            tool_call_id=block.get("tool_use_id", ""),
            status="error" if block.get("is_error") else "success",
        )


def _without_reasoning(message: AIMessage) -> AIMessage:
    """Return an answer without what a server gave of its reasoning for safe-keeping."""
    fields = {
        "response_metadata": message.response_metadata,
        "additional_kwargs": message.additional_kwargs,
    }
    update = {
        field: {name: each for name, each in kept.items() if name not in _KEPT}
        for field, kept in fields.items()
        if kept.keys() & _KEPT
    }
    return message.model_copy(update=update) if update else message


def _answer(
    message: AIMessage, blocks: Sequence[Mapping[str, Any]], *, keep_reasoning: bool
) -> dict[str, Any]:
    """Return what has to be set in an earlier answer: its calls, and its reasoning or none."""
    update: dict[str, Any] = {}
    if not message.tool_calls and (calls := [*_calls(blocks)]):
        update["tool_calls"] = calls
    kwargs = message.additional_kwargs
    reasoning = kwargs.get("reasoning_content") or "".join(
        str(block.get("reasoning") or block.get("thinking") or "")
        for block in blocks
        if block.get("type") in _REASONING
    )
    kept = reasoning if keep_reasoning else None
    if kept != kwargs.get("reasoning_content"):
        rest = {key: value for key, value in kwargs.items() if key != "reasoning_content"}
        update["additional_kwargs"] = {**rest, "reasoning_content": kept} if kept else rest
    return update


def _marked_calls(blocks: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the marks that stand on calls, by the calls' ids: they go out beside them."""
    calls = [each for each in blocks if each.get("type") in {"tool_call", "tool_use"}]
    marks = ((each, each.get(_MARK) or (each.get("extras") or {}).get(_MARK)) for each in calls)
    return {str(each["id"]): {_MARK: mark} for each, mark in marks if mark and each.get("id")}


def _calls(blocks: Sequence[Mapping[str, Any]]) -> Iterator[ToolCall]:
    for block in blocks:
        if block.get("type") in {"tool_call", "tool_use"}:
            args = block.get("args", block.get("input")) or {}
            yield tool_call(name=block["name"], args=args, id=block.get("id"))
