"""Vectorised handling of raw cells that several kinds share: trimming, missing marks and shortened types."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.columns.kind import Mask

WHOLE_DECIMAL = r"^(-?(?:0|[1-9]\d{0,15}))\.0+$"
"""A whole number as a float prints it; texts such as 007.0 or a longer one are codes that must stay as they are."""


MARKS = ("?", "NA", "N/A", "NaN", "nan", "null", "NULL")
"""What stands for a missing value, besides nothing, where the model file does not say it."""


def as_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """One contiguous array of the same values."""
    if isinstance(column, pa.ChunkedArray):
        return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return column


def whole(chunks: Iterable[pa.Array | pa.ChunkedArray], kind: pa.DataType) -> pa.Array:
    """All pieces of a column of one type in one array."""
    pieces = [as_array(chunk) for chunk in chunks]
    if len(pieces) == 1:
        return pieces[0]
    return pa.chunked_array(pieces, kind).unify_dictionaries().combine_chunks()


def is_text(kind: pa.DataType) -> bool:
    """Whether the type holds strings of any width."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_numeric(kind: pa.DataType) -> bool:
    """Whether the type holds integers, floats or decimals."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def is_number_list(kind: pa.DataType) -> bool:
    """Whether the type holds lists of integers or floats, of one length or of several."""
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return False
    return bool(pa.types.is_integer(kind.value_type) or pa.types.is_floating(kind.value_type))


def plain(raw: pa.Array) -> pa.Array:
    """The values without dictionary encoding."""
    return raw.dictionary_decode() if pa.types.is_dictionary(raw.type) else raw


def canonical(text: pa.Array) -> pa.Array:
    """The strings trimmed, where 1.0 is 1 and True is true, so that a table reads the same from any file format."""
    trimmed = pc.utf8_trim_whitespace(text.cast(pa.string()))
    if pc.any(pc.ends_with(trimmed, ".0")).as_py() or pc.any(pc.ends_with(trimmed, "00")).as_py():
        trimmed = pc.replace_substring_regex(trimmed, WHOLE_DECIMAL, r"\1")
    trimmed = pc.if_else(pc.equal(trimmed, "-0"), "0", trimmed)
    capitals = pc.is_in(trimmed, value_set=pa.array(["True", "TRUE", "False", "FALSE"]))
    return pc.if_else(capitals, pc.ascii_lower(trimmed), trimmed) if pc.any(capitals).as_py() else trimmed


def canonical_word(word: object) -> str:
    """One value as `canonical` writes it."""
    text: str = canonical(pa.array([str(word)]))[0].as_py()
    return text


def mask_missing(text: pa.Array, missing: tuple[str, ...]) -> pa.Array:
    """The strings trimmed, null where nothing is left or a missing-value mark stands."""
    trimmed = pc.utf8_trim_whitespace(text.cast(pa.string()))
    marks = pa.array(["", *missing], pa.string())
    return pc.if_else(pc.is_in(trimmed, value_set=marks), pa.scalar(None, pa.string()), trimmed)


def fixed_rows(values: pa.Array) -> NDArray[np.uint8]:
    """Values of one width as bytes [N, width], not copied unless some are null; those are zeros."""
    return fixed_values(values, np.uint8, (values.type.byte_width,), 0)


def fixed_values(values: pa.Array, dtype: Any, shape: tuple[int, ...], blank: float) -> NDArray[Any]:
    """Values of one width as arrays [N, *shape], all `blank` where null; a read-only view where none is."""
    if values.null_count == len(values):
        return np.full((len(values), *shape), blank, dtype)
    width = values.type.byte_width
    content = np.frombuffer(values.buffers()[1], np.uint8, len(values) * width, values.offset * width)
    content.flags.writeable = False
    rows: NDArray[Any] = content.view(dtype).reshape(len(values), *shape)
    if values.null_count == 0:
        return rows
    return np.where(valid(values).reshape(-1, *(1,) * len(shape)), rows, np.dtype(dtype).type(blank))


def as_fixed(values: NDArray[Any], known: Mask) -> pa.Array:
    """Arrays [N, *shape] as values of one width, null where not known; not copied."""
    width = int(np.prod(values.shape[1:])) * values.itemsize
    bitmap = None if known.all() else pa.py_buffer(np.packbits(known, bitorder="little"))
    buffers = [bitmap, pa.py_buffer(np.ascontiguousarray(values))]
    return pa.Array.from_buffers(pa.binary(width), len(values), buffers)


def valid(values: pa.Array) -> Mask:
    """Mask of the values that are not null, shape [N]."""
    if values.null_count == 0:
        return np.ones(len(values), dtype=bool)
    return np.asarray(values.is_valid().to_numpy(zero_copy_only=False), dtype=bool)
