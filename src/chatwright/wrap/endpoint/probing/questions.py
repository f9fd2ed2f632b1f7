"""The questions that `probe` asks, and what a topic of them is."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, NamedTuple

from langchain_core.messages import HumanMessage

from chatwright.wrap.endpoint.asking import Asker
from chatwright.wrap.endpoint.findings import Finding

__all__ = ["COUNT", "HELLO", "REPORT", "SCHEMA", "TOOL", "Topic", "parsed"]

COUNT = [HumanMessage("Count from 1 to 20. Write numbers and commas, nothing else.")]
HELLO = [HumanMessage("Say hello.")]
REPORT = [HumanMessage("I saw 3 quokkas. Report them.")]
TOOL = {
    "type": "function",
    "function": {
        "name": "report_quokka",
        "description": "Reports how many quokkas were seen.",
        "parameters": {
            "type": "object",
            "properties": {"count": {"type": "integer"}},
            "required": ["count"],
        },
    },
}
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "quokka",
        "schema": {
            "type": "object",
            "properties": {"quokka": {"type": "string", "enum": ["q7"]}},
            "required": ["quokka"],
            "additionalProperties": False,
        },
    },
}


class Topic(NamedTuple):
    """One topic of what a server can do.

    Args:
        about: What it is about, in words.
        names: What is found out, where all goes well.
        find: Asks, and yields what it finds.
        wires: The wires that it is asked on; all of them, if empty.
    """

    about: str
    names: tuple[str, ...]
    find: Callable[[Asker], AsyncIterator[Finding]]
    wires: frozenset[str] = frozenset()


def parsed(text: str) -> Any:
    """Return the JSON in a text; None where there is none."""
    with suppress(ValueError):
        return json.loads(text)
    return None
