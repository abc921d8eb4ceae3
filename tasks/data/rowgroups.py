"""Parquet files written from many small tables, in row groups of a size that readers like."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

GROUP_ROWS = 1 << 16
GROUP_BYTES = 1 << 25
SEEN = 4096
"""Rows that tell whether the texts of a column repeat."""
PAGE_ROWS = 1 << 14
"""Rows after which the writer looks whether a page is full; each look costs as much as many rows."""


class RowGroups:
    """A writer of tables of one schema, which keeps them until they make a row group."""

    def __init__(self, path: Path, schema: pa.Schema, **options: Any) -> None:
        """`options` are those of `pyarrow.parquet.ParquetWriter`.

        Texts that repeat in the first rows are written by their distinct values. Of numbers with a fraction neither
        distinct values nor minimum and maximum are sought: both seldom help, and cost more than all the rest.
        """
        self._sink = pa.OSFile(str(path), "wb")
        self._schema, self._options = schema, options
        self._writer: pq.ParquetWriter | None = None
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
        if not self._sink.closed:
            try:
                self._write()
                if self._writer:
                    self._writer.close()
            finally:
                self._sink.close()

    def _write(self) -> None:
        kept, self._kept = self._kept, []
        self._rows = self._bytes = 0
        table = pa.concat_tables(kept) if kept else self._schema.empty_table()
        if self._writer is None:
            self._writer = self._open(table)
        if kept:
            self._writer.write_table(table)

    def _open(self, table: pa.Table) -> pq.ParquetWriter:
        first = table.slice(0, SEEN)
        repeated = [f.name for f in self._schema if _repeats(first[f.name])]
        ordered = [f.name for f in self._schema if not pa.types.is_floating(f.type)]
        options = {
            "use_dictionary": repeated,
            "write_statistics": ordered,
            # A column of a row group goes in at once.
            "write_batch_size": PAGE_ROWS,
            **self._options,
        }
        return pq.ParquetWriter(self._sink, self._schema, **options)


def _repeats(column: pa.ChunkedArray) -> bool:
    """Whether the texts of a column repeat so often that it pays to look for it."""
    if pa.types.is_dictionary(column.type):
        return True
    return bool(pa.types.is_string(column.type) and 2 * pc.count_distinct(column).as_py() <= len(column))


def with_own_dictionaries(table: pa.Table) -> pa.Table:
    """The table, without the values that a few rows of a large batch share with all of its others.

    Nor with a null among the values, which Parquet has no place for.
    """
    for number, field in enumerate(table.schema):
        column = table.column(number)
        if pa.types.is_dictionary(field.type) and any(map(_is_unfit, column.chunks)):
            table = table.set_column(number, field, column.cast(field.type.value_type).cast(field.type))
    return table


def _is_unfit(part: pa.DictionaryArray) -> bool:
    return len(part.dictionary) > len(part) or part.dictionary.null_count > 0
