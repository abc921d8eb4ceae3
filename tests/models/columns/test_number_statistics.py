"""Embedding edges follow the values that carry information, not the value that fills most rows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.columns.number.statistics import BINS, fit_number


def test_few_distinct_values_are_all_edges() -> None:
    assert fit_number(np.array([3, 1, 1, 1, 2], np.float32)).edges == (1, 2, 3)


def test_values_that_occur_once_give_plain_quantiles() -> None:
    values = np.arange(4801, dtype=np.float32)
    np.testing.assert_allclose(fit_number(values).edges, np.quantile(values, np.linspace(0, 1, BINS + 1)))


def test_a_value_that_fills_most_rows_leaves_most_edges_to_the_others() -> None:
    values = np.concatenate([np.zeros(50_000), np.arange(1, 1001)]).astype(np.float32)
    assert len(fit_number(values).edges) > BINS * 0.75


@given(st.lists(st.floats(width=32, allow_infinity=False), max_size=200))
def test_edges_increase_strictly_within_the_values(values: list[float]) -> None:
    edges = np.array(fit_number(np.array(values, np.float32)).edges)
    assert len(edges) >= 2
    assert (np.diff(edges) > 0).all()
