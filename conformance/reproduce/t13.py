"""Blocks in an `AIMessage`, as Anthropic's answers have, lose their text or their call."""

import sys

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from chatwright.testing import Upstream
from conformance.models import model
from conformance.reproduce import assistant

call = {"name": "look_up", "args": {"word": "Zurich"}, "id": "call_1"}
text = {"type": "text", "text": "Let me see."}
used = {"type": "tool_use", "id": "call_1", "name": "look_up", "input": {"word": "Zurich"}}
result = ToolMessage("a city", tool_call_id="call_1")
for what, history, words in (
    ("text", [AIMessage([text]), HumanMessage("Go on.")], ("Let me see.",)),
    (
        "text and a call",
        [AIMessage([text, used], tool_calls=[call]), result],
        ("Let me see.", "Zurich"),
    ),
):
    with Upstream(["Hi"]) as upstream:
        model(sys.argv[1], upstream).invoke([HumanMessage("Hi"), *history])
    sent = assistant(upstream.requests[0].body)
    if lost := [each for each in words if each not in sent]:
        print(f"of blocks of {what}, {lost} is lost: what is sent is {sent}")
        sys.exit(0)
sys.exit(1)
