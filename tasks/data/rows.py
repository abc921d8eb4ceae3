"""Rows of one split of a snapshot."""

from collections.abc import Collection, Iterator

import numpy as np
import pyarrow as pa

from models.contract import SplitSpec
from tasks.data.manifest import Snapshot
from tasks.data.splits import Assignment, assign, required_columns


def assign_rows(snapshot: Snapshot, split: SplitSpec) -> Assignment:
    """The split of every row, int8 [N]; only the columns that decide it are read."""
    needed = required_columns(split)
    parts = [assign(rows, split) for rows in snapshot.batches(needed)]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int8)


def split_batches(snapshot: Snapshot, assigned: Assignment, index: int, columns: Collection[str]) -> Iterator[pa.Table]:
    """The rows of one split, batch by batch, in the snapshot's order."""
    start = 0
    for rows in snapshot.batches(columns):
        mask = assigned[start : start + len(rows)] == index
        start += len(rows)
        if mask.any():
            yield rows.filter(pa.array(mask))


def rows_of(snapshot: Snapshot, split: SplitSpec, index: int, columns: Collection[str] | None = None) -> pa.Table:
    """All rows of one split, with the given columns (None: all)."""
    return snapshot.table(columns).filter(pa.array(assign_rows(snapshot, split) == index))
