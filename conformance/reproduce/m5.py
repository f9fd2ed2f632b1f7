"""A model's own streamed answer is not sent back whole, in its role, and in the API's form."""

import sys

from chatwright.deltas import ToolCallDelta
from chatwright.testing import Upstream
from conformance.models import model
from conformance.reproduce import assistant

script = [
    "Let me see.",
    ToolCallDelta(0, "call_1", "look_up", '{"word": "Zurich"}'),
]
for way in ("stream", "v3"):
    with Upstream(script) as upstream:
        llm = model(sys.argv[1], upstream)
        if way == "stream":
            first, *rest = llm.stream("Hi")
            answer = sum(rest, first)
        else:
            answer = llm.stream_events("Hi", version="v3").output
        llm.invoke(["Hi", answer, {"role": "tool", "content": "a", "tool_call_id": "call_1"}])
    sent = assistant(upstream.requests[-1].body)
    if "Zurich" not in sent or '"type":"tool_call"' in sent:
        print(f"the answer of {way}, a text and a call, and its result are sent back as {sent}")
        sys.exit(0)
sys.exit(1)
