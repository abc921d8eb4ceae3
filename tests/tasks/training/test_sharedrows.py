"""Rows come back from their file as they were, and unread pages of it take no memory."""

from pathlib import Path

import pytest
import torch

from models.errors import OutsideError
from tasks.training.rowstore import RaggedTensor
from tasks.training.sharedrows import map_rows, write_rows
from tasks.training.tensors import Tensors

TEXT = RaggedTensor.of(torch.tensor([1, 2, 3], dtype=torch.int32), torch.tensor([2, 0, 1]))


@pytest.mark.parametrize("weight", [None, torch.tensor([1.0, 0.0, 2.0])])
def test_mapped_rows_are_those_that_were_written(tmp_path: Path, weight: torch.Tensor | None) -> None:
    rows = Tensors({"number": torch.tensor([[1.0], [torch.nan], [3.0]]), "text_0": TEXT}, torch.arange(3), weight)
    write_rows(rows, tmp_path / "train.rows")
    index = torch.tensor([2, 0])
    found, expected = map_rows(tmp_path / "train.rows").take(index), rows.take(index)
    for name, values in expected.inputs.items():
        torch.testing.assert_close(found.inputs[name], values, rtol=0, atol=0, equal_nan=True)
        assert found.inputs[name].dtype == values.dtype
    assert torch.equal(found.target, expected.target)
    assert (found.weight is None) if expected.weight is None else torch.equal(expected.weight, found.weight)  # type: ignore[arg-type]


def test_rows_that_find_no_room_are_a_plain_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutsideError, match="could not be written"):
        write_rows(Tensors({}, torch.arange(3)), tmp_path / "file" / "train.rows")
