"""Tools' schemas go out whole, also where core's converter loses some of them."""

import jsonschema
import pytest
from langchain_core.tools import StructuredTool, tool
from pydantic import BaseModel

from chatwright.langchain.tools import as_tools


class Node(BaseModel):
    """A node of a tree."""

    name: str
    kids: list["Node"] = []


@tool
def grow(top: Node) -> str:
    """Grow a tree."""
    return top.name


TREE = {
    "type": "object",
    "properties": {"top": {"$ref": "#/definitions/N"}},
    "required": ["top"],
    "definitions": {
        "N": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "kids": {"type": "array", "items": {"$ref": "#/definitions/N"}},
            },
        }
    },
}
MCP = StructuredTool(name="mcp", description="m", func=lambda **_: "", args_schema=TREE)
GOOD = {"name": "a", "kids": [{"name": "b", "kids": []}]}
BAD = {"name": "a", "kids": [{"name": 5}]}


@pytest.mark.parametrize(
    ("given", "wrapped"),
    [
        (Node, False),
        (grow, True),
        (MCP, True),
        ({"name": "tree", "description": "t", "input_schema": TREE}, True),
        ({"name": "tree", "description": "t", "parameters": TREE}, True),
    ],
)
def test_a_recursive_schema_stays_whole(given, wrapped):
    (made,) = as_tools([given])
    judge = jsonschema.Draft202012Validator(made["function"]["parameters"])
    assert judge.is_valid({"top": GOOD} if wrapped else GOOD)
    assert not judge.is_valid({"top": BAD} if wrapped else BAD)
    assert made["function"]["parameters"]["type"] == "object"


@pytest.mark.parametrize(
    "given",
    [
        StructuredTool(
            name="now", description="n", func=lambda: "", args_schema={"type": "object"}
        ),
        {"name": "now", "description": "n"},
        {"name": "now", "description": "n", "input_schema": {"type": "object"}},
    ],
)
def test_a_tool_without_arguments_has_properties(given):
    (made,) = as_tools([given])
    assert made["function"]["parameters"] == {"type": "object", "properties": {}}


def test_marks_for_a_servers_cache_stay():
    mark = {"cache_control": {"type": "ephemeral"}}
    (made,) = as_tools([{"name": "now", "description": "n", "input_schema": TREE, **mark}])
    assert made["cache_control"] == mark["cache_control"]
