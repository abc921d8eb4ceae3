"""Leaks are found whatever else the target holds, and sensitive values are not told."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from models.columns.category.feed import CategorySettings
from models.columns.datetime.feed import DatetimeSettings
from models.columns.number.feed import NumberSettings
from models.sections import Task
from tasks.data.leaks import find_leaks
from tasks.data.observe import Observed

ROWS = 600
CANARY = "CANARYVALUE"


def category(values: "np.ndarray[tuple[int], np.dtype[np.object_]]") -> Observed:
    encoded = pa.array(values.astype(object), pa.string()).dictionary_encode()
    return Observed("c", CategorySettings(), encoded, (), len(encoded.dictionary))


def found(target: list[str], task: Task = "multiclass", noise: int = 0) -> dict[str, str]:
    """Leaks of a copy of the target, in which the last `noise` rows say nothing, and of an honest number."""
    copy = np.array(target, dtype=object)
    copy[len(target) - noise :] = target[0]
    honest = pa.array(np.random.default_rng(0).normal(size=len(target)))
    columns = {"copy": category(copy), "honest": Observed("honest", NumberSettings(), honest, (), len(target))}
    return find_leaks(columns, pa.array(target), task)


MANY = [f"k{i % 6}" for i in range(ROWS)]


@pytest.mark.parametrize("few", [1, 2, 3, 5])
def test_a_class_with_few_rows_hides_no_leak(few: int) -> None:
    assert list(found(MANY + ["rare"] * few, noise=few)) == ["copy"]


def test_a_class_below_one_per_cent_hides_no_leak() -> None:
    assert list(found(MANY * 5 + ["rare"] * 12, noise=12)) == ["copy"]


def test_the_rarer_class_of_two_is_never_too_rare() -> None:
    target = ["no"] * 2985 + ["yes"] * 15
    random = np.random.default_rng(1)
    # Seven values, so that only the tree can tell.
    values = np.where(np.array(target) == "yes", "y", random.choice(list("abcdef"), 3000)).astype(object)
    assert list(find_leaks({"c": category(values)}, pa.array(target), "binary")) == ["c"]


def test_one_class_with_enough_rows_is_nothing_to_tell_apart() -> None:
    assert found(["a"] * 200 + ["b"] * 4, "binary") == {}


def test_a_sensitive_value_is_not_told() -> None:
    i = np.arange(ROWS)
    target = pd.Series(np.where(i % 10 == 0, "yes", "no"))
    values = np.where((i % 20 == 0), CANARY, np.array(["u", "v"])[i % 2]).astype(object)
    told, kept = (
        find_leaks({"c": category(values)}, pa.array(target), "binary", sensitive)["c"] for sensitive in ((), ("c",))
    )
    assert CANARY in told
    assert kept == told.replace(CANARY, "one value")


def test_dates_of_any_year_are_looked_at() -> None:
    order = np.random.default_rng(0).permutation(ROWS)
    days = pa.array(order * 86_400_000_000 + 250_000_000_000_000_000).cast(pa.timestamp("us", "UTC"))
    dates = Observed("t", DatetimeSettings(), days, (), ROWS)
    target = pa.array(np.where(order < ROWS // 2, "a", "b").astype(object))
    assert list(find_leaks({"t": dates}, target, "binary")) == ["t"]


def test_a_target_that_never_changes_is_given_away_by_nothing() -> None:
    honest = Observed("x", NumberSettings(), pa.array(np.random.default_rng(0).normal(size=ROWS)), (), ROWS)
    assert find_leaks({"x": honest}, pa.array([2.0] * ROWS), "regression") == {}


def test_a_text_that_is_there_for_one_class_alone_leaks() -> None:
    rows = np.arange(ROWS)
    notes = np.where(rows % 4 == 0, np.array([f"n{i % 60}" for i in rows], dtype=object), None)
    target = pa.array(np.where(rows % 4 == 0, "yes", "no").astype(object))
    assert list(find_leaks({"c": category(notes)}, target, "binary")) == ["c"]


@pytest.mark.parametrize(("rows", "sigma"), [(200, 1.0), (2000, 1.5)])
def test_a_copy_of_a_skewed_target_leaks_and_a_good_guess_does_not(rows: int, sigma: float) -> None:
    random = np.random.default_rng(0)
    value = random.lognormal(sigma=sigma, size=rows)
    guess = value * random.lognormal(sigma=sigma / 5, size=rows)
    columns = {
        name: Observed(name, NumberSettings(), pa.array(numbers), (), rows)
        for name, numbers in {"copy": value, "guess": guess}.items()
    }
    assert list(find_leaks(columns, pa.array(value), "regression")) == ["copy"]


def test_codes_of_many_classes_leak() -> None:
    names = [f"k{i % 60}" for i in range(60 * 12)]
    codes = pa.array([float(i * 7 % 60) for i in range(60 * 12)])
    column = Observed("code", NumberSettings(), codes, (), 60)
    assert find_leaks({"code": column}, pa.array(names), "multiclass") == {"code": "it has one value for each class"}
    one_off = pa.array([1.0, *codes.to_pylist()[1:]])
    assert (
        find_leaks({"code": Observed("code", NumberSettings(), one_off, (), 60)}, pa.array(names), "multiclass") == {}
    )
