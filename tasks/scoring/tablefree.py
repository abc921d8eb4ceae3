"""Whether tables may take their places, before anything is scored."""

from collections.abc import Iterator

from adbc_driver_manager.dbapi import Connection

from models.errors import InputError
from tasks.data.database import connected, plain_errors
from tasks.data.relations import dependents, kinds
from tasks.scoring.destination import PREDICTIONS, REJECTS
from tasks.scoring.tabledestination import TableDestination
from tasks.scoring.tableledger import TableLedger


def require_claimable_table(wanted: TableDestination, overwrite: bool) -> None:
    """Passes when the tables may be written. Raises InputError otherwise, OutsideError when they can't be reached."""
    if wanted.database.dialect == "sqlite" and not wanted.database.path.exists():
        return
    with plain_errors(wanted.database), connected(wanted.database, "perennial looks") as connection:
        ledger = TableLedger(connection, wanted.ledger, wanted.table.name)
        require_free(connection, wanted, overwrite, ledger)


def require_free(connection: Connection, wanted: TableDestination, overwrite: bool, ledger: TableLedger) -> None:
    """Passes when nothing stands where the tables go, or what may be replaced, or what an unfinished run has put there.

    Raises InputError otherwise.
    """
    if ledger.publishing:
        return
    begun = ledger.unfinished() is not None
    problems = list(_problems(connection, wanted, overwrite, begun))
    if problems:
        raise InputError(*(f"{wanted.table.shown}: {problem}" for problem in problems))


def _problems(connection: Connection, wanted: TableDestination, overwrite: bool, begun: bool) -> Iterator[str]:
    there = kinds(connection, wanted.table)
    finals = [wanted.final(what) for what in (PREDICTIONS, REJECTS)]
    taken = {table.name: there[wanted.folded(table)] for table in finals if wanted.folded(table) in there}
    if taken and not overwrite:
        yield f"{next(iter(taken))!r} exists already; choose another table or pass --overwrite"
        return
    for table in finals:
        kind = taken.get(table.name)
        if kind not in (None, "table"):
            yield f"--overwrite replaces tables, and {table.name!r} is none (kind: {kind}); choose another table"
        elif kind and wanted.database.dialect == "postgresql":
            for name in dependents(connection, table):
                yield f"{name!r} depends on {table.name!r}; drop it before the table is replaced, or choose another one"
    staged = [wanted.staging(what) for what in (PREDICTIONS, REJECTS)]
    for table in staged:
        if not begun and wanted.folded(table) in there:
            yield (
                f"the name {table.name!r} is needed while rows are written, and no unfinished run has left what stands "
                "there; rename that, or choose another table"
            )
