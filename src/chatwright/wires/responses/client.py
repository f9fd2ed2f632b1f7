"""The client's end of OpenAI's Responses: requests out, answers in."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from chatwright.deltas import Delta, Reasoning, Refusal, ToolCallDelta
from chatwright.errors import ContentError
from chatwright.langchain.openai import as_openai
from chatwright.langchain.tools import chosen_name, tool_name
from chatwright.wires.keep import arranged
from chatwright.wires.reader import Reported, TotalsReader
from chatwright.wires.responses.names import PATH, USAGE
from chatwright.wires.wire import Ask, Written

__all__ = ["ACCEPTS", "Reader", "write"]

THOUGHTS = "reasoning_items"
"""Where a message keeps reasoning that the server encrypted, which has to go back."""

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


class Reader(TotalsReader):
    """Reads events; each names its type."""

    def __init__(self, ask: Ask) -> None:
        """Start with nothing."""
        del ask
        super().__init__()
        self._argued: set[int] = set()
        self._calls: dict[int, int] = {}  # items that are calls, and which call each is

    def read(self, payload: Any) -> Sequence[Delta]:
        """Return what a payload says."""
        kind = payload.get("type")
        match kind:
            case "response.output_text.delta":
                return [payload["delta"]]
            case "response.reasoning_text.delta" | "response.reasoning_summary_text.delta":
                return [Reasoning(payload["delta"])]
            case "response.refusal.delta":
                return [Refusal(payload["delta"])]
            case "response.completed" | "response.incomplete":
                return [*self._end(payload["response"])]
            case "response.failed":
                raise Reported(payload["response"].get("error") or "it failed")
            case "error":
                raise Reported(payload)
            case None if payload.get("object") == "response":  # a whole answer
                return [*self._whole(payload)]
        return self._of_a_call(payload) if kind else ()

    def _of_a_call(self, payload: Mapping[str, Any]) -> Sequence[Delta]:
        index = payload.get("output_index", 0)
        call = self._calls.get(index, 0)
        match payload["type"]:
            case "response.output_item.added":
                item = payload.get("item") or {}
                if item.get("type") == "function_call":
                    return [self._begin(item, index)]
            case "response.function_call_arguments.delta":
                self._argued.add(call)
                return [ToolCallDelta(call, args=payload["delta"])]
            case "response.function_call_arguments.done" if call not in self._argued:
                return [ToolCallDelta(call, args=payload.get("arguments") or "")]
        return ()

    def _begin(self, item: Mapping[str, Any], index: int, args: str = "") -> ToolCallDelta:
        call = self._calls[index] = len(self._calls)
        return ToolCallDelta(call, item.get("call_id"), item.get("name"), args)

    def _whole(self, response: Mapping[str, Any]) -> Iterator[Delta]:
        for index, item in enumerate(response.get("output") or ()):
            if item.get("type") == "function_call":
                yield self._begin(item, index, item.get("arguments") or "")
            kind = Reasoning if item.get("type") == "reasoning" else str
            for part in [*(item.get("summary") or ()), *(item.get("content") or ())]:
                if refusal := part.get("refusal"):
                    yield Refusal(refusal)
                yield kind(part.get("text") or "")
        yield from self._end(response)

    def _end(self, response: Mapping[str, Any]) -> Iterator[Delta]:
        self.ended = True
        details = response.get("incomplete_details") or {}
        self._reason = details.get("reason") or response.get("status")
        self._metadata["id"] = response.get("id")
        yield USAGE.read(response.get("usage") or {})
