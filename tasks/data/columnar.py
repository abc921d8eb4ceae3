"""Parquet and Feather files: typed columns, of which only the wanted ones are read."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from models.columns.cells import is_text
from models.errors import InputError
from tasks.data.batches import (
    BATCH_BYTES,
    BATCH_ROWS,
    NoRowsError,
    RawBatch,
    SourceFile,
    check_names,
    numbered,
    wanted_names,
)

PAGES = 1 << 20
"""Bytes of a column that are read from a disk at once."""
FEW_BYTES = 8
"""Of a text in the file, on average; what repeats takes fewer, as it is stored as a place among the distinct texts."""


def read(
    file: SourceFile, columns: Collection[str] | None, first: int = 1, last: int | None = None
) -> Iterator[RawBatch]:
    """The rows of the file in batches. Raises InputError when it is truncated or of another format.

    Of Parquet, row groups that end before row number `first` or begin behind `last` are not read. Whichever these are,
    batches end at the same rows.
    """
    if file.format == "feather":
        return numbered(_feather(file, columns), file.path)
    return _parquet(file, columns, first, last)


def peek(file: SourceFile) -> tuple[pa.Schema, int | None]:
    """The schema and the number of rows; texts that are read as dictionaries are such."""
    if file.format == "parquet":
        with _open_parquet(file) as opened:
            schema = opened.schema_arrow
            for name in _repeated(opened.metadata, schema):
                schema = schema.set(
                    schema.get_field_index(name), pa.field(name, pa.dictionary(pa.int32(), pa.string()))
                )
            return schema, opened.metadata.num_rows
    with _open_feather(file) as reader:
        return _usual(reader.schema.empty_table()).schema, None


def stops(file: SourceFile, most: int) -> list[int]:
    """Numbers of the last rows of the pieces of a Parquet file that are read at a time, each of at most `most` rows."""
    with _open_parquet(file) as opened:
        units = _units(opened.metadata)
    found = [0]
    held = 0
    for _, rows in units:
        if held and held + rows > most:
            found.append(found[-1] + held)
            held = 0
        held += rows
        while held > most:
            found.append(found[-1] + most)
            held -= most
    return [*found[1:], found[-1] + held] if held else found[1:]


def _parquet(file: SourceFile, columns: Collection[str] | None, first: int, last: int | None) -> Iterator[RawBatch]:
    with _open_parquet(file) as plain:
        schema, metadata = plain.schema_arrow, plain.metadata
    check_names(schema.names, file.path)
    wanted = wanted_names(schema.names, columns)
    texts = [name for name in _repeated(metadata, schema) if name in wanted]
    with _open_parquet(file, texts, metadata) as opened:
        if not opened.metadata.num_rows:
            raise NoRowsError(f"{file.path}: no rows")
        size, start = _rows_at_once(opened.metadata), 1
        for groups, rows in _units(opened.metadata):
            if start + rows > first and (last is None or start <= last):
                yield from _together_or_apart(start, first, opened, groups, size, wanted, file.path)
            start += rows


def _together_or_apart(
    start: int, first: int, opened: pq.ParquetFile, groups: Sequence[int], size: int, wanted: list[str], path: str
) -> Iterator[RawBatch]:
    """Rows of groups that begin with number `start`, at least those from `first` on.

    The groups are read one by one where some are damaged, so that the others are not lost.
    """
    reached = start
    try:
        for batch in _numbered_from(start, opened, groups, size, wanted, path):
            yield batch
            reached = int(batch.rows[-1]) + 1
        return
    except (pa.ArrowException, OSError):
        if len(groups) == 1:
            raise
    for group in groups:
        end = start + int(opened.metadata.row_group(group).num_rows)
        if end > max(reached, first):
            for batch in _numbered_from(start, opened, [group], size, wanted, path):
                fresh = int(np.searchsorted(batch.rows, reached))
                if fresh < len(batch.rows):
                    yield batch.part(fresh, len(batch.rows))
        start = end


def _numbered_from(
    start: int, opened: pq.ParquetFile, groups: Sequence[int], size: int, wanted: list[str], path: str
) -> Iterator[RawBatch]:
    for batch in opened.iter_batches(size, row_groups=groups, columns=wanted or None, use_threads=True):
        table = pa.Table.from_batches([batch]).select(wanted)
        yield RawBatch(path, np.arange(start, start + batch.num_rows, dtype=np.int64), table)
        start += batch.num_rows


def _repeated(metadata: pq.FileMetaData, schema: pa.Schema) -> list[str]:
    """Columns of texts that repeat: a value is decoded once per row group instead of once per row."""
    texts = {field.name for field in schema if is_text(field.type)}
    bytes_of, values = Counter[str](), Counter[str]()
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            if column.path_in_schema in texts:
                bytes_of[column.path_in_schema] += column.total_uncompressed_size
                values[column.path_in_schema] += column.num_values
    return [name for name in schema.names if bytes_of[name] < FEW_BYTES * values[name]]


def _units(metadata: pq.FileMetaData) -> list[tuple[list[int], int]]:
    """Row groups that are read together, and their rows: one, or neighbours up to a batch where they are small."""
    found: list[tuple[list[int], int]] = []
    for group in range(metadata.num_row_groups):
        rows = int(metadata.row_group(group).num_rows)
        if found and found[-1][1] + rows <= BATCH_ROWS:
            found[-1] = ([*found[-1][0], group], found[-1][1] + rows)
        else:
            found.append(([group], rows))
    return found


def _rows_at_once(metadata: pq.FileMetaData) -> int:
    """Fewer rows where they are large, as those with whole pictures are."""
    size = sum(int(metadata.row_group(group).total_byte_size) for group in range(metadata.num_row_groups))
    rows = int(metadata.num_rows)
    return max(1, min(BATCH_ROWS, BATCH_BYTES * rows // max(size, 1)))


def _open_parquet(
    file: SourceFile, texts: Collection[str] = (), metadata: pq.FileMetaData | None = None
) -> pq.ParquetFile:
    """`texts` are read as dictionaries; `metadata` that is known already is not read again."""
    near = isinstance(file.filesystem, fs.LocalFileSystem)
    # Pages of a disk are read when they are needed; to a store few and large requests are worth the memory.
    how = {"pre_buffer": False, "buffer_size": PAGES} if near else {"pre_buffer": True}
    known = {"filesystem": file.filesystem, "read_dictionary": list(texts), "metadata": metadata}
    try:
        return pq.ParquetFile(file.path, **known, **how)
    except pa.ArrowInvalid as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"{file.path}: not a Parquet file or truncated ({reason})") from None


def _feather(file: SourceFile, columns: Collection[str] | None) -> Iterator[pa.Table]:
    with _open_feather(file) as whole:
        names = whole.schema.names
    check_names(names, file.path)
    wanted = wanted_names(names, columns)
    with _open_feather(file, [names.index(name) for name in wanted]) as reader:
        batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
        empty = True
        for batch in batches:
            empty = empty and not batch.num_rows
            yield _usual(pa.Table.from_batches([batch]).select(wanted))
    if empty:
        raise NoRowsError(f"{file.path}: no rows")


def _usual(table: pa.Table) -> pa.Table:
    """The table without types of which Arrow takes no single rows: views, and values with how often they repeat."""
    for number, field in enumerate(table.schema):
        column = table.column(number)
        if pa.types.is_run_end_encoded(field.type):
            decoded = [pc.run_end_decode(chunk) for chunk in column.chunks]
            table = table.set_column(number, field.name, pa.chunked_array(decoded, field.type.value_type))
        elif pa.types.is_string_view(field.type) or pa.types.is_binary_view(field.type):
            usual = pa.large_string() if pa.types.is_string_view(field.type) else pa.large_binary()
            table = table.set_column(number, field.name, column.cast(usual))
    return table


def _open_feather(file: SourceFile, fields: list[int] | None = None) -> pa.ipc.RecordBatchFileReader:
    """Reads the columns at these positions alone, or all where there are none."""
    opened = file.filesystem.open_input_file(file.path)
    try:
        return pa.ipc.open_file(opened, options=pa.ipc.IpcReadOptions(included_fields=fields or None))
    except pa.ArrowInvalid as error:
        opened.seek(0)
        if opened.read(4) == b"FEA1":
            raise InputError(f"{file.path}: Feather version 1; write it again as version 2 or as Parquet") from None
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"{file.path}: not a Feather file or truncated ({reason})") from None
