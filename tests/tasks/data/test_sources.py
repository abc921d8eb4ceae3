"""Files of every format, encoding and state of damage become the same rows, or one plain line."""

import bz2
import gzip
import json
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
from tasks.data import delimited, jsonlines, sources
from tasks.data.sources import RawBatch, peek, read_batches, resolve

PLAIN = "a,b\n1,x\n2,y\n"


def read_all(path: Path | str, columns: list[str] | None = None) -> list[RawBatch]:
    return [batch for file in resolve(str(path)) for batch in read_batches(file, columns)]


def cells(path: Path | str, columns: list[str] | None = None) -> dict[str, list[object]]:
    tables = [batch.table for batch in read_all(path, columns)]
    found: dict[str, list[object]] = pa.concat_tables(tables, promote_options="permissive").to_pydict()
    return found


def written(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    path = written(tmp_path / "d.csv", "a,b,c\n1,x,\n2,y,z\n".replace(",", delimiter))
    assert cells(path) == {"a": ["1", "2"], "b": ["x", "y"], "c": ["", "z"]}


def test_decimal_commas_do_not_fool_the_delimiter(tmp_path: Path) -> None:
    path = written(tmp_path / "d.csv", "a;b\n1,5;2,5\n3,25;4,0\n")
    assert cells(path) == {"a": ["1,5", "3,25"], "b": ["2,5", "4,0"]}


def test_commas_in_the_texts_of_a_single_column_delimit_nothing(tmp_path: Path) -> None:
    assert cells(written(tmp_path / "d.csv", 'text\n"well, yes"\n"no, no"\n'))["text"] == ["well, yes", "no, no"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"])
def test_the_encoding_is_found(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path / "e.csv", "größe,b\n1,é\n2,ü\n".encode(encoding))
    assert cells(path) == {"größe": ["1", "2"], "b": ["é", "ü"]}


def test_western_letters_far_behind_the_sample_are_read_and_nothing_is_read_twice(tmp_path: Path) -> None:
    rows = "".join(f"{i},x\n" for i in range(1_500_000)).encode()
    path = written(tmp_path / "late.csv", b"a,b\n" + rows + "end,é\n".encode("cp1252"))
    batches = read_all(path)
    assert np.array_equal(np.concatenate([batch.rows for batch in batches]), np.arange(1, 1_500_002))
    assert batches[-1].table["b"][-1].as_py() == "é"


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


def test_texts_of_parquet_files_come_as_dictionaries(tmp_path: Path) -> None:
    pq.write_table(pa.table({"t": ["x", "y", "x"]}), tmp_path / "t.parquet")
    assert pa.types.is_dictionary(read_all(tmp_path / "t.parquet")[0].table["t"].type)


def test_rows_of_large_files_are_numbered_through_in_bounded_batches(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": range(150_000)}), tmp_path / "l.parquet", row_group_size=40_000)
    batches = read_all(tmp_path / "l.parquet")
    assert max(len(batch.rows) for batch in batches) <= 65_536
    assert np.array_equal(np.concatenate([batch.rows for batch in batches]), np.arange(1, 150_001))
    assert np.array_equal(np.concatenate([batch.table["a"].to_numpy() for batch in batches]), np.arange(150_000))


def test_a_row_of_another_length_is_malformed_and_later_numbers_stay_right(tmp_path: Path) -> None:
    path = written(tmp_path / "r.csv", 'a,b\n1,x\n2\n3,"y\nz"\n4,u,v\n\n5,w\n')
    (batch,) = read_all(path)
    assert batch.rows.tolist() == [1, 3, 5]
    assert batch.table["a"].to_pylist() == ["1", "3", "5"]
    assert [(bad.row, bad.text, bad.reason) for bad in batch.malformed] == [
        (2, "2", "wrong number of fields"),
        (4, "4,u,v", "wrong number of fields"),
    ]


@given(
    bad=st.sets(st.integers(1, 300), max_size=40),
    block=st.sampled_from([32, 64, 200, 1000]),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_row_numbers_are_right_across_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: set[int], block: int
) -> None:
    monkeypatch.setattr(delimited, "BLOCKS", (block, 1 << 20))
    lines = [f"{i}" if i in bad else f"{i},x{i}" for i in range(1, 301)]
    batches = read_all(written(tmp_path / "b.csv", "a,b\n" + "\n".join(lines) + "\n"))
    good = {
        int(row): cell for batch in batches for row, cell in zip(batch.rows, batch.table["a"].to_pylist(), strict=True)
    }
    assert good == {i: str(i) for i in range(1, 301) if i not in bad}
    assert [row.row for batch in batches for row in batch.malformed] == sorted(bad)


def test_ten_megabytes_in_one_cell_are_read(tmp_path: Path) -> None:
    big = "z" * 10_000_000
    csv_cells = cells(written(tmp_path / "big.csv", f"a,b\n1,2\n3,{big}\n4,5\n"))
    assert csv_cells["a"] == ["1", "3", "4"] and csv_cells["b"][1] == big
    lines = "".join(json.dumps({"a": text}) + "\n" for text in ("x", big, "y"))
    assert cells(written(tmp_path / "big.jsonl", lines))["a"] == ["x", big, "y"]


def test_a_row_longer_than_a_block_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "BLOCKS", (64, 4096))
    rows = [f"{i},{'z' * (300 if i == 50 else 3)}" for i in range(100)]
    rows[20] = "bad"
    batches = read_all(written(tmp_path / "g.csv", "a,b\n" + "\n".join(rows) + "\n"))
    numbers = [int(row) for batch in batches for row in batch.rows]
    assert numbers == [i for i in range(1, 101) if i != 21]
    assert [bad.row for batch in batches for bad in batch.malformed] == [21]


def test_a_quote_that_is_never_closed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "BLOCKS", (1024, 4096))
    rows = "".join(f"{i},x\n" for i in range(5000))
    with pytest.raises(InputError, match=r"q\.csv: after row \d+: a quote that is never closed"):
        read_all(written(tmp_path / "q.csv", 'a,b\n1,"x\n' + rows))


def test_a_quote_left_open_at_the_end_of_a_small_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"q\.csv.*quote that is never closed"):
        read_all(written(tmp_path / "q.csv", 'a,b\n1,x\n2,"y\n3,z\n'))


