"""`bind_tools` names `strict`, and `strict=True` is dropped without a word."""

import inspect
import sys

from langchain_core.tools import tool

from chatwright.testing import Upstream
from conformance.models import model
from conformance.reproduce import compact


@tool
def look_up(word: str) -> str:
    """Look a word up."""
    return word


with Upstream(["Hi"]) as upstream:
    llm = model(sys.argv[1], upstream)
    llm.bind_tools([look_up], strict=True).invoke("Hi")
    sent = upstream.requests[0].body["tools"][0]
named = "strict" in inspect.signature(type(llm).bind_tools).parameters
print(f"bind_tools([look_up], strict=True) sends the tool {compact(sent)}")
sys.exit(not named or "strict" in compact(sent))
