import bz2
import csv
import datetime as dt
import decimal
import gzip
import hashlib
import io
import json
import lzma
import os
import subprocess
import sys
import tracemalloc
import uuid
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import chatwright
from chatwright.errors import LoadError, MissingExtraError, ParameterError
from chatwright.run.batch import lines as by_line
from chatwright.run.batch.inputs import Record, source_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, width=64)
JSON = st.recursive(
    st.none() | st.booleans() | TEXT | NUMBERS.filter(lambda x: abs(x) != float("inf")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.lists(st.dictionaries(TEXT, JSON, max_size=4), max_size=5)
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name, content):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


def values(rows, **options):
    records = list(source_of(rows, **options))
    assert not [record for record in records if record.problem]
    return [record.value for record in records]


def jsonl(count, width=0):
    return b"".join(b'{"n": %d, "text": "%s"}\n' % (n, b"x" * width) for n in range(count))


def one_by_one(rows, **options):
    """Return the records that come before the error, and its words."""
    records = []
    source = iter(source_of(rows, **options))
    with pytest.raises(LoadError) as failure:
        while True:
            records.append(next(source))
    return records, str(failure.value)


# Lines


@given(st.binary(), st.lists(st.integers(1, 9), min_size=1))
def test_lines_end_by_newlines_alone_wherever_blocks_end(content, sizes):
    assume(not content.startswith((*by_line.BINARY, b"\xef\xbb\xbf")))
    file, turn = io.BytesIO(content), iter(sizes * len(content))
    found = list(by_line.lines(lambda _: file.read(next(turn, 1)), "it"))
    assert b"\n".join(found) == content.removesuffix(b"\n")
    assert len(found) == content.count(b"\n") + (not content.endswith(b"\n") and content != b"")


@in_one_folder
@given(OBJECTS, st.booleans(), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_json_lines_come_as_they_were_written(rows, ascii_only, end, is_marked):
    text = end.join(json.dumps(row, ensure_ascii=ascii_only) for row in rows)
    write("in.jsonl", ("\ufeff" if is_marked else "") + text)
    assert values("in.jsonl") == rows
    assert [*map(type, flat(values("in.jsonl")))] == [*map(type, flat(rows))]
    assert source_of("in.jsonl").count() == len(rows)


def flat(value):
    if isinstance(value, dict):
        value = [*value.values()]
    return [each for part in value for each in flat(part)] if isinstance(value, list) else [value]


@pytest.mark.parametrize("number", [2**63 - 1, 2**64 - 1, 2**64, -(2**63) - 1, 10**60, 1e30])
def test_no_number_is_rounded(number):
    write("in.jsonl", json.dumps({"n": number}))
    [row] = values("in.jsonl")
    assert row == {"n": number}
    assert type(row["n"]) is type(number)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"[1]", "a JSON array, not"),
        (b'"text"', "a JSON string, not"),
        (b"12", "a number, not"),
        (b"1e3", "a number, not"),
        (b"true", "true or false, not"),
        (b"null", "null, not"),
        (b'{"a"', "no JSON: Expecting"),
        (b'{"a": 1} x', "no JSON: Extra"),
        (b'{"a": NaN}', "NaN is no JSON; write null"),
        (b'{"a": -Infinity}', "-Infinity is no JSON"),
        (b'{"a": 1e400}', "1e400 is no JSON"),
        (b'{"a": "\\ud800"}', "half of a surrogate pair"),
        (b'{"a": "\0"}', "control character"),
        (b'{"a": "\xff"}', "not UTF-8: byte 8 of the line is 0xff"),
        (b"\0\0\0", "no JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "no JSON: Exceeds"),
        (b'{"a": ' + b"[" * 90_000 + b"]" * 90_000 + b"}", "nested too deeply"),
        (b"{'a': 1}", "no JSON"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_line_that_holds_no_row_says_so_and_the_next_one_comes(line, problem):
    write("in.jsonl", b'{"a": 1}\n' + line + b'\n{"a": 2}')
    first, bad, last = source_of("in.jsonl")
    assert (first, last) == (
        Record("in.jsonl, line 1", {"a": 1}, b""),
        Record("in.jsonl, line 3", {"a": 2}, b""),
    )
    assert (bad.place, bad.raw) == ("in.jsonl, line 2", line[:4096])
    assert problem in bad.problem
    assert bad.value == ({"a": "\ud800"} if "surrogate" in problem else None)


def test_blank_lines_count_as_lines_but_are_no_rows():
    write("in.jsonl", b'\n \t\r\n{"a": 1}\n\n')
    assert list(source_of("in.jsonl")) == [Record("in.jsonl, line 3", {"a": 1}, b"")]


def test_of_a_key_that_stands_twice_the_last_one_counts():
    assert values(write("in.jsonl", '{"a": 1, "a": 2}')) == [{"a": 2}]


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "txt"])
def test_a_line_that_is_too_long_is_skipped(suffix, monkeypatch):
    monkeypatch.setattr(by_line, "LIMIT", 6000)
    monkeypatch.setattr(by_line, "BLOCK", 1000)
    row = {"jsonl": b'{"text": "x"}', "csv": b"x", "txt": b"x"}[suffix]
    head = b"text\n" if suffix == "csv" else b""
    write(f"in.{suffix}", head + row + b"\n" + b"y" * 20_000 + b"\n" + row + b"\n" + b"y" * 6001)
    first, long, second, last = source_of(f"in.{suffix}")
    assert first.value == second.value == {"text": "x"}
    assert long.raw == last.raw == b"y" * 4096
    assert "longer than" in long.problem
    assert "longer than" in last.problem
    assert long.place == f"in.{suffix}, line {3 if head else 2}"


def test_a_line_that_is_too_long_is_never_held_whole(monkeypatch):
    monkeypatch.setattr(by_line, "LIMIT", 1 << 20)
    write("in.jsonl", b"x" * (32 << 20) + b"\n{}\n" + b"x" * (32 << 20))
    tracemalloc.start()
    assert [record.value for record in source_of("in.jsonl")] == [None, {}, None]
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 16 << 20


def test_of_plain_text_each_line_is_a_row():
    write("in.txt", "\ufeffone\r\n\n \ntwo\u2028\x0b three \n".encode() + b"\xff\n")
    one, two, bad = source_of("in.txt")
    assert one == Record("in.txt, line 1", {"text": "one"}, b"")
    assert two == Record("in.txt, line 4", {"text": "two\u2028\x0b three "}, b"")
    assert bad[:3] == ("in.txt, line 5", None, b"\xff")
    assert "not UTF-8" in bad.problem


@pytest.mark.parametrize(
    ("content", "fix"),
    [
        ('[{"a": 1},\n{"a": 2}]', "jq -c '.[]'"),
        ('\n [{"a": 1}]', "jq -c '.[]'"),
        ('{\n"a": 1}', "jq -c '.'"),
    ],
)
def test_a_json_file_that_holds_one_value_is_refused(content, fix):
    records, problem = one_by_one(write("in.json", content))
    assert records == []
    assert "in.json" in problem
    assert fix in problem


def test_a_json_file_may_hold_lines():
    assert values(write("in.json", '\n{"a": 1}\n{"a": 2}\n')) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("packed", [gzip.compress, bz2.compress, lzma.compress, pa.compress])
def test_a_file_whose_name_hides_what_it_is_is_told_from_text(packed):
    content = packed(jsonl(9)) if packed is not pa.compress else packed(jsonl(9), codec="zstd")
    write("in.jsonl", bytes(content))
    with pytest.raises(LoadError, match=r"in\.jsonl looks like .* its name should end in"):
        list(source_of("in.jsonl"))


def test_text_in_utf_16_is_told_from_utf_8():
    write("in.csv", "a,b\n1,2\n".encode("utf-16"))
    with pytest.raises(LoadError, match=r"in\.csv looks like UTF-16; save it as UTF-8"):
        list(source_of("in.csv"))


# CSV

TABLES = st.integers(1, 4).flatmap(
    lambda width: st.tuples(
        st.lists(TEXT.filter(bool), min_size=width, max_size=width, unique=True),
        st.lists(st.lists(TEXT, min_size=width, max_size=width), max_size=5),
    )
)


@in_one_folder
@given(TABLES, st.sampled_from([",", "\t"]), st.booleans(), st.sampled_from([0, 2]))
def test_csv_comes_as_it_was_written(table, delimiter, is_marked, quoting):
    header, rows = table
    assume(is_marked or not header[0].startswith("\ufeff"))
    text = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if quoting else csv.QUOTE_MINIMAL
    csv.writer(text, delimiter=delimiter, quoting=quoting).writerows([header, *rows])
    name = "in.tsv" if delimiter == "\t" else "in.csv"
    write(name, ("\ufeff" if is_marked else "") + text.getvalue())
    assert values(name) == [dict(zip(header, row, strict=True)) for row in rows]


def test_each_row_of_csv_that_cant_be_read_says_why_and_the_others_come():
    write(
        "in.csv",
        b'id,text\n1,x,y\n\n2\n3,"two\nlines"\n4,\xff\n5,"open\n6,"shut"\n7,a\rb\n8,x\n9,"open',
    )
    found = {record.place.split()[-1]: record for record in source_of("in.csv")}
    good = {place: record.value for place, record in found.items() if not record.problem}
    bad = {place: (each.raw, each.problem) for place, each in found.items() if each.problem}
    assert good == {
        "5": {"id": "3", "text": "two\nlines"},
        "9": {"id": "6", "text": "shut"},
        "11": {"id": "8", "text": "x"},
    }
    assert [*bad] == ["2", "4", "7", "8", "10", "12"]
    assert bad["2"] == (b"1,x,y", "it has 3 fields, where the header has 2")
    assert bad["4"] == (b"2", "it has 1 fields, where the header has 2")
    assert bad["7"][0] == b"4,\xff"
    assert "not UTF-8" in bad["7"][1]
    assert bad["8"][0] == b'5,"open'
    assert bad["10"][0] == b"7,a\rb"
    assert bad["12"][0] == b'9,"open'
    assert all("no CSV" in bad[place][1] for place in ("8", "10", "12"))


def test_of_a_row_over_many_lines_that_is_no_utf_8_all_lines_are_one_row():
    write("in.csv", b'id,text\n1,"a\n\xff\n"\n2,x\n')
    bad, good = source_of("in.csv")
    assert bad[:3] == ("in.csv, line 2", None, b'1,"a\n\xff\n"')
    assert good == Record("in.csv, line 5", {"id": "2", "text": "x"}, b"")


def test_a_quote_that_is_never_closed_costs_one_row(monkeypatch):
    monkeypatch.setattr(by_line, "ROW_LIMIT", 1 << 16)
    rest = b"".join(b"%d,x\n" % number for number in range(20_000))
    write("in.csv", b'id,text\nbad,"x\n' + rest)
    bad, *good = source_of("in.csv")
    assert bad.raw == b'bad,"x'
    assert bad.problem == "it is no CSV: a quote is not closed within 65,536 bytes"
    assert [record.value["id"] for record in good] == [str(number) for number in range(20_000)]


def test_quotes_that_are_never_closed_are_not_all_followed_to_the_end(monkeypatch):
    monkeypatch.setattr(by_line, "CHEAP", 60)
    taken = 0

    class Counted(by_line._Rows):
        def _line(self):
            nonlocal taken
            taken += 1
            return super()._line()

    monkeypatch.setattr(by_line, "_Rows", Counted)
    count = 2 * csv.field_size_limit() // 6
    write("in.csv", b"id,text\n" + b'a","x\n' * count)  # stays open wherever a row begins
    records = list(source_of("in.csv"))
    assert [record.raw for record in records] == [b'a","x'] * count
    assert taken < 40 * count


def test_a_long_row_after_one_that_stays_open_is_read(monkeypatch):
    text = "x\n" * 50_000
    write("in.csv", f'id,text\n1,"open\n2,"{text}"\n3,"open\n4,"{text}"\n')
    records = list(source_of("in.csv"))
    assert [record.value for record in records if not record.problem] == [
        {"id": "2", "text": text},
        {"id": "4", "text": text},
    ]


@pytest.mark.parametrize("quote", [b"", b'"'])
def test_a_field_may_be_longer_than_csv_takes_and_its_limit_stays(quote):
    before = csv.field_size_limit()
    long = b"x" * (before + 1) + b"\n" * bool(quote)
    write("in.csv", b"id,text\n1," + quote + long + quote + b"\n2,y\n")
    assert values("in.csv") == [{"id": "1", "text": long.decode()}, {"id": "2", "text": "y"}]
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a,b,a\n1,2,3\n", r"in\.csv, line 1: two columns are called 'a'"),
        (b"\na,\xff\n1,2\n", r"in\.csv, line 2: the header row can't be read"),
        (b'a,"b\n1,2\n', r"in\.csv, line 1: the header row can't be read"),
    ],
)
def test_a_header_that_cant_be_read_ends_it(content, problem):
    write("in.csv", content)
    with pytest.raises(LoadError, match=problem):
        list(source_of("in.csv"))


