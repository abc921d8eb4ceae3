"""What every reader of files yields: batches of raw rows, numbered within their file."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import fs

from models.errors import InputError

if TYPE_CHECKING:
    from tasks.data.query import Query

BATCH_ROWS = 65_536
BATCH_BYTES = 1 << 28
"""Of a batch whose rows are large."""
Format = Literal["csv", "jsonl", "parquet", "feather", "folder", "query"]


class NoRowsError(InputError):
    """A table without rows."""


@dataclass(frozen=True)
class SourceFile:
    """One file of a source, or a folder that is read as one table, in the file system that holds it."""

    source: str
    """The source URI that led to this file."""
    path: str
    """Of a folder with a slash behind, so that what it names lies beside nothing but its own files."""
    filesystem: fs.FileSystem
    format: Format
    partitions: Mapping[str, str | None]
    """Values of Hive partitions (`year=2024/`) above the file; they become columns of strings."""
    size: int
    listed: tuple[str, ...] = ()
    """Of a folder: its pictures and recordings, relative to it."""
    strays: tuple[str, ...] = ()
    """Of a folder: tables that only accompany them and are not read, relative to it."""
    query: "Query | None" = None
    """What is read of a database."""


@dataclass(frozen=True)
class Malformed:
    """A row that could not be taken apart into columns."""

    row: int
    text: str
    reason: str


@dataclass(frozen=True)
class RawBatch:
    """Some rows of one file as they were read: no value is interpreted yet, texts in CSV files stay texts."""

    source: str
    """Path of the file."""
    rows: NDArray[np.int64]
    """Number of each row within the file, from 1, the header not counted; shape [N]."""
    table: pa.Table
    malformed: tuple[Malformed, ...] = ()
    gathered: Mapping[str, pa.Array] = field(default_factory=dict)
    """Columns whose values lie outside of the table, such as in the files that it names; each [N]."""
    skipped: int = 0
    """Rows before these that were passed over on purpose."""
    blamed: Mapping[str, str] = field(default_factory=dict)
    """By reason, the column that rows were refused for, where it is not the gathered one that says so."""

    def part(self, start: int, stop: int, malformed: tuple[Malformed, ...] = ()) -> "RawBatch":
        """The rows at positions `start` to `stop`, with the malformed ones that are given."""
        kept = slice(start, stop)
        gathered = {name: values[kept] for name, values in self.gathered.items()}
        return RawBatch(self.source, self.rows[kept], self.table[kept], malformed, gathered, 0, self.blamed)

    def to_blame(self, gathered: str, reason: str) -> str | None:
        """The column behind a refusal in a gathered one, None where it is no other."""
        return self.blamed.get(reason) if gathered in self.gathered else None


def check_names(names: Collection[str], path: str) -> None:
    """Passes names that are all there and all different. Raises InputError that lists the others."""
    listed = list(names)
    empty = [position for position, name in enumerate(listed, 1) if not name.strip()]
    twice = sorted({name for name in listed if name.strip() and listed.count(name) > 1})
    problems = [f"{path}: column {position} has no name; give it one in the first line" for position in empty]
    problems += [f"{path}: {listed.count(name)} columns are called {name!r}; rename all but one" for name in twice]
    if problems:
        raise InputError(*problems)


def wanted_names(names: Collection[str], columns: Collection[str] | None) -> list[str]:
    """The names to read, in the order of the file; all where `columns` is None."""
    return [name for name in names if columns is None or name in columns]


def constant(value: str | None, length: int) -> pa.Array:
    """A column that holds one text, or nothing, in every row; dictionary-encoded."""
    if value is None:
        return pa.nulls(length, pa.dictionary(pa.int32(), pa.string()))
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), length), pa.array([value]))


def sliced(table: pa.Table) -> Iterator[pa.Table]:
    """The table in pieces of at most `BATCH_ROWS` rows."""
    for start in range(0, len(table), BATCH_ROWS):
        yield table.slice(start, BATCH_ROWS)


def numbered(tables: Iterator[pa.Table], path: str) -> Iterator[RawBatch]:
    """The tables as batches whose rows count on from 1."""
    start = 1
    for table in tables:
        for piece in sliced(table):
            yield RawBatch(path, np.arange(start, start + len(piece), dtype=np.int64), piece)
            start += len(piece)
