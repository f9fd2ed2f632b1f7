"""An instance that has answered in one event loop fails in the next, as `asyncio.run` makes."""

import asyncio
import sys

from chatwright.testing import Upstream
from conformance.models import model

SECONDS = 20


async def call():
    try:
        await asyncio.wait_for(llm.ainvoke("Hi"), SECONDS)
    except TimeoutError:
        return f"no end in {SECONDS} s"
    except Exception as error:
        return repr(error)
    return ""


async def calls():
    return [await call(), await call()]


with Upstream(["Hi"]) as upstream:
    llm = model(sys.argv[1], upstream)
    first, *later = [asyncio.run(calls()) for _ in range(3)]
faults = [each for loop in later for each in loop if each]
if first != ["", ""] or not faults:
    sys.exit(1)
firsts = all(not second for _, second in later)
which = "the first call in each new loop fails, the next answers" if firsts else "calls fail"
if all(each for loop in later for each in loop):
    which = "every call fails"
print(f"two calls in each of three loops; after the first loop {which}: {faults[0]}")
