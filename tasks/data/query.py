"""Rows of a database, in the order of a key: what is asked for, pinned when a run begins, and read range by range.

PostgreSQL's numerics are read as doubles, unless they are the key; values of its types without a counterpart in Arrow,
and of SQLite's columns with texts among their values, are read as texts.
"""

import hashlib
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
from adbc_driver_manager import DatabaseError, ProgrammingError
from adbc_driver_manager.dbapi import Connection
from pyarrow import fs

from models.columns.cells import is_text
from models.errors import InputError, UnreachableError
from models.problems import near_match
from tasks.data.batches import BATCH_BYTES, BATCH_ROWS, RawBatch, SourceFile, check_names, wanted_names
from tasks.data.database import (
    Database,
    answers,
    connected,
    locate,
    plain_error,
    plain_errors,
    quoted,
    rows,
    table_of,
)
from tasks.data.dialects import DIALECTS
from tasks.data.fingerprint import ChangedError
from tasks.data.relations import near_table

LABEL = "perennial reads"
BOUNDS = {"first", "ranges"}
"""What `pin` adds to what a query is told by."""
START_ANEW = "put the old rows back, or start anew with --overwrite"


@dataclass(frozen=True)
class Asked:
    """What the command says about its databases."""

    query: str | None = None
    key: str | None = None
    """A column with another value in each row; rows are read in its order."""
    version_column: str | None = None
    """A column whose highest value grows with each change, such as a time."""


@dataclass(frozen=True)
class Range:
    """Neighbouring rows as they were when the run began."""

    rows: int
    last: str
    """The key of the last one, as the dialect's text."""
    versions: tuple[int, str | None] | None = None
    """How many have a version, and the highest."""


@dataclass(frozen=True)
class Query:
    """What is read of one database."""

    database: Database
    path: str
    """How it is called, without credentials."""
    sql: str
    key: str
    version_column: str | None
    columns: Mapping[str, str]
    """By name the expression that is read."""
    schema: pa.Schema
    key_type: str
    first: str = ""
    """The lowest key, where the ranges are pinned."""
    ranges: tuple[Range, ...] = ()

    def asked(self) -> dict[str, Any]:
        """What tells it from other queries."""
        digest = hashlib.sha256(self.sql.encode()).hexdigest()
        return {"query": digest, "key": self.key, "key_type": self.key_type, "version_column": self.version_column}

    def bounded(self, position: int) -> str:
        """The condition for the rows of a range."""
        key, value = f"q.{quoted(self.key)}", DIALECTS[self.database.dialect].value
        lowest, operator = (self.ranges[position - 1].last, ">") if position else (self.first, ">=")
        highest = value(self.ranges[position].last, self.key_type)
        return f"{key} {operator} {value(lowest, self.key_type)} AND {key} <= {highest}"

    @property
    def rows(self) -> str:
        """What stands behind FROM."""
        return f"(\n{self.sql}\n) AS q"


def find_query(uri: str, asked: Asked) -> SourceFile:
    """What a database's URI and the command stand for.

    Raises InputError for a table or column that is not there, wrong SQL, and a missing key; UnreachableError.
    """
    database, fragment = locate(uri)
    if bool(fragment) == bool(asked.query):
        raise InputError(f"{database.shown}: give a table, as {database.shown}#table, or --query, and not both")
    with plain_errors(database), connected(database, LABEL) as connection:
        sql, path = _table(connection, database, fragment) if fragment else _written(database, asked.query or "")
        with plain_errors(database, path):
            seen = _described(connection, sql)
        _require(asked.version_column, "version-column", seen.names, path)
        if asked.key is None:
            raise InputError(
                f"{path}: rows of a database have no order; with --key name a column that orders them and holds "
                f"another value in each{_proposed(connection, database, fragment)}"
            )
        _require(asked.key, "key", seen.names, path)
        with plain_errors(database, path):
            columns, schema = DIALECTS[database.dialect].columns(connection, sql, seen, asked.key)
            key_type = DIALECTS[database.dialect].key_type(seen.field(asked.key), path)
    query = Query(database, path, sql, asked.key, asked.version_column, columns, schema, key_type)
    return SourceFile(path, path, fs.LocalFileSystem(), "query", {}, 0, query=query)


def _require(column: str | None, option: str, names: Sequence[str], path: str) -> None:
    check_names(names, path)
    if column is not None and column not in names:
        raise InputError(f"{path}: no column {column!r} for --{option}{near_match(column, names)}")


def _table(connection: Connection, database: Database, fragment: str) -> tuple[str, str]:
    table = table_of(database, fragment)
    try:
        rows(connection, f"SELECT 1 AS one FROM {table.sql} LIMIT 0")
    except ProgrammingError as error:
        connection.rollback()
        if "does not exist" in str(error) or "no such table" in str(error):
            raise InputError(f"{table.shown}: no such table{near_table(connection, table)}") from None
        raise
    return f"SELECT * FROM {table.sql}", table.shown


def _written(database: Database, sql: str) -> tuple[str, str]:
    bare = sql.strip().rstrip(";").strip()
    return bare, f"{database.shown}#query-{hashlib.sha256(bare.encode()).hexdigest()[:8]}"


def _described(connection: Connection, sql: str) -> pa.Schema:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM (\n{sql}\n) AS q LIMIT 0")
        return cursor.fetch_arrow_table().schema


def _proposed(connection: Connection, database: Database, fragment: str) -> str:
    keys = DIALECTS[database.dialect].primary_key(connection, table_of(database, fragment).sql) if fragment else []
    return f", such as {keys[0]!r}, its primary key" if len(keys) == 1 else ""


def pin(file: SourceFile, most: int) -> dict[str, Any]:
    """Ranges of `most` rows by one statement, for the ledger; nothing for other sources.

    Raises InputError for a key that is null or not unique somewhere, and where there are no rows.
    """
    query = file.query
    if query is None:
        return {}
    with connected(query.database, LABEL) as connection, plain_errors(query.database, query.path):
        found = rows(connection, _pinning(query, most))
    nulls, twice = (sum(row[name] or 0 for row in found) for name in ("nulls", "twice"))
    if nulls:
        raise InputError(f"{query.path}: --key {query.key!r} is null in {nulls} rows; give a column that never is")
    cut = next((bytes.fromhex(row["cut"]).decode(errors="replace") for row in found if row["cut"]), None)
    if cut is not None:
        raise InputError(
            f"{query.path}: --key {query.key!r} holds {cut!r}, and rows can't be divided by texts with a zero byte; "
            "give another column"
        )
    if twice:
        example = next(row["example"] for row in found if row["example"] is not None)
        raise InputError(
            f"{query.path}: --key {query.key!r} holds {example} more than once, as {twice} rows do; give a column with "
            "another value in each row"
        )
    if not found:
        raise InputError(f"{query.path}: no rows")
    ranges = [[row["count"], row["last"], row["versions"], row["version"]] for row in found]
    return {"first": found[0]["first"], "ranges": ranges}


def _pinning(query: Query, most: int) -> str:
    text, cut = DIALECTS[query.database.dialect].text, DIALECTS[query.database.dialect].cut
    key = f"q.{quoted(query.key)}"
    version = f"q.{quoted(query.version_column)}" if query.version_column else "NULL"
    return f"""
        SELECT count(*) AS "count", count(*) - count(k) AS nulls,
            sum(CASE WHEN k = before THEN 1 ELSE 0 END) AS twice, min({text("k")}) FILTER (WHERE k = before) AS example,
            min({text("k")}) FILTER (WHERE before IS NULL) AS "first",
            max({text("k")}) FILTER (WHERE n % {most} = 0 OR after IS NULL) AS "last",
            min({cut("k")}) AS cut, count(v) AS versions, {_highest(query, "v")} AS version
        FROM (SELECT {key} AS k, {version} AS v, row_number() OVER w AS n, lag({key}) OVER w AS before,
            lead({key}) OVER w AS after FROM {query.rows} WINDOW w AS (ORDER BY {key})) AS numbered
        GROUP BY (n - 1) / {most} ORDER BY min(n)"""


def _highest(query: Query, value: str) -> str:
    return DIALECTS[query.database.dialect].text(f"max({value})") if query.version_column else "NULL"


def bound(file: SourceFile, pinned: Mapping[str, Any]) -> SourceFile:
    """The source with what was pinned of it."""
    if file.query is None:
        return file
    counted = file.query.version_column is not None
    ranges = tuple(Range(r[0], r[1], (r[2], r[3]) if counted else None) for r in pinned["ranges"])
    return replace(file, query=replace(file.query, first=pinned["first"], ranges=ranges))


def peek(file: SourceFile) -> tuple[pa.Schema, int | None]:
    """The columns in the types that they are read in."""
    return _query(file).schema, None


