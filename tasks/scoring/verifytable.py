"""Whether the tables of a finished run still hold what its ledger says, counted shard by shard."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.errors import InputError
from tasks.data.database import Table, connected, literal, plain_errors, quoted
from tasks.data.relations import tables
from tasks.scoring.destination import PREDICTIONS, REJECTS
from tasks.scoring.ledger import Entry
from tasks.scoring.tabledestination import TableDestination, table_destination
from tasks.scoring.tableledger import TableLedger

Counts = NDArray[np.int64]


def verify_table(output: str) -> list[str]:
    """A line for each shard whose rows in predictions or rejects are more, fewer or others than were written.

    Raises InputError where no finished run has written the table.
    """
    wanted = table_destination(output)
    shown = wanted.table.shown
    with plain_errors(wanted.database, shown), connected(wanted.database, "perennial verifies") as connection:
        ledger = TableLedger(connection, wanted.ledger, wanted.table.name)
        manifest = ledger.manifest()
        if manifest is None:
            raise InputError(f"{shown}: no finished scoring run has written it")
        absent = _absent(wanted, tables(connection, wanted.table))
        if absent:
            return absent
        entries = sorted(ledger.done(manifest["run_id"]).values(), key=lambda entry: (entry.source, entry.first))
        columns, run_id = manifest["columns"], literal(manifest["run_id"])
        with connection.cursor() as cursor:
            own = f"WHERE {quoted(columns['run_id'])} = {run_id}"
            cursor.execute(_places(wanted.table, columns["source"], columns["row"], own))
            scored, sums = _counted(cursor.fetch_record_batch(), entries)
            cursor.execute(_places(wanted.final(REJECTS), "source", "row", ""))
            rejected, more = _counted(cursor.fetch_record_batch(), entries)
    return _problems(entries, {"scored": scored, "rejected": rejected}, sums + more, shown)


def table_manifest(output: str) -> dict[str, Any]:
    """What the finished run of a table says of itself. Raises InputError where none has written it."""
    wanted = table_destination(output)
    shown = wanted.table.shown
    with plain_errors(wanted.database, shown), connected(wanted.database, "perennial looks back") as connection:
        manifest = TableLedger(connection, wanted.ledger, wanted.table.name).manifest()
    if manifest is None:
        raise InputError(f"{shown}: no finished scoring run has written it")
    return manifest


def _absent(wanted: TableDestination, present: set[str]) -> list[str]:
    due = [wanted.final(what) for what in (PREDICTIONS, REJECTS)]
    return [f"{table.shown}: the table is gone" for table in due if wanted.folded(table) not in present]


def _places(table: Table, source: str, row: str, condition: str) -> str:
    return f"SELECT {quoted(source)} AS source, {quoted(row)} AS number FROM {table.sql} {condition}"


def _counted(reader: pa.RecordBatchReader, entries: Sequence[Entry]) -> tuple[Counts, Counts]:
    """Rows of each shard, and the sums of their numbers; the last of both are those of no shard. [len(entries) + 1]."""
    counts, sums = (np.zeros(len(entries) + 1, dtype=np.int64) for _ in range(2))
    with reader:
        for batch in reader:
            rows = np.asarray(batch.column("number").cast(pa.int64()), dtype=np.int64)
            sources = batch.column("source").cast(pa.string()).dictionary_encode()
            for code, source in enumerate(sources.dictionary.to_pylist()):
                own = rows[np.asarray(sources.indices) == code]
                shards = _shards_of(own, source, entries)
                counts += np.bincount(shards, minlength=len(counts))
                np.add.at(sums, shards, own)
    return counts, sums


def _shards_of(rows: Counts, source: str, entries: Sequence[Entry]) -> Counts:
    own = np.array([i for i, entry in enumerate(entries) if entry.source == source], dtype=np.int64)
    firsts, lasts = (np.array([getattr(entries[i], end) for i in own], dtype=np.int64) for end in ("first", "last"))
    if not len(own):
        return np.full(len(rows), len(entries))
    found = np.maximum(np.searchsorted(firsts, rows, side="right") - 1, 0)
    inside = (rows >= firsts[found]) & (rows <= lasts[found])
    return np.where(inside, own[found], len(entries))


def _problems(entries: Sequence[Entry], counts: Mapping[str, Counts], sums: Counts, shown: str) -> list[str]:
    lines = []
    for i, entry in enumerate(entries):
        where = f"{shown}: rows {entry.first} to {entry.last} of {entry.source}"
        found = {what: int(count[i]) for what, count in counts.items()}
        differing = [
            f"{n} are {what}, and {getattr(entry, what)} were" for what, n in found.items() if n != getattr(entry, what)
        ]
        lines += [f"{where}: {'; '.join(differing)}"] if differing else []
        whole = entry.last - entry.first + 1 == entry.rows
        if not differing and whole and sums[i] != (entry.first + entry.last) * entry.rows // 2:
            lines.append(f"{where}: some are there twice and others not at all")
    strange = sum(int(count[-1]) for count in counts.values())
    return [*lines, *([f"{shown}: {strange} rows are of no shard"] if strange else [])]
