"""What installed packages add: models, rules and wires, by their entry points."""

import warnings
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any, NamedTuple

__all__ = ["MODELS", "RULES", "WIRES", "Plugin", "loaded", "plugins"]

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


def loaded(group: str) -> Iterator[tuple[Plugin, Any]]:
    """Import what installed packages have registered: what is broken is named, and left out.

    Args:
        group: One of the groups of entry points.
    """
    for each in plugins(group):
        try:
            yield each, each.load()
        except Exception as error:  # noqa: BLE001  whatever the package's import raises
            told = f"{type(error).__name__}: {error}"
            warnings.warn(
                f"{each.origin} is broken: its {each.name!r} of {group} ({each.target}) is left "
                f"out: {told}",
                stacklevel=2,
            )


def _origin(package: metadata.Distribution | None) -> str:
    return "a package without a name" if package is None else f"{package.name} {package.version}"
