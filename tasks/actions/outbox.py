"""The outbox: rows that wait to be delivered, one Parquet file for each shard and action."""

from pathlib import Path

import pyarrow as pa

from tasks.aside import flush_to_disk
from tasks.data.rowgroups import RowGroups

ACTIONS_FILE = "actions.json"
"""Beside outboxes: what is delivered, and where."""


class OutboxWriter:
    """Writes the outbox of one shard and action from many small tables; equal rows give equal bytes."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        """`schema` is that of the tables which `Actions.select` gives; raises OSError when the disk refuses."""
        self._path = path
        self._plain = pa.schema([pa.field(f.name, _plain(f.type)) for f in schema])
        self._rows = RowGroups(path, self._plain, store_schema=False)

    def write_table(self, table: pa.Table) -> None:
        """Appends the rows."""
        self._rows.write_table(table.cast(self._plain))

    def close(self) -> None:
        """Finishes the file; it is on the disk when this returns, and may be renamed into place."""
        self._rows.close()
        flush_to_disk(self._path)


def write_outbox(path: Path, table: pa.Table) -> None:
    """The rows as an outbox file of their own; an outbox without rows is a file as well."""
    writer = OutboxWriter(path, table.schema)
    writer.write_table(table)
    writer.close()


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
