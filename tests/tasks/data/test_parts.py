"""Large rows make small parts and small batches."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.data import columnar, parts
from tasks.data.checks import Checked
from tasks.data.parts import PART_BYTES, PART_ROWS, gather, rows_of_part
from tasks.data.rejects import no_rejects
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


def parts_of(texts: list[str | None], batch: int, categories: bool = False, part_rows: int = 4) -> list[list[int]]:
    """Rows of each part, where every third row is a reject."""
    kind = pa.dictionary(pa.int32(), pa.string()) if categories else pa.string()
    table = pa.table({"n": range(len(texts)), "t": pa.array(texts, pa.string()).cast(kind), "s": ["x"] * len(texts)})
    rows = np.arange(1, len(texts) + 1)

    def checked(part: slice) -> Checked:
        kept = rows[part] % 3 != 0
        return Checked(table[part].filter(pa.array(kept)), rows[part][kept], no_rejects())

    batches = (checked(slice(start, start + batch)) for start in range(0, len(texts), batch))
    return [part["perennial.row"].to_pylist() for part in gather(batches, part_rows)]


@pytest.mark.parametrize("categories", [False, True])
@pytest.mark.parametrize("batch", [1, 2, 3, 100])
def test_a_part_ends_before_the_text_that_is_too_much(
    batch: int, categories: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four rows a part at most; bytes of a text are counted, not its characters."""
    monkeypatch.setattr(parts, "TEXT_BYTES", 8)
    texts = ["1234", "5678", "", "9", "x" * 20, "éé", "1", None, "", "12345678", "1"]
    assert parts_of(texts, batch, categories) == [[1, 2], [4], [5], [7, 8], [10], [11]]


def test_words_of_other_rows_are_no_part_of_a_part() -> None:
    words = pa.array([f"word {number}" for number in range(9)]).dictionary_encode()
    whole = Checked(pa.table({"t": words}), np.arange(1, 10), no_rejects())
    found = [part["t"].combine_chunks().dictionary.to_pylist() for part in gather([whole], 4)]
    assert found == [[f"word {number}" for number in part] for part in (range(4), range(4, 8), range(8, 9))]


def test_short_texts_do_not_end_a_part() -> None:
    assert parts_of(["text"] * 9, 2) == [[1, 2, 4], [5, 7, 8]]


@given(st.lists(st.integers(0, 12), min_size=1, max_size=40), st.integers(1, 9), st.integers(0, 40), st.booleans())
def test_rows_that_are_added_leave_earlier_parts_as_they_are(
    lengths: list[int], batch: int, before: int, categories: bool
) -> None:
    texts: list[str | None] = ["x" * length for length in lengths]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "TEXT_BYTES", 16)
        grown = parts_of(texts, batch, categories, part_rows=8)
        earlier = parts_of(texts[:before], 40, categories, part_rows=8)
    assert earlier[:-1] == grown[: len(earlier) - 1 if earlier else 0]
    assert [row for part in grown for row in part] == [row for row in range(1, len(texts) + 1) if row % 3]
    assert all(len(part) == 1 or sum(lengths[row - 1] for row in part) <= 16 for part in grown)


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
