"""Tools that rules bind, in every form that they can have."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from pydantic import BaseModel, Field

from chatwright.checks.trial import LOOK_UP
from chatwright.deltas import ToolCallDelta, Usage

__all__ = ["BOTH", "CALLED", "CLOCK", "FORMS", "TWO", "WORD", "form_tool", "other_tool"]

CLOCK = {
    "type": "function",
    "function": {
        "name": "clock",
        "description": "Tells the time.",
        "parameters": {"type": "object", "properties": {}},
    },
}
"""A tool without arguments, in OpenAI's form."""
BOTH = [LOOK_UP, CLOCK]
WORD = {"word": "Zürich 東京"}
"""Arguments of `LOOK_UP`."""
TWO: Sequence[Any] = (
    *("Let me ", "look. "),
    ToolCallDelta(0, "call_1", "look_up", '{"word": '),
    ToolCallDelta(0, args='"Zürich 東京"}'),
    ToolCallDelta(1, "call_2", "look_up", '{"word": "b"}'),
    ToolCallDelta(2, "call_3", "clock", "{}"),
    Usage(9, 6),
)
"""An answer with text and three calls of both."""
CALLED = [("look_up", WORD), ("look_up", {"word": "b"}), ("clock", {})]
"""The calls of `TWO`."""


class Measure(BaseModel):
    """A unit."""

    unit_name: str = Field(description="such as metre")


class FormClass(BaseModel):
    """Looks up by a class."""

    city: str = Field(description="the city of the class")
    measure: Measure | None = None


class FormDict(TypedDict):
    """Looks up by a TypedDict."""

    city: str


def form_function(city: str, count: int = 3) -> str:
    """Looks up by a function.

    Args:
        city: the city of the function
        count: how many
    """
    return city * count


@tool
def form_tool(city: str) -> str:
    """Looks up by a LangChain tool."""
    return city


@tool
def other_tool(count: int) -> str:
    """Counts by a LangChain tool."""
    return str(count)


def _runnable() -> Any:
    """Return a runnable made a tool."""

    def look(given: dict[str, Any]) -> Any:
        return given["city"]

    runnable: Any = RunnableLambda(look)
    return runnable.as_tool(
        name="form_runnable", description="Looks up by a runnable.", arg_types={"city": str}
    )


def _parameters() -> dict[str, Any]:
    return {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


FORMS: Mapping[str, tuple[Callable[[], Any], str, str]] = {
    "a LangChain tool": (lambda: form_tool, "form_tool", "Looks up by a LangChain tool"),
    "a function": (lambda: form_function, "form_function", "Looks up by a function"),
    "a pydantic class": (lambda: FormClass, "FormClass", "Looks up by a class"),
    "a TypedDict": (lambda: FormDict, "FormDict", "Looks up by a TypedDict"),
    "a JSON schema": (
        lambda: {"title": "form_schema", "description": "Looks up by a schema.", **_parameters()},
        "form_schema",
        "Looks up by a schema",
    ),
    "OpenAI's form": (
        lambda: {
            "type": "function",
            "function": {
                "name": "form_openai",
                "description": "Looks up by a form.",
                "parameters": _parameters(),
            },
        },
        "form_openai",
        "Looks up by a form",
    ),
    "a Runnable": (_runnable, "form_runnable", "Looks up by a runnable"),
}
"""The forms of a tool: what makes it, its name, and its description's beginning."""
