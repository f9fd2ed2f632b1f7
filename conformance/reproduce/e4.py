"""A stream that is closed goes on at the server: its connection stays open."""

import asyncio
import sys
import time

from chatwright.testing import Pause, Upstream
from conformance.models import model


def close(llm, upstream):
    stream = llm.stream("Hi")
    _ = next(stream), next(stream)
    stream.close()
    time.sleep(1)
    return upstream.requests[0].ended is None


async def aclose(llm, upstream):
    stream = llm.astream("Hi")
    _ = await anext(stream), await anext(stream)
    await stream.aclose()
    await asyncio.sleep(1)
    return upstream.requests[0].ended is None  # the end of the loop closes it


for what in (close, aclose):
    with Upstream(["a", *[Pause(0.02), "b"] * 250]) as upstream:
        goes_on = what(model(sys.argv[1], upstream), upstream)
        if asyncio.run(goes_on) if what is aclose else goes_on:
            print(f"a second after {what.__name__}(), the server is still sending")
            sys.exit(0)
sys.exit(1)
