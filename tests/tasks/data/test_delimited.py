"""CSV of every delimiter, encoding and state of damage."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import InputError
from tasks.data import delimited
from tests.tasks.data.read import cells, read_all, written


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


def test_a_stray_quote_inside_of_a_text_is_no_harm(tmp_path: Path) -> None:
    path = written(tmp_path / "s.csv", 'a,b\n1,5" pipe\n2,x\n')
    assert cells(path, ["a"]) == {"a": ["1", "2"]}


def test_an_open_quote_is_found_though_its_column_is_not_wanted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="row 2: a quote that is never closed"):
        read_all(written(tmp_path / "q.csv", 'a,b\n1,x\n2,"y\n3,z\n'), ["a"])


def test_texts_that_look_like_times_stay_texts(tmp_path: Path) -> None:
    path = written(tmp_path / "t.jsonl", '{"a": "2024-01-01 00:00:00"}\n')
    assert cells(path) == {"a": ["2024-01-01 00:00:00"]}
