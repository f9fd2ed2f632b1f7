"""What models ask their backends, what changes that, and what changes their cache keys."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from langchain_core.language_models import BaseChatModel
from langchain_core.rate_limiters import BaseRateLimiter
from pydantic import SecretStr

from chatwright.checks.calls.modes import Call
from chatwright.checks.targets.backends import OnUpstream
from chatwright.checks.trial import LOOK_UP, WORD, Trial
from chatwright.testing import Received

__all__ = [
    "CALLED_WITH",
    "OWN_VALUES",
    "SENT_AS",
    "Limiter",
    "ask",
    "ask_whole",
    "asked_by",
    "asked_model",
    "at_one_address",
    "different",
    "find",
    "fresh",
    "plain_fields",
    "ports",
    "sent",
    "stale",
]

SENT_AS = {
    "temperature": ("temperature",),
    "max_tokens": ("max_tokens", "max_completion_tokens", "max_output_tokens", "num_predict"),
    "top_p": ("top_p",),
    "seed": ("seed",),
}
"""What requests call the parameters."""
_OTHER_TOOL: dict[str, Any] = {"type": "function", "function": {"name": "sing", "parameters": {}}}
_SAME_NAME: dict[str, Any] = {"type": "function", "function": {"name": "sing", "parameters": WORD}}
CALLED_WITH: tuple[dict[str, Any], ...] = (
    *({}, {"stop": ["a"]}, {"stop": ["b"]}, {"temperature": 0.137}, {"temperature": 0.263}),
    *(
        {"model": "other"},
        {"max_tokens": 5017},
        {"seed": 1017},
        {"response_format": {"type": "json_object"}},
    ),
    *({"tools": [LOOK_UP]}, {"tools": [_OTHER_TOOL]}, {"tools": [_SAME_NAME]}),
    {"tools": [LOOK_UP], "tool_choice": "any"},
)
"""Parameters of calls that must not share a cache key: no model's defaults, which may."""
OWN_VALUES: tuple[tuple[str, Any, Any], ...] = (
    ("model", "one-model", "another-model"),
    *(("temperature", 0.1, 0.9), ("max_tokens", 5, 6), ("top_p", 0.1, 0.9), ("seed", 1, 2)),
    ("stop", ["a"], ["b"]),
)
"""Parameters of constructors, and two values of each."""
MOST_FIELDS = 40
"""How many of a class's fields are tried."""

_CHANGING = {"model", "model_name", *SENT_AS}
"""Fields that change answers, whatever the model."""
_NO_ANSWER = frozenset({"stream", "stream_options"})
"""What a request has that does not change the answer."""
_KEYS = ("authorization", "x-api-key", "api-key", "x-goog-api-key")


def at_one_address(trial: Trial) -> dict[str, Any]:
    """Return the fields that several models need to have one address: it may be in their keys."""
    stage = trial.shared.stage
    return {"base_url": stage.address(None, [])} if isinstance(stage, OnUpstream) else {}


def ports(trial: Trial) -> list[int | None]:
    """Return the ports of the fake upstream."""
    stage = trial.shared.stage
    return [urlsplit(stage.upstream.url).port] if isinstance(stage, OnUpstream) else []


def ask(trial: Trial, model: Any, **kwargs: Any) -> dict[str, Any] | None:
    """Ask a model, and return what it asked its backend; None where it failed.

    What is new in each request, such as an id of its own, is left out.

    Args:
        trial: What the rule was given.
        model: The model.
        **kwargs: The call's parameters.
    """
    new = fresh(trial)
    call = trial.call("invoke", "Hi", model=model, **kwargs)
    if call.error is not None or not call.received:
        return None
    asked = asked_by(call.received[-1])
    return {name: value for name, value in asked.items() if name not in new}


def fresh(trial: Trial) -> frozenset[str]:
    """Return the names of what is new in each request of the plain model, such as its id."""
    if trial.shared.fresh is None:
        plain = trial.model()
        trial.shared.fresh = frozenset()
        one, other = ask(trial, plain), ask(trial, plain)
        trial.shared.fresh = frozenset(different(one or {}, other or {}))
    return trial.shared.fresh


def ask_whole(trial: Trial, model: Any) -> dict[str, Any] | None:
    """Ask as `ask` does, and return the headers of the request as well."""
    asked = ask(trial, model)
    headers = trial.made[-1].received[-1].headers if asked is not None else {}
    return None if asked is None else {**asked, **{f"header {k}": headers[k] for k in headers}}


