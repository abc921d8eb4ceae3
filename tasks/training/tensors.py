"""Training rows as tensors: filled from streamed batches, in memory or memory-mapped, taken by index."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.classes import Classes, class_codes
from models.columns import KINDS, ColumnSettings, Statistics, tensor_groups
from models.columns.cells import as_array
from models.columns.kind import Ragged
from models.errors import InputError
from models.heads import TargetStatistics
from tasks.training.rowstore import MappedFile, RaggedRows, RaggedTensor

LARGEST_VALUE = 1e36
"""Of a target; predictions a few standard deviations beyond still fit float32."""
CHUNK_ROWS = 4096
CHUNK_ELEMENTS = 1 << 20
"""Numbers that are handed to the network at once where nothing is learnt from them."""
TARGET, WEIGHT = "perennial.target", "perennial.weight"


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
    def groups(self) -> dict[str, list[str]]:
        """Names of the columns that become one tensor, by its name."""
        names = list(self.columns)
        grouped = tensor_groups([settings.kind for settings in self.columns.values()])
        return {group: [names[i] for i in positions] for group, positions in grouped.items()}


@dataclass(frozen=True)
class Tensors:
    """Encoded rows: inputs [N, ...] by group, target [N] (int64 classes or float64 values), weight [N] float32."""

    inputs: Mapping[str, Tensor | RaggedTensor]
    target: Tensor
    weight: Tensor | None = None
    files: tuple[MappedFile, ...] = ()
    """What the tensors are mapped from."""

    def __len__(self) -> int:
        return len(self.target)

    @property
    def nbytes(self) -> int:
        """Size of all tensors."""
        others = () if self.weight is None else (self.weight,)
        return sum(values.nbytes for values in (*self.inputs.values(), self.target, *others))

    def take(self, index: Tensor) -> "Batch":
        """The rows at `index`, int64 [M], with ragged ones padded."""
        inputs = {
            group: values.take(index).padded() if isinstance(values, RaggedTensor) else values.index_select(0, index)
            for group, values in self.inputs.items()
        }
        weight = None if self.weight is None else self.weight.index_select(0, index)
        batch = Batch(inputs, self.target.index_select(0, index), weight)
        self._release()
        return batch

    def slice(self, start: int, end: int) -> "Tensors":
        """A view of the rows from `start` to before `end`."""
        inputs = {
            group: values.slice(start, end) if isinstance(values, RaggedTensor) else values[start:end]
            for group, values in self.inputs.items()
        }
        weight = None if self.weight is None else self.weight[start:end]
        return Tensors(inputs, self.target[start:end], weight, self.files)

    def chunks(self) -> Iterator["Batch"]:
        """All rows in their order, as many at once as a network's activations may take."""
        rows = max(1, min(CHUNK_ROWS, CHUNK_ELEMENTS // self._elements()))
        for start in range(0, len(self), rows):
            part = self.slice(start, start + rows)
            inputs = {g: v.padded() if isinstance(v, RaggedTensor) else v for g, v in part.inputs.items()}
            yield Batch(inputs, part.target, part.weight)
            self._release()

    def _elements(self) -> int:
        """Numbers of the longest row."""
        longest = (v.longest if isinstance(v, RaggedTensor) else v[:1].numel() for v in self.inputs.values())
        return max(1, sum(longest))

    def _release(self) -> None:
        for file in self.files:
            file.release()

    def to(self, device: torch.device) -> "Tensors":
        """The same rows on a device."""
        inputs = {group: values.to(device) for group, values in self.inputs.items()}
        return Tensors(inputs, self.target.to(device), None if self.weight is None else self.weight.to(device))


@dataclass(frozen=True)
class Batch:
    """Rows as the network takes them: inputs [M, ...] by group, target [M], weight [M]."""

    inputs: dict[str, Tensor]
    target: Tensor
    weight: Tensor | None

    def to(self, device: torch.device) -> "Batch":
        """The same rows on a device."""
        inputs = {group: values.to(device) for group, values in self.inputs.items()}
        return Batch(inputs, self.target.to(device), None if self.weight is None else self.weight.to(device))


def fit_statistics(
    read_column: Callable[[str], Iterable[pa.Array | pa.ChunkedArray]], columns: Mapping[str, ColumnSettings]
) -> dict[str, Statistics]:
    """Statistics of each column, by one pass over the pieces that `read_column` yields."""
    return {
        name: KINDS[settings.kind].fit(map(as_array, read_column(name)), settings) for name, settings in columns.items()
    }


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

    In memory up to `memory_gb`; beyond, mapped from files in the folder `scratch`, written batch by batch.
    Raises InputError where the batches hold fewer or more rows than announced, OutsideError where the disk is full.
    """
    arrays, files = _allocate(rows, layout, memory_gb, scratch)
    ragged = {group: RaggedRows() for group in _ragged_groups(layout)}
    start = 0
    for batch in batches:
        end = start + batch.num_rows
        if end > rows:
            raise InputError(f"training: the snapshot holds more than the {rows} rows it announced; ingest it again")
        _fill({name: array[start:end] for name, array in arrays.items()}, ragged, batch, layout)
        start = end
        for file in files:
            file.release()
    if start < rows:
        raise InputError(f"training: the snapshot holds {start} of the {rows} rows it announced; ingest it again")
    return _finished(arrays, ragged, layout, files)


def _ragged_groups(layout: Layout) -> list[str]:
    return [group for group, names in layout.groups.items() if KINDS[layout.columns[names[0]].kind].ragged]


def _allocate(
    rows: int, layout: Layout, memory_gb: float, scratch: Path
) -> tuple[dict[str, NDArray[Any]], tuple[MappedFile, ...]]:
    """Empty arrays for inputs by group, target and weight, and the files they lie in if they exceed the memory."""
    shapes: dict[str, tuple[tuple[int, ...], Any]] = {}
    for group, names in layout.groups.items():
        settings = layout.columns[names[0]]
        kind = KINDS[settings.kind]
        if not kind.ragged:
            columns = (len(names),) if kind.joined else ()
            shapes[group] = (rows, *columns, *kind.shape(settings)), kind.encoded_type
    shapes[TARGET] = (rows,), np.int64 if layout.classes else np.float64
    if layout.weight:
        shapes[WEIGHT] = (rows,), np.float32
    sizes = {name: int(np.prod(shape)) * np.dtype(dtype).itemsize for name, (shape, dtype) in shapes.items()}
    if sum(sizes.values()) <= memory_gb * 1e9:
        return {name: np.empty(shape, dtype) for name, (shape, dtype) in shapes.items()}, ()
    files = {name: MappedFile(scratch / f"{name}.bin", size) for name, size in sizes.items()}
    return {name: files[name].array(*shapes[name]) for name in shapes}, tuple(files.values())


def _fill(
    arrays: Mapping[str, NDArray[Any]],
    ragged: Mapping[str, RaggedRows],
    batch: pa.RecordBatch | pa.Table,
    layout: Layout,
) -> None:
    for group, names in layout.groups.items():
        for position, name in enumerate(names):
            settings = layout.columns[name]
            kind = KINDS[settings.kind]
            encoded = kind.encode(as_array(batch.column(name)), settings, layout.statistics[name])
            if isinstance(encoded, Ragged):
                ragged[group].append(encoded)
            elif kind.joined:
                arrays[group][:, position] = encoded
            else:
                arrays[group][:] = encoded
    target = as_array(batch.column(layout.target))
    arrays[TARGET][:] = class_codes(target, layout.classes) if layout.classes else target
    if layout.weight:
        arrays[WEIGHT][:] = as_array(batch.column(layout.weight))


def _finished(
    arrays: Mapping[str, NDArray[Any]],
    ragged: Mapping[str, RaggedRows],
    layout: Layout,
    files: tuple[MappedFile, ...],
) -> Tensors:
    inputs = {g: ragged[g].finish() if g in ragged else torch.from_numpy(arrays[g]) for g in layout.groups}
    weight = torch.from_numpy(arrays[WEIGHT]) if layout.weight else None
    return Tensors(inputs, torch.from_numpy(arrays[TARGET]), weight, files)


def encode_inputs(table: pa.Table, layout: Layout) -> Tensors:
    """The feature columns of the rows as tensors; there is no target, so it is 0."""
    unjudged = table.select(list(layout.columns)).append_column(TARGET, pa.repeat(0.0, len(table)))
    features = Layout(layout.columns, layout.statistics, TARGET)
    return encode_rows([unjudged], len(table), features, math.inf, Path())
