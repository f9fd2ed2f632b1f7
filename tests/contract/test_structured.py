"""The contract's section Structured output, over every source."""

import contextlib
import dataclasses
import inspect
import itertools
import json
import re
from enum import StrEnum
from typing import Annotated, Literal, TypedDict

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import LLMToolSelectorMiddleware
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_core.utils.function_calling import convert_to_json_schema
from pydantic import BaseModel, Field, field_validator
from pydantic.v1 import BaseModel as BaseModelV1

from chatwright import (
    Capabilities,
    ChatGGUF,
    Finish,
    ParameterError,
    RefusalError,
    SchemaError,
    StructureError,
    ToolCallDelta,
    chat_model,
)
from chatwright.checks.calls.modes import Recorder
from chatwright.testing import ScriptedModel
from contract.scripted import NATIVE_SOURCES, TEXT_SOURCES
from contract.subjects import ENGINE, PROMPT, gguf, loaded


class City(BaseModel):
    """A city."""

    name: str
    people: int = Field(ge=0)


class CityV1(BaseModelV1):
    """A city."""

    name: str
    people: int


class CityDict(TypedDict):
    """A city."""

    name: Annotated[str, ..., "the name"]
    people: int


@dataclasses.dataclass
class CityData:
    """A city."""

    name: str
    people: int


VALUE = {"name": "Zürich", "people": 447082}
JSON = json.dumps(VALUE, ensure_ascii=False)
SCHEMAS = {
    "pydantic": (City, City(**VALUE)),
    "pydantic v1": (CityV1, CityV1(**VALUE)),
    "typed dict": (CityDict, VALUE),
    "dataclass": (CityData, CityData(**VALUE)),
    "json schema": (City.model_json_schema(), VALUE),
}


@pytest.fixture(params=SCHEMAS.values(), ids=SCHEMAS)
def wanted(request):
    return request.param


def pieces(text, size=3):
    return [text[at : at + size] for at in range(0, len(text), size)]


def name_of(schema):
    return schema["title"] if isinstance(schema, dict) else schema.__name__


def called(schema, text=JSON):
    return [
        ToolCallDelta(0, "a", name_of(schema)),
        *(ToolCallDelta(0, args=p) for p in pieces(text)),
    ]


def answers(source, method, schema):
    """Return a model of this source whose script is what the method wants."""
    if source in NATIVE_SOURCES:
        native = method in {"function_calling", None}
        return NATIVE_SOURCES[source](called(schema) if native else pieces(JSON))
    if method == "function_calling":
        call = f'{{"name": "{name_of(schema)}", "arguments": {JSON}}}'
        return TEXT_SOURCES[source](pieces(f"<tool_call>{call}</tool_call>"))
    return TEXT_SOURCES[source](pieces(f"Sure:\n```json\n{JSON}\n```\nIs that so?"))


SOURCES = [*TEXT_SOURCES, *NATIVE_SOURCES]
METHODS = [None, "json_schema", "function_calling", "json_mode"]


# What `strict` does has nothing to do with the source: one that reads text, one native, one wire.
STRICT = ["yields", "native_yields", "openai"]


@pytest.mark.parametrize(
    ("source", "strict"),
    [(source, None) for source in SOURCES]
    + [(source, strict) for source in STRICT for strict in (True, False)],
)
@pytest.mark.parametrize("method", METHODS)
async def test_O1_O2_every_schema_comes_by_every_method_in_every_way(
    source, method, strict, wanted
):
    schema, result = wanted
    model = answers(source, method, schema)
    structured = model.with_structured_output(schema, method=method, strict=strict)
    assert structured.invoke("x") == result
    assert await structured.ainvoke("x") == result
    assert [*structured.stream("x")][-1] == result
    assert [each async for each in structured.astream("x")][-1] == result
    assert structured.batch(["x", "y"]) == [result] * 2
    assert type(structured.invoke("x")) is type(result)


def test_O2_an_unknown_method_is_refused():
    with pytest.raises(ParameterError, match=r"method='telepathy'.*json_schema"):
        ScriptedModel(script=["x"]).with_structured_output(City, method="telepathy")