def test_a_csv_file_without_rows_has_none():
    assert values(write("in.csv", "")) == values(write("in.csv", "a,b\n")) == []


# Compression

PACKED = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda content: pa.compress(content, codec="zstd", asbytes=True),
}


@pytest.mark.parametrize("suffix", PACKED)
def test_packed_files_are_read_with_all_their_parts(suffix):
    pack = PACKED[suffix]
    write(f"in.jsonl.{suffix}", pack(jsonl(3)) + pack(jsonl(2)))
    source = source_of(f"in.jsonl.{suffix}")
    found = [(record.place, record.value["n"]) for record in source]
    assert [n for _, n in found] == [0, 1, 2, 0, 1]
    assert found[4][0] == f"in.jsonl.{suffix}, line 5"
    assert (source.again, source.count()) == (True, None)


@pytest.mark.parametrize("suffix", PACKED)
def test_a_packed_file_that_is_cut_short_is_an_error_after_what_it_still_holds(suffix):
    whole = PACKED[suffix](jsonl(9)) + PACKED[suffix](jsonl(20_000, 10))
    write(f"in.jsonl.{suffix}", whole[:-20])
    records, problem = one_by_one(f"in.jsonl.{suffix}")
    assert [record.value["n"] for record in records[:9]] == [*range(9)]
    assert f"in.jsonl.{suffix} can't be read on after line {len(records)}: " in problem


