import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatwright import ParameterError, chat_model
from chatwright.testing import Pause, ScriptedModel
from waiting import eventually


def middle(text):
    """Return a stop sequence out of a text's middle, and the text up to and with it."""
    start = len(text) // 3
    stop = text[start : start + 4]
    return stop, text[: text.index(stop) + len(stop)]


async def test_P1_a_stop_sequence_is_respected_and_included(subject, mode):
    stop, expected = middle(subject.text)
    answer = await mode(subject.make(), subject.prompt, stop=[stop])
    assert answer.text == expected


async def test_P1_it_is_left_out_where_that_is_asked_for(subject, mode):
    stop, expected = middle(subject.text)
    model = subject.make(include_stop=False)
    answer = await mode(model, subject.prompt, stop=[stop])
    assert answer.text == expected.removesuffix(stop)
    assert answer.response_metadata["stop_sequence"] == stop


async def test_P2_the_earliest_of_several_wins(subject, mode):
    stop, expected = middle(subject.text)
    late = subject.text[-2:]
    answer = await mode(subject.make(), subject.prompt, stop=[late, stop, "never there"])
    assert answer.text == expected


def test_P3_a_stop_may_span_chunk_borders():
    model = ScriptedModel(script=["a<", "en", "d", ">b", "c"])
    chunks = [each.text for each in model.stream("x", stop=["<end>"])]
    assert chunks == ["a", "<end>", ""]


def test_P3_text_is_held_back_only_while_it_may_be_a_stop():
    model = ScriptedModel(script=["a<e", "x", "<<end", "!", "<en"])
    chunks = [each.text for each in model.stream("x", stop=["<end>"])]
    assert chunks == ["a", "<ex", "<", "<end!", "<en", ""]


async def test_P4_the_constructors_stop_applies_and_the_calls_replaces_it(subject, mode):
    stop, expected = middle(subject.text)
    model = subject.make(stop=[stop])
    assert (await mode(model, subject.prompt)).text == expected
    assert (await mode(model, subject.prompt, stop=["never there"])).text == subject.text
    assert (await mode(model, subject.prompt, stop=[])).text == subject.text


async def test_P5_an_empty_list_is_none_and_an_empty_string_is_refused(subject, mode):
    model = subject.make()
    assert (await mode(model, subject.prompt, stop=[])).text == subject.text
    with pytest.raises(ParameterError, match="''"):
        await mode(model, subject.prompt, stop=[""])
    with pytest.raises(ParameterError, match="''"):
        subject.make(stop=["a", ""])


async def test_P5_a_single_string_is_one_stop(mode):
    model = ScriptedModel(script=["abc"])
    assert (await mode(model, "x", stop="bc")).text == "abc"
    assert ScriptedModel(script=[], stop="bc").stop == ["bc"]


@pytest.mark.parametrize("runs_async", [False, True])
async def test_P6_the_source_is_halted_when_the_stop_is_seen(mode, runs_async):
    script = ["a", "stop", *(["more", Pause(0.005)] * 50_000)]
    model = ScriptedModel(script=script, runs_async=runs_async)
    assert (await mode(model, "x", stop=["stop"])).text == "astop"
    assert await eventually(lambda: model.closed == 1)
    assert len(model.yielded) < 25_000


async def test_P7_the_metadata_tells_what_stopped_it(subject, mode):
    stop, _ = middle(subject.text)
    answer = await mode(subject.make(), subject.prompt, stop=[stop])
    assert answer.response_metadata["finish_reason"] == "stop"
    assert answer.response_metadata["stop_sequence"] == stop
    unstopped = await mode(subject.make(), subject.prompt)
    assert "stop_sequence" not in unstopped.response_metadata


@given(
    text=st.text("ab<>", max_size=30),
    cuts=st.lists(st.integers(0, 30), max_size=6),
    stops=st.lists(st.text("ab<>", min_size=1, max_size=4), min_size=1, max_size=3),
)
def test_P3_P6_however_it_is_cut_the_answer_is_the_same(text, cuts, stops):
    borders = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(borders)]
    model = ScriptedModel(script=["", *pieces])
    ends = [text.find(stop) + len(stop) for stop in stops if stop in text]
    expected = text[: min(ends)] if ends else text
    assert model.invoke("x", stop=stops).text == expected
    assert "".join(each.text for each in model.stream("x", stop=stops)) == expected


async def test_a_function_sees_the_stop_sequences(mode):
    @chat_model
    def shows(messages, stop):
        yield repr(stop)

    assert (await mode(shows, "x", stop=["###", "b"])).text == "['###"
