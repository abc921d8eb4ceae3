"""Rows are scored in batches of bounded size, each once, and come back in their own order."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.columns import KINDS, ColumnSettings
from tasks.scoring import predictor as predictor_module
from tasks.scoring.predictor import Predictor, _of_similar_size
from tests.contracts import contract_of

SIZES = st.lists(st.integers(0, 400), min_size=1, max_size=80)


class Echo:
    """In place of a graph: the value of a row is the length of its text plus its number."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, int]] = []
        """Rows, and the length of the longest text."""

    def run(self, _: object, feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        lengths = np.array([len(text) for text in feed["t"]], dtype=np.int64)
        self.batches.append((len(lengths), int(lengths.max(initial=0))))
        return [(lengths + feed["n"]).astype(np.float32)]


def predictor_of(monkeypatch: pytest.MonkeyPatch, threads: int = 3) -> tuple[Predictor, Echo]:
    echo = Echo()
    monkeypatch.setattr(predictor_module, "start_session", lambda *_: echo)
    kinds: dict[str, ColumnSettings] = {"t": KINDS["text"].settings(), "n": KINDS["number"].settings()}
    return Predictor(b"", contract_of(kinds), threads), echo


def feed_of(lengths: list[int]) -> dict[str, NDArray[Any]]:
    texts = np.array(["x" * length for length in lengths], dtype=object)
    return {"t": texts, "n": np.arange(len(lengths), dtype=np.float32) * 1000}


@given(SIZES, st.integers(1, 3000))
def test_batches_of_similar_size_hold_every_row_once_and_are_bounded(sizes: list[int], most: int) -> None:
    sorted_sizes = np.sort(np.array(sizes))
    order = np.argsort(np.array(sizes), kind="stable")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictor_module, "BATCH_ELEMENTS", most)
        batches = list(_of_similar_size(order, sorted_sizes, 20))
    assert np.concatenate(batches).tolist() == order.tolist()
    for batch in batches:
        largest = max(sizes[row] for row in batch)
        assert 1 <= len(batch) <= 20
        assert len(batch) == 1 or len(batch) * largest <= most


@given(SIZES, st.integers(100, 2000))
@settings(deadline=None)
def test_results_are_in_the_order_of_the_rows_whatever_their_lengths(lengths: list[int], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictor_module, "BATCH", 16)
        patch.setattr(predictor_module, "BATCH_ELEMENTS", most)
        predictor, echo = predictor_of(patch)
        found = predictor.run(feed_of(lengths)).values
    assert found is not None
    assert found.tolist() == [length + 1000 * row for row, length in enumerate(lengths)]
    assert sum(rows for rows, _ in echo.batches) == len(lengths)
    assert all(rows == 1 or rows * longest <= most for rows, longest in echo.batches)


def test_short_texts_do_not_wait_for_a_long_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """One text of a megabyte among a thousand short ones: padded to one length they would be a gigabyte."""
    predictor, echo = predictor_of(monkeypatch)
    lengths = [10] * 1000
    lengths[500] = 1_000_000
    found = predictor.run(feed_of(lengths)).values
    assert found is not None
    assert (found - 1000 * np.arange(1000, dtype=np.float32))[[499, 501]].tolist() == [10, 10]
    assert max(rows * longest for rows, longest in echo.batches if rows > 1) < 20_000
    assert (1, 1_000_000) in echo.batches


def test_rows_of_one_size_are_scored_as_they_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictor_module, "BATCH", 4)
    predictor, echo = predictor_of(monkeypatch, threads=1)
    found = predictor.run(feed_of([3] * 10)).values
    assert found is not None
    assert (found.tolist(), echo.batches) == ([3 + 1000 * row for row in range(10)], [(4, 3), (4, 3), (2, 3)])


def test_no_rows_have_no_values(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor, _ = predictor_of(monkeypatch)
    found = predictor.run(feed_of([])).values
    assert found is not None and found.tolist() == []
