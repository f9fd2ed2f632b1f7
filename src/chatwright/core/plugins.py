"""What installed packages add: models, rules and wires, by their entry points."""

import warnings
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any, NamedTuple

__all__ = ["MODELS", "RULES", "WIRES", "Plugin", "loaded", "plugins", "registered", "tried"]

MODELS, RULES, WIRES = "chatwright.models", "chatwright.rules", "chatwright.wires"
"""The groups of entry points."""


class Plugin(NamedTuple):
    """Something that an installed package has registered.

    Attributes:
        name: The name by which it is known.
        target: Where it is: `package.module:attribute`, or a module alone.
        origin: The package and its version.
        load: Imports it; raises whatever that raises.
    """

    name: str
    target: str
    origin: str
    load: Callable[[], Any]


def plugins(group: str) -> list[Plugin]:
    """Return what installed packages have registered; nothing is imported.

    Args:
        group: One of the groups of entry points.
    """
    return [
        Plugin(each.name, each.value, _origin(each.dist), each.load)
        for each in sorted(metadata.entry_points(group=group))
    ]


def tried(group: str) -> Iterator[tuple[Plugin, str]]:
    """Import what installed packages have registered, and tell why it is broken where it is.

    Args:
        group: One of the groups of entry points.
    """
    for each in plugins(group):
        broken = ""
        try:
            each.load()
        except Exception as error:  # noqa: BLE001  whatever the package's import raises
            broken = f"{type(error).__name__}: {error}"
        yield each, broken


def loaded(group: str) -> list[Plugin]:
    """Import what installed packages have registered: what is broken is named, and left out.

    Args:
        group: One of the groups of entry points.
    """
    works = []
    for each, broken in tried(group):
        if not broken:
            works.append(each)
            continue
        warnings.warn(
            f"{each.origin} is broken: its {each.name!r} of {group} ({each.target}) is left out: "
            f"{broken}",
            stacklevel=2,
        )
    return works


def registered(group: str, name: str) -> Any:
    """Return what an installed package has registered by a name; None if none has.

    Args:
        group: One of the groups of entry points.
        name: The name.

    Raises:
        ValueError: Several packages have, or it is broken.
    """
    found = [each for each in plugins(group) if each.name == name]
    if len(found) > 1:
        ways = " or ".join(f"{each.target} ({each.origin})" for each in found)
        raise ValueError(f"several packages have registered {name!r}: {ways}")
    for each in found:
        try:
            return each.load()
        except Exception as error:
            raise ValueError(f"{name!r} of {each.origin} can't be loaded: {error}") from error
    return None


def _origin(package: metadata.Distribution | None) -> str:
    return "a package without a name" if package is None else f"{package.name} {package.version}"
