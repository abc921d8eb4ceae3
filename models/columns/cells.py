"""Vectorised handling of raw cells that several kinds share: trimming, missing marks and shortened types."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.columns.kind import Mask


def as_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """One contiguous array of the same values."""
    if isinstance(column, pa.ChunkedArray):
        return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return column


def is_text(kind: pa.DataType) -> bool:
    """Whether the type holds strings of any width."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_numeric(kind: pa.DataType) -> bool:
    """Whether the type holds integers, floats or decimals."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def plain(raw: pa.Array) -> pa.Array:
    """The values without dictionary encoding."""
    return raw.dictionary_decode() if pa.types.is_dictionary(raw.type) else raw


def mask_missing(text: pa.Array, missing: tuple[str, ...]) -> pa.Array:
    """The strings trimmed, null where nothing is left or a missing-value mark stands."""
    trimmed = pc.utf8_trim_whitespace(text.cast(pa.string()))
    marks = pa.array(["", *missing], pa.string())
    return pc.if_else(pc.is_in(trimmed, value_set=marks), pa.scalar(None, pa.string()), trimmed)


def valid(values: pa.Array) -> Mask:
    """Mask of the values that are not null, shape [N]."""
    if values.null_count == 0:
        return np.ones(len(values), dtype=bool)
    return np.asarray(values.is_valid().to_numpy(zero_copy_only=False), dtype=bool)
