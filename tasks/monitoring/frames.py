"""What is counted of a column: the edges of bins and the names that fit some rows, with all counts at zero."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.profile import Bins, Names
from tasks.data.rejects import hashed

BINS = 20
MOST_NAMES = 50
"""Values that are counted one by one."""
Floats = NDArray[np.float64]


def empty_bins(values: Floats, judged: bool = True) -> Bins:
    """Bins that hold about equally many of the values [N], NaN for none.

    A value that fills more than one bin has one of its own, so that it is told from what is just below and above.
    """
    known = np.sort(values[~np.isnan(values)])
    if not len(known):
        return Bins(counts=(0,), judged=judged)
    ranks = -(-np.arange(BINS + 1) * len(known) // BINS) - 1
    reached = known[ranks.clip(min=0)]
    distinct, times = np.unique(reached, return_counts=True)
    often = distinct[times > 1]
    inner = distinct[(distinct > known[0]) & (distinct < known[-1])]
    edges = np.unique(np.concatenate([inner, often, np.nextafter(often, -np.inf)]))
    return Bins(edges=tuple(edges.tolist()), counts=(0,) * (len(edges) + 1), judged=judged)


def empty_names(values: pa.ChunkedArray, sensitive: bool) -> Names:
    """The most frequent of the values, strings or a dictionary of them, ties in the order of the text.

    Hashes of them where the column is `sensitive`.
    """
    counted = pc.value_counts(values.drop_null())
    names = counted.field("values").cast(pa.string())
    order = sorted(zip((-counted.field("counts").to_numpy()).tolist(), names.to_pylist(), strict=True))
    kept = [name for _, name in order[:MOST_NAMES]]
    return given_names([hashed(name) for name in kept] if sensitive else kept)


def given_names(names: Sequence[object]) -> Names:
    """These names."""
    return Names(names=tuple(map(str, names)), counts=(0,) * len(names))
