"""What PostgreSQL and SQLite say differently when rows are read."""

import re
from collections.abc import Generator, Mapping
from typing import Protocol

import pyarrow as pa
from adbc_driver_manager.dbapi import Connection

from models.errors import InputError
from tasks.data.batches import BATCH_ROWS
from tasks.data.database import literal, quoted, rows

LITERAL = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|'(?:[^']|'')*'|X'[0-9A-F]*'", re.IGNORECASE)
"""What SQLite's quote() gives for a value."""
KEY_TYPES = ("int2", "int4", "int8", "numeric", "float4", "float8", "text", "varchar", "bpchar", "name", "uuid", "date",
             "timestamp", "timestamptz")  # fmt: skip
"""Of PostgreSQL."""
TYPICAL = {pa.int64(): "0", pa.float64(): "0.5", pa.string(): "''", pa.binary(): "x''"}


class Words(Protocol):
    """What the dialects say differently."""

    def columns(self, connection: Connection, sql: str, seen: pa.Schema, key: str) -> tuple[dict[str, str], pa.Schema]:
        """The expressions that are read, and their types."""

    def key_type(self, key: pa.Field, path: str) -> str:
        """The key's type. Raises InputError for one that can't be pinned."""

    def primary_key(self, connection: Connection, table: str) -> list[str]:
        """Its columns."""

    def text(self, value: str) -> str:
        """An expression as a text from which the same value can be made."""

    def cut(self, value: str) -> str:
        """An expression: of a value that `text` would cut short the bytes in hexadecimal digits, else null."""

    def value(self, text: str, kind: str) -> str:
        """What `text` gave, as SQL of the type. Raises InputError for what it can't have given."""

    def stream(
        self, connection: Connection, chosen: Mapping[str, str], schema: pa.Schema, rest: str
    ) -> Generator[pa.Table, None, None]:
        """The chosen expressions FROM the rest, as the server sends them."""


class PostgreSQL:
    """Types are known for each column."""

    def columns(self, connection: Connection, sql: str, seen: pa.Schema, key: str) -> tuple[dict[str, str], pa.Schema]:
        """The expressions that are read, and their types."""
        found = {f.name: self._read(f, f.name == key) for f in seen}
        chosen = ", ".join(f"{expression} AS {quoted(name)}" for name, expression in found.items())
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {chosen} FROM (\n{sql}\n) AS q LIMIT 0")
            return found, pa.schema([(f.name, f.type) for f in cursor.fetch_arrow_table().schema])

    @staticmethod
    def _read(column: pa.Field, key: bool) -> str:
        name, kind = f"q.{quoted(column.name)}", _type_of(column)
        if kind == "numeric" and not key:
            return f"CAST({name} AS double precision)"
        if kind == "money":
            return f"CAST(CAST({name} AS numeric) AS double precision)"
        foreign = isinstance(column.type, pa.BaseExtensionType) or pa.types.is_interval(column.type)
        return f"CAST({name} AS text)" if foreign or kind in ("numeric", "bpchar") else name

    def key_type(self, key: pa.Field, path: str) -> str:
        """The key's type. Raises InputError for one that can't be pinned."""
        kind = _type_of(key)
        if kind not in KEY_TYPES:
            raise InputError(
                f"{path}: --key {key.name!r} is of type {kind}; give one of numbers, texts, times or uuids"
            )
        return kind

    def primary_key(self, connection: Connection, table: str) -> list[str]:
        """Its columns."""
        found = rows(
            connection,
            "SELECT CAST(attname AS text) AS name FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = "
            f"ANY(indkey) WHERE indisprimary AND indrelid = CAST({literal(table)} AS regclass)",
        )
        return [row["name"] for row in found]

    def text(self, value: str) -> str:
        """An expression as a text."""
        return f"CAST({value} AS text)"

    def cut(self, value: str) -> str:
        """None is."""
        return "CAST(NULL AS text)"

    def value(self, text: str, kind: str) -> str:
        """What `text` gave, as SQL of the type. The column's collation holds for both sides of a comparison."""
        return f"CAST({literal(text)} AS {kind})"

    def stream(
        self, connection: Connection, chosen: Mapping[str, str], schema: pa.Schema, rest: str
    ) -> Generator[pa.Table, None, None]:
        """The chosen expressions FROM the rest, as the server sends them."""
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {', '.join(f'{value} AS {quoted(name)}' for name, value in chosen.items())} {rest}")
            with cursor.fetch_record_batch() as reader:
                for batch in reader:
                    yield pa.Table.from_batches([batch])


