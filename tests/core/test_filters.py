"""The filters of reasoning, tool calls and JSON: what they do, however their input is split."""

import contextlib
import itertools
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.utils.json import parse_partial_json

from chatwright import HERMES, LLAMA3, MISTRAL, REACT, Reasoning, ReasoningTags, ToolCallDelta
from chatwright.core.calls import CallRepair
from chatwright.core.harmony import HarmonyFilter
from chatwright.core.jsontext import breaking_suffix, read_object
from chatwright.core.protocols import PROTOCOLS, WRAPPED, ToolProtocol
from chatwright.core.purejson import JsonFilter
from chatwright.core.tags import TagFilter
from chatwright.core.text import partial_start
from chatwright.core.toolcalls import ToolCallFilter


def through(made, chunks):
    """Return the text, the reasoning and the calls that come of chunks."""
    out = []
    for chunk in chunks:
        if made.done:
            break
        out += made.feed(chunk)
    out += made.flush()
    repair = CallRepair()
    out = [each for piece in out for each in repair.feed(piece)] + [*repair.flush()]
    text = "".join(each for each in out if isinstance(each, str))
    reasoning = "".join(each.text for each in out if isinstance(each, Reasoning))
    calls = {}
    for each in out:
        if isinstance(each, ToolCallDelta):
            name, args, error = calls.get(each.index, ("", "", ""))
            calls[each.index] = (name + (each.name or ""), args + each.args, error or each.error)
    told = [(name, args, error) if error else (name, args) for name, args, error in calls.values()]
    return text, reasoning, told


def is_valid(call):
    name, args, *error = call
    return bool(name) and not error and read_object(args)[0] is not None


def split(text, cuts):
    return [text[a:b] for a, b in itertools.pairwise(sorted({0, *cuts, len(text)}))]


def any_split(data, text):
    return split(text, data.draw(st.sets(st.integers(0, len(text)), max_size=20)))


TAGGED = [
    ("<think>a</think>b", "b", "a"),
    ("\n <think>a</think>\n\nb", "b", "a"),
    ("a <think>b</think> c", "a  c", "b"),
    ("no <b>tags</b>", "no <b>tags</b>", ""),
    ("<think>never closed </thin", "", "never closed </thin"),
    ("a <thin", "a <thin", ""),
    ("```\n<think>t</think>\n```<think>r</think>q", "```\n<think>t</think>\n```q", "r"),
    ("````\n``` <think>\n````<think>r</think>q", "````\n``` <think>\n````q", "r"),
    ("use `<think>` so <think>r</think>q", "use `<think>` so q", "r"),
    ("``a ` <think>`` <think>r</think>q", "``a ` <think>`` q", "r"),
    ("an open ` here\n<think>r</think>q", "an open ` here\nq", "r"),
    ("<think>`x</think>y", "y", "`x"),
    ("  ", "  ", ""),
    ("", "", ""),
]


@pytest.mark.parametrize(("said", "text", "reasoning"), TAGGED)
@given(st.data())
def test_reasoning_is_split_off_at_its_tags(said, text, reasoning, data):
    for chunks in ([said], [*said], any_split(data, said)):
        assert through(TagFilter(ReasoningTags()), chunks) == (text, reasoning, [])


def test_text_is_not_held_back_but_for_what_may_be_a_tag():
    tags = TagFilter(ReasoningTags())
    assert [*tags.feed("hello ")] == ["hello "]
    assert [*tags.feed("a <")] == ["a "]
    assert [*tags.feed("b")] == ["<b"]
    assert [*tags.feed("<think>x</th")] == [Reasoning("x")]
    assert [*tags.feed("y")] == [Reasoning("</thy")]


TOOLS = {
    "look": {
        "properties": {
            "city": {"type": "string"},
            "deep": {"type": "array"},
            "n": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "sure": {"type": "boolean"},
            "where": {"$ref": "#/$defs/Where"},
        },
        "required": ["city"],
        "$defs": {"Where": {"type": "object"}},
    },
    "clock": {"properties": {}},
}
NASTY = "Zü\"r}{i)c]h\\ it's\n <b>"
CALLS = [
    ("look", {"city": NASTY, "deep": [{"a": [1, 2]}, None], "where": {"x": "y"}}),
    ("look", {"city": "7", "n": None, "sure": True}),
    ("clock", {}),
]


