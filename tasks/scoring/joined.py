"""An output as the workers of a run see it: claimed by the process that they work for, and written by each of them."""

import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
from adbc_driver_manager.dbapi import Connection

from models.errors import OutsideError
from tasks.aside import folder_aside
from tasks.data.database import connected, plain_errors, run
from tasks.scoring.claim import work_folder
from tasks.scoring.destination import AnyDestination, Destination
from tasks.scoring.ledger import Entry, Ledger
from tasks.scoring.outputs import Output
from tasks.scoring.remote import stores
from tasks.scoring.shards import Shard, Span
from tasks.scoring.sinks import FilePart, Takes
from tasks.scoring.store import SCRATCH, LocalStore, Store, WatchedStore
from tasks.scoring.tabledestination import TableDestination
from tasks.scoring.tableledger import TableLedger
from tasks.scoring.tables import WAITING, TablePart
from tasks.scoring.writers import Format


def joined(wanted: Output, run_id: str, schemas: Mapping[str, pa.Schema]) -> AbstractContextManager[Takes]:
    """The output of a run, whose shards several processes may take at once inside the block.

    Nothing is taken once the run has ended, or another one has taken its place. Raises OutsideError then, and where
    this machine sees another output than the one that the run has begun.
    """
    if isinstance(wanted, TableDestination):
        return _joined_table(wanted, run_id)
    return _joined_files(wanted, run_id, schemas)


def several_at_once(wanted: Output) -> bool:
    """Whether shards can be written at the same time."""
    return not (isinstance(wanted, TableDestination) and wanted.database.dialect == "sqlite")


@contextmanager
def _joined_files(wanted: AnyDestination, run_id: str, schemas: Mapping[str, pa.Schema]) -> Iterator["JoinedFiles"]:
    with _opened(wanted) as (parts, ledger):

        def watch() -> None:
            pinned = Ledger(ledger).pinned()
            if pinned is None or pinned.run_id != run_id:
                raise OutsideError(
                    f"{wanted.output}: a worker on {socket.gethostname()} finds no run {run_id} there; all machines of "
                    "the Ray cluster must reach the output under this name, and no other run may have replaced it"
                )

        watch()
        yield JoinedFiles(schemas, wanted.format, WatchedStore(parts, watch), Ledger(WatchedStore(ledger, watch)))


@contextmanager
def _opened(wanted: AnyDestination) -> Iterator[tuple[Store, Store]]:
    """The stores of the parts and of the ledger, with scratch folders that no other process uses."""
    if not isinstance(wanted, Destination):
        with folder_aside(Path(tempfile.gettempdir()), "perennial-upload") as folder:
            parts, ledger = stores(wanted, folder)
            yield parts, ledger.store
        return
    work, scratch = work_folder(wanted), f"{SCRATCH}/{socket.gethostname()}-{os.getpid()}-{uuid4().hex}"
    both = LocalStore(work / "out", scratch), LocalStore(work / "ledger", scratch)
    try:
        yield both
    finally:
        for store in both:
            store.remove(scratch)


class JoinedFiles:
    """Parts are files."""

    def __init__(self, schemas: Mapping[str, pa.Schema], form: Format, parts: Store, ledger: Ledger) -> None:
        self._schemas, self._format, self._parts, self._ledger = schemas, form, parts, ledger

    def part(self, shard: Shard) -> FilePart:
        """Takes the rows of a shard."""
        return FilePart(shard.name, self._schemas, self._format, self._parts, self._ledger)

    def done(self, span: Span, after: str = "") -> dict[str, Entry]:
        """Those of the shards that are done already, and whose names stand behind `after`."""
        return self._ledger.done(span, after)


@contextmanager
def _joined_table(wanted: TableDestination, run_id: str) -> Iterator["JoinedTable"]:
    with connected(wanted.database, f"perennial worker of {run_id}", writes=True) as connection:
        with plain_errors(wanted.database, wanted.table.shown):
            if wanted.database.dialect == "sqlite":
                run(connection, WAITING)
            ledger = TableLedger(connection, wanted.ledger, wanted.table.name)
            ledger.require_run(run_id)
            connection.commit()
        yield JoinedTable(connection, wanted, ledger, run_id)


class JoinedTable:
    """Each part is a transaction of a session of this process."""

    def __init__(self, connection: Connection, wanted: TableDestination, ledger: TableLedger, run_id: str) -> None:
        self._connection, self._wanted, self._ledger, self._run_id = connection, wanted, ledger, run_id

    def part(self, shard: Shard) -> TablePart:
        """Takes the rows of a shard."""
        return TablePart(self._connection, self._wanted, self._ledger, self._run_id)

    def done(self, span: Span, after: str = "") -> dict[str, Entry]:
        """Those of the shards that are done already, and whose names stand behind `after`."""
        with plain_errors(self._wanted.database, self._wanted.table.shown):
            found = self._ledger.done(self._run_id, span, after)
            self._connection.commit()
        return found
