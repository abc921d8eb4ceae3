"""Files of every format, encoding and state of damage become the same rows, or one plain line."""

import bz2
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import fs

from models.errors import InputError, OutsideError
from tasks.data import delimited, sources
from tasks.data.sources import peek, read_batches, resolve
from tests.tasks.data.read import cells, read_all, written

PLAIN = "a,b\n1,x\n2,y\n"


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [(".gz", gzip.compress), (".bz2", bz2.compress), (".zst", lambda content: zstd(content))],
)
def test_compressed_files_are_read(tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes]) -> None:
    path = written(tmp_path / f"c.csv{suffix}", compress(PLAIN.encode()))
    lines = written(tmp_path / f"c.jsonl{suffix}", compress(b'{"a": 1}\n'))
    assert cells(path) == {"a": ["1", "2"], "b": ["x", "y"]}
    assert cells(lines) == {"a": [1]}


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return bytes(sink.getvalue().to_pybytes())


def test_each_format_gives_the_same_rows(tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": [1.5, None, -2.0], "t": ["x", "ä", None]})
    table = pa.Table.from_pandas(frame)
    pq.write_table(table, tmp_path / "f.parquet")
    feather.write_feather(table, tmp_path / "f.feather")
    frame.to_json(tmp_path / "f.jsonl", orient="records", lines=True)
    for name in ("f.parquet", "f.feather", "f.jsonl"):
        assert cells(tmp_path / name) == {"n": [1.5, None, -2.0], "t": ["x", "ä", None]}


def test_only_wanted_columns_are_read_and_an_absent_one_is_absent(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1], "b": [2], "a.b": [3]}), tmp_path / "w.parquet")
    written(tmp_path / "w.csv", PLAIN)
    assert cells(tmp_path / "w.parquet", ["b", "nothing"]) == {"b": [2]}
    assert cells(tmp_path / "w.parquet", ["a"]) == {"a": [1]}
    assert cells(tmp_path / "w.csv", ["b", "nothing"]) == {"b": ["x", "y"]}


def test_texts_of_parquet_files_that_repeat_come_as_dictionaries(tmp_path: Path) -> None:
    repeated, unique = ["x", "y", "x"] * 1000, [f"number {row}" for row in range(3000)]
    pq.write_table(pa.table({"t": repeated, "u": unique}), tmp_path / "t.parquet")
    table = read_all(tmp_path / "t.parquet")[0].table
    assert pa.types.is_dictionary(table["t"].type) and not pa.types.is_dictionary(table["u"].type)
    assert (table["t"].to_pylist(), table["u"].to_pylist()) == (repeated, unique)


