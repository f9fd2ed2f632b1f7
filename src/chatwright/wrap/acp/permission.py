"""What an agent may do: by the name, the title or the kind of the tool. No I/O."""

from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["chosen", "is_allowed"]

_ONCE_FIRST = {True: ("allow_once", "allow_always"), False: ("reject_once", "reject_always")}


def is_allowed(names: Iterable[str], allow: Iterable[str]) -> bool:
    """Tell whether a tool may be used.

    Args:
        names: What it is called: its name, its title, its kind.
        allow: What is allowed: such a name, in small letters or large; with a `*` at its end, all
            names that begin so.
    """
    given = [each.casefold() for each in names]
    for each in map(str.casefold, allow):
        start = each.removesuffix("*")
        if any(name == each or (start != each and name.startswith(start)) for name in given):
            return True
    return False


def chosen(options: Sequence[Any], *, allowed: bool) -> str | None:
    """Return the id of the option to choose, for this once where that can be chosen.

    Args:
        options: The protocol's `PermissionOption`s.
        allowed: Whether it is allowed.

    Returns:
        None where no option says this; the request is then to be answered as cancelled.
    """
    by_kind = {each.kind: each.option_id for each in reversed(options)}
    return next((by_kind[kind] for kind in _ONCE_FIRST[allowed] if kind in by_kind), None)