def reading(protocol, **fields):
    """Return what reads the calls of a protocol."""
    if protocol.channels:
        return HarmonyFilter(**fields)
    return ToolCallFilter(protocol, **{"tools": TOOLS, **fields})


WRITTEN = {
    name: protocol.write_calls([(n, json.dumps(a, ensure_ascii=False)) for n, a in CALLS])
    for name, protocol in PROTOCOLS.items()
}


@pytest.mark.parametrize("name", PROTOCOLS)
@given(st.data())
def test_what_a_protocol_writes_it_reads(name, data):
    written = WRITTEN[name]
    if name == "mistral":
        written = written.replace("]\n[TOOL_CALLS] [", ", ")
    for chunks in ([written], [*written], any_split(data, written)):
        text, _, calls = through(reading(PROTOCOLS[name]), chunks)
        assert text.strip() == ""
        assert [(n, json.loads(a or "{}")) for n, a in calls] == CALLS


@pytest.mark.parametrize("name", PROTOCOLS)
@given(st.data())
def test_a_call_that_is_cut_anywhere_is_never_valid(name, data):
    protocol = PROTOCOLS[name]
    written = protocol.write_calls([("look", '{"city": "Zürich", "n": [1, {"b": "}"}]}')])
    end = written.rindex("}")  # of the call; what stands behind it is decoration
    cut = written[: data.draw(st.integers(1, end))]
    text, _, calls = through(reading(protocol), any_split(data, cut))
    assert (text, "", calls) == through(reading(protocol), [cut])
    assert not any(map(is_valid, calls))
    assert calls or cut.startswith(text) or text.startswith(cut)


@given(st.data())
def test_a_marker_counts_behind_one_that_was_only_a_word(data):
    said = '<|python_tag|>  [1], <|python_tag|>{"name": "f", "parameters": {"a": 1}}'
    text, _, calls = through(ToolCallFilter(LLAMA3), any_split(data, said))
    assert (text, calls) == ("<|python_tag|>  [1], ", [("f", '{"a": 1}')])


@given(st.data(), st.text(alphabet='<tol_ca>[]{}":,nme\\ A1', max_size=60))
def test_whatever_comes_a_split_changes_nothing_and_nothing_breaks(data, said):
    for protocol in (*PROTOCOLS.values(), WRAPPED):
        text = said.replace("A", protocol.open).replace("1", '{"name": "f", "arguments": {')
        whole = through(reading(protocol), [text])
        assert through(reading(protocol), any_split(data, text)) == whole


HERMES_CASES = {
    '<tool_call>{"name": "f", "arguments": {"a": 1}</tool_call> ok': ("ok", [("f", '{"a": 1}')]),
    '<tool_call>{"name": "f"}</tool_call>': ("", [("f", "")]),
    '<tool_call>{"name": "f", "arguments": null}</tool_call>': ("", [("f", "{}")]),
    '<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}</tool_call>': ("", [("f", '{"a": 1}')]),
    '<tool_call>{"arguments": {"a": 1}, "name": "f"}</tool_call>': ("", [("f", '{"a": 1}')]),
    '<tool_call>{"name": "f", "arguments": {"t": "</tool_call>"}}</tool_call>x': (
        "x",
        [("f", '{"t": "</tool_call>"}')],
    ),
    '<tool_call>[{"name": "f", "arguments": {}}, {"name": "g"}]</tool_call>': (
        "",
        [("f", "{}"), ("g", "")],
    ),
    '<tool_call>{"name": "f", "arguments": {}}</tool_call><tool_response>made up': (
        "",
        [("f", "{}")],
    ),
    "a < b and <tool": ("a < b and <tool", []),
}


@pytest.mark.parametrize(("said", "expected"), HERMES_CASES.items())
@given(st.data())
def test_what_llms_write_instead_is_understood(said, expected, data):
    for chunks in ([said], [*said], any_split(data, said)):
        text, _, calls = through(ToolCallFilter(HERMES), chunks)
        assert (text, calls) == expected