@pytest.mark.parametrize("method", METHODS)
def test_O3_the_schema_is_traced_and_never_reaches_the_backend(method, wanted):
    schema, result = wanted
    model = answers("native_subclass", method, schema)
    recorder = Recorder()
    structured = model.with_structured_output(schema, method=method)
    assert structured.invoke("x", {"callbacks": [recorder]}) == result
    (started,) = [kwargs for name, _, kwargs in recorder.calls if name == "on_chat_model_start"]
    traced = started["options"]["ls_structured_output_format"]["schema"]
    if schema is not CityData:  # core has no schema of a dataclass
        assert traced == convert_to_json_schema(schema)
    (request,) = model.requests
    assert "ls_structured_output_format" not in request.parameters


BAD = {
    "not JSON": "I don't know.",
    "cut": '{"name": "Zür',
    "wrong type": '{"name": "Zürich", "people": "many"}',
    "missing": '{"name": "Zürich"}',
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
@pytest.mark.parametrize("source", TEXT_SOURCES)
async def test_O4_include_raw_tells_the_error_and_never_raises(source, bad, wanted):
    schema, _ = wanted
    model = TEXT_SOURCES[source](pieces(bad))
    structured = model.with_structured_output(schema, include_raw=True, retries=1)
    streamed = [*structured.stream("x")][-1]
    for got in (structured.invoke("x"), await structured.ainvoke("x"), streamed):
        assert got["parsed"] is None
        assert isinstance(got["parsing_error"], StructureError)
        assert got["raw"].response_metadata["attempts"] == 2
    with pytest.raises(StructureError, match="not one of 2"):
        model.with_structured_output(schema, retries=1).invoke("x")


def test_O4_include_raw_holds_the_message_beside_the_result(wanted):
    schema, result = wanted
    got = (
        answers("yields", None, schema).with_structured_output(schema, include_raw=True).invoke("x")
    )
    assert got["parsed"] == result
    assert got["parsing_error"] is None
    assert got["raw"].text == JSON
    assert got["raw"].response_metadata["attempts"] == 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("source", ["yields", "async_generator", "native_yields"])
async def test_O5_partials_grow_and_the_last_is_what_invoke_returns(source, method):
    schema = City.model_json_schema()
    structured = answers(source, method, schema).with_structured_output(schema, method=method)
    partials = [*structured.stream("x")]
    assert partials == [each async for each in structured.astream("x")]
    assert len(partials) > 3
    assert partials[-1] == structured.invoke("x") == VALUE
    for before, after in itertools.pairwise(partials):
        assert before.keys() <= after.keys()
        assert after.get("name", "").startswith(before.get("name", ""))


async def test_O5_instances_come_as_soon_as_there_is_enough_for_one():
    class Note(BaseModel):
        text: str = ""

    # Which object is meant is not known before the first value begins.
    model = ScriptedModel(script=['{"te', 'xt": "', "on", 'e two"}'])
    partials = [*model.with_structured_output(Note).stream("x")]
    assert [each.text for each in partials] == ["", "on", "one two"]


# Repair.


def fixing(bad):
    """Make a function whose second answer is right, and the list of what it was asked."""
    asked = []

    @chat_model
    def model(messages):
        asked.append(messages)
        yield from pieces(JSON if len(asked) > 1 else bad)

    return model, asked


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
@pytest.mark.parametrize("way", ["invoke", "stream", "ainvoke", "astream"])
async def test_what_was_wrong_is_fed_back(bad, way):
    model, asked = fixing(bad)
    structured = model.with_structured_output(City, include_raw=True)
    if way == "invoke":
        got = structured.invoke("x")
    elif way == "ainvoke":
        got = await structured.ainvoke("x")
    elif way == "stream":
        got = [*structured.stream("x")][-1]
    else:
        got = [each async for each in structured.astream("x")][-1]
    assert got["parsed"] == City(**VALUE)
    assert got["raw"].response_metadata["attempts"] == 2
    complaint = asked[1][-1].text
    assert "does not conform" in complaint
    assert asked[1][-2].text == bad


def test_a_schemas_own_validators_are_heard():
    class Even(BaseModel):
        number: int

        @field_validator("number")
        @classmethod
        def even(cls, value):
            if value % 2:
                raise ValueError("must be even")
            return value

    asked = []

    @chat_model
    def model(messages):
        asked.append(messages[-1].text)
        return json.dumps({"number": min(len(asked), 2)})

    assert model.with_structured_output(Even).invoke("x") == Even(number=2)
    assert "must be even" in asked[1]


def test_a_call_that_does_not_conform_is_answered_by_a_tool_message():
    asked = []

    @chat_model
    def model(messages, tools, tool_choice):
        asked.append(messages)
        people = "many" if len(asked) == 1 else 3
        yield ToolCallDelta(0, "c1", "City", {"name": "Bern", "people": people})

    assert model.with_structured_output(City).invoke("x") == City(name="Bern", people=3)
    *_, said, result = asked[1]
    assert said.tool_calls[0]["id"] == result.tool_call_id == "c1"
    assert result.status == "error"


def test_a_chain_passes_its_input_on():
    structured = RunnableLambda(lambda name: f"About {name}") | answers(
        "yields", None, City
    ).with_structured_output(City)
    assert structured.invoke("Zürich") == City(**VALUE)
    assert [*structured.stream("Zürich")][-1] == City(**VALUE)


# What counts, and what does not.

INTEGER = {"type": "integer"}
A = {"type": "object", "properties": {"a": INTEGER}, "required": ["a"]}
B = {"type": "object", "properties": {"b": INTEGER}, "required": ["b"]}
ROOTS = {
    "additionalProperties": (
        {"title": "T", "type": "object", "additionalProperties": INTEGER},
        ['{"x": "text"}'],
    ),
    "patternProperties": ({"title": "T", "patternProperties": {"^x": INTEGER}}, ['{"x": "text"}']),
    "propertyNames": ({"title": "T", "propertyNames": {"pattern": "^x"}}, ['{"y": 1}']),
    "minProperties": ({"title": "T", "type": "object", "minProperties": 2}, ['{"x": 1}', "{}"]),
    "required": ({"title": "T", "required": ["x"]}, ['{"y": 1}']),
    "not": ({"title": "T", "not": {"required": ["y"]}}, ['{"y": 1}']),
    "if": ({"title": "T", "if": {"required": ["y"]}, "then": {"required": ["x"]}}, ['{"y": 1}']),
    "anyOf": ({"title": "T", "anyOf": [A, B]}, ['{"c": 1}']),
    "oneOf": ({"title": "T", "oneOf": [A, B]}, ['{"a": 1, "b": 1}']),
    "allOf": ({"title": "T", "allOf": [A, B]}, ['{"b": 1}']),
    "$ref": ({"title": "T", "$ref": "#/$defs/A", "$defs": {"A": A}}, ['{"c": 1}']),
    "definitions": ({"title": "T", "$ref": "#/definitions/A", "definitions": {"A": A}}, ["{}"]),
    "properties": ({"title": "T", **A}, ['{"a": "1"}']),
    "OpenAI's form": ({"name": "T", "schema": A, "strict": True}, ['{"c": 1}']),
    "OpenAI's whole form": (
        {"type": "json_schema", "json_schema": {"name": "T", "schema": {"allOf": [A]}}},
        ['{"c": 1}'],
    ),
    "a function": ({"name": "T", "description": "A.", "parameters": {"anyOf": [A, B]}}, ["{}"]),
    "a whole function": (
        {"type": "function", "function": {"name": "T", "parameters": A}},
        ['{"a": 1.5}'],
    ),
    "Anthropic's form": ({"name": "T", "input_schema": {"allOf": [A]}}, ['{"c": 1}']),
    "a format": (
        {"title": "T", "properties": {"at": {"type": "string", "format": "ipv4"}}},
        ['{"at": "x"}'],
    ),
}
RIGHT = [
    *('{"x": 1}', '{"a": 1}', '{"b": 1}', '{"at": "10.0.0.1"}'),
    *('{"x": 1, "z": 2}', '{"x": 1, "xx": 2}', '{"a": 1, "b": 2}'),
]
WORDS = ("integer", "propertyNames", "minProperties", "not", "format", "x")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("schema", "wrong"), ROOTS.values(), ids=ROOTS)
def test_whatever_the_root_of_a_schema_is_it_counts(schema, wrong, method):
    def answered(text):
        by_call = f'<tool_call>{{"name": "T", "arguments": {text}}}</tool_call>'
        said = by_call if method == "function_calling" else text
        model = ScriptedModel(script=[said])
        got = model.with_structured_output(schema, method=method, retries=0).invoke("x")
        return got, model.requests[0].messages[0].text

    for text in wrong:
        with pytest.raises(StructureError):
            answered(text)
    taken = []
    for text in RIGHT:
        with contextlib.suppress(StructureError):
            taken.append(answered(text))
    assert taken
    if method != "json_mode":
        inside = next(f'"{each}"' for each in WORDS if f"'{each}'" in str(schema))
        assert all(inside in told for _, told in taken)


