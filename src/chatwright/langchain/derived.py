"""What a model derives from its fields: made anew when they change, and never copied or pickled."""

import functools
import inspect
from typing import Any

from pydantic import BaseModel

__all__ = ["derive_anew", "derived", "derives_late", "has_own_init"]

_AROUND = "original_model_post_init"


def derive_anew(
    model: BaseModel, base: type[BaseModel], lasting: frozenset[str] = frozenset()
) -> None:
    """Forget what a model has derived from its fields.

    That is cached properties, core's serialized form among them, and what `model_post_init` made.

    Args:
        model: The model.
        base: The class whose own `model_post_init` does not count.
        lasting: Names of cached properties that are kept. Default: none.
    """
    for name in derived(type(model), lasting):
        model.__dict__.pop(name, None)
    if derives_late(type(model), base):
        object.__setattr__(model, "__pydantic_private__", None)
        model.model_post_init(None)


@functools.cache
def derived(cls: type[BaseModel], lasting: frozenset[str]) -> tuple[str, ...]:
    """Return the names of the cached properties that follow the fields."""
    names = {
        name
        for each in cls.__mro__
        for name, value in vars(each).items()
        if isinstance(value, functools.cached_property)
    }
    return tuple(names - lasting)


@functools.cache
def derives_late(cls: type[BaseModel], base: type[BaseModel]) -> bool:
    """Tell whether a class has a `model_post_init` that its author wrote."""
    return _written_post_init(cls) is not _written_post_init(base)


@functools.cache
def has_own_init(cls: type[BaseModel], base: type[BaseModel]) -> bool:
    """Tell whether private attributes may hold what no field does."""
    below = cls.__mro__[: cls.__mro__.index(base)]
    return any("__init__" in vars(each) and not _is_ours(each) for each in below)


def _is_ours(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == "chatwright"


def _written_post_init(cls: type[BaseModel]) -> Any:
    """Return what somebody wrote: around it stands one of pydantic's, if there are private fields.

    That is `ModelMetaclass.__new__` of pydantic 2.14.
    """
    written: Any = cls.model_post_init
    while _AROUND in (cells := inspect.getclosurevars(written).nonlocals):
        written = cells[_AROUND]
    return written
