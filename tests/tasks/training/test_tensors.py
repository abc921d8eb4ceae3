"""Rows become tensors by kind, the same in memory and on disk, however they are cut into batches."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.columns import KINDS
from models.errors import InputError
from tasks.training.tensors import Layout, Tensors, encode_inputs, encode_rows, fit_statistics, fit_target

COLUMNS = {name: KINDS[kind].settings() for name, kind in (("n", "number"), ("c", "category"), ("m", "number"))}
TABLE = pa.table(
    {
        "n": pa.array([1.0, None, 3.0, 4.0]),
        "c": pa.array(["a", "a", None, "rare"]).dictionary_encode(),
        "m": pa.array([10.0, 20.0, 30.0, 40.0]),
        "y": pa.array(["yes", "no", "no", "yes"]).dictionary_encode(),
        "price": pa.array([1.0, 2.0, 3.0, 6.0]),
        "w": pa.array([1.0, 1.0, 1.0, 3.0]),
    }
)
STATISTICS = fit_statistics(lambda name: [TABLE.column(name)], COLUMNS)
LAYOUT = Layout(COLUMNS, STATISTICS, "y", ("no", "yes"), "w")


def encode(batches: list[pa.RecordBatch], layout: Layout, memory_gb: float = 1.0, folder: Path = Path()) -> Tensors:
    return encode_rows(batches, TABLE.num_rows, layout, memory_gb, folder)


def test_columns_are_grouped_by_kind_in_the_files_order() -> None:
    rows = encode(TABLE.to_batches(), LAYOUT)
    np.testing.assert_array_equal(rows.inputs["number"], [[1, 10], [np.nan, 20], [3, 30], [4, 40]])
    assert rows.inputs["category"].tolist() == [[2], [2], [0], [1]]
    assert rows.target.tolist() == [1, 0, 0, 1]
    assert rows.weight is not None
    assert rows.weight.tolist() == [1, 1, 1, 3]


def test_a_regression_keeps_its_values_and_needs_no_weight() -> None:
    rows = encode(TABLE.to_batches(), Layout(COLUMNS, STATISTICS, "price"))
    assert (rows.target.tolist(), rows.target.dtype, rows.weight) == ([1, 2, 3, 6], torch.float64, None)


@given(st.integers(1, 4))
def test_the_cut_into_batches_does_not_matter(size: int) -> None:
    whole, cut = encode(TABLE.to_batches(), LAYOUT), encode(TABLE.to_batches(max_chunksize=size), LAYOUT)
    for kind, values in whole.inputs.items():
        assert torch.equal(torch.nan_to_num(values.double()), torch.nan_to_num(cut.inputs[kind].double()))
    assert torch.equal(whole.target, cut.target)


def test_large_data_is_memory_mapped_with_the_same_values(tmp_path: Path) -> None:
    in_memory = encode(TABLE.to_batches(), LAYOUT, 1, tmp_path)
    assert not list(tmp_path.iterdir())
    mapped = encode(TABLE.to_batches(max_chunksize=2), LAYOUT, 1e-9, tmp_path / "rows")
    assert {path.name for path in (tmp_path / "rows").iterdir()} >= {"number.bin", "category.bin"}
    assert torch.equal(mapped.inputs["number"].nan_to_num(), in_memory.inputs["number"].nan_to_num())
    assert torch.equal(mapped.take(torch.tensor([3, 0])).target, in_memory.target[[3, 0]])


@pytest.mark.parametrize("rows", [3, 5])
def test_a_snapshot_of_another_length_is_an_error(rows: int) -> None:
    with pytest.raises(InputError, match="announced; ingest it again"):
        encode_rows(TABLE.to_batches(), rows, LAYOUT, 1, Path())


def test_rows_are_taken_by_index_with_everything_that_belongs_to_them() -> None:
    rows = encode(TABLE.to_batches(), LAYOUT)
    taken = rows.take(torch.tensor([3, 1]))
    assert (taken.inputs["category"].tolist(), taken.target.tolist()) == ([[1], [2]], [1, 0])
    assert taken.weight is not None
    assert taken.weight.tolist() == [3, 1]
    assert rows.slice(1, 3).target.tolist() == [0, 0]
    assert rows.nbytes == 4 * (2 * 4 + 8 + 8 + 4)


def test_inputs_alone_are_the_same_as_with_the_target() -> None:
    inputs, rows = encode_inputs(TABLE, LAYOUT).inputs, encode(TABLE.to_batches(), LAYOUT)
    assert all(torch.equal(inputs[k].nan_to_num(), rows.inputs[k].nan_to_num()) for k in rows.inputs)


def test_statistics_are_those_of_each_kind() -> None:
    assert STATISTICS["n"].missing == 1
    assert STATISTICS["c"].model_dump()["vocabulary"] == ("a",)


def test_the_prior_counts_weights() -> None:
    assert fit_target(encode(TABLE.to_batches(), LAYOUT), 2).prior == pytest.approx((2 / 6, 4 / 6))


def test_a_regression_target_is_described_by_numpy_mean_and_deviation() -> None:
    target = fit_target(encode(TABLE.to_batches(), Layout(COLUMNS, STATISTICS, "price")), 0)
    assert (target.mean, target.scale) == pytest.approx((3.0, np.std([1, 2, 3, 6])))


@pytest.mark.parametrize(
    ("target", "weight", "message"), [([1, 1], [1.0, 1.0], "one class only"), ([0, 1], [0.0, 0.0], "no row")]
)
def test_nothing_to_learn_is_one_plain_line(target: list[int], weight: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit_target(Tensors({}, torch.tensor(target), torch.tensor(weight)), 2)


def test_a_constant_regression_target_keeps_a_usable_scale() -> None:
    assert fit_target(Tensors({}, torch.full((3,), 5.0)), 0).scale == 1


def test_a_target_that_float32_cannot_hold_is_named() -> None:
    rows = Tensors({}, torch.tensor([1.0, 1e40], dtype=torch.float64))
    with pytest.raises(InputError, match=r"target: values reach 1e\+40, too large to learn"):
        fit_target(rows, 0)


def test_large_targets_have_a_finite_spread() -> None:
    fitted = fit_target(Tensors({}, torch.tensor([1e32, 3e32], dtype=torch.float64)), 0)
    assert (fitted.mean, fitted.scale) == (pytest.approx(2e32), pytest.approx(1e32))
