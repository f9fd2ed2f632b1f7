"""Reasoning that the server sends is a block of an answer in one way of calling, not in another."""

import sys

from chatwright.deltas import Reasoning
from chatwright.testing import Upstream
from conformance.models import model

with Upstream([Reasoning("Hm."), "On the mat."]) as upstream:
    llm = model(sys.argv[1], upstream)
    first, *rest = llm.stream("Hi")
    streamed = [each["type"] for each in sum(rest, first).content_blocks]
    whole = [each["type"] for each in llm.invoke("Hi").content_blocks]
print(f"types of content_blocks by stream: {streamed}, by invoke: {whole}")
sys.exit(("reasoning" in streamed) == ("reasoning" in whole))
