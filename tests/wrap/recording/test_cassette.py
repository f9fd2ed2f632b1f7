"""The file: what is written is read again, by anybody, whole or not at all."""

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from chatwright import (
    Block,
    CassetteError,
    Finish,
    MissingExtraError,
    Reasoning,
    Refusal,
    ToolCallDelta,
    Usage,
    chat_model,
    recorded,
)
from chatwright.testing import Pause, ScriptedModel
from chatwright.wrap.recording import cassette, deltas
from chatwright.wrap.recording.cassette import Exchange
from chatwright.wrap.recording.differences import differences, nearest
from chatwright.wrap.recording.requests import key_of, read

TEXTS = st.text()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(TEXTS, JSON, max_size=3)
COUNTS = st.none() | st.integers(0, 2**70)
DETAILS = st.dictionaries(TEXTS, st.integers(0), max_size=2)
DELTAS = st.one_of(
    TEXTS,
    st.builds(Reasoning, TEXTS),
    st.builds(Refusal, TEXTS),
    st.builds(Block, OBJECTS),
    st.builds(
        ToolCallDelta,
        st.integers(0, 9),
        st.none() | TEXTS,
        st.none() | TEXTS,
        TEXTS | OBJECTS,
        TEXTS,
        st.none() | OBJECTS,
    ),
    st.builds(Usage, COUNTS, COUNTS, DETAILS, DETAILS, st.booleans()),
    st.builds(Finish, TEXTS, OBJECTS, OBJECTS),
)


@given(st.lists(DELTAS))
def test_deltas_are_read_as_they_were_written(answer):
    entries = json.loads(json.dumps([deltas.written(each) for each in answer]))
    assert [deltas.as_delta(each) for each in entries] == answer


@given(st.lists(st.tuples(OBJECTS, st.lists(DELTAS, max_size=3)), max_size=4))
def test_exchanges_are_read_as_they_were_written(tmp_path_factory, given_):
    path = tmp_path_factory.mktemp("made") / "c.jsonl"
    made = [
        Exchange(request, [deltas.written(each) for each in answer], [0.5] * len(answer) or ())
        for request, answer in given_
    ]
    for each in made:
        cassette.add(path, each)
    found = cassette.read(path)
    assert found == sorted(made, key=lambda each: each.key)
    lines = path.read_bytes().split(b"\n") if made else []
    assert [b'{"request"' in lines[each.line - 1] for each in found] == [True] * len(made)
    assert [*path.parent.iterdir()] == [path] * bool(made)


@given(st.lists(TEXTS, min_size=1), st.lists(TEXTS, min_size=1))
def test_an_answer_of_any_pieces_comes_in_these_again(tmp_path_factory, pieces, halves):
    path = tmp_path_factory.mktemp("made") / "c.jsonl"
    script = [*pieces, *(Reasoning(each) for each in halves)]
    live = [*recorded(ScriptedModel(script=script), path).stream("hi")]
    again = [*recorded(ScriptedModel(script=[]), path).stream("hi")]
    assert [each.content for each in again] == [each.content for each in live]
    assert [each.additional_kwargs for each in again] == [each.additional_kwargs for each in live]


def test_the_same_recorded_again_is_the_same_file_but_for_its_times(tmp_path):
    @chat_model
    def echo(messages):
        yield from (messages[-1].text, "é")

    texts = []
    for name, order in (("a", "xyz"), ("b", "zxy")):
        model = recorded(echo, tmp_path / name)
        for each in order:
            model.invoke(each)
        lines = (tmp_path / name).read_text("utf-8").splitlines()
        texts.append([each for each in lines if "seconds" not in each])
    assert texts[0] == texts[1]
    assert "é" in texts[0][2]


def test_the_file_has_what_the_page_says(tmp_path):
    path = tmp_path / "c.jsonl"
    recorded(ScriptedModel(script=["Hel", "lo", Usage(3, 2)]), path).invoke("Hi")
    *lines, seconds = path.read_text().splitlines()
    assert lines == [
        '{"chatwright_cassette": 1}',
        '{"request": {"messages": [{"content": "Hi", "role": "user"}], "model": "ScriptedModel"}}',
        (
            '{"answer": ["Hel", "lo", {"usage": {"input_tokens": 3, "output_tokens": 2}}, '
            '{"finish": {"metadata": {"model_name": "ScriptedModel"}}}]}'
        ),
    ]
    assert len(json.loads(seconds)["seconds"]) == 4


