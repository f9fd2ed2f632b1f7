"""OpenAI's chat completions, as a server speaks it."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from chatwright.deltas import Finish, Reasoning, Refusal, ToolCallDelta, Usage
from chatwright.testing.speech.base import (
    Asked,
    Speech,
    ended,
    event,
    joined,
    plain,
    refused,
    text_of,
)

__all__ = ["GROQ", "MISTRAL", "SPEECH", "error_openai", "read_openai"]


def read_openai(body: Mapping[str, Any]) -> Asked:
    """Read a request."""
    wanted = body.get("response_format")
    stop = body.get("stop") or []
    return Asked(
        model=body.get("model"),
        messages=[(each["role"], text_of(each.get("content"))) for each in body["messages"]],
        tools={
            each["function"]["name"]: each["function"].get("parameters", {})
            for each in body.get("tools") or ()
            if "function" in each
        },
        tool_choice=body.get("tool_choice"),
        schema=wanted and (wanted.get("json_schema") or {}).get("schema", {}),
        stop=[stop] if isinstance(stop, str) else stop,
        stream=bool(body.get("stream")),
    )


def _chunk(asked: Asked, delta: Mapping[str, Any], reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {
        "id": f"chatcmpl-{asked.number}",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": asked.model,
        "choices": [choice],
    }


def _openai_usage(usage: Usage) -> dict[str, int]:
    spent, made = usage.input_tokens or 0, usage.output_tokens or 0
    return {"prompt_tokens": spent, "completion_tokens": made, "total_tokens": spent + made}


def _stream_openai(items: Iterable[Any], asked: Asked) -> Iterator[Any]:
    kept: list[Any] = []
    rest = plain(items)
    first = next(rest, None)
    # As OpenAI's own, where an answer is nothing but calls.
    content = None if first is None or isinstance(first, ToolCallDelta) else ""
    yield event(_chunk(asked, {"role": "assistant", "content": content}))
    for each in itertools.chain([] if first is None else [first], rest):
        kept.append(each)
        if isinstance(each, ToolCallDelta):
            function = {"arguments": each.args, **({"name": each.name} if each.name else {})}
            call = {"index": each.index, "function": function}
            if each.id is not None:
                call |= {"id": each.id, "type": "function"}
            yield event(_chunk(asked, {"tool_calls": [call]}))
        else:
            yield from _said(each, asked)
    reason, usage = ended(kept)
    yield event(_chunk(asked, {}, reason))
    if usage:
        yield event({**_chunk(asked, {}), "choices": [], "usage": _openai_usage(usage)})
    yield b"data: [DONE]\n\n"


def _said(each: Any, asked: Asked) -> Iterator[Any]:
    if isinstance(each, str):
        yield event(_chunk(asked, {"content": each}))
    elif isinstance(each, Reasoning):
        yield event(_chunk(asked, {"reasoning_content": each.text}))
    elif isinstance(each, Refusal):
        yield event(_chunk(asked, {"refusal": each.text}))
    elif not isinstance(each, Usage | Finish):
        yield each


def _stream_whole_calls(
    items: Iterable[Any], asked: Asked, *, usage_at: Callable[[Any], dict[str, Any]]
) -> Iterator[Any]:
    """Write a stream whose calls come whole, and whose counts come with the reason of its end."""
    kept: list[Any] = []
    yield event(_chunk(asked, {"role": "assistant", "content": ""}))
    for each in plain(items):
        kept.append(each)
        if not isinstance(each, ToolCallDelta):
            yield from _said(each, asked)
    _, _, calls = joined(kept)
    if calls:
        whole = [{"index": n, **call} for n, call in enumerate(_openai_calls(calls))]
        yield event(_chunk(asked, {"content": "", "tool_calls": whole}))
    reason, usage = ended(kept)
    end = _chunk(asked, {"content": ""}, reason)
    yield event({**end, **usage_at(_openai_usage(usage))} if usage else end)
    yield b"data: [DONE]\n\n"


def _openai_calls(calls: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "id": each["id"],
            "type": "function",
            "function": {"name": each["name"], "arguments": each["arguments"]},
        }
        for each in calls
    ]


def _whole_openai(items: Sequence[Any], asked: Asked) -> Mapping[str, Any]:
    text, reasoning, calls = joined(items)
    reason, usage = ended(items)
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    if reasoning:
        message["reasoning_content"] = reasoning
    if (refusal := refused(items)) is not None:
        message["refusal"] = refusal
    if calls:
        message["tool_calls"] = _openai_calls(calls)
    made = {
        "id": f"chatcmpl-{asked.number}",
        "object": "chat.completion",
        "created": 1,
        "model": asked.model,
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
    }
    return {**made, "usage": _openai_usage(usage)} if usage else made


def error_openai(status: int, message: str) -> Mapping[str, Any]:
    """Write an error."""
    return {"error": {"message": message, "type": "error", "code": status}}


SPEECH = Speech(
    "/chat/completions",
    "text/event-stream",
    read_openai,
    _stream_openai,
    _whole_openai,
    error_openai,
)
MISTRAL = dataclasses.replace(
    SPEECH,
    stream=functools.partial(_stream_whole_calls, usage_at=lambda usage: {"usage": usage}),
    mark="/mistral/",
)
"""https://docs.mistral.ai/api: a call comes in one piece, and counts with the last chunk."""
GROQ = dataclasses.replace(
    SPEECH,
    stream=functools.partial(
        _stream_whole_calls, usage_at=lambda usage: {"x_groq": {"id": "req_1", "usage": usage}}
    ),
    mark="/groq/",
)
"""https://console.groq.com/docs/api-reference: as Mistral's, but for the place of the counts."""
