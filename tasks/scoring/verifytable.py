"""Whether the tables of a finished run still hold what its ledger says, counted and compared shard by shard."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from adbc_driver_manager.dbapi import Connection
from numpy.typing import NDArray

from models.columns.cells import as_array
from models.errors import InputError
from tasks.data.database import Table, connected, plain_errors, quoted
from tasks.data.dialects import DIALECTS
from tasks.data.rejects import SCHEMA
from tasks.data.relations import tables
from tasks.scoring.destination import PREDICTIONS, REJECTS
from tasks.scoring.ledger import Entry, Pinned
from tasks.scoring.tabledestination import TableDestination, table_destination
from tasks.scoring.tableledger import TableLedger
from tasks.scoring.tablesums import COMPARED, CONTENTS, ROWS, hash_contents, own_names

Counts = NDArray[np.int64]
SQLITE = {"row": ("INTEGER", pa.int64()), "probability": ("REAL", pa.float64()), "value": ("REAL", pa.float64())}
"""Types of columns that hold no texts; each value of SQLite has a type of its own."""


def verify_table(output: str) -> list[str]:
    """A line for each shard whose rows in predictions or rejects are more, fewer or others than were written.

    Of the values those of the columns in `COMPARED` count. Raises InputError where no finished run has written the
    table.
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
        found = Found(sorted(ledger.done(manifest["run_id"]).values(), key=lambda entry: (entry.source, entry.first)))
        for what, names in ((PREDICTIONS, manifest["columns"]), (REJECTS, own_names(REJECTS, SCHEMA.names))):
            absent = _absent_columns(connection, wanted.final(what), names)
            if absent:
                return absent
            with closing(_read(connection, wanted.final(what), names)) as pieces:
                for piece in pieces:
                    found.add(what, piece, manifest["run_id"])
    return list(found.problems(shown))


def table_manifest(output: str) -> dict[str, Any]:
    """What the finished run of a table says of itself. Raises InputError where none has written it."""
    wanted = table_destination(output)
    shown = wanted.table.shown
    with plain_errors(wanted.database, shown), connected(wanted.database, "perennial looks back") as connection:
        manifest = TableLedger(connection, wanted.ledger, wanted.table.name).manifest()
    if manifest is None:
        raise InputError(f"{shown}: no finished scoring run has written it")
    return manifest


def unfinished_table(wanted: TableDestination) -> Pinned | None:
    """What a run has pinned that did not come to its end."""
    with plain_errors(wanted.database, wanted.table.shown), connected(wanted.database, "perennial looks") as connection:
        return TableLedger(connection, wanted.ledger, wanted.table.name).unfinished()


def _absent(wanted: TableDestination, present: set[str]) -> list[str]:
    due = [wanted.final(what) for what in (PREDICTIONS, REJECTS)]
    return [f"{table.shown}: the table is gone" for table in due if wanted.folded(table) not in present]


def _absent_columns(connection: Connection, table: Table, names: Mapping[str, str]) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table.sql} LIMIT 0")
        present = cursor.fetch_arrow_table().column_names
    return [f"{table.shown}: the column {name!r} is gone" for name in names.values() if name not in present]


def _read(connection: Connection, table: Table, names: Mapping[str, str]) -> Generator[pa.Table, None, None]:
    """The columns that count and are compared, under their own names."""
    chosen = {base: f"q.{quoted(name)}" for base, name in names.items()}
    types = {base: SQLITE.get(base, ("TEXT", pa.string())) for base in names}
    if table.database.dialect == "sqlite":
        chosen = {base: f"CAST({value} AS {types[base][0]})" for base, value in chosen.items()}
    schema = pa.schema([(base, kind) for base, (_, kind) in types.items()])
    return DIALECTS[table.database.dialect].stream(connection, chosen, schema, f"FROM {table.sql} AS q")


class Found:
    """What is there of each shard; the last of all arrays is of the rows that belong to none."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        """`entries` in the order of sources and rows."""
        self._entries = entries
        self._counts = {what: np.zeros(len(entries) + 1, dtype=np.int64) for what in (PREDICTIONS, REJECTS)}
        self._numbers = np.zeros(len(entries) + 1, dtype=np.int64)
        self._hashes = np.zeros(len(entries) + 1, dtype=np.uint64)

    def add(self, what: str, rows: pa.Table, run_id: str) -> None:
        """Counts rows of a table."""
        numbers = np.asarray(pc.fill_null(as_array(rows["row"]).cast(pa.int64()), -1), dtype=np.int64)
        shards = np.full(len(rows), len(self._entries))
        own = np.ones(len(rows), dtype=np.bool_)
        if "run_id" in rows.column_names:
            own = np.asarray(pc.fill_null(pc.equal(as_array(rows["run_id"]), run_id), False))
        sources = as_array(rows["source"]).dictionary_encode()
        codes = np.asarray(pc.fill_null(sources.indices, -1))
        for code, source in enumerate(sources.dictionary.to_pylist()):
            its = (codes == code) & own
            shards[its] = _shards_of(numbers[its], source, self._entries)
        self._counts[what] += np.bincount(shards, minlength=len(self._numbers))
        np.add.at(self._numbers, shards, numbers)
        compared = [rows[base] for base in COMPARED[what] if base in rows.column_names]
        np.add.at(self._hashes, shards, hash_contents(numbers, compared))

    def problems(self, shown: str) -> Iterator[str]:
        """A line for each shard that is not as it was written."""
        for i, entry in enumerate(self._entries):
            difference = self._difference(i, entry)
            if difference:
                yield f"{shown}: rows {entry.first} to {entry.last} of {entry.source}: {difference}"
        strange = sum(int(count[-1]) for count in self._counts.values())
        if strange:
            yield f"{shown}: {strange} rows are of no shard"

    def _difference(self, i: int, entry: Entry) -> str:
        due = {PREDICTIONS: ("scored", entry.scored), REJECTS: ("rejected", entry.rejected)}
        found = [(int(self._counts[what][i]), *ends) for what, ends in due.items()]
        differing = [f"{n} are {end}, and {count} were" for n, end, count in found if n != count]
        if differing:
            return "; ".join(differing)
        if int(self._numbers[i]) != _numbers(entry, int(self._numbers[i])):
            return "some are there twice and others not at all"
        if int(self._hashes[i]) != entry.sums.get(CONTENTS, int(self._hashes[i])):
            return "labels, scores or reasons are not those that were written"
        return ""


def _numbers(entry: Entry, unknown: int) -> float:
    """The sum of the numbers of the rows; earlier releases did not write it down."""
    if ROWS in entry.sums:
        return entry.sums[ROWS]
    whole = entry.last - entry.first + 1 == entry.rows and not entry.passed
    return (entry.first + entry.last) * entry.rows // 2 if whole else unknown


def _shards_of(rows: Counts, source: str, entries: Sequence[Entry]) -> Counts:
    own = np.array([i for i, entry in enumerate(entries) if entry.source == source], dtype=np.int64)
    firsts, lasts = (np.array([getattr(entries[i], end) for i in own], dtype=np.int64) for end in ("first", "last"))
    if not len(own):
        return np.full(len(rows), len(entries))
    found = np.maximum(np.searchsorted(firsts, rows, side="right") - 1, 0)
    inside = (rows >= firsts[found]) & (rows <= lasts[found])
    return np.where(inside, own[found], len(entries))
