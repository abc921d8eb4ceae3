"""Rows out of and into PostgreSQL: as a scoring run takes and gives them, and by COPY alone."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa

from benchmarks.measuring.bench import INPUT, KEY
from benchmarks.measuring.postgres import Server

SCORED, COPIED = "scored", "copied"


class Copies:
    """Each way is a function without arguments; all end with the rows as durable as PostgreSQL makes them."""

    alone: Mapping[str, tuple[str, str]] = {
        "COPY out": ("out by psql", "out by ADBC"),
        "COPY in": ("in by psql", "in by ADBC"),
    }
    """Ways of doing the same, with COPY in its binary format, which is faster than the text of so many numbers."""

    def __init__(self, server: Server, rows: Path, score: Callable[[str, str], None]) -> None:
        """`score` takes the URIs of two tables."""
        from adbc_driver_postgresql import dbapi

        self._server, self._score, self._connect = server, score, dbapi.connect
        self._file = server.folder / "rows.copy"
        server.fill(INPUT, rows, KEY)
        self.score()
        server.psql(f"\\copy {SCORED} TO '{self._file}' WITH (FORMAT binary)")
        self._written = self._read(SCORED)

    @property
    def ways(self) -> Mapping[str, Callable[[], None]]:
        """The whole and its parts by name."""
        return {
            "scored": self.score,
            "out by psql": lambda: self._server.psql(f"\\copy {INPUT} TO '/dev/null' WITH (FORMAT binary)"),
            "out by ADBC": lambda: self._stream(INPUT),
            "in by psql": lambda: self._server.psql(f"\\copy {COPIED} FROM '{self._file}' WITH (FORMAT binary)"),
            "in by ADBC": self._ingest,
        }

    def prepare(self) -> None:
        """An empty table for copies, and nothing that the server still has to write."""
        create = f"CREATE TABLE {COPIED} (LIKE {SCORED})"
        self._server.psql(f"DROP TABLE IF EXISTS {COPIED}", create, "CHECKPOINT")

    def score(self) -> None:
        """The platform's way."""
        self._score(self._server.table(INPUT), self._server.table(SCORED))

    def _read(self, table: str) -> pa.Table:
        with self._connect(self._server.uri) as session, session.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {table}")
            return cursor.fetch_arrow_table()

    def _stream(self, table: str) -> None:
        with self._connect(self._server.uri) as session, session.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {table}")
            with cursor.fetch_record_batch() as reader:
                for _ in reader:
                    pass

    def _ingest(self) -> None:
        with self._connect(self._server.uri) as session, session.cursor() as cursor:
            cursor.adbc_ingest(COPIED, self._written, mode="append")
            session.commit()
