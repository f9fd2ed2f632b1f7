"""OpenAI's Responses, as a server speaks it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from chatwright.testing.speech.openai import error_openai

__all__ = ["SPEECH"]


def _read_responses(body: Mapping[str, Any]) -> Asked:
    messages = []
    for item in body["input"] if isinstance(body["input"], list) else [{"content": body["input"]}]:
        if item.get("type") == "function_call_output":
            messages.append(("tool", str(item["output"])))
        elif "content" in item:
            messages.append((item.get("role", "user"), text_of(item["content"])))
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
    for each in plain(items):
        kept.append(each)
        if isinstance(each, str):
            kind = "response.output_text.delta"
            yield event({"type": kind, "output_index": 0, "delta": each}, kind)
        elif isinstance(each, Reasoning):
            kind = "response.reasoning_summary_text.delta"
            yield event({"type": kind, "output_index": 0, "delta": each.text}, kind)
        elif isinstance(each, Refusal):
            kind = "response.refusal.delta"
            yield event({"type": kind, "output_index": 0, "delta": each.text}, kind)
        elif isinstance(each, ToolCallDelta):
            if each.index not in outputs:
                outputs[each.index] = len(outputs) + 1
                item = {"type": "function_call", "call_id": each.id, "name": each.name}
                kind = "response.output_item.added"
                begun = {"type": kind, "output_index": outputs[each.index], "item": item}
                yield event(begun, kind)
            kind = "response.function_call_arguments.delta"
            place = outputs[each.index]
            yield event({"type": kind, "output_index": place, "delta": each.args}, kind)
        elif not isinstance(each, Usage | Finish):
            yield each
    end = _whole_responses(kept, asked)
    kind = f"response.{end['status']}"
    yield event({"type": kind, "response": end}, kind)


def _whole_responses(items: Sequence[Any], asked: Asked) -> Mapping[str, Any]:
    text, reasoning, calls = joined(items)
    reason, usage = ended(items)
    output: list[dict[str, Any]] = []
    if reasoning:
        summary = [{"type": "summary_text", "text": reasoning}]
        output.append({"type": "reasoning", "summary": summary})
    parts = [{"type": "output_text", "text": text}] if text else []
    if (refusal := refused(items)) is not None:
        parts.append({"type": "refusal", "refusal": refusal})
    if parts:
        output.append({"type": "message", "role": "assistant", "content": parts})
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
        "id": f"resp_{asked.number}",
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


SPEECH = Speech(
    "/responses",
    "text/event-stream",
    _read_responses,
    _stream_responses,
    _whole_responses,
    error_openai,
)
