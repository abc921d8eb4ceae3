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
from numpy.typing import NDArray

from models.columns.cells import as_array, fixed_rows, is_text, plain
from tasks.data.checks import Checked
from tasks.data.layout import ROW
from tasks.data.manifest import PARTS, move_into_place
from tasks.data.rowgroups import with_own_dictionaries

PART_ROWS = 1 << 18
"""Rows of a file that share a part; counted in the file, so that bad rows don't move the borders of later parts."""


PART_BYTES = 1 << 26
"""Of pictures and other large values in one part."""
TEXT_BYTES = 1 << 28
"""Of the texts of one column in one part; Arrow counts those of an array up to 2 GB."""


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
    """The accepted rows of one file, one table per `part_rows` rows of the file, with `perennial.row`.

    Where texts of a column take more than `TEXT_BYTES`, a table ends before the row that is too much. Borders follow
    from the rows of the file alone, whatever the batches: rows that are added leave earlier parts as they are.
    """
    pending: list[pa.Table] = []
    current, held = 0, np.zeros(1, dtype=np.int64)
    for number, table in _by_number(batches, part_rows):
        if pending and number != current:
            yield _joined(pending)
            pending, held = [], np.zeros(1, dtype=np.int64)
        current = number
        while len(table):
            sizes = held + np.cumsum(_text_bytes(table), axis=0)
            fitting = int(np.searchsorted(sizes.max(axis=1), TEXT_BYTES, side="right"))
            if fitting or not pending:
                taken = max(fitting, 1)
                pending.append(table.slice(0, taken))
                table, held = table.slice(taken), sizes[taken - 1]
            if len(table):
                yield _joined(pending)
                pending, held = [], np.zeros(1, dtype=np.int64)
    if pending:
        yield _joined(pending)


def _by_number(batches: Iterable[Checked], part_rows: int) -> Iterator[tuple[int, pa.Table]]:
    """The rows of the batches by the number of their block of `part_rows` rows of the file."""
    for checked in batches:
        table = checked.table.append_column(ROW, pa.array(checked.rows))
        numbers = (checked.rows - 1) // part_rows
        for number in np.unique(numbers):
            low, high = np.searchsorted(numbers, [number, number + 1])
            yield int(number), table.slice(low, high - low)


def _text_bytes(table: pa.Table) -> NDArray[np.int64]:
    """Bytes of each text, [N, C]; a column of zeros at least."""
    columns = [as_array(column) for column in table.columns]
    texts = [column for column in columns if is_text(plain(column.slice(0, 0)).type)]
    return np.stack([np.zeros(len(table), dtype=np.int64), *map(_lengths, texts)], axis=1)


def _lengths(texts: pa.Array) -> NDArray[np.int64]:
    if pa.types.is_dictionary(texts.type):
        lengths = pc.binary_length(texts.dictionary).take(texts.indices)
    else:
        lengths = pc.binary_length(texts)
    return np.asarray(pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False), dtype=np.int64)


def stage(table: pa.Table, folder: Path, aside: Path) -> StagedPart:
    """The table written into `aside`, unless a part of the same values is in `folder` already; its time is now then."""
    digest = value_digest(table)
    placed = folder / PARTS / f"{digest}.parquet"
    if placed.exists():
        os.utime(placed)
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
    # Rows of rejects and of other parts have left their words in the dictionaries, which may be any number.
    return pa.concat_tables(map(with_own_dictionaries, tables)).unify_dictionaries().combine_chunks()
