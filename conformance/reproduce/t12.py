"""The calls of an `AIMessage` are not sent: results go out for calls that nobody made."""

import sys

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from chatwright.testing import Upstream
from conformance.models import model
from conformance.reproduce import assistant

call = {"name": "look_up", "args": {"word": "Zurich"}, "id": "call_1"}
history = [
    HumanMessage("Hi"),
    AIMessage("", tool_calls=[call]),
    ToolMessage("a city", tool_call_id="call_1"),
]
with Upstream(["Hi"]) as upstream:
    model(sys.argv[1], upstream).invoke(history)
sent = assistant(upstream.requests[0].body)
print(f"AIMessage('', tool_calls=[look_up(word='Zurich')]) and its result are sent as {sent}")
sys.exit("Zurich" in sent)
