"""`probe`: finds out by asking what a server can do, and writes it down as an endpoint file."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from chatwright.errors import LoadError
from chatwright.wires.openai.names import IDS, SHORT_IDS
from chatwright.wrap.endpoint.asking import SECONDS, Asker, Attempt
from chatwright.wrap.endpoint.findings import Finding, Findings
from chatwright.wrap.endpoint.model import ChatEndpoint

__all__ = ["probe"]

_SYSTEM = SystemMessage("You are a helpful assistant.")
_COUNT = [_SYSTEM, HumanMessage("Count from 1 to 20. Write numbers and commas, nothing else.")]
_HELLO = [_SYSTEM, HumanMessage("Say hello.")]
_PIXEL = (  # a red one, PNG
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJg"
    "gg=="
)
_TOOL = {
    "type": "function",
    "function": {
        "name": "report_quokka",
        "description": "Reports how many quokkas were seen.",
        "parameters": {
            "type": "object",
            "properties": {"count": {"type": "integer"}},
            "required": ["count"],
        },
    },
}
_MANY_STOPS = 5
"""One more than OpenAI takes."""
_NO_TEMPERATURE = {"temperature": ""}
_STRICTER: Sequence[Mapping[str, Any]] = (
    {"max_tokens": "max_completion_tokens"},
    {"parameters": _NO_TEMPERATURE},
    {"max_tokens": "max_tokens"},
)
_NAMED = {"type": "function", "function": {"name": "report_quokka"}}
_SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "quokka",
        "schema": {
            "type": "object",
            "properties": {"quokka": {"type": "string", "enum": ["q7"]}},
            "required": ["quokka"],
            "additionalProperties": False,
        },
    },
}


async def probe(
    url: str,
    *,
    model: str | None = None,
    wire: str = "openai",
    tell: Callable[[str], object] = lambda _: None,
    **fields: Any,
) -> Findings:
    """Find out what the server behind a URL can do, by some two dozen short requests.

    Args:
        url: Where the server is; for OpenAI's wire, usually up to `/v1`, which is tried as well.
        model: The model's name. Default: the first that the server lists.
        wire: `openai`, `ollama`, `anthropic` or `responses`.
        tell: Is told what is being tried.
        **fields: Further fields of `ChatEndpoint`, such as `api_key`.

    Returns:
        The findings; what could not be told is None.

    Raises:
        SourceError: The server can't be reached, or does not answer even a plain question.
    """
    return await _Probe(url, model, wire, tell, fields).run()


class _Probe:
    def __init__(
        self,
        url: str,
        model: str | None,
        wire: str,
        tell: Callable[[str], object],
        fields: Mapping[str, Any],
    ) -> None:
        self._tell = tell
        self._fields = {"timeout": SECONDS, "max_retries": 0, "wire": wire, **fields}
        endpoint = self._at(url, model)
        self._asker = Asker(endpoint)
        named = None if model is None and "#" not in url else endpoint.model_name
        self._findings = Findings(endpoint.base_url, named, wire, query=[*endpoint.query])

    def _at(self, url: str, model: str | None) -> ChatEndpoint:
        named = {} if model is None else {"model_name": model}
        return ChatEndpoint(**{"base_url": url, **self._fields, **named})

    async def run(self) -> Findings:
        await self._look_around()
        plain = await self._plainly()
        steps: Sequence[Callable[[Attempt], AsyncIterator[Finding]]] = (
            self._streaming,
            self._bounds,
            self._stops,
            self._tools,
            self._ids,
            self._names,
            self._formats,
            self._roles,
            self._reasoning,
            self._images,
        )
        for step in steps:
            async for found in step(plain):
                self._keep(found)
        self._findings.requests = self._asker.requests
        return self._findings

    def _keep(self, found: Finding) -> None:
        self._findings.found.append(found)
        if found.value is not None:
            self._asker.quirks[found.name] = found.value

    # What it says of itself.

    async def _look_around(self) -> None:
        """Find the model's name, the right path, and the length of the context."""
        self._tell("what it says of itself")
        listed = await self._listed(self._asker.endpoint.base_url)
        parts = urlsplit(self._asker.endpoint.base_url)
        if listed is None and not parts.path and self._findings.wire != "ollama":
            versioned = urlunsplit(parts._replace(path="/v1"))
            if (listed := await self._listed(versioned)) is not None:
                self._move(versioned)
        models = listed or []
        if self._findings.model is None and models:
            name = models[0].get("id") or models[0].get("name")
            self._asker.endpoint = self._asker.endpoint.model_copy(update={"model_name": str(name)})
            self._findings.model = str(name)
        ours = [each for each in models if each.get("id") == self._findings.model]
        tokens = next((each["max_model_len"] for each in ours if each.get("max_model_len")), None)
        evidence = "max_model_len of its list of models"
        if tokens is None:
            root = urlunsplit(parts._replace(path=""))
            props = await self._asker.get(f"{root}/props")  # llama.cpp's
            settings = props.get("default_generation_settings") if isinstance(props, dict) else None
            tokens, evidence = (settings or {}).get("n_ctx"), "n_ctx of its /props"
        self._keep(Finding("context_tokens", tokens, evidence if tokens else "it does not say"))

    def _move(self, url: str) -> None:
        self._asker.endpoint = self._asker.endpoint.model_copy(update={"base_url": url})
        self._findings.url = url

    async def _listed(self, url: str) -> list[Mapping[str, Any]] | None:
        path = "/api/tags" if self._findings.wire == "ollama" else "/models"
        found = await self._asker.get(url + path)
        if not isinstance(found, dict):
            return None
        listed = found.get("data") or found.get("models") or []
        return [each for each in listed if isinstance(each, dict)]

    async def _plainly(self) -> Attempt:
        """Ask a plain question; without an answer there is nothing to find out."""
        self._tell("a plain question")
        attempt = await self._asker.ask(_COUNT)
        # Reasoning models refuse a temperature, and want another name for the bound.
        for quirks in _STRICTER if attempt.status in {400, 422} else ():
            if not attempt.accepted:
                self._asker.quirks.update(quirks)
                attempt = await self._asker.ask(_COUNT)
        if not attempt.accepted:
            raise LoadError(
                f"{self._findings.url} does not answer a plain question by the wire "
                f"{self._findings.wire!r}: {attempt.why}"
            )
        return attempt

    # What it does.

    async def _streaming(self, plain: Attempt) -> AsyncIterator[Finding]:
        self._tell("streaming")
        usage = {"stream": True, "stream_usage": True, "ends": False}
        attempt = await self._asker.ask(_COUNT, quirks=usage)
        takes_options = attempt.accepted
        if not takes_options:
            attempt = await self._asker.ask(_COUNT, quirks={**usage, "stream_usage": False})
        if not attempt.accepted:
            yield Finding("stream", False, f"refused: {attempt.why}")
            return
        many = attempt.pieces > 1
        alone = not many and len(plain.said()) > 1
        yield Finding(
            "stream", True if many else False if alone else None, f"{attempt.pieces} pieces came"
        )
        if not many:
            return
        counted = attempt.answer.usage is not None
        if self._findings.wire == "openai":
            said = "with" if counted else "without"
            yield Finding(
                "stream_usage",
                takes_options and counted,
                f"stream_options were {'taken' if takes_options else 'refused'}; it streams {said} "
                "usage",
            )
        ended = attempt.answer.finish_reason is not None and _marked(attempt.raw)
        yield Finding("ends", ended, "a finish reason came" if ended else "nothing marks the end")

    async def _bounds(self, plain: Attempt) -> AsyncIterator[Finding]:
        if self._asker.quirks.get("parameters"):
            yield Finding("parameters", _NO_TEMPERATURE, "a temperature is refused")
        if self._findings.wire != "openai":
            return
        self._tell("the bound of an answer")
        for name in ("max_tokens", "max_completion_tokens"):
            attempt = await self._asker.ask(_COUNT, max_tokens=4, quirks={"max_tokens": name})
            if attempt.accepted and len(attempt.said()) < len(plain.said()):
                yield Finding("max_tokens", name, f"{attempt.said()!r} where 4 tokens were allowed")
                return
        yield Finding("max_tokens", None, "no name for it bounds the answer")

    async def _stops(self, plain: Attempt) -> AsyncIterator[Finding]:
        self._tell("stop sequences")
        text = plain.said()
        stop = next((each for each in (" 7", "7", ",", " ") if each in text[2:]), None)
        if stop is None or self._findings.wire == "responses":
            yield Finding("stop", None, f"there is nothing to stop at in {text[:40]!r}")
            return
        attempt = await self._asker.ask(_COUNT, stop=(stop,))
        if not attempt.accepted:
            yield Finding("stop", "dropped", f"refused, so that it is never sent: {attempt.why}")
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
            many = await self._asker.ask(_HELLO, stop=stops, max_tokens=4, quirks=quirks)
            if many.accepted:
                taken = most
                break
        yield Finding("max_stops", taken, f"{taken} at once {'are' if taken > 1 else 'is'} taken")

    async def _tools(self, plain: Attempt) -> AsyncIterator[Finding]:
        self._tell("tools")
        question = [_SYSTEM, HumanMessage("I saw 3 quokkas. Report them.")]
        forms = []
        seen = []
        called = False
        for form in ("required", "function", "auto", "none"):
            choice = _NAMED if form == "function" else form
            attempt = await self._asker.ask(
                question, tools=[_TOOL], tool_choice=choice, max_tokens=96
            )
            calls = attempt.accepted and attempt.answer.called
            called |= calls and form != "none"
            honoured = attempt.accepted if form == "auto" else calls != (form == "none")
            if honoured and attempt.accepted:
                forms.append(form)
            what = "a call" if calls else "no call" if attempt.accepted else "refused"
            seen.append(f"{form}: {what}")
        evidence = "; ".join(seen)
        yield Finding("tools", called, evidence)
        if called:
            yield Finding("tool_choice", frozenset(forms), evidence)

    async def _ids(self, plain: Attempt) -> AsyncIterator[Finding]:
        if not self._asker.quirks.get("tools") or self._findings.wire != "openai":
            return
        self._tell("ids of calls")
        call = {"name": "report_quokka", "args": {"count": 3}, "id": f"call_{'0a1b2c3d' * 4}"}
        asked = [_SYSTEM, HumanMessage("I saw 3 quokkas. Report them.")]
        result = ToolMessage("It is reported.", tool_call_id=call["id"])
        talk = [*asked, AIMessage("", tool_calls=[call]), result]
        for pattern, what in ((IDS, "a long id"), (SHORT_IDS, "an id of nine letters and digits")):
            attempt = await self._asker.ask(
                talk, tools=[_TOOL], max_tokens=4, quirks={"call_ids": pattern}
            )
            if attempt.accepted:
                yield Finding("call_ids", pattern, f"{what} is taken")
                return
        yield Finding(
            "call_ids", None, f"neither a long id nor a short one is taken: {attempt.why}"
        )

    async def _names(self, plain: Attempt) -> AsyncIterator[Finding]:
        if self._findings.wire != "openai":
            return
        self._tell("names")
        answered = [*_HELLO, AIMessage("Hello.", name="bot"), HumanMessage("Again.")]
        talks = {"user": [_SYSTEM, HumanMessage("Say hello.", name="ann")], "assistant": answered}
        seen = {}
        for role, talk in talks.items():
            attempt = await self._asker.ask(talk, max_tokens=4, quirks={"names": {role}})
            seen[role] = "taken" if attempt.accepted else f"refused: {attempt.why}"
        taken = frozenset(role for role, what in seen.items() if what == "taken")
        evidence = "; ".join(f"a name of the {role}'s is {what}" for role, what in seen.items())
        yield Finding("names", taken, evidence)

    async def _formats(self, plain: Attempt) -> AsyncIterator[Finding]:
        if self._findings.wire == "anthropic":
            return
        self._tell("structured output")
        attempt = await self._asker.ask(_HELLO, response_format=_SCHEMA)
        text = attempt.said() if attempt.accepted else ""
        if _json(text) == {"quokka": "q7"}:
            yield Finding("response_format", "json_schema", f"{text!r} conforms to an odd schema")
            return
        object_format = {"type": "json_object"}
        attempt = await self._asker.ask(_HELLO, response_format=object_format, max_tokens=96)
        other = attempt.said() if attempt.accepted else ""
        found = "json_object" if isinstance(_json(other), dict) else "none"
        yield Finding(
            "response_format", found, f"json_schema gave {text[:40]!r}, json_object {other[:40]!r}"
        )

    async def _roles(self, plain: Attempt) -> AsyncIterator[Finding]:
        self._tell("roles")
        late = [*_HELLO, AIMessage("Hello."), SystemMessage("Be brief."), HumanMessage("Again.")]
        attempt = await self._asker.ask(late, max_tokens=4)
        if attempt.accepted:
            yield Finding("system", "keep", "a later system message is taken")
        else:
            first = await self._asker.ask(_HELLO, max_tokens=4)
            yield Finding(
                "system", "first" if first.accepted else "user", f"a later one: {attempt.why}"
            )
        twice = [_SYSTEM, HumanMessage("Hello."), HumanMessage("Say hello.")]
        attempt = await self._asker.ask(twice, max_tokens=4)
        seen = "are taken" if attempt.accepted else f"are refused: {attempt.why}"
        yield Finding("merge", not attempt.accepted, f"two user messages in a row {seen}")
        if self._findings.wire in {"openai", "responses"}:
            mark = {"__openai_role__": "developer"}
            role = [SystemMessage("Be brief.", additional_kwargs=mark), HumanMessage("Say hello.")]
            attempt = await self._asker.ask(role, max_tokens=4)
            seen = "taken" if attempt.accepted else f"refused: {attempt.why}"
            found = "developer" if attempt.accepted else "system"
            yield Finding("developer", found, f"the developer role is {seen}")

    async def _reasoning(self, plain: Attempt) -> AsyncIterator[Finding]:
        if self._findings.wire != "openai":
            return
        names = ("reasoning_content", "reasoning", "reasoning_details")
        found = next((name for name in names if f'"{name}":'.encode() in plain.raw), None)
        said = f"its answer has {found}" if found else "its answer has none"
        yield Finding("reasoning", found and found.removesuffix("_details"), said)

    async def _images(self, plain: Attempt) -> AsyncIterator[Finding]:
        self._tell("images")
        question = "What colour is it?"
        block = {"type": "image", "base64": _PIXEL, "mime_type": "image/png"}
        without = await self._asker.ask([HumanMessage(question)], max_tokens=4)
        content: list[str | dict[Any, Any]] = [{"type": "text", "text": question}, block]
        attempt = await self._asker.ask([HumanMessage(content)], max_tokens=4)
        if not attempt.accepted:
            yield Finding("inputs", frozenset(), f"an image is refused: {attempt.why}")
            return
        counts = [each.answer.usage for each in (without, attempt)]
        tokens = [each.input_tokens for each in counts if each and each.input_tokens is not None]
        if len(tokens) < 2:  # noqa: PLR2004  both
            yield Finding("inputs", None, "an image is taken, but nothing tells whether it is seen")
        elif tokens[1] > tokens[0]:
            yield Finding("inputs", frozenset({"image"}), f"it adds {tokens[1] - tokens[0]} tokens")
        else:
            yield Finding("inputs", frozenset(), "an image is taken, but adds no token")


def _marked(raw: bytes) -> bool:
    marks = (b"[DONE]", b'"finish_reason":"', b'"finish_reason": "', b"message_stop", b'"done":')
    return any(each in raw for each in (*marks, b"response.completed", b"response.incomplete"))


def _json(text: str) -> Any:
    with suppress(ValueError):
        return json.loads(text)
    return None
