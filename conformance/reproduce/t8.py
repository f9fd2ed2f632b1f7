"""A call whose arguments are empty text, as servers send where there are none, is lost."""

import sys

from chatwright.deltas import ToolCallDelta
from chatwright.testing import Upstream
from conformance.models import model

with Upstream([ToolCallDelta(0, "call_1", "clock", "")]) as upstream:
    answer = model(sys.argv[1], upstream).invoke("Hi")
print(f"arguments '': tool_calls {answer.tool_calls}, invalid {answer.invalid_tool_calls}")
sys.exit(bool(answer.tool_calls))