def asked_by(received: Received) -> dict[str, Any]:
    """Return what a request asks, with the path and the key, and without how it is answered."""
    body = received.body if isinstance(received.body, dict) else {"body": received.body}
    return {
        "path": received.path,
        "key": next((received.headers[name] for name in _KEYS if name in received.headers), None),
        **{name: value for name, value in body.items() if name not in _NO_ANSWER},
    }


def different(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the names of what differs between two requests."""
    return [name for name in {**one, **other} if one.get(name) != other.get(name)]


def _changed(model: BaseChatModel) -> Iterator[tuple[str, Any]]:
    """Yield the fields of numbers and switches that the class adds, each with another value."""
    for name, each in type(model).model_fields.items():
        if name in BaseChatModel.model_fields:
            continue
        value, kind = getattr(model, name, None), str(each.annotation)
        if isinstance(value, bool):
            yield name, not value
        elif isinstance(value, int | float):
            yield name, type(value)(value + 1) if isinstance(value, int) else value / 2 + 0.125
        elif value is None and "float" in kind:
            yield name, 0.25
        elif value is None and "int" in kind:
            yield name, 7


def stale(trial: Trial, model: Any) -> Iterator[tuple[bool, str]]:
    """Yield what changes a request, and not the cache key that was asked for before.

    With each, whether it is the model's fault, and changes answers: it is core's where the key
    changes without `_serialized`, which core keeps (langchain-ai/langchain#39598).
    """
    key, asked = model._get_llm_string(), ask(trial, model)  # noqa: SLF001  no other way
    for name, value in [*_changed(model)][:MOST_FIELDS]:
        if not trial.over_http and name not in SENT_AS:
            continue  # requests that are not sent hold nothing else
        copy = model.model_copy(update={name: value})
        now = ask(trial, copy)
        if asked is None or now is None or not different(asked, now):
            continue
        if copy._get_llm_string() == key:  # noqa: SLF001
            got = f"{name}={value!r} by model_copy changes the request, and not the key"
            yield name in _CHANGING and not _kept_by_core(copy), got
        mutable = model.model_copy()
        mutable._get_llm_string()  # noqa: SLF001
        try:
            setattr(mutable, name, value)
        except (TypeError, ValueError):  # frozen, or refused
            continue
        if mutable._get_llm_string() == key:  # noqa: SLF001
            got = f"{name} set to {value!r} changes the request, and not the key"
            yield name in _CHANGING and not _kept_by_core(mutable), got


def _kept_by_core(model: BaseChatModel) -> bool:
    """Tell whether a model's key is another one without what core keeps for it."""
    bare = model.model_copy()
    bare.__dict__.pop("_serialized", None)
    return bare._get_llm_string() != model._get_llm_string()  # noqa: SLF001


def sent(call: Call, name: str) -> Any:
    """Return a parameter as the last request of a call has it; None where it has not."""
    return find(call.received[-1].body, name) if call.received else None


def asked_model(call: Call) -> str | None:
    """Return the model that the last request of a call asked for."""
    asked = call.received[-1].asked if call.received else None
    return asked.model if asked else None


def find(body: Any, name: str) -> Any:
    """Return a parameter as a request has it; None where it has not."""
    if isinstance(body, Mapping):
        for key in SENT_AS[name]:
            if key in body:
                return body[key]
        for nested in ("options", "parameters", "generation_config"):
            if nested in body:
                return find(body[nested], name)
    return None


def plain_fields(model: BaseChatModel) -> dict[str, Any]:
    """Return the fields that hold plain values: numbers, texts, secrets, and lists of them."""
    values = {name: getattr(model, name, None) for name in type(model).model_fields}
    return {name: value for name, value in values.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_is_plain(each) for each in value.values())
    if isinstance(value, list | tuple):
        return all(_is_plain(each) for each in value)
    return value is None or isinstance(value, str | int | float | SecretStr)


class Limiter(BaseRateLimiter):
    """A rate limiter that counts, and never waits."""

    def __init__(self) -> None:
        """Start at none."""
        self.asked = 0

    def acquire(self, *, blocking: bool = True) -> bool:
        """Count."""
        del blocking
        self.asked += 1
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        """Count."""
        return self.acquire(blocking=blocking)
