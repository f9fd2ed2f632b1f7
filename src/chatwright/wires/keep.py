"""What a server gives for safe-keeping: items that only it can read, at their places.

Signed or encrypted thoughts are such. They stand in a message's `response_metadata`, which survives
whatever keeps messages, and go back as they came, between the same words and calls.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage

__all__ = ["arranged", "kept", "wire_id"]

Place = tuple[int, int]
"""How many characters of text, and how many calls, stood before an item."""


def kept(name: str, items: Sequence[tuple[Mapping[str, Any], Place]]) -> dict[str, Any]:
    """Return the metadata that keeps items.

    Args:
        name: The metadata's name for them.
        items: The items and their places.
    """
    if not items:
        return {}
    metadata: dict[str, Any] = {name: [item for item, _ in items]}
    if any(any(place) for _, place in items):  # nearly always, they come before all else
        metadata[f"{name}_at"] = [[*place] for _, place in items]
    return metadata


def arranged(message: AIMessage, name: str, calls: Sequence[Any]) -> Iterator[Any]:
    """Yield what a message holds in its order: text as str, calls as given, kept items.

    Args:
        message: An earlier answer.
        name: The metadata's name for the items.
        calls: The calls of the message, as the wire writes them.
    """
    items = message.response_metadata.get(name) or ()
    places = message.response_metadata.get(f"{name}_at") or [(0, 0)] * len(items)
    text, told, called = message.text, 0, 0
    for item, (characters, number) in zip(items, places, strict=False):
        if text[told:characters]:
            yield text[told:characters]
        yield from calls[called:number]
        yield item
        told, called = max(told, characters), max(called, number)
    if text[told:]:
        yield text[told:]
    yield from calls[called:]


def wire_id(call_id: str | None) -> str:
    """Return a call's id in letters, digits, `_` and `-`: other providers' ids hold more.

    Args:
        call_id: The id. What changes in it is made up for by a hash, so that no two become one.
    """
    known = call_id or "call"
    made = re.sub(r"[^A-Za-z0-9_-]", "_", known)[:MAX_ID]
    if made == known:
        return known
    return f"{made[: MAX_ID - 9]}_{hashlib.blake2b(known.encode(), digest_size=4).hexdigest()}"


MAX_ID = 64
"""How long an id may be: OpenAI refuses longer ones."""
