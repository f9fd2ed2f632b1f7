"""How rules look at what arrives, and at what comes of a call."""

import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel

from chatwright.checks.calls.modes import STREAMING, Call
from chatwright.checks.outcome import fail
from chatwright.checks.targets.backends import OnUpstream
from chatwright.checks.trial import Trial
from chatwright.testing import Received

__all__ = [
    "ANSWERING",
    "TEXT_ALONE",
    "answer_id",
    "arrived",
    "blocks_of",
    "bound",
    "calls_of",
    "claims",
    "defined",
    "describes",
    "forced",
    "is_accident",
    "is_bare",
    "is_refusal",
    "is_whole",
    "misfit",
    "numbered",
    "parsed_or_none",
    "pieces",
    "refs",
    "repeats",
    "requests",
    "said",
    "speaks_v3",
    "strings",
    "structured",
    "told",
    "ways",
    "wire",
]

ANSWERING = ("invoke", "ainvoke", *STREAMING)
"""The ways that give messages."""
TEXT_ALONE = ("text only", "only text", "text alone")
"""How models say that they take no blocks of other types."""


def ways(trial: Trial) -> Sequence[str]:
    """Return the ways to answer that are worth trying: a live model is called once."""
    return ANSWERING if trial.scripted else ("invoke",)


def speaks_v3(trial: Trial, version: str = "v0") -> Sequence[str]:
    """Return the ways of events v3 that a model has; nobody who can't stream has any."""
    if version != "v0" or not trial.has("streaming"):
        return ()
    found = [way for way in ("v3", "async_v3") if trial.call(way).error is None]
    return tuple(found)


def wire(trial: Trial, call: Call | None = None) -> str:
    """Return the name of the wire that a model speaks; nothing where it speaks none.

    Args:
        trial: The rule's trial.
        call: The call whose wire is meant. Default: a plain one.
    """
    if not trial.over_http:
        return ""
    seen = (call or trial.call("invoke")).received
    return OnUpstream.wire_of(seen[-1]) if seen else ""


def is_whole(received: Received) -> bool:
    """Tell whether the answer's calls go out as objects: malformed arguments can't be sent so."""
    path = received.path.partition("?")[0]
    asked = received.asked
    return path.endswith("/api/chat") or (
        path.endswith("/messages") and asked is not None and not asked.stream
    )


def requests(trial: Trial, call: Call) -> Sequence[Received]:
    """Return the last request of a call, if it can be seen; fail where none came and one had to."""
    if trial.scripted and not call.received:
        fail(f"{call.way}: nothing arrived at the backend", "a request")
    return call.received[-1:]


def answer_id(received: Received) -> str:
    """Return the id of the answer to a request; empty where its wire has none."""
    if received.asked is None or received.wire is None or received.wire.server is None:
        return ""
    return str(received.wire.server.writer(received.asked).whole().get("id") or "")


def arrived(received: Received) -> str:
    """Return all of a request's body as text, without escapes."""
    return json.dumps(received.body, ensure_ascii=False, default=repr)


