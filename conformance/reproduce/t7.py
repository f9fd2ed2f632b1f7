"""A streamed call whose arguments were cut by the limit of tokens is a valid call."""

import sys

from chatwright.deltas import Finish, ToolCallDelta
from chatwright.testing import Upstream
from conformance.models import model

script = [ToolCallDelta(0, "call_1", "delete", '{"path": "/tm'), Finish("length")]
with Upstream(script) as upstream:
    first, *rest = model(sys.argv[1], upstream).stream("Hi")
    answer = sum(rest, first)
print(f"the arguments that came: {script[0].args}; tool_calls: {answer.tool_calls}")
sys.exit(not answer.tool_calls)
