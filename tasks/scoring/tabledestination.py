"""A table of a database that takes predictions, the one beside it that takes rejects, and whether they can."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from models.errors import InputError
from tasks.actions.tabletarget import DELIVERIES
from tasks.data.batches import SourceFile
from tasks.data.database import IDENTIFIER, Database, Table, connected, locate, plain_errors, table_of
from tasks.data.relations import identity
from tasks.scoring.destination import PREDICTIONS, REJECTS
from tasks.scoring.writers import plain_schema

STAGING, LEDGER = "__run", "perennial_ledger"
OWN = (LEDGER, DELIVERIES)
MOST_COLUMNS = {"postgresql": 1600, "sqlite": 2000}
KEEP_LESS = "name the columns to write with --keep, without it"


@dataclass(frozen=True)
class TableDestination:
    """Predictions go to a table, everything else to tables whose names begin with its name."""

    table: Table

    @property
    def database(self) -> Database:
        """Where the tables are."""
        return self.table.database

    @property
    def ledger(self) -> Table:
        """The table that tells what is done, of all outputs of a schema."""
        return Table(self.database, self.table.schema, LEDGER)

    def folded(self, table: Table) -> str:
        """The name as the database compares it."""
        return self.database.folded(table.name)

    def final(self, what: str) -> Table:
        """The table of predictions, rejects or an action."""
        return self.table if what == PREDICTIONS else self.table.beside(f"_{what.replace('/', '_')}")

    def staging(self, what: str) -> Table:
        """What the table is called until the run is complete."""
        return self.final(what).beside(STAGING)

    def overlaps(self, inputs: Sequence[SourceFile]) -> Iterator[str]:
        """A line for each input that the output would replace."""
        finals = [self.final(what) for what in (PREDICTIONS, REJECTS)]
        own: set[str] | None = None
        for f in inputs:
            if f.query is None or f.query.database.dialect != self.database.dialect:
                continue
            own = _identities(self.database, finals, True) if own is None else own
            fragment = f.path.removeprefix(f"{f.query.database.shown}#")
            if own & _identities(f.query.database, [table_of(f.query.database, fragment)], False):
                yield f"{f.path}: is an input and would be replaced; choose another table"

    def require_writable(self, schema: pa.Schema) -> None:
        """Passes when a table can hold the columns. Raises InputError with a line for each that it can't."""
        problems = list(problems_of(self.table, schema, KEEP_LESS))
        if problems:
            raise InputError(*problems)


def table_destination(output: str) -> TableDestination:
    """The tables of a URI. Raises InputError where it names none, or one whose companions would have too long names."""
    database, fragment = locate(output)
    if not fragment:
        raise InputError(f"{database.shown}: names no table; give {database.shown}#table")
    wanted = TableDestination(table_of(database, fragment))
    if wanted.folded(wanted.table) in OWN:
        raise InputError(f"{wanted.table.shown}: in this table Perennial keeps what is done; choose another one")
    longest = wanted.staging(REJECTS).name
    if database.dialect == "postgresql" and len(longest.encode()) > IDENTIFIER:
        raise InputError(
            f"{wanted.table.shown}: the name is too long: {longest!r} is needed while it is written, and PostgreSQL "
            f"takes {IDENTIFIER} bytes; shorten it"
        )
    return wanted


def problems_of(table: Table, schema: pa.Schema, advice: str) -> Iterator[str]:
    """A line for each column of a schema, dictionaries aside, that a table can't hold, with what to do about it."""
    dialect, schema = table.database.dialect, plain_schema(schema)
    if len(schema) > MOST_COLUMNS[dialect]:
        yield f"{table.shown}: {len(schema)} columns, and a table takes {MOST_COLUMNS[dialect]}; {advice}"
    names: dict[str, str] = {}
    for f in schema:
        if not _holds(f.type, dialect):
            yield f"{table.shown}: column {f.name!r} holds {f.type}, which a table can't; {advice}"
        if dialect == "postgresql" and len(f.name.encode()) > IDENTIFIER:
            yield f"{table.shown}: the name of column {f.name!r} is longer than {IDENTIFIER} bytes; {advice}"
        if "\0" in f.name:
            yield f"{table.shown}: the name of column {f.name!r} holds a zero byte; {advice}"
        # SQLite takes both for the same.
        folded = table.database.folded(f.name)
        if folded in names:
            yield f"{table.shown}: the columns {names[folded]!r} and {f.name!r} are one for SQLite; {advice}"
        names[folded] = f.name


def _identities(database: Database, tables: Sequence[Table], made: bool) -> set[str]:
    """What tells the tables from others that are called otherwise."""
    if database.dialect == "sqlite":
        return {f"{database.path} {database.folded(table.name)}" for table in tables}
    with plain_errors(database), connected(database, "perennial looks") as connection:
        return {found for table in tables if (found := identity(connection, table, made))}


def _holds(kind: pa.DataType, dialect: str) -> bool:
    """What the drivers write; SQLite has no lists, and no numbers beyond those of 64 bits with a sign."""
    types = pa.types
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return dialect == "postgresql" and not types.is_nested(kind.value_type) and _holds(kind.value_type, dialect)
    foreign = isinstance(kind, pa.BaseExtensionType) or types.is_date64(kind)
    foreign = foreign or types.is_decimal32(kind) or types.is_decimal64(kind)
    if dialect == "sqlite":
        spans = types.is_time(kind) or types.is_duration(kind) or types.is_interval(kind)
        foreign = foreign or spans or types.is_decimal(kind) or types.is_uint64(kind)
    return not (foreign or types.is_nested(kind) or types.is_dictionary(kind))
