"""Rows that a model learnt from although its split rule, read on today's values, calls them test rows.

A row that was relabelled, moved to another file or given another group or time changes sides under the same rule. What
the model really learnt from is in the snapshot that it was trained on.
"""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from models.columns.kind import Mask
from models.consistency import RESERVED
from models.contract import SplitSpec
from tasks.data.hashing import Hashes, hash_rows
from tasks.data.layout import SPLIT_PREFIX, stored_split_name
from tasks.data.manifest import Snapshot
from tasks.data.rows import assign_rows
from tasks.data.splits import TEST


def may_change_sides(spec: SplitSpec, key: Sequence[str]) -> bool:
    """Whether a row can change sides without becoming another row, as far as that can be found out.

    The hash of a key or of all features can't change. Without a key, what is later than the cut-off is new by the very
    meaning of a split by time.
    """
    if spec.sources or spec.rule == "column":
        return True
    if spec.rule == "time":
        return bool(key)
    grouped = len(spec.columns) == 1 and spec.columns[0].startswith(SPLIT_PREFIX)
    return grouped and spec.columns != _stored(key)


def learnt_rows(now: Snapshot, then: Snapshot, spec: SplitSpec, key: Sequence[str]) -> Mask:
    """Mask [N] of the rows of `now` that a model trained on `then` by `spec` learnt from.

    By the key where both snapshots have it. Otherwise rows are told apart by their content alone: where fewer of equal
    rows are on the side that was learnt from than there were, all the others of them are marked.
    """
    names = _stored(key)
    if key and {*names} <= {*now.columns} & {*then.columns}:
        learnt = _hashes(then, names)[assign_rows(then, spec) != TEST]
        return np.asarray(np.isin(_hashes(now, names), learnt))
    shared = sorted(name for name in {*now.columns} & {*then.columns} if not name.startswith(RESERVED))
    before, today = _hashes(then, shared), _hashes(now, shared)
    apart = assign_rows(now, spec) == TEST
    gone = _fewer(before[assign_rows(then, spec) != TEST], today[~apart])
    return np.asarray(np.isin(today, gone) & apart)


def _stored(key: Sequence[str]) -> tuple[str, ...]:
    return tuple(stored_split_name(name) for name in key)


def _hashes(snapshot: Snapshot, columns: Collection[str]) -> Hashes:
    parts = [hash_rows(rows, list(columns)) for rows in snapshot.batches(columns)]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint64)


def _fewer(before: Hashes, now: Hashes) -> NDArray[np.uint64]:
    """Values that occur less often now than before."""
    values, counts = np.unique(before, return_counts=True)
    known, left = np.unique(now, return_counts=True)
    place = np.searchsorted(known, values).clip(max=max(len(known) - 1, 0))
    remaining = np.where(known[place] == values, left[place], 0) if len(known) else np.zeros(len(values), dtype=int)
    return np.asarray(values[remaining < counts])
