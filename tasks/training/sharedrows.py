"""Encoded rows in one file that several processes map into their memory."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tasks.training.checkpoint import save_checkpoint
from tasks.training.rowstore import RaggedTensor
from tasks.training.tensors import Tensors


def write_rows(rows: Tensors, path: Path) -> None:
    """The rows in `path`. Raises OutsideError when the disk refuses."""
    inputs = {name: _parts(values) for name, values in rows.inputs.items()}
    save_checkpoint({"inputs": inputs, "target": rows.target, "weight": rows.weight}, path)


def map_rows(path: Path) -> Tensors:
    """The rows in `path`, read as they are used; processes of one machine share the memory."""
    kept: dict[str, Any] = torch.load(path, mmap=True, weights_only=True)
    inputs = {name: _joined(parts) for name, parts in kept["inputs"].items()}
    return Tensors(inputs, kept["target"], kept["weight"])


def _parts(values: Tensor | RaggedTensor) -> dict[str, Tensor]:
    if isinstance(values, RaggedTensor):
        return {"values": values.values, "lengths": values.lengths}
    return {"values": values}


def _joined(parts: Mapping[str, Tensor]) -> Tensor | RaggedTensor:
    return RaggedTensor.of(parts["values"], parts["lengths"]) if "lengths" in parts else parts["values"]
