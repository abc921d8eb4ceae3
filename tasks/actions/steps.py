"""Prefect tasks of this package."""

from collections.abc import Sequence
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.actions.deliver import Delivered
from tasks.actions.outboxes import Outboxes
from tasks.actions.tabletarget import open_table
from tasks.policy import TRIED_AGAIN


def outboxes_of(run_id: str, home: Path) -> Outboxes:
    """Those of a scoring run, beneath the state folder."""
    return Outboxes(home / "actions" / run_id)


@task(name="act on predictions", cache_policy=NO_CACHE, **TRIED_AGAIN)
def act(run_id: str, home: Path, again: bool = False) -> list[Delivered]:
    """What became of the rows that actions take; `again` sends dead letters once more."""
    return outboxes_of(run_id, home).deliver(run_id, open_table, again)


def sweep(run_id: str, home: Path, delivered: Sequence[Delivered]) -> None:
    """Takes the outboxes of a run that has come to its end away, unless there are dead letters in them."""
    if delivered:
        outboxes_of(run_id, home).sweep(delivered)
