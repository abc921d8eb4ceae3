"""Contents of the files that a column names: pictures and recordings, fetched in parallel, a bounded number at once.

What can't be fetched is a reason instead, so that its row becomes a reject like any other.
"""

import posixpath
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from models.columns import KINDS, ColumnSettings
from models.columns.cells import as_array, is_text, mask_missing, plain
from models.columns.kind import FileSettings
from tasks.data.batches import RawBatch, SourceFile
from tasks.data.fetching import Fetched, Hosts, Place, fetch

BYTES_AT_ONCE = 1 << 25
"""Of values as the graph takes them, and of files."""
ROWS_AT_ONCE = 256
WORKERS = 8
"""Rows whose files are read at the same time; most of the time is waiting."""
MOST_AHEAD = 32
"""Rows whose files are read or wait for those before them, where files are small."""
Row: TypeAlias = tuple[Fetched, ...]
"""What the files of one row hold, by column."""


def with_contents(
    batches: Iterator[RawBatch], file: SourceFile, columns: Mapping[str, ColumnSettings], missing: Sequence[str]
) -> Iterator[RawBatch]:
    """The batches, with what their columns of paths and URIs lead to; cut so that large values fit into memory.

    A piece holds files of at most `BYTES_AT_ONCE` bytes, or a single row. Beside it are those being read.
    """
    large = {name: settings for name, settings in columns.items() if isinstance(settings, FileSettings)}
    if not large:
        yield from batches
        return
    most = max(1, min(ROWS_AT_ONCE, BYTES_AT_ONCE // max(row_bytes(columns), 1)))
    places, hosts = {name: _place(file, settings) for name, settings in large.items()}, Hosts()
    with ThreadPoolExecutor(WORKERS) as pool:
        for batch in batches:
            paths = {name: texts for name in places if (texts := _paths(batch, name, missing)) is not None}
            rows = _fetched(list(zip(*paths.values(), strict=True)), [places[name] for name in paths], hosts, pool)
            yield from _pieces(batch, list(paths), rows, most) if paths else _cut(batch, most)


def row_bytes(columns: Mapping[str, ColumnSettings]) -> int:
    """Bytes of one row in the columns whose values have a shape."""
    found = ((KINDS[s.kind], KINDS[s.kind].shape(s)) for s in columns.values())
    return sum(int(np.prod(shape)) * np.dtype(kind.input_type).itemsize for kind, shape in found if shape)


def _place(file: SourceFile, settings: FileSettings) -> Place:
    return Place.at(file.filesystem, posixpath.join(posixpath.dirname(file.path), settings.folder))


def _paths(batch: RawBatch, name: str, missing: Sequence[str]) -> list[str | None] | None:
    """The column's paths and URIs, None where one is missing; None at all where it holds other than texts."""
    if name not in batch.table.column_names:
        return None
    cells = plain(as_array(batch.table[name]))
    texts: list[str | None] | None = mask_missing(cells, tuple(missing)).to_pylist() if is_text(cells.type) else None
    return texts


def _fetched(
    rows: Sequence[tuple[str | None, ...]], places: Sequence[Place], hosts: Hosts, pool: ThreadPoolExecutor
) -> Iterator[Row]:
    """What the rows' paths lead to, in their order; the smaller files are, the more are fetched ahead."""
    waiting: deque[Future[Row]] = deque()
    ahead = WORKERS
    try:
        for row in rows:
            waiting.append(pool.submit(_fetch_row, row, places, hosts))
            while len(waiting) >= ahead:
                found = waiting.popleft().result()
                ahead = min(MOST_AHEAD, max(WORKERS, BYTES_AT_ONCE // max(_size(found), 1)))
                yield found
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _fetch_row(paths: Sequence[str | None], places: Sequence[Place], hosts: Hosts) -> Row:
    return tuple(fetch(path, place, hosts) for path, place in zip(paths, places, strict=True))


def _size(row: Row) -> int:
    return sum(len(content) for content, _ in row if content is not None)


def _pieces(batch: RawBatch, names: Sequence[str], rows: Iterator[Row], most: int) -> Iterator[RawBatch]:
    """The batch in pieces of at most `most` rows and `BYTES_AT_ONCE` bytes of files; larger files come alone."""
    piece: list[Row] = []
    start = held = 0
    for row in rows:
        size = _size(row)
        if piece and (len(piece) == most or held + size > BYTES_AT_ONCE):
            yield _filled(_slice(batch, start, len(piece)), names, piece)
            start, held, piece = start + len(piece), 0, []
        piece.append(row)
        held += size
    yield _filled(_slice(batch, start, len(piece)), names, piece)


def _filled(piece: RawBatch, names: Sequence[str], rows: Sequence[Row]) -> RawBatch:
    found = {name: _structs([row[column] for row in rows]) for column, name in enumerate(names)}
    return replace(piece, gathered={**piece.gathered, **found})


def _structs(cells: Sequence[Fetched]) -> pa.Array:
    contents = pa.array([content for content, _ in cells], pa.large_binary())
    failures = pa.array([failure for _, failure in cells], pa.string())
    return pa.StructArray.from_arrays([contents, failures], ["content", "failure"])


def _cut(batch: RawBatch, most: int) -> Iterator[RawBatch]:
    for start in range(0, max(len(batch.rows), 1), most):
        yield _slice(batch, start, most)


def _slice(batch: RawBatch, start: int, rows: int) -> RawBatch:
    """Some rows of the batch; malformed and skipped ones go with the first."""
    part = batch.part(start, start + rows, () if start else batch.malformed)
    return part if start else replace(part, skipped=batch.skipped)
