"""Rows that came since an earlier snapshot, counted against an independent multiset of rows."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.modelfile import ModelFile
from tasks.data import growth, parts
from tasks.data.growth import count_new_rows
from tasks.data.manifest import Snapshot
from tasks.data.snapshot import ingest, open_snapshot
from tests.tasks.data.conftest import Make
from tests.tasks.data.ingested import COLUMNS, write

ROWS = 12


@pytest.fixture
def model_file(make: Make) -> ModelFile:
    return make(COLUMNS)


def snapshot(model_file: ModelFile, folder: Path, frame: pd.DataFrame, *more: pd.DataFrame) -> Snapshot:
    """Of one file `a.csv`, and `b.csv` where more is given."""
    for name, rows in zip("ab", (frame, *more), strict=False):
        rows.to_csv(folder / f"{name}.csv", index=False)
    return open_snapshot(ingest(model_file, folder / "home").manifest)


def rows(first: int, end: int) -> pd.DataFrame:
    numbers = np.arange(first, end)
    return pd.DataFrame({"x": numbers, "c": [f"c{n % 3}" for n in numbers], "y": numbers % 2})


def test_rows_added_at_the_end_of_a_file_are_new_and_no_others(model_file: ModelFile, tmp_path: Path) -> None:
    before = snapshot(model_file, tmp_path, rows(0, ROWS))
    assert count_new_rows(snapshot(model_file, tmp_path, rows(0, ROWS + 5)), before) == 5


def test_a_row_that_is_moved_is_not_new_and_one_that_is_corrected_is(model_file: ModelFile, tmp_path: Path) -> None:
    before = snapshot(model_file, tmp_path, rows(0, ROWS))
    turned = rows(0, ROWS).iloc[::-1]
    assert count_new_rows(snapshot(model_file, tmp_path, turned.iloc[:4], turned.iloc[4:]), before) == 0
    turned.iloc[2, 0] = 1000
    assert count_new_rows(snapshot(model_file, tmp_path, turned.iloc[:4], turned.iloc[4:]), before) == 1


def test_each_earlier_row_makes_up_for_one_equal_row(model_file: ModelFile, tmp_path: Path) -> None:
    twice = pd.concat([rows(0, ROWS), rows(0, 3)])
    before = snapshot(model_file, tmp_path, twice)
    now = pd.concat([twice, rows(0, 3), rows(50, 52)])
    counted = Counter(map(tuple, now.to_numpy().tolist())) - Counter(map(tuple, twice.to_numpy().tolist()))
    assert count_new_rows(snapshot(model_file, tmp_path, now), before) == counted.total() == 5


def test_rows_that_left_a_rolling_window_do_not_count(make: Make, tmp_path: Path) -> None:
    model_file = make(COLUMNS, rest='[split]\ntime = "t"\n[data]\nlast_rows = 10\n')
    days = pd.date_range("2024-01-01", periods=20).strftime("%Y-%m-%d")
    first, second = (rows(0, end).assign(t=days[:end]) for end in (ROWS, ROWS + 4))
    before = snapshot(model_file, tmp_path, first)
    now = snapshot(model_file, tmp_path, second)
    assert (before.rows, now.rows) == (10, 10)
    assert count_new_rows(now, before) == 4


def test_parts_that_both_have_are_not_read(
    model_file: ModelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PART_ROWS", 4)
    before, now = (snapshot(model_file, tmp_path, rows(0, end)) for end in (ROWS, ROWS + 3))
    read: list[int] = []
    real = growth.hash_rows
    monkeypatch.setattr(growth, "hash_rows", lambda table, names: read.append(len(table)) or real(table, names))  # type: ignore[func-returns-value]
    assert count_new_rows(now, before) == 3
    assert read == [3]


def test_all_rows_are_new_where_columns_differ(make: Make, tmp_path: Path) -> None:
    before = snapshot(make(COLUMNS), tmp_path, rows(0, ROWS))
    now = snapshot(make('x = "number"'), tmp_path, rows(0, ROWS))
    assert count_new_rows(now, before) == ROWS


def test_nothing_is_new_in_the_same_snapshot(model_file: ModelFile, tmp_path: Path) -> None:
    write(tmp_path / "a.csv", x=range(ROWS), c=["u"] * ROWS, y=[0, 1] * (ROWS // 2))
    same = open_snapshot(ingest(model_file, tmp_path / "home").manifest)
    assert count_new_rows(same, same) == 0
