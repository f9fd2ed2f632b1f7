"""Tools' schemas go out whole, also where core's converter loses some of them."""

import copy
import sys
from typing import Annotated, Any, Literal, NotRequired, Union
from typing import TypedDict as PlainTypedDict

import jsonschema
import pytest
from langchain_core.tools import StructuredTool, tool
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from chatwright import ParameterError
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
ROOT = {"$ref": "#/$defs/Node", "$defs": Node.model_json_schema()["$defs"]}


def plant(top: Node) -> str:
    """Plant a tree."""
    return top.name


class Branch(TypedDict):
    """A branch."""

    name: str
    kids: NotRequired[list["Branch"]]


class Endless(PlainTypedDict):
    """It has no end."""

    kids: list["Endless"]


class Inner(BaseModel):
    kind: Literal["inner"]
    of: list[Union["Inner", "Leaf"]]


class Leaf(BaseModel):
    kind: Literal["leaf"]


class Twig(BaseModel):
    kind: Literal["twig"]


class Tree(BaseModel):
    """A tree."""

    root: Annotated[Inner | Leaf, Field(discriminator="kind")]


GOOD = {"name": "a", "kids": [{"name": "b", "kids": []}]}
BAD = {"name": "a", "kids": [{"name": 5}]}


@pytest.mark.parametrize(
    ("given", "wrapped"),
    [
        (Node, False),
        (plant, True),
        (Branch, False),
        (ROOT, False),
        ({"type": "function", "function": {"name": "tree", "parameters": ROOT}}, False),
        ({"type": "function", "name": "tree", "parameters": ROOT}, False),
        ({"toolSpec": {"name": "tree", "inputSchema": {"json": TREE}}}, True),
        ({"title": "tree", "description": "t", **TREE}, True),
        ({"name": "tree", "description": "t", **TREE}, True),
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
        {"title": "now", "type": "object"},
        {"type": "function", "function": {"name": "now"}},
        {"type": "function", "function": {"name": "now", "parameters": {}}},
        {"type": "function", "name": "now", "parameters": None},
        {"name": "now", "description": "n", "input_schema": {"type": "object"}},
    ],
)
def test_a_tool_without_arguments_has_properties(given):
    (made,) = as_tools([given])
    assert made["function"]["parameters"] == {"type": "object", "properties": {}}


def judge_of(given, **asked):
    (made,) = as_tools([given], **asked)
    return jsonschema.Draft202012Validator(made["function"]["parameters"])


def test_what_is_told_apart_by_a_field_stays_whole():
    judge = judge_of(Tree)
    leaf = {"kind": "leaf"}
    assert judge.is_valid({"root": {"kind": "inner", "of": [leaf, {"kind": "inner", "of": []}]}})
    assert not judge.is_valid({"root": {"kind": "inner", "of": [{"kind": "twig"}]}})
    mapping = judge.schema["properties"]["root"]["discriminator"]["mapping"]
    assert all(each.removeprefix("#/$defs/") in judge.schema["$defs"] for each in mapping.values())


def test_what_tells_apart_leads_somewhere():
    class Either(BaseModel):
        """One of two."""

        one: Annotated[Leaf | Twig, Field(discriminator="kind")]

    schema = judge_of(Either).schema
    mapping = schema["properties"]["one"]["discriminator"]["mapping"]
    assert {each.removeprefix("#/$defs/") for each in mapping.values()} == schema["$defs"].keys()


def test_alternatives_at_the_root_stay():
    either = {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}
    for strict in (None, True):
        judge = judge_of({"title": "one", "type": "object", **either}, strict=strict)
        assert judge.is_valid({"a": 1})
        assert not judge.is_valid({})


def test_a_title_among_the_values_stays():
    class Titled(BaseModel):
        """It has a title."""

        title: str = "none"
        more: dict[str, Any] = {"title": "kept", "n": 1}

    properties = judge_of(Titled).schema["properties"]
    assert properties["more"]["default"] == {"title": "kept", "n": 1}
    assert properties["title"]["default"] == "none"


def test_strict_reaches_the_definitions():
    assert not judge_of(Node, strict=True).is_valid({**GOOD, "more": 1})
    deep = {"name": "a", "kids": [{"name": "b", "kids": [], "more": 1}]}
    assert not judge_of(Node, strict=True).is_valid(deep)
    assert judge_of(Node).is_valid(deep)


def test_what_core_writes_whole_is_left_as_it_is():
    class Pair(BaseModel):
        """Two."""

        one: Leaf
        two: Leaf = Field(description="the other")

    schema = judge_of(Pair).schema
    assert "$defs" not in schema
    assert schema["properties"]["two"]["description"] == "the other"


def test_a_dict_is_not_changed():
    given = {"name": "tree", "description": "t", "input_schema": copy.deepcopy(ROOT)}
    as_tools([given], strict=True)
    assert given["input_schema"] == ROOT


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="pydantic takes it from 3.12 on")
def test_a_type_without_end_is_refused_by_name():
    with pytest.raises(ParameterError, match="Endless"):
        as_tools([Endless])


def test_marks_for_a_servers_cache_stay():
    mark = {"cache_control": {"type": "ephemeral"}}
    (made,) = as_tools([{"name": "now", "description": "n", "input_schema": TREE, **mark}])
    assert made["cache_control"] == mark["cache_control"]
