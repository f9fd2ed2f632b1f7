"""Schemas as grammars: what llguidance can't hold an answer to is named, and the rest is held."""

import json
import re
import warnings

import pytest

from chatwright import ChatGGUF, InvalidRequestError, ParameterError, SchemaError
from chatwright.wrap.gguf import guidance
from chatwright.wrap.gguf.engine import library
from chatwright.wrap.gguf.grammar import grammar_of
from contract.subjects import ENGINE, PROMPT, loaded

AHEAD = {"type": "string", "pattern": r"^(?=.*\d).+$"}
LOOK = r"'pattern' at \$\.properties\.a \(look-around"


def held(schema):
    """Return the schema that is left in the grammar, and what was said of the rest."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        grammar = grammar_of({"type": "json_object", "schema": schema}, library())
    assert guidance.problem_of(library(), grammar) == (True, "")
    left = json.loads(grammar.partition("%json ")[2])
    del left["x-guidance"]
    return left, [str(each.message) for each in caught]


def made(**properties):
    return {"type": "object", "properties": properties, "required": [*properties]}


INTEGER = {"type": "integer", "minimum": 3}
WORSE = {
    "pattern": (made(a=AHEAD, b=INTEGER), [LOOK]),
    "two patterns": (
        made(
            a=AHEAD,
            b={"type": "string", "pattern": "^b$"},
            c={**AHEAD, "pattern": r"(a)\1"},
            d=INTEGER,
        ),
        [LOOK, r"'pattern' at \$\.properties\.c \(backreferences"],
    ),
    "in a definition": (
        {**made(a={"$ref": "#/$defs/X"}, b=INTEGER), "$defs": {"X": AHEAD}},
        [r"'pattern' at \$\['\$defs'\]\.X"],
    ),
    "in a list": (
        made(a={"type": "array", "items": AHEAD}, b=INTEGER),
        [r"'pattern' at \$\.properties\.a\.items"],
    ),
    "in anyOf": (
        made(a={"anyOf": [AHEAD, {"type": "null"}]}, b=INTEGER),
        [r"'pattern' at \$\.properties\.a\.anyOf\[0\]"],
    ),
    "patternProperties": (
        {
            **made(b=INTEGER),
            "patternProperties": {"^(?!b)": INTEGER},
            "additionalProperties": False,
        },
        [r"'patternProperties' at \$ \(look-around"],
    ),
    "uniqueItems": (
        made(a={"type": "array", "uniqueItems": True}, b=INTEGER),
        [r"'uniqueItems' at \$\.properties\.a"],
    ),
    "if": (
        {**made(b=INTEGER), "if": {"required": ["b"]}, "then": {"required": ["c"]}},
        ["'if' at", "'then' at"],
    ),
    "format": (
        made(a={"type": "string", "format": "idn-email"}, b=INTEGER),
        [r"'format' at \$\.properties\.a \(Unknown format: idn-email"],
    ),
    "oneOf": (
        made(b={"oneOf": [INTEGER, {"type": "integer", "maximum": 9}]}),
        [r"'oneOf' at \$\.properties\.b"],
    ),
}


@pytest.mark.parametrize(("schema", "says"), WORSE.values(), ids=WORSE)
def test_what_no_grammar_holds_is_named_and_the_rest_is_held(schema, says):
    left, said = held(schema)
    assert len(said) == len(says)
    for each in says:
        assert any(re.search(each, one) for one in said), said
    assert '"minimum": 3' in json.dumps(left)
    assert left["required"] == schema["required"]
    if "oneOf" in str(schema):
        assert len(left["properties"]["b"]["anyOf"]) == 2
    if "^b$" in str(schema):
        assert left["properties"]["b"]["pattern"] == "^b$"
    if "patternProperties" in schema:
        assert left["additionalProperties"] is True


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": [made(a=INTEGER), made(b=INTEGER)]},
        {"properties": {"a": INTEGER}, "anyOf": [made(b=INTEGER), made(c=INTEGER)]},
        {"$ref": "#/$defs/A", **made(b=INTEGER), "$defs": {"A": made(a=INTEGER)}},
        {"patternProperties": {"^x": INTEGER}, "required": ["x"], "properties": {"a": INTEGER}},
        {},
    ],
)
def test_a_schema_of_parts_that_add_up_is_held_whole(schema):
    left, said = held(schema)
    assert not said
    assert all(each in json.dumps(left) for each in map(json.dumps, schema.get("required", ())))


def test_a_name_that_is_no_uri_costs_nothing():
    schema = {**made(a={"$ref": "#/$defs/X"}), "$defs": {"X": {"type": "integer", "minimum": 3}}}
    left, said = held({**schema, "$id": "anyOf with refs"})
    assert said == []
    assert left == {**schema, "additionalProperties": False}


def test_a_schema_that_contradicts_itself_is_refused():
    schema = made(a={"type": "string", "minLength": 10, "pattern": "^a{1,3}$"})
    with pytest.raises(SchemaError, match="property 'a' is unsatisfiable"):
        held(schema)


def test_a_build_that_hides_llguidance_is_told_of_once():
    guidance._compiler.cache_clear()
    with pytest.warns(UserWarning, match="does not tell whether a grammar compiles"):
        assert guidance.problem_of("/lib/none.so", "x") == (True, "")
    guidance._compiler.cache_clear()


@pytest.fixture(scope="module")
def smollm2():
    loaded()
    return ChatGGUF(**ENGINE, max_tokens=40)


def test_O7_a_pattern_that_no_grammar_holds_leaves_the_rest_held(smollm2):
    schema = {"title": "Login", **made(a=AHEAD, b=INTEGER)}
    structured = smollm2.with_structured_output(schema, include_raw=True, retries=0)
    with pytest.warns(UserWarning, match=LOOK):
        raw = structured.invoke([PROMPT[0], ("human", "Make something up.")])["raw"]
    assert raw.text.startswith('{"a": "')
    called = {"type": "function", "function": {"name": "login", "parameters": made(a=AHEAD)}}
    with pytest.warns(UserWarning, match="look-around"):
        answer = smollm2.bind_tools([called], tool_choice="login").invoke(PROMPT)
    assert answer.tool_calls or answer.invalid_tool_calls


def test_a_forced_call_that_reaches_a_bound_says_so(smollm2):
    def forced(**schema):
        """Force a call of a tool whose argument is to be long."""
        called = {"type": "function", "function": {"name": "f", "parameters": made(a=schema)}}
        answer = smollm2.bind_tools([called], tool_choice="f").invoke(PROMPT, max_tokens=120)
        (call,) = answer.tool_calls
        return call["args"]["a"], answer.response_metadata.get("bounded")

    text, told = forced(type="string", minLength=60)
    assert (len(text), told) == (60, True)
    numbers, told = forced(type="array", items={"enum": [1]}, minItems=5)
    assert (numbers, told) == ([1] * 5, True)
    cut = {"type": "function", "function": {"name": "f", "parameters": made(a=INTEGER)}}
    answer = smollm2.bind_tools([cut], tool_choice="f").invoke(PROMPT, max_tokens=3)
    assert answer.invalid_tool_calls
    assert forced(type="string", enum=["short"]) == ("short", None)
    assert forced(type="array", items={"enum": [1]}, maxItems=3)[1] is None


@pytest.mark.parametrize(
    "own",
    [
        "%llguidance {}\nstart: /(?=a)b/",
        '%llguidance {}\nstart: "a" | missing',
        'root ::= "a" missing',
        "root := x",
    ],
)
def test_O7_a_grammar_of_the_users_that_does_not_compile_is_an_error(smollm2, own):
    with pytest.raises(InvalidRequestError, match="grammar"):
        smollm2.invoke(PROMPT, grammar=own)
    with pytest.raises(InvalidRequestError, match="grammar"):
        next(smollm2.stream(PROMPT, grammar=own))


def test_O7_what_is_left_out_of_a_grammar_of_the_users_is_told(smollm2):
    schema = {"type": "array", "uniqueItems": True, "maxItems": 1, "x-guidance": {"lenient": True}}
    own = f"%llguidance {{}}\nstart: %json {json.dumps(schema)}"
    with pytest.warns(UserWarning, match="uniqueItems"):
        text = smollm2.invoke(PROMPT, grammar=own).text
    assert text.startswith("[")


def test_O7_llama_cpps_own_json_schema_is_held_too(smollm2):
    with pytest.warns(UserWarning, match=LOOK):
        text = smollm2.invoke(PROMPT, json_schema=made(a=AHEAD)).text
    assert text.startswith('{"a": "')
    with pytest.raises(ParameterError, match="exclude each other"):
        smollm2.invoke(PROMPT, json_schema=made(a=INTEGER), grammar='root ::= "a"')
