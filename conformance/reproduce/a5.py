"""One instance does not answer in a second event loop, or synchronously while a loop runs."""

import asyncio
import sys

from chatwright.testing import Upstream
from conformance.models import model


async def invoke():
    llm.invoke("Hi")


with Upstream(["Hi"]) as upstream:
    for what in ("ainvoke, in a second asyncio.run", "invoke, while a loop runs"):
        llm = model(sys.argv[1], upstream)
        try:
            for _ in range(2):
                asyncio.run(llm.ainvoke("Hi") if what.startswith("a") else invoke())
        except Exception as error:
            print(f"{what}: {error!r}")
            sys.exit(0)
sys.exit(1)
