"""The server's end of OpenAI's Responses: requests in, answers out."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from chatwright.deltas import Delta, Reasoning, Refusal, ToolCallDelta
from chatwright.wires.asked import Asked, text_of
from chatwright.wires.framing import named_sse_event
from chatwright.wires.openai.server import error
from chatwright.wires.responses.items import Call, Item, Message, Thought
from chatwright.wires.responses.names import REASONS, USAGE
from chatwright.wires.writer import Writer as BaseWriter

__all__ = ["Writer", "error", "read"]


def read(body: Mapping[str, Any]) -> Asked:
    """Read a request."""
    messages = []
    for item in body["input"] if isinstance(body["input"], list) else [{"content": body["input"]}]:
        if item.get("type") == "function_call_output":
            messages.append(("tool", text_of(item["output"])))
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
                    call = Call(self._id("fc"), place, delta.id or "", delta.name or "")
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
        yield from self._close(status, last=True)
        yield {"type": f"response.{status}", "response": self._response(status)}

    def fail(self, status: int, message: str) -> list[bytes]:
        """Return the pieces of the stream that end it with an error."""
        fields = error(status, message)["error"]
        told = {"code": fields["code"] or fields["type"], "message": message}
        events = [
            *([] if self._begun else self._head(None)),
            {"type": "response.failed", "response": {**self._response("failed"), "error": told}},
        ]
        return self._encoded(events)

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
        choice = asked.tool_choice
        if isinstance(choice, dict):
            choice = {"type": "function", "name": choice["function"]["name"]}
        return {
            "id": f"resp_{asked.number}",
            "object": "response",
            "created_at": int(asked.created),
            "model": asked.model,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": reason} if reason else None,
            "instructions": None,
            "metadata": {},
            "output": [each.shown() for each in self._items],
            "parallel_tool_calls": True,
            "temperature": None,
            "text": {"format": _format(asked.schema)},
            "tool_choice": choice or "auto",
            "tools": [
                {"type": "function", "name": name, "parameters": schema, "strict": False}
                for name, schema in asked.tools.items()
            ],
            "top_p": None,
            "usage": USAGE.write(totals.usage) if totals.usage else None,
        }


def _format(schema: Any) -> dict[str, Any]:
    """Return the form that was asked for: clients read an answer by it."""
    if schema is None:
        return {"type": "text"}
    if not schema:
        return {"type": "json_object"}
    return {"type": "json_schema", "name": "answer", "schema": schema, "strict": False}
