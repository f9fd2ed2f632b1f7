"""The server's end of OpenAI's Responses: requests in, answers out."""

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from chatwright.deltas import Delta, Reasoning, Refusal, ToolCallDelta
from chatwright.wires.asked import Asked, text_of
from chatwright.wires.framing import named_sse_event
from chatwright.wires.openai.server import done, error
from chatwright.wires.prompt import given
from chatwright.wires.responses.items import Call, Item, Message, Thought
from chatwright.wires.responses.names import CODES, PHASE, REASONS, UNSAID, USAGE
from chatwright.wires.wire import error_kind
from chatwright.wires.writer import Writer as BaseWriter

__all__ = ["Writer", "error", "read"]


def read(body: Mapping[str, Any]) -> Asked:
    """Read a request."""
    messages = []
    goes_on = body.get("previous_response_id") is not None
    items = (body.get("input") or []) if goes_on else body["input"]
    for item in items if isinstance(items, list) else [{"content": items}]:
        if item.get("type") == "function_call_output":
            messages.append(("tool", text_of(item["output"])))
        elif "content" in item:
            messages.append((item.get("role", "user"), text_of(item["content"])))
        else:
            messages.append(("assistant", ""))
    wanted = (body.get("text") or {}).get("format")
    return Asked(
        model=body.get("model"),
        messages=messages,
        tools={each["name"]: each.get("parameters") or {} for each in _functions(body)},
        tool_choice=_choice(body.get("tool_choice")),
        schema=wanted and (None if wanted.get("type") == "text" else wanted.get("schema", {})),
        stream=bool(body.get("stream")),
        fields=_told_again(body),
    )


def _functions(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each for each in body.get("tools") or () if each["type"] == "function"]


def _choice(choice: Any) -> Any:
    """Return a choice as chat completions have it."""
    match choice:
        case {"type": "allowed_tools", **more}:
            return more.get("mode") or "auto"
        case {"name": name}:
            return {"type": "function", "function": {"name": name}}
    return choice


def _told_again(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an answer tells again of its request: what has an effect, in full."""
    text, thinking = body.get("text") or {}, body.get("reasoning") or {}
    choice = body.get("tool_choice") or "auto"
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        choice = {**choice, "mode": choice.get("mode") or "auto"}
    tools = [
        {
            "type": "function",
            "name": each["name"],
            "description": each.get("description"),
            "parameters": each.get("parameters"),
            "strict": bool(each.get("strict")),
        }
        for each in _functions(body)
    ]
    return {
        **UNSAID,
        **given(**{name: body.get(name) for name in UNSAID}),
        "reasoning": {"effort": thinking.get("effort"), "summary": thinking.get("summary")},
        "service_tier": "default",
        "text": {**given(verbosity=text.get("verbosity")), "format": _format(text.get("format"))},
        "tool_choice": choice,
        "tools": tools,
    }


def _format(wanted: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the form that was asked for: clients read an answer by it."""
    if wanted is None or wanted.get("type") != "json_schema":
        return wanted or {"type": "text"}
    told = {"description": None, "strict": False, **wanted}
    return {**told, "strict": bool(told["strict"])}


class Writer(BaseWriter):
    """Writes an answer as events, or as one response."""

    encode = staticmethod(named_sse_event)
    repeats = False  # events are numbered

    def __init__(self, asked: Asked) -> None:
        """Start with nothing."""
        super().__init__(asked)
        self._numbers = itertools.count()
        self._items: list[Item] = []
        self._open: Message | Thought | None = None
        self._calls: dict[int, Call] = {}  # those that have not ended, by their indexes

    def _encoded(self, payloads: Iterable[Any]) -> list[bytes]:
        numbered = ({**each, "sequence_number": next(self._numbers)} for each in payloads)
        return super()._encoded(numbered)

    def _head(self, first: Delta | None) -> Iterator[Any]:
        begun = self._response("in_progress")
        yield {"type": "response.created", "response": begun}
        yield {"type": "response.in_progress", "response": begun}

    def _payloads(self, delta: Delta) -> Iterator[Any]:
        match delta:
            case "":
                pass  # it would make an item with nothing in it
            case str():
                yield from self._piece(Message, "output_text", delta)
            case Refusal():
                yield from self._piece(Message, "refusal", delta.text)
            case Reasoning():
                yield from self._piece(Thought, "summary_text", delta.text)
            case ToolCallDelta():
                if delta.index not in self._calls:
                    yield from self._close()
                    place = len(self._items)
                    call_id = delta.id or self._id("call")
                    call = Call(self._id("fc"), place, call_id, delta.name or "")
                    self._calls[delta.index] = call
                    self._items.append(call)
                    yield from call.begin()
                yield from self._calls[delta.index].feed(str(delta.args))

    def _piece(self, cls: type[Message | Thought], kind: str, text: str) -> Iterator[Any]:
        if not isinstance(self._open, cls):
            yield from self._close()
            prefix = "msg" if cls is Message else "rs"
            self._open = cls(self._id(prefix), len(self._items))
            self._items.append(self._open)
            yield from self._open.begin()
        yield from self._open.feed(kind, text)

    def _close(self, status: str = "completed", *, last: bool = False) -> Iterator[Any]:
        """End the items that are open; a call goes on until its arguments are whole."""
        if self._open is not None:
            yield from self._open.end(status)
            self._open = None
        for index, call in [*self._calls.items()]:
            if last or self.totals.calls[index].is_whole:
                del self._calls[index]
                yield from call.end(status)

    def _tail(self) -> Iterator[Any]:
        status = "incomplete" if self.totals.reason in REASONS else "completed"
        if isinstance(self._open, Message) and self.totals.finish:
            self._open.phase = self.totals.finish.metadata.get(PHASE)
        yield from self._close(status, last=True)
        yield {"type": f"response.{status}", "response": self._response(status)}

    def end(self) -> list[bytes]:
        """Return the pieces of the stream that end it, the last by Open Responses' rule."""
        return [*super().end(), done()]

    def fail(self, status: int, message: str) -> list[bytes]:
        """Return the pieces of the stream that end it with an error."""
        told = {"code": error_kind(CODES, status), "message": message}
        events = [
            *([] if self._begun else self._head(None)),
            {"type": "response.failed", "response": {**self._response("failed"), "error": told}},
        ]
        return [*self._encoded(events), done()]

    def add(self, delta: Delta) -> None:
        """Take the next delta of an answer that goes out whole: the items are those of a stream."""
        self.feed(delta)

    def whole(self) -> Mapping[str, Any]:
        """Return the answer as one response."""
        *_, end = self._tail()
        response: Mapping[str, Any] = end["response"]
        return response

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{self.asked.number}_{len(self._items)}"

    def _response(self, status: str) -> dict[str, Any]:
        asked, totals = self.asked, self.totals
        reason = REASONS.get(totals.reason) if status == "incomplete" else None
        return {
            "id": f"resp_{asked.number}",
            "object": "response",
            "created_at": int(asked.created),
            "completed_at": int(time.time()) if status == "completed" else None,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": reason} if reason else None,
            "model": asked.model,
            "output": [each.shown() for each in self._items],
            "usage": USAGE.write(totals.usage) if totals.usage else None,
            **asked.fields,
        }
