"""Topics of answers: how they come, how they end, and what stands in them."""

from collections.abc import AsyncIterator

from chatwright.core.tags import ReasoningTags
from chatwright.wrap.endpoint.asking import Asker
from chatwright.wrap.endpoint.findings import Finding
from chatwright.wrap.endpoint.probing.questions import COUNT, HELLO, Topic

__all__ = ["TOPICS"]

_MANY_STOPS = 5
"""One more than OpenAI takes."""


async def _streaming(asker: Asker) -> AsyncIterator[Finding]:
    has_to = asker.quirks.get("stream", False)
    usage = {"stream": True, "stream_usage": True, "ends": False}
    attempt = await asker.ask(COUNT, quirks=usage)
    takes_options = attempt.accepted
    if not takes_options:
        attempt = await asker.ask(COUNT, quirks={**usage, "stream_usage": False})
    if not attempt.accepted:
        yield Finding("stream", False, f"refused: {attempt.error}")
        return
    many = attempt.pieces > 1
    evidence = f"{attempt.pieces} piece{'s' if many else ''} came"
    if many or has_to:
        yield Finding("stream", True, f"{evidence}; refused otherwise" if has_to else evidence)
    else:
        yield Finding("stream", False if len(asker.counted.said()) > 1 else None, evidence)
        return
    counted = attempt.answer.usage is not None
    if asker.wire == "openai":
        said = "with" if counted else "without"
        options = "taken" if takes_options else "refused"
        yield Finding(
            "stream_usage",
            takes_options and counted,
            f"stream_options were {options}; it streams {said} usage",
        )
    ended = attempt.answer.finish_reason is not None and _marked(attempt.raw)
    yield Finding("ends", ended, "a finish reason came" if ended else "nothing marks the end")


def _marked(raw: bytes) -> bool:
    marks = (b"[DONE]", b'"finish_reason":"', b'"finish_reason": "', b"message_stop", b'"done":')
    return any(each in raw for each in (*marks, b"response.completed", b"response.incomplete"))


async def _parameters(asker: Asker) -> AsyncIterator[Finding]:
    left = dict(asker.quirks.get("parameters") or {})
    if not left:
        return
    for name, value in (("top_p", 0.9), ("seed", 7)):
        quirks = {"parameters": {**left, "top_p": "", "seed": "", name: name}}
        attempt = await asker.ask(HELLO, parameters={name: value}, short=True, quirks=quirks)
        if not attempt.accepted:
            left[name] = ""
    yield Finding("parameters", left, f"refused, so that never sent: {', '.join(left)}")


async def _bound(asker: Asker) -> AsyncIterator[Finding]:
    if "max_tokens" in (asker.quirks.get("parameters") or {}):
        yield Finding("max_tokens", None, "no name for it is taken: answers can't be bounded")
        return
    for name in ("max_tokens", "max_completion_tokens"):
        attempt = await asker.ask(COUNT, short=True, quirks={"max_tokens": name})
        if attempt.accepted and len(attempt.said()) < len(asker.counted.said()):
            least = f"{attempt.said()!r} where {asker.least} tokens were allowed"
            yield Finding("max_tokens", name, least)
            return
    known = asker.quirks.get("max_tokens")
    yield Finding("max_tokens", known, "no name for it is seen to bound the answer")


async def _stops(asker: Asker) -> AsyncIterator[Finding]:
    text = asker.counted.said()
    stop = next((each for each in (" 7", "7", ",", " ") if each in text[2:]), None)
    if stop is None:
        yield Finding("stop", None, f"there is nothing to stop at in {text[:40]!r}")
        return
    attempt = await asker.ask(COUNT, stop=(stop,))
    if not attempt.accepted:
        yield Finding("stop", "dropped", f"refused, so that it is never sent: {attempt.error}")
        yield Finding("max_stops", 0, "it refuses one")
        return
    kept, reported = attempt.said(stop="kept"), attempt.said(stop="reported")
    if kept.endswith(stop.strip()) and len(kept) < len(text):
        found, seen = "kept", kept
    elif reported != kept:
        found, seen = "reported", reported
    else:
        found, seen = "dropped", kept
    yield Finding("stop", found, f"stop={stop!r} gave {seen[-40:]!r}")
    taken = 1
    for most in (_MANY_STOPS, _MANY_STOPS - 1):
        stops = tuple(f"stop {n}" for n in range(most))
        quirks = {"max_stops": most, "stop": "kept"}  # so that they are sent
        if (await asker.ask(HELLO, stop=stops, short=True, quirks=quirks)).accepted:
            taken = most
            break
    yield Finding("max_stops", taken, f"{taken} at once {'are' if taken > 1 else 'is'} taken")


async def _reasoning(asker: Asker) -> AsyncIterator[Finding]:
    names = ("reasoning_content", "reasoning", "reasoning_details")
    found = next((name for name in names if f'"{name}":'.encode() in asker.counted.raw), None)
    said = f"its answer has {found}" if found else "its answer has none"
    yield Finding("reasoning", found and found.removesuffix("_details"), said)


async def _tags(asker: Asker) -> AsyncIterator[Finding]:
    text = asker.counted.said()
    usual = ReasoningTags()
    for tags in (usual, *_TAGS):
        before, closed, _ = text.partition(tags.close)
        if not closed or (tags == usual and tags.open in before):
            continue
        found = tags._replace(in_prompt=tags.open not in before)
        opened = "with" if tags.open in before else "without"
        yield Finding(
            "reasoning_tags", found, f"its answer has {tags.close} {opened} its opening tag"
        )
        return


_TAGS = (
    ReasoningTags("<thinking>", "</thinking>"),
    ReasoningTags("<seed:think>", "</seed:think>"),
    ReasoningTags("[THINK]", "[/THINK]"),  # Magistral's
    ReasoningTags("<reasoning>", "</reasoning>"),
)

TOPICS = (
    Topic("streaming", ("stream",), _streaming),
    Topic("parameters", (), _parameters),
    Topic("the bound of an answer", ("max_tokens",), _bound, frozenset({"openai"})),
    Topic(
        "stop sequences",
        ("stop", "max_stops"),
        _stops,
        frozenset({"anthropic", "ollama", "openai"}),
    ),
    Topic("reasoning", ("reasoning",), _reasoning, frozenset({"openai"})),
    Topic("tags of reasoning", (), _tags),
)
