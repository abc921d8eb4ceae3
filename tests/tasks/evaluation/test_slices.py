from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.evaluation.metrics import compute_metrics
from tasks.evaluation.slices import FEWEST_ROWS, MOST_SLICES, choose_columns, evaluate_slices, slice_rows
from tests.tasks.evaluation.cases import as_category
from tests.tasks.evaluation.samples import classified


def sizes(table: pa.Table, column: str = "c", *, sensitive: bool = False) -> dict[str, int]:
    return {name: int(rows.sum()) for name, rows in slice_rows(table, column, sensitive=sensitive).items()}


def test_values_are_slices_and_missing_is_one_too() -> None:
    table = pa.table({"c": as_category(["a"] * 30 + ["b"] * 40 + [None] * 5)})
    assert sizes(table) == {"b": 40, "a": 30, "missing": 5}


def test_rare_values_are_put_together_and_counted() -> None:
    table = pa.table({"c": as_category(["a"] * 50 + ["b"] * 3 + ["c"] * 4 + ["d"] * 30)})
    assert sizes(table) == {"a": 50, "d": 30, "2 rarer values": 7}


def test_one_rare_value_keeps_its_name() -> None:
    assert sizes(pa.table({"c": as_category(["a"] * 50 + ["b"] * 3)})) == {"a": 50, "b": 3}


def test_booleans_are_true_and_false() -> None:
    assert sizes(pa.table({"c": pa.array([True] * 25 + [False] * 30 + [None])})) == {
        "false": 30,
        "true": 25,
        "missing": 1,
    }


def test_a_value_called_missing_is_told_from_missing_values() -> None:
    table = pa.table({"c": as_category(["missing"] * 25 + [None] * 3)})
    assert sizes(table) == {"missing": 25, "no value": 3}


def test_numbers_are_cut_at_quantiles() -> None:
    table = pa.table({"c": pa.array([*map(float, range(1, 101)), None], pa.float64())})
    assert sizes(table) == {"up to 25": 25, "25 to 50": 25, "50 to 75": 25, "above 75": 25, "missing": 1}


def test_close_edges_get_enough_digits() -> None:
    table = pa.table({"c": 1000 + np.arange(100) / 1000})
    assert sizes(table) == {
        "up to 1000.02": 25,
        "1000.02 to 1000.05": 25,
        "1000.05 to 1000.07": 25,
        "above 1000.07": 25,
    }


@pytest.mark.parametrize(("values", "expected"), [([7.0] * 9, {"all": 9}), ([None] * 9, {"missing": 9})])
def test_numbers_that_cannot_be_cut(values: list[float | None], expected: dict[str, int]) -> None:
    assert sizes(pa.table({"c": pa.array(values, pa.float64())})) == expected


def test_dates_are_cut_at_quantiles() -> None:
    days = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=i) for i in range(40)]
    table = pa.table({"c": pa.array(days, pa.timestamp("us", tz="UTC"))})
    assert next(iter(sizes(table).items())) == ("up to 2024-01-10 00:00", 10)


def test_slices_of_a_sensitive_column_do_not_show_values() -> None:
    table = pa.table({"c": as_category(["canary"] * 30 + ["secret"] * 40 + [None])})
    assert sizes(table, sensitive=True) == {"value 1": 40, "value 2": 30, "missing": 1}
    numbers = pa.table({"c": np.arange(40.0) + 31337})
    assert all("313" not in name for name in sizes(numbers, sensitive=True))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.one_of(st.none(), st.sampled_from("abcdefghijklmnopqrst")), min_size=1, max_size=200), st.booleans())
def test_every_row_is_in_exactly_one_of_at_most_twelve_slices(values: list[str | None], common: bool) -> None:
    column = as_category(values * (FEWEST_ROWS if common else 1))
    found = slice_rows(pa.table({"c": column}), "c")
    assert 1 <= len(found) <= MOST_SLICES
    np.testing.assert_array_equal(np.sum(list(found.values()), axis=0), 1)


def test_slice_metrics_are_those_of_its_rows() -> None:
    scored = classified(100)
    table = pa.table({"c": as_category(["a", "b"] * 50)})
    first, second = evaluate_slices(scored, table, ["c"], ["accuracy", "log_loss"])
    assert (first.column, first.name, first.rows) == ("c", "a", 50)
    assert first.metrics == compute_metrics(scored.take(np.arange(0, 100, 2)), ["accuracy", "log_loss"])
    assert second.metrics == compute_metrics(scored.take(np.arange(1, 100, 2)), ["accuracy", "log_loss"])


def test_groups_are_chosen_before_numbers() -> None:
    table = pa.table(
        {
            "number": np.arange(40.0),
            "constant": as_category(["x"] * 40),
            "many": as_category([str(i) for i in range(40)]),
            "flag": pa.array([True, False] * 20),
            "group": as_category(["a", "b", None, "c"] * 10),
        }
    )
    assert choose_columns(table, ["number", "many", "group", "flag", "constant"]) == ["group", "flag"]
    assert choose_columns(table, ["number", "many", "constant"]) == ["number"]
