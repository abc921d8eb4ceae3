"""Shards in tables: rows and ledger entry of a shard are one transaction, and a last one makes the tables visible."""

import hashlib
import os
import socket
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
from adbc_driver_manager import DatabaseError
from adbc_driver_manager.dbapi import Connection

from models.errors import OutsideError
from tasks.aside import HeldError, held
from tasks.data.database import Database, Table, answers, connect, literal, plain_errors, quoted, rows, run
from tasks.data.relations import tables
from tasks.scoring.destination import PREDICTIONS, REJECTS
from tasks.scoring.ledger import Entry, Pinned
from tasks.scoring.shards import Shard, Span
from tasks.scoring.tabledestination import TableDestination
from tasks.scoring.tablefree import require_free
from tasks.scoring.tableledger import TableLedger
from tasks.scoring.tablesums import CONTENTS, ROWS, own_names, sums_of
from tasks.scoring.writers import plain_schema

PATIENCE = 3.0
"""Seconds in which a server may notice that the process before is gone."""
PIECE_BYTES = 1 << 20
"""What fits into a socket's buffer: the server then takes one piece while the driver makes the next one."""
WAITING = "PRAGMA busy_timeout = 30000"
"""Lets a session of SQLite wait for others that write, in milliseconds."""


@contextmanager
def claimed_table(wanted: TableDestination, overwrite: bool) -> Iterator["TableSink"]:
    """The tables, with what an unfinished run has left of them, kept to this process inside the block.

    A run is finished when its tables are visible and the block has ended without an error.
    Raises InputError when they may not take their places, OutsideError when another run writes to them now.
    """
    me = f"process {os.getpid()} on {socket.gethostname()}"
    try:
        with _held_file(wanted, me) if wanted.database.dialect == "sqlite" else nullcontext():
            sink = TableSink(wanted, overwrite, me)
            try:
                yield sink
                sink.settle()
            finally:
                sink.close()
    except HeldError as other:
        raise _is_taken(wanted, str(other)) from None


def _held_file(wanted: TableDestination, holder: str) -> AbstractContextManager[object]:
    path, name = wanted.database.path, wanted.database.folded(wanted.table.name)
    return held(path.with_name(f".{path.name}.{quote(name, safe=' ')}.lock"), holder)


def _is_taken(wanted: TableDestination, holder: str) -> OutsideError:
    return OutsideError(f"{wanted.table.shown}: {holder} writes to it now; wait for it, or stop it first")


