"""What a request asks of a server, whatever its wire."""

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Asked", "text_of"]


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
        created: When it was read, in seconds since 1970.
        fields: What an answer tells again of the request, on wires where it does.
    """

    model: str | None
    messages: Sequence[tuple[str, str]]
    tools: Mapping[str, Any] = field(default_factory=dict)
    tool_choice: Any = None
    schema: Any = None
    stop: Sequence[str] = ()
    stream: bool = False
    number: int | str = field(default_factory=itertools.count(1).__next__)
    created: float = field(default_factory=time.time)
    fields: Mapping[str, Any] = field(default_factory=dict)


def text_of(content: Any) -> str:
    """Return the text of a message's content."""
    if isinstance(content, str):
        return content
    return "".join(
        each.get("text") or text_of(each.get("content")) for each in content or () if "type" in each
    )
