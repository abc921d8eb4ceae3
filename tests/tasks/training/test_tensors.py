"""Rows become tensors by kind, the same in memory and on disk, however they are cut into batches."""

import errno
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.columns import KINDS
from models.columns.kind import Ragged
from models.errors import InputError, OutsideError
from tasks.training.rowstore import RaggedTensor
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


MIXED_COLUMNS = {
    "t": KINDS["text"].settings(),
    "p": KINDS["image"].settings(size=8),
    "s": KINDS["series"].settings(window=3),
    "r": KINDS["series"].settings(window=3),
}


def mixed_table(rows: int) -> pa.Table:
    random = np.random.default_rng(0)

    def stored(width: int, values: np.ndarray) -> pa.Array:
        return pa.array([None if i == 2 else row.tobytes() for i, row in enumerate(values)], pa.binary(width))

    return pa.table(
        {
            "t": pa.array([None if i == 1 else "one two three four"[: 3 + i % 15] for i in range(rows)]),
            "p": stored(8 * 8 * 3, random.integers(0, 256, (rows, 8, 8, 3), dtype=np.uint8)),
            "s": stored(12, random.normal(size=(rows, 3)).astype("<f4")),
            "r": stored(12, random.normal(size=(rows, 3)).astype("<f4")),
            "y": np.arange(rows) % 2.0,
        }
    )


def mixed_layout(table: pa.Table) -> Layout:
    return Layout(MIXED_COLUMNS, fit_statistics(lambda name: [table.column(name)], MIXED_COLUMNS), "y")


@pytest.mark.parametrize("memory_gb", [1.0, 1e-9])
def test_large_kinds_are_encoded_as_their_kind_says(tmp_path: Path, memory_gb: float) -> None:
    """Series share one tensor, a text and a picture have each its own; the cut into batches makes no difference."""
    table = mixed_table(20)
    layout = mixed_layout(table)
    rows = encode_rows(table.to_batches(max_chunksize=3), 20, layout, memory_gb, tmp_path)
    text, pixels, windows = (rows.inputs[group] for group in ("text_0", "image_1", "series"))
    assert isinstance(text, RaggedTensor) and not isinstance(pixels, RaggedTensor)
    expected = KINDS["text"].encode(table["t"].combine_chunks(), MIXED_COLUMNS["t"], layout.statistics["t"])
    assert isinstance(expected, Ragged)
    assert (text.values.tolist(), text.lengths.tolist()) == (expected.values.tolist(), expected.lengths.tolist())
    pictures = KINDS["image"].to_input(table["p"].combine_chunks(), MIXED_COLUMNS["p"])
    np.testing.assert_array_equal(pixels, pictures)
    for channel, name in enumerate("sr"):
        stored = KINDS["series"].to_input(table[name].combine_chunks(), MIXED_COLUMNS[name])
        np.testing.assert_array_equal(windows[:, channel], stored)
    assert {path.name for path in tmp_path.iterdir()} == (
        set() if memory_gb == 1 else {"image_1.bin", "series.bin", "perennial.target.bin"}
    )


def test_mapped_rows_are_taken_and_cut_as_those_in_memory(tmp_path: Path) -> None:
    table = mixed_table(20)
    layout = mixed_layout(table)
    mapped, held = (encode_rows(table.to_batches(), 20, layout, gb, tmp_path) for gb in (1e-9, 1.0))
    assert mapped.files and not held.files
    index = torch.tensor([7, 2, 2, 19])
    for one, other in [(mapped.take(index), held.take(index)), *zip(mapped.chunks(), held.chunks(), strict=True)]:
        assert torch.equal(one.target, other.target)
        for group in ("text_0", "image_1", "series"):
            assert torch.equal(one.inputs[group].nan_to_num(-1.0), other.inputs[group].nan_to_num(-1.0))


def test_a_full_disk_ends_the_training_in_a_plain_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OutsideError, match="the disk is full"):
        encode(TABLE.to_batches(), LAYOUT, 1e-9, tmp_path)