class TableSink:
    """One session writes and holds the lock, so that whoever has lost the lock can't write."""

    def __init__(self, wanted: TableDestination, overwrite: bool, holder: str) -> None:
        self.predictions: Path | str = wanted.final(PREDICTIONS).shown
        self.rejects: Path | str = wanted.final(REJECTS).shown
        self.wanted, self._overwrite, self._holder = wanted, overwrite, holder
        self._schemas: Mapping[str, pa.Schema] = {}
        self._connection = self._opened()
        try:
            with plain_errors(wanted.database, wanted.table.shown):
                self.pinned: Pinned | None = self._ledger.unfinished()
                require_free(self._connection, wanted, overwrite, self._ledger)
                self._connection.commit()
        except BaseException:
            self._connection.close()
            raise

    def require_writable(self, schema: pa.Schema) -> None:
        """Passes when a table can hold the columns."""
        self.wanted.require_writable(schema)

    def begin(self, pinned: Pinned, schemas: Mapping[str, pa.Schema]) -> dict[str, Entry]:
        """The shards that are done already."""
        self._schemas, self._holder = schemas, f"run {pinned.run_id}"
        for schema in schemas.values():
            self.wanted.require_writable(schema)
        with self._transaction() as connection:
            _tell(connection, self.wanted.database, self._holder)
            if self.pinned is None:
                self._ledger.create()
                self._create(connection)
                self._ledger.pin(pinned)
                self.pinned = pinned
            if self.wanted.database.dialect == "sqlite":
                self._ledger.keep_journal(_journal(connection))
            done = self._ledger.done(pinned.run_id)
        if self.wanted.database.dialect == "sqlite":
            # While a shard's transaction is open, others may read, such as this run its input.
            _set_journal(self._connection, "wal")
        return done

    @property
    def publishing(self) -> bool:
        """Whether the tables are visible already, and only what follows is left to do."""
        with self._transaction():
            return self._ledger.publishing

    def reset(self) -> None:
        """Takes away what an unfinished run has left; tables that are visible stay until others replace them."""
        if self.publishing:
            self.settle()
            return
        with self._transaction() as connection:
            for what in {PREDICTIONS, REJECTS, *self._schemas}:
                _drop(connection, self.wanted.staging(what))
            if self.pinned:
                self._ledger.forget(self.pinned.run_id)
        self.pinned = None

    def part(self, shard: Shard) -> "TablePart":
        """Takes the rows of a shard."""
        self._come_back()
        return TablePart(self._connection, self.wanted, self._ledger, self.pinned.run_id if self.pinned else "")

    def done(self, span: Span, after: str = "") -> dict[str, Entry]:
        """Those of the shards that are done already, and whose names stand behind `after`."""
        with self._transaction():
            return self._ledger.done(self.pinned.run_id, span, after) if self.pinned else {}

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """Makes the tables visible under their names, unless they are."""
        if self.publishing:
            return
        columns = own_names(PREDICTIONS, self._schemas[PREDICTIONS].names)
        with self._transaction() as connection:
            require_free(connection, self.wanted, self._overwrite, self._ledger)
            for what in self._schemas:
                final, staging = self.wanted.final(what), self.wanted.staging(what)
                _drop(connection, final)
                run(connection, f"ALTER TABLE {staging.sql} RENAME TO {quoted(final.name)}")
            self._ledger.finish(str(manifest["run_id"]), {**manifest, "columns": columns})

    def settle(self) -> None:
        """What follows after the tables became visible is done; nothing where they are not."""
        if self.publishing:
            with self._transaction():
                self._ledger.settle()
            self.pinned = None

    def close(self) -> None:
        """Ends the session; a run that has done nothing yet leaves nothing."""
        try:
            if answers(self._connection):
                if self.pinned and not self._ledger.publishing and not self._ledger.done(self.pinned.run_id):
                    self.reset()
                self._connection.rollback()
                if self.wanted.database.dialect == "sqlite":
                    self._give_journal_back()
        finally:
            self._connection.close()

    def _give_journal_back(self) -> None:
        """Where another run is at work in the database, its end does so."""
        before = self._ledger.kept_journal()
        if before:
            _set_journal(self._connection, before)
            if _journal(self._connection) == before:
                self._ledger.forget_journal()
            self._connection.commit()

    @property
    def _ledger(self) -> TableLedger:
        return TableLedger(self._connection, self.wanted.ledger, self.wanted.table.name)

    def _opened(self) -> Connection:
        """A session that holds the lock."""
        database = self.wanted.database
        connection = connect(database, f"perennial {self._holder}", writes=True)
        try:
            with plain_errors(database):
                if database.dialect == "postgresql":
                    _lock(connection, self.wanted)
                else:
                    # Views of a table that is replaced are then not looked into while it is gone.
                    run(connection, WAITING, "PRAGMA legacy_alter_table = ON")
        except BaseException:
            connection.close()
            raise
        return connection

    def _create(self, connection: Connection) -> None:
        for what, schema in self._schemas.items():
            table = self.wanted.staging(what)
            _drop(connection, table)
            with connection.cursor() as cursor:
                empty = plain_schema(schema).empty_table()
                cursor.adbc_ingest(table.name, empty, mode="create", db_schema_name=table.schema)

    def _come_back(self) -> None:
        """Opens a new session where the server was away; another run may have come meanwhile."""
        if answers(self._connection):
            return
        self._connection.close()
        self._connection = self._opened()
        with plain_errors(self.wanted.database, self.wanted.table.shown):
            now = self._ledger.unfinished()
            self._connection.commit()
        if self.pinned and (now is None or now.run_id != self.pinned.run_id):
            raise OutsideError(f"{self.wanted.table.shown}: another run took it while the server was away")

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        self._come_back()
        try:
            with plain_errors(self.wanted.database, self.wanted.table.shown):
                yield self._connection
                self._connection.commit()
        except BaseException:
            answers(self._connection)
            raise


