"""Rows of one split of a snapshot."""

from collections.abc import Collection, Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.columns.kind import Mask
from models.contract import SplitSpec
from tasks.data.manifest import Part, Snapshot
from tasks.data.splits import Assignment, assign, required_columns

PIECE_BYTES = 1 << 25
"""Of the rows that are handed on at once: whoever takes them holds them in more than one form."""


def assign_rows(snapshot: Snapshot, split: SplitSpec) -> Assignment:
    """The split of every row, int8 [N]; only the columns that decide it are read."""
    needed = required_columns(split)
    parts = [assign(rows, split) for rows in snapshot.batches(needed)]
    _give_back()
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int8)


def masked_batches(snapshot: Snapshot, mask: Mask, columns: Collection[str] | None = None) -> Iterator[pa.Table]:
    """The rows that `mask` [N] marks in pieces of a bounded size, in the snapshot's order; other parts are not read."""
    start = 0
    for part in snapshot.manifest.parts:
        wanted = mask[start : start + part.rows]
        start += part.rows
        if wanted.any():
            yield from _marked(_alone(part, snapshot), wanted, columns)
    _give_back()


def masked_rows(snapshot: Snapshot, mask: Mask, columns: Collection[str] | None = None) -> pa.Table:
    """The rows that `mask` [N] marks in one table; the others are never in memory together."""
    parts = list(masked_batches(snapshot, mask, columns))
    return pa.concat_tables(parts).unify_dictionaries() if parts else no_rows(snapshot, columns)


def no_rows(snapshot: Snapshot, columns: Collection[str] | None = None) -> pa.Table:
    """A table without rows, whose columns have the snapshot's names and types."""
    return _alone(snapshot.manifest.parts[0], snapshot).table(columns).slice(0, 0)


def chosen_rows(snapshot: Snapshot, mask: Mask, positions: NDArray[np.int64]) -> pa.Table:
    """The rows at the positions [M] among those that `mask` [N] marks, in the order of the positions; all columns."""
    distinct, order = np.unique(positions, return_inverse=True)
    chosen = np.zeros_like(mask)
    chosen[np.flatnonzero(mask)[distinct]] = True
    return masked_rows(snapshot, chosen).take(pa.array(order))


def _marked(snapshot: Snapshot, wanted: Mask, columns: Collection[str] | None) -> Iterator[pa.Table]:
    start = 0
    for rows in snapshot.batches(columns):
        at_once = max(1, len(rows) * PIECE_BYTES // max(rows.nbytes, 1))
        for piece in (rows.slice(at, at_once) for at in range(0, len(rows), at_once)):
            marked = wanted[start : start + len(piece)]
            start += len(piece)
            if marked.any():
                yield piece.filter(pa.array(marked))


def _give_back() -> None:
    """Lets go of memory that Arrow keeps for later: what follows a pass over the rows has none of it."""
    pa.default_memory_pool().release_unused()


def _alone(part: Part, snapshot: Snapshot) -> Snapshot:
    """The snapshot as if it had no other parts."""
    return replace(snapshot, manifest=snapshot.manifest.model_copy(update={"parts": (part,)}))


def rows_of(snapshot: Snapshot, split: SplitSpec, index: int, columns: Collection[str] | None = None) -> pa.Table:
    """All rows of one split, with the given columns (None: all)."""
    return masked_rows(snapshot, assign_rows(snapshot, split) == index, columns)
