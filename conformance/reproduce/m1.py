"""Reasoning that the server sends is not in the blocks of an answer, in some way or in any."""

import sys

from chatwright.deltas import Reasoning
from chatwright.testing import Upstream
from conformance.models import model

with Upstream([Reasoning("Hm."), "On the mat."]) as upstream:
    llm = model(sys.argv[1], upstream)
    first, *rest = llm.stream("Hi")
    streamed = [each["type"] for each in sum(rest, first).content_blocks]
    whole = [each["type"] for each in llm.invoke("Hi").content_blocks]
print(f"blocks by stream: {streamed}, by invoke: {whole}")
sys.exit("reasoning" in streamed and "reasoning" in whole)
