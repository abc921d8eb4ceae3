"""Parquet and Feather files: typed columns, of which only the wanted ones are read."""

from collections.abc import Collection, Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from models.columns.cells import is_text
from models.errors import InputError
from tasks.data.batches import BATCH_BYTES, BATCH_ROWS, RawBatch, SourceFile, check_names, numbered, wanted_names


def read(file: SourceFile, columns: Collection[str] | None) -> Iterator[RawBatch]:
    """The rows of the file in batches. Raises InputError when it is truncated or of another format."""
    tables = _parquet(file, columns) if file.format == "parquet" else _feather(file, columns)
    return numbered(tables, file.path)


def peek(file: SourceFile) -> tuple[pa.Schema, int | None]:
    """The schema and the number of rows."""
    if file.format == "parquet":
        with _open_parquet(file) as opened:
            return opened.schema_arrow, opened.metadata.num_rows
    with _open_feather(file) as reader:
        return reader.schema, None


def _parquet(file: SourceFile, columns: Collection[str] | None) -> Iterator[pa.Table]:
    with _open_parquet(file) as plain:
        schema = plain.schema_arrow
    check_names(schema.names, file.path)
    wanted = wanted_names(schema.names, columns)
    texts = [field.name for field in schema if field.name in wanted and is_text(field.type)]
    with _open_parquet(file, texts) as opened:
        if not opened.metadata.num_rows:
            raise InputError(f"{file.path}: no rows")
        for batch in opened.iter_batches(_rows_at_once(opened.metadata), columns=wanted or None, use_threads=True):
            yield pa.Table.from_batches([batch]).select(wanted)


def _rows_at_once(metadata: pq.FileMetaData) -> int:
    """Fewer rows where they are large, as those with whole pictures are."""
    size = sum(int(metadata.row_group(group).total_byte_size) for group in range(metadata.num_row_groups))
    rows = int(metadata.num_rows)
    return max(1, min(BATCH_ROWS, BATCH_BYTES * rows // max(size, 1)))


def _open_parquet(file: SourceFile, texts: Collection[str] = ()) -> pq.ParquetFile:
    """Texts are read as dictionaries: a value is decoded once per row group instead of once per row."""
    try:
        return pq.ParquetFile(file.path, filesystem=file.filesystem, read_dictionary=list(texts), pre_buffer=True)
    except pa.ArrowInvalid as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"{file.path}: not a Parquet file or truncated ({reason})") from None


def _feather(file: SourceFile, columns: Collection[str] | None) -> Iterator[pa.Table]:
    with _open_feather(file) as reader:
        check_names(reader.schema.names, file.path)
        wanted = wanted_names(reader.schema.names, columns)
        batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
        empty = True
        for batch in batches:
            empty = empty and not batch.num_rows
            yield pa.Table.from_batches([batch]).select(wanted)
    if empty:
        raise InputError(f"{file.path}: no rows")


def _open_feather(file: SourceFile) -> pa.ipc.RecordBatchFileReader:
    opened = file.filesystem.open_input_file(file.path)
    try:
        return pa.ipc.open_file(opened)
    except pa.ArrowInvalid as error:
        opened.seek(0)
        if opened.read(4) == b"FEA1":
            raise InputError(f"{file.path}: Feather version 1; write it again as version 2 or as Parquet") from None
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"{file.path}: not a Feather file or truncated ({reason})") from None
