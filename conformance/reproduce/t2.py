"""A `tool_choice` that LangChain defines is sent as something else, not sent, or refused."""

import sys

from langchain_core.tools import tool

from chatwright.testing import Upstream
from conformance.models import model


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
        {"type": "tool", "name": "clock"},
    ),
}
for choice, accepted in right.items():
    with Upstream(["Hi"]) as upstream:
        try:
            model(sys.argv[1], upstream).bind_tools([look_up, clock], tool_choice=choice).invoke(
                "Hi"
            )
        except ValueError as error:
            print(f"tool_choice={choice!r} is refused: {error!r}")
            sys.exit(0)
        sent = upstream.requests[0].body.get("tool_choice")
    if sent not in accepted:
        print(f"tool_choice={choice!r} is sent as {sent}")
        sys.exit(0)
sys.exit(1)
