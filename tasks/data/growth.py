"""How many rows of a snapshot are new since another one."""

from collections import Counter
from dataclasses import replace

import numpy as np

from tasks.data.hashing import Hashes, hash_rows
from tasks.data.layout import ROW
from tasks.data.manifest import Part, Snapshot


def count_new_rows(now: Snapshot, before: Snapshot) -> int:
    """Rows of `now` for which `before` has no row of the same values; each row of `before` makes up for one.

    Values are those of all stored columns, by a hash of 64 bits: features, target, and what decides the split. Where a
    row lies makes no difference, so one that moved to another file or place is not new, and one of which a value was
    corrected is. Rows that have left, as those of a rolling window do, count neither as new nor against new ones. Of
    windows of a series each one counts. Only parts that the snapshots don't share are read. Where their columns differ
    all rows are new.
    """
    if now.manifest.columns != before.manifest.columns:
        return now.rows
    found, counts = np.unique(_hashes(now, _not_in(now, before)), return_counts=True)
    known, known_counts = np.unique(_hashes(before, _not_in(before, now)), return_counts=True)
    _, ours, theirs = np.intersect1d(found, known, assume_unique=True, return_indices=True)
    return int(counts.sum() - np.minimum(counts[ours], known_counts[theirs]).sum())


def _not_in(snapshot: Snapshot, other: Snapshot) -> tuple[Part, ...]:
    """Parts whose values the other snapshot does not have; of equal parts those beyond its number of them."""
    left = Counter(part.sha256 for part in other.manifest.parts)
    own = []
    for part in snapshot.manifest.parts:
        if left[part.sha256]:
            left[part.sha256] -= 1
        else:
            own.append(part)
    return tuple(own)


def _hashes(snapshot: Snapshot, parts: tuple[Part, ...]) -> Hashes:
    """One hash for each row of the parts, [N]."""
    names = [name for name in snapshot.manifest.columns if name != ROW]
    some = replace(snapshot, manifest=snapshot.manifest.model_copy(update={"parts": parts}))
    return np.concatenate([np.zeros(0, dtype=np.uint64), *(hash_rows(rows, names) for rows in some.batches(names))])
