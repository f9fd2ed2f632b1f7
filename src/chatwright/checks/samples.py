"""What several sections of rules say to models, and how they look at what arrives."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from pydantic import BaseModel, Field

from chatwright.checks.modes import STREAMING, Call
from chatwright.checks.rulebook import fail
from chatwright.checks.stage import OnUpstream
from chatwright.checks.trial import Trial
from chatwright.deltas import ToolCallDelta, Usage
from chatwright.testing import Received, little_llm

__all__ = [
    "ANSWERING",
    "CITY_JSON",
    "CITY_SCHEMA",
    "CITY_VALUE",
    "CLOCK",
    "FORMS",
    "QUESTION",
    "RESPONSE_FORMAT",
    "City",
    "CityDict",
    "arrived",
    "asks_for_json",
    "blocks_of",
    "bound",
    "calls_of",
    "claims",
    "conforming",
    "defined",
    "form_tool",
    "grown",
    "is_refusal",
    "is_whole",
    "misfit",
    "other_tool",
    "parsed_or_none",
    "pieces",
    "refs",
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
CLOCK = {
    "type": "function",
    "function": {
        "name": "clock",
        "description": "Tells the time.",
        "parameters": {"type": "object", "properties": {}},
    },
}
"""A tool without arguments, in OpenAI's form."""


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


def structured(model: Any, schema: Any, **kwargs: Any) -> Any:
    """Ask for a structured output, from here likewise."""
    return model.with_structured_output(schema, **kwargs)


# Tools.


class Measure(BaseModel):
    """A unit."""

    unit_name: str = Field(description="such as metre")


class FormClass(BaseModel):
    """Looks up by a class."""

    city: str = Field(description="the city of the class")
    measure: Measure | None = None


class FormDict(TypedDict):
    """Looks up by a TypedDict."""

    city: str


def form_function(city: str, count: int = 3) -> str:
    """Looks up by a function.

    Args:
        city: the city of the function
        count: how many
    """
    return city * count


@tool
def form_tool(city: str) -> str:
    """Looks up by a LangChain tool."""
    return city


@tool
def other_tool(count: int) -> str:
    """Counts by a LangChain tool."""
    return str(count)


def _runnable() -> Any:
    """Return a runnable made a tool."""

    def look(given: dict[str, Any]) -> Any:
        return given["city"]

    runnable: Any = RunnableLambda(look)
    return runnable.as_tool(
        name="form_runnable", description="Looks up by a runnable.", arg_types={"city": str}
    )


def _parameters() -> dict[str, Any]:
    return {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


FORMS: Mapping[str, tuple[Callable[[], Any], str, str]] = {
    "a LangChain tool": (lambda: form_tool, "form_tool", "Looks up by a LangChain tool"),
    "a function": (lambda: form_function, "form_function", "Looks up by a function"),
    "a pydantic class": (lambda: FormClass, "FormClass", "Looks up by a class"),
    "a TypedDict": (lambda: FormDict, "FormDict", "Looks up by a TypedDict"),
    "a JSON schema": (
        lambda: {"title": "form_schema", "description": "Looks up by a schema.", **_parameters()},
        "form_schema",
        "Looks up by a schema",
    ),
    "OpenAI's form": (
        lambda: {
            "type": "function",
            "function": {
                "name": "form_openai",
                "description": "Looks up by a form.",
                "parameters": _parameters(),
            },
        },
        "form_openai",
        "Looks up by a form",
    ),
    "a Runnable": (_runnable, "form_runnable", "Looks up by a runnable"),
}
"""The forms of a tool: what makes it, its name, and its description's beginning."""


# Schemas.


class City(BaseModel):
    """A city."""

    name: str
    people: int


class CityDict(TypedDict):
    """A city."""

    name: str
    people: int


CITY_SCHEMA: Mapping[str, Any] = {
    "title": "City",
    "description": "A city.",
    "type": "object",
    "properties": {"name": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["name", "people"],
}
CITY_VALUE = {"name": "Zürich", "people": 447082}
CITY_JSON = json.dumps(CITY_VALUE, ensure_ascii=False)
QUESTION = "Answer in JSON: what is the name of 'Zürich', and are there 447082 people?"
RESPONSE_FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "City", "schema": {**CITY_SCHEMA, "additionalProperties": False}},
}


def asks_for_json(received: Received) -> bool:
    """Tell whether a request wants an answer in JSON: by a field of its wire."""
    asked = received.asked
    wanted = asked is not None and asked.schema is not None
    return wanted or any(name in received.raw for name in (b'"output_format"', b'"output_config"'))


def conforming(received: Received) -> Iterator[Any]:
    """Answer as `little_llm` does, in small pieces; JSON without a schema is a city's as well."""
    asked = received.asked
    if asked is None:
        return
    system = "\n".join(text for _, text in asked.messages)
    wants_any = "Answer with one JSON object" in system
    if (asks_for_json(received) and not asked.schema) or wants_any:
        yield from (*pieces(CITY_JSON), Usage(9, 6))
        return
    for each in little_llm(received):
        if isinstance(each, str):
            yield from pieces(each)
        elif isinstance(each, ToolCallDelta) and isinstance(each.args, str) and each.args:
            first, *rest = pieces(each.args)
            yield replace(each, args=first)
            yield from (ToolCallDelta(each.index, args=more) for more in rest)
        else:
            yield each


def grown(call: Call) -> dict[str, Any]:
    """Return the result with `include_raw`; what streaming gives bit by bit is put together."""
    found: dict[str, Any] = {}
    for part in call.parts:
        if isinstance(part, Mapping):
            known = {name: each for name, each in part.items() if each is not None}
            found = {**dict.fromkeys(part), **found, **known}
    return found