def refs(schema: Any) -> Iterator[str]:
    """Yield what a schema refers to."""
    if isinstance(schema, Mapping):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].rpartition("/")[2]
        for each in schema.values():
            yield from refs(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from refs(each)


def defined(schema: Mapping[str, Any]) -> set[str]:
    """Return the names of what a schema defines."""
    return {*schema.get("$defs", ()), *schema.get("definitions", ())}


ROLES = {"system", "developer", "user", "assistant", "tool", "function"}


RESULT = "no signal"
"""What begins the results of the histories that are sent."""


def misfit(received: Received) -> str:
    """Return what OpenAI's API would refuse of a request's messages; empty where nothing."""
    body = received.body
    if not isinstance(body, Mapping) or not received.path.endswith("/chat/completions"):
        return ""
    made: set[Any] = set()
    for message in body.get("messages", ()):
        role = message.get("role")
        if role not in ROLES:
            return f"the role {role!r} is sent"
        for each in message.get("tool_calls") or ():
            args = (each.get("function") or {}).get("arguments")
            if not isinstance(args, str) or not isinstance(parsed_or_none(args), dict):
                return f"a call's arguments are sent as {args!r}, no text of a JSON object"
            made.add(each.get("id"))
        if made and role != "tool" and RESULT in str(message.get("content")):
            return f"the result of a call is sent by the role {role!r}"
        if role == "tool" and message.get("tool_call_id") not in made:
            return f"a result is sent for {message.get('tool_call_id')!r}; the calls are {made}"
    return ""


def strings(value: Any) -> Iterator[str]:
    """Yield all texts within a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from strings(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from strings(each)


def said(call: Call) -> str:
    """Return what came of a call, for a report."""
    if call.error is not None:
        return told(call.error)
    message = call.message
    return f"text {message.text!r}, calls {calls_of(message)}"


def told(error: BaseException) -> str:
    """Return an exception in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def is_refusal(error: BaseException, *words: str) -> bool:
    """Tell whether an exception says that something is not supported: it names the thing.

    Args:
        error: The exception.
        words: Names of the thing; one has to be in what the exception says.
    """
    if isinstance(error, AttributeError | LookupError | UnboundLocalError | AssertionError):
        return False
    text = str(error).lower()
    return isinstance(error, NotImplementedError) or any(each.lower() in text for each in words)


def pieces(text: str, size: int = 3) -> list[str]:
    """Return a text in pieces."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def parsed_or_none(text: str) -> Any:
    """Return the value that a text of pure JSON holds; None where it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def calls_of(message: Any) -> list[tuple[Any, Any]]:
    """Return the names and the arguments of a message's calls."""
    return [(each.get("name"), each.get("args")) for each in getattr(message, "tool_calls", ())]


def blocks_of(message: Any) -> list[Mapping[str, Any]]:
    """Return the blocks of a message's content; none where it is a str."""
    content = message.content
    return [each for each in content if isinstance(each, Mapping)] if content != "" else []


def claims(model: BaseChatModel, name: str) -> bool | None:
    """Return what a model's profile says of an ability; None where it says nothing."""
    profile = getattr(model, "profile", None)
    value = profile.get(name) if isinstance(profile, Mapping) else None
    return value if isinstance(value, bool) else None


def bound(model: Any, tools: Sequence[Any], **kwargs: Any) -> Any:
    """Bind tools, from here: a TypeError of this line is the model's, not the rule's."""
    return model.bind_tools(tools, **kwargs)


def forced(trial: Trial, tools: Sequence[Any]) -> tuple[Call | None, str]:
    """Force a call of tools.

    Returns:
        What came, or None and the model's own words where it says that it can't force any.
    """
    try:
        call = trial.call("invoke", model=bound(trial.model(), tools, tool_choice="any"))
    except (NotImplementedError, TypeError, ValueError) as error:
        if not is_refusal(error, "tool_choice"):
            raise
        return None, told(error)
    refused = call.error is not None and is_refusal(call.error, "tool_choice")
    return (None, said(call)) if refused else (call, "")


def describes(method: Any, parameter: str, words: str = "") -> bool:
    """Tell whether a method names a parameter of its own, and a kind of value for it.

    Args:
        method: The method.
        parameter: The parameter's name.
        words: A pattern of names of the kind: one has to be in the parameter's annotation, or in
            what the method's docstring says of it. Default: any kind will do.
    """
    try:
        found = inspect.signature(method).parameters.get(parameter)
    except (TypeError, ValueError):
        return False
    entry = rf"\b{parameter}\b.*?(?=\n\s*\w+( \([^)\n]*\))?:|\Z)"
    said = re.search(entry, method.__doc__ or "", re.DOTALL)
    told = f"{found.annotation if found else ''} {said[0] if said else ''}"
    return found is not None and re.search(words, told) is not None


def structured(model: Any, schema: Any, **kwargs: Any) -> Any:
    """Ask for a structured output, from here likewise."""
    return model.with_structured_output(schema, **kwargs)


_NUMBER = re.compile(r"70\d\d")


def numbered(count: int) -> list[str]:
    """Return so many questions, each with a number that nothing else is likely to hold."""
    return [f"question {7000 + n}" for n in range(count)]


def repeats(questions: Sequence[str], texts: Sequence[str]) -> bool:
    """Tell whether texts repeat the numbers of `numbered` questions, each its own and no other.

    Whatever else a model adds to a prompt, or to an answer, is its own business.
    """
    pairs = zip(questions, texts, strict=True)
    return all({*_NUMBER.findall(text)} == {*_NUMBER.findall(asked)} for asked, text in pairs)


def is_bare(error: BaseException | None) -> bool:
    """Tell whether an exception's class says nothing of what has failed."""
    return type(error).__module__ == "builtins" and not isinstance(error, OSError)


def is_accident(error: BaseException, *words: str) -> bool:
    """Tell whether nobody meant an exception: Python raised it, or pydantic, or the JSON parser.

    Args:
        error: The exception.
        words: Names of what may be refused: a `ValueError`, say, that has one of them was meant.
    """
    module = type(error).__module__.partition(".")[0]
    if module not in {"builtins", "json", "pydantic", "pydantic_core"}:
        return False
    return module != "builtins" or isinstance(error, TypeError) or not is_refusal(error, *words)
