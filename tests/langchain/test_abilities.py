"""What a review by fresh eyes found, held: tools, formats, schemas and copies in odd forms."""

import contextlib
import enum
import json
import pickle
from typing import Annotated, NotRequired, Optional
from typing import TypedDict as PythonsTypedDict

import pytest
from langchain_core.load import dumpd, load
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from pydantic import BaseModel, ValidationError, create_model
from typing_extensions import TypedDict

from chatwright import (
    HERMES,
    Capabilities,
    ChatFunction,
    ChatModel,
    MissingCallError,
    ParameterError,
    RolePolicy,
    SchemaError,
    StructureError,
    ToolCallDelta,
    Usage,
    chat_model,
)
from chatwright.testing import ScriptedModel
from contract.scripted import NATIVE
from contract.subjects import total


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


CALL = '<tool_call>{"name": "add", "arguments": {"a": 1, "b": 2}}</tool_call>'


class Number(BaseModel):
    a: int


@chat_model(inputs={"image", "audio"}, tool_protocol=HERMES, roles=RolePolicy(merge=True))
def declares(messages):
    return '{"a": 1}'


class Warm(ChatModel):
    def reply(self, request):
        return json.dumps({"a": int(self.temperature or 0)})


# Choices and forms.


@pytest.mark.parametrize("form", ["auto", "none"])
def test_anthropics_choices_that_force_nothing_force_nothing(form):
    model = ScriptedModel(script=["hi"])
    model.bind_tools([add], tool_choice={"type": form}).invoke("x")
    (request,) = model.requests
    assert "must call" not in request.messages[0].text


def test_anthropics_any_forces_a_call():
    model = ScriptedModel(script=[CALL])
    bound = model.bind_tools([add], tool_choice={"type": "any"})
    assert bound.kwargs["tool_choice"] == "required"
    named = model.bind_tools([add], tool_choice={"type": "function", "function": "add"})
    assert named.kwargs["tool_choice"]["function"] == {"name": "add"}


def test_tools_in_the_forms_of_other_apis():
    tools = [
        {"name": "bare", "description": "says little"},
        {
            "type": "function",
            "name": "response",
            "parameters": {"type": "object", "properties": {}},
        },
        {"name": "anthropic", "input_schema": {"type": "object", "properties": {}}},
    ]
    bound = ScriptedModel(script=["x"]).bind_tools(tools).kwargs["tools"]
    assert [each["function"]["name"] for each in bound] == ["bare", "response", "anthropic"]


def test_a_second_attempt_is_read_to_its_end():
    class Stubborn(ChatModel):
        def reply(self, request):
            yield Usage(input_tokens=3, output_tokens=1)
            yield CALL if len(request.messages) > 2 else "Hi <tool_response>made up"

    message = Stubborn().bind_tools([add], tool_choice="any").invoke("x")
    assert message.tool_calls[0]["args"] == {"a": 1, "b": 2}


def test_each_attempt_is_shown_the_last_ones_text():
    model = ScriptedModel(script=["No. "], tool_retries=2)
    with pytest.raises(MissingCallError):
        model.bind_tools([add], tool_choice="any").invoke("x")
    _, _, third = model.requests
    assert [each.text for each in third.messages if each.type == "ai"] == ["No. "]


@pytest.mark.parametrize("first", ["", "a"])
def test_an_empty_first_piece_changes_nothing(first):
    script = (
        [first, "<think>hm</think>\n\nanswer"] if not first else ["<think>hm</think>\n\nanswer"]
    )
    assert ScriptedModel(script=script).invoke("x").content == "answer"


def test_a_call_without_a_name_is_invalid_in_a_stream_too():
    model = ScriptedModel(script=[ToolCallDelta(0, "x", None, "{}")], can=NATIVE)
    for message in (model.invoke("x"), total(list(model.stream("x")))):
        assert message.tool_calls == []
        assert len(message.invalid_tool_calls) == 1


def test_no_arguments_may_be_null():
    model = ScriptedModel(script=[ToolCallDelta(0, "x", "f", "null")], can=NATIVE)
    for message in (model.invoke("x"), total(list(model.stream("x")))):
        assert message.tool_calls[0]["args"] == {}


def test_calls_count_where_usage_is_estimated():
    model = ScriptedModel(script=[CALL], custom_get_token_ids=lambda text: [*range(len(text))])
    assert model.bind_tools([add]).invoke("x").usage_metadata["output_tokens"] > 10


# Formats.


@pytest.mark.parametrize("wanted", ["json", {}, 3])
def test_what_is_no_format_is_refused(wanted):
    with pytest.raises(ParameterError, match="json_schema"):
        ScriptedModel(script=["x"]).invoke("x", response_format=wanted)


def test_formats_in_their_many_forms():
    text = ScriptedModel(script=["Hello {name}, ok"])
    assert text.invoke("x", response_format={"type": "text"}).text == "Hello {name}, ok"
    model = ScriptedModel(script=['Using {name}: {"a": 1} {"a": 2}'])
    assert model.invoke("x", response_format=Number).text == '{"a": 1}'
    llama = {"type": "json_object", "schema": {"type": "object", "title": "Told"}}
    assert "Told" in model.explain("x", response_format=llama)["messages"][0]["content"]


