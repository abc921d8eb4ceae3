"""What stands in the schema of a table under which name, and what depends on it."""

from adbc_driver_manager.dbapi import Connection

from models.problems import near_match
from tasks.data.database import Table, literal, quoted, rows

KINDS = {
    "r": "table",
    "p": "table",
    "f": "foreign table",
    "v": "view",
    "m": "materialized view",
    "S": "sequence",
    "i": "index",
    "I": "index",
}
"""PostgreSQL's letters; other ones are of types."""


def kinds(connection: Connection, beside: Table) -> dict[str, str]:
    """By folded name what stands in the schema of a table: tables, views, and what else takes a name there."""
    if beside.database.dialect == "sqlite":
        found = rows(connection, "SELECT name, type AS kind FROM sqlite_master WHERE type <> 'trigger'")
        return {beside.database.folded(row["name"]): row["kind"] for row in found}
    schema = literal(beside.schema) if beside.schema else "current_schema()"
    found = rows(
        connection,
        "SELECT CAST(relname AS text) AS name, CAST(relkind AS text) AS kind FROM pg_class WHERE relnamespace = "
        f"(SELECT oid FROM pg_namespace WHERE nspname = {schema})",
    )
    return {row["name"]: KINDS.get(row["kind"], "type") for row in found}


def tables(connection: Connection, beside: Table) -> set[str]:
    """Folded names of the tables and views in the schema of a table."""
    return {name for name, kind in kinds(connection, beside).items() if kind.endswith(("table", "view"))}


def near_table(connection: Connection, table: Table) -> str:
    """What a table may have been meant by a name that is none, for the end of a sentence."""
    return near_match(table.name, tables(connection, table))


def identity(connection: Connection, table: Table, made: bool = False) -> str | None:
    """Tells a table of a server from all others, whatever address and name lead to it; None where there is none.

    A name without a schema is looked for as queries look for it; where it would be `made`, in the first schema alone.
    """
    name = literal(table.sql)
    if made and not table.schema:
        name = f"quote_ident(current_schema()) || '.' || {literal(quoted(table.name))}"
    found = rows(
        connection,
        "SELECT CAST(pg_postmaster_start_time() AS text) || ' ' || (SELECT CAST(oid AS text) FROM pg_database WHERE "
        f"datname = current_database()) || ' ' || CAST(CAST(to_regclass({name}) AS oid) AS text) AS identity",
    )
    named: str | None = found[0]["identity"]
    return named


def dependents(connection: Connection, table: Table) -> list[str]:
    """What keeps a table of PostgreSQL from being dropped: views of it, and tables that refer to it."""
    oid = f"CAST(to_regclass({literal(table.sql)}) AS oid)"
    found = rows(
        connection,
        "SELECT DISTINCT CAST(CAST(other AS regclass) AS text) AS name FROM (SELECT ev_class AS other FROM pg_depend "
        "JOIN pg_rewrite ON pg_rewrite.oid = objid WHERE classid = CAST('pg_rewrite' AS regclass) AND refclassid = "
        f"CAST('pg_class' AS regclass) AND refobjid = {oid} UNION SELECT conrelid FROM pg_constraint WHERE "
        f"contype = 'f' AND confrelid = {oid}) AS others WHERE other <> {oid} ORDER BY name",
    )
    return [row["name"] for row in found]
