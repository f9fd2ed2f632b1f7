"""A stream that is closed goes on at the server: its connection stays open."""

import asyncio
import sys
import time

from chatwright.testing import Pause, Upstream
from conformance.models import model


def close(llm):
    stream = llm.stream("Hi")
    _ = next(stream), next(stream)
    stream.close()
    time.sleep(1)


async def aclose(llm):
    stream = llm.astream("Hi")
    _ = await anext(stream), await anext(stream)
    await stream.aclose()
    await asyncio.sleep(1)


for what in ("close", "aclose"):
    with Upstream(["a", *[Pause(0.02), "b"] * 250]) as upstream:
        llm = model(sys.argv[1], upstream)
        close(llm) if what == "close" else asyncio.run(aclose(llm))
        if upstream.requests[0].ended is None:
            print(f"a second after {what}(), the server is still sending")
            sys.exit(0)
sys.exit(1)
