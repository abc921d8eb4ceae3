"""Counts of the keys of a stream in bounded memory."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.columns.text.characters import Codes


class Counter:
    """How often each key occurred; beyond `limit` distinct keys, the rarest are forgotten.

    What is forgotten starts from nothing if it occurs again, so that counts of rare keys may be too low (after lossy
    counting, Manku and Motwani 2002).
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.keys = np.empty(0, dtype=np.int64)
        self.counts = np.empty(0, dtype=np.int64)

    def add(self, keys: Codes) -> None:
        """Counts the keys, of any order, with repetitions."""
        counted = pc.value_counts(pa.array(keys))
        both = np.concatenate([self.keys, counted.field("values").to_numpy()])
        counts = np.concatenate([self.counts, counted.field("counts").to_numpy()])
        self.keys, place = np.unique(both, return_inverse=True)
        self.counts = np.zeros(len(self.keys), dtype=np.int64)
        np.add.at(self.counts, place, counts)
        self._forget()

    def _forget(self) -> None:
        if len(self.keys) > self.limit:
            # Half of them, so that the next texts don't end here again.
            kept = np.sort(np.argsort(-self.counts, kind="stable")[: self.limit // 2])
            self.keys, self.counts = self.keys[kept], self.counts[kept]

    def most_frequent(self, limit: int, min_count: int) -> Codes:
        """Up to `limit` keys that occurred `min_count` times or more, most frequent first, ties by key."""
        frequent = self.counts >= min_count
        keys, counts = self.keys[frequent], self.counts[frequent]
        return keys[np.argsort(-counts, kind="stable")[:limit]]
