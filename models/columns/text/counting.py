"""Counts of the tokens of a stream in bounded memory."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.columns.cells import as_array


class Counter:
    """How often each key occurred; beyond `limit` distinct keys, the rarest are forgotten.

    What is forgotten starts from nothing if it occurs again, so that counts of rare keys may be too low (after lossy
    counting, Manku and Motwani 2002).
    """

    def __init__(self, kind: pa.DataType, limit: int) -> None:
        self.limit = limit
        self.keys = pa.array([], kind)
        self.counts = np.empty(0, dtype=np.int64)

    def add(self, keys: pa.Array, counts: NDArray[np.int64] | None = None) -> None:
        """Counts the keys, of any order, with repetitions, once each or as often as `counts` says."""
        new = np.ones(len(keys), dtype=np.int64) if counts is None else counts
        both = pa.chunked_array([self.keys, keys], self.keys.type)
        table = pa.table({"key": both, "count": np.concatenate([self.counts, new])})
        self._keep(table.group_by("key", use_threads=False).aggregate([("count", "sum")]), "count_sum")

    def _keep(self, table: pa.Table, count: str) -> None:
        if len(table) > self.limit:
            # Half of them, so that the next texts don't end here again.
            table = table.sort_by([(count, "descending"), ("key", "ascending")]).slice(0, self.limit // 2)
        self.keys, self.counts = as_array(table["key"]), as_array(table[count]).to_numpy(zero_copy_only=False)

    def most_frequent(self, limit: int, min_count: int) -> pa.Array:
        """Up to `limit` keys that occurred `min_count` times or more, most frequent first, ties by key."""
        frequent = pa.table({"key": self.keys, "count": self.counts}).filter(self.counts >= min_count)
        ordered = frequent.sort_by([("count", "descending"), ("key", "ascending")])
        return as_array(ordered["key"]).slice(0, limit)
