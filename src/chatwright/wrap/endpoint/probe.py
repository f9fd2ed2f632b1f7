"""`probe`: finds out by asking what a server can do, and writes it down as an endpoint file."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from chatwright.errors import LoadError, SourceError
from chatwright.wires.quirks import Quirks
from chatwright.wrap.endpoint.asking import SECONDS, Asker
from chatwright.wrap.endpoint.findings import Finding, Findings
from chatwright.wrap.endpoint.model import ChatEndpoint
from chatwright.wrap.endpoint.probing import answers, asks
from chatwright.wrap.endpoint.probing.first import context, listed, plain
from chatwright.wrap.endpoint.probing.questions import COUNT, Topic

__all__ = ["probe"]

KEY_VARIABLE = "CHATWRIGHT_API_KEY"
_TOPICS = (*answers.TOPICS, *asks.TOPICS)


async def probe(
    url: str,
    *,
    model: str | None = None,
    wire: str = "openai",
    tell: Callable[[str], object] = lambda _: None,
    **fields: Any,
) -> Findings:
    """Find out what the server behind a URL can do, by some thirty short requests.

    Once it is known whether it streams, it is asked as the model will ask.

    Args:
        url: Where the server is; for OpenAI's wire, usually up to `/v1`, which is tried as well.
        model: The model's name. Default: the first that the server lists and that answers.
        wire: `openai`, `ollama`, `anthropic` or `responses`.
        tell: Is told what is being tried.
        **fields: Further fields of `ChatEndpoint`, such as `api_key`; without that one, the
            environment's key is used, and the file says so if it was needed.

    Returns:
        The findings; what could not be told is None.

    Raises:
        LoadError: The server does not answer even a plain question.
        SourceError: It can't be reached, or stays busy.
    """
    named = {} if model is None else {"model_name": model}
    fields = {"timeout": SECONDS, "max_retries": 0, "wire": wire, **fields}
    endpoint = ChatEndpoint(**{"base_url": url, **fields, **named})
    known = endpoint.model_name if model is not None or "#" in url else None
    findings = Findings(endpoint.base_url, known, wire, query=[*endpoint.query])
    asker = Asker(endpoint)
    tell("what it says of itself")
    models = await listed(asker, findings)
    tell("a plain question")
    asker.counted = await plain(asker, findings, models)
    if await _needs_key(asker):
        findings.fields["key_env"] = KEY_VARIABLE
        findings.notes.append(f"wants the environment variable {KEY_VARIABLE}")
    async for found in context(asker, findings, models):
        _keep(found, findings, asker)
    for topic in _TOPICS:
        if not topic.wires or wire in topic.wires:
            tell(topic.about)
            async for found in _found(topic, asker):
                _keep(found, findings, asker)
    findings.requests = asker.requests
    return findings


async def _needs_key(asker: Asker) -> bool:
    """Tell whether the key of the environment, if there is one, is what has it answer."""
    endpoint = asker.endpoint
    if endpoint.api_key is None or "api_key" in endpoint.model_fields_set:
        return False
    asker.endpoint = endpoint.model_copy(update={"api_key": None})
    try:
        return not (await asker.ask(COUNT, short=True)).accepted
    except SourceError:
        return True  # it does not say: the file is to work as this has
    finally:
        asker.endpoint = endpoint


def _keep(found: Finding, findings: Findings, asker: Asker) -> None:
    findings.found.append(found)
    if found.value is not None and found.name in Quirks.model_fields:
        asker.quirks[found.name] = found.value


async def _found(topic: Topic, asker: Asker) -> AsyncIterator[Finding]:
    """Yield what is found out; where the server fails to answer, that it could not be told."""
    told = set()
    try:
        async for found in topic.find(asker):
            told.add(found.name)
            yield found
    except (LoadError, SourceError) as error:
        for name in topic.names:
            if name not in told:
                yield Finding(name, None, f"{error}; try again later, or set it by hand")