def test_rows_of_large_files_are_numbered_through_in_bounded_batches(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": range(150_000)}), tmp_path / "l.parquet", row_group_size=40_000)
    batches = read_all(tmp_path / "l.parquet")
    assert max(len(batch.rows) for batch in batches) <= 65_536
    assert np.array_equal(np.concatenate([batch.rows for batch in batches]), np.arange(1, 150_001))
    assert np.array_equal(np.concatenate([batch.table["a"].to_numpy() for batch in batches]), np.arange(150_000))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("e.csv", "", "empty file"),
        ("e.parquet", "", "empty file"),
        ("h.csv", "a,b\n", "no rows"),
        ("h2.csv", "a,b", "no rows"),
        ("blank.csv", "\n\n", "empty file"),
        ("e.jsonl", "\n\n", "no rows"),
        ("x.parquet", PLAIN, "not a Parquet file or truncated"),
        ("x.feather", PLAIN, "not a Feather file or truncated"),
        ("x.csv", b"PK\x03\x04xxxx", "an Excel or zip file"),
        ("x.csv", b"\x01\x00\x02abc,def,ghi,jkl\n" * 9, "not a text file"),
        ("x.json", '[{"a": 1}]', "JSON array"),
        ("twice.csv", "a,b,a\n1,2,3\n", "2 columns are called 'a'"),
        ("none.csv", ",b\n1,2\n", "column 1 has no name"),
        ("cut.csv.gz", gzip.compress(np.random.default_rng(0).bytes(9999))[:5000], "truncated"),
    ],
)
def test_what_is_no_table_gets_one_line_that_names_the_file(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_all(written(tmp_path / name, content))
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_a_truncated_parquet_file_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": range(10_000)}), tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()
    with pytest.raises(InputError, match=r"cut\.parquet: not a Parquet file or truncated"):
        read_all(written(tmp_path / "cut.parquet", content[: len(content) // 2]))


def test_a_parquet_file_with_a_damaged_page_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": np.random.default_rng(0).normal(size=50_000)}), tmp_path / "p.parquet")
    content = bytearray((tmp_path / "p.parquet").read_bytes())
    content[4:200] = b"\xff" * 196
    with pytest.raises(InputError, match=r"d\.parquet"):
        read_all(written(tmp_path / "d.parquet", bytes(content)))


def test_a_parquet_file_without_rows_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), tmp_path / "n.parquet")
    feather.write_feather(pa.table({"a": pa.array([], pa.int64())}), tmp_path / "n.feather")
    for name in ("n.parquet", "n.feather"):
        with pytest.raises(InputError, match=f"{name}: no rows"):
            read_all(tmp_path / name)


def test_folders_globs_and_partitions(tmp_path: Path) -> None:
    written(tmp_path / "d/year=2023/a.csv", "x\n1\n")
    written(tmp_path / "d/year=2024/month=02/b.csv", "x\n2\n")
    written(tmp_path / "d/year=__HIVE_DEFAULT_PARTITION__/c.csv", "x\n3\n")
    written(tmp_path / "d/_SUCCESS", "")
    written(tmp_path / "d/.hidden.csv", "x\n9\n")
    written(tmp_path / "d/README.md", "read me")
    expected = {"x": ["1", "2", "3"], "year": ["2023", "2024", None], "month": [None, "02", None]}
    assert cells(tmp_path / "d") == expected
    assert cells(f"{tmp_path}/d/**/*.csv") == expected
    assert cells(f"{tmp_path}/d/year=*") == expected
    assert cells(f"{tmp_path}/d/year=2024", ["x", "year"]) == {"x": ["2"], "year": ["2024"]}


def test_a_name_with_brackets_is_a_file_before_it_is_a_pattern(tmp_path: Path) -> None:
    assert cells(written(tmp_path / "data[1].csv", PLAIN))["a"] == ["1", "2"]


@pytest.mark.parametrize("uri", ["nothing.csv", "*.csv", "sub/**/x.parquet"])
def test_no_match_is_named(tmp_path: Path, uri: str) -> None:
    with pytest.raises(InputError, match="no such file, folder or pattern"):
        resolve(str(tmp_path / uri))


def test_an_unknown_scheme_is_named() -> None:
    with pytest.raises(InputError, match="ftp://host/x: no kind of source"):
        resolve("ftp://host/x")


def test_file_uris_are_read(tmp_path: Path) -> None:
    path = written(tmp_path / "u.csv", PLAIN)
    assert cells(path.as_uri())["b"] == ["x", "y"]


def test_a_file_without_a_known_ending_is_told_by_its_content(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "p.dat")
    assert cells(tmp_path / "p.dat") == {"a": [1]}
    assert cells(written(tmp_path / "j.txt", '{"a": 1}\n')) == {"a": [1]}
    assert cells(written(tmp_path / "c.data", PLAIN))["a"] == ["1", "2"]


def test_bytes_that_no_western_page_defines_are_read_all_the_same(tmp_path: Path) -> None:
    assert cells(written(tmp_path / "l.csv", b"a,b\n1,\x81\xe9\n"))["b"] == ["\x81é"]
    far = b"a,b\n" + b"1,x\n" * 400_000 + b"2,\xe9\x81\n"
    assert cells(written(tmp_path / "f.csv", far))["b"][-1] == "é\x81"


def test_a_quote_left_open_in_a_malformed_last_row_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="row 2: a quote that is never closed"):
        read_all(written(tmp_path / "q.csv", 'a,b\n1,x\n"2,y\n3,z\n'))


def test_old_feather_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"v1\.feather: Feather version 1"):
        read_all(written(tmp_path / "v1.feather", b"FEA1" + b"\0" * 30))


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("data/*.csv", ["a.csv"]),
        ("data/**/*.csv", ["a.csv", "b.csv", "c.csv"]),
        ("data/**", ["a.csv", "b.csv", "c.csv"]),
        ("data/y=*", ["b.csv", "c.csv"]),
        ("data/y=?/b.csv", ["b.csv"]),
        ("data", ["a.csv", "b.csv", "c.csv"]),
        ("nothing/*.csv", []),
    ],
)
def test_patterns_work_in_any_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, found: list[str]
) -> None:
    for name in ("data/a.csv", "data/y=1/b.csv", "data/y=2/z=3/c.csv"):
        written(tmp_path / name, PLAIN)
    store = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    monkeypatch.setattr(sources, "_filesystem", lambda uri: (store, uri))
    if not found:
        with pytest.raises(InputError, match="no such file"):
            resolve(pattern)
        return
    assert sorted(Path(file.path).name for file in resolve(pattern)) == found


def test_a_store_that_can_not_be_reached_is_no_fault_of_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no route to host")

    class Unreachable:
        get_file_info = fail

    monkeypatch.setattr(sources, "_filesystem", lambda uri: (Unreachable(), uri))
    with pytest.raises(OutsideError, match="can't be reached"):
        resolve("s3://bucket/key")


