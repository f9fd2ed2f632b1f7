"""A call whose arguments are broken JSON, beside a good one, is lost or raises."""

import sys

from chatwright.deltas import ToolCallDelta
from chatwright.testing import Upstream
from conformance.models import model

BROKEN = '{"word": '
script = [
    ToolCallDelta(0, "call_1", "look_up", '{"word": "cat"}'),
    ToolCallDelta(1, "call_2", "look_up", BROKEN),
]
with Upstream(script) as upstream:
    try:
        answer = model(sys.argv[1], upstream).invoke("Hi")
    except ValueError as error:
        print(f"invoke, call_2's arguments are {BROKEN!r}: {error!r}")
        sys.exit(0)
good = [each["id"] for each in answer.tool_calls]
bad = [each["id"] for each in answer.invalid_tool_calls]
print(f"invoke, call_2's arguments are {BROKEN!r}: tool_calls {good}, invalid_tool_calls {bad}")
sys.exit((good, bad) == (["call_1"], ["call_2"]))
