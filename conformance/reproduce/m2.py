"""Under output_version="v1", blocks of two types have one index, and spoil each other."""

import sys

from chatwright.deltas import ToolCallDelta
from chatwright.testing import Upstream
from conformance.models import model

script = ["On the mat.", ToolCallDelta(0, "call_1", "look_up", '{"word": "cat"}')]
kinds = {}
with Upstream(script) as upstream:
    for chunk in model(sys.argv[1], upstream, output_version="v1").stream("Hi"):
        for block in chunk.content if isinstance(chunk.content, list) else ():
            kinds.setdefault(block.get("index"), set()).add(block["type"])
print(
    f"types of blocks by their indexes: { {index: sorted(each) for index, each in kinds.items()} }"
)
sys.exit(all(len(each) == 1 for each in kinds.values()))