def test_nothing_is_lost_of_what_stands_before_the_cut():
    write("in.jsonl.gz", gzip.compress(jsonl(50_000))[:-8])  # the checksum alone is missing
    assert len(one_by_one("in.jsonl.gz")[0]) == 50_000


@pytest.mark.parametrize("suffix", PACKED)
def test_a_packed_file_without_a_byte_is_an_error(suffix):
    write(f"in.jsonl.{suffix}", b"")
    with pytest.raises(LoadError, match=rf"in\.jsonl\.{suffix} is empty"):
        source_of(f"in.jsonl.{suffix}")


def test_zstandard_files_of_another_writer_are_read():
    zstandard = pytest.importorskip("zstandard")
    frame = zstandard.ZstdCompressor(write_checksum=True, write_content_size=False)
    write("in.csv.zst", frame.compress(b"a,b\n1,2\n") + frame.compress(b"3,4\n"))
    assert values("in.csv.zst") == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


# Parquet and Arrow


def test_parquet_is_read_row_by_row():
    table = pa.table({"id": ["a", "b", None], "n": [1, 2**62, None], "ok": [True, None, False]})
    pq.write_table(table, "in.parquet", row_group_size=2)
    source = source_of("in.parquet")
    assert list(source) == [
        Record("in.parquet, row 1", {"id": "a", "n": 1, "ok": True}, b""),
        Record("in.parquet, row 2", {"id": "b", "n": 2**62, "ok": None}, b""),
        Record("in.parquet, row 3", {"id": None, "n": None, "ok": False}, b""),
    ]
    assert (source.name, source.again, source.count()) == ("in.parquet", True, 3)


