"""Rows that are equal in all columns: only one of them needs to be scored."""

from collections.abc import Collection, Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Positions = NDArray[np.int64]
REPEATING = {"text", "category"}
"""Kinds whose values repeat."""
WORTH = 2
"""Rows for each different one from which on it pays."""


def may_repeat(kinds: Collection[str]) -> bool:
    """Whether rows of columns of these kinds repeat, and take so long that it pays to look for it."""
    return "text" in kinds and set(kinds) <= REPEATING


def different_rows(columns: Mapping[str, pa.Array]) -> tuple[Positions, Positions] | None:
    """Positions [M] of rows that are all different, and for each row [N] which of them it equals.

    None where more than one in `WORTH` rows is different.
    """
    codes = np.zeros(len(next(iter(columns.values()))), dtype=np.int64)
    first = codes[:0]
    for values in columns.values():
        encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
        distinct = len(encoded.dictionary)
        places = encoded.indices.fill_null(distinct).to_numpy().astype(np.int64)
        _, first, codes = np.unique(codes * (distinct + 1) + places, return_index=True, return_inverse=True)
        if WORTH * len(first) > len(codes):
            return None
    return first, codes
