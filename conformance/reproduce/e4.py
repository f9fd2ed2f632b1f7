"""A stream that is closed early goes on at the server until the garbage collector runs."""

import asyncio
import gc
import sys
import time

from chatwright.testing import Pause, Upstream
from conformance.models import model

SECONDS = 1
script = ["a", *[Pause(0.02), "b"] * 400]


def close(upstream):
    stream = model(sys.argv[1], upstream).stream("Hi")
    _ = next(stream), next(stream)
    stream.close()
    time.sleep(SECONDS)
    yield upstream.requests[0].ended is None
    gc.collect()
    time.sleep(SECONDS)
    yield upstream.requests[0].ended is None


async def aclose(upstream):
    stream = model(sys.argv[1], upstream).astream("Hi")
    _ = await anext(stream), await anext(stream)
    await stream.aclose()
    await asyncio.sleep(SECONDS)
    late = upstream.requests[0].ended is None
    gc.collect()
    await asyncio.sleep(SECONDS)
    return late, upstream.requests[0].ended is None  # the end of the loop closes it


def said(late, later):
    if later:
        return f"the server still sends {SECONDS} s later, and {SECONDS} s after gc.collect()"
    return (
        f"the server still sends {SECONDS} s later, not after gc.collect()" if late else "it ends"
    )


with Upstream(script) as upstream:
    sync = tuple(close(upstream))
with Upstream(script) as upstream:
    other = asyncio.run(aclose(upstream))
print(f"close(): {said(*sync)}; aclose(): {said(*other)}")
sys.exit(not (sync[0] or other[0]))