def test_a_wrapped_call_may_be_laid_out_in_any_way():
    script = [*'{\n  "tool_call": {\n "name": "add", "arguments": {"a": 1, "b": 2}\n}}']
    model = ScriptedModel(script=script, can=Capabilities(response_format=True))
    message = model.bind_tools([add], response_format=Number).invoke("x")
    assert (message.text, message.tool_calls[0]["args"]) == ("", {"a": 1, "b": 2})


class Node(BaseModel):
    value: int
    children: list["Node"] = []


def test_a_schema_that_is_a_reference_to_itself_has_its_name():
    class Node(BaseModel):
        value: int
        children: list["Node"] = []

    Node.model_rebuild(_types_namespace={"Node": Node})
    tree = {"value": 1, "children": [{"value": 2}]}
    source = chat_model(lambda messages: json.dumps(tree))
    assert source.with_structured_output(Node.model_json_schema()).invoke("x") == tree


@pytest.mark.parametrize("value", [enum.Enum("Color", "RED BLUE"), int, list])
def test_a_schema_that_is_no_object_is_refused(value):
    with pytest.raises(SchemaError, match="is no object"):
        chat_model(lambda messages: "x").with_structured_output(value)


def test_recursive_schemas_keep_their_recursion():
    can = Capabilities(response_format=True)
    model = ScriptedModel(script=['{"value": 1, "children": [{"value": 2}]}'], can=can)
    result = model.with_structured_output(Node).invoke("x")
    assert result == Node(value=1, children=[Node(value=2)])
    schema = model.requests[0].response_format["json_schema"]["schema"]
    assert schema["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    model.bind_tools([add], response_format=Node).invoke("x")
    *_, answer = model.requests[1].response_format["json_schema"]["schema"]["anyOf"]
    assert answer["properties"]["children"]["items"] == {"$ref": "#/$defs/1_Node"}
    assert "1_Node" in model.requests[1].response_format["json_schema"]["schema"]["$defs"]


X = {"enum": ["x"]}


@pytest.mark.parametrize(
    ("parameters", "where"),
    [
        ({"$defs": {"A": X}, "properties": {"a": {"$ref": "#/$defs/A"}}}, "A"),
        ({"definitions": {"A": X}, "properties": {"a": {"$ref": "#/definitions/A"}}}, "A"),
        ({"properties": {"a": {"$ref": "#/properties/b"}, "b": X}}, "b"),
        ({"properties": {"a": {"$ref": "#"}, "b": X}}, "root"),
    ],
)
def test_what_a_tools_schema_refers_to_is_found_inside_of_a_call(parameters, where):
    parameters = {"type": "object", **parameters}
    tools = [
        {"type": "function", "function": {"name": name, "parameters": parameters}}
        for name in ("f", "g")
    ]
    script = ['{"name": "f", "arguments": {}}']
    model = ScriptedModel(script=script, can=Capabilities(response_format=True))
    model.bind_tools(tools, tool_choice="any").invoke("x")
    whole = model.requests[0].response_format["json_schema"]["schema"]
    for number, call in enumerate(whole["anyOf"]):
        reference = call["properties"]["arguments"]["properties"]["a"]["$ref"]
        assert reference == f"#/$defs/{number}_{where}"
        assert "x" in json.dumps(whole["$defs"][f"{number}_{where}"])


class WithNull(TypedDict):
    a: Optional[int]  # noqa: UP045  as users write it


class Partial(TypedDict, total=False):
    a: int


class Sometimes(TypedDict):
    a: NotRequired[int]


class Pair(TypedDict):
    p: tuple[int, str]


class Tree(TypedDict):
    kids: list["Tree"]


class Described(TypedDict):
    """Doc."""

    a: Annotated[int, ..., "the a"]


class Pythons(PythonsTypedDict):
    """Doc."""

    a: Annotated[int, ..., "the a"]


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        *[
            (WithNull, {"a": None}),
            (Partial, {}),
            (Sometimes, {}),
            (Tree, {"kids": [{"kids": []}]}),
        ],
        *[(Pair, {"p": [1, "x"]}), (Described, {"a": 1}), (Pythons, {"a": 1})],
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_typed_dicts_of_every_kind(schema, answer):
    model = ScriptedModel(script=[json.dumps(answer)])
    structured = model.with_structured_output(schema, retries=0)
    assert json.loads(json.dumps(structured.invoke("x"))) == answer
    if schema in {Described, Pythons}:
        assert structured.target.schema["properties"]["a"]["description"] == "the a"


def test_structured_output_streams_where_the_model_does_not():
    script = [ToolCallDelta(name="Number", args={"a": 1})]
    for off in ({"disable_streaming": "tool_calling"}, {"streaming": False}):
        model = ScriptedModel(script=script, can=Capabilities(tools=True), **off)
        assert list(model.with_structured_output(Number).stream("x")) == [Number(a=1)]


def test_structured_output_refuses_what_models_refuse():
    structured = ScriptedModel(script=['{"a": 1}']).with_structured_output(Number)
    with pytest.raises(TypeError, match="topic"):
        structured.invoke({"topic": "cats"})
    with pytest.raises(ValidationError, match="retries"):
        ScriptedModel(script=["x"]).with_structured_output(Number, retries=-1)


def test_a_call_that_never_came_is_asked_for_as_often_as_structured_output_says():
    model = ScriptedModel(script=["no"], can=Capabilities(tools=True))
    got = model.with_structured_output(Number, include_raw=True, retries=1).invoke("x")
    assert got["raw"].response_metadata["attempts"] == len(model.requests) == 2
    assert got["raw"].text == "no"
    assert isinstance(got["parsing_error"], StructureError)


async def test_closing_a_structured_stream_closes_the_source():
    model = ScriptedModel(script=['{"a": 1', "2", "3", "}"])
    structured = model.with_structured_output({"title": "A", "type": "object"})
    async with contextlib.aclosing(structured.astream("x")) as parts:
        async for _ in parts:
            break
    assert model.closed == 1


def test_a_draft_7_schema_is_judged_by_its_own_rules():
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Old",
        "type": "object",
        "properties": {"p": {"type": "array", "items": [{"type": "integer"}]}},
    }
    model = ScriptedModel(script=['{"p": [1]}'])
    assert model.with_structured_output(schema).invoke("x") == {"p": [1]}
    del schema["$schema"]
    with pytest.raises(SchemaError, match="malformed"):
        model.with_structured_output(schema)


