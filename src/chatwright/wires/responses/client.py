"""The client's end of OpenAI's Responses: requests out."""

from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from chatwright.errors import ContentError
from chatwright.langchain.openai import as_openai
from chatwright.langchain.tools import chosen_name, tool_name
from chatwright.wires.keep import arranged
from chatwright.wires.responses.names import PATH, THOUGHTS
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
        "input": [item for each in request.messages for item in _items(each)],
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


def _items(message: BaseMessage) -> Iterator[dict[str, Any]]:
    if isinstance(message, ToolMessage):
        yield {
            "type": "function_call_output",
            "call_id": message.tool_call_id,
            "output": message.text,
        }
        return
    (made,) = as_openai([message])
    content = made.get("content")
    if isinstance(message, AIMessage):
        calls = [_call(each) for each in made.get("tool_calls") or ()]
        for each in arranged(message, THOUGHTS, calls):
            yield _said(each) if isinstance(each, str) else each
        return
    parts = content if isinstance(content, str) else [_part(each) for each in content or ()]
    yield {"role": made["role"], "content": parts}


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call["function"]
    return {
        "type": "function_call",
        "call_id": call["id"],
        "name": function["name"],
        "arguments": function["arguments"],
    }


def _said(text: str) -> dict[str, Any]:
    """Write an earlier answer in full: llama.cpp's server takes no shorter form."""
    return {
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    match part["type"]:
        case "text":
            return {"type": "input_text", "text": part["text"]}
        case "image_url":
            return {"type": "input_image", "image_url": part["image_url"]["url"]}
        case "file":
            return {"type": "input_file", **part["file"]}
    raise ContentError(f"OpenAI's Responses have no form for {part['type']!r} content")
