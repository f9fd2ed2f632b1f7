"""`stream` and `astream` give different messages for the same answer."""

import asyncio
import sys

from chatwright.deltas import ToolCallDelta
from chatwright.testing import Upstream
from conformance.models import model


async def astream():
    return [each.additional_kwargs async for each in llm.astream("Hi")]


with Upstream([ToolCallDelta(0, "call_1", "look_up", '{"word": "cat"}')]) as upstream:
    llm = model(sys.argv[1], upstream)
    sync = {name for each in llm.stream("Hi") for name in each.additional_kwargs}
    other = {name for each in asyncio.run(astream()) for name in each}
print(f"additional_kwargs has {sorted(sync)} by stream, and {sorted(other)} by astream")
sys.exit(sync == other)