def test_a_file_that_may_not_be_read_is_no_fault_of_the_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "p.csv", PLAIN)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(sources, "_source_file", refuse)
    with pytest.raises(OutsideError, match="not allowed to read"):
        resolve(str(tmp_path / "p.csv"))


def test_peek_names_a_damaged_file(tmp_path: Path) -> None:
    (file,) = resolve(str(written(tmp_path / "x.parquet", PLAIN)))
    with pytest.raises(InputError, match=r"x\.parquet: not a Parquet file"):
        peek(file)


def test_peek_tells_names_types_and_cheap_counts(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "p.parquet")
    feather.write_feather(pa.table({"a": [1, 2]}), tmp_path / "p.feather")
    written(tmp_path / "k=v/p.csv", PLAIN)
    written(tmp_path / "p.jsonl", '{"a": 1}\n')
    (parquet,), (csv,), (lines,), (arrow,) = (
        resolve(str(tmp_path / name)) for name in ("p.parquet", "k=v/p.csv", "p.jsonl", "p.feather")
    )
    assert (peek(parquet).schema, peek(parquet).rows) == (pa.schema([("a", pa.int64())]), 2)
    assert (peek(csv).schema.names, peek(csv).rows) == (["a", "b", "k"], None)
    assert peek(lines).schema == pa.schema([("a", pa.int64())])
    assert peek(arrow).schema == pa.schema([("a", pa.int64())])


def test_names_with_quotes_brackets_spaces_and_other_alphabets_survive(tmp_path: Path) -> None:
    names = ['a "b"', "c [d]", " e f ", "größe ß 温度", "g.h", "i\nj", "k,l"]
    frame = pd.DataFrame([["1"] * len(names)], columns=names)
    frame.to_csv(tmp_path / "n.csv", index=False)
    frame.to_parquet(tmp_path / "n.parquet")
    assert cells(tmp_path / "n.csv") == cells(tmp_path / "n.parquet") == {name: ["1"] for name in names}


def test_a_file_that_vanishes_is_named(tmp_path: Path) -> None:
    (file,) = resolve(str(written(tmp_path / "v.csv", PLAIN)))
    (tmp_path / "v.csv").unlink()
    with pytest.raises(InputError, match=r"v\.csv: the file is gone"):
        list(read_batches(file))


def test_a_system_error_while_reading_is_no_fault_of_the_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (file,) = resolve(str(written(tmp_path / "v.csv", PLAIN)))

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(delimited, "read", fail)
    with pytest.raises(OutsideError, match=r"v\.csv: can't be read"):
        list(read_batches(file))


@given(
    content=st.text(st.sampled_from('ab1,;"\n\r\té\0 '), max_size=60), ending=st.sampled_from(["csv", "jsonl", "tsv"])
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_rows_or_one_plain_line(tmp_path: Path, content: str, ending: str) -> None:
    path = written(tmp_path / f"any.{ending}", content)
    try:
        batches = read_all(path)
    except InputError as error:
        assert all("any." in problem and "\n" not in problem for problem in error.problems)
        return
    numbers = [int(row) for batch in batches for row in batch.rows]
    bad = [row.row for batch in batches for row in batch.malformed]
    assert sorted(numbers + bad) == list(range(1, len(numbers) + len(bad) + 1))


@given(content=st.binary(max_size=80), ending=st.sampled_from(["csv", "jsonl", "parquet", "feather", "csv.gz", "dat"]))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_rows_or_one_plain_line(tmp_path: Path, content: bytes, ending: str) -> None:
    path = written(tmp_path / f"any.{ending}", content)
    try:
        read_all(path)
    except InputError as error:
        assert all("any." in problem for problem in error.problems)


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b", "/" + "b" * 300 + "/*.csv"])
def test_a_name_that_no_file_can_have_is_one_line(name: str) -> None:
    with pytest.raises(InputError) as caught:
        resolve(name)
    assert len(str(caught.value)) < 700


def test_types_that_only_feather_has_become_usual_ones(tmp_path: Path) -> None:
    repeated = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array([7, 8]))
    views = {"a": pa.array(["é", None, "b"], pa.string_view()), "b": pa.array([b"x", None, b"y"], pa.binary_view())}
    feather.write_feather(pa.table({**views, "n": repeated, "z": [1, 2, 3]}), tmp_path / "v.feather")
    (file,) = resolve(str(tmp_path / "v.feather"))
    (batch,) = read_batches(file, {"a", "b", "n"})
    assert batch.table.to_pydict() == {"a": ["é", None, "b"], "b": [b"x", None, b"y"], "n": [7, 7, 8]}
    assert batch.table.schema == pa.schema(list(peek(file).schema)[:3])
    assert batch.table.take(pa.array([2, 0]))["n"].to_pylist() == [8, 7]
