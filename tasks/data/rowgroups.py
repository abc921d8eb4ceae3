"""Parquet files written from many small tables, in row groups of a size that readers like."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

GROUP_ROWS = 1 << 16
GROUP_BYTES = 1 << 25


class RowGroups:
    """A writer of tables of one schema, which keeps them until they make a row group."""

    def __init__(self, path: Path, schema: pa.Schema, **options: Any) -> None:
        """`options` are those of `pyarrow.parquet.ParquetWriter`."""
        self._writer = pq.ParquetWriter(path, schema, **options)
        self._kept: list[pa.Table] = []
        self._rows = self._bytes = 0

    def write_table(self, table: pa.Table) -> None:
        """Appends the rows; they are in the file when it is closed."""
        if not len(table):
            return
        table = with_own_dictionaries(table)
        self._kept.append(table)
        self._rows += len(table)
        self._bytes += table.nbytes
        if self._rows >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._write()

    def close(self) -> None:
        """Finishes the file; closing twice does nothing more."""
        self._write()
        self._writer.close()

    def _write(self) -> None:
        kept, self._kept = self._kept, []
        self._rows = self._bytes = 0
        if kept:
            self._writer.write_table(pa.concat_tables(kept))


def with_own_dictionaries(table: pa.Table) -> pa.Table:
    """The table, without the values that a few rows of a large batch share with all of its others."""
    for number, field in enumerate(table.schema):
        column = table.column(number)
        if pa.types.is_dictionary(field.type) and any(len(part.dictionary) > len(part) for part in column.chunks):
            table = table.set_column(number, field, column.cast(field.type.value_type).cast(field.type))
    return table
