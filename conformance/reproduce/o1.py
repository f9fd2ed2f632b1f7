"""A kind of schema is taken, and its result is not of it."""

import sys
from typing import TypedDict

from pydantic.v1 import BaseModel

from chatwright.deltas import ToolCallDelta
from chatwright.testing import Upstream
from conformance.models import model

ZURICH = '{"name": "Zürich"}'


class City(BaseModel):
    """A city."""

    name: str


class Town(TypedDict):
    """A town."""

    name: str


def answer(received):
    if received.asked and received.asked.tools:
        return [ToolCallDelta(0, "call_1", received.body["tools"][0]["function"]["name"], ZURICH)]
    return [ZURICH]


for what, kind, result in (("a TypedDict", Town, dict), ("a class of pydantic v1", City, City)):
    with Upstream(answer) as upstream:
        try:
            ask = model(sys.argv[1], upstream).with_structured_output(kind)
        except (NotImplementedError, TypeError, ValueError):
            continue  # it is refused, before anything is asked
        try:
            got = ask.invoke("Hi")
        except Exception as error:
            print(f"{what}, {kind.__name__}: {error!r}")
            sys.exit(0)
    if not isinstance(got, result):
        print(f"{what}, {kind.__name__}, gives {got!r}")
        sys.exit(0)
sys.exit(1)
