"""Parts of a snapshot: checked rows gathered by their place in the file, hashed by value, written aside."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from models.columns.cells import as_array, fixed_rows
from tasks.data.checks import Checked
from tasks.data.layout import ROW
from tasks.data.manifest import PARTS, move_into_place

PART_ROWS = 1 << 18
"""Rows of a file that share a part; counted in the file, so that bad rows don't move the borders of later parts."""


PART_BYTES = 1 << 26
"""Of pictures and other large values in one part."""


@dataclass(frozen=True)
class StagedPart:
    """A part that is not yet in its place."""

    sha256: str
    rows: int
    aside: Path | None
    """Where it waits; None where a part of these values is already in place."""


def rows_of_part(row_bytes: int) -> int:
    """Rows of a file that share a part, where a row's large values have so many bytes: fewer, by powers of 2."""
    rows = PART_ROWS
    while rows > 1 and rows * row_bytes > PART_BYTES:
        rows //= 2
    return rows


def gather(batches: Iterable[Checked], part_rows: int) -> Iterator[pa.Table]:
    """The accepted rows of one file, one table per `part_rows` rows of the file, with `perennial.row`."""
    pending: list[pa.Table] = []
    current = 0
    for checked in batches:
        table = checked.table.append_column(ROW, pa.array(checked.rows))
        numbers = (checked.rows - 1) // part_rows
        for number in np.unique(numbers):
            if number != current and pending:
                yield _joined(pending)
                pending = []
            current = int(number)
            low, high = np.searchsorted(numbers, [number, number + 1])
            pending.append(table.slice(low, high - low))
    if pending:
        yield _joined(pending)


def stage(table: pa.Table, folder: Path, aside: Path) -> StagedPart:
    """The table written into `aside`, unless a part of the same values is in `folder` already."""
    digest = value_digest(table)
    if (folder / PARTS / f"{digest}.parquet").exists():
        return StagedPart(digest, len(table), None)
    path = aside / f"{digest}.parquet"
    with path.open("wb") as stream:
        pq.write_table(table, stream, compression="zstd", compression_level=1)
        stream.flush()
        os.fsync(stream.fileno())
    return StagedPart(digest, len(table), path)


def load(part: StagedPart, folder: Path) -> pa.Table:
    """The rows of a staged part."""
    return pq.read_table(path_of(part, folder), partitioning=None)


def path_of(part: StagedPart, folder: Path) -> Path:
    """Where the part's file is now."""
    placed = folder / PARTS / f"{part.sha256}.parquet"
    return placed if part.aside is None or not part.aside.exists() else part.aside


def place(part: StagedPart, folder: Path) -> bool:
    """True when the part had to be moved into `folder`; False when it was there."""
    target = folder / PARTS / f"{part.sha256}.parquet"
    if part.aside is None or not part.aside.exists():
        return False
    move_into_place(part.aside, target)
    return True


def value_digest(table: pa.Table) -> str:
    """SHA-256 over names, types and values; chunks, dictionaries and the bytes under nulls make no difference."""
    digest = hashlib.sha256()
    for name in table.column_names:
        column = as_array(table[name])
        digest.update(f"{name}\0{column.type}\0{len(column)}\0".encode())
        for buffer in _value_buffers(column):
            digest.update(buffer)
    return digest.hexdigest()


def _value_buffers(column: pa.Array) -> Iterator[bytes | memoryview]:
    valid = np.asarray(column.is_valid().to_numpy(zero_copy_only=False))
    yield np.packbits(valid).tobytes()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string(column.type):
        texts = pa.concat_arrays([pc.fill_null(column, "")])
        yield pc.binary_length(texts).to_numpy(zero_copy_only=False).tobytes()
        offsets = np.frombuffer(texts.buffers()[1], dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]
        yield memoryview(texts.buffers()[2] or b"")[offsets[0] : offsets[-1]]
        return
    if pa.types.is_fixed_size_binary(column.type):
        yield fixed_rows(column).tobytes()
        return
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    zero = False if pa.types.is_boolean(column.type) else 0
    yield np.ascontiguousarray(pc.fill_null(column, zero).to_numpy(zero_copy_only=False)).tobytes()


def _joined(tables: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()
