"""Large rows make small parts and small batches."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.data import columnar
from tasks.data.parts import PART_BYTES, PART_ROWS, rows_of_part
from tasks.data.sources import read_batches, resolve


@given(st.integers(0, 1 << 40))
def test_a_part_has_as_many_rows_as_fit_by_powers_of_2(row_bytes: int) -> None:
    rows = rows_of_part(row_bytes)
    assert 1 <= rows <= PART_ROWS and PART_ROWS % rows == 0
    assert rows == 1 or rows * row_bytes <= PART_BYTES
    assert rows == PART_ROWS or 2 * rows * row_bytes > PART_BYTES


@pytest.mark.parametrize(
    ("row_bytes", "rows"), [(0, 1 << 18), (256, 1 << 18), (257, 1 << 17), (1 << 26, 1), (1 << 30, 1)]
)
def test_rows_of_a_part_by_hand(row_bytes: int, rows: int) -> None:
    assert rows_of_part(row_bytes) == rows


def sizes(tmp_path: Path, table: pa.Table) -> list[int]:
    pq.write_table(table, tmp_path / "a.parquet", compression="none", use_dictionary=False, row_group_size=40)
    batches = list(read_batches(resolve(str(tmp_path / "a.parquet"))[0]))
    assert [row for batch in batches for row in batch.rows] == list(range(1, len(table) + 1))
    return [len(batch.rows) for batch in batches]


def test_large_rows_are_read_few_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columnar, "BATCH_BYTES", 10_500)
    found = sizes(tmp_path, pa.table({"p": [bytes([i]) * 1000 for i in range(100)]}))
    assert 8 <= max(found) <= 10, "a row has a thousand bytes; Parquet adds some of its own"


def test_a_row_larger_than_a_batch_comes_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columnar, "BATCH_BYTES", 10)
    assert sizes(tmp_path, pa.table({"p": [b"x" * 100] * 5})) == [1] * 5


def test_small_rows_are_read_by_the_usual_batch(tmp_path: Path) -> None:
    assert sizes(tmp_path, pa.table({"x": range(100)})) == [100]
