"""Topics of what may be asked: tools, schemas, roles, names, images."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from chatwright.wires.openai.names import IDS, SHORT_IDS
from chatwright.wrap.endpoint.asking import Asker
from chatwright.wrap.endpoint.findings import Finding
from chatwright.wrap.endpoint.probing.questions import (
    HELLO,
    REPORT,
    SCHEMA,
    TOOL,
    Topic,
    parsed,
)

__all__ = ["TOPICS"]

_SYSTEM = SystemMessage("You are a helpful assistant.")
_NAMED = {"type": "function", "function": {"name": "report_quokka"}}
_FORMS = ("required", "function", "auto", "none")
_OPENAI = frozenset({"openai"})
_PIXEL = (  # a red one, PNG
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJg"
    "gg=="
)


async def _tools(asker: Asker) -> AsyncIterator[Finding]:
    seen, forms, called = await _choices(asker, {})
    streamed = asker.quirks.get("stream", False)
    if streamed and not called:
        whole = await _choices(asker, {"stream_tools": False})
        if whole[2]:
            yield Finding("stream_tools", False, f"streamed: {seen}; whole: {whole[0]}")
            seen, forms, called = whole
    yield Finding("tools", called, seen)
    if called:
        yield Finding("tool_choice", forms, seen)


async def _choices(asker: Asker, quirks: dict[str, Any]) -> tuple[str, frozenset[str], bool]:
    """Return what was seen, the forms of `tool_choice` that are honoured, and if a call came."""
    forms, seen, called = set(), [], False
    for form in _FORMS:
        choice = _NAMED if form == "function" else form
        attempt = await asker.ask(REPORT, tools=[TOOL], tool_choice=choice, quirks=quirks)
        called = called or (attempt.called and form != "none")
        honoured = form == "auto" or attempt.called != (form == "none")
        if honoured and attempt.accepted:
            forms.add(form)
        what = "a call" if attempt.called else "no call" if attempt.accepted else attempt.taken
        seen.append(f"{form}: {what}")
    return "; ".join(seen), frozenset(forms), called


async def _ids(asker: Asker) -> AsyncIterator[Finding]:
    if not asker.quirks.get("tools"):
        return
    call = {"name": "report_quokka", "args": {"count": 3}, "id": f"call_{'0a1b2c3d' * 4}"}
    result = ToolMessage("It is reported.", tool_call_id=call["id"])
    talk = [*REPORT, AIMessage("", tool_calls=[call]), result]
    for pattern, what in ((IDS, "a long id"), (SHORT_IDS, "an id of nine letters and digits")):
        attempt = await asker.ask(talk, tools=[TOOL], short=True, quirks={"call_ids": pattern})
        if attempt.accepted:
            yield Finding("call_ids", pattern, f"{what} is taken")
            return
    yield Finding("call_ids", None, f"neither a long id nor a short one is taken: {attempt.error}")


async def _formats(asker: Asker) -> AsyncIterator[Finding]:
    attempt = await asker.ask(HELLO, response_format=SCHEMA)
    text = attempt.said()
    if parsed(text) == {"quokka": "q7"}:
        yield Finding("response_format", "json_schema", f"{text!r} conforms to an odd schema")
        return
    attempt = await asker.ask(HELLO, response_format={"type": "json_object"})
    other = attempt.said()
    found = "json_object" if isinstance(parsed(other), dict) else "none"
    yield Finding(
        "response_format", found, f"json_schema gave {text[:40]!r}, json_object {other[:40]!r}"
    )


async def _together(asker: Asker) -> AsyncIterator[Finding]:
    """Tell whether a schema and tools go together: llama.cpp refuses them, Gemini did."""
    quirks = asker.quirks
    if not quirks.get("tools") or quirks.get("response_format") != "json_schema":
        return
    alone = await asker.ask(REPORT, tools=[TOOL])
    attempt = await asker.ask(REPORT, tools=[TOOL], response_format=SCHEMA)
    if not attempt.accepted:
        yield Finding("tools_with_format", False, f"both at once are {attempt.taken}")
    elif alone.called and not attempt.called:
        yield Finding("tools_with_format", False, "beside a schema it calls no tool any more")
    else:
        yield Finding("tools_with_format", True, "both at once are taken")


async def _roles(asker: Asker) -> AsyncIterator[Finding]:
    late = [_SYSTEM, *HELLO, AIMessage("Hello."), SystemMessage("Be brief."), *HELLO]
    attempt = await asker.ask(late, short=True)
    if attempt.accepted:
        yield Finding("system", "keep", "a later system message is taken")
    else:
        first = await asker.ask([_SYSTEM, *HELLO], short=True)
        found = "first" if first.accepted else "user"
        yield Finding("system", found, f"the first one is {first.taken}; a later: {attempt.error}")
    attempt = await asker.ask([HumanMessage("Hello."), *HELLO], short=True)
    twice = f"two user messages in a row are {attempt.taken}"
    yield Finding("merge", not attempt.accepted, twice)
    if asker.wire in {"openai", "responses"}:
        mark = {"__openai_role__": "developer"}
        role = SystemMessage("Be brief.", additional_kwargs=mark)
        attempt = await asker.ask([role, *HELLO], short=True)
        found = "developer" if attempt.accepted else "system"
        yield Finding("developer", found, f"the developer role is {attempt.taken}")


async def _names(asker: Asker) -> AsyncIterator[Finding]:
    answered = [*HELLO, AIMessage("Hello.", name="bot"), HumanMessage("Again.")]
    talks: dict[str, Sequence[BaseMessage]] = {
        "user": [HumanMessage("Say hello.", name="ann")],
        "assistant": answered,
    }
    seen = {
        role: await asker.ask(talk, short=True, quirks={"names": {role}})
        for role, talk in talks.items()
    }
    taken = frozenset(role for role, attempt in seen.items() if attempt.accepted)
    evidence = [f"a name of the {role}'s is {attempt.taken}" for role, attempt in seen.items()]
    yield Finding("names", taken, "; ".join(evidence))


async def _images(asker: Asker) -> AsyncIterator[Finding]:
    question = "What colour is it?"
    block = {"type": "image", "base64": _PIXEL, "mime_type": "image/png"}
    without = await asker.ask([HumanMessage(question)], short=True)
    content: list[str | dict[Any, Any]] = [{"type": "text", "text": question}, block]
    attempt = await asker.ask([HumanMessage(content)], short=True)
    if not attempt.accepted:
        yield Finding("inputs", frozenset(), f"an image is {attempt.taken}")
        return
    counts = [each.answer.usage for each in (without, attempt) if each.accepted]
    tokens = [each.input_tokens for each in counts if each and each.input_tokens is not None]
    if len(tokens) < 2:  # noqa: PLR2004  both
        yield Finding("inputs", None, "an image is taken, but nothing tells whether it is seen")
    elif tokens[1] > tokens[0]:
        yield Finding("inputs", frozenset({"image"}), f"it adds {tokens[1] - tokens[0]} tokens")
    else:
        yield Finding("inputs", frozenset(), "an image is taken, but adds no token")


TOPICS = (
    Topic("tools", ("tools",), _tools),
    Topic("ids of calls", (), _ids, _OPENAI),
    Topic("names", ("names",), _names, _OPENAI),
    Topic(
        "structured output",
        ("response_format",),
        _formats,
        frozenset({"ollama", "openai", "responses"}),
    ),
    Topic("a schema beside tools", (), _together),
    Topic("roles", ("system", "merge"), _roles),
    Topic("images", ("inputs",), _images),
)
