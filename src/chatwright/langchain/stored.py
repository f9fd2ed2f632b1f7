"""What LangChain stores of a model: itself, and its answers."""

import functools
import warnings
from collections.abc import Mapping
from typing import Any

__all__ = ["warn_uncached", "with_own_secrets"]


@functools.cache
def warn_uncached(name: str, why: str) -> None:
    """Warn, once, that a model's answers are not cached, and say how they could be.

    Args:
        name: The model's name.
        why: What of it can't be told from another one's.
    """
    warnings.warn(
        f"the answers of {name} are not cached: {why}, and nothing tells it from another one; give "
        "the model a cache_key, a str that stands for it and for no other",
        stacklevel=3,
    )


def with_own_secrets(serialized: Any, secrets: Mapping[str, str]) -> Any:
    """Return a serialized model in which secrets stand by the names that its own class gives them.

    Core lets those of the base classes win (`load/serializable.py:239`, langchain-core 1.8.3), so
    that the key of a subclass would be looked for in `CHATWRIGHT_API_KEY`.

    Args:
        serialized: What core's `to_json` returns.
        secrets: The model's `lc_secrets`: environment variables by fields.
    """
    kwargs = serialized.get("kwargs", {})
    own = {
        field: {**told, "id": [secrets[field]]}
        for field, told in kwargs.items()
        if field in secrets and isinstance(told, dict) and told.get("type") == "secret"
    }
    return {**serialized, "kwargs": {**kwargs, **own}} if own else serialized
