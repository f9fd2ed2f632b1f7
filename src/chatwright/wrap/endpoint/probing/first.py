"""The first questions: which model there is, and what a plain question has to look like."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from chatwright.errors import LoadError
from chatwright.wrap.endpoint.asking import Asker, Attempt
from chatwright.wrap.endpoint.findings import Finding, Findings
from chatwright.wrap.endpoint.probing.questions import COUNT

__all__ = ["context", "listed", "plain"]

_OTHERS = (
    *("embed", "rerank", "whisper", "tts", "transcribe", "moderation", "dall-e", "image", "clip"),
    *("bge-", "gte-", "e5-", "minilm", "stable-diffusion", "flux"),
)
"""What is in the names of models that don't chat."""
_TRIED = 3
"""How many of the models that a server lists are tried."""
_ROOMY = 2048
"""Tokens for an answer that reasoning comes before."""


async def listed(asker: Asker, findings: Findings) -> Sequence[Mapping[str, Any]]:
    """Return the models that the server lists; those that seem to chat come first.

    Where only a longer path than the URL's has a list, the URL becomes that one.
    """
    url = asker.endpoint.base_url
    found = await _models(asker, url)
    parts = urlsplit(url)
    if found is None and not parts.path and findings.wire != "ollama":
        versioned = urlunsplit(parts._replace(path="/v1"))
        if (found := await _models(asker, versioned)) is not None:
            asker.endpoint = asker.endpoint.model_copy(update={"base_url": versioned})
            findings.url = versioned
    return sorted(found or (), key=_seems_other)


async def _models(asker: Asker, url: str) -> list[Mapping[str, Any]] | None:
    found = await asker.get(url + ("/api/tags" if asker.wire == "ollama" else "/models"))
    if isinstance(found, dict):
        found = found.get("data") or found.get("models") or []
    if not isinstance(found, list):
        return None
    return [each for each in found if isinstance(each, dict) and _name(each)]


def _name(model: Mapping[str, Any]) -> str:
    return str(model.get("id") or model.get("name") or "")


def _seems_other(model: Mapping[str, Any]) -> bool:
    told = f"{_name(model)} {model.get('type', '')} {model.get('object', '')}".lower()
    return any(each in told for each in _OTHERS)


async def context(
    asker: Asker, findings: Findings, models: Sequence[Mapping[str, Any]]
) -> AsyncIterator[Finding]:
    """Find the length of the context out."""
    ours = [each for each in models if _name(each) == findings.model]
    tokens = next((each["max_model_len"] for each in ours if each.get("max_model_len")), None)
    evidence = "max_model_len of its list of models"
    if tokens is None:
        root = urlunsplit(urlsplit(findings.url)._replace(path=""))
        props = await asker.get(f"{root}/props")  # llama.cpp's
        settings = props.get("default_generation_settings") if isinstance(props, dict) else None
        tokens, evidence = (settings or {}).get("n_ctx"), "n_ctx of its /props"
    yield Finding("context_tokens", tokens, evidence if tokens else "it does not say")


async def plain(asker: Asker, findings: Findings, models: Sequence[Mapping[str, Any]]) -> Attempt:
    """Ask a plain question; without an answer there is nothing to find out.

    Raises:
        LoadError: There is none, however it is asked.
    """
    first = models[:_TRIED] if findings.model is None else ()
    names: list[str | None] = [_name(each) for each in first] or [findings.model]
    endpoint = asker.endpoint
    refusals = []
    for name in names:
        if name is not None:
            asker.endpoint = endpoint.model_copy(update={"model_name": name})
        attempt = await _asked(asker)
        if attempt.accepted:
            findings.model = name
            return await _with_room(asker, attempt)
        refusals.append(attempt.error if len(names) < 2 else f"{name}: {attempt.error}")  # noqa: PLR2004
    others = f"; it lists {len(models)} models: name one by --model" if len(names) > 1 else ""
    raise LoadError(
        f"{findings.url} does not answer a plain question by the wire {findings.wire!r}: "
        f"{'; '.join(dict.fromkeys(refusals))}{others}"
    )


async def _with_room(asker: Asker, attempt: Attempt) -> Attempt:
    """Ask again with more room, where reasoning has taken all of it."""
    if not attempt.answer.cut or attempt.said().startswith("1"):
        return attempt
    room, asker.room = asker.room, _ROOMY
    roomy = await asker.ask(COUNT)
    if roomy.accepted:
        return roomy
    asker.room = room
    return attempt


async def _asked(asker: Asker) -> Attempt:
    """Ask as usual; where that is refused, as little as can be, and more of it bit by bit."""
    asker.quirks = {}
    attempt = await asker.ask(COUNT)
    if attempt.accepted:
        return attempt
    bare = {"parameters": {"temperature": "", "max_tokens": ""}}
    for stream in (False, True):
        asker.quirks = {**bare, **({"stream": True, "stream_usage": False} if stream else {})}
        if (least := await asker.ask(COUNT)).accepted:
            return await _more(asker, least)
    asker.quirks = {}
    return attempt


async def _more(asker: Asker, attempt: Attempt) -> Attempt:
    """Add what may be said beside the question, as far as it is taken."""
    left: dict[str, str] = {"max_tokens": ""}
    if not (more := await asker.ask(COUNT, quirks={"parameters": left})).accepted:
        left["temperature"] = ""
    attempt = more if more.accepted else attempt
    known = {name: "" for name in left if name != "max_tokens"}
    tries = [{}] if asker.wire != "openai" else [{"max_tokens": each} for each in _BOUNDS]
    for room in (asker.room, _ROOMY):  # some take no little one
        asker.room, before = room, asker.room
        for named in tries:
            more = await asker.ask(COUNT, quirks={"parameters": known, **named})
            if more.accepted:
                asker.least = asker.least if room == before else room
                asker.quirks = {**asker.quirks, "parameters": known, **named}
                return more
    asker.room = before
    asker.quirks["parameters"] = left
    return attempt


_BOUNDS = ("max_tokens", "max_completion_tokens")
