"""Ollama's chat, as a server speaks it."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from chatwright.deltas import Finish, Reasoning, ToolCallDelta, Usage
from chatwright.testing.speech.base import Asked, Speech, ended, joined, plain
from chatwright.testing.speech.openai import read_openai

__all__ = ["SPEECH"]


def _read_ollama(body: Mapping[str, Any]) -> Asked:
    wanted = body.get("format")
    asked = read_openai({**body, "stop": (body.get("options") or {}).get("stop")})
    return Asked(
        **{
            **vars(asked),
            "schema": {} if wanted == "json" else wanted or None,
            "stream": bool(body.get("stream", True)),
        }
    )


def _line(asked: Asked, message: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": "", **message}
    return {"model": asked.model, "created_at": "now", "message": said, "done": False, **more}


def _ollama_end(items: Sequence[Any]) -> dict[str, Any]:
    reason, usage = ended(items)
    made: dict[str, Any] = {"done": True, "done_reason": "stop" if reason != "length" else reason}
    if usage:
        made |= {"prompt_eval_count": usage.input_tokens, "eval_count": usage.output_tokens or 0}
    return made


def _ollama_calls(calls: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"function": {"name": each["name"], "arguments": json.loads(each["arguments"] or "{}")}}
        for each in calls
    ]


def _stream_ollama(items: Iterable[Any], asked: Asked) -> Iterator[Any]:
    kept: list[Any] = []
    for each in plain(items):
        kept.append(each)
        line = None
        if isinstance(each, str):
            line = _line(asked, {"content": each})
        elif isinstance(each, Reasoning):
            line = _line(asked, {"thinking": each.text})
        elif not isinstance(each, ToolCallDelta | Usage | Finish):
            yield each
        if line:
            yield json.dumps(line, ensure_ascii=False).encode() + b"\n"
    _, _, calls = joined(kept)
    if calls:  # Ollama sends each call whole
        line = _line(asked, {"tool_calls": _ollama_calls(calls)})
        yield json.dumps(line, ensure_ascii=False).encode() + b"\n"
    yield json.dumps(_line(asked, {}, **_ollama_end(kept))).encode() + b"\n"


def _whole_ollama(items: Sequence[Any], asked: Asked) -> Mapping[str, Any]:
    text, reasoning, calls = joined(items)
    message: dict[str, Any] = {"content": text}
    if reasoning:
        message["thinking"] = reasoning
    if calls:
        message["tool_calls"] = _ollama_calls(calls)
    return _line(asked, message, **_ollama_end(items))


def _error_ollama(status: int, message: str) -> Mapping[str, Any]:
    del status
    return {"error": message}


SPEECH = Speech(
    "/api/chat",
    "application/x-ndjson",
    _read_ollama,
    _stream_ollama,
    _whole_ollama,
    _error_ollama,
)
