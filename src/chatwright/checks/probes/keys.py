"""What cache keys have to tell apart."""

import warnings
from collections.abc import Iterator
from typing import Any

from langchain_core.caches import InMemoryCache
from langchain_core.language_models import BaseChatModel

from chatwright.checks.outcome import expect, skip
from chatwright.checks.probes.requests import SENT_AS, ask, different
from chatwright.checks.trial import LOOK_UP, WORD, Trial

__all__ = ["CALLED_WITH", "OWN_VALUES", "expect_apart", "expect_uncached", "has_cores_key", "stale"]

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


def expect_uncached(trial: Trial, error: Exception) -> None:
    """Pass over the rule if a model without a key answers beside a cache, and puts nothing in."""
    cache = InMemoryCache()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is not cached may be warned of
        answered = trial.call("invoke", "Hi", model=trial.model(cache=cache))
    if answered.error is None and not cache._cache:  # noqa: SLF001  there is no other way
        skip(f"it has no key, and is not cached: {type(error).__name__}: {error}")
    raise error


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


def expect_apart(keys: list[tuple[str, str]]) -> None:
    """Fail if two of some keys, each with what it is of, are the same."""
    seen: dict[str, str] = {}
    for what, key in keys:
        expect(key not in seen, f"{what} and {seen.get(key)} have one key", "two")
        seen[key] = what


def has_cores_key(model: BaseChatModel) -> bool:
    """Tell whether a model's cache key is the one that core makes."""
    return type(model)._get_llm_string is BaseChatModel._get_llm_string  # noqa: SLF001


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
