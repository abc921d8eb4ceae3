"""Prefect tasks of this package."""

from contextlib import AbstractContextManager
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from models.errors import InputError
from tasks.actions.deliver import Delivered
from tasks.actions.outboxes import Outboxes
from tasks.actions.whole import TableTarget
from tasks.policy import TRIED_AGAIN


def outboxes_of(run_id: str, home: Path) -> Outboxes:
    """Those of a scoring run, beneath the state folder."""
    return Outboxes(home / "actions" / run_id)


@task(name="act on predictions", cache_policy=NO_CACHE, **TRIED_AGAIN)
def act(run_id: str, home: Path, again: bool = False) -> list[Delivered]:
    """What became of the rows that actions take; `again` sends dead letters once more."""
    boxes = outboxes_of(run_id, home)
    found = boxes.deliver(run_id, open_table, again)
    boxes.sweep(found)
    return found


def open_table(address: str) -> AbstractContextManager[TableTarget]:
    """The table behind an address."""
    raise InputError(f"{address}: tables are not reached yet")
