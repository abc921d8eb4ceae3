"""Which accepted rows stay in a snapshot: one per key, and those within the rolling window."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.columns.kind import Mask
from models.modelfile import ModelFile
from tasks.data.hashing import Hashes, hash_rows
from tasks.data.layout import NEWEST, ROW, stored_split_name

DAY = 86_400 * 1_000_000


@dataclass(frozen=True)
class Marks:
    """What must be known of all rows at once to choose among them; each [N] or None where no rule needs it."""

    key: Hashes | None
    values: Hashes | None
    newest: NDArray[np.float64] | None
    time: NDArray[np.int64] | None


@dataclass(frozen=True)
class Selection:
    """Masks over all accepted rows, and counts of the rows that leave without being rejects."""

    keep: Mask
    conflicts: Mask
    """Rows that share a key with a row that says otherwise."""
    collapsed: int
    """Rows that repeat another row wholly."""
    superseded: int
    """Rows that gave way to a newer one of the same key."""
    outside_window: int


def mark(table: pa.Table, model_file: ModelFile) -> Marks:
    """The marks of one table of accepted rows."""
    split = model_file.split
    names = [stored_split_name(name) for name in split.key]
    needs_time = model_file.data.last_days is not None or model_file.data.last_rows is not None
    return Marks(
        key=hash_rows(table, names) if names else None,
        values=hash_rows(table, [name for name in table.column_names if name != ROW]) if names else None,
        newest=table[NEWEST].to_numpy() if split.newest_by else None,
        time=table[stored_split_name(split.time)].cast(pa.int64()).to_numpy() if needs_time and split.time else None,
    )


def join_marks(marks: list[Marks]) -> Marks:
    """The marks of all tables in their order."""
    if not marks:
        return Marks(None, None, None, None)
    fields = ("key", "values", "newest", "time")
    found = {field: [getattr(mark, field) for mark in marks] for field in fields}
    return Marks(**{field: None if parts[0] is None else np.concatenate(parts) for field, parts in found.items()})


def select(marks: Marks, rows: int, model_file: ModelFile) -> Selection:
    """The rows to keep: first one per key, then the window among those."""
    keep, conflicts = np.ones(rows, dtype=bool), np.zeros(rows, dtype=bool)
    superseded = 0
    if marks.key is not None and marks.values is not None:
        keep, conflicts = _one_per_key(marks.key, marks.values, marks.newest)
        superseded = _superseded(marks.key, marks.values, keep) if marks.newest is not None else 0
    dropped = int(rows - keep.sum() - conflicts.sum())
    unique = keep.sum()
    if marks.time is not None and keep.any():
        keep &= _in_window(marks.time, keep, model_file)
    return Selection(keep, conflicts, dropped - superseded, superseded, int(unique - keep.sum()))


def _superseded(key: Hashes, values: Hashes, keep: Mask) -> int:
    """Rows that say otherwise than the newest row of their key; the others that left repeat it wholly."""
    order = np.argsort(key[keep])
    place = np.searchsorted(key[keep], key, sorter=order)
    return int((values[keep][order][place] != values).sum())


def _one_per_key(key: Hashes, values: Hashes, newest: NDArray[np.float64] | None) -> tuple[Mask, Mask]:
    """Masks of the rows to keep and of those in conflict. Of equally new rows the later one stays."""
    keep, conflicts = np.ones(len(key), dtype=bool), np.zeros(len(key), dtype=bool)
    order = np.lexsort((key,) if newest is None else (newest, key))
    grouped = key[order]
    starts = np.flatnonzero(np.append(True, grouped[1:] != grouped[:-1]))
    sizes = np.diff(np.append(starts, len(key)))
    if len(starts) == len(key):
        return keep, conflicts
    if newest is not None:
        keep[:] = False
        keep[order[starts + sizes - 1]] = True
        return keep, conflicts
    low, high = np.minimum.reduceat(values[order], starts), np.maximum.reduceat(values[order], starts)
    conflicts[order] = np.repeat(low != high, sizes)
    keep[:] = False
    keep[np.minimum.reduceat(order, starts)] = True
    return keep & ~conflicts, conflicts


def _in_window(time: NDArray[np.int64], keep: Mask, model_file: ModelFile) -> Mask:
    """Rows from the cut-off on; rows of one instant are in or out together."""
    inside = np.ones(len(time), dtype=bool)
    data = model_file.data
    if data.last_days is not None:
        inside &= time > time[keep].max() - int(data.last_days * DAY)
    if data.last_rows is not None and data.last_rows < keep.sum():
        candidates = time[keep]
        inside &= time >= np.partition(candidates, len(candidates) - data.last_rows)[len(candidates) - data.last_rows]
    return inside