def test_O2_strict_stands_in_openais_form_too():
    can = Capabilities(response_format=True)
    model = ScriptedModel(script=['{"a": 1}'], can=can)
    model.with_structured_output({"name": "T", "schema": A, "strict": True}).invoke("x")
    wanted = model.requests[0].response_format["json_schema"]
    assert wanted["strict"] is True
    assert wanted["schema"]["additionalProperties"] is False
    with pytest.raises(SchemaError, match="strict=True, the call strict=False"):
        model.with_structured_output({"name": "T", "schema": A, "strict": True}, strict=False)


def test_the_empty_schema_allows_anything_and_is_not_a_missing_one():
    wanted = {"type": "json_schema", "json_schema": {"name": "any", "schema": {}}}
    assert ScriptedModel(script=['Ok: {"a": 1}']).invoke("x", response_format=wanted).text == (
        '{"a": 1}'
    )
    structured = ScriptedModel(script=["{}"]).with_structured_output({"name": "any", "schema": {}})
    assert structured.invoke("x") == {}
    missing = {"type": "json_schema", "json_schema": {"name": "any"}}
    with pytest.raises(ParameterError, match="has no schema"):
        ScriptedModel(script=["{}"]).invoke("x", response_format=missing)


class Point(BaseModel):
    a: int


