"""The wires that LLMs' servers speak, each with both of its ends side by side. No I/O.

The client's end writes requests and reads answers; the server's end reads requests and writes
answers. Both are made of one description: a wire's `names`.
"""

import functools
from collections.abc import Mapping

from chatwright.core import plugins
from chatwright.wires import anthropic, ollama, openai, responses
from chatwright.wires.openai import DIALECTS
from chatwright.wires.wire import Wire

__all__ = ["DIALECTS", "WIRES", "wire_named"]

WIRES: Mapping[str, Wire] = {
    each.name: each for each in (openai.WIRE, ollama.WIRE, anthropic.WIRE, responses.WIRE)
}
"""Our wires by their names."""


@functools.cache
def wire_named(name: str) -> Wire:
    """Return a wire: ours, or one that an installed package has registered (`chatwright.wires`).

    Raises:
        ValueError: There is none of that name, or it is broken, or no wire.
    """
    if name in WIRES:
        return WIRES[name]
    wire = plugins.registered(plugins.WIRES, name)
    if wire is None:
        known = [*WIRES, *(each.name for each in plugins.plugins(plugins.WIRES))]
        raise ValueError(f"there is no wire {name!r}; there are {', '.join(known)}")
    if not isinstance(wire, Wire):
        raise ValueError(f"the wire {name!r} is {wire!r}, and no Wire")  # noqa: TRY004  pydantic's validators raise it
    return wire
