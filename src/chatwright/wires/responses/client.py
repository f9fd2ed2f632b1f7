"""The client's end of OpenAI's Responses: requests out."""

from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from chatwright.errors import ContentError
from chatwright.langchain.media import data_url, filename
from chatwright.langchain.openai import as_openai
from chatwright.langchain.tools import chosen_name, tool_name
from chatwright.wires.keep import arranged
from chatwright.wires.responses.names import PATH, PHASE, THOUGHTS
from chatwright.wires.wire import Ask, Written

__all__ = ["ACCEPTS", "write"]

ACCEPTS = frozenset(
    {
        *("include", "instructions", "max_tool_calls", "metadata", "previous_response_id"),
        *("reasoning", "safety_identifier", "service_tier", "store", "top_logprobs"),
        *("truncation", "user"),
    }
)
"""Call parameters beside the model's fields."""


def write(ask: Ask) -> Written:
    """Write a request."""
    request = ask.request
    body: dict[str, Any] = {
        **ask.named(),
        "input": [item for each in request.messages for item in _items(each, ask)],
        "stream": bool(ask.quirks.stream),
        "store": False,
        **ask.parameters(),
    }
    if not request.tools:
        body.pop("parallel_tool_calls", None)
    else:
        body["tools"] = [_tool(each) for each in request.tools]
    if request.tools and request.tool_choice is not None:
        name = chosen_name(request.tool_choice)
        body["tool_choice"] = {"type": "function", "name": name} if name else request.tool_choice
    if request.response_format is not None:
        body["text"] = {"format": _format(request.response_format)}
    return Written(f"{ask.base_url}{PATH}", body, {})


def _tool(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    if tool_name(tool) is None:
        return tool  # one of OpenAI's own
    return {"strict": False, **tool["function"], "type": "function"}


def _format(wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    """Flatten what chat completions nest."""
    return {"type": wanted.get("type"), **(wanted.get("json_schema") or {})}


def _items(message: BaseMessage, ask: Ask) -> Iterator[dict[str, Any]]:
    if isinstance(message, ToolMessage):
        yield {
            "type": "function_call_output",
            "call_id": message.tool_call_id,
            "output": _content(message.content),
        }
        return
    (made,) = as_openai([message.model_copy(update={"content": message.text})])
    if not isinstance(message, AIMessage):
        yield {"role": made["role"], "content": _content(message.content)}
        return
    calls = [_call(each) for each in made.get("tool_calls") or ()]
    phase = message.response_metadata.get(PHASE)
    for each in arranged(message, ask, THOUGHTS, calls):
        if isinstance(each, str):
            yield _said(each, phase)
        elif each.get("type") == "message":
            phase = each.get(PHASE)
        else:
            yield each


def _content(content: Any) -> str | list[dict[str, Any]]:
    return content if isinstance(content, str) else [_part(each) for each in content]


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call["function"]
    return {
        "type": "function_call",
        "call_id": call["id"],
        "name": function["name"],
        "arguments": function["arguments"],
    }


def _said(text: str, phase: str | None) -> dict[str, Any]:
    """Write an earlier answer in full: llama.cpp's server takes no shorter form."""
    return {
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
        **({PHASE: phase} if phase else {}),
    }


def _part(part: str | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "input_text", "text": part}
    kind, extras = part["type"], part.get("extras") or {}
    by_id = {"file_id": part["file_id"]} if part.get("file_id") else {}
    if kind in {"text", "text-plain"}:
        return {"type": "input_text", "text": part["text"]}
    if kind == "image":
        given = by_id or {"image_url": data_url(part)}
        return {"type": "input_image", "detail": extras.get("detail") or "auto", **given}
    if kind == "file" and not by_id and not part.get("base64"):
        return {"type": "input_file", "file_url": data_url(part)}
    if kind == "file":
        given = by_id or {"filename": filename(part), "file_data": data_url(part)}
        return {"type": "input_file", **given}
    raise ContentError(f"OpenAI's Responses have no form for {kind!r} content")