# Bindings, keys, copies.


def test_what_is_bound_stays_bound():
    warm = Warm().bind(temperature=5)
    assert warm.with_structured_output(Number).invoke("x") == Number(a=5)
    assert warm.bind_tools([add]).invoke("x").text == '{"a": 5}'


def test_cache_keys_follow_tools_and_formats():
    one, other = create_model("A", x=(int, ...)), create_model("A", y=(str, ...))
    model = ScriptedModel(script=["x"])
    for name, wrap in (("tools", lambda each: [each]), ("response_format", lambda each: each)):
        keys = {model._get_llm_string(**{name: wrap(each)}) for each in (one, other)}
        assert len(keys) == 2
    assert model._get_llm_string(logit_bias={1: 2, "a": 3})
    hears = chat_model(declares.function, inputs={"audio"})
    assert hears._get_llm_string() != declares._get_llm_string()


def test_declared_functions_are_serialized_and_copied():
    loaded = load(dumpd(declares), allowed_objects=[ChatFunction], valid_namespaces=["chatwright"])
    assert loaded.spoken_protocol() == HERMES
    assert loaded.inputs == {"image", "audio"}
    assert loaded.roles == RolePolicy(merge=True)
    structured = pickle.loads(pickle.dumps(declares.with_structured_output(Number)))
    assert structured.invoke("x") == Number(a=1)
    image = HumanMessage([{"type": "image", "base64": "aGk=", "mime_type": "image/png"}])
    deaf = declares.model_copy(update={"inputs": frozenset({"image"})})
    assert deaf.invoke([image]).text
    assert deaf.capabilities().inputs == {"image"}


def test_explain_shows_video_in_the_form_that_servers_take():
    model = ScriptedModel(script=["x"], can=Capabilities(inputs=frozenset({"video"})))
    block = {"type": "video", "base64": "AAAA", "mime_type": "video/mp4"}
    (shown,) = model.explain([HumanMessage([block])])["messages"]
    url = "data:video/mp4;base64,AAAA"
    assert shown["content"] == [{"type": "video_url", "video_url": {"url": url}}]
    explained = model.with_structured_output(Number).explain("x")
    assert "JSON schema" in explained["messages"][0]["content"]


def test_a_system_messages_image_survives_instructions():
    model = ScriptedModel(script=["x"], can=Capabilities(inputs=frozenset({"image"})))
    image = {"type": "image", "base64": "aGk=", "mime_type": "image/png"}
    told = [SystemMessage([{"type": "text", "text": "Look."}, image]), HumanMessage("x")]
    model.bind_tools([add]).invoke(told)
    assert image in model.requests[0].messages[0].content


def test_an_answer_of_another_provider_is_taken_back():
    said = [
        {"type": "refusal", "refusal": "I won't. "},
        {"type": "server_tool_call", "id": "1", "name": "web_search", "args": {}},
        {"type": "text", "text": "But this."},
    ]
    model = ScriptedModel(script=["x"])
    model.invoke([AIMessage(said), HumanMessage("y")])
    assert model.requests[0].messages[0].content == "I won't. But this."


@pytest.mark.parametrize("tags", [("", "</t>"), ("<t>", "")])
def test_empty_tags_are_refused(tags):
    with pytest.raises(ValidationError, match="can't be empty"):
        ScriptedModel(script=["x"], reasoning_tags=tags)
