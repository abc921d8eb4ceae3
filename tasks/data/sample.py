"""Some rows of all sources, raw, to be looked at before a model file exists."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.columns.cells import plain
from tasks.data.batches import SourceFile
from tasks.data.sources import read_batches

SAMPLE_ROWS = 100_000
SAMPLE_BYTES = 1 << 28
"""In all, where rows are large, as those with whole pictures are."""


@dataclass(frozen=True)
class Sample:
    """Raw rows of one or more files, in their order."""

    table: pa.Table
    file: NDArray[np.int64]
    """Position of the file that each row is from, shape [N]."""
    complete: bool
    """Whether these are all rows."""


def read_sample(files: Sequence[SourceFile], columns: Collection[str] | None = None, rows: int = SAMPLE_ROWS) -> Sample:
    """The first rows of each file, about as many of each, `rows` at most in all, and fewer where they are large."""
    tables: list[pa.Table] = []
    positions: list[NDArray[np.int64]] = []
    complete, left = True, rows
    for position, file in enumerate(files):
        taken, whole = _first_rows(file, columns, max(1, left // (len(files) - position)), SAMPLE_BYTES // len(files))
        complete &= whole
        left -= len(taken)
        tables.append(taken)
        positions.append(np.full(len(taken), position))
    return Sample(_stacked(tables), np.concatenate(positions), complete)


def _first_rows(file: SourceFile, columns: Collection[str] | None, rows: int, size: int) -> tuple[pa.Table, bool]:
    tables: list[pa.Table] = []
    have = 0
    for batch in read_batches(file, columns):
        if have >= rows or sum(table.nbytes for table in tables) >= size:
            return _stacked(tables), False
        tables.append(batch.table.slice(0, rows - have))
        have += len(batch.table)
    return _stacked(tables), have <= rows


def _stacked(tables: Sequence[pa.Table]) -> pa.Table:
    """One table; a column whose types differ becomes text, one that a table lacks is null there."""
    names = list(dict.fromkeys(name for table in tables for name in table.column_names))
    columns = [_one_type([_cells(table, name) for table in tables]) for name in names]
    return pa.table(dict(zip(names, columns, strict=True)))


def _cells(table: pa.Table, name: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        return pa.chunked_array([pa.nulls(len(table))])
    column = table[name]
    return pa.chunked_array([plain(chunk) for chunk in column.chunks], type=_plain_type(column.type))


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _one_type(pieces: Sequence[pa.ChunkedArray]) -> pa.ChunkedArray:
    kinds = {piece.type for piece in pieces if not pa.types.is_null(piece.type)}
    kind = next(iter(kinds)) if len(kinds) == 1 else _common_type(kinds)
    return pa.chunked_array([chunk for piece in pieces for chunk in _cast(piece, kind).chunks], type=kind)


def _cast(piece: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    try:
        return pc.cast(piece, kind, safe=False)
    except pa.ArrowNotImplementedError:
        return pa.chunked_array([[None if cell is None else str(cell) for cell in piece.to_pylist()]], type=kind)


def _common_type(kinds: Collection[pa.DataType]) -> pa.DataType:
    if not kinds:
        return pa.null()
    numeric = all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in kinds)
    return pa.float64() if numeric else pa.string()
