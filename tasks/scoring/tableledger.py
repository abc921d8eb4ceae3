"""What a run into tables has pinned and done, in a table beside them: a row for the run, and one for each shard."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from adbc_driver_manager.dbapi import Connection

from models.errors import OutsideError
from tasks.data.database import Table, literal, quoted, rows, run
from tasks.data.relations import tables
from tasks.scoring.ledger import FORMAT_VERSION, Entry, Pinned, as_json, entry_of, pinned_of
from tasks.scoring.shards import EVERYTHING, Shard, Span

RUN = ""
"""The shard's name in the row of the run; its entry is the manifest of a finished run."""
WAL, JOURNAL = "wal", "journal"
OF_DATABASE = f"output = '' AND run_id = '' AND shard = '{JOURNAL}'"
"""The row that belongs to no output."""
PUBLISHED = "published"
"""The shard's name in a row that is there from when the tables are visible until all that follows is done."""


class TableLedger:
    """The rows of one output; nothing is committed here."""

    def __init__(self, connection: Connection, table: Table, output: str) -> None:
        self._connection, self._table = connection, table
        self._output = table.database.folded(output)
        named = "lower(output)" if table.database.dialect == "sqlite" else "output"
        self._own = f"{named} = {literal(self._output)}"

    def create(self) -> None:
        """Makes the table where it is missing."""
        if self._table.database.dialect == "postgresql":
            # Two that find it missing at once would collide.
            rows(self._connection, "SELECT CAST(pg_advisory_xact_lock(7011366) AS text)")
        run(
            self._connection,
            f"CREATE TABLE IF NOT EXISTS {self._table.sql} (output text NOT NULL, run_id text NOT NULL, "
            "shard text NOT NULL, format_version integer NOT NULL, entry text, pinned text, "
            "PRIMARY KEY (output, run_id, shard))",
        )

    def unfinished(self) -> Pinned | None:
        """What a run has pinned that did not come to its end."""
        published = f"SELECT run_id FROM {self._table.sql} WHERE {self._own} AND shard = {literal(PUBLISHED)}"
        found = self._rows(f"shard = {literal(RUN)} AND (entry IS NULL OR run_id IN ({published}))")
        return pinned_of(json.loads(found[0]["pinned"]), self._table.shown) if found else None

    @property
    def publishing(self) -> bool:
        """Whether the tables are visible, and what follows, such as deliveries, may not be done."""
        return bool(self._rows(f"shard = {literal(PUBLISHED)}"))

    def manifest(self) -> dict[str, Any] | None:
        """Of the finished run."""
        found = self._rows(f"shard = {literal(RUN)} AND entry IS NOT NULL")
        return json.loads(found[0]["entry"]) if found else None

    def done(self, run_id: str, span: Span = EVERYTHING, after: str = "") -> dict[str, Entry]:
        """Finished shards of a run by name, those behind the name `after`."""
        low, high = map(literal, span.names)
        some = f"shard BETWEEN {low} AND {high} AND shard > {literal(after or RUN)}"
        found = self._rows(f"run_id = {literal(run_id)} AND {some}")
        entries = {row["shard"]: entry_of(json.loads(row["entry"])) for row in found}
        return {name: entry for name, entry in entries.items() if span.covers(Shard.of(name))}

    def pin(self, pinned: Pinned) -> None:
        """Begins a run; a finished one of the same id, whose shards would pass for its own, is forgotten."""
        self.forget(pinned.run_id)
        self._insert(pinned.run_id, RUN, None, asdict(pinned))

    def enter(self, run_id: str, entry: Entry) -> bool:
        """Whether the shard was not done yet; from here on it is. Raises OutsideError where the run is no more."""
        self.require_run(run_id)
        return self._insert(run_id, entry.shard, asdict(entry), None)

    def require_run(self, run_id: str) -> None:
        """Passes while the run has not ended, which it can't before this transaction. Raises OutsideError otherwise."""
        kept = " FOR SHARE" if self._table.database.dialect == "postgresql" else ""
        row = f"{self._own} AND run_id = {literal(run_id)} AND shard = {literal(RUN)} AND entry IS NULL"
        if not rows(self._connection, f"SELECT shard FROM {self._table.sql} WHERE {row}{kept}"):
            raise OutsideError(f"{self._table.shown}: run {run_id} has no part in {self._output} any more")

    def finish(self, run_id: str, manifest: Mapping[str, Any]) -> None:
        """All rows are visible, and the runs before it are forgotten; it has come to its end after `settle`."""
        run(
            self._connection,
            f"DELETE FROM {self._table.sql} WHERE {self._own} AND run_id <> {literal(run_id)}",
            f"UPDATE {self._table.sql} SET entry = {_json(manifest)} WHERE {self._own} AND run_id = {literal(run_id)} "
            f"AND shard = {literal(RUN)}",
        )
        self._insert(run_id, PUBLISHED, None, None)

    def settle(self) -> None:
        """What follows a finished run is done as well."""
        run(self._connection, f"DELETE FROM {self._table.sql} WHERE {self._own} AND shard = {literal(PUBLISHED)}")

    def forget(self, run_id: str) -> None:
        """Takes away the rows of a run."""
        run(self._connection, f"DELETE FROM {self._table.sql} WHERE {self._own} AND run_id = {literal(run_id)}")

    def keep_journal(self, mode: str) -> None:
        """Notes the mode in which a database of SQLite was before any run; WAL is taken for what a run has set."""
        if mode != WAL:
            run(
                self._connection,
                f"INSERT OR REPLACE INTO {self._table.sql} (output, run_id, shard, format_version, pinned) "
                f"VALUES ('', '', '{JOURNAL}', {FORMAT_VERSION}, {literal(mode)})",
            )

    def kept_journal(self) -> str | None:
        """The mode to go back to; None where a run has not changed it."""
        if self._table.name not in tables(self._connection, self._table):
            return None
        found = rows(self._connection, f"SELECT pinned FROM {self._table.sql} WHERE {OF_DATABASE}")
        return str(found[0]["pinned"]) if found else None

    def forget_journal(self) -> None:
        """The database is in its mode of before."""
        run(self._connection, f"DELETE FROM {self._table.sql} WHERE {OF_DATABASE}")

    def _rows(self, condition: str) -> list[dict[str, Any]]:
        if self._table.name not in tables(self._connection, self._table):
            return []
        columns = ", ".join(map(quoted, ("shard", "entry", "pinned")))
        return rows(
            self._connection,
            f"SELECT {columns} FROM {self._table.sql} WHERE {self._own} AND {condition} ORDER BY shard",
        )

    def _insert(
        self, run_id: str, shard: str, entry: Mapping[str, Any] | None, pinned: Mapping[str, Any] | None
    ) -> bool:
        values = f"{literal(self._output)}, {literal(run_id)}, {literal(shard)}, {FORMAT_VERSION}"
        return bool(
            rows(
                self._connection,
                f"INSERT INTO {self._table.sql} (output, run_id, shard, format_version, entry, pinned) "
                f"VALUES ({values}, {_json(entry)}, {_json(pinned)}) ON CONFLICT DO NOTHING RETURNING shard",
            )
        )


def _json(value: Mapping[str, Any] | None) -> str:
    return "NULL" if value is None else literal(as_json(value).decode())