def stops(file: SourceFile, most: int) -> list[int]:
    """Numbers of the last rows of the ranges."""
    return list(accumulate(each.rows for each in _query(file).ranges))


def read(
    file: SourceFile, columns: Collection[str] | None, first: int = 1, last: int | None = None
) -> Iterator[RawBatch]:
    """The rows from the range of row `first` to that of row `last`, in the order of the key.

    A new batch begins with each range. Raises ChangedError where they are not those that were pinned, UnreachableError
    when the server has gone away.
    """
    query = _query(file)
    wanted = wanted_names(query.schema.names, columns)
    with plain_errors(query.database, query.path), connected(query.database, LABEL) as connection:
        start = 1
        for position, each in enumerate(query.ranges):
            if last is not None and start > last:
                break
            if start + each.rows > first:
                # A statement that is open when the connection closes is an error.
                with closing(_read_range(connection, query, position, wanted)) as tables:
                    for table in tables:
                        yield RawBatch(file.path, np.arange(start, start + len(table), dtype=np.int64), table)
                        start += len(table)
                connection.commit()
            else:
                start += each.rows


def _query(file: SourceFile) -> Query:
    if file.query is None:
        raise InputError(f"{file.path}: no query of a database")
    return file.query


def _read_range(
    connection: Connection, query: Query, position: int, wanted: Sequence[str]
) -> Generator[pa.Table, None, None]:
    with _reading(connection, query):
        due = query.ranges[position]
        if due.versions:
            version = f"q.{quoted(query.version_column or '')}"
            now = rows(
                connection,
                f'SELECT count(*) AS "count", count({version}) AS versions, {_highest(query, version)} AS version '
                f"FROM {query.rows} WHERE {query.bounded(position)}",
            )[0]
            _require_same(query, position, "count of rows", due.rows, now["count"])
            _require_same(query, position, query.version_column, due.versions, (now["versions"], now["version"]))
        count = 0
        for table in _whole_batches(_stream(connection, query, position, wanted)):
            count += len(table)
            if count > due.rows:
                break
            yield table
        _require_same(query, position, "count of rows", due.rows, count)


def _stream(connection: Connection, query: Query, position: int, wanted: Sequence[str]) -> Iterator[pa.Table]:
    """The rows of a range, texts as dictionaries."""
    chosen = {name: query.columns[name] for name in wanted}
    rest = f"FROM {query.rows} WHERE {query.bounded(position)} ORDER BY q.{quoted(query.key)}"
    with closing(DIALECTS[query.database.dialect].stream(connection, chosen, query.schema, rest)) as tables:
        for table in tables:
            yield _coded(table, query)


def _coded(table: pa.Table, query: Query) -> pa.Table:
    for i, f in enumerate(table.schema):
        before = query.schema.field(f.name).type
        if f.type != before:
            raise ChangedError(
                f"{query.path}: column {f.name!r} holds {f.type}, and held {before} when the run began; {START_ANEW}"
            )
        if is_text(f.type):
            table = table.set_column(i, f.name, table.column(i).dictionary_encode())
    return table


def _whole_batches(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The rows in tables of `BATCH_ROWS`, wherever the server divides them; of fewer where they are large."""
    held: list[pa.Table] = []
    count = size = 0
    for table in tables:
        while len(table):
            held.append(table[: BATCH_ROWS - count])
            table = table[len(held[-1]) :]
            count, size = count + len(held[-1]), size + held[-1].nbytes
            if count == BATCH_ROWS or size >= BATCH_BYTES:
                yield pa.concat_tables(held)
                held, count, size = [], 0, 0
    if held:
        yield pa.concat_tables(held)


@contextmanager
def _reading(connection: Connection, query: Query) -> Iterator[None]:
    """Tells a server that has gone away from a table that has, and both from values that can't be read."""
    try:
        yield
    except (DatabaseError, OSError, pa.ArrowException) as error:
        if query.database.dialect == "postgresql" and not answers(connection):
            raise UnreachableError(f"{query.path}: the server has gone away; the same command goes on") from None
        plain = plain_error(query.database, error, query.path)
        raise (ChangedError(str(plain)) if isinstance(error, ProgrammingError) else plain) from None


def _require_same(query: Query, position: int, what: str | None, before: object, now: object) -> None:
    if before != now:
        low = query.ranges[position - 1].last if position else query.first
        raise ChangedError(
            f"{query.path}: changed since the run began (the {what} from {query.key} {low} to "
            f"{query.ranges[position].last} was {before} and is {now}); {START_ANEW}"
        )
