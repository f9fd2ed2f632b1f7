"""`tool_choice="none"` is sent as the name of a tool, which forces a call of it."""

import sys

from langchain_core.tools import tool

from chatwright.testing import Upstream
from conformance.models import model


@tool
def look_up(word: str) -> str:
    """Look a word up."""
    return word


with Upstream(["Hi"]) as upstream:
    model(sys.argv[1], upstream).bind_tools([look_up], tool_choice="none").invoke("Hi")
    sent = upstream.requests[0].body["tool_choice"]
print(f"tool_choice='none' is sent as {sent}")
sys.exit(sent in ("none", {"type": "none"}))
