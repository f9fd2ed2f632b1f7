"""A kind of schema is refused, or its result is not of it."""

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


for kind, result in ((Town, dict), (City, City)):
    with Upstream(answer) as upstream:
        try:
            got = model(sys.argv[1], upstream).with_structured_output(kind).invoke("Hi")
        except Exception as error:
            print(f"{kind.__name__}, a {kind.__bases__[0].__module__} class: {error!r}")
            sys.exit(0)
    if not isinstance(got, result):
        print(f"{kind.__name__}, a class of pydantic v1, gives {got!r}")
        sys.exit(0)
sys.exit(1)
