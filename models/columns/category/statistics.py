"""What training rows say about a category: its vocabulary and how often each value occurs."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.columns.kind import Statistics


class CategoryStatistics(Statistics):
    """The vocabulary and its counts; code 0 is missing, 1 unseen, value i has code i + 2."""

    vocabulary: tuple[str, ...]
    counts: tuple[int, ...]
    rare: int
    """Training rows whose value is outside the vocabulary."""


def fit_category(values: pa.Array, max_values: int, min_count: int) -> CategoryStatistics:
    """Values seen at least `min_count` times, the `max_values` most frequent, ties in the order of the text."""
    known = values.drop_null()
    counted = pc.value_counts(known)
    names = np.array(counted.field("values").cast(pa.string()).to_pylist(), dtype=object)
    counts = counted.field("counts").to_numpy(zero_copy_only=False)
    order = sorted(range(len(names)), key=lambda i: (-counts[i], names[i]))
    kept = [i for i in order if counts[i] >= min_count][:max_values]
    return CategoryStatistics(
        count=len(values),
        missing=len(values) - len(known),
        vocabulary=tuple(str(names[i]) for i in kept),
        counts=tuple(int(counts[i]) for i in kept),
        rare=int(len(known) - sum(int(counts[i]) for i in kept)),
    )
