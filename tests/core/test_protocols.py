"""The protocols: what families of models really write, read and written."""

import json
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatwright import HERMES, LLAMA3, REACT, ToolProtocol
from chatwright.core.answer import Answer
from chatwright.core.protocols import PROTOCOLS, Named, protocol_of
from chatwright.core.reading.arguments import only_argument, typed
from chatwright.core.toolcalls import ToolCallFilter
from chatwright.deltas import Finish, ToolCallDelta
from core.test_filters import any_split, reading, through

LOOK = ("look", {"city": "Bern"})


def read(protocol, said, data=None, **fields):
    """Return text, reasoning and calls, the same however `said` is split."""
    whole = through(reading(protocol, **fields), [said])
    for chunks in ([*said], *([any_split(data, said)] if data else [])):
        assert through(reading(protocol, **fields), chunks) == whole
    text, reasoning, calls = whole
    return text, reasoning, [(name, json.loads(args or "{}"), *more) for name, args, *more in calls]


# As their templates have it, with what stands around it.
WRITTEN = {
    "qwen3": 'Hm.\n<tool_call>\n{"name": "look", "arguments": {"city": "Bern"}}\n</tool_call>',
    "qwen3-coder": "Hm.\n<tool_call>\n<function=look>\n<parameter=city>\nBern\n</parameter>\n"
    "</function>\n</tool_call>",
    "harmony": "<|channel|>commentary<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary "
    'to=functions.look <|constrain|>json<|message|>{"city": "Bern"}<|call|>',
    "deepseek-v3": "Hm.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>look\n"
    '```json\n{"city": "Bern"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    "deepseek-v3.1": "Hm.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>look<｜tool▁sep｜>"
    '{"city": "Bern"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    "deepseek-v3.2": 'Hm.\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name="look">\n'
    '<｜DSML｜parameter name="city" string="true">Bern</｜DSML｜parameter>\n</｜DSML｜invoke>\n'
    "</｜DSML｜function_calls>",
    "kimi-k2": "Hm.<|tool_calls_section_begin|><|tool_call_begin|>functions.look:0"
    '<|tool_call_argument_begin|>{"city": "Bern"}<|tool_call_end|><|tool_calls_section_end|>',
    "glm": "Hm.\n<tool_call>look\n"
    "<arg_key>city</arg_key>\n<arg_value>Bern</arg_value>\n</tool_call>",
    "minimax-m1": "Hm.\n<tool_calls>\n"
    '{"name": "look", "arguments": {"city": "Bern"}}\n</tool_calls>',
    "minimax": 'Hm.\n<minimax:tool_call>\n<invoke name="look">\n<parameter name="city">Bern'
    "</parameter>\n</invoke>\n</minimax:tool_call>",
    "gemma": 'Hm.\n```tool_code\nprint(look(city="Bern"))\n```\n',
    "gemma ": 'Hm.\n```tool_code\nweather = look(city="Bern")\nprint(weather)\n```\n',
    "kimi-k2 ": "Hm.<|tool_calls_section_begin|><|tool_call_begin|>look:0"
    '<|tool_call_argument_begin|>{"city": "Bern"}<|tool_call_end|><|tool_calls_section_end|>',
    "hermes": 'Hm.<tool_call>{"name": "look", "arguments": {"city": "Bern"}}}</tool_call>',
    "qwen3-coder ": "Hm.<tool_call><function=look><parameter=city>Bern</parameter></tool_call>",
    "glm ": "Hm.<tool_call>look<arg_key>city</arg_key><arg_value>Bern</arg_value></tool_call>",
    "functiongemma": "Hm.<start_function_call>call:look{city:<escape>Bern<escape>}"
    "<end_function_call>",
    "gemma4": 'Hm.<|tool_call>call:look{city:<|"|>Bern<|"|>}<tool_call|>',
    "mistral-v11": 'Hm.[TOOL_CALLS]look[ARGS]{"city": "Bern"}',
    "mistral-v11 ": 'Hm.[TOOL_CALLS] [{"name": "look", "arguments": {"city": "Bern"}}]',
    "mistral": 'Hm.[TOOL_CALLS]look[ARGS]{"city": "Bern"}',
    "phi4": 'Hm. functools[{"name": "look", "arguments": {"city": "Bern"}}]',
    "pythonic": "[look(city='Bern')]",
    "llama3": 'Hm. {"type": "function", "name": "look", "parameters": {"city": "Bern"}}',
}


@pytest.mark.parametrize("name", WRITTEN)
@settings(max_examples=20)
@given(st.data())
def test_a_family_s_calls_are_read_behind_text(name, data):
    text, _, calls = read(PROTOCOLS[name.strip()], WRITTEN[name], data)
    assert calls == [LOOK]
    assert text.strip() == ("" if name == "pythonic" else "Hm.")


