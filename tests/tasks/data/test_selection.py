"""Which rows of a key stay, and which are in the window of time."""

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from models.errors import InputError
from tasks.data import parts
from tasks.data.snapshot import Ingested, ingest, open_snapshot
from tests.tasks.data.conftest import Make
from tests.tasks.data.ingested import COLUMNS, rows_of, write


def accounted(result: Ingested) -> int:
    return result.rows + result.rejected + result.collapsed + result.superseded + result.outside_window


def test_equal_rows_of_one_key_collapse_and_conflicting_ones_are_rejected(tmp_path: Path, make: Make) -> None:
    write(tmp_path / "a.csv", k=[1, 2, 2, 3, 3, 4], x=[1, 2, 2, 3, 4, 5], c="u", y=[0, 1, 1, 0, 0, 1])
    result = ingest(make(COLUMNS, rest='[split]\nkey = "k"\n[data]\nmax_rejects = 0.5'), tmp_path)
    assert [row["x"] for row in rows_of(result)] == [1, 2, 5]
    assert (result.collapsed, result.rejected, result.reasons) == (1, 2, {"duplicate key": 2})
    assert result.rejects is not None
    rejects = pq.read_table(result.rejects).to_pylist()
    assert [(entry["row"], entry["column"]) for entry in rejects] == [(4, "k"), (5, "k")]
    assert json.loads(rejects[1]["values"]) == {"x": 4.0, "c": "u", "y": "0", "k": "3"}
    assert accounted(result) == result.read == 6
    assert open_snapshot(result.manifest).manifest.classes == {"0": 1, "1": 2}


def test_duplicates_are_found_across_files_and_parts(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PART_ROWS", 3)
    write(tmp_path / "a.csv", k=range(8), x=range(8), c="u", y=[0, 1] * 4)
    write(tmp_path / "b.csv", k=range(4, 12), x=range(4, 12), c="u", y=[0, 1] * 4)
    result = ingest(make(COLUMNS, rest='[split]\nkey = "k"'), tmp_path)
    assert [row["x"] for row in rows_of(result)] == list(range(12))
    assert result.collapsed == 4


def test_without_a_key_nothing_collapses(tmp_path: Path, make: Make) -> None:
    write(tmp_path / "a.csv", x=[1, 1, 1, 1], c="u", y=[0, 1, 1, 1])
    assert ingest(make(COLUMNS), tmp_path).rows == 4


@pytest.mark.parametrize("stamps", [["2024-01-02", "2024-03-01", "2024-01-01", "2024-02-01"], [2, 30, 1, 4]])
def test_the_newest_row_of_a_key_stays(tmp_path: Path, make: Make, stamps: list[object]) -> None:
    write(tmp_path / "a.csv", k=[1, 1, 2, 1], x=[1, 2, 3, 4], c="u", y=[0, 1, 0, 0], at=stamps)
    result = ingest(make(COLUMNS, rest='[split]\nkey = "k"\nnewest_by = "at"'), tmp_path)
    assert [row["x"] for row in rows_of(result)] == [2, 3]
    assert (result.superseded, result.rejected) == (2, 0)
    assert "perennial.newest" not in open_snapshot(result.manifest).columns


def test_what_is_newest_is_read_alike_in_all_files(tmp_path: Path, make: Make) -> None:
    write(tmp_path / "a.csv", k=[1, 2], x=[1, 2], c="u", y=[0, 1], at="20240101")
    write(tmp_path / "b.csv", k=[1, 2], x=[3, 4], c="u", y=[0, 1], at="2023-01-01")
    result = ingest(make(COLUMNS, rest='[split]\nkey = "k"\nnewest_by = "at"'), tmp_path)
    assert ([row["x"] for row in rows_of(result)], result.superseded) == ([1, 2], 2)


def test_a_row_that_repeats_the_newest_collapses(tmp_path: Path, make: Make) -> None:
    write(tmp_path / "a.csv", k=[1, 1, 1, 2], x=[5, 5, 4, 6], c="u", y=[0, 0, 0, 1], at=[2, 2, 1, 1])
    result = ingest(make(COLUMNS, rest='[split]\nkey = "k"\nnewest_by = "at"'), tmp_path)
    assert (result.rows, result.collapsed, result.superseded) == (2, 1, 1)


def test_values_of_rows_that_leave_do_not_vary_a_target(tmp_path: Path, make: Make) -> None:
    write(tmp_path / "a.csv", k=[1, 1, 2, 3], x=range(4), c="u", y=[7.5, 2.5, 2.5, 2.5], at=[1, 2, 1, 1])
    rest = '[split]\nkey = "k"\nnewest_by = "at"'
    with pytest.raises(InputError, match=r"one value only \(2\.5\)"):
        ingest(make(COLUMNS, target='column = "y"\nkind = "regression"', rest=rest), tmp_path)


def test_a_window_counts_back_from_the_rows_that_stay(tmp_path: Path, make: Make) -> None:
    t = ["2024-01-01", "2024-01-02", "2024-01-03", "2024-06-01", "2024-06-01"]
    write(tmp_path / "a.csv", k=[1, 2, 3, 4, 4], x=range(5), c="u", y=[0, 1, 0, 1, 0], t=t)
    rest = '[split]\nkey = "k"\ntime = "t"\n[data]\nmax_rejects = 0.5\n'
    for window, kept in {"last_days = 1.5": [1, 2], "last_rows = 2": [1, 2]}.items():
        assert [row["x"] for row in rows_of(ingest(make(COLUMNS, rest=rest + window), tmp_path))] == kept


def test_a_rolling_window_counts_back_from_the_newest_row(tmp_path: Path, make: Make) -> None:
    days = pd.date_range("2024-01-01", periods=10).strftime("%Y-%m-%d")
    write(tmp_path / "a.csv", x=range(10), c="u", y=[0, 1] * 5, t=days)
    by_days = ingest(make(COLUMNS, rest='[split]\ntime = "t"\n[data]\nlast_days = 4'), tmp_path)
    by_rows = ingest(make(COLUMNS, rest='[split]\ntime = "t"\n[data]\nlast_rows = 3'), tmp_path)
    assert [row["x"] for row in rows_of(by_days)] == [6, 7, 8, 9]
    assert [row["x"] for row in rows_of(by_rows)] == [7, 8, 9]
    assert (by_days.outside_window, by_rows.outside_window) == (6, 7)
    assert accounted(by_rows) == 10
