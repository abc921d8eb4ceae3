"""The cells that rows are counted in."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.profile import Bins
from tasks.data.rejects import hashed
from tasks.monitoring.counting import BinCells, NameCells
from tasks.monitoring.frames import MOST_NAMES, empty_bins, empty_names


def counted(frame: Bins, *values: float) -> Bins:
    cells = BinCells(frame)
    cells.add(np.array(values, dtype=np.float64))
    return cells.counted()


def test_distinct_values_fill_bins_evenly() -> None:
    values = np.random.default_rng(0).permutation(np.arange(1000.0))
    found = counted(empty_bins(values), *values)
    assert found.edges == tuple(np.arange(49.0, 999, 50))
    assert found.counts == (50,) * 20
    assert (found.low, found.high, found.mean) == (0, 999, pytest.approx(499.5))


def test_a_value_that_fills_many_rows_has_a_bin_of_its_own() -> None:
    values = np.concatenate([np.zeros(30), np.ones(960), np.arange(2.0, 12)])
    found = counted(empty_bins(values), *values)
    assert found.counts == (30, 960, 10)
    assert counted(found, 0.999, 1, 1, 1.001).counts == (1, 2, 1)


def test_a_column_of_one_value_tells_what_is_above_and_below() -> None:
    frame = empty_bins(np.full(50, 7.0))
    assert counted(frame, 7, 7, 6.9, 7.1, 8).counts == (1, 2, 2)


def test_nothing_is_known_of_no_values() -> None:
    found = counted(empty_bins(np.array([np.nan, np.nan])), np.nan, 3)
    assert (found.edges, found.counts, found.low) == ((), (1,), 3)


@given(st.lists(st.floats(-1e9, 1e9) | st.just(0.0), min_size=1, max_size=200), st.lists(st.floats(width=32)))
def test_every_number_is_in_one_bin(fitted: list[float], values: list[float]) -> None:
    frame = empty_bins(np.array(fitted))
    known = sum(value == value for value in values)
    assert list(frame.edges) == sorted(set(frame.edges))
    assert sum(counted(frame, *values).counts) == known


def test_the_most_frequent_names_are_kept_ties_by_text() -> None:
    values = pa.chunked_array([["b", "a", None, "c", "c"], ["a", "b", "d"]])
    assert empty_names(values, sensitive=False).names == ("a", "b", "c", "d")
    many = pa.chunked_array([[f"{i:03}" for i in range(200)] + ["199"]])
    kept = empty_names(many, sensitive=False).names
    assert len(kept) == MOST_NAMES and kept[:2] == ("199", "000")


@pytest.mark.parametrize("sensitive", [False, True])
def test_names_are_counted_and_others_together(sensitive: bool) -> None:
    frame = empty_names(pa.chunked_array([["a", "b", "a"]]), sensitive)
    cells = NameCells(frame, sensitive)
    cells.add(pa.array(["a", None, "z", "a", "y"]).dictionary_encode())
    cells.add(pa.array(["b"]))
    found = cells.counted()
    assert found.names == ((hashed("a"), hashed("b")) if sensitive else ("a", "b"))
    assert (found.counts, found.rest) == ((2, 1), 2)
