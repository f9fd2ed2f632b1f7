"""Arguments that are no JSON object: a call that is valid, or an error, but no invalid call."""

import sys

from chatwright.deltas import ToolCallDelta
from chatwright.testing import Upstream
from conformance.models import model

with Upstream([ToolCallDelta(0, "call_1", "look_up", "[1, 2]")]) as upstream:
    try:
        answer = model(sys.argv[1], upstream).invoke("Hi")
    except ValueError as error:
        print(f"arguments '[1, 2]': {type(error).__name__}: {' '.join(str(error).split()):.150}")
        sys.exit(0)
print(f"arguments '[1, 2]': tool_calls {answer.tool_calls}, invalid {answer.invalid_tool_calls}")
sys.exit(not answer.tool_calls)
