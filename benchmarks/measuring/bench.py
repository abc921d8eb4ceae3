"""What all runs of a measurement of mishaps score, how they are started, and what should come of them."""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from benchmarks.measuring import victim
from benchmarks.measuring.outcome import Outcome, compared
from benchmarks.measuring.places import FilePlace, TablePlace
from benchmarks.measuring.postgres import Looks, Server
from benchmarks.measuring.victim import require

KEY = "key"
"""Column that orders the rows of a table."""
INPUT = "rows"
"""The table of the rows to score."""


@dataclass(frozen=True)
class Tables:
    """The same rows in PostgreSQL, and the predictions of an undisturbed run there."""

    server: Server
    looks: Looks
    due: pa.Table

    @property
    def data(self) -> str:
        """The table of the rows to score."""
        return self.server.table(INPUT)

    def place(self, name: str) -> TablePlace:
        """A table to write to."""
        return TablePlace(self.looks, name.replace("-", "_"))


@dataclass(frozen=True)
class Bench:
    """Begun with the outputs of undisturbed runs."""

    home: Path
    package: Path
    learnt: Path
    """A table with the target, as the model's was."""
    data: Path
    shard_rows: int
    due: pa.Table = field(default_factory=lambda: pa.table({}))
    tables: Tables | None = None
    """None where PostgreSQL is not installed."""

    @property
    def shards(self) -> int:
        """Of a whole run."""
        return -(-len(self.due) // self.shard_rows)

    def place(self, name: str) -> FilePlace:
        """A folder to write to."""
        return FilePlace(self.home / name)

    def start(self, output: str, data: Path | str | None = None, key: str | None = None) -> "subprocess.Popen[str]":
        """A run into the output."""
        return victim.start(self.package, str(data or self.data), output, self.shard_rows, key)

    def compare(self, place: FilePlace, lines: int | None = None, visible: int = 0) -> Outcome:
        """Its rows with those that are due."""
        return compared(place.rows(), self.due, lines, visible)

    def undisturbed(self) -> pa.Table:
        """The predictions of a run into files that nothing happens to."""
        place = self.place("undisturbed")
        require(self.start(place.uri), 0)
        return place.rows()

    def in_postgres(self, server: Server) -> Tables:
        """The rows in a table there, and the predictions of a run from it into another that nothing happens to."""
        server.fill(INPUT, self.data, KEY)
        tables = Tables(server, Looks(server), pa.table({}))
        place = tables.place("undisturbed")
        require(self.start(place.uri, tables.data, KEY), 0)
        return Tables(server, tables.looks, place.rows())