DAY = dt.date(2024, 2, 29)
TIME = dt.datetime(2024, 2, 29, 1, 2, 3, 450_000)  # noqa: DTZ001  it has no zone
VALUES = [
    (pa.date32(), DAY, "2024-02-29"),
    (pa.date64(), DAY, "2024-02-29"),
    (pa.timestamp("s"), TIME.replace(microsecond=0), "2024-02-29T01:02:03"),
    (pa.timestamp("us"), TIME, "2024-02-29T01:02:03.45"),
    (pa.timestamp("ns"), 1_700_000_000_123_456_789, "2023-11-14T22:13:20.123456789"),
    (pa.timestamp("ns"), -1, "1969-12-31T23:59:59.999999999"),
    (pa.timestamp("us", "Europe/Berlin"), TIME, "2024-02-29T01:02:03.45Z"),
    (pa.time32("ms"), TIME.time(), "01:02:03.45"),
    (pa.time64("ns"), 1, "00:00:00.000000001"),
    (pa.duration("ns"), 86_400_000_000_001, "PT86400.000000001S"),
    (pa.duration("s"), dt.timedelta(seconds=-2), "-PT2S"),
    (pa.decimal128(20, 2), decimal.Decimal("1.50"), "1.50"),
    (pa.decimal128(5, -3), decimal.Decimal(12000), "12000"),
    (pa.decimal256(60, 40), decimal.Decimal("0." + "0" * 39 + "1"), "0." + "0" * 39 + "1"),
    (pa.binary(), b"\0\xff", "AP8="),
    (pa.large_binary(), b"\0\xff", "AP8="),
    (pa.binary(2), b"\0\xff", "AP8="),
    (pa.float32(), 0.5, 0.5),
    (pa.float16(), np.float16(0.5), 0.5),
    (pa.float64(), float("nan"), None),
    (pa.uint64(), 2**64 - 1, 2**64 - 1),
    (pa.null(), None, None),
    (pa.large_string(), "x", "x"),
    (pa.string_view(), "x", "x"),
    (pa.dictionary(pa.int8(), pa.string()), "x", "x"),
]


@pytest.mark.parametrize(("kind", "given", "wanted"), VALUES, ids=str)
def test_values_become_what_json_holds(kind, given, wanted):
    kinds = {
        "plain": (kind, given, wanted),
        "list": (pa.list_(kind), [given, None], [wanted, None]),
        "large": (pa.large_list(kind), [given], [wanted]),
        "pair": (pa.list_(kind, 2), [None, given], [None, wanted]),
        "struct": (
            pa.struct([("a", kind), ("b", pa.int8())]),
            {"a": given},
            {"a": wanted, "b": None},
        ),
        "map": (pa.map_(pa.string(), kind), [("k", given)], {"k": wanted}),
        "deep": (pa.list_(pa.struct([("a", pa.list_(kind))])), [{"a": [given]}], [{"a": [wanted]}]),
    }
    columns = {
        name: pa.array([None, None, value, None], type=kind)
        for name, (kind, value, _) in kinds.items()
    }
    expected = {name: wanted for name, (_, _, wanted) in kinds.items()}
    rows = [dict.fromkeys(kinds), dict.fromkeys(kinds), expected, dict.fromkeys(kinds)]
    assert values(pa.table(columns)) == rows
    assert values(pa.table(columns).slice(1, 2)) == rows[1:3]
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


EXTENSIONS = [
    ("uuid", uuid.UUID(int=7), str(uuid.UUID(int=7))),
    ("json_", "[]", "[]"),
    ("bool8", 1, 1),
]


@pytest.mark.parametrize(("name", "given", "wanted"), EXTENSIONS)
def test_extension_types_become_what_they_are_stored_as_and_uuids_text(name, given, wanted):
    if not hasattr(pa, name):
        pytest.skip("a later pyarrow has it")
    plain = pa.array([None, given, given], type=getattr(pa, name)())
    table = pa.table(
        {
            "plain": plain,
            "list": pa.ListArray.from_arrays([0, 0, 2, 3], plain),
            "struct": pa.StructArray.from_arrays([plain], ["a"]),
        }
    )
    rows = [
        {"plain": None, "list": [], "struct": {"a": None}},
        {"plain": wanted, "list": [None, wanted], "struct": {"a": wanted}},
        {"plain": wanted, "list": [wanted], "struct": {"a": wanted}},
    ]
    assert values(table) == rows
    assert values(table.slice(1)) == rows[1:]


def test_maps_whose_keys_are_no_text_are_lists_of_pairs():
    kind = pa.map_(pa.date32(), pa.timestamp("s"))
    table = pa.table({"a": pa.array([[(DAY, TIME.replace(microsecond=0))], [], None], kind)})
    pairs = [["2024-02-29", "2024-02-29T01:02:03"]]
    assert values(table) == [{"a": pairs}, {"a": []}, {"a": None}]