def _type_of(column: pa.Field) -> str:
    return str((column.metadata or {}).get(b"POSTGRESQL:type", b"").decode())


class SQLite:
    """Each value has a type of its own, so that all are looked at."""

    def columns(self, connection: Connection, sql: str, seen: pa.Schema, key: str) -> tuple[dict[str, str], pa.Schema]:
        """The expressions that are read, and their types."""
        kinds = ("integer", "real", "text", "blob")
        tests = (f"max(typeof(q.{quoted(name)}) = '{kind}')" for name in seen.names for kind in kinds)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {', '.join(tests)} FROM (\n{sql}\n) AS q")
            held = [bool(value) for value in cursor.fetchone() or ()]
        found = {name: self._read(f"q.{quoted(name)}", *held[4 * i : 4 * i + 4]) for i, name in enumerate(seen.names)}
        return {name: read for name, (read, _) in found.items()}, pa.schema(
            [(n, kind) for n, (_, kind) in found.items()]
        )

    @staticmethod
    def _read(name: str, whole: bool, real: bool, text: bool, blob: bool) -> tuple[str, pa.DataType]:
        if blob and not (whole or real or text):
            return name, pa.binary()
        if text or blob or not (whole or real):
            return f"CAST({name} AS TEXT)", pa.string()
        if real:
            # Not a plain CAST: a text that comes later must be an error, and no 0.
            return f"CASE typeof({name}) WHEN 'integer' THEN CAST({name} AS REAL) ELSE {name} END", pa.float64()
        return name, pa.int64()

    def key_type(self, key: pa.Field, path: str) -> str:
        """None."""
        return ""

    def primary_key(self, connection: Connection, table: str) -> list[str]:
        """Its columns."""
        return [row["name"] for row in rows(connection, f"PRAGMA table_info({table})") if row["pk"]]

    def text(self, value: str) -> str:
        """An expression as a text."""
        return f"quote({value})"

    def cut(self, value: str) -> str:
        """A text with a zero byte is."""
        return f"CASE WHEN typeof({value}) = 'text' AND instr({value}, char(0)) > 0 THEN hex({value}) END"

    def value(self, text: str, kind: str) -> str:
        """What `text` gave, as SQL of the type. Raises InputError for what it can't have given."""
        if not LITERAL.fullmatch(text):
            raise InputError(f"the ledger holds the key {text!r}, which is none; start anew with --overwrite")
        return text

    def stream(
        self, connection: Connection, chosen: Mapping[str, str], schema: pa.Schema, rest: str
    ) -> Generator[pa.Table, None, None]:
        """The chosen expressions FROM the rest, as the server sends them."""
        # The driver takes the types from the first rows, which may be null: this one is not.
        first = ", ".join(f"{TYPICAL[schema.field(name).type]} AS {quoted(name)}" for name in chosen)
        values = ", ".join(chosen.values())
        sql = f"SELECT {first} UNION ALL SELECT * FROM (SELECT {values} {rest} LIMIT -1)"
        skip = 1
        with connection.cursor(adbc_stmt_kwargs={"adbc.sqlite.query.batch_rows": BATCH_ROWS}) as cursor:
            cursor.execute(sql)
            with cursor.fetch_record_batch() as reader:
                for batch in reader:
                    yield pa.Table.from_batches([batch])[skip:]
                    skip = 0


DIALECTS: dict[str, Words] = {"postgresql": PostgreSQL(), "sqlite": SQLite()}
