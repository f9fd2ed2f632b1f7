"""The wires as their servers speak them: requests read, scripts written. No I/O.

Written from the providers' own references, and not by way of `chatwright.wrap`, so that each side
checks the other.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chatwright.deltas import Finish, Reasoning, Text, ToolCallDelta, Usage

__all__ = ["SPEECHES", "Asked", "Speech", "asked"]


@dataclass(frozen=True)
class Asked:
    """What a request asks, whatever its wire.

    Args:
        model: The model's name.
        messages: Pairs of a role and a text; the system's come first where the wire has them apart.
        tools: Function tools by their names: the schemas of their arguments.
        tool_choice: As OpenAI has it.
        schema: The JSON schema of the wanted answer; `{}` where any JSON will do, None for text.
        stop: The stop sequences.
        stream: Whether the answer is wanted in pieces.
    """

    model: str | None
    messages: Sequence[tuple[str, str]]
    tools: Mapping[str, Any] = field(default_factory=dict)
    tool_choice: Any = None
    schema: Any = None
    stop: Sequence[str] = ()
    stream: bool = False


@dataclass(frozen=True)
class Speech:
    """One wire.

    Args:
        path: How the paths of its requests end.
        media_type: Of a stream.
        read: Reads a request's body.
        stream: Writes a script as the pieces of a stream.
        whole: Writes a script as one JSON object.
        error: Writes an error's body, of a status and a message.
    """

    path: str
    media_type: str
    read: Callable[[Mapping[str, Any]], Asked]
    stream: Callable[[Iterable[Any], Asked], Iterator[Any]]
    whole: Callable[[Sequence[Any], Asked], Mapping[str, Any]]
    error: Callable[[int, str], Mapping[str, Any]]


def asked(path: str, body: Any) -> tuple[Speech, Asked] | None:
    """Return the wire of a request, and what it asks; None where it is of no wire."""
    for speech in SPEECHES.values():
        if path.endswith(speech.path) and isinstance(body, dict):
            return speech, speech.read(body)
    return None


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(
        each.get("text") or _text(each.get("content")) for each in content or () if "type" in each
    )


def _plain(items: Iterable[Any]) -> Iterator[Any]:
    """Yield the items of a script; a `Text` as its str, and arguments as text."""
    for item in items:
        if isinstance(item, Text):
            yield item.text
        elif isinstance(item, ToolCallDelta) and not isinstance(item.args, str):
            args = json.dumps(item.args, ensure_ascii=False)
            yield ToolCallDelta(item.index, item.id, item.name, args)
        else:
            yield item


def _event(data: Any, name: str | None = None) -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def _ended(items: Sequence[Any]) -> tuple[str | None, Usage | None]:
    """Return the finish reason, and the counts, of a script."""
    calls = any(isinstance(each, ToolCallDelta) for each in items)
    finish = next((each for each in reversed(items) if isinstance(each, Finish)), None)
    usage = Usage()
    for each in items:
        if isinstance(each, Usage):
            usage = Usage(
                each.input_tokens if each.input_tokens is not None else usage.input_tokens,
                each.output_tokens if each.output_tokens is not None else usage.output_tokens,
            )
    known = usage if usage.input_tokens is not None else None
    return (finish.reason if finish else "tool_calls" if calls else "stop"), known


def _joined(items: Sequence[Any]) -> tuple[str, str, list[dict[str, Any]]]:
    """Return the text, the reasoning and the calls of a script."""
    text, reasoning = [], []
    calls: dict[int, dict[str, Any]] = {}
    for each in _plain(items):
        if isinstance(each, str):
            text.append(each)
        elif isinstance(each, Reasoning):
            reasoning.append(each.text)
        elif isinstance(each, ToolCallDelta):
            call = calls.setdefault(each.index, {"id": "", "name": "", "arguments": ""})
            call["id"] = call["id"] or each.id or ""
            call["name"] = call["name"] or each.name or ""
            call["arguments"] += each.args
    return "".join(text), "".join(reasoning), list(calls.values())


# OpenAI's chat completions.


def _read_openai(body: Mapping[str, Any]) -> Asked:
    wanted = body.get("response_format")
    stop = body.get("stop") or []
    return Asked(
        model=body.get("model"),
        messages=[(each["role"], _text(each.get("content"))) for each in body["messages"]],
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
        "id": "chatcmpl-1",
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
    yield _event(_chunk(asked, {"role": "assistant", "content": ""}))
    for each in _plain(items):
        kept.append(each)
        if isinstance(each, str):
            yield _event(_chunk(asked, {"content": each}))
        elif isinstance(each, Reasoning):
            yield _event(_chunk(asked, {"reasoning_content": each.text}))
        elif isinstance(each, ToolCallDelta):
            function = {"arguments": each.args, **({"name": each.name} if each.name else {})}
            call = {"index": each.index, "function": function}
            if each.id is not None:
                call |= {"id": each.id, "type": "function"}
            yield _event(_chunk(asked, {"tool_calls": [call]}))
        elif not isinstance(each, Usage | Finish):
            yield each
    reason, usage = _ended(kept)
    yield _event(_chunk(asked, {}, reason))
    if usage:
        yield _event({**_chunk(asked, {}), "choices": [], "usage": _openai_usage(usage)})
    yield b"data: [DONE]\n\n"


def _whole_openai(items: Sequence[Any], asked: Asked) -> Mapping[str, Any]:
    text, reasoning, calls = _joined(items)
    reason, usage = _ended(items)
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if reasoning:
        message["reasoning_content"] = reasoning
    if calls:
        message["tool_calls"] = [
            {
                "id": each["id"],
                "type": "function",
                "function": {"name": each["name"], "arguments": each["arguments"]},
            }
            for each in calls
        ]
    made = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": asked.model,
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
    }
    return {**made, "usage": _openai_usage(usage)} if usage else made


def _error_openai(status: int, message: str) -> Mapping[str, Any]:
    return {"error": {"message": message, "type": "error", "code": status}}


# Ollama's chat.


def _read_ollama(body: Mapping[str, Any]) -> Asked:
    wanted = body.get("format")
    asked = _read_openai({**body, "stop": (body.get("options") or {}).get("stop")})
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
    reason, usage = _ended(items)
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
    for each in _plain(items):
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
    _, _, calls = _joined(kept)
    if calls:  # Ollama sends each call whole
        line = _line(asked, {"tool_calls": _ollama_calls(calls)})
        yield json.dumps(line, ensure_ascii=False).encode() + b"\n"
    yield json.dumps(_line(asked, {}, **_ollama_end(kept))).encode() + b"\n"


def _whole_ollama(items: Sequence[Any], asked: Asked) -> Mapping[str, Any]:
    text, reasoning, calls = _joined(items)
    message: dict[str, Any] = {"content": text}
    if reasoning:
        message["thinking"] = reasoning
    if calls:
        message["tool_calls"] = _ollama_calls(calls)
    return _line(asked, message, **_ollama_end(items))


def _error_ollama(status: int, message: str) -> Mapping[str, Any]:
    del status
    return {"error": message}


# Anthropic's Messages.


def _read_anthropic(body: Mapping[str, Any]) -> Asked:
    system = _text(body.get("system") or "")
    choice = body.get("tool_choice") or {}
    named = {"type": "function", "function": {"name": choice.get("name")}}
    return Asked(
        model=body.get("model"),
        messages=[
            *([("system", system)] if system else []),
            *((_role(each), _text(each.get("content"))) for each in body["messages"]),
        ],
        tools={each["name"]: each["input_schema"] for each in body.get("tools") or ()},
        tool_choice=named
        if choice.get("type") == "tool"
        else {"any": "required"}.get(str(choice.get("type")), choice.get("type")),
        stop=body.get("stop_sequences") or [],
        stream=bool(body.get("stream")),
    )


def _role(message: Mapping[str, Any]) -> str:
    blocks = message["content"] if isinstance(message["content"], list) else []
    return "tool" if any(each["type"] == "tool_result" for each in blocks) else message["role"]


_ANTHROPIC_REASONS = {"length": "max_tokens", "stop": "end_turn", "tool_calls": "tool_use"}


def _anthropic(kind: str, **fields: Any) -> bytes:
    return _event({"type": kind, **fields}, kind)


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
    items, stop = _stopped([*_plain(items)], asked) if asked.stop else (_plain(items), None)
    kept: list[Any] = []
    block: tuple[str, int] | None = None
    blocks = 0
    starts = {"text": {"text": ""}, "thinking": {"thinking": ""}}
    yield _anthropic(
        "message_start",
        message={
            "id": "msg_1",
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
                yield _anthropic("content_block_stop", index=blocks - 1)
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
        yield _anthropic("content_block_stop", index=blocks - 1)
    end = _anthropic_end(kept, stop)
    usage = end.pop("usage")
    yield _anthropic("message_delta", delta=end, usage=usage)
    yield _anthropic("message_stop")


def _anthropic_end(items: Sequence[Any], stop: str | None) -> dict[str, Any]:
    reason, usage = _ended(items)
    counts = {}
    if usage:
        counts = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens or 0}
    ended = "stop_sequence" if stop else _ANTHROPIC_REASONS.get(str(reason), reason)
    return {"stop_reason": ended, "stop_sequence": stop, "usage": counts}


def _whole_anthropic(items: Sequence[Any], asked: Asked) -> Mapping[str, Any]:
    items, stop = _stopped([*_plain(items)], asked) if asked.stop else ([*items], None)
    text, reasoning, calls = _joined(items)
    content: list[dict[str, Any]] = []
    if reasoning:
        content.append({"type": "thinking", "thinking": reasoning})
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
    made = {"id": "msg_1", "type": "message", "role": "assistant", "model": asked.model}
    return {**made, "content": content, **_anthropic_end(items, stop)}


def _error_anthropic(status: int, message: str) -> Mapping[str, Any]:
    kinds = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
    kind = kinds.get(status, "overloaded_error" if status == 529 else "api_error")  # noqa: PLR2004
    return {"type": "error", "error": {"type": kind, "message": message}}


# OpenAI's Responses.


def _read_responses(body: Mapping[str, Any]) -> Asked:
    messages = []
    for item in body["input"] if isinstance(body["input"], list) else [{"content": body["input"]}]:
        if item.get("type") == "function_call_output":
            messages.append(("tool", str(item["output"])))
        elif "content" in item:
            messages.append((item.get("role", "user"), _text(item["content"])))
        else:
            messages.append(("assistant", ""))
    wanted = (body.get("text") or {}).get("format")
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        choice = {"type": "function", "function": {"name": choice.get("name")}}
    return Asked(
        model=body.get("model"),
        messages=messages,
        tools={
            each["name"]: each.get("parameters", {})
            for each in body.get("tools") or ()
            if each["type"] == "function"
        },
        tool_choice=choice,
        schema=wanted and wanted.get("schema", {}),
        stream=bool(body.get("stream")),
    )


def _stream_responses(items: Iterable[Any], asked: Asked) -> Iterator[Any]:
    kept: list[Any] = []
    outputs: dict[int, int] = {}
    for each in _plain(items):
        kept.append(each)
        if isinstance(each, str):
            kind = "response.output_text.delta"
            yield _event({"type": kind, "output_index": 0, "delta": each}, kind)
        elif isinstance(each, Reasoning):
            kind = "response.reasoning_summary_text.delta"
            yield _event({"type": kind, "output_index": 0, "delta": each.text}, kind)
        elif isinstance(each, ToolCallDelta):
            if each.index not in outputs:
                outputs[each.index] = len(outputs) + 1
                item = {"type": "function_call", "call_id": each.id, "name": each.name}
                kind = "response.output_item.added"
                begun = {"type": kind, "output_index": outputs[each.index], "item": item}
                yield _event(begun, kind)
            kind = "response.function_call_arguments.delta"
            place = outputs[each.index]
            yield _event({"type": kind, "output_index": place, "delta": each.args}, kind)
        elif not isinstance(each, Usage | Finish):
            yield each
    end = _whole_responses(kept, asked)
    kind = f"response.{end['status']}"
    yield _event({"type": kind, "response": {**end, "output": []}}, kind)


def _whole_responses(items: Sequence[Any], asked: Asked) -> Mapping[str, Any]:
    text, reasoning, calls = _joined(items)
    reason, usage = _ended(items)
    output: list[dict[str, Any]] = []
    if reasoning:
        summary = [{"type": "summary_text", "text": reasoning}]
        output.append({"type": "reasoning", "summary": summary})
    if text:
        part = {"type": "output_text", "text": text}
        output.append({"type": "message", "role": "assistant", "content": [part]})
    output += [
        {
            "type": "function_call",
            "call_id": each["id"],
            "name": each["name"],
            "arguments": each["arguments"],
        }
        for each in calls
    ]
    made: dict[str, Any] = {
        "id": "resp_1",
        "object": "response",
        "model": asked.model,
        "status": "incomplete" if reason == "length" else "completed",
        "output": output,
    }
    if reason == "length":
        made["incomplete_details"] = {"reason": "max_output_tokens"}
    if usage:
        spent, out = usage.input_tokens or 0, usage.output_tokens or 0
        made["usage"] = {"input_tokens": spent, "output_tokens": out, "total_tokens": spent + out}
    return made


SPEECHES: Mapping[str, Speech] = {
    "openai": Speech(
        "/chat/completions",
        "text/event-stream",
        _read_openai,
        _stream_openai,
        _whole_openai,
        _error_openai,
    ),
    "ollama": Speech(
        "/api/chat",
        "application/x-ndjson",
        _read_ollama,
        _stream_ollama,
        _whole_ollama,
        _error_ollama,
    ),
    "anthropic": Speech(
        "/messages",
        "text/event-stream",
        _read_anthropic,
        _stream_anthropic,
        _whole_anthropic,
        _error_anthropic,
    ),
    "responses": Speech(
        "/responses",
        "text/event-stream",
        _read_responses,
        _stream_responses,
        _whole_responses,
        _error_openai,
    ),
}
"""The wires by their names."""