def test_list_views_are_read_where_their_items_need_no_cast():
    items = [["a"], None, [], ["b", None, "c"]]
    table = pa.table({"a": pa.array(items, pa.list_view(pa.string()))})
    assert values(table) == [{"a": each} for each in items]
    assert values(table.slice(3)) == [{"a": items[3]}]
    refused = pa.table({"a": pa.array([[1]], pa.list_view(pa.timestamp("s")))})
    with pytest.raises(LoadError, match=r"'a' is of the type list_view<item: timestamp\[s\]>"):
        list(source_of(refused))


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        (pa.float64(), float("inf"), "infinite"),
        (pa.float32(), float("-inf"), "infinite"),
        (pa.timestamp("s"), 2**40, "out of range"),
        (pa.map_(pa.string(), pa.int8()), [("k", 1), ("k", 2)], "a map has a key twice"),
    ],
    ids=str,
)
def test_a_row_whose_value_json_cant_hold_says_so_and_the_others_come(nested, kind, value, problem):
    column = [None, [value] if nested else value, None]
    column = pa.array(column, type=pa.list_(kind) if nested else kind)
    first, bad, last = source_of(pa.table({"é": ["x", "y", "z"], "bad": column}))
    assert first == Record("row 1", {"é": "x", "bad": None}, b"")
    assert last == Record("row 3", {"é": "z", "bad": None}, b"")
    assert bad[:3] == ("row 2", None, '{"é": "y"}'.encode())
    assert bad.problem.startswith("the column 'bad' can't be read: ")
    assert problem in bad.problem


def test_text_that_is_no_utf_8_costs_its_row_alone():
    broken = pa.Array.from_buffers(pa.string(), 3, pa.array([b"a", b"\xff", b"c"]).buffers())
    pq.write_table(pa.table({"n": [1, 2, 3], "text": broken}), "in.parquet")
    first, bad, last = source_of("in.parquet")
    assert (first.value, last.value) == ({"n": 1, "text": "a"}, {"n": 3, "text": "c"})
    assert bad[:3] == ("in.parquet, row 2", None, b'{"n": 2}')
    assert "'text' can't be read: 'utf-8' codec" in bad.problem


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (pa.Table.from_arrays([[1], [2]], ["a", "a"]), "two columns are called 'a'"),
        (pa.table({"a": pa.array([(1, 2, 3)], pa.month_day_nano_interval())}), "cast it, or leave"),
        (pa.table({"__index_level_0__": [1]}), "has no columns"),
    ],
)
def test_columns_that_cant_be_told_apart_or_read_are_an_error(table, problem):
    with pytest.raises(LoadError, match=problem):
        list(source_of(table))


def test_an_index_of_pandas_without_a_name_is_no_column():
    assert values(pa.table({"a": [1], "__index_level_0__": [7]})) == [{"a": 1}]


def test_tables_have_a_length_and_can_be_read_again_readers_not():
    table = pa.table({"a": [*range(5000)]})
    for whole in (table, table.combine_chunks().to_batches()[0]):
        source = source_of(whole)
        assert (source.count(), source.again) == (5000, True)
        assert [record.value["a"] for record in source] == [*range(5000)]
        assert [record.place for record in source][-1] == "row 5000"
    source = source_of(table.to_reader(max_chunksize=7))
    assert (source.name, source.count(), source.again) == ("RecordBatchReader", None, False)
    assert [record.value["a"] for record in source] == [*range(5000)]
    with pytest.raises(LoadError, match="RecordBatchReader can be read only once"):
        iter(source)


def test_a_stream_that_fails_keeps_what_had_come():
    def batches():
        yield pa.record_batch({"a": [1]})
        raise OSError("the disk is gone")

    reader = pa.RecordBatchReader.from_batches(pa.schema([("a", pa.int64())]), batches())
    records, problem = one_by_one(reader)
    assert [record.value for record in records] == [{"a": 1}]
    assert "after row 1" in problem
    assert "the disk is gone" in problem


def test_one_column_is_no_table():
    with pytest.raises(ParameterError, match=r"of one column rows\.to_list\(\)"):
        list(source_of(pa.chunked_array([["a"]])))


def test_pandas_tables_are_read():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(
        {
            "text": ["x", None, "z"],
            "at": pandas.to_datetime(["2024-02-29T01:02:03.4"] * 3),
            "kind": pandas.Categorical(["u", "v", "u"]),
            "n": [1.5, float("nan"), 2],
        }
    )
    at = "2024-02-29T01:02:03.4"
    assert values(table[table["kind"] == "u"]) == [
        {"text": "x", "at": at, "kind": "u", "n": 1.5},
        {"text": "z", "at": at, "kind": "u", "n": 2.0},
    ]
    table.iloc[1:].to_parquet("in.parquet")
    assert values("in.parquet")[0] == {"text": None, "at": at, "kind": "v", "n": None}
    with pytest.raises(ParameterError, match="to_list"):
        list(source_of(table["text"]))


def test_polars_tables_are_read():
    polars = pytest.importorskip("polars")
    table = polars.DataFrame(
        {"text": ["x", None], "many": [["a"], []], "at": [TIME, None], "day": [DAY, None]}
    ).with_columns(polars.col("text").cast(polars.Categorical).alias("kind"))
    assert values(table) == [
        {
            "text": "x",
            "many": ["a"],
            "at": "2024-02-29T01:02:03.45",
            "day": "2024-02-29",
            "kind": "x",
        },
        {"text": None, "many": [], "at": None, "day": None, "kind": None},
    ]
    with pytest.raises(ParameterError, match="LazyFrame"):
        source_of(table.lazy())


