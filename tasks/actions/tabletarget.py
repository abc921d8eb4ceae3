"""Tables of databases as places that rows go to."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from adbc_driver_manager.dbapi import Connection

from tasks.data.database import (
    Table,
    alone_in_making_tables,
    connected,
    literal,
    locate,
    plain_errors,
    rows,
    run,
    table_of,
)

DELIVERIES = "perennial_deliveries"


@contextmanager
def open_table(address: str) -> Iterator["DatabaseTarget"]:
    """The table behind an address such as sqlite:///shop.db#refunds; it is made when the first rows come."""
    database, fragment = locate(address)
    table = table_of(database, fragment)
    with plain_errors(database, table.shown), connected(database, "perennial delivers", writes=True) as connection:
        yield DatabaseTarget(connection, table)


class DatabaseTarget:
    """Appends rows, and notes in a table beside which parcels have arrived."""

    def __init__(self, connection: Connection, table: Table) -> None:
        self._connection, self._table = connection, table
        self._noted = Table(table.database, table.schema, DELIVERIES)

    def append(self, rows_: pa.Table, run_id: str, shard: str) -> None:
        """Adds the rows in one transaction; nothing where those of that run and shard are there already."""
        with alone_in_making_tables(self._connection, self._table.database):
            self._append(rows_, run_id, shard)

    def _append(self, rows_: pa.Table, run_id: str, shard: str) -> None:
        own = f"run_id = {literal(run_id)} AND shard = {literal(shard)} AND target = {literal(self._table.name)}"
        run(
            self._connection,
            f"CREATE TABLE IF NOT EXISTS {self._noted.sql} (run_id text, shard text, target text, "
            "PRIMARY KEY (run_id, shard, target))",
        )
        if not rows(self._connection, f"SELECT run_id FROM {self._noted.sql} WHERE {own}"):
            run(
                self._connection,
                f"INSERT INTO {self._noted.sql} VALUES "
                f"({literal(run_id)}, {literal(shard)}, {literal(self._table.name)})",
            )
            with self._connection.cursor() as cursor:
                cursor.adbc_ingest(self._table.name, rows_, mode="create_append", db_schema_name=self._table.schema)
        self._connection.commit()
