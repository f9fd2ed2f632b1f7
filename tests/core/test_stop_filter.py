import itertools

from hypothesis import given
from hypothesis import strategies as st

from chatwright import Reasoning
from chatwright.core.stop import StopFilter

TEXT = st.text("ab<|>\n", max_size=40)
STOPS = st.lists(st.text("ab<|>\n", min_size=1, max_size=5), min_size=1, max_size=4)


def expected(text, stops, *, include):
    """Say it the slow way: grow the text by one character until some stop sequence ends it."""
    for end in range(len(text) + 1):
        ended = [stop for stop in stops if text[:end].endswith(stop)]
        if ended:
            stop = max(ended, key=len)
            return text[:end] if include else text[: end - len(stop)], stop
    return text, None


def run(pieces, stops, *, include):
    each, out = StopFilter(stops, include=include), []
    for piece in pieces:
        out += each.feed(piece)
    return "".join([*out, *each.flush()]), each


@given(TEXT, STOPS, st.booleans(), st.data())
def test_any_split_of_the_text_gives_the_same(text, stops, include, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    borders = [0, *cuts, len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(borders)]
    got, each = run(pieces, stops, include=include)
    assert (got, each.matched) == expected(text, stops, include=include)


@given(TEXT, STOPS)
def test_no_text_is_held_that_can_begin_no_stop(text, stops):
    each = StopFilter(stops)
    out = ""
    for end, character in enumerate(text, 1):
        out += "".join(each.feed(character))
        if each.done:
            return
        held = text[len(out) : end]
        assert held == "" or any(stop.startswith(held) and stop != held for stop in stops)


def test_held_text_goes_out_before_another_kind_of_piece():
    each = StopFilter(["<end>"])
    assert list(each.feed("a<e")) == ["a"]
    assert list(each.feed(Reasoning("hm"))) == ["<e", Reasoning("hm")]


def test_nothing_comes_after_the_stop():
    each = StopFilter(["."])
    assert list(each.feed("a.b")) == ["a."]
    assert list(each.feed("c")) == []
    assert list(each.flush()) == []
