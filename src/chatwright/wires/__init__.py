"""The wires that LLMs' servers speak, each with both of its ends side by side. No I/O.

The client's end writes requests and reads answers; the server's end reads requests and writes
answers. Both are made of one description: a wire's `names`.
"""

from collections.abc import Mapping

from chatwright.wires import anthropic, ollama, openai, responses
from chatwright.wires.openai import DIALECTS
from chatwright.wires.wire import Wire

__all__ = ["DIALECTS", "WIRES"]

WIRES: Mapping[str, Wire] = {
    each.name: each for each in (openai.WIRE, ollama.WIRE, anthropic.WIRE, responses.WIRE)
}
"""The wires by their names."""
