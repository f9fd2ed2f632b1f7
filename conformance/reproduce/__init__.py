"""One script per rule that fails somewhere: `python -m conformance.reproduce.e4 ChatGroq`.

They know nothing of check: a model of LangChain's, and a fake server on loopback, which accepts
all. The exit code is 0, with a line of evidence, where the fault is there, and 1 where it is not.
The docstring's first line is what docs/conformance.md says of the fault.
"""

import json
from typing import Any

__all__ = ["assistant", "compact"]


def compact(thing: Any) -> str:
    """Return JSON, without spaces."""
    return json.dumps(thing, ensure_ascii=False, separators=(",", ":"))


def assistant(body: Any) -> str:
    """Return what a request says between the user's first words and the end: the answer's part."""
    return " ".join(map(compact, (body.get("messages") or body.get("input"))[1:]))
