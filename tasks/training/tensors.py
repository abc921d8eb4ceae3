"""Training rows as tensors: filled from streamed batches, in memory or memory-mapped, taken by index."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.classes import Classes, class_codes
from models.columns import KINDS, ColumnSettings, Statistics
from models.columns.cells import as_array
from models.errors import InputError
from models.heads import TargetStatistics

LARGEST_VALUE = 1e36
"""Of a target; predictions a few standard deviations beyond still fit float32."""
ENCODED_TYPES: dict[Any, Any] = {np.object_: np.int64}
"""A kind whose graph input is strings is encoded as codes."""


@dataclass(frozen=True)
class Layout:
    """Which columns of a table become which tensors."""

    columns: Mapping[str, ColumnSettings]
    statistics: Mapping[str, Statistics]
    target: str
    classes: Classes = ()
    """Empty for regression."""
    weight: str | None = None

    @property
    def kinds(self) -> dict[str, list[str]]:
        """Names of the columns of each kind, in the model file's order."""
        grouped: dict[str, list[str]] = {}
        for name, settings in self.columns.items():
            grouped.setdefault(settings.kind, []).append(name)
        return grouped


@dataclass(frozen=True)
class Tensors:
    """Encoded rows: inputs [N, C] by kind, target [N] (int64 classes or float64 values), weight [N] float32."""

    inputs: dict[str, Tensor]
    target: Tensor
    weight: Tensor | None = None

    def __len__(self) -> int:
        return len(self.target)

    @property
    def nbytes(self) -> int:
        """Size of all tensors."""
        others = () if self.weight is None else (self.weight,)
        return sum(values.nbytes for values in (*self.inputs.values(), self.target, *others))

    def take(self, index: Tensor) -> "Tensors":
        """The rows at `index`, int64 [M]."""
        inputs = {kind: values.index_select(0, index) for kind, values in self.inputs.items()}
        weight = None if self.weight is None else self.weight.index_select(0, index)
        return Tensors(inputs, self.target.index_select(0, index), weight)

    def slice(self, start: int, end: int) -> "Tensors":
        """A view of the rows from `start` to before `end`."""
        inputs = {kind: values[start:end] for kind, values in self.inputs.items()}
        return Tensors(inputs, self.target[start:end], None if self.weight is None else self.weight[start:end])

    def to(self, device: torch.device) -> "Tensors":
        """The same rows on a device."""
        inputs = {kind: values.to(device) for kind, values in self.inputs.items()}
        return Tensors(inputs, self.target.to(device), None if self.weight is None else self.weight.to(device))


def fit_statistics(
    read_column: Callable[[str], pa.Array | pa.ChunkedArray], columns: Mapping[str, ColumnSettings]
) -> dict[str, Statistics]:
    """Statistics of each column, one column in memory at a time.

    `read_column` is `table.column`, or reads the column from disk.
    """
    return {name: KINDS[settings.kind].fit(as_array(read_column(name)), settings) for name, settings in columns.items()}


def fit_target(tensors: Tensors, classes: int) -> TargetStatistics:
    """Shares of the classes, or mean and standard deviation where `classes` is 0, of the weighted training rows.

    Raises InputError where a single class, or no row, is left to learn from, or values are too large for the network.
    """
    target = tensors.target.numpy()
    weight = np.ones(len(target)) if tensors.weight is None else tensors.weight.numpy().astype(np.float64)
    if weight.sum() <= 0:
        raise InputError("training: no row of the training split has a weight above 0")
    if classes:
        return _fit_prior(target, weight, classes)
    largest = float(np.abs(target).max())
    if largest > LARGEST_VALUE:
        raise InputError(f"target: values reach {largest:.3g}, too large to learn; give the target in a larger unit")
    mean = float(np.average(target, weights=weight))
    scale = float(np.sqrt(np.average((target - mean) ** 2, weights=weight)))
    return TargetStatistics(mean=mean, scale=scale or 1.0)


