"""What a wire is to a server: requests read, scripts written. No I/O.

Written from the providers' own references, and not by way of `chatwright.wrap`, so that each side
checks the other.
"""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chatwright.deltas import Finish, Reasoning, Refusal, Text, ToolCallDelta, Usage

__all__ = ["Asked", "Speech", "cut_at_stop", "ended", "event", "joined", "plain", "text_of"]


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
        number: Unlike any other request's; ids are made of it.
    """

    model: str | None
    messages: Sequence[tuple[str, str]]
    tools: Mapping[str, Any] = field(default_factory=dict)
    tool_choice: Any = None
    schema: Any = None
    stop: Sequence[str] = ()
    stream: bool = False
    number: int = field(default_factory=itertools.count(1).__next__)


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
        mark: What a path holds, where one path serves several dialects.
    """

    path: str
    media_type: str
    read: Callable[[Mapping[str, Any]], Asked]
    stream: Callable[[Iterable[Any], Asked], Iterator[Any]]
    whole: Callable[[Sequence[Any], Asked], Mapping[str, Any]]
    error: Callable[[int, str], Mapping[str, Any]]
    mark: str = ""


def text_of(content: Any) -> str:
    """Return the text of a message's content."""
    if isinstance(content, str):
        return content
    return "".join(
        each.get("text") or text_of(each.get("content")) for each in content or () if "type" in each
    )


def plain(items: Iterable[Any]) -> Iterator[Any]:
    """Yield the items of a script; a `Text` as its str, and arguments as text."""
    for item in items:
        if isinstance(item, Text):
            yield item.text
        elif isinstance(item, ToolCallDelta) and not isinstance(item.args, str):
            args = json.dumps(item.args, ensure_ascii=False)
            yield ToolCallDelta(item.index, item.id, item.name, args)
        else:
            yield item


def event(data: Any, name: str | None = None) -> bytes:
    """Return a server-sent event."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def ended(items: Sequence[Any]) -> tuple[str | None, Usage | None]:
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


def joined(items: Sequence[Any]) -> tuple[str, str, list[dict[str, Any]]]:
    """Return the text, the reasoning and the calls of a script."""
    text, reasoning = [], []
    calls: dict[int, dict[str, Any]] = {}
    for each in plain(items):
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


def refused(items: Sequence[Any]) -> str | None:
    """Return the words in which a script refuses; None where it does not."""
    words = [each.text for each in items if isinstance(each, Refusal)]
    return "".join(words) if words else None


def cut_at_stop(items: Iterable[Any], stops: Sequence[str]) -> Iterator[Any]:
    """Yield a script as a server does that ends at the first stop sequence, and leaves it out.

    Text that may be the beginning of a stop sequence is held back; after one, counts are all that
    comes.

    Args:
        items: The script.
        stops: The stop sequences.
    """
    held, over = "", False
    for each in plain(items):
        if over:
            if isinstance(each, Usage):
                yield each
        elif not isinstance(each, str):
            if held:  # nothing can continue it
                yield held
            held = ""
            yield each
        else:
            held += each
            found = [held.find(stop) for stop in stops if stop in held]
            over = bool(found)
            keep = min(found) if over else len(held) - _begun(held, stops)
            if held[:keep]:
                yield held[:keep]
            held = "" if over else held[keep:]
    if held:
        yield held


def _begun(text: str, stops: Sequence[str]) -> int:
    """Return how long the end of a text is that may be the beginning of a stop sequence."""
    sizes = range(min(len(text), max(map(len, stops)) - 1), 0, -1)
    ends = ((size, text[-size:]) for size in sizes)
    return next((n for n, end in ends if any(stop.startswith(end) for stop in stops)), 0)