HEAD = '{"chatwright_cassette": 1}\n'
ASK = '{"request": {"messages": []}}\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("some prose\n", "line 1 can't be read"),
        ('{"a": 1}\n', "is no cassette: it does not begin"),
        ('{"chatwright_cassette": 2}\n', "of version 2.*up to 1; install a newer one"),
        (HEAD + "<<<<<<< HEAD\n", "line 2 can't be read"),
        (HEAD + "[1]\n", "line 2 can't be read: it is no JSON object"),
        (HEAD + '{"answer": []}\n', "line 2 .* none of a cassette's"),
        (HEAD + '{"request": {}, "answer": []}\n', "line 2 .* none of a cassette's"),
        (HEAD + ASK, "line 2 .* its request has no answer"),
        (HEAD + ASK + '{"answer": "x"}\n', "line 3 .* none of a cassette's"),
        (HEAD + ASK + '{"answer": []}\n{"answer": []}\n', "line 4 .* two of 'answer'"),
        (HEAD + ASK + '{"answer": ["a"]}\n{"seconds": []}\n{"seconds": []}\n', "line 5"),
        (HEAD + ASK + '{"answer": ["a"]}\n{"seconds": [1, 2]}\n', "line 2 .* as many seconds"),
    ],
)
def test_a_file_that_is_no_cassette_is_refused_and_stays_as_it_is(tmp_path, text, said):
    path = tmp_path / "c.jsonl"
    path.write_text(text)
    for mode in ("none", "once", "new", "all"):
        with pytest.raises(CassetteError, match=said):
            recorded(ScriptedModel(script=["a"]), path, mode=mode).invoke("hi")
    with pytest.raises(CassetteError, match=said):
        cassette.add(path, Exchange({}, []))
    assert path.read_text() == text


@pytest.mark.parametrize("entry", ["3", '{"laugh": 1}', '{"call": {"what": 1}}', '{"error": {}}'])
def test_an_answer_that_is_none_is_refused(tmp_path, entry):
    path = tmp_path / "c.jsonl"
    recorded(ScriptedModel(script=["a"]), path).invoke("hi")
    lines = [each for each in path.read_text().splitlines() if "seconds" not in each]
    lines[-1] = f'{{"answer": [{entry}]}}'
    path.write_text("\n".join(lines))
    with pytest.raises(CassetteError, match=r"is no part of an answer|is no error"):
        recorded(ScriptedModel(script=[]), path).invoke("hi")


def test_seconds_may_be_taken_out_by_hand(tmp_path):
    path = tmp_path / "c.jsonl"
    recorded(ScriptedModel(script=["a", Pause(0.01)]), path).invoke("hi")
    lines = [each for each in path.read_text().splitlines() if "seconds" not in each]
    path.write_text("\n".join(lines))
    assert recorded(ScriptedModel(script=[]), path, timing=True).invoke("hi").text == "a"


def test_without_filelock_a_replay_works_and_a_recording_says_what_lacks(tmp_path, monkeypatch):
    path = tmp_path / "c.jsonl"
    recorded(ScriptedModel(script=["a"]), path).invoke("hi")
    monkeypatch.setitem(sys.modules, "filelock", None)
    assert recorded(ScriptedModel(script=[]), path).invoke("hi").text == "a"
    with pytest.raises(MissingExtraError, match=r"chatwright\[record\]"):
        recorded(ScriptedModel(script=["a"]), tmp_path / "d.jsonl").invoke("hi")


WRITER = """
import sys
from chatwright import chat_model, recorded

@chat_model
def echo(messages):
    return messages[-1].text

model = recorded(echo, sys.argv[1], mode="new")
for n in range(15):
    model.invoke(f"{sys.argv[2]} {n}")
"""


def test_processes_that_record_at_once_lose_nothing(tmp_path):
    path = tmp_path / "c.jsonl"
    source = os.pathsep.join(sys.path)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, path, str(each)],
            env={**os.environ, "PYTHONPATH": source},
        )
        for each in range(3)
    ]
    assert [each.wait(timeout=200) for each in writers] == [0, 0, 0]
    found = {each.answer[0] for each in cassette.read(path)}
    assert found == {f"{each} {n}" for each in range(3) for n in range(15)}


# Requests.


def test_messages_are_written_as_openai_has_them():
    call = {"name": "f", "args": {"a": 1}, "id": "x", "type": "tool_call"}
    image = {"type": "image", "url": "https://x/a.png"}
    thought = AIMessage("", tool_calls=[call], additional_kwargs={"reasoning_content": "hm"})
    asked = [
        SystemMessage("s"),
        HumanMessage([{"type": "text", "text": "see"}, image], name="ann"),
        thought,
        ToolMessage("1", tool_call_id="x"),
    ]
    function = {"name": "f", "arguments": '{"a": 1}'}
    assert read(asked) == [
        {"role": "system", "content": "s"},
        {
            "role": "user",
            "name": "ann",
            "content": [
                {"type": "text", "text": "see"},
                {"type": "image_url", "image_url": {"url": "https://x/a.png"}},
            ],
        },
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": "hm",
            "tool_calls": [{"type": "function", "id": "call_1", "function": function}],
        },
        {"role": "tool", "content": "1", "tool_call_id": "call_1", "name": "f"},
    ]


@given(OBJECTS, OBJECTS)
def test_there_are_differences_where_requests_are_not_equal(one, other):
    assert bool([*differences(one, other)]) == (key_of(one) != key_of(other))
    assert not [*differences(one, json.loads(key_of(one)))]
    assert nearest([other, one], one) == (0 if key_of(one) == key_of(other) else 1)


def test_long_texts_are_shown_where_they_part():
    told = [*differences({"a": "x" * 500 + "1" * 500}, {"a": "x" * 500 + "2"})]
    assert told == [f"a: recorded '…{'x' * 20}{'1' * 40}…', asked '…{'x' * 20}2'"]
