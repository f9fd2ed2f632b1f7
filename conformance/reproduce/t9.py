"""Arguments with other letters than ASCII's are escaped, within the JSON's own text."""

import sys

from langchain_core.messages import AIMessage, ToolMessage

from chatwright.deltas import ToolCallDelta
from chatwright.testing import Upstream
from conformance.models import model

call = {"name": "look_up", "args": {"word": "東京"}, "id": "call_1"}
with Upstream([ToolCallDelta(0, "call_1", "look_up", '{"word": "東京"}')]) as upstream:
    llm = model(sys.argv[1], upstream)
    came = [part["args"] for each in llm.stream("Hi") for part in each.tool_call_chunks]
    llm.invoke(
        [("user", "Hi"), AIMessage("", tool_calls=[call]), ToolMessage("a", tool_call_id="call_1")]
    )
    sent = str(upstream.requests[-1].body["messages"][1]["tool_calls"][0]["function"]["arguments"])
print(f"the pieces of a stream: {came}; of a history is sent: {sent}")
sys.exit("\\u" not in f"{''.join(filter(None, came))}{sent}")
