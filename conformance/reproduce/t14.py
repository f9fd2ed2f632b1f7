"""`bind_tools(..., strict=True)` is dropped without a word."""

import sys

from langchain_core.tools import tool

from chatwright.testing import Upstream
from conformance.models import model


@tool
def look_up(word: str) -> str:
    """Look a word up."""
    return word


with Upstream(["Hi"]) as upstream:
    model(sys.argv[1], upstream).bind_tools([look_up], strict=True).invoke("Hi")
    sent = upstream.requests[0].body["tools"]
print(f"strict=True: the tools that are sent: {sent}")
sys.exit("strict" in sent[0]["function"])