UNREADABLE = [
    (HERMES, "<tool_call>nonsense</tool_call> after", "nonsense"),
    (HERMES, '<tool_call>{"x": 1}</tool_call> after', '{"x": 1}'),
    (HERMES, "<tool_call></tool_call> after", ""),
    (REACT, "Action: f\nAction Input: hello\n after", "hello"),
]


@pytest.mark.parametrize(("protocol", "said", "raw"), UNREADABLE)
def test_what_is_no_call_is_an_unreadable_one_with_its_raw_text(protocol, said, raw):
    text, _, calls = through(ToolCallFilter(protocol), [*said])
    (call,) = calls
    assert not is_valid(call)
    assert call[1] == raw
    assert text.strip() == ("after" if "after" in said else "")


WORDS = [
    (HERMES, "Wrap it in <tool_call> tags, so. Then press enter."),
    (MISTRAL, "[TOOL_CALLS] is a token"),
    (LLAMA3, '{"name": "Bob", "age": 3}'),
    (REACT, "A plan.\n\nCall to Action: buy now.\n\nMy Observation: the sky is blue."),
    (REACT, "Thought: t\nAction: None\nFinal Answer: 42"),
]


@pytest.mark.parametrize(("protocol", "said"), WORDS)
@given(st.data())
def test_what_only_looks_like_a_call_stays_text(protocol, said, data):
    for chunks in ([said], [*said], any_split(data, said)):
        made = reading(protocol)
        assert through(made, chunks) == (said, "", [])


@pytest.mark.parametrize("fence", ["```json\n", "```\n", "\n"])
def test_react_arguments_may_stand_in_a_fence(fence):
    said = f'Action: look\nAction Input: {fence}{{"city": "a"}}\n```\nObservation: made up'
    for chunks in ([said], [*said]):
        text, _, calls = through(ToolCallFilter(REACT), chunks)
        assert (text, calls) == ("", [("look", '{"city": "a"}')])


@given(st.data())
def test_tags_inside_of_calls_and_json_are_left(data):
    said = '<think>r</think>a {"b": "<think>"} <think>c</think>'
    tags = TagFilter(ReasoningTags(), verbatim=("{", "}"))
    assert through(tags, any_split(data, said)) == ('a {"b": "<think>"} ', "rc", [])
    tags = TagFilter(ReasoningTags(), verbatim=("{", ""))
    assert through(tags, any_split(data, said))[:2] == (said.removeprefix("<think>r</think>"), "r")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ([ToolCallDelta(name="f", args={"a": 1}), ToolCallDelta(name="g", args={})], ["f", "g"]),
        (
            [ToolCallDelta(name="f", args='{"a": 1}'), ToolCallDelta(name="f", args='{"a": 2}')],
            "ff",
        ),
        ([ToolCallDelta(name="f", args='{"a"'), ToolCallDelta(name="f", args=": 1}")], "f"),
    ],
)
def test_calls_without_ids_or_numbers_are_told_apart(script, expected):
    _, _, calls = through(CallRepair(), script)
    assert [name for name, _ in calls] == [*expected]
    assert all(map(is_valid, calls))


def test_a_bare_call_is_told_from_other_json():
    assert through(ToolCallFilter(LLAMA3), [*'{"setup": 1}'])[0] == '{"setup": 1}'
    assert through(ToolCallFilter(LLAMA3), [*'Hi {"name": "f"}'])[0] == 'Hi {"name": "f"}'
    assert through(ToolCallFilter(LLAMA3), [*'<|python_tag|>{"name": "f"}'])[2] == [("f", "")]


def test_arguments_stream_as_they_come():
    made = ToolCallFilter(HERMES)
    assert [*made.feed('Hi <tool_call>{"name": "f", "argu')] == ["Hi ", ToolCallDelta(0, name="f")]
    assert [*made.feed('ments": {"a"')] == [ToolCallDelta(0, args='{"a"')]
    assert [*made.feed(": 1")] == [ToolCallDelta(0, args=": 1")]


def test_a_made_up_result_ends_the_answer():
    made = ToolCallFilter(REACT)
    for chunk in 'Action: f\nAction Input: {}\nObservation: {"a": 1}':
        made.feed(chunk)
        if made.done:
            break
    assert made.done
    assert chunk == ":"


