"""What models ask their backends, and what changes that."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from langchain_core.language_models import BaseChatModel
from langchain_core.rate_limiters import BaseRateLimiter
from pydantic import SecretStr

from chatwright.checks.calls.modes import Call
from chatwright.checks.targets.backends import OnUpstream
from chatwright.checks.trial import Trial
from chatwright.testing import Received

__all__ = [
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
    "key_of",
    "plain_fields",
    "ports",
    "sent",
]

SENT_AS = {
    "temperature": ("temperature",),
    "max_tokens": ("max_tokens", "max_completion_tokens", "max_output_tokens", "num_predict"),
    "top_p": ("top_p",),
    "seed": ("seed",),
}
"""What requests call the parameters."""
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
        "key": key_of(received),
        **{name: value for name, value in body.items() if name not in _NO_ANSWER},
    }


def key_of(received: Received) -> str | None:
    """Return the key that a request has; None where it has none."""
    return next((received.headers[name] for name in _KEYS if name in received.headers), None)


def different(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the names of what differs between two requests."""
    return [name for name in {**one, **other} if one.get(name) != other.get(name)]


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
