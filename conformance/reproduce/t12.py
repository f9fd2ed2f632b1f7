"""A history loses the calls of an answer, so that results are sent for calls that nobody made."""

import sys

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from chatwright.testing import Upstream
from conformance.models import model

call = {"name": "look_up", "args": {"word": "Zurich"}, "id": "call_1"}
history = [
    HumanMessage("Hi"),
    AIMessage("", tool_calls=[call]),
    ToolMessage("a city", tool_call_id="call_1"),
]
with Upstream(["Hi"]) as upstream:
    model(sys.argv[1], upstream).invoke(history)
    sent = upstream.requests[0].raw.decode()
print(f"a call of look_up('Zurich') and its result are sent as {sent}")
sys.exit("Zurich" in sent)
