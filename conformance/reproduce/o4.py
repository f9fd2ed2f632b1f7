"""`include_raw=True` raises where the answer can't be parsed, and the raw message is lost."""

import sys

from pydantic import BaseModel

from chatwright.deltas import ToolCallDelta
from chatwright.testing import Upstream
from conformance.models import model


class City(BaseModel):
    name: str


def answer(received):
    called = received.asked and received.asked.tools
    return [ToolCallDelta(0, "call_1", "City", CUT)] if called else [CUT]


CUT = '{"name": "Zür'
for given in ({}, {"method": "json_schema"}):
    with Upstream(answer) as upstream:
        llm = model(sys.argv[1], upstream)
        try:
            llm.with_structured_output(City, include_raw=True, **given).invoke("Hi")
        except (ValueError, NotImplementedError) as error:
            said = " ".join(str(error).split())
            print(f"include_raw=True, {given}: {type(error).__name__}: {said:.150}")
            sys.exit(0)
sys.exit(1)