def test_every_protocol_can_be_named():
    assert {*get_args(Named)} == {"auto", *PROTOCOLS}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_what_a_protocol_teaches_is_what_a_template_of_its_own_would_hold(name):
    protocol = PROTOCOLS[name]
    calls = protocol.write_calls([("a", '{"b": 1}')])
    template = "".join([*protocol.signs, calls, protocol.result])
    assert protocol_of(template) is (protocol if protocol.signs else HERMES)


def test_a_template_that_knows_no_tools_leaves_it_at_hermes():
    assert protocol_of("{% for m in messages %}<|im_start|>{{ m.role }}{% endfor %}") is HERMES
    assert protocol_of("") is HERMES


# Llama and Hermes.

CALL = '"parameters": {"city": "Bern"}'
LLAMA = {
    "nested": f'{{"type": "function", "function": {{"name": "look", {CALL}}}}}',
    "function is the name": f'{{"function": "look", {CALL}}}',
    "parameters first": f'{{{CALL}, "name": "look"}}',
    "fence": f'```json\n{{"name": "look", {CALL}}}\n```',
    "list": f'[{{"name": "look", {CALL}}}]',
    "list in a fence": f'```\n[{{"name": "look", {CALL}}}]\n```',
    "blank before": f'\n {{"name": "look", {CALL}}}',
}


@pytest.mark.parametrize("said", LLAMA.values(), ids=LLAMA)
@settings(max_examples=20)
@given(st.data())
def test_llamas_forms_are_calls(said, data):
    assert read(LLAMA3, said, data) == ("", "", [LOOK])
    assert read(LLAMA3, f"I look:\n{said.lstrip()}", data) == ("I look:\n", "", [LOOK])


def test_several_bare_calls_stand_one_behind_the_other():
    said = f'{{"name": "look", {CALL}}}; {{"name": "clock", "parameters": {{}}}}\nDone.'
    assert read(LLAMA3, said) == ("Done.", "", [LOOK, ("clock", {})])


JSON_TEXT = [
    '{"name": "Alice", "age": 3}',
    'A set {} and {x} and [1] and `{"a": 1}`.',
    'See: {"a": {"name": "look", "parameters": {"city": "x"}}} so',
    '```json\n{"name": "other", "parameters": {}}\n```',
    '{"type": "object", "properties": {"name": "look"}}',
    'Hm {"name": "look"} so',
    '{"parameters": {"city": "Be',
    "```python\nprint('[')\n``",
    "[1, 2] and [look] and [",
    '\n {"a": 1}',
    "\n [1] ```",
]


@pytest.mark.parametrize("said", JSON_TEXT)
@settings(max_examples=20)
@given(st.data())
def test_json_that_is_no_call_stays_text(said, data):
    assert read(LLAMA3, said, data) == (said, "", [])


@pytest.mark.parametrize(
    "said",
    ["[1, 2]", " [1]", "[other(city='x')]", "[look]", "See [look(city='x')].", "[look(city="[:5]],
)
@settings(max_examples=20)
@given(st.data())
def test_a_list_that_is_no_call_stays_text(said, data):
    assert read(PROTOCOLS["pythonic"], said, data) == (said, "", [])


def hermes(inside):
    return f"<tool_call>{inside}</tool_call>"


@pytest.mark.parametrize(
    "said",
    [
        hermes('\n```json\n{"name": "look", "arguments": {"city": "Bern"}}\n```\n'),
        hermes('{"name": "look", "city": "Bern"}'),
        hermes('{"city": "Bern", "name": "look"}'),
        hermes('{"type": "function", "function": {"name": "look", "arguments": {"city": "Bern"}}}'),
    ],
)
@settings(max_examples=20)
@given(st.data())
def test_hermes_calls_in_fences_and_with_arguments_beside_the_name(said, data):
    assert read(HERMES, said, data) == ("", "", [LOOK])


def test_arguments_beside_the_name_are_those_of_the_tool():
    _, _, ((_, args, error),) = through(
        reading(HERMES), [hermes('{"name": "look", "town": "Bern"}')]
    )
    assert args == '{"name": "look", "town": "Bern"}'
    assert "takes no 'town'" in error
    assert read(HERMES, hermes('{"name": "clock", "id": 3}'))[2] == [("clock", {})]
    for schema in ({}, {"properties": {"a": {}}, "additionalProperties": True}):
        beside = hermes('{"name": "look", "town": "Bern"}')
        assert read(HERMES, beside, tools={"look": schema})[2] == [("look", {"town": "Bern"})]


# ReAct.

ONE = {"look": {"properties": {"city": {"type": "string"}}, "required": ["city"]}}
TWO = {"look": {"properties": {"a": {}, "b": {}}, "required": ["a", "b"]}}