AROUND = [
    "With {{name}} for the name: {}",
    "The set {{}} is empty. {}",
    'The form is {{"a": "an integer"}}, so: {}',
    '{{"properties": {{"a": {{"type": "integer"}}}}}}\n\n{}',
    'Here you are: {} I hope that helps {{"a": 4}}',
    '{{"a}} is no key. {}',
    '{{"a": 3.5}} would be wrong.\n```json\n{}\n```',
]


@pytest.mark.parametrize("source", ["yields", "returns", "reads_format"])
@pytest.mark.parametrize("around", AROUND)
def test_the_first_thing_that_looks_like_an_object_is_not_the_answer(around, source):
    said = around.format('{"a": 3}')

    @chat_model
    def reads_format(messages, response_format=None):
        return said

    sources = {**{name: make(pieces(said)) for name, make in TEXT_SOURCES.items()}}
    model = {**sources, "reads_format": reads_format}[source]
    structured = model.with_structured_output(Point, include_raw=True)
    for got in (structured.invoke("x"), [*structured.stream("x")][-1]):
        assert got["parsed"] == Point(a=3)
        assert got["raw"].response_metadata["attempts"] == 1
    with pytest.raises(StructureError):  # what stands inside of an answer that was cut is no answer
        TEXT_SOURCES["yields"](['{"within": {"a": 3}, "b']).with_structured_output(Point).invoke(
            "x"
        )


# Tools beside a schema.


def look_up(word: str) -> str:
    """Look a word up."""
    return word


def with_a_tool(model, way, **options):
    if way == "parameter":
        return model.with_structured_output(City, tools=[look_up], **options)
    if way == "bound before":
        return model.bind_tools([look_up]).with_structured_output(City, **options)
    return model.with_structured_output(City, **options).bind_tools([look_up])


