"""Rows of different lengths and files that are mapped: what goes in comes out, and a full disk is said before."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.columns.kind import Ragged
from models.errors import OutsideError
from tasks.training import tensors
from tasks.training.rowstore import MappedFile, RaggedRows, RaggedTensor
from tasks.training.tensors import Tensors

Rows = list[list[int]]
ROWS = st.lists(st.lists(st.integers(1, 99), max_size=7), min_size=1, max_size=12)


def ragged(rows: Rows) -> RaggedTensor:
    flat = [value for row in rows for value in row]
    return RaggedTensor.of(torch.tensor(flat, dtype=torch.int32), torch.tensor([len(row) for row in rows]))


def unpadded(padded: torch.Tensor) -> Rows:
    return [[value for value in row if value] for row in padded.tolist()]


@given(ROWS)
def test_padded_rows_have_their_values_in_front_and_zeros_behind(rows: Rows) -> None:
    padded = ragged(rows).padded()
    width = max(2, *(len(row) for row in rows), 0)
    assert padded.tolist() == [row + [0] * (width - len(row)) for row in rows]


@given(ROWS, st.data())
def test_rows_are_taken_and_sliced_as_from_a_list(rows: Rows, data: st.DataObject) -> None:
    index = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=8))
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(rows))] * 2)))
    found = ragged(rows)
    assert unpadded(found.take(torch.tensor(index, dtype=torch.int64)).padded()) == [rows[i] for i in index]
    part = found.slice(start, end)
    assert (len(part), unpadded(part.padded())) == (end - start, rows[start:end])
    assert part.take(torch.arange(len(part))).longest == max((len(row) for row in rows[start:end]), default=0)


def test_rows_without_any_value_are_zeros_of_the_smallest_width() -> None:
    found = ragged([[], [], []])
    assert found.padded().tolist() == [[0, 0]] * 3
    assert found.longest == 0


def test_values_are_shared_not_copied() -> None:
    found = ragged([[1, 2], [3]])
    assert found.take(torch.tensor([1])).values.data_ptr() == found.values.data_ptr()
    assert found.nbytes == 3 * 4 + 2 * 8 + 2 * 8


@given(st.lists(ROWS, max_size=4))
def test_pieces_are_collected_in_their_order(pieces: list[Rows]) -> None:
    collected = RaggedRows()
    for rows in pieces:
        flat = np.array([value for row in rows for value in row], dtype=np.int64)
        collected.append(Ragged(flat, np.array([len(row) for row in rows], dtype=np.int64)))
    found = collected.finish()
    assert unpadded(found.padded()) == [row for rows in pieces for row in rows]
    assert found.values.dtype == torch.int32


def of_lengths(lengths: list[int], fixed: int = 0) -> Tensors:
    """Row i holds the value i + 1 as often as its length says, beside a tensor of `fixed` numbers a row."""
    rows = ragged([[i + 1] * length for i, length in enumerate(lengths)])
    inputs: dict[str, torch.Tensor | RaggedTensor] = {"text_0": rows}
    if fixed:
        inputs["image_1"] = torch.arange(len(lengths)).float().unsqueeze(1).repeat(1, fixed)
    return Tensors(inputs, torch.arange(len(lengths)))


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.integers(0, 4), st.integers(1, 200))
@settings(deadline=None)
def test_chunks_hold_every_row_once_and_are_bounded(lengths: list[int], fixed: int, most: int) -> None:
    """A chunk of more than one row has no more numbers than wanted, padding counted."""
    rows, seen = of_lengths(lengths, fixed), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensors, "CHUNK_ELEMENTS", most)
        patch.setattr(tensors, "CHUNK_ROWS", 25)
        for chunk in rows.chunks():
            assert len(chunk.target) <= 25
            width = chunk.inputs["text_0"].shape[1] if max(lengths) > 1 else max(lengths)
            assert len(chunk.target) == 1 or len(chunk.target) * (width + fixed) <= most
            assert unpadded(chunk.inputs["text_0"]) == [[i + 1] * lengths[i] for i in chunk.target.tolist()]
            if fixed:
                assert chunk.inputs["image_1"][:, 0].tolist() == chunk.target.tolist()
            seen += chunk.target.tolist()
    assert seen == list(range(len(lengths)))


def test_batches_of_ragged_rows_are_as_wide_as_their_longest() -> None:
    batch = of_lengths([3, 50, 1]).take(torch.tensor([2, 0]))
    assert batch.inputs["text_0"].tolist() == [[3, 0, 0], [1, 1, 1]]


def test_a_mapped_file_keeps_what_is_written_when_pages_are_released(tmp_path: Path) -> None:
    file = MappedFile(tmp_path / "deep" / "x.bin", 12 * 4)
    values = file.array((3, 4), np.float32)
    values[:] = np.arange(12).reshape(3, 4)
    file.release()
    assert values.tolist() == np.arange(12).reshape(3, 4).tolist()
    assert np.fromfile(tmp_path / "deep" / "x.bin", np.float32).tolist() == list(range(12))


def test_a_mapped_file_without_rows_is_empty(tmp_path: Path) -> None:
    assert MappedFile(tmp_path / "x.bin", 0).array((0, 3), np.float32).shape == (0, 3)


@pytest.mark.parametrize(
    ("number", "reason"), [(errno.ENOSPC, "the disk is full"), (errno.EROFS, os.strerror(errno.EROFS))]
)
def test_a_full_disk_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, reason: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(OutsideError) as caught:
        MappedFile(tmp_path / "x.bin", 2_500_000_000)
    assert str(caught.value) == f"{tmp_path / 'x.bin'}: training data of 2.5 GB can't be put there: {reason}"
