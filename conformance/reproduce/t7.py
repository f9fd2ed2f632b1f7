"""A call whose arguments were cut by the limit of tokens raises, or is a valid call."""

import sys

from chatwright.deltas import Finish, ToolCallDelta
from chatwright.testing import Upstream
from conformance.models import model

script = [ToolCallDelta(0, "call_1", "delete", '{"path": "/tm'), Finish("length")]
with Upstream(script) as upstream:
    llm = model(sys.argv[1], upstream)
    try:
        answer = llm.invoke("Hi")
        if not answer.tool_calls:
            first, *rest = llm.stream("Hi")
            answer = sum(rest, first)
    except ValueError as error:
        print(f"the arguments that came: {script[0].args}; {error!r}")
        sys.exit(0)
print(f"the arguments that came: {script[0].args}; tool_calls: {answer.tool_calls}")
sys.exit(not answer.tool_calls)