class TablePart:
    """The open transaction of one shard."""

    def __init__(self, connection: Connection, wanted: TableDestination, ledger: TableLedger, run_id: str) -> None:
        self._connection, self._wanted, self._ledger, self._run_id = connection, wanted, ledger, run_id
        self._sums: Counter[str] = Counter()

    def write(self, what: str, table: pa.Table) -> int:
        """Appends rows."""
        if len(table):
            to = self._wanted.staging(what)
            with self._plain_errors(), self._connection.cursor() as cursor:
                cursor.adbc_ingest(to.name, _in_pieces(table), mode="append", db_schema_name=to.schema)
            self._sums.update(sums_of(what, table))
        return len(table)

    def commit(self, entry: Entry) -> Entry:
        """Rows and entry are there for good; where the server had them before it went away, these are dropped."""
        sums = {ROWS: self._sums[ROWS], CONTENTS: self._sums[CONTENTS] % 2**64}
        entry = replace(entry, sums={**entry.sums, **sums})
        with self._plain_errors():
            if not self._ledger.enter(self._run_id, entry):
                self._connection.rollback()
                return self._ledger.done(self._run_id)[entry.shard]
            self._connection.commit()
        return entry

    def discard(self) -> None:
        """Nothing of it is left."""
        answers(self._connection)

    def _plain_errors(self) -> AbstractContextManager[None]:
        return plain_errors(self._wanted.database, self._wanted.table.shown)


def _in_pieces(table: pa.Table) -> pa.RecordBatchReader:
    """The rows with plain texts, which the drivers take faster, in pieces of about `PIECE_BYTES`."""
    plain = table.cast(plain_schema(table.schema))
    return plain.to_reader(max(len(plain) * PIECE_BYTES // max(plain.nbytes, 1), 1))


def _drop(connection: Connection, table: Table) -> None:
    """Only in its own schema: its name alone could mean one in another schema of the server's search path."""
    if table.database.folded(table.name) in tables(connection, table):
        run(connection, f"DROP TABLE {table.sql}")


def _lock(connection: Connection, wanted: TableDestination) -> None:
    """Passes when this session keeps the output. Raises OutsideError that names who does otherwise."""
    schema = wanted.table.schema or rows(connection, "SELECT CAST(current_schema() AS text) AS name")[0]["name"]
    name = f"{schema}.{wanted.table.name}"
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
    until = time.monotonic() + PATIENCE
    while not rows(connection, f"SELECT pg_try_advisory_lock({key}) AS free")[0]["free"]:
        holders = rows(
            connection,
            "SELECT application_name AS name FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE granted "
            "AND locktype = 'advisory' AND objsubid = 1 AND "
            f"(CAST(classid AS bigint) << 32) | CAST(objid AS bigint) = {key}",
        )
        connection.commit()
        if time.monotonic() > until and holders:
            raise _is_taken(wanted, str(holders[0]["name"]).removeprefix("perennial "))
        time.sleep(PATIENCE / 20)
    connection.commit()


def _journal(connection: Connection) -> str:
    return str(rows(connection, "PRAGMA journal_mode")[0]["journal_mode"])


def _set_journal(connection: Connection, mode: str) -> None:
    """Nothing where others work with the database."""
    connection.adbc_connection.set_autocommit(True)
    with suppress(DatabaseError):
        rows(connection, f"PRAGMA journal_mode = {mode}")
    connection.adbc_connection.set_autocommit(False)


def _tell(connection: Connection, database: Database, holder: str) -> None:
    """Names the run to those that find the output taken."""
    if database.dialect == "postgresql":
        rows(connection, f"SELECT set_config('application_name', {literal(f'perennial {holder}')}, false)")