@pytest.mark.parametrize(
    ("said", "calls"),
    [
        ("Thought: t\nAction: look\nAction Input: Bern", [LOOK]),
        ('Action: look\nAction Input: "Bern"\nObservation: x', [LOOK]),
        ("Action: look\nAction Input:\nBern\nObservation: x", [LOOK]),
        ('Action: `look`\nAction Input: {"city": "Bern"}', [LOOK]),
        ("Action: clock\nAction Input:", [("clock", {})]),
        ("Action: clock\nAction Input: None\n", [("clock", {})]),
        ("Action: clock\nAction Input:\nThought: so", [("clock", {})]),
        ("Action: search\nAction Input: {}", [("search", {})]),
    ],
)
@settings(max_examples=20)
@given(st.data())
def test_react_as_llms_write_it(said, calls, data):
    tools = {**ONE, "clock": {"properties": {}}}
    assert read(REACT, said, data, tools=tools)[2] == calls


@pytest.mark.parametrize(
    ("said", "raw"),
    [("Action Input:", ""), ("Action Input: Bern", "Bern"), ("Action Input: ```js", "```js")],
)
def test_react_without_the_arguments_that_the_tool_needs_is_no_call(said, raw):
    ((_, args, error),) = through(reading(REACT, tools=TWO), [f"Action: look\n{said}"])[2]
    assert args == raw
    assert error


@pytest.mark.parametrize(
    "said",
    [
        "Action: none of them\nAction Input: nothing\nSo: 42",
        "Action: None needed\nFinal Answer: 42",
        "Action: N/A\nAction Input: \nFinal Answer: 42",
    ],
)
@settings(max_examples=20)
@given(st.data())
def test_react_actions_that_are_none_stay_text(said, data):
    assert read(REACT, said, data) == (said, "", [])


def test_a_line_of_arguments_that_the_length_has_cut_is_no_call():
    for reason, errors in (("stop", [""]), ("length", ["the answer ended before the call did"])):
        answer = Answer([ToolCallFilter(REACT, tools=ONE)])
        answer.feed("Action: look\nAction Input: Ber")
        answer.feed(Finish(reason))
        assert [each.error for each in answer.end()] == errors


# Types, fields, Python.

SCHEMA = {
    "properties": {
        "text": {"type": "string"},
        "maybe": {"type": ["string", "null"]},
        "count": {"type": "integer"},
        "sure": {"type": "boolean"},
        "kind": {"enum": ["1", "2"]},
        "place": {"$ref": "#/$defs/Place"},
    },
    "$defs": {"Place": {"type": "object"}},
}


@pytest.mark.parametrize(
    ("key", "raw", "value"),
    [
        ("text", "5", "5"),
        ("text", "null", "null"),
        ("maybe", "null", None),
        ("maybe", "5", "5"),
        ("count", "5", 5),
        ("count", "five", "five"),
        ("sure", "True", True),
        ("kind", "1", "1"),
        ("place", '{"a": 1}', {"a": 1}),
        ("unknown", "[1]", [1]),
        ("unknown", "x", "x"),
    ],
)
def test_an_argument_has_the_type_that_the_schema_says(key, raw, value):
    assert typed(raw, key, SCHEMA) == value


def test_the_only_argument_of_a_tool():
    assert only_argument(ONE["look"]) == "city"
    assert only_argument(SCHEMA) is None
    assert only_argument({**SCHEMA, "required": ["count"]}) == "count"
    assert only_argument(None) is None


@pytest.mark.parametrize(
    ("call", "args"),
    [
        ("look('Bern')", {"city": "Bern"}),
        (
            "look(city='a)', deep=[1, {'b': None}], n=-1)",
            {"city": "a)", "deep": [1, {"b": None}], "n": -1},
        ),
        ("look(city='''a\n'b''', sure=true)", {"city": "a\n'b", "sure": True}),
        ("look()", {}),
    ],
)
@settings(max_examples=20)
@given(st.data())
def test_python_calls_are_read(call, args, data):
    assert read(PROTOCOLS["pythonic"], f"[{call}, clock()]", data)[2] == [
        ("look", args),
        ("clock", {}),
    ]
    said = f"So:\n```tool_code\n{call}\nclock()\n```\nDone"
    assert read(PROTOCOLS["gemma"], said, data) == (
        "So:\nDone",
        "",
        [("look", args), ("clock", {})],
    )


@pytest.mark.parametrize(
    "call", ["look(1, 2, 3, 4, 5, 6)", "look(**x)", "look(city=f())", "look(a=)"]
)
def test_python_that_is_no_plain_call_cant_be_read(call):
    ((name, args, error),) = through(reading(PROTOCOLS["pythonic"]), [f"[{call}]"])[2]
    assert (name, args) == ("", call)
    assert error


