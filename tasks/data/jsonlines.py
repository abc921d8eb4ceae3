"""JSON lines: one object a line, keys may be missing, types may change from line to line."""

import io
import json
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json as pj

from models.errors import InputError
from tasks.data.batches import BATCH_ROWS, Malformed, RawBatch, SourceFile, check_names, wanted_names

CHUNK = 1 << 23
NOT_JSON = "not a JSON object"
SHOWN = 2000


def read(file: SourceFile, columns: Collection[str] | None) -> Iterator[RawBatch]:
    """The rows of the file; lines that are no JSON object come as malformed.

    A key that the first chunk knows is null in later chunks without it. Raises InputError for a file without rows.
    """
    start, known = 1, tuple[str, ...]()
    for lines in _chunks(file):
        table, rows, malformed = _parse(lines, start)
        if not table.column_names:
            table = pa.table({name: pa.nulls(0) for name in known or columns or ()})
        known = known or tuple(table.column_names)
        check_names(table.column_names, file.path)
        for name in known:
            if name not in table.column_names:
                table = table.append_column(name, pa.nulls(len(table)))
        order = [*known, *(name for name in table.column_names if name not in known)]
        table = table.select(wanted_names(order, columns))
        yield from _sliced(RawBatch(file.path, rows, table, malformed))
        start += len(lines)
    if start == 1:
        raise InputError(f"{file.path}: no rows")


def peek(file: SourceFile) -> tuple[pa.Schema, int | None]:
    """Names and types of the first chunk."""
    for lines in _chunks(file):
        return _parse(lines, 1)[0].schema, None
    raise InputError(f"{file.path}: no rows")


def _chunks(file: SourceFile) -> Iterator[list[bytes]]:
    """Lines that are not blank, about `CHUNK` bytes of them at a time."""
    rest = b""
    first = True
    with file.filesystem.open_input_stream(file.path) as stream:
        while block := stream.read(CHUNK):
            if first:
                block = block.removeprefix(b"\xef\xbb\xbf")
                _refuse_array(block, file.path)
                first = False
            whole, newline, rest_of_block = block.rpartition(b"\n")
            if not newline:
                rest += block
                continue
            lines = [line for line in (rest + whole).split(b"\n") if line.strip()]
            rest = rest_of_block
            if lines:
                yield lines
    if rest.strip():
        yield [rest]


def _refuse_array(block: bytes, path: str) -> None:
    if block.lstrip().startswith(b"["):
        raise InputError(f"{path}: a JSON array, not JSON lines; write one object a line")


def _parse(lines: list[bytes], start: int) -> tuple[pa.Table, np.ndarray, tuple[Malformed, ...]]:
    rows = np.arange(start, start + len(lines), dtype=np.int64)
    table = _parse_fast(b"\n".join(lines))
    if table is not None and len(table) == len(lines):
        return table, rows, ()
    return _parse_each(lines, rows)


def _parse_fast(data: bytes) -> pa.Table | None:
    """The table where all lines agree on their types.

    Texts that look like times stay texts, because in the next chunk they may not.
    """
    options = pj.ReadOptions(block_size=len(data) + 1, use_threads=False)
    try:
        table = pj.read_json(io.BytesIO(data), read_options=options)
        stamps = [field.name for field in table.schema if pa.types.is_timestamp(field.type)]
        if not stamps:
            return table
        texts = pj.ParseOptions(explicit_schema=pa.schema([(name, pa.string()) for name in stamps]))
        return pj.read_json(io.BytesIO(data), read_options=options, parse_options=texts)
    except pa.ArrowInvalid:
        return None


def _parse_each(lines: list[bytes], rows: np.ndarray) -> tuple[pa.Table, np.ndarray, tuple[Malformed, ...]]:
    """Line by line: the slow way, for chunks with a damaged line or a key of mixed types."""
    objects: list[dict[str, Any]] = []
    good = np.ones(len(lines), dtype=bool)
    malformed: list[Malformed] = []
    for position, line in enumerate(lines):
        try:
            parsed = json.loads(line)
        except (ValueError, RecursionError):
            parsed = None
        if isinstance(parsed, dict) and parsed:
            objects.append(parsed)
        else:
            good[position] = False
            malformed.append(Malformed(int(rows[position]), line[:SHOWN].decode("utf-8", "replace"), NOT_JSON))
    names = list(dict.fromkeys(name for found in objects for name in found))
    table = pa.table({name: _column([found.get(name) for found in objects]) for name in names})
    return table, rows[good], tuple(malformed)


def _column(cells: list[Any]) -> pa.Array:
    """The values in one type where they have one, else as texts."""
    try:
        return pa.array(cells)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array(
            [cell if cell is None or isinstance(cell, str) else json.dumps(cell) for cell in cells], pa.string()
        )


def _sliced(batch: RawBatch) -> Iterator[RawBatch]:
    if len(batch.rows) <= BATCH_ROWS:
        yield batch
        return
    bad = np.array([row.row for row in batch.malformed], dtype=np.int64)
    low = 0
    for start in range(0, len(batch.rows), BATCH_ROWS):
        rows = batch.rows[start : start + BATCH_ROWS]
        last = start + BATCH_ROWS >= len(batch.rows)
        high = np.iinfo(np.int64).max if last else int(rows[-1])
        some = tuple(batch.malformed[i] for i in np.flatnonzero((bad > low) & (bad <= high)))
        yield RawBatch(batch.source, rows, batch.table.slice(start, len(rows)), some)
        low = high
