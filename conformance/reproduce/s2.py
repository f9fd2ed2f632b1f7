"""A stream loses the reason of its end, which invoke tells."""

import sys

from chatwright.testing import Upstream
from conformance.models import model

with Upstream(["The ", "cat."]) as upstream:
    llm = model(sys.argv[1], upstream)
    whole = llm.invoke("Hi").response_metadata.get("finish_reason")
    streamed = [each.response_metadata.get("finish_reason") for each in llm.stream("Hi")]
print(f"finish_reason by invoke: {whole!r}; in the chunks of stream: {streamed}")
sys.exit(whole in streamed)
