"""Under output_version="v1", a streamed call after text is lost from `content_blocks`."""

import sys

from chatwright.deltas import ToolCallDelta
from chatwright.testing import Upstream
from conformance.models import model

script = ["Let me look.", ToolCallDelta(0, "call_1", "look_up", '{"word": "cat"}')]
with Upstream(script) as upstream:
    first, *rest = model(sys.argv[1], upstream, output_version="v1").stream("Hi")
kinds = [each["type"] for each in sum(rest, first).content_blocks]
print(f"text and a call were sent; the sum of the chunks has the blocks {kinds}")
sys.exit("tool_call" in kinds)
