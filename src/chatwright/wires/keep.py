"""What a server gives for safe-keeping: items that only it can read, at their places.

Signed or encrypted thoughts are such. They stand in a message's `response_metadata`, which survives
whatever keeps messages, and go back as they came, between the same words and calls. What another
server gave stays here, as this one could not read it; ids and names are made to fit.
"""

import functools
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from chatwright.errors import ParameterError
from chatwright.wires.wire import Ask, host

__all__ = [
    "SERVED_BY",
    "arranged",
    "is_of",
    "is_readable_by",
    "kept",
    "server",
    "wire_id",
    "wire_name",
]

SERVED_BY = "served_by"
"""Where a message's `response_metadata` has which server gave it, as `server` tells it."""

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


def arranged(message: AIMessage, ask: Ask, name: str, calls: Sequence[Any]) -> Iterator[Any]:
    """Yield what a message holds in its order: text as str, calls as given, kept items.

    Args:
        message: An earlier answer.
        ask: What the server is asked now: another one's items, of another model, are left out.
        name: The metadata's name for the items.
        calls: The calls of the message, as the wire writes them.
    """
    readable = is_readable_by(message, ask)
    items = (readable and message.response_metadata.get(name)) or ()
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


@functools.lru_cache
def server(base_url: str) -> str:
    """Return what a server is told from others by, without naming it: a hash of its host and port.

    Args:
        base_url: Where it is.
    """
    return hashlib.blake2b(host(base_url).encode(), digest_size=4).hexdigest()


def is_of(message: BaseMessage, ask: Ask) -> bool:
    """Tell whether an answer is known to be the same server's.

    Args:
        message: An earlier answer.
        ask: What the server is asked now.
    """
    return bool(message.response_metadata.get(SERVED_BY) == server(ask.base_url))


def is_readable_by(message: BaseMessage, ask: Ask) -> bool:
    """Tell whether a server can be given what an answer keeps: others' fields are often refused.

    It can unless the answer is another server's, of another model (janhq/jan#8136).

    Args:
        message: An earlier answer.
        ask: What the server is asked now.
    """
    told = message.response_metadata
    return SERVED_BY not in told or is_of(message, ask) or told.get("model_name") == ask.model


WORDS = "[A-Za-z0-9_-]{1,64}"
"""What most servers take for the id of a call, or more than that."""
_MAX_NAME = 64
_UNFIT = re.compile("[^A-Za-z0-9_-]+")


def wire_id(call_id: str | None, pattern: str = WORDS) -> str:
    """Return a call's id in a form that a server takes: other providers' ids hold more, or less.

    Args:
        call_id: The id. What changes in it is made up for by a hash, so that no two become one.
        pattern: A regular expression that the whole id has to match.

    Raises:
        ParameterError: No id of letters and digits matches the pattern.
    """
    known = call_id or "call"
    if re.fullmatch(pattern, known):
        return known
    code = hashlib.blake2b(known.encode("utf-8", "surrogatepass")).hexdigest()
    tried = (f"{_UNFIT.sub('_', known)[:55]}_{code[:8]}", *(code[:n] for n in range(64, 0, -1)))
    for made in tried:
        if re.fullmatch(pattern, made):
            return made
    raise ParameterError(
        f"the quirk call_ids={pattern!r} leaves no id of letters and digits for the call {known!r}"
    )


def wire_name(name: str) -> str:
    """Return a name in letters, digits, `_` and `-`, at most 64; empty where nothing is left.

    Args:
        name: The name of a person, or of a tool.
    """
    clean = _UNFIT.sub("_", name)[:_MAX_NAME]
    return clean if clean.strip("_") else ""