def test_fields_nest_and_hold_any_text():
    said = (
        "<start_function_call>call:look{city:<escape>a:{b},<end_function_call><escape>,"
        "deep:[1,{x:true}]}<end_function_call> ok"
    )
    calls = [("look", {"city": "a:{b},<end_function_call>", "deep": [1, {"x": True}]})]
    assert read(PROTOCOLS["functiongemma"], said) == ("ok", "", calls)


@settings(max_examples=20)
@given(st.data())
def test_a_coder_s_call_without_its_first_tag_is_one(data):
    said = "<function=look>\n<parameter=city>\nBern\n</parameter>\n</function>\n</tool_call>"
    assert read(PROTOCOLS["qwen3-coder"], said, data) == ("", "", [LOOK])
    words = "Write <function=name> so."
    assert read(PROTOCOLS["qwen3-coder"], words, data) == (words, "", [])


WORDS = {
    "qwen3-coder": "Put it between <tool_call> tags.",
    "glm": "Put it between <tool_call> tags, so.",
    "gemma": "See ```tool_code for that: it is code.",
    "phi4": "The functools module has a cache.",
    "kimi-k2": "a < b and <|tool",
    "harmony": "a <b> and to=me",
}


@pytest.mark.parametrize("name", WORDS)
@settings(max_examples=20)
@given(st.data())
def test_words_stay_text(name, data):
    assert read(PROTOCOLS[name], WORDS[name], data) == (WORDS[name], "", [])


# Harmony.


@settings(max_examples=20)
@given(st.data())
def test_channels_are_told_apart(data):
    said = (
        "<|channel|>analysis<|message|>I think.<|end|><|start|>assistant<|channel|>commentary"
        "<|message|>I look.<|end|><|start|>assistant to=functions.look<|channel|>commentary json"
        '<|message|>{"city": "Bern"}<|call|>'
        "<|start|>assistant<|channel|>final<|message|>Done.<|return|>"
    )
    harmony = PROTOCOLS["harmony"]
    assert read(harmony, said, data) == ("I look.\n\nDone.", "I think.", [LOOK])
    assert read(harmony, " to=functions.look<|channel|>commentary<|message|>{}", data)[2] == [
        ("look", {})
    ]
    assert read(harmony, "Plain text, 1 < 2.", data) == ("Plain text, 1 < 2.", "", [])
    assert (
        read(harmony, said.replace("final", "final <|constrain|>json"), data)[0]
        == "I look.\n\nDone."
    )


def test_text_streams_on_the_final_channel():
    made = reading(PROTOCOLS["harmony"])
    made.feed("<|channel|>final<|message|>")
    assert [*made.feed("Hel")] == ["Hel"]
    assert made.passes("lo")
    assert not made.passes("a <")


# Streaming, and one call only.


@pytest.mark.parametrize("name", ["kimi-k2", "deepseek-v3.1", "harmony", "llama3"])
def test_json_arguments_stream_as_they_come(name):
    protocol = PROTOCOLS[name]
    written = protocol.write_calls([("look", json.dumps({"city": "B" * 500}))])
    made = reading(protocol)
    pieces = [each for character in written for each in made.feed(character)]
    assert len([each for each in pieces if isinstance(each, ToolCallDelta) and each.args]) > 400


@pytest.mark.parametrize("name", sorted(PROTOCOLS.keys() - {"react"}))
def test_one_call_is_taken_where_one_is_wanted(name):
    protocol = PROTOCOLS[name]
    written = protocol.write_calls([("look", '{"city": "Bern"}'), ("clock", "{}")])
    text, _, calls = read(protocol, written, single=True)
    assert (text.strip(), calls) == ("", [LOOK])


def test_a_long_parameter_is_not_read_again_with_every_chunk():
    made = reading(PROTOCOLS["glm"])
    made.feed("<tool_call>look\n<arg_key>city</arg_key>\n<arg_value>")
    for _ in range(2000):
        assert made.feed("x" * 100) == ()
    text, _, calls = through(made, ["</arg_value></tool_call>"])
    assert (text, len(calls[0][1])) == ("", 200_000 + len(', "city": ""}') - 2)


def test_a_protocol_of_one_s_own_spells_its_calls_as_it_likes():
    own = ToolProtocol(
        instructions="{tools}",
        open="CALL ",
        close=" END",
        call="CALL {name} WITH {arguments} END",
        result="{content}",
    )
    written = own.write_calls([("look", '{"city": "Bern"}')])
    assert read(own, f"So: {written} ok") == ("So: ok", "", [LOOK])
    with pytest.raises(ValueError, match="parameter"):
        ToolProtocol(instructions="{tools}", open="<", call="{name}{parameters}", result="")


def test_a_call_that_is_no_json_is_written_as_it_was():
    for protocol in PROTOCOLS.values():
        assert "{oops" in protocol.write_calls([("look", "{oops")])
