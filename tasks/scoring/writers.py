"""Files of rows in each format, written table by table, and many of them joined to one."""

import gzip
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Literal, Protocol

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from tasks.data.rowgroups import RowGroups
from tasks.scoring.jsontext import json_lines

Format = Literal["parquet", "csv", "jsonl", "feather"]
COPIED = 1 << 22
"""Bytes at a time."""


class TableWriter(Protocol):
    """Something that takes tables one after the other."""

    def write_table(self, table: pa.Table) -> None:
        """Appends the rows."""

    def close(self) -> None:
        """Finishes the file."""


def open_writer(path: Path, schema: pa.Schema, form: Format) -> TableWriter:
    """A writer of tables of one schema. CSV files get no header, so that they can be joined."""
    if form == "parquet":
        # Without Arrow's own schema, texts that are dictionaries here are plain texts to every reader.
        return RowGroups(path, schema, store_schema=False)
    if form == "csv":
        return CsvWriter(path, schema)
    return JsonLinesWriter(path) if form == "jsonl" else FeatherWriter(path, schema)


class CsvWriter:
    """Arrow's CSV writer, which takes no dictionaries."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._plain = plain_schema(schema)
        options = pyarrow.csv.WriteOptions(include_header=False)
        self._writer = pyarrow.csv.CSVWriter(path, self._plain, write_options=options)

    def write_table(self, table: pa.Table) -> None:
        """Appends the rows."""
        self._writer.write_table(table.cast(self._plain))

    def close(self) -> None:
        """Finishes the file."""
        self._writer.close()


class FeatherWriter:
    """Compressed, and with plain texts, as dictionaries would have to agree over the whole file."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._plain = plain_schema(schema)
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        self._sink = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_file(self._sink, self._plain, options=options)

    def write_table(self, table: pa.Table) -> None:
        """Appends the rows."""
        self._writer.write_table(table.cast(self._plain))

    def close(self) -> None:
        """Finishes the file."""
        self._writer.close()
        self._sink.close()


class JsonLinesWriter:
    """One JSON object a line, see `json_lines`."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("wb")

    def write_table(self, table: pa.Table) -> None:
        """Appends the rows."""
        for batch in table.to_batches():
            self._file.write(json_lines(batch))

    def close(self) -> None:
        """Finishes the file."""
        self._file.close()


def join(parts: Sequence[pa.NativeFile], path: Path, schema: pa.Schema, form: Format) -> None:
    """One file of the rows of all parts, in their order; compressed where its name says so."""
    if form in ("parquet", "feather"):
        writer = open_writer(path, schema, form)
        for part in parts:
            for table in _tables(part, schema, form):
                writer.write_table(table)
        writer.close()
        return
    with gzip.open(path, "wb", compresslevel=6) if path.suffix.lower() == ".gz" else path.open("wb") as file:
        if form == "csv":
            header = pa.BufferOutputStream()
            pyarrow.csv.write_csv(plain_schema(schema).empty_table(), header)
            file.write(header.getvalue())
        for part in parts:
            shutil.copyfileobj(part, file, COPIED)


def _tables(part: pa.NativeFile, schema: pa.Schema, form: Format) -> Iterator[pa.Table]:
    if form == "feather":
        reader = pa.ipc.open_file(part)
        yield from (pa.Table.from_batches([reader.get_batch(i)]) for i in range(reader.num_record_batches))
        return
    texts = [f.name for f in schema if pa.types.is_dictionary(f.type)]
    with pq.ParquetFile(part, read_dictionary=texts) as opened:
        for batch in opened.iter_batches():
            yield pa.Table.from_batches([batch]).cast(schema)


def stated_rows(path: Path | pa.NativeFile, form: Format) -> int | None:
    """Rows of a finished file, where its format states them."""
    return int(pq.read_metadata(path).num_rows) if form == "parquet" else None


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The schema without dictionaries."""
    return pa.schema([pa.field(f.name, value_type(f.type)) for f in schema])


def value_type(kind: pa.DataType) -> pa.DataType:
    """The type of the values, whether a dictionary holds them or not."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind
