import pyarrow.parquet as pq
import pytest

from chatwright.errors import BatchError
from chatwright.run.batch.journal import line_of
from chatwright.run.batch.parts import Parts
from chatwright.run.batch.results import known

CALL = {"name": "add", "args": {"a": 1, "b": [2]}, "id": "c1"}


def result(n, **more):
    usage = {"input_tokens": n, "output_tokens": 1, "total_tokens": n + 1}
    return {
        "key": f"{n:032x}",
        "id": f"r{n}",
        "text": f"text {n}",
        "tool_calls": [CALL],
        "finish_reason": "stop",
        "parsed": {"n": n},
        "usage": usage,
        "cost": 0.5,
        "started": 1_700_000_000.25,
        "seconds": 0.5,
        "attempts": 1,
        **more,
    }


def filled(path, count, rows=3):
    parts = Parts(path, rows)
    places = [place for n in range(count) for place in parts.append([line_of(result(n))])]
    return parts, places


def test_results_become_parts_and_can_be_read_where_they_stand(tmp_path):
    parts, places = filled(tmp_path / "o", 8)
    names = sorted(each.name for each in (tmp_path / "o").iterdir())
    assert names == ["_part-00002.jsonl", "part-00000.parquet", "part-00001.parquet"]
    for n, place in enumerate(places):
        read = parts.read(place)
        assert {k: read[k] for k in read.keys() & result(n).keys()} == result(n)
    parts.close()
    names = sorted(each.name for each in (tmp_path / "o").iterdir())
    assert names == [f"part-0000{n}.parquet" for n in range(3)]
    [row] = [each for each in pq.read_table(tmp_path / "o").to_pylist() if each["id"] == "r5"]
    assert (row["text"], row["input_tokens"], row["parsed"]) == ("text 5", 5, '{"n":5}')
    assert row["tool_calls"] == [{**CALL, "args": '{"a":1,"b":[2]}'}]


def test_a_scan_finds_all_and_goes_on(tmp_path):
    parts, places = filled(tmp_path / "o", 5)
    parts._open.close()  # as a kill does
    again = Parts(tmp_path / "o", 3)
    found = [(place, known(fields)) for place, fields in again.scan()]
    assert [place for place, _ in found] == places
    assert [(each.own, each.tokens, each.cost) for _, each in found] == [
        (f"r{n}", (n, 1), 0.5) for n in range(5)
    ]
    assert again.append([line_of(result(9))]) == [(1 << 32) + 2]
    assert again.read(places[4])["id"] == "r4"
    again.close()


def test_a_kill_between_a_part_and_the_end_of_its_journal_doubles_nothing(tmp_path):
    parts, _ = filled(tmp_path / "o", 2)
    journal = (tmp_path / "o" / "_part-00000.jsonl").read_bytes()
    parts.append([line_of(result(2))])
    (tmp_path / "o" / "_part-00000.jsonl").write_bytes(journal)
    found = [fields["id"] for _, fields in Parts(tmp_path / "o", 3).scan()]
    assert found == ["r0", "r1", "r2"]
    assert [each.name for each in (tmp_path / "o").iterdir()] == ["part-00000.parquet"]


def test_a_part_that_was_half_written_counts_for_nothing(tmp_path):
    parts, _ = filled(tmp_path / "o", 2)
    parts._open.close()
    (tmp_path / "o" / "_part-00000.parquet").write_bytes(b"PAR1 torn")
    again = Parts(tmp_path / "o", 3)
    assert len([*again.scan()]) == 2
    again.close()
    assert pq.read_table(tmp_path / "o" / "part-00000.parquet").num_rows == 2
    assert len([*(tmp_path / "o").iterdir()]) == 1


def test_a_damaged_part_is_named(tmp_path):
    filled(tmp_path / "o", 3)
    (tmp_path / "o" / "part-00000.parquet").write_bytes(b"nonsense")
    with pytest.raises(BatchError, match=r"part-00000.parquet can't be read.*move it away"):
        [*Parts(tmp_path / "o").scan()]