CALL = '<tool_call>{"name": "look_up", "arguments": {"word": "cat"}}</tool_call>'


@pytest.mark.parametrize("way", ["parameter", "bound before", "bound behind"])
@pytest.mark.parametrize("method", METHODS)
async def test_a_call_of_a_tool_beside_a_schema_is_an_answer(method, way):
    model = ScriptedModel(script=[CALL])
    structured = with_a_tool(model, way, method=method, include_raw=True)
    for got in (
        structured.invoke("x"),
        await structured.ainvoke("x"),
        [*structured.stream("x")][-1],
    ):
        assert (got["parsed"], got["parsing_error"]) == (None, None)
        assert [each["args"] for each in got["raw"].tool_calls] == [{"word": "cat"}]
        assert got["raw"].response_metadata["attempts"] == 1
    with pytest.raises(StructureError, match=r"a call of look_up.*include_raw=True"):
        with_a_tool(model, way, method=method).invoke("x")


@pytest.mark.parametrize("way", ["parameter", "bound before", "bound behind"])
@pytest.mark.parametrize("method", METHODS)
def test_an_answer_beside_tools_conforms(method, way):
    text = JSON
    if method == "function_calling":
        text = f'<tool_call>{{"name": "City", "arguments": {JSON}}}</tool_call>'
    model = ScriptedModel(script=[text])
    assert with_a_tool(model, way, method=method).invoke("x") == City(**VALUE)
    assert "look_up" in model.requests[0].messages[0].text


# What LangChain's middlewares handle themselves.


def chooser(*answers):
    asked = []

    @chat_model
    def model(messages):
        told = messages[0].text
        if "Your goal is to select" not in told:
            asked.append([name for name in ("first", "second") if f'"{name}"' in told])
            return "Done."
        asked.append("choose")
        return answers[asked.count("choose") - 1]

    return model, asked


@tool
def first(word: str) -> str:
    """Do the first thing."""
    return word


@tool
def second(word: str) -> str:
    """Do the second thing."""
    return word


def choosing(model, **options):
    choose = LLMToolSelectorMiddleware(**options)
    agent = create_agent(model, [first, second], middleware=[choose])
    return agent.invoke({"messages": [("user", "Go.")]})


JUDGES = "on_parsing_failure" in inspect.signature(LLMToolSelectorMiddleware).parameters


@pytest.mark.skipif(not JUDGES, reason="this langchain's middleware does not judge an answer")
@pytest.mark.parametrize("malformed", ['{"wrong": 1}', '{"tools": "first"}', "Neither."])
def test_a_middleware_that_judges_an_answer_itself_gets_it(malformed):
    model, asked = chooser(malformed, malformed)
    choosing(model, on_parsing_failure="all")
    assert asked == ["choose", "choose", ["first", "second"]]
    model, asked = chooser(malformed, '{"tools": ["second"]}')
    choosing(model)
    assert asked == ["choose", "choose", ["second"]]
    model, _ = chooser(malformed, malformed)
    with pytest.raises(ValueError, match="malformed response after 1 retries"):
        choosing(model)


def test_whoever_does_not_judge_is_never_given_what_does_not_conform():
    inner = ScriptedModel(script=['{"wrong": 1}'])

    @chat_model
    def outer(messages):
        """Runs below a call that a middleware has marked."""
        return str(inner.with_structured_output({"title": "T", **A}).invoke("x"))

    with pytest.raises(StructureError):
        outer.invoke("x", {"metadata": {"lc_source": "tool_selection"}})
    assert len(inner.requests) == 3


# What is asked of the source.


def test_a_source_that_reads_response_format_is_given_one():
    can = Capabilities(response_format=True)
    model = ScriptedModel(script=[JSON], can=can)
    model.with_structured_output(City, strict=True).invoke("x")
    (request,) = model.requests
    assert request.response_format["type"] == "json_schema"
    assert request.response_format["json_schema"]["name"] == "City"
    assert request.response_format["json_schema"]["strict"] is True
    assert [each.text for each in request.messages] == ["x"]