def test_hugging_face_datasets_are_read():
    datasets = pytest.importorskip("datasets")
    whole = datasets.Dataset.from_dict({"n": [*range(2500)], "at": [TIME] * 2500})
    source = source_of(whole.select(range(2400, 2500)))
    assert (source.name, source.count(), source.again) == ("Dataset", 100, True)
    assert [record.value["n"] for record in source] == [*range(2400, 2500)]
    assert values(whole.select([])) == []
    assert values(whole.to_iterable_dataset())[7] == {"n": 7, "at": "2024-02-29T01:02:03.45"}
    with pytest.raises(ParameterError, match="DatasetDict"):
        source_of(datasets.DatasetDict(train=whole))


def parquet(name="in.parquet", groups=3):
    table = pa.table({"n": [*range(1000)], "text": ["x" * 50 + str(n) for n in range(1000)]})
    options = {"write_page_checksum": True, "use_dictionary": False, "compression": "none"}
    with pq.ParquetWriter(name, table.schema, **options) as writer:
        for _ in range(groups):
            writer.write_table(table)
    return name


@pytest.mark.parametrize("size", [0, 3, 5000])
def test_a_parquet_file_that_is_cut_short_is_an_error(size):
    write("in.parquet", Path(parquet()).read_bytes()[:size])
    source = source_of("in.parquet")
    for read in (source.count, lambda: list(source)):
        with pytest.raises(LoadError, match=r"in\.parquet can't be read as Parquet: .*whole"):
            read()


