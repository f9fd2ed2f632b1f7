"""A history of Anthropic's form loses its text, or its call."""

import sys

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from chatwright.testing import Upstream
from conformance.models import model

call = {"name": "look_up", "args": {"word": "Zurich"}, "id": "call_1"}
used = {"type": "tool_use", "id": "call_1", "name": "look_up", "input": {"word": "Zurich"}}
history = [
    HumanMessage("Hi"),
    AIMessage([{"type": "text", "text": "Let me see."}, used], tool_calls=[call]),
    ToolMessage("a city", tool_call_id="call_1"),
]
with Upstream(["Hi"]) as upstream:
    model(sys.argv[1], upstream).invoke(history)
    sent = upstream.requests[0].raw.decode()
lost = [each for each in ("Let me see.", "Zurich") if each not in sent]
print(f"{lost} is lost of the assistant's text and call: {sent}")
sys.exit(not lost)
