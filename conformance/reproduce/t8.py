"""A call whose arguments are empty text, as servers send where there are none, is lost."""

import sys

from chatwright.deltas import ToolCallDelta
from chatwright.testing import Upstream
from conformance.models import model


def told(answer):
    calls = [each["args"] for each in answer.tool_calls]
    return f"tool_calls {calls}, invalid_tool_calls {len(answer.invalid_tool_calls)}"


with Upstream([ToolCallDelta(0, "call_1", "clock", "")]) as upstream:
    llm = model(sys.argv[1], upstream)
    whole = llm.invoke("Hi")
    first, *rest = llm.stream("Hi")
streamed = sum(rest, first)
print(f"arguments '': by invoke {told(whole)}; by stream {told(streamed)}")
sys.exit(bool(whole.tool_calls and streamed.tool_calls))
