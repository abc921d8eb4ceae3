"""Hashes of rows that never change: not with the machine, the release of a library, chunking, or the file format.

The arithmetic is our own on purpose, because a split that moves with an upgrade would judge models on rows they learnt.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.columns.cells import as_array, fixed_rows, is_text

Hashes = NDArray[np.uint64]
NULL = np.uint64(0x9AE16A3B2F90404F)
STEP = np.uint64(0x9E3779B97F4A7C15)
ROWS_AT_ONCE = 8192
BYTES_AT_ONCE = 1 << 20


def hash_rows(table: pa.Table, columns: Sequence[str]) -> Hashes:
    """One hash per row over the columns in the given order, shape [N]."""
    combined = np.zeros(len(table), dtype=np.uint64)
    for name in columns:
        combined = mix(combined + STEP + hash_values(table[name]))
    return combined


def hash_values(values: pa.Array | pa.ChunkedArray) -> Hashes:
    """One hash per value, [N]. Numbers are compared as float32, so that text and binary files of one table agree."""
    array = as_array(values)
    if pa.types.is_dictionary(array.type):
        known = np.append(hash_values(array.dictionary), NULL)
        codes = pc.fill_null(array.indices.cast(pa.int64()), len(known) - 1)
        return np.asarray(known[codes.to_numpy(zero_copy_only=False)])
    if pa.types.is_fixed_size_binary(array.type):
        hashes = _hash_bytes(array)
    elif is_text(array.type):
        pieces = [_hash_texts(array.slice(start, ROWS_AT_ONCE)) for start in range(0, len(array), ROWS_AT_ONCE)]
        hashes = np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.uint64)
    else:
        hashes = mix(_bits(array))
    if array.null_count:
        hashes = np.where(array.is_valid().to_numpy(zero_copy_only=False), hashes, NULL)
    return hashes


def unit_interval(hashes: Hashes) -> NDArray[np.float64]:
    """The hashes spread evenly over [0, 1), shape [N]."""
    return np.asarray((hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def mix(values: Hashes) -> Hashes:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014): every bit of the input changes half of the output's."""
    mixed = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def _bits(array: pa.Array) -> Hashes:
    """Each number as 64 bits; zero has one sign and NaN one form."""
    if pa.types.is_timestamp(array.type):
        return np.asarray(pc.fill_null(array.cast(pa.int64()), 0).to_numpy(zero_copy_only=False).astype(np.uint64))
    numbers = pc.fill_null(array.cast(pa.float64()), 0.0).to_numpy(zero_copy_only=False).astype(
        np.float32
    ) + np.float32(0)
    numbers = np.where(np.isnan(numbers), np.float32(np.nan), numbers)
    return np.asarray(numbers.view(np.uint32).astype(np.uint64))


def _hash_bytes(array: pa.Array) -> Hashes:
    """As texts are hashed, by words of 8 bytes."""
    width = array.type.byte_width
    words = -(-width // 8)
    places = (np.arange(words, dtype=np.uint64) + np.uint64(1)) * STEP
    hashes = np.empty(len(array), dtype=np.uint64)
    rows_at_once = max(1, BYTES_AT_ONCE // max(width, 1))
    for start in range(0, len(array), rows_at_once):
        rows = fixed_rows(array.slice(start, rows_at_once))
        padded = np.zeros((len(rows), words * 8), dtype=np.uint8)
        padded[:, :width] = rows
        hashes[start : start + len(rows)] = mix(padded.view("<u8") + places).sum(axis=1, dtype=np.uint64)
    return mix(hashes + np.array([width], dtype=np.uint64) * STEP)


def _hash_texts(texts: pa.Array) -> Hashes:
    """Sums of one mixed number per byte and position (Zobrist 1970), mixed with the length."""
    plain = pa.concat_arrays([texts.cast(pa.string())])
    offsets = np.frombuffer(plain.buffers()[1], dtype=np.int32)[plain.offset : plain.offset + len(plain) + 1].astype(
        np.int64
    )
    content = np.frombuffer(plain.buffers()[2] or b"", dtype=np.uint8)[offsets[0] : offsets[-1]].astype(np.uint64)
    lengths = np.diff(offsets)
    positions = np.arange(len(content)) - np.repeat(offsets[:-1] - offsets[0], lengths)
    terms = mix(content + (positions.astype(np.uint64) + np.uint64(1)) * STEP)
    sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(terms, dtype=np.uint64)])
    ends = offsets - offsets[0]
    return mix(sums[ends[1:]] - sums[ends[:-1]] + lengths.astype(np.uint64) * STEP)