def test_a_source_that_reads_nothing_is_told_the_schema():
    model = ScriptedModel(script=[JSON])
    model.with_structured_output(City).invoke("x")
    (request,) = model.requests
    assert request.response_format is None
    assert '"people"' in request.messages[0].text


def test_O6_the_profile_says_whether_the_source_keeps_to_a_format():
    assert not ScriptedModel(script=[""]).profile["structured_output"]
    can = Capabilities(response_format=True)
    assert ScriptedModel(script=[""], can=can).profile["structured_output"]


async def test_O6_the_text_is_pure_json_in_every_mode(mode):
    wanted = {"type": "json_schema", "json_schema": {"name": "City", "schema": {}}}
    for make in TEXT_SOURCES.values():
        model = make(pieces(f"Here:\n```json\n{JSON}\n```\ndone {{"))
        assert (await mode(model, "x", response_format=wanted)).text == JSON


def test_a_forced_call_goes_through_a_response_format_where_the_source_reads_one():
    can = Capabilities(response_format=True)
    model = ScriptedModel(script=['{"name": "City", "arguments": ', JSON, "}"], can=can)
    message = model.bind_tools([City], tool_choice="any").invoke("x")
    assert message.tool_calls[0]["args"] == VALUE
    schema = model.requests[0].response_format["json_schema"]["schema"]
    assert schema["properties"]["name"] == {"const": "City"}
    assert schema["required"] == ["name", "arguments"]


def test_tools_and_a_format_leave_the_source_the_choice():
    can = Capabilities(response_format=True)
    wanted = {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": {"type": "object"}},
    }
    call = '{"tool_call": {"name": "City", "arguments": ' + JSON + "}}"
    for script, text, count in ((pieces(call), "", 1), (pieces(JSON), JSON, 0)):
        model = ScriptedModel(script=script, can=can)
        message = model.bind_tools([City], response_format=wanted).invoke("x")
        assert message.text == text
        assert [each["args"] for each in message.tool_calls] == [VALUE] * count
        schema = model.requests[0].response_format["json_schema"]["schema"]
        assert len(schema["anyOf"]) == 2


# Schemas that nothing can conform to.

IMPOSSIBLE = [
    ({"properties": {"a": {"type": "integer", "minimum": 3, "maximum": 2}}}, r"\.properties\.a:"),
    ({"properties": {"a": {"enum": []}}}, r"properties\.a\.enum"),
    ({"properties": {"a": False}, "required": ["a"]}, r"properties\.a"),
    ({"properties": {"a": {"type": "array", "minItems": 2, "maxItems": 1}}}, r"minItems 2"),
    ({"properties": {"a": {"$ref": "#/$defs/Missing"}}}, r"properties\.a\['\$ref'\].*Missing"),
    ({"properties": {"a": {"$ref": "https://example.com/s.json"}}}, "nothing is fetched"),
    ({"properties": {"a": {"type": "frob"}}}, r"malformed at \$\.properties\.a\.type"),
    ({"properties": {}, "required": ["b"], "additionalProperties": False}, r"required: 'b'"),
    ({"properties": {"a": {"items": {"minLength": 5, "maxLength": 1}}}}, r"a\.items"),
    ({"type": "array", "items": {}}, r"root has to be an object"),
    ({"properties": {"a": {"anyOf": [{"const": 1}, {"enum": []}]}}}, r"anyOf\[1\]\.enum"),
]


@pytest.mark.parametrize(("schema", "says"), IMPOSSIBLE)
def test_an_impossible_schema_is_refused_before_anything_is_generated(schema, says):
    model = ScriptedModel(script=["x"])
    with pytest.raises(SchemaError, match=says):
        model.with_structured_output({"title": "Bad", "type": "object", **schema})
    assert not model.requests


@pytest.mark.parametrize("schema", [3, "City", {"type": "object"}, int])
def test_what_is_no_schema_is_refused(schema):
    with pytest.raises(SchemaError, match="schema"):
        ScriptedModel(script=["x"]).with_structured_output(schema)


# The real engine.


class Kind(StrEnum):
    NEW = "new"
    USED = "used"


