"""A little LLM: it does what its request says, always in the same way."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from chatwright.deltas import ToolCallDelta, Usage
from chatwright.testing.prompted_answers import answered, example
from chatwright.testing.upstream import Received

__all__ = ["little_llm"]

_SAID = ("The ", "cat ", "sat ", "on ", "the ", "mat.")


def little_llm(received: Received) -> Iterator[Any]:
    """Answer a request, as a script of `Upstream`'s does: the one to test agents with.

    Where a schema is asked for, it answers with JSON that conforms to it; where tools are offered
    and no result has come yet, it calls the one that is named, or the first; where they are taught
    in the system prompt, it writes the call as that says. Else it says where the cat sat. Values
    come from the question: the first number, and the first word in quotes.

    Args:
        received: The request.
    """
    asked = received.asked
    if asked is None:
        yield from _SAID
        return
    role, question = asked.messages[-1] if asked.messages else ("user", "")
    system = "\n".join(text for role, text in asked.messages if role in {"system", "developer"})
    if asked.schema is not None:
        keys = dict.fromkeys(re.findall(r"'(\w+)'", question), "something")
        yield json.dumps(example(asked.schema, question) if asked.schema else keys)
    elif asked.tools and asked.tool_choice != "none" and role != "tool":
        yield from _called(asked.tools, asked.tool_choice, question)
    elif written := answered(system, question):
        yield written
    else:
        yield from _SAID
    yield Usage(9, 6)


def _called(tools: Mapping[str, Any], choice: Any, question: str) -> Iterator[Any]:
    """Yield a call in two pieces."""
    named = choice.get("function", choice).get("name") if isinstance(choice, dict) else choice
    name = named if named in tools else next(iter(tools))
    args = json.dumps(example(tools[name], question), ensure_ascii=False)
    yield ToolCallDelta(0, "call_1", name, args[:5])
    yield ToolCallDelta(0, args=args[5:])