@pytest.mark.parametrize("text", ["say <tool_response> please", "<tool_response>x</tool_response>"])
def test_where_no_call_came_its_marker_is_text(text):
    made = ToolCallFilter(HERMES)
    assert "".join([*made.feed(text), *made.flush()]) == text
    assert not made.done


@pytest.mark.parametrize("missing", [{"open": ""}, {"instructions": "no tools here"}])
def test_a_protocol_that_could_never_work_is_refused(missing):
    fields = {"instructions": "{tools}", "open": "<c>", "call": "{call}", "result": "{content}"}
    with pytest.raises(ValueError, match="no "):
        ToolProtocol(**{**fields, **missing})


def test_braces_in_a_result_are_not_filled_in():
    assert REACT.write_result("f", "1", "{name} {json}") == "Observation: {name} {json}"
    assert HERMES.write_result("f", "1", '{id} "x"').splitlines()[1] == (
        '{"name": "f", "content": "{id} \\"x\\""}'
    )


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5), st.data())
def test_a_cut_value_with_its_suffix_is_unreadable_for_every_parser(value, data):
    raw = json.dumps({"a": value, "b": {"c": value}}, ensure_ascii=data.draw(st.booleans()))
    cut = raw[: data.draw(st.integers(0, len(raw)))]
    broken = cut + breaking_suffix(cut)
    with contextlib.suppress(ValueError):
        assert not isinstance(parse_partial_json(broken), dict)
    with pytest.raises(ValueError, match=r"."):
        json.loads(broken)


JSONS = {
    'Sure:\n```json\n{"a": {"b": "}"}}\n```\nbye {}': '{"a": {"b": "}"}}',
    '{"a": "\\"}"}': '{"a": "\\"}"}',
    "no json at all": "no json at all",
    'cut {"a": [1': '{"a": [1',
    'The set {} is empty. {"a": 3}': '{"a": 3}',
    "The set {} is empty.": "{}",
    '{"a} is no key, {"a": 3} is': '{"a": 3}',
    'not {"a": this} but {"a": 3}': '{"a": 3}',
    '{"x": "the form"} {"a": 3}': '{"a": 3}',
    '{"x": "the form"} and no more {"a"': '{"x": "the form"}',
    '{"a": 1, "bad": 2} then {"a": 3} {"a": 4}': '{"a": 1, "bad": 2}\n{"a": 3}',
    '{"a": 1, "bad": 2} then {"a": 3': '{"a": 1, "bad": 2}',
}


class WithAnA:
    """Wants an object with an "a" and nothing that is bad."""

    def fits(self, text):
        return re.match(r'\{\s*"a":\s*[^t\s]', text) is not None

    def conforms(self, text):
        try:
            value = json.loads(text)
        except ValueError:
            return False
        return value == {} or ("a" in value and "bad" not in value)


@pytest.mark.parametrize(("said", "expected"), JSONS.items())
@given(st.data())
def test_nothing_but_the_json_is_left(said, expected, data):
    for chunks in ([said], [*said], any_split(data, said)):
        assert through(JsonFilter(WithAnA()), chunks) == (expected, "", [])


def test_json_that_fits_goes_out_as_it_comes():
    made = JsonFilter(WithAnA())
    assert [*made.feed('Sure: {"x": 1} {"')] == []
    assert [*made.feed('a": ')] == []
    assert [*made.feed('"o')] == ['{"a": "o']
    assert [*made.feed("ne")] == ["ne"]
    assert [*made.feed('"} bye')] == ['"}']


@given(st.text("ab<>", max_size=12), st.lists(st.text("ab<>", min_size=1, max_size=4), max_size=3))
def test_a_partial_marker_is_the_longest_tail_that_begins_one(text, markers):
    start = partial_start(text, markers)
    starts = [
        at
        for at in range(len(text))
        if any(m != text[at:] and m.startswith(text[at:]) for m in markers)
    ]
    assert start == min(starts, default=len(text))


def test_nothing_of_long_arguments_is_held_back():
    made = ToolCallFilter(HERMES)
    made.feed('<tool_call>{"name": "f", "arguments": {"text": "')
    for _ in range(1000):
        assert made.feed("x" * 100) == [ToolCallDelta(0, args="x" * 100)]
