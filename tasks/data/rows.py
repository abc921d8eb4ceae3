"""Rows of one split of a snapshot."""

from collections.abc import Collection, Iterator

import numpy as np
import pyarrow as pa

from models.columns.kind import Mask
from models.contract import SplitSpec
from tasks.data.manifest import Snapshot
from tasks.data.splits import Assignment, assign, required_columns


def assign_rows(snapshot: Snapshot, split: SplitSpec) -> Assignment:
    """The split of every row, int8 [N]; only the columns that decide it are read."""
    needed = required_columns(split)
    parts = [assign(rows, split) for rows in snapshot.batches(needed)]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int8)


def masked_batches(snapshot: Snapshot, mask: Mask, columns: Collection[str] | None = None) -> Iterator[pa.Table]:
    """The rows that `mask` [N] marks, batch by batch, in the snapshot's order."""
    start = 0
    for rows in snapshot.batches(columns):
        wanted = mask[start : start + len(rows)]
        start += len(rows)
        if wanted.any():
            yield rows.filter(pa.array(wanted))


def masked_rows(snapshot: Snapshot, mask: Mask, columns: Collection[str] | None = None) -> pa.Table:
    """The rows that `mask` [N] marks in one table; the others are never in memory together."""
    parts = list(masked_batches(snapshot, mask, columns))
    return pa.concat_tables(parts).unify_dictionaries() if parts else snapshot.table(columns).slice(0, 0)


def rows_of(snapshot: Snapshot, split: SplitSpec, index: int, columns: Collection[str] | None = None) -> pa.Table:
    """All rows of one split, with the given columns (None: all)."""
    return masked_rows(snapshot, assign_rows(snapshot, split) == index, columns)
