"""Tables that actions send rows to: whether they can hold them."""

from collections.abc import Iterable, Iterator, Mapping

import pyarrow as pa

from models.actions import Action
from models.errors import InputError
from tasks.data.database import locate, table_of
from tasks.scoring.tabledestination import problems_of

SEND_LESS = "take it out of the action's columns"


def require_tables(actions: Iterable[Action], schemas: Mapping[str, pa.Schema]) -> None:
    """Passes when all tables among the targets can hold what their actions take, by the names of the actions.

    Raises InputError with a line for each column that one can't. What stands in the database is not looked at.
    """
    problems = [problem for action in actions for problem in _problems(action, schemas[action.name])]
    if problems:
        raise InputError(*problems)


def _problems(action: Action, schema: pa.Schema) -> Iterator[str]:
    if action.carriage == "table":
        yield from (
            f"actions.{action.name}: {problem}"
            for problem in problems_of(table_of(*locate(action.to)), schema, SEND_LESS)
        )
