"""Columns whose values the log of requests does not hold."""

import logging
from collections.abc import Sequence

from models.columns.kind import FileSettings
from models.contract import Contract
from models.errors import InputError
from models.problems import near_match
from tasks.serving.worker_settings import Logging

LOG = logging.getLogger("perennial.serve")


def withheld(contract: Contract, keep: Sequence[str]) -> list[str]:
    """Columns of the model whose values are not logged: sensitive ones and files, but for those to `keep`."""
    return [
        column.name
        for column in contract.columns
        if column.name not in keep and (column.settings.sensitive or isinstance(column.settings, FileSettings))
    ]


def check_logging(contracts: Sequence[Contract], how: Logging | None) -> None:
    """Tells what is not logged. Raises InputError for a column to keep that no model has."""
    if how is None:
        return
    known = sorted({column.name for contract in contracts for column in contract.columns})
    problems = [f"--log-keep {name}: no such column{near_match(name, known)}" for name in how.keep if name not in known]
    if problems:
        raise InputError(*problems)
    for contract in contracts:
        names = withheld(contract, how.keep)
        if names:
            LOG.info(
                "%s: the log has null for %s; monitor would take them for missing, --log-keep has them logged",
                contract.name, ", ".join(map(repr, names)),
            )  # fmt: skip
