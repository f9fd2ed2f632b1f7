"""What answers hold beside text, as LangChain's v1 blocks: citations, server tools. No I/O."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chatwright.deltas import Block

__all__ = ["Citations", "as_annotation", "called", "grouped", "other", "result"]

_NAMED: Mapping[str, str] = {"document_title": "title", "filename": "title"}
"""The fields of a citation that v1 has other names for."""
_CITED = frozenset({"cited_text", "end_index", "start_index", "title", "url"})
_CITATIONS = frozenset(
    {
        *("char_location", "content_block_location", "file_citation", "page_location"),
        *("search_result_location", "url_citation", "web_search_result_location"),
    }
)


def as_annotation(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a citation as LangChain has it; others as `non_standard_annotation`.

    Args:
        given: As OpenAI or Anthropic have it; chat completions nest what Responses don't.
    """
    kind = given.get("type")
    inner = given.get(str(kind))
    told = {**given, **inner} if isinstance(inner, Mapping) else given
    if kind not in _CITATIONS:
        return {"type": "non_standard_annotation", "value": dict(given)}
    made: dict[str, Any] = {"type": "citation"}
    extras: dict[str, Any] = {}
    for name, value in told.items():
        if name in {"type", kind} or value is None:
            continue
        named = _NAMED.get(name, name)
        if named in _CITED and named not in made:
            made[named] = value
        else:
            extras[name] = value
    return {**made, "extras": extras} if extras else made


class Citations:
    """Which citations of an answer have been told: servers repeat them. Nothing is told twice."""

    def __init__(self) -> None:
        """Start with none."""
        self._told: list[Mapping[str, Any]] = []
        self._held: list[Mapping[str, Any]] = []

    @property
    def any(self) -> bool:
        """Whether there were any."""
        return bool(self._told)

    def hold(self, given: Any, *, begin: int = 0, end: int | None = None) -> None:
        """Keep citations until there is text for them.

        Args:
            given: The citations as they came.
            begin: Where their text begins in its block: their own places count from there.
            end: Where it ends, for those that have no places.
        """
        for each in given or ():
            made = as_annotation(each)
            for name in ("start_index", "end_index"):
                if isinstance(made.get(name), int):
                    made[name] += begin
            if end is not None and made["type"] == "citation":
                made = {**made, "start_index": begin, "end_index": end}
            if made not in self._told:
                self._told.append(made)
                self._held.append(made)

    def release(self) -> Iterator[Block]:
        """Yield what is held as part of the text before it."""
        if self._held:
            held, self._held = self._held, []
            yield Block({"type": "text", "text": "", "annotations": held})


def called(id: Any, name: str, args: Any, **extras: Any) -> Block:  # noqa: A002  the block's name
    """Return the call of a tool that the server runs itself."""
    block = {"type": "server_tool_call", "id": id, "name": name, "args": args or {}}
    return Block({**block, "extras": extras} if extras else block)


def result(id: Any, output: Any, *, failed: bool = False, **extras: Any) -> Block:  # noqa: A002
    """Return what such a tool has given."""
    block: dict[str, Any] = {"type": "server_tool_result", "tool_call_id": id, "output": output}
    block["status"] = "error" if failed else "success"
    return Block({**block, "extras": extras} if extras else block)


def other(item: Mapping[str, Any]) -> Block:
    """Return what v1 has no form for as it came."""
    return Block({"type": "non_standard", "value": dict(item)})


def grouped(items: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield items that came in pieces, told apart by their `index`."""
    found: dict[Any, dict[str, Any]] = {}
    for number, each in enumerate(items):
        key = each.get("index", f"n{number}")
        found[key] = {**found.get(key, {}), **{k: v for k, v in each.items() if v is not None}}
    yield from found.values()