def test_empty_cells_of_a_single_column_are_rows(tmp_path: Path) -> None:
    assert cells(written(tmp_path / "one.csv", "a\n1\n\n2\n")) == {"a": ["1", "", "2"]}


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


def test_ragged_keys_are_null_and_nested_values_stay(tmp_path: Path) -> None:
    path = written(tmp_path / "r.jsonl", '{"a": 1}\n{"b": [1, 2], "a": 2}\n\n{"a": 2.5}\n')
    assert cells(path) == {"a": [1.0, 2.0, 2.5], "b": [None, [1, 2], None]}


def test_mixed_types_become_texts_and_damaged_lines_malformed(tmp_path: Path) -> None:
    path = written(tmp_path / "m.jsonl", '{"a": 1}\n{"a": "x"}\n{"a": \n[1]\n{"a": true}\n')
    (batch,) = read_all(path)
    assert batch.table["a"].to_pylist() == ["1", "x", "true"]
    assert batch.rows.tolist() == [1, 2, 5]
    assert [(bad.row, bad.reason) for bad in batch.malformed] == [(3, "not a JSON object"), (4, "not a JSON object")]


@pytest.mark.parametrize("lines", ["x\n1\n", "x\n", "a,b\n1,2\n"])
def test_json_lines_without_any_object_are_named(tmp_path: Path, lines: str) -> None:
    path = written(tmp_path / "m.jsonl", lines)
    with pytest.raises(InputError, match=r"m\.jsonl: no line is a JSON object with keys"):
        peek(resolve(str(path))[0])
    with pytest.raises(InputError, match=r"m\.jsonl: no line is a JSON object with keys"):
        read_all(path, ["a"])


@pytest.mark.parametrize("lines", ["{}\n", "{}\n{}\n", "x\n{}\n", '{"a": 1}\n{}\n', '{"a": 1}\n{"a": "x"}\n{}\n'])
def test_an_empty_object_is_a_row_without_values_whatever_its_neighbours(tmp_path: Path, lines: str) -> None:
    (batch,) = read_all(written(tmp_path / "m.jsonl", lines), ["a"])
    assert batch.rows[-1] == lines.count("\n")
    assert len(batch.table) == len(batch.rows)
    assert batch.table["a"].to_pylist()[-1] is None


@pytest.mark.parametrize("number", [2**63, 2**64, -(2**63) - 1, 10**30 + 1])
def test_whole_numbers_of_many_digits_are_kept_in_json(tmp_path: Path, number: int) -> None:
    path = written(tmp_path / "n.jsonl", f'{{"a": {number}}}\n{{"a": {2**60 + 1}}}\n{{"a": null}}\n')
    assert cells(path)["a"] == [str(number), str(2**60 + 1), None]


