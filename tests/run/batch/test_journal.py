import errno
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatwright.run.batch.journal import Journal, line_of

RESULTS = [{"key": f"{n:032x}", "id": f"row {n}", "text": "“Grüezi”\u2028" * n} for n in range(4)]


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path / "out.jsonl")
    made.append([line_of(each) for each in RESULTS])
    made.close()
    return made


def read(path):
    journal = Journal(path)
    found = [fields for _, fields in journal.scan()]
    return [{k: v for k, v in fields.items() if k != "sum"} for fields in found], journal


def test_each_line_is_json_by_itself(journal):
    lines = journal.path.read_bytes().splitlines()
    assert [json.loads(each)["id"] for each in lines] == [each["id"] for each in RESULTS]
    assert all(json.loads(each)["sum"] for each in lines)


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=9), max_size=4))
def test_a_result_comes_back_as_it_was(tmp_path_factory, fields):
    fields = {"key": "0", **fields}
    fields.pop("sum", None)
    journal = Journal(tmp_path_factory.mktemp("j") / "o.jsonl")
    [place] = journal.append([line_of(fields)])
    assert {k: v for k, v in journal.read(place).items() if k != "sum"} == fields
    journal.close()


def test_places_are_where_results_stand(journal):
    places = [place for place, _ in Journal(journal.path).scan()]
    assert [journal.read(place)["id"] for place in places] == [each["id"] for each in RESULTS]
    [further] = journal.append([line_of({"id": "later"})])
    assert journal.read(further)["id"] == "later"
    journal.close()


def test_a_tail_torn_at_any_byte_loses_its_line_alone(journal, tmp_path):
    whole = journal.path.read_bytes()
    start = whole.rstrip(b"\n").rfind(b"\n") + 1
    for end in range(start, len(whole)):
        torn = tmp_path / f"torn-{end}.jsonl"
        torn.write_bytes(whole[:end])
        found, opened = read(torn)
        assert found == RESULTS[:3]
        assert torn.read_bytes() == whole[:start]
        assert opened.repair.lines == (end > start)
        if end > start:
            assert opened.repair.kept.read_bytes() == whole[start:end] + b"\n"
        opened.append([line_of(RESULTS[3])])
        opened.close()
        assert torn.read_bytes() == whole


def test_a_tail_garbled_at_any_byte_loses_no_other_line(journal, tmp_path):
    whole = journal.path.read_bytes()
    start = whole.rstrip(b"\n").rfind(b"\n") + 1
    for at in range(start, len(whole)):
        for garbage in (b"\0", b"\n", b"x"):
            if whole[at : at + 1] == garbage:
                continue
            torn = tmp_path / "torn.jsonl"
            torn.write_bytes(whole[:at] + garbage + whole[at + 1 :])
            assert read(torn)[0] == RESULTS[:3]
            assert torn.read_bytes() == whole[:start]


def test_damage_in_the_middle_takes_out_its_lines_alone(journal):
    lines = journal.path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b"row 1", b"row 7")
    lines.insert(3, b"\n")
    journal.path.write_bytes(b"".join(lines))
    found, opened = read(journal.path)
    assert found == [RESULTS[0], *RESULTS[2:]]
    assert opened.repair.lines == 2
    assert b"row 7" in opened.repair.kept.read_bytes()
    assert read(journal.path)[1].repair.lines == 0


def test_what_is_changed_meanwhile_is_not_handed_on(journal):
    [first, *_] = [place for place, _ in Journal(journal.path).scan()]
    journal.path.write_bytes(journal.path.read_bytes().replace(b"row 0", b"row 9"))
    with pytest.raises(OSError, match="changed by somebody else"):
        journal.read(first)


def test_a_write_that_fails_leaves_nothing_of_itself(journal, monkeypatch):
    before = journal.path.read_bytes()
    journal.append([])

    def fail(fd):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="full"):
        journal.append([line_of({"id": "lost"})])
    monkeypatch.undo()
    assert journal.path.read_bytes() == before
    journal.append([line_of({"id": "kept"})])
    journal.close()
    assert read(journal.path)[0][-1] == {"id": "kept"}


def test_results_can_be_put_into_another_order(journal):
    places = [place for place, _ in Journal(journal.path).scan()]
    journal.rearrange(reversed(places))
    assert read(journal.path)[0] == RESULTS[::-1]