def test_damage_within_a_parquet_file_is_an_error_after_the_rows_before_it():
    data = bytearray(Path(parquet()).read_bytes())
    column = pq.ParquetFile("in.parquet").metadata.row_group(2).column(1)
    data[column.data_page_offset + column.total_compressed_size // 2] ^= 1  # still text
    write("in.parquet", bytes(data))
    records, problem = one_by_one("in.parquet")
    assert [record.value["n"] for record in records] == [*range(1000)] * 2
    assert f"in.parquet can't be read on after row {len(records)}: " in problem


def test_what_parquet_cant_be_read_from_is_told_before():
    write("in.parquet.gz", gzip.compress(b"PAR1"))
    with pytest.raises(LoadError, match=r"in\.parquet\.gz: .* unpack it"):
        source_of("in.parquet.gz")
    with pytest.raises(LoadError, match=r"stdin: .* give a file"):
        source_of("-", format="parquet")
    os.mkfifo("pipe")
    with pytest.raises(LoadError, match=r"pipe: .* give a file"):
        source_of("pipe", format="parquet")


# Which files


def names(rows, **options):
    return list(dict.fromkeys(record.place.split(",")[0] for record in source_of(rows, **options)))


def test_a_folder_is_its_files_of_known_suffixes_by_name():
    for name in ("b.JSONL", "a.ndjson.gz", "c.txt", "d.md", ".e.jsonl", "_SUCCESS", "x/y.jsonl"):
        content = jsonl(1)
        write(f"in/{name}", gzip.compress(content) if name.endswith("gz") else content)
    wanted = ["in/a.ndjson.gz", "in/b.JSONL", "in/c.txt"]
    assert names("in") == names(Path("in")) == names(["in/"], format="txt")[1:4]
    assert names("in") == wanted
    assert source_of("in").name == "in"


def test_globs_lists_and_paths_name_files():
    for name in ("b.jsonl", "a.jsonl", "x/c.jsonl", "[1].jsonl", "1.jsonl", "d.jsonl/e.jsonl"):
        write(f"in/{name}", jsonl(2))
    assert names("in/?.jsonl") == ["in/1.jsonl", "in/a.jsonl", "in/b.jsonl"]
    assert names("in/**/c.jsonl") == ["in/x/c.jsonl"]
    assert names("in/[1].jsonl") == ["in/[1].jsonl"]
    assert names("in/d.jsonl") == ["in/d.jsonl/e.jsonl"]
    given = ["in/b.jsonl", "in/a.jsonl"]
    assert names(given) == names(tuple(map(Path, given))) == given
    assert names(["in/x", Path(given[0])]) == ["in/x/c.jsonl", given[0]]
    source = source_of([*given, "in/x/c.jsonl", "in/1.jsonl"])
    assert source.name == "in/b.jsonl, in/a.jsonl, in/x/c.jsonl and 1 more"
    assert source.count() == 8
    write("in/f.csv", "a\n")
    assert source_of(["in/a.jsonl", "in/f.csv"]).count() is None


def test_a_told_format_goes_before_the_name():
    write("in.log", "a\tb\n1\t2\n")
    with pytest.raises(LoadError, match=r"in\.log: its name tells no format; give one of jsonl"):
        source_of("in.log")
    assert (
        values("in.log", format="tsv") == values(["in.log"], format="tsv") == [{"a": "1", "b": "2"}]
    )
    write("in.csv.gz", gzip.compress(b'{"a": 1}'))
    assert values("in.csv.gz", format="jsonl") == [{"a": 1}]


@pytest.mark.parametrize("missing", ["in.jsonl", "*.jsonl", "in/x.jsonl", "empty", "", "x" * 5000])
def test_what_is_not_there_is_an_error_at_once(missing, monkeypatch):
    Path("empty").mkdir()
    write("other/in.csv", "a\n")
    monkeypatch.chdir("other" if not missing else ".")
    with pytest.raises(LoadError) as failure:
        source_of(missing)
    assert missing[:200] in str(failure.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_an_error_at_once():
    Path(write("in.jsonl", jsonl(1))).chmod(0)
    with pytest.raises(LoadError, match=r"in\.jsonl may not be read"):
        source_of("in.jsonl")


def test_a_file_that_goes_away_is_an_error():
    source = source_of(write("in.jsonl", jsonl(1)))
    Path("in.jsonl").unlink()
    with pytest.raises(LoadError, match=r"in\.jsonl can't be opened"):
        list(source)


@pytest.fixture
def memory():
    memory = fsspec.filesystem("memory")
    yield memory
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


def test_files_of_any_filesystem_are_read(memory):
    memory.pipe("/in/b.csv.gz", gzip.compress(b"a,b\n1,2\n"))
    memory.pipe("/in/a.jsonl", jsonl(2))
    memory.pipe("/in/c.txt.zst", PACKED["zst"](b"x\n"))
    memory.pipe("/in/d.md", b"no")
    memory.pipe("/in/e.parquet", Path(parquet()).read_bytes())
    memory.pipe("/in/x/f.jsonl", jsonl(1))
    inside = [f"memory:///in/{name}" for name in ("a.jsonl", "b.csv.gz", "c.txt.zst", "e.parquet")]
    assert names("memory://in") == names([*inside]) == inside
    assert names("memory://in/*.jsonl") == inside[:1]
    assert values("memory://in/b.csv.gz") == [{"a": "1", "b": "2"}]
    source = source_of("memory://in/e.parquet")
    assert (source.name, source.count(), source.again) == ("memory://in/e.parquet", 3000, True)
    assert sum(1 for _ in source) == 3000
    assert names(f"file://{Path.cwd()}/in.parquet") == [f"file://{Path.cwd()}/in.parquet"]
    for missing in ("memory://in/no.jsonl", "memory://in/*.tsv", "memory://no/"):
        with pytest.raises(LoadError, match="there is no such file"):
            source_of(missing)
    memory.pipe("/in/g.jsonl.xz", b"")
    with pytest.raises(LoadError, match="is empty"):
        source_of("memory://in/g.jsonl.xz")


def test_a_filesystem_that_is_not_to_be_had_is_an_error_that_shows_no_secret():
    with pytest.raises(
        LoadError, match=r"nosuch://host/in\.jsonl can't be found: Protocol not known"
    ):
        source_of("nosuch://user:secret@host/in.jsonl")


def test_an_error_of_a_filesystem_shows_no_secret():
    class Closed(fsspec.AbstractFileSystem):
        protocol = "closed"

        def info(self, path):
            raise OSError("no way to closed://user:secret@host/in.jsonl")

    fsspec.register_implementation("closed", Closed, clobber=True)
    with pytest.raises(LoadError, match=r"no way to closed://host/in\.jsonl"):
        source_of("closed://user:secret@host/in.jsonl")


def test_web_addresses_are_read_and_shown_without_their_queries(httpserver):
    pytest.importorskip("aiohttp")
    httpserver.expect_request("/in.jsonl").respond_with_data(jsonl(2))
    source = source_of(httpserver.url_for("/in.jsonl?token=secret"))
    places = [record.place for record in source]
    assert places == [f"{httpserver.url_for('/in.jsonl')}, line {line}" for line in (1, 2)]
    httpserver.expect_request("/kept.jsonl").respond_with_data("no", status=403)
    for name in ("no", "kept"):
        with pytest.raises(LoadError, match=f"{name}[.]jsonl") as failure:
            source_of(httpserver.url_for(f"/{name}.jsonl?token=secret"))
        assert "secret" not in source.name + str(failure.value)


# Standard input

READ = """
import sys
from chatwright.run.batch.inputs import source_of
source = source_of("-", **eval(sys.argv[1]))
print(source.name, source.again, source.count(), flush=True)
for record in source:
    print(record, flush=True)
try:
    iter(source)
except Exception as error:
    print(type(error).__name__, error)
"""


def read_stdin(options=""):
    src = str(Path(chatwright.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-c", READ, f"dict({options})"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": src},
    )


def test_standard_input_is_read_as_it_comes_and_once():
    with read_stdin() as process:
        assert process.stdout.readline() == b"stdin False None\n"
        process.stdin.write(b'{"a": 1}\n{"a"')
        process.stdin.flush()
        assert process.stdout.readline().startswith(b"Record(place='stdin, line 1', value={'a': 1}")
        rest, _ = process.communicate(b": 2}")
        assert b"place='stdin, line 2', value={'a': 2}" in rest
        assert b"LoadError stdin can be read only once" in rest


def test_standard_input_is_of_the_format_that_is_told():
    with read_stdin("format='csv'") as process:
        found, _ = process.communicate(b"a,b\n1,2\n")
    assert b"value={'a': '1', 'b': '2'}" in found


def test_a_pipe_can_be_read_only_once():
    os.mkfifo("pipe.jsonl")
    source = source_of("pipe.jsonl")
    assert (source.again, source.count()) == (False, None)
    with subprocess.Popen(["sh", "-c", "echo '{}' > pipe.jsonl"]):
        assert [record.value for record in source] == [{}]


# Anything else


@pytest.mark.parametrize(
    "rows",
    [
        [{"a": 1}, {}],
        ["What is in.jsonl?", "Hi", "Explain a.csv"],
        [[{"role": "user", "content": "Hi"}]],
        [],
        [[]],
    ],
)
def test_rows_of_an_iterable_are_passed_on_as_they_are(rows):
    for what in (rows, tuple(rows), iter(rows), (row for row in rows)):
        source = source_of(what)
        again = isinstance(what, list | tuple)
        assert (source.name, source.again) == (type(what).__name__, again)
        assert source.count() == (len(rows) if again else None)
        found = list(source)
        assert [record.place for record in found] == [f"row {n + 1}" for n in range(len(rows))]
        assert all(record.value is row for record, row in zip(found, rows, strict=True))


def test_none_is_no_row():
    [record] = source_of([None])
    assert record == Record("row 1", None, b"None", "it is None")


def test_what_can_be_read_once_is_not_begun_twice():
    source = source_of(iter([{}]))
    assert len(list(source)) == 1
    with pytest.raises(LoadError, match="list_iterator can be read only once"):
        list(source)


def test_the_error_of_an_iterable_is_its_own():
    def rows():
        yield {}
        raise KeyError("mine")

    source = iter(source_of(rows()))
    next(source)
    with pytest.raises(KeyError, match="mine"):
        next(source)


@pytest.mark.parametrize(
    ("rows", "fix"),
    [
        ({"a": ["x"]}, "give a list of dicts"),
        (b"in.jsonl", "give a path"),
        (7, "give a path"),
        (None, "give a path"),
        (io.StringIO("{}"), "give the file's path"),
    ],
)
def test_what_has_no_rows_is_refused_with_the_fix(rows, fix):
    with pytest.raises(ParameterError, match=fix):
        source_of(rows)


def test_files_and_prompts_in_one_list_are_refused():
    write("in.jsonl", jsonl(1))
    with pytest.raises(ParameterError, match=r"rows has files, such as 'in\.jsonl', and other"):
        source_of(["in.jsonl", "folder"])
    with pytest.raises(ParameterError, match="has files"):
        source_of(["memory://in/a.jsonl", "folder"])


def test_a_format_that_is_not_known_or_has_no_use_is_refused():
    with pytest.raises(ParameterError, match="format='xlsx' is none of jsonl"):
        source_of(write("in.xlsx", "x"), format="xlsx")
    with pytest.raises(ParameterError, match="format='csv' is for files"):
        source_of([{"a": 1}], format="csv")


# What it takes

ALONE = """
import sys
for name in ("pyarrow", "fsspec", "pandas", "numpy"):
    sys.modules[name] = None
from chatwright.errors import MissingExtraError
from chatwright.run.batch.inputs import source_of
for name in sys.argv[1:]:
    try:
        source = source_of(name)
    except MissingExtraError as error:
        print(error.package, error.extra)
    else:
        print(len(list(source)))
"""


def test_plain_files_need_no_other_library_and_the_rest_names_its_own():
    for name in ("a.jsonl", "b.txt"):
        write(name, jsonl(2))
    write("c.csv", "a\n1\n2\n")
    write("d.jsonl.gz", gzip.compress(jsonl(2)))
    write("e.parquet", b"")
    write("f.jsonl.zst", b"x")
    given = ["a.jsonl", "b.txt", "c.csv", "d.jsonl.gz", "e.parquet", "f.jsonl.zst", "memory://a"]
    src = str(Path(chatwright.__file__).parents[1])
    told = subprocess.run(
        [sys.executable, "-c", ALONE, *given],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": src},
    )
    assert told.stdout.splitlines() == ["2"] * 4 + ["pyarrow batch"] * 2 + ["fsspec batch"]


def test_a_table_without_pyarrow_names_the_extra(monkeypatch):
    table = pa.table({"a": [1]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'chatwright\[batch\]'"):
        source_of(table)


def peak(name):
    """Return the most bytes that reading a file takes: Python's and pyarrow's."""
    pool = pa.default_memory_pool()
    most = before = pool.bytes_allocated()
    tracemalloc.start()
    try:
        for _ in source_of(name):
            most = max(most, pool.bytes_allocated())
        return tracemalloc.get_traced_memory()[1] + most - before
    finally:
        tracemalloc.stop()


def test_a_batch_of_a_table_is_converted_piece_by_piece():
    text = [hashlib.sha512(b"%d" % n).hexdigest() * 400 for n in range(800)]  # 41 MB
    table = pa.table({"text": text})
    assert table["text"].num_chunks == 1
    del text
    tracemalloc.start()
    for _ in source_of(table):
        pass
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 16 << 20


@pytest.mark.parametrize(
    "suffix",
    [
        "parquet",
        *(
            pytest.param(e, marks=pytest.mark.long)
            for e in ("jsonl", "csv", "jsonl.gz", "jsonl.zst")
        ),
    ],
)
def test_memory_does_not_grow_with_the_file(suffix):
    sizes = []
    for count in (10_000, 40_000):
        name = f"{count}.{suffix}"
        if suffix == "parquet":
            text = [hashlib.sha512(b"%d" % n).hexdigest() * 2 for n in range(count)]
            table = pa.table({"n": [*range(count)], "text": text})
            pq.write_table(table, name, use_dictionary=False)  # its size would grow a little
        else:
            content = jsonl(count, 300)
            if suffix == "csv":
                content = b"n,text\n" + content.replace(b'{"n": ', b"").replace(b'"text": ', b"")
                content = content.replace(b"}", b"").replace(b", ", b",")
            write(name, PACKED.get(suffix.rpartition(".")[2], bytes)(content))
        sizes.append(peak(name))
    assert sizes[1] < sizes[0] * 1.5
    assert sizes[1] < 16 << 20
