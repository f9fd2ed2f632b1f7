"""A `tool_choice` is sent as something else, not sent, or refused where another word is taken."""

import sys

from langchain_core.tools import tool

from chatwright.testing import Upstream
from conformance.models import model
from conformance.reproduce import compact


@tool
def look_up(word: str) -> str:
    """Look a word up."""
    return word


@tool
def clock(zone: str) -> str:
    """Tell the time."""
    return zone


right = {
    "none": ("none", {"type": "none"}),
    "any": ("any", "required", {"type": "any"}),
    "clock": (
        {"type": "function", "function": {"name": "clock"}},
        {"type": "function", "name": "clock"},
        {"type": "tool", "name": "clock"},
    ),
}
for choice, accepted in right.items():
    with Upstream(["Hi"]) as upstream:
        llm = model(sys.argv[1], upstream)
        try:
            llm.bind_tools([look_up, clock], tool_choice=choice).invoke("Hi")
        except ValueError as error:
            if choice == "clock":
                continue  # a server need not be able to force one tool
            print(f"bind_tools([look_up, clock], tool_choice={choice!r}): {error!r}")
            sys.exit(0)
        body = upstream.requests[0].body
    sent = body.get("tool_choice")
    if sent not in accepted and (choice != "none" or "tools" in body):
        told = f"tool_choice={choice!r} is sent as {compact(sent)}"
        if isinstance(sent, dict) and choice == "none":
            told += ", which names a tool that there is not: Anthropic's API refuses that"
        print(told)
        sys.exit(0)
sys.exit(1)