def _fit_prior(target: NDArray[np.int64], weight: NDArray[np.float64], classes: int) -> TargetStatistics:
    shares = np.bincount(target, weights=weight, minlength=classes) / weight.sum()
    if np.count_nonzero(shares) < 2:
        raise InputError("training: the training split holds one class only; a model needs rows of at least two")
    return TargetStatistics(prior=tuple(shares.tolist()))


def encode_rows(
    batches: Iterable[pa.RecordBatch | pa.Table], rows: int, layout: Layout, memory_gb: float, scratch: Path
) -> Tensors:
    """All `rows` rows of the batches as tensors, in their order.

    In memory up to `memory_gb`; beyond, memory-mapped from .npy files in the folder `scratch`, written batch by batch.
    Raises InputError where the batches hold fewer or more rows than announced.
    """
    arrays = _allocate(rows, layout, memory_gb, scratch)
    start = 0
    for batch in batches:
        end = start + batch.num_rows
        if end > rows:
            raise InputError(f"training: the snapshot holds more than the {rows} rows it announced; ingest it again")
        _fill({name: array[start:end] for name, array in arrays.items()}, batch, layout)
        start = end
    if start < rows:
        raise InputError(f"training: the snapshot holds {start} of the {rows} rows it announced; ingest it again")
    inputs = {kind: torch.from_numpy(arrays[kind]) for kind in layout.kinds}
    weight = torch.from_numpy(arrays["perennial.weight"]) if layout.weight else None
    return Tensors(inputs, torch.from_numpy(arrays["perennial.target"]), weight)


def _allocate(rows: int, layout: Layout, memory_gb: float, scratch: Path) -> dict[str, NDArray[Any]]:
    """Empty arrays for inputs by kind, target and weight, on disk where they would exceed the memory."""
    shapes: dict[str, tuple[tuple[int, ...], Any]] = {}
    for kind, names in layout.kinds.items():
        input_type = KINDS[kind].input_type
        shapes[kind] = (rows, len(names)), ENCODED_TYPES.get(input_type, input_type)
    shapes["perennial.target"] = (rows,), np.int64 if layout.classes else np.float64
    if layout.weight:
        shapes["perennial.weight"] = (rows,), np.float32
    size = sum(int(np.prod(shape)) * np.dtype(dtype).itemsize for shape, dtype in shapes.values())
    if size <= memory_gb * 1e9:
        return {name: np.empty(shape, dtype) for name, (shape, dtype) in shapes.items()}
    scratch.mkdir(parents=True, exist_ok=True)
    return {
        name: np.lib.format.open_memmap(scratch / f"{name}.npy", mode="w+", dtype=dtype, shape=shape)
        for name, (shape, dtype) in shapes.items()
    }


def _fill(arrays: Mapping[str, NDArray[Any]], batch: pa.RecordBatch | pa.Table, layout: Layout) -> None:
    for kind, names in layout.kinds.items():
        for position, name in enumerate(names):
            values = as_array(batch.column(name))
            encoded = KINDS[kind].encode(values, layout.columns[name], layout.statistics[name])
            arrays[kind][:, position] = encoded
    target = as_array(batch.column(layout.target))
    arrays["perennial.target"][:] = class_codes(target, layout.classes) if layout.classes else target
    if layout.weight:
        arrays["perennial.weight"][:] = as_array(batch.column(layout.weight))


def encode_inputs(table: pa.Table, layout: Layout) -> dict[str, Tensor]:
    """The feature columns of the rows as tensors [N, C] by kind."""

    def encode(name: str) -> NDArray[Any]:
        settings = layout.columns[name]
        return KINDS[settings.kind].encode(as_array(table.column(name)), settings, layout.statistics[name])

    return {kind: torch.from_numpy(np.stack([encode(n) for n in names], 1)) for kind, names in layout.kinds.items()}
