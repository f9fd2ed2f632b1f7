"""The doubles that Chatwright tests itself with.

`ScriptedModel` answers from a script, fails where that says so, and remembers what it was asked.
`Upstream` is a server on loopback that plays scripts over OpenAI's, Ollama's and Anthropic's wires.
"""

from chatwright.testing.doubles import Pause, Raise, ScriptedModel
from chatwright.testing.fake_llm import little_llm
from chatwright.testing.play import Bytes, Cut, Noise, Refuse, Stall, cut_at_stop
from chatwright.testing.substitute import substitute
from chatwright.testing.upstream import Received, Upstream

__all__ = [
    "Bytes",
    "Cut",
    "Noise",
    "Pause",
    "Raise",
    "Received",
    "Refuse",
    "ScriptedModel",
    "Stall",
    "Upstream",
    "cut_at_stop",
    "little_llm",
    "substitute",
]
