"""A conversation as an agent gets it: one prompt, made of the protocol's content blocks. No I/O."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from chatwright.errors import ContentError
from chatwright.langchain.media import filename, mime_type
from chatwright.wires.jsonio import whole

__all__ = ["prompt_of"]

_SO_FAR = "The conversation so far:\n\n"
_NOW = "What is said now:\n\n"
_GO_ON = "Go on from there."
_ROLES: Mapping[str, str] = {"ai": "Assistant", "system": "System", "tool": "Tool"}
_TAKES = {"audio": "audio", "image": "image", "file": "embeddedContext"}
"""The agent's capability for each medium (`promptCapabilities`)."""


def prompt_of(
    messages: Sequence[BaseMessage], takes: Mapping[str, bool], name: str
) -> list[dict[str, Any]]:
    """Return a conversation as one prompt: the last message as it is, and before it the rest.

    System messages come first, bare; earlier turns are a transcript. The last message has blocks
    of its own. A conversation that ends with an answer is asked to be gone on with.

    Args:
        messages: The conversation.
        takes: The agent's `promptCapabilities`.
        name: The model's name, for errors.

    Raises:
        ContentError: There is nothing to say, or content that the agent does not take.
    """
    *earlier, last = messages
    if last.type == "ai":
        earlier = [*messages]
    now = [_GO_ON] if last.type == "ai" else _parts(last)
    blocks = [*_blocks(_before(earlier), takes, name), *_blocks(now, takes, name)]
    if not blocks:
        raise ContentError(f"{name}: the messages are empty, so that there is nothing to ask")
    return blocks


def _blocks(
    parts: Iterable[str | dict[str, Any]], takes: Mapping[str, bool], name: str
) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    for part in parts:
        if not isinstance(part, str):
            blocks.append(_taken(part, takes, name))
        elif blocks and blocks[-1]["type"] == "text":
            blocks[-1]["text"] += whole(part)
        elif part:
            blocks.append({"type": "text", "text": whole(part)})
    return blocks


def _before(earlier: Sequence[BaseMessage]) -> Iterator[str | dict[str, Any]]:
    """Yield what stands before the last message."""
    systems = [each for each in earlier if each.type == "system"]
    turns = [each for each in earlier if each.type != "system"]
    for message in systems:
        yield from _parts(message)
        yield "\n\n"
    if turns:
        yield _SO_FAR
        for message in turns:
            yield f"{_ROLES.get(message.type, 'User')}: "
            yield from _parts(message)
            yield "\n\n"
        yield _NOW


def _parts(message: BaseMessage) -> Iterator[str | dict[str, Any]]:
    if isinstance(message.content, str):
        yield message.content
        return
    for block in message.content:
        if isinstance(block, str):
            yield block
        elif block.get("type") in {"text", "text-plain"} and isinstance(block.get("text"), str):
            yield block["text"]
        else:
            yield block


def _taken(block: dict[str, Any], takes: Mapping[str, bool], name: str) -> dict[str, Any]:
    """Return a block as the protocol has it.

    Raises:
        ContentError: The protocol has no form for it, or the agent does not take it.
    """
    kind = str(block.get("type"))
    if kind == "file" and block.get("url"):  # every agent takes links
        return {"type": "resource_link", "uri": block["url"], "name": _named(block)}
    if kind not in _TAKES or not block.get("base64"):
        raise ContentError(
            f"{name} does not take {kind!r} content in this form: the Agent Client Protocol has "
            "images, audio and files in base64, and files by their url"
        )
    if not takes.get(_TAKES[kind]):
        raise ContentError(
            f"{name} does not take {kind!r} content: its promptCapabilities lack {_TAKES[kind]!r}"
        )
    data, of = block["base64"], mime_type(block)
    if kind == "file":
        blob = {"uri": f"file:///{filename(block)}", "mimeType": of, "blob": data}
        return {"type": "resource", "resource": blob}
    return {"type": kind, "data": data, "mimeType": of}


def _named(block: Mapping[str, Any]) -> str:
    for of in (block, block.get("extras") or {}):
        if told := of.get("filename"):
            return str(told)
    return str(block["url"]).rstrip("/").rpartition("/")[2] or "file"