def test_whole_numbers_beside_fractions_keep_their_digits_in_json(tmp_path: Path) -> None:
    path = written(tmp_path / "n.jsonl", '{"a": 9007199254740993}\n{"a": 1.5}\n')
    assert cells(path)["a"] == ["9007199254740993", "1.5"]
    large = written(tmp_path / "f.jsonl", '{"a": 1e300}\n{"a": 123456789012345678.5}\n{"a": 1}\n')
    assert cells(large)["a"] == [1e300, 123456789012345678.5, 1.0]


def nested(depth: int) -> str:
    return json.dumps({"b": 0})[:-2] + "[" * (depth - 1) + "]" * (depth - 1) + "}"


def test_a_line_that_is_nested_too_deeply_is_malformed_and_ends_nothing(tmp_path: Path) -> None:
    objects = '{"b": ' * 200 + "1" + "}" * 200
    text = json.dumps({"b": "[" * 300 + '\\"' + "{" * 300})
    wide = json.dumps({"b": [[1]] * 300})
    lines = ['{"a": 1}', nested(100_000), objects, text, wide, nested(100), nested(101), "[" * 100_000]
    (batch,) = read_all(written(tmp_path / "d.jsonl", "\n".join([*lines, ""])), ["a"])
    assert batch.rows.tolist() == [1, 4, 5, 6]
    assert [(bad.row, bad.reason) for bad in batch.malformed] == [(n, "nested too deeply") for n in (2, 3, 7, 8)]


def test_half_of_a_character_is_malformed_in_json(tmp_path: Path) -> None:
    lines = ['{"a": "\\ud800"}', '{"a": "\\ude00"}', '{"a": "\\ud83d\\ude00"}', '{"\\uD800": 1}', '{"a": "x"}']
    (batch,) = read_all(written(tmp_path / "s.jsonl", "\n".join([*lines, ""])))
    assert batch.table["a"].to_pylist() == ["\U0001f600", "x"]
    assert [(bad.row, bad.reason) for bad in batch.malformed] == [(n, "holds half of a character") for n in (1, 2, 4)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("chunk", [64, 1 << 23])
def test_json_lines_in_other_encodings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, chunk: int
) -> None:
    monkeypatch.setattr(jsonlines, "CHUNK", chunk)
    texts = ["plain"] * 5 + ["größe é"] * 3 + ["plain"]
    path = tmp_path / "e.jsonl"
    path.write_bytes("".join(json.dumps({"a": t}, ensure_ascii=False) + "\n" for t in texts).encode(encoding))
    assert [text for batch in read_all(path) for text in batch.table["a"].to_pylist()] == texts


def test_json_lines_in_a_damaged_encoding_are_named(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_bytes('{"a": 1}\n'.encode("utf-16") + b"\x00")
    with pytest.raises(InputError, match=r"e\.jsonl: looks like utf-16 and can't be read so"):
        read_all(tmp_path / "e.jsonl")


def test_a_stray_quote_inside_of_a_text_is_no_harm(tmp_path: Path) -> None:
    path = written(tmp_path / "s.csv", 'a,b\n1,5" pipe\n2,x\n')
    assert cells(path, ["a"]) == {"a": ["1", "2"]}


def test_an_open_quote_is_found_though_its_column_is_not_wanted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="row 2: a quote that is never closed"):
        read_all(written(tmp_path / "q.csv", 'a,b\n1,x\n2,"y\n3,z\n'), ["a"])


def test_texts_that_look_like_times_stay_texts(tmp_path: Path) -> None:
    path = written(tmp_path / "t.jsonl", '{"a": "2024-01-01 00:00:00"}\n')
    assert cells(path) == {"a": ["2024-01-01 00:00:00"]}


def test_json_chunks_keep_numbers_and_fill_absent_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonlines, "CHUNK", 40)
    lines = [json.dumps({"a": i, "b": "x"} if i < 4 else {"a": i}) for i in range(20)]
    batches = read_all(written(tmp_path / "c.jsonl", "\n".join(lines)), ["a", "b"])
    assert len(batches) > 3
    assert [int(row) for batch in batches for row in batch.rows] == list(range(1, 21))
    assert all(batch.table.column_names == ["a", "b"] for batch in batches)


def test_many_json_rows_are_cut_into_batches_with_their_malformed_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonlines, "BATCH_ROWS", 4)
    lines = ['{"a": 1}'] * 10
    lines[1] = lines[6] = lines[9] = "broken"
    batches = read_all(written(tmp_path / "c.jsonl", "\n".join(lines) + "\n"))
    assert [batch.rows.tolist() for batch in batches] == [[1, 3, 4, 5], [6, 8, 9]]
    assert [[bad.row for bad in batch.malformed] for batch in batches] == [[2], [7, 10]]


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
