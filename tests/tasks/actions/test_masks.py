"""Conditions against plain loops over rows, with and without nulls."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.condition import parse_condition
from tasks.actions.masks import mask_of

CLASSES = ("refund", "cancel", "a b")
NUMBERS = ("probability", "probability_refund", 'probability["a b"]')
SIGNS = ("==", "!=", "<", "<=", ">", ">=")
Row = dict[str, Any]

shares = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 0.9000001, 1.0, None, math.nan]) | st.floats(0, 1, width=32)
rows_of_outputs = st.lists(
    st.fixed_dictionaries(
        {"label": st.sampled_from([*CLASSES, None])} | dict.fromkeys(NUMBERS, shares),
    ),
    max_size=12,
)
labels = st.tuples(st.just("label"), st.sampled_from(SIGNS[:2]), st.sampled_from(CLASSES))
members = st.tuples(st.just("label"), st.sampled_from(("in", "not in")), st.lists(st.sampled_from(CLASSES), min_size=1))
numbers = st.tuples(
    st.sampled_from(NUMBERS), st.sampled_from(SIGNS), st.sampled_from([0, 0.1, 0.25, 0.9, 1]) | st.floats(0, 1)
)
outputs = st.tuples(st.sampled_from(NUMBERS), st.sampled_from(SIGNS), st.sampled_from([("other", n) for n in NUMBERS]))
conditions = st.recursive(
    labels | members | numbers | outputs,
    lambda part: st.tuples(st.sampled_from(("and", "or")), part, part) | st.tuples(st.just("not"), part),
    max_leaves=6,
)


def written(tree: Any) -> str:
    if tree[0] == "not":
        return f"not ({written(tree[1])})"
    if tree[0] in ("and", "or"):
        return f"({written(tree[1])}) {tree[0]} ({written(tree[2])})"
    name, sign, other = tree
    return f"{name} {sign} {other[1] if isinstance(other, tuple) else repr(other)}"


def holds(tree: Any, row: Row) -> bool | None:
    """One row's truth as SQL has it, None where a value that decides is missing."""
    if tree[0] == "not":
        part = holds(tree[1], row)
        return None if part is None else not part
    if tree[0] in ("and", "or"):
        parts, decisive = {holds(tree[1], row), holds(tree[2], row)}, tree[0] == "or"
        return decisive if decisive in parts else None if None in parts else not decisive
    name, sign, other = tree
    left, right = row[name], row[other[1]] if isinstance(other, tuple) else other
    if any(value is None or (isinstance(value, float) and math.isnan(value)) for value in (left, right)):
        return None
    if sign in ("in", "not in"):
        return (left in right) == (sign == "in")
    if not isinstance(left, str):
        left, right = np.float32(left), np.float32(right)
    equal, less = bool(left == right), bool(left < right)
    return {"==": equal, "!=": not equal, "<": less, "<=": less or equal, ">": not (less or equal), ">=": not less}[
        sign
    ]


def columns_of(rows: list[Row]) -> dict[str, pa.Array]:
    label = pa.array([row["label"] for row in rows], pa.string()).dictionary_encode()
    names = {name: name.replace('["', "_").replace('"]', "") for name in NUMBERS}
    return {"label": label} | {
        column: pa.array([row[name] for row in rows], pa.float32()) for name, column in names.items()
    }


@given(conditions, rows_of_outputs)
def test_a_mask_is_what_a_loop_over_the_rows_finds(tree: Any, rows: list[Row]) -> None:
    mask = mask_of(parse_condition(written(tree)), columns_of(rows))
    assert mask.type == pa.bool_() and mask.null_count == 0
    assert mask.to_pylist() == [holds(tree, row) is True for row in rows]


@given(st.lists(st.floats(-5, 5, width=32), max_size=20), st.floats(-5, 5, width=32), st.floats(-5, 5, width=32))
def test_a_mask_is_what_pandas_finds(values: list[float], low: float, high: float) -> None:
    text = f"{low!r} < value <= {high!r} or not (value >= {-high!r}) and value not in [{low!r}, 1, -2.5]"
    mask = mask_of(parse_condition(text), {"value": pa.array(values, pa.float32())})
    frame = pd.DataFrame({"value": np.array(values, np.float64)})
    assert mask.to_pylist() == frame.eval(text, engine="python").tolist() if values else mask.to_pylist() == []


def test_numbers_are_compared_as_they_are_printed() -> None:
    point_nine = {"value": pa.array([0.9], pa.float32())}
    assert mask_of(parse_condition("value >= 0.9"), point_nine).to_pylist() == [True]
    assert mask_of(parse_condition("value == 0.9"), point_nine).to_pylist() == [True]


@pytest.mark.parametrize(
    ("labels", "condition", "expected"),
    [
        ([1, 4, 5, None], "label >= 4", [False, True, True, False]),
        ([1, 4, 5, None], "label not in (1, 5)", [False, True, False, False]),
        ([1, 4, 5, None], "label != 4", [True, False, True, False]),
        ([True, False, None], "label == true", [True, False, False]),
        ([True, False, None], "not label == True", [False, True, False]),
        ([True, False, None], "label in [false]", [False, True, False]),
        ([1, 4, 5, None], "4 <= label < 5", [False, True, False, False]),
    ],
)
def test_labels_that_are_numbers_or_truth_values(labels: list[Any], condition: str, expected: list[bool]) -> None:
    assert mask_of(parse_condition(condition), {"label": pa.array(labels)}).to_pylist() == expected


def test_a_missing_value_decides_only_where_nothing_else_does() -> None:
    columns = {"label": pa.array([None], pa.string()), "probability": pa.array([0.5], pa.float32())}
    assert mask_of(parse_condition('label == "a" or probability > 0.1'), columns).to_pylist() == [True]
    assert mask_of(parse_condition('not (label == "a" and probability > 0.1)'), columns).to_pylist() == [False]