class Part(BaseModel):
    kind: Kind
    size: int = Field(ge=10, le=99)


class Thing(BaseModel):
    """A thing for sale."""

    name: str = Field(max_length=12)
    price: float = Field(ge=1, le=9)
    parts: list[Part] = Field(min_length=1, max_length=2)
    state: Literal["open", "sold"]
    note: str | None = Field(default=None, max_length=12)


@pytest.fixture(scope="module")
def smollm2():
    loaded()
    return ChatGGUF(**ENGINE, max_tokens=200)


def test_gguf_answers_conform_to_a_nested_schema(smollm2):
    given = {"temperature": 0.7, "max_tokens": 400}  # the schema bounds it to less
    structured = smollm2.with_structured_output(Thing, include_raw=True, **given)
    prompts = [[PROMPT[0], ("human", f"Make up thing number {n}.")] for n in range(2)]
    got = structured.batch(prompts)
    assert [each["parsing_error"] for each in got] == [None] * 2
    assert all(isinstance(each["parsed"], Thing) for each in got)


@pytest.mark.parametrize("method", METHODS)
async def test_O1_gguf_by_every_method_streams_too(smollm2, method):
    structured = smollm2.with_structured_output(
        Part.model_json_schema(), method=method, temperature=0.0, seed=3
    )
    prompt = [PROMPT[0], ("human", "Make up a part.")]
    partials = [*structured.stream(prompt)]
    assert len(partials) > 3
    for answer in (partials[-1], await structured.ainvoke(prompt)):  # no LLM says a thing twice
        Part.model_validate(answer)


def test_gguf_asks_again_for_less_where_an_answer_was_cut():
    class Story(BaseModel):
        title: str
        text: str

    model = gguf(max_tokens=60)
    prompt = [PROMPT[0], ("human", "Tell a very long story about a dragon, in many sentences.")]
    got = model.with_structured_output(Story, include_raw=True).invoke(prompt)
    assert got["parsing_error"] is None
    assert got["raw"].response_metadata["attempts"] > 1


def test_gguf_leaves_the_choice_between_a_call_and_an_answer(smollm2):
    wanted = {
        "type": "json_schema",
        "json_schema": {"name": "City", "schema": City.model_json_schema()},
    }
    message = smollm2.bind_tools([Part], response_format=wanted, temperature=0.0).invoke(PROMPT)
    assert bool(message.text) != bool(message.tool_calls)
    if message.text:
        City.model_validate_json(message.text)


# Answers that are none.


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            ['{"name": "Zür', Finish("length")],
            r"the last: it got too long and was cut \(finish reason 'length'\); allow more by max_",
        ),
        (["Here comes your"], "the last: it holds no JSON; it begins 'Here comes your'"),
        ([" "], "the last: it is empty"),
    ],
)
def test_what_is_no_answer_is_named_once_and_in_plain_words(said, told):
    model = chat_model(lambda messages: iter(said))
    for include_raw in (False, True):
        asked = model.with_structured_output(City, include_raw=include_raw)
        if include_raw:
            problem = asked.invoke("x")["parsing_error"]
        else:
            with pytest.raises(StructureError) as caught:
                asked.invoke("x")
            problem = caught.value
        assert len(re.findall(told, str(problem))) == 1
        assert "at line 1" not in f"{problem} {problem.__cause__}"


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
@pytest.mark.parametrize("reason", ["content_filter", "refusal", "SAFETY"])
def test_a_refusal_by_the_finish_reason_is_one_and_is_not_asked_again(method, reason):
    asked = []

    def filtered(messages):
        asked.append(messages)
        yield "I can't help."
        yield Finish(reason)

    model = chat_model(filtered)
    with pytest.raises(RefusalError, match=rf"finish reason '{reason}'\): I can't help\.$"):
        model.with_structured_output(City, method=method).invoke("x")
    assert len(asked) == 1
    told = model.with_structured_output(City, method=method, include_raw=True).invoke("x")
    assert isinstance(told["parsing_error"], RefusalError)
    assert told["raw"].text == "I can't help."
