"""Conversations as OpenAI's chat completions have them: what a server gave goes back to it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from chatwright.core.calls import CALL_EXTRAS
from chatwright.errors import ContentError
from chatwright.langchain.content import REASONING_FIELD
from chatwright.langchain.openai import as_openai
from chatwright.langchain.tools import tool_name
from chatwright.wires.keep import SERVED_BY, is_of, is_readable_by, wire_id, wire_name
from chatwright.wires.openai.names import IDS, OPAQUE, PARTS, REASONING, REASONINGS
from chatwright.wires.wire import Ask

__all__ = ["messages"]

NAMED = frozenset({"user"})
"""Whose messages may have a name: xAI refuses others (pipecat-ai/pipecat#2274), gateways a tool's
(NousResearch/hermes-agent#114713), Mistral and vLLM an answer's (langchain-ai/langchain#35054)."""


def messages(ask: Ask) -> list[dict[str, Any]]:
    """Return the conversation as the wire has it."""
    ids: dict[str, str] = {}  # of calls, as they go out
    tools = {name for each in ask.request.tools or () if (name := tool_name(each))}
    told: list[dict[str, Any]] = []
    media: list[dict[str, Any]] = []  # of tools' results
    for message in ask.request.messages:
        (made,) = as_openai([message])
        name = made.pop("name", None)
        allowed = NAMED if ask.quirks.names is None else ask.quirks.names
        if name and made["role"] in allowed and (clean := wire_name(name)):
            made["name"] = clean
        if isinstance(message, AIMessage):
            readable = is_readable_by(message, ask)
            extras = (readable and message.additional_kwargs.get(CALL_EXTRAS)) or {}
            calls = [*_calls(made.get("tool_calls") or (), extras, tools)]
            ids |= {each["id"]: _id(each["id"], message, ask) for each in calls}
            made |= _kept(message, made, ask, readable=readable)
            if calls:
                made["tool_calls"] = [{**each, "id": ids[each["id"]]} for each in calls]
                made["content"] = made.get("content") or None  # gateways to Bedrock refuse ""
        elif "tool_call_id" in made:
            given = made["tool_call_id"]
            made["tool_call_id"] = ids.get(given) or _id(given, message, ask)
            media += _taken_out(made)
        if media and "tool_call_id" not in made:
            told.append({"role": "user", "content": media})
            media = []
            if ask.quirks.merge and made["role"] == "user":
                told[-1]["content"] += _parts(made["content"])
                continue
        _check(made, message)
        told.append(made)
    return [*told, {"role": "user", "content": media}] if media else told


_KNOWN = frozenset({"audio_url", "file", "image_url", "input_audio", "text", "video_url"})


def _check(made: Mapping[str, Any], message: BaseMessage) -> None:
    """Refuse content that the wire has no form for."""
    if isinstance(made.get("content"), list) and not isinstance(message, AIMessage):
        for part in made["content"]:
            if part.get("type") not in _KNOWN:
                raise ContentError(f"OpenAI's wire has no form for {part.get('type')!r} content")


def _taken_out(made: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the media of a tool's result, which keeps its text: the wire has them of users only.

    They go into a user's message behind the results, with the id of the call.
    """
    parts = _parts(made.get("content") or "")
    media = [each for each in parts if each.get("type") != "text"]
    if not media:
        return []
    texts = [each for each in parts if each.get("type") == "text"]
    made["content"] = texts or "The result is attached to the next message."
    if all(each.keys() == {"type", "text"} for each in texts) and texts:
        made["content"] = "".join(each["text"] for each in texts)
    said = f"Attached to the result of the tool call {made['tool_call_id']}:"
    return [{"type": "text", "text": said}, *media]


def _parts(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else [*content]


def _id(call_id: str, message: BaseMessage, ask: Ask) -> str:
    """Return a call's id in a form that the server takes: one of its own stays as it is.

    LiteLLM hides signatures of thoughts in it, of any length (google/adk-python#6599).
    """
    if ask.quirks.call_ids is None and is_of(message, ask):
        return call_id
    return wire_id(call_id, ask.quirks.call_ids or IDS)


def _calls(
    calls: Sequence[Mapping[str, Any]], extras: Mapping[str, Any], tools: Collection[str]
) -> Iterator[dict[str, Any]]:
    """Yield calls with what the server put beside them; tools that nobody knows get a fit name."""
    for call in calls:
        function, beside = call["function"], extras.get(call["id"]) or {}
        if function["name"] not in tools:
            function = {**function, "name": wire_name(function["name"]) or "unknown"}
        yield {**beside, **call, "function": {**(beside.get("function") or {}), **function}}


def _kept(message: AIMessage, made: dict[str, Any], ask: Ask, *, readable: bool) -> dict[str, Any]:
    """Return the fields in which a server finds again what it gave for safe-keeping."""
    reasoning = made.pop(REASONING, None)
    told, given = message.response_metadata, message.additional_kwargs
    kept = {each: given[each] for each in OPAQUE if readable and each in given}
    name = told.get(REASONING_FIELD)
    if not readable or SERVED_BY not in told:  # another wire's, such as Ollama's own
        name = None
    if name in REASONINGS:
        kept[name] = reasoning or ""  # Kimi wants an empty one, too
    elif name == PARTS and reasoning:
        kept["content"] = [*_thought(reasoning, made.get("content"))]
    elif reasoning and ask.quirks.reasoning and ask.values.get("keep_reasoning"):
        kept[ask.quirks.reasoning] = reasoning
    return kept


def _thought(reasoning: str, content: Any) -> Iterator[Mapping[str, Any]]:
    """Yield content in parts with the reasoning first, as Mistral has it."""
    yield {"type": "thinking", "thinking": [{"type": "text", "text": reasoning}]}
    yield from [{"type": "text", "text": content}] if isinstance(content, str) else content or ()
