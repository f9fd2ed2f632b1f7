import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatwright.run.batch import index
from chatwright.run.batch.index import AGAIN, HERE, NEW, Index, mark


def key(n):
    return hashlib.blake2b(b"%d" % n, digest_size=16).digest()


@pytest.fixture
def small(monkeypatch):
    """Sort in, and merge, after a few marks already."""
    monkeypatch.setattr(index, "_RECENT", 4)
    monkeypatch.setattr(index, "_LARGEST", 16)


ROWS = st.lists(st.tuples(st.integers(0, 9), st.sampled_from([None, "a", "b", "c"])), max_size=120)


@given(ROWS, st.lists(ROWS, max_size=3))
def test_it_knows_what_a_dict_knows(rows, earlier):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "_RECENT", 4)
        patch.setattr(index, "_LARGEST", 16)
        held, met, known, place = Index(), set(), {}, 0
        for some in earlier:
            new = {}
            for content, own in some:
                place += 1
                if (each := mark(key(content), own)) not in known:
                    new.setdefault(each, place)
            assert held.extend([*new], [*new.values()]) == len(new)
            known |= new
        for at, (content, own) in enumerate(rows, place + 1):
            each = mark(key(content), own)
            [found] = held.find([each])
            if each in known:
                assert found == (AGAIN if each in met else HERE)
                met.add(each)
            else:
                same = [p for m, p in known.items() if m[:8] == each[:8]]
                assert found in same if same else found == NEW
                held.add(each, at, met=at % 2 == 0)
                known[each] = at
                met |= {each} if at % 2 == 0 else set()
            assert len(held) == len(known)
        assert held.places([*known, mark(key(99), None)]) == [*known.values(), None]
        for each in known:
            assert held.was_met(each) is (each in met)


def test_it_looks_up_many_at_once(small):
    held = Index()
    for n in range(0, 100, 2):
        held.add(mark(key(n), None), n, met=False)
    found = held.find([mark(key(n), None) for n in range(100)])
    assert found == [HERE, NEW] * 50
    assert held.find([mark(key(n), None) for n in range(100)]) == [AGAIN, NEW] * 50


def test_equal_content_by_another_name_says_where_its_answer_is(small):
    held = Index()
    for n in range(20):
        held.add(mark(key(n), "first"), n, met=False)
    assert held.find([mark(key(7), "second"), mark(key(7), None)]) == [7, 7]


def test_a_name_changes_half_of_a_mark():
    assert mark(key(1), None) == key(1)
    assert mark(key(1), "a")[:8] == key(1)[:8]
    assert len({mark(key(1), own) for own in (None, "a", "b", "\ud800")}) == 4
