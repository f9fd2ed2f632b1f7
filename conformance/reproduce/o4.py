"""`include_raw=True` raises where the answer does not fit the schema: the raw message is lost."""

import inspect
import sys

from pydantic import BaseModel, field_validator

from chatwright.deltas import ToolCallDelta
from chatwright.testing import Upstream
from conformance.models import model


class City(BaseModel):
    """A city."""

    name: str

    @field_validator("name")
    @classmethod
    def known(cls, name):
        raise ValueError(f"{name} is not known")


class Town(BaseModel):
    """A town."""

    name: str


def call(schema, text, **given):
    def answer(received):
        called = received.asked and received.asked.tools
        return [ToolCallDelta(0, "call_1", schema.__name__, text)] if called else [text]

    with Upstream(answer) as upstream:
        llm = model(sys.argv[1], upstream)
        try:
            llm.with_structured_output(schema, include_raw=True, **given).invoke("JSON, please")
        except ValueError as error:
            return type(error).__name__
    return ""


taken = inspect.signature(type(model(sys.argv[1])).with_structured_output).parameters
methods = ("function_calling", "json_mode", "json_schema")
ways = [{"method": each} for each in methods] if "method" in taken else [{}]
for what, schema, text in (
    ("valid JSON that a field_validator refuses", City, '{"name": "Zürich"}'),
    ("JSON that was cut", Town, '{"name": "Zür'),
):
    raised = {str(each): error for each in ways if (error := call(schema, text, **each))}
    if raised:
        told = ", ".join(f"include_raw=True, {way}: {error}" for way, error in raised.items())
        print(f"{what}: {told}".replace(", {}", ""))
        sys.exit(0)
sys.exit(1)
