"""Anthropic's Messages, as a server speaks it."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from chatwright.deltas import Finish, Reasoning, ToolCallDelta, Usage
from chatwright.testing.speech.base import Asked, Speech, ended, event, joined, plain, text_of

__all__ = ["SPEECH"]


def _read_anthropic(body: Mapping[str, Any]) -> Asked:
    system = text_of(body.get("system") or "")
    choice = body.get("tool_choice") or {}
    named = {"type": "function", "function": {"name": choice.get("name")}}
    return Asked(
        model=body.get("model"),
        messages=[
            *([("system", system)] if system else []),
            *((_role(each), text_of(each.get("content"))) for each in body["messages"]),
        ],
        tools={
            each["name"]: each["input_schema"]
            for each in body.get("tools") or ()
            if "input_schema" in each
        },
        tool_choice=named
        if choice.get("type") == "tool"
        else {"any": "required"}.get(str(choice.get("type")), choice.get("type")),
        stop=[each for each in body.get("stop_sequences") or () if each],
        stream=bool(body.get("stream")),
    )


def _role(message: Mapping[str, Any]) -> str:
    blocks = message["content"] if isinstance(message["content"], list) else []
    return "tool" if any(each["type"] == "tool_result" for each in blocks) else message["role"]


_SIGNATURE = "c2lnbmF0dXJl"
_ANTHROPIC_REASONS = {"length": "max_tokens", "stop": "end_turn", "tool_calls": "tool_use"}


def _anthropic(kind: str, **fields: Any) -> bytes:
    return event({"type": kind, **fields}, kind)


def _stopped(items: Sequence[Any], asked: Asked) -> tuple[list[Any], str | None]:
    """Return a script as a server cuts it that ends at stop sequences and leaves them out."""
    text, kept = "", []
    for each in items:
        kept.append(each)
        if not isinstance(each, str):
            continue
        text += each
        found = [text.find(stop) for stop in asked.stop if stop in text]
        if found:
            at = min(found)
            stop = next(each for each in asked.stop if text.startswith(each, at))
            rest: list[Any] = [each for each in kept if not isinstance(each, str)]
            rest += [each for each in items if isinstance(each, Usage) and each not in rest]
            return [text[:at], *rest] if at else ["", *rest], stop
    return kept, None


def _stream_anthropic(items: Iterable[Any], asked: Asked) -> Iterator[Any]:
    items, stop = _stopped([*plain(items)], asked) if asked.stop else (plain(items), None)
    kept: list[Any] = []
    block: tuple[str, int] | None = None
    blocks = 0
    starts = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}}
    yield _anthropic(
        "message_start",
        message={
            "id": f"msg_{asked.number}",
            "type": "message",
            "role": "assistant",
            "content": [],
            "model": asked.model,
            "usage": {"input_tokens": 0, "output_tokens": 1},
        },
    )
    for each in items:
        kept.append(each)
        if isinstance(each, str):
            kind, delta, key = "text", {"type": "text_delta", "text": each}, 0
        elif isinstance(each, Reasoning):
            kind, key = "thinking", 0
            delta = {"type": "thinking_delta", "thinking": each.text}
        elif isinstance(each, ToolCallDelta):
            kind, key = "tool_use", each.index
            delta = {"type": "input_json_delta", "partial_json": str(each.args)}
        else:
            if not isinstance(each, Usage | Finish):
                yield each
            continue
        if block != (kind, key):
            if block:
                yield from _block_end(block, blocks - 1)
            block, blocks = (kind, key), blocks + 1
            begun: Mapping[str, Any] = starts.get(kind) or {
                "id": getattr(each, "id", None),
                "name": getattr(each, "name", None),
                "input": {},
            }
            start = {"type": kind, **begun}
            yield _anthropic("content_block_start", index=blocks - 1, content_block=start)
        yield _anthropic("content_block_delta", index=blocks - 1, delta=delta)
    if block:
        yield from _block_end(block, blocks - 1)
    end = _anthropic_end(kept, stop)
    usage = end.pop("usage")
    yield _anthropic("message_delta", delta=end, usage=usage)
    yield _anthropic("message_stop")


def _block_end(block: tuple[str, int], index: int) -> Iterator[bytes]:
    if block[0] == "thinking":
        delta = {"type": "signature_delta", "signature": _SIGNATURE}
        yield _anthropic("content_block_delta", index=index, delta=delta)
    yield _anthropic("content_block_stop", index=index)


def _anthropic_end(items: Sequence[Any], stop: str | None) -> dict[str, Any]:
    reason, usage = ended(items)
    counts = {}
    if usage:
        counts = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens or 0}
    why = "stop_sequence" if stop else _ANTHROPIC_REASONS.get(str(reason), reason)
    return {"stop_reason": why, "stop_sequence": stop, "usage": counts}


def _whole_anthropic(items: Sequence[Any], asked: Asked) -> Mapping[str, Any]:
    items, stop = _stopped([*plain(items)], asked) if asked.stop else ([*items], None)
    text, reasoning, calls = joined(items)
    content: list[dict[str, Any]] = []
    if reasoning:
        content.append({"type": "thinking", "thinking": reasoning, "signature": _SIGNATURE})
    if text:
        content.append({"type": "text", "text": text})
    content += [
        {
            "type": "tool_use",
            "id": each["id"],
            "name": each["name"],
            "input": json.loads(each["arguments"] or "{}"),
        }
        for each in calls
    ]
    made = {
        "id": f"msg_{asked.number}",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
    }
    return {**made, "content": content, **_anthropic_end(items, stop)}


def _error_anthropic(status: int, message: str) -> Mapping[str, Any]:
    kinds = {
        400: "invalid_request_error",
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        429: "rate_limit_error",
    }
    kind = kinds.get(status, "overloaded_error" if status == 529 else "api_error")  # noqa: PLR2004
    return {"type": "error", "error": {"type": kind, "message": message}}


SPEECH = Speech(
    "/messages",
    "text/event-stream",
    _read_anthropic,
    _stream_anthropic,
    _whole_anthropic,
    _error_anthropic,
)
